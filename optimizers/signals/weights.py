"""Weights of a panel's agents, learned from outcomes that have matured.

Exponentially weighted averages on the Brier loss (p - y)^2 with rate 1/2, for which the loss is
exp-concave (Cesa-Bianchi and Lugosi, Prediction, Learning, and Games, 2006, chapter 3), followed
by a fixed share of weight for everybody (Herbster and Warmuth, 1998) so that a new best agent is
found, a shrink towards equal weights and a floor from which an agent can recover.

An agent that abstained is charged what the pool was charged, so its weight among the others
stays ("sleeping experts"). Samples overlap: each counts as its share of its horizon, so that
evidence grows with the time watched and not with the sampling rate. An unchanged mid counts as
half up. Everything depends on the features' own time only: same inputs, same weights.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_NS_PER_S = 1_000_000_000
_LATE = 2
_MAX_PENDING = 4_096
_MAX_HORIZONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRules:
    """How weights follow the outcomes.

    Parameters
    ----------
    rate : float
        Learning rate on the Brier loss.
    share : float
        Part of all weight that is dealt out equally per independent outcome, in [0, 1].
    shrink : float
        How far the result is drawn to equal weights, in [0, 1].
    floor : float
        Smallest weight of an agent, in [0, 1 / number of agents].
    sample_s : float
        Interval between samples, seconds.
    memory_s : float
        Time constant with which the shown Brier score and accuracy forget, seconds.
    penalty : float
        Factor on the weight of an agent that was found faulty, in (0, 1].
    """

    rate: float = 0.5
    share: float = 0.01
    shrink: float = 0.1
    floor: float = 0.02
    sample_s: float = 1.0
    memory_s: float = 900.0
    penalty: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What matured outcomes say about one agent.

    Parameters
    ----------
    matured : int
        Outcomes used so far.
    brier : float or None
        Decayed mean of (p - y)^2, in [0, 1]; 0.25 is what a coin earns. None without outcomes.
    accuracy : float or None
        Decayed share of outcomes on the predicted side, in [0, 1].
    """

    matured: int
    brier: float | None
    accuracy: float | None


def exponential(
    weights: Sequence[float], losses: Sequence[float], *, rate: float
) -> tuple[float, ...]:
    """Return ``weights`` times exp(-rate * loss), normalised."""
    least = min(losses)
    raw = [w * math.exp(-rate * (x - least)) for w, x in zip(weights, losses, strict=True)]
    return _normalised(raw)


def fixed_share(weights: Sequence[float], *, share: float) -> tuple[float, ...]:
    """Return ``weights`` (sum 1) with ``share`` of the total dealt out equally."""
    even = share / len(weights)
    return tuple((1.0 - share) * weight + even for weight in weights)


def floored(weights: Sequence[float], *, floor: float) -> tuple[float, ...]:
    """Return ``weights`` (sum 1) raised to ``floor`` at the cost of the part above it."""
    floor = min(floor, 1.0 / len(weights))
    raised = [max(floor, weight) for weight in weights]
    above = math.fsum(raised) - floor * len(raised)
    room = 1.0 - floor * len(raised)
    if above <= 0.0:
        return tuple(1.0 / len(raised) for _ in raised)
    return tuple(floor + (weight - floor) * room / above for weight in raised)


@dataclass(frozen=True, slots=True)
class _Sample:
    ts_ns: int
    mid: float
    pooled: float
    forecasts: tuple[tuple[int, float], ...]


class _Record:
    # Decayed figures of one agent.

    __slots__ = ("hits", "last_ns", "loss", "mass", "matured")

    def __init__(self) -> None:
        self.matured = 0
        self.loss = 0.0
        self.hits = 0.0
        self.mass = 0.0
        self.last_ns = 0

    def add(self, p_up: float, outcome: float, *, ts_ns: int, memory_ns: float) -> None:
        fade = math.exp(-max(0, ts_ns - self.last_ns) / memory_ns) if self.matured else 1.0
        hit = 0.5 if 0.5 in {p_up, outcome} else float((p_up > 0.5) == (outcome > 0.5))
        self.loss = self.loss * fade + (p_up - outcome) ** 2
        self.hits = self.hits * fade + hit
        self.mass = self.mass * fade + 1.0
        self.last_ns = ts_ns
        self.matured += 1


