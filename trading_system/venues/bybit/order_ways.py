"""Which way the next order takes: the trade WebSocket, or REST while that is slower or failing.

Each way is judged by the median time of its newest answers. The stream is preferred. It loses to
REST when it fails repeatedly, or when its answers take clearly longer; then REST is used for a
while, which doubles each time this happens again, before the stream gets another chance.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Final

from trading_system.domain.ports import Clock

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_WINDOW = 31
_LEAST_ACKS: Final = 7
_SLOWER_FACTOR: Final = 1.5
_SLOWER_MS: Final = 10.0
_MOST_FAILURES: Final = 2
_HOLD_S: Final = 15.0
_LONGEST_HOLD_S: Final = 300.0
_TRUST_S: Final = 600.0


class Way(Enum):
    """How an order request reaches the venue."""

    STREAM = "stream"
    REST = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class WayFigures:
    """What is known of one way.

    Parameters
    ----------
    sent : int
        Order requests that took it.
    failures : int
        Requests that were not sent, or got no answer.
    median_ms : float or None
        Median time of its newest answers, milliseconds; None before the first.
    """

    sent: int
    failures: int
    median_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysView:
    """The choice as it stands.

    Parameters
    ----------
    preferred : Way
        What the next order takes.
    reason : str
        Why REST is used, empty while the stream is.
    changes : int
        How often the stream lost to REST.
    """

    preferred: Way
    reason: str
    changes: int
    stream: WayFigures
    rest: WayFigures


class OrderWays:
    """Measures both ways and chooses between them.

    Parameters
    ----------
    clock : Clock
        Monotonic time.
    has_stream : bool
        Whether the environment has a trade WebSocket at all.
    """

    def __init__(self, *, clock: Clock, has_stream: bool) -> None:
        self._clock = clock
        self._has_stream = has_stream
        self._acks_ms: dict[Way, deque[float]] = {way: deque(maxlen=_WINDOW) for way in Way}
        self._sent = dict.fromkeys(Way, 0)
        self._failures = dict.fromkeys(Way, 0)
        self._in_a_row = 0
        self._held_until_ns: int | None = None
        self._tried_ns: int | None = None
        self._hold_s = _HOLD_S
        self._reason = ""
        self._changes = 0

    def choose(self, *, is_up: bool) -> Way:
        """Return what the next order takes; ``is_up`` says whether the stream can send now."""
        if not is_up or not self._has_stream:
            return Way.REST
        if self._held_until_ns is None:
            return Way.STREAM
        if self._clock.monotonic_ns() < self._held_until_ns:
            return Way.REST
        self._try_again()
        return Way.STREAM

    def note_sent(self, way: Way) -> None:
        """Count a request that was handed to ``way``."""
        self._sent[way] += 1

    def note_answer(self, way: Way, elapsed_ns: int) -> None:
        """Note that ``way`` brought an answer, a refusal included, after ``elapsed_ns``."""
        acks = self._acks_ms[way]
        acks.append(elapsed_ns / _NS_PER_MS)
        if way is Way.STREAM:
            self._in_a_row = 0
            self._judge_speed()

    def note_failure(self, way: Way) -> None:
        """Note that ``way`` could not send, or brought no answer."""
        self._failures[way] += 1
        if way is Way.STREAM:
            self._in_a_row += 1
            if self._in_a_row >= _MOST_FAILURES:
                self._demote(f"{self._in_a_row} requests in a row failed on the trade stream")

    def view(self, *, is_up: bool) -> WaysView:
        """Return the choice and its figures; nothing changes."""
        preferred, reason = Way.STREAM, ""
        if not self._has_stream:
            preferred, reason = Way.REST, "this environment has no trade stream"
        elif not is_up:
            preferred, reason = Way.REST, "the trade stream is down"
        elif self._is_held:
            preferred, reason = Way.REST, self._reason
        return WaysView(
            preferred=preferred,
            reason=reason,
            changes=self._changes,
            stream=self._figures(Way.STREAM),
            rest=self._figures(Way.REST),
        )

    @property
    def _is_held(self) -> bool:
        return self._held_until_ns is not None and self._clock.monotonic_ns() < self._held_until_ns

    def _figures(self, way: Way) -> WayFigures:
        acks = self._acks_ms[way]
        return WayFigures(
            sent=self._sent[way],
            failures=self._failures[way],
            median_ms=round(median(acks), 3) if acks else None,
        )

    def _judge_speed(self) -> None:
        stream, rest = self._acks_ms[Way.STREAM], self._acks_ms[Way.REST]
        # Both conditions: a factor alone would punish a fast stream for noise.
        if min(len(stream), len(rest)) < _LEAST_ACKS or self._held_until_ns is not None:
            return
        ours, theirs = median(stream), median(rest)
        if ours > theirs * _SLOWER_FACTOR and ours - theirs > _SLOWER_MS:
            self._demote(
                f"the trade stream answered in {ours:.0f} ms, REST in {theirs:.0f} ms (medians)"
            )

    def _demote(self, reason: str) -> None:
        if self._held_until_ns is not None:  # answers that were under way say nothing new
            return
        now_ns = self._clock.monotonic_ns()
        was_good = self._tried_ns is None or now_ns - self._tried_ns > _TRUST_S * _NS_PER_S
        self._hold_s = _HOLD_S if was_good else min(self._hold_s * 2, _LONGEST_HOLD_S)
        self._held_until_ns = now_ns + round(self._hold_s * _NS_PER_S)
        self._reason = reason
        self._changes += 1

    def _try_again(self) -> None:
        # What it did before the pause says nothing of now.
        self._tried_ns = self._clock.monotonic_ns()
        self._held_until_ns = None
        self._acks_ms[Way.STREAM].clear()
        self._in_a_row = 0
        self._reason = ""
