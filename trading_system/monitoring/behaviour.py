"""What the health score makes the system do: four levels with hysteresis, a pure policy.

It gets worse at once and comes back step by step: a level is left, to the next better one, when
the score has stood ``recover_margin`` points above the level's threshold (100 at most) for
``recover_after_s`` seconds without a break. Who applies the levels judges them by a score that
leaves out what the levels themselves do to the system, see
:func:`~trading_system.monitoring.health.without_holds`; otherwise a hold would keep itself in
force.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

from trading_system.config.operations import HealthSettings
from trading_system.domain.ports import Clock
from trading_system.monitoring.health import Health

_BEST = 100.0
_NS_PER_S = 1_000_000_000


class Level(IntEnum):
    """What the system may still do; a larger number allows less."""

    NORMAL = 0
    THROTTLE = 1
    REDUCE_ONLY = 2
    HALT = 3

    @property
    def label(self) -> str:
        """Its name in status and messages."""
        return self.name.lower().replace("_", "-")


class BehaviourPolicy:
    """The level that a run of scores leads to; it depends on nothing but the observed past.

    Parameters
    ----------
    settings : HealthSettings
        Thresholds, margin and time of recovery.
    clock : Clock
        Monotonic time.
    longest_gap_s : float
        Seconds between two observations after which the time of recovery begins anew: nobody
        looked meanwhile.
    """

    def __init__(
        self, settings: HealthSettings, *, clock: Clock, longest_gap_s: float = 2.0
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._longest_gap_ns = round(longest_gap_s * _NS_PER_S)
        self._recover_after_ns = round(settings.recover_after_s * _NS_PER_S)
        self._level = Level.NORMAL
        self._reason = ""
        self._score: float | None = None
        self._changes = 0
        self._changed_ns = self._observed_ns = clock.monotonic_ns()
        self._recovering_since_ns: int | None = None

    @property
    def level(self) -> Level:
        """The present level, NORMAL before the first observation."""
        return self._level

    @property
    def reason(self) -> str:
        """Why the level is not NORMAL, empty while it is."""
        return self._reason

    @property
    def score(self) -> float | None:
        """The score that was observed last, 0 to 100; None before the first."""
        return self._score

    def observe(self, health: Health) -> Level:
        """Judge one health and return the level that follows; a score that is no number is 0."""
        now_ns = self._clock.monotonic_ns()
        score = 0.0 if math.isnan(health.score) else health.score
        if now_ns - self._observed_ns > self._longest_gap_ns:
            self._recovering_since_ns = None
        self._observed_ns, self._score = now_ns, score
        wanted = self._wanted(score)
        if wanted > self._level:
            limit = self._threshold(wanted)
            why = f" ({health.worst})" if health.worst else ""
            self._change(wanted, f"health {score:g} below {limit:g}{why}", now_ns)
        elif self._level is not Level.NORMAL:
            self._recover(score, now_ns)
        return self._level

    def miss(self, reason: str) -> Level:
        """Note that health cannot be judged; return the level: positions may at most shrink."""
        self._recovering_since_ns = None
        if self._level < Level.REDUCE_ONLY:
            self._change(Level.REDUCE_ONLY, reason, self._clock.monotonic_ns())
        return self._level

    def figures(self) -> dict[str, Any]:
        """Return level, seconds in it, reason, newest score and number of changes, JSON-safe."""
        in_it_ns = self._clock.monotonic_ns() - self._changed_ns
        return {
            "level": self._level.label,
            "since_s": round(in_it_ns / _NS_PER_S, 1),
            "reason": self._reason,
            "score": self._score,
            "changes": self._changes,
        }

    def _wanted(self, score: float) -> Level:
        for level in (Level.HALT, Level.REDUCE_ONLY, Level.THROTTLE):
            if score < self._threshold(level):
                return level
        return Level.NORMAL

    def _threshold(self, level: Level) -> float:
        settings = self._settings
        if level is Level.HALT:
            return settings.halt_below
        return settings.reduce_below if level is Level.REDUCE_ONLY else settings.throttle_below

    def _recover(self, score: float, now_ns: int) -> None:
        needed = min(_BEST, self._threshold(self._level) + self._settings.recover_margin)
        if score < needed:
            self._recovering_since_ns = None
            return
        if self._recovering_since_ns is None:
            self._recovering_since_ns = now_ns
        if now_ns - self._recovering_since_ns < self._recover_after_ns:
            return
        better, left = Level(self._level - 1), self._level.label
        why = f"health {score:g} recovered, back from {left} step by step"
        self._change(better, "" if better is Level.NORMAL else why, now_ns)

    def _change(self, level: Level, reason: str, now_ns: int) -> None:
        self._level, self._reason = level, reason
        self._changes += 1
        self._changed_ns = now_ns
        self._recovering_since_ns = None