class Scoreboard:
    """Matured scores and weights of a fixed set of agents.

    Parameters
    ----------
    agents : int
        How many there are, at least 1; they are known by their position.
    """

    def __init__(self, agents: int, *, rules: WeightRules | None = None) -> None:
        assert agents >= 1
        self._rules = rules or WeightRules()
        self._raw = tuple(1.0 / agents for _ in range(agents))
        self._records = [_Record() for _ in range(agents)]
        self._pending: dict[int, deque[_Sample]] = {}
        self._next_ns = 0
        self._refresh()

    @property
    def weights(self) -> tuple[float, ...]:
        """Present weights, each at least the floor, their sum 1."""
        return self._weights

    @property
    def pending(self) -> int:
        """Samples that wait for their outcome."""
        return sum(map(len, self._pending.values()))

    def score(self, agent: int) -> Score:
        """Return the figures of one agent."""
        record = self._records[agent]
        if not record.matured:
            return Score(matured=0, brier=None, accuracy=None)
        return Score(
            matured=record.matured,
            brier=record.loss / record.mass,
            accuracy=record.hits / record.mass,
        )

    def is_due(self, ts_ns: int) -> bool:
        """Return whether a new sample should be taken at ``ts_ns``."""
        return ts_ns >= self._next_ns

    def sample(
        self,
        ts_ns: int,
        mid: float,
        *,
        pooled: float,
        forecasts: Sequence[tuple[int, float, float]],
    ) -> None:
        """Remember forecasts until their outcome is known.

        Parameters
        ----------
        pooled : float
            The pool's own probability, charged to those who abstained.
        forecasts : sequence of (agent, p_up, horizon_s)
            What the voting agents said.
        """
        self._next_ns = ts_ns + round(self._rules.sample_s * _NS_PER_S)
        by_horizon: dict[int, list[tuple[int, float]]] = {}
        for agent, p_up, horizon_s in forecasts:
            by_horizon.setdefault(round(horizon_s * _NS_PER_S), []).append((agent, p_up))
        for horizon_ns, group in by_horizon.items():
            waiting = self._waiting(horizon_ns)
            if waiting is not None:
                waiting.append(_Sample(ts_ns, mid, pooled, tuple(group)))

    def mature(self, ts_ns: int, mid: float) -> None:
        """Learn from every sample whose horizon has passed; late outcomes teach nothing."""
        learned = False
        for horizon_ns, waiting in self._pending.items():
            while waiting and ts_ns - waiting[0].ts_ns >= horizon_ns:
                sample = waiting.popleft()
                if ts_ns - sample.ts_ns <= _LATE * horizon_ns:
                    self._learn(sample, mid, ts_ns=ts_ns, horizon_s=horizon_ns / _NS_PER_S)
                    learned = True
        if learned:
            self._refresh()

    def penalise(self, agent: int) -> None:
        """Take weight from an agent that was found faulty."""
        factor = self._rules.penalty
        raw = [w * factor if i == agent else w for i, w in enumerate(self._raw)]
        self._raw = _normalised(raw)
        self._refresh()

    def reset(self) -> None:
        """Drop samples that wait, as after a gap in the data; keep what was learned."""
        self._pending.clear()
        self._next_ns = 0

    def _waiting(self, horizon_ns: int) -> deque[_Sample] | None:
        waiting = self._pending.get(horizon_ns)
        if waiting is None:
            if len(self._pending) >= _MAX_HORIZONS:
                idle = next((h for h, samples in self._pending.items() if not samples), None)
                if idle is None:
                    return None
                del self._pending[idle]
            waiting = self._pending[horizon_ns] = deque(maxlen=_MAX_PENDING)
        return waiting

    def _learn(self, sample: _Sample, mid: float, *, ts_ns: int, horizon_s: float) -> None:
        rules = self._rules
        outcome = 1.0 if mid > sample.mid else 0.0 if mid < sample.mid else 0.5
        part = min(1.0, rules.sample_s / horizon_s)
        charged = (sample.pooled - outcome) ** 2
        losses = [charged] * len(self._raw)
        memory_ns = rules.memory_s * _NS_PER_S
        for agent, p_up in sample.forecasts:
            losses[agent] = (p_up - outcome) ** 2
            self._records[agent].add(p_up, outcome, ts_ns=ts_ns, memory_ns=memory_ns)
        raw = exponential(self._raw, losses, rate=rules.rate * part)
        self._raw = fixed_share(raw, share=1.0 - (1.0 - rules.share) ** part)

    def _refresh(self) -> None:
        drawn = fixed_share(self._raw, share=self._rules.shrink)
        self._weights = floored(drawn, floor=self._rules.floor)


def _normalised(raw: Sequence[float]) -> tuple[float, ...]:
    total = math.fsum(raw)
    return tuple(value / total for value in raw)
