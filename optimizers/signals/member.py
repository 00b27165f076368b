"""One agent of a panel with everything that is known about it."""

from __future__ import annotations

import asyncio
import inspect
import statistics
from collections import deque
from collections.abc import Awaitable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import structlog

from optimizers.signals.circuit import Circuit, CircuitRules
from optimizers.signals.pooling import ABSTAINED, fault_of
from trading_system.domain.ports import Clock, SignalAgent
from trading_system.domain.signals import MarketFeatures, Opinion
from trading_system.monitoring.latency import LatencyRing
from trading_system.monitoring.redaction import REDACTOR

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_NS_PER_US = 1_000.0
_RING = 512
_SMOOTHING = 0.1
_NEWEST = 5
_VALID_PART_OF_HORIZON = 0.1
_BOOK = ("mid", "spread_bps", "imbalance")

FAST_US = 200.0
"""Median call below which an agent works inline, microseconds."""

HEAVY_US = 1_000.0
"""Median call above which an agent works in an executor, microseconds."""

SLOW_CALL_US = 5_000.0
"""Longest synchronous call that is not held against an agent, microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRules:
    """How one agent is judged.

    Parameters
    ----------
    circuit : CircuitRules
        When it is taken out.
    slow_call_us : float
        Synchronous calls longer than this count as failures, microseconds.
    constant_after : int
        Sampled opinions without any change, while the market changed, that count as a fault.
    """

    circuit: CircuitRules = field(default_factory=CircuitRules)
    slow_call_us: float = SLOW_CALL_US
    constant_after: int = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """An opinion, or the note that says why there is none."""

    opinion: Opinion | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFigures:
    """What is known about one agent of one panel; JSON-safe.

    Parameters
    ----------
    is_async : bool
        Whether its opinions are awaited and read from a slot by the live decision.
    state : str
        ``working``, ``open`` (left alone after failures) or ``unused``.
    note : str
        Why it did not vote last, empty if it did.
    calls, votes, abstentions, failures, trips : int
        Counts since the start.
    avg_us, p95_us : float or None
        Time of the newest calls, observation included, microseconds.
    weight : float
        Share in the pool before renormalisation, 0 while it is left alone.
    brier, accuracy : float or None
        Decayed scores of matured outcomes.
    matured : int
        Matured outcomes.
    """

    name: str
    family: str
    is_async: bool
    state: str
    note: str
    calls: int
    votes: int
    abstentions: int
    failures: int
    trips: int
    avg_us: float | None
    p95_us: float | None
    weight: float
    brier: float | None
    accuracy: float | None
    matured: int


class Member:
    """Asks one agent, times it, checks what it says and isolates its failures.

    An agent may carry two optional attributes: ``validity_s`` (how long its opinion may be used,
    seconds; a tenth of the opinion's horizon otherwise) and ``requires`` (names of the features
    it cannot do without; mid, spread and imbalance otherwise).
    """

    def __init__(
        self, agent: SignalAgent, *, symbol: str, clock: Clock, rules: MemberRules
    ) -> None:
        self.agent = agent
        self.name = agent.name
        self.family = agent.family
        self.is_async = inspect.iscoroutinefunction(agent.opinion)
        self.requires = tuple(getattr(agent, "requires", _BOOK))
        self.circuit = Circuit(rules.circuit)
        self.turn = asyncio.Lock()
        self.is_busy = False
        self.calls = self.votes = self.abstentions = self.failures = 0
        self.note = ""
        self.avg_us: float | None = None
        self._validity_s = getattr(agent, "validity_s", None)
        self._symbol = symbol
        self._clock = clock
        self._rules = rules
        self._ring = LatencyRing(_RING)
        self._slot: Opinion | None = None
        self._observed_ns = 0
        self._watched_ns = -1
        self._newest_ns: deque[int] = deque(maxlen=_NEWEST)
        self._is_heavy = False
        self._recent: deque[tuple[float, float]] = deque(maxlen=max(2, rules.constant_after))

    def observe(self, features: MarketFeatures) -> Answer | None:
        """Show one instant to the agent; return a failed answer if it raised."""
        started = self._clock.monotonic_ns()
        try:
            self.agent.observe(features)
        except (Exception, SystemExit) as e:  # foreign code must not stop the panel
            return self.fail(features.ts_ns, f"observe raised {type(e).__name__}: {e}")
        self._observed_ns = self._clock.monotonic_ns() - started
        return None

    def ask(self, features: MarketFeatures) -> Answer:
        """Call a synchronous agent and judge its answer."""
        started = self._clock.monotonic_ns()
        try:
            opinion = self.agent.opinion(features)
        except (Exception, SystemExit) as e:  # foreign code must not stop the panel
            return self.fail(features.ts_ns, f"raised {type(e).__name__}: {e}")
        spent = self._clock.monotonic_ns() - started + self._observed_ns
        self._observed_ns = 0
        return self.judge(opinion, features, spent_ns=spent, is_inline=True)

    async def ask_async(self, features: MarketFeatures) -> Answer:
        """Await an asynchronous agent, judge its answer and keep it in the slot."""
        started = self._clock.monotonic_ns()
        try:
            opinion = await cast("Awaitable[Any]", self.agent.opinion(features))
        except (Exception, SystemExit) as e:  # foreign code must not stop the panel
            return self.fail(features.ts_ns, f"raised {type(e).__name__}: {e}")
        spent = self._clock.monotonic_ns() - started
        return self.judge(opinion, features, spent_ns=spent, is_inline=False)

    async def ask_in(
        self, executor: Executor, features: MarketFeatures, *, observes: bool
    ) -> Answer:
        """Let a heavy synchronous agent work in ``executor``, then judge its answer."""
        if self.is_busy:
            return self._noted("busy with an earlier request")
        loop = asyncio.get_running_loop()
        work = partial(self._work, features, observes=observes)
        try:
            opinion, spent = await loop.run_in_executor(executor, work)
        except (Exception, SystemExit) as e:  # foreign code must not stop the panel
            return self.fail(features.ts_ns, f"raised {type(e).__name__}: {e}")
        return self.judge(opinion, features, spent_ns=spent, is_inline=False)

    def judge(
        self, opinion: object, features: MarketFeatures, *, spent_ns: int, is_inline: bool
    ) -> Answer:
        """Return ``opinion`` as a checked answer and count it."""
        self.calls += 1
        self._time(spent_ns)
        is_slow = is_inline and spent_ns > self._rules.slow_call_us * _NS_PER_US
        if is_slow:
            refused = self._failed(features.ts_ns, f"took {spent_ns / _NS_PER_US:.0f} us")
            if self.circuit.is_open:
                return refused
        if opinion is None:
            self._answered(is_slow=is_slow)
            self.abstentions += 1
            self.note = ABSTAINED
            return _ABSTENTION
        fault = fault_of(
            opinion,
            agent=self.name,
            symbol=self._symbol,
            now_ns=features.ts_ns,
            validity_ns=self.validity_s(opinion) * _NS_PER_S if type(opinion) is Opinion else 0,
        )
        if fault is not None:
            return self._failed(features.ts_ns, fault)
        assert isinstance(opinion, Opinion)
        self._answered(is_slow=is_slow)
        self.votes += 1
        self.note = ""
        if self.is_async:
            self._slot = opinion
        return Answer(opinion)

    def fail(self, now_ns: int, reason: str) -> Answer:
        """Count a call that brought no answer."""
        self.calls += 1
        return self._failed(now_ns, reason)

    def read_slot(self, now_ns: int) -> Answer:
        """Return the newest opinion of an asynchronous agent while it is valid."""
        opinion = self._slot
        if opinion is None:
            return self._noted("no answer yet")
        fault = fault_of(
            opinion,
            agent=self.name,
            symbol=self._symbol,
            now_ns=now_ns,
            validity_ns=self.validity_s(opinion) * _NS_PER_S,
        )
        if fault is not None:
            return self._noted(fault)
        self.note = ""
        return Answer(opinion)

    def left_alone(self) -> Answer:
        """Return the answer of an agent whose circuit is open."""
        return self._noted(f"left alone: {self.circuit.reason}")

    def watch(self, opinion: Opinion | None, features: MarketFeatures) -> bool:
        """Note a sampled opinion; return whether the agent was just found to be stuck."""
        if opinion is None or opinion.ts_ns == self._watched_ns:
            return False
        self._watched_ns = opinion.ts_ns
        self._recent.append((opinion.p_up, features.mid + features.imbalance))
        if len(self._recent) < self._rules.constant_after:
            return False
        said, seen = zip(*self._recent, strict=True)
        if min(said) != max(said):
            self.circuit.recovered()
            return False
        if min(seen) == max(seen):
            return False
        self._recent.clear()
        self.failures += 1
        self.circuit.trip(features.ts_ns, "says the same whatever happens")
        return True

    def validity_s(self, opinion: Opinion) -> float:
        """Return how long ``opinion`` may be used, seconds."""
        if self._validity_s is not None:
            return float(self._validity_s)
        return _VALID_PART_OF_HORIZON * opinion.horizon_s

    def reset(self) -> None:
        """Drop what a gap in the data made uncertain."""
        self._slot = None
        self._recent.clear()
        try:
            self.agent.reset()
        except (Exception, SystemExit) as e:  # foreign code must not stop the panel
            self.failures += 1
            _LOG.warning("an agent failed to reset", agent=self.name, error=str(e))

    @property
    def p95_us(self) -> float | None:
        """95th percentile of the newest calls, microseconds."""
        return self._ring.percentiles().p95_us

    @property
    def state(self) -> str:
        """One word for people."""
        if self.circuit.is_open:
            return "open"
        return "working" if self.calls else "unused"

    @property
    def is_heavy(self) -> bool:
        """Whether a synchronous agent belongs into an executor.

        An agent that was never measured does; afterwards the median of its newest calls decides,
        above 1 ms into the executor and below 200 us back inline.
        """
        if not self._newest_ns:
            return True
        median_us = statistics.median(self._newest_ns) / _NS_PER_US
        if median_us > HEAVY_US:
            self._is_heavy = True
        elif median_us < FAST_US:
            self._is_heavy = False
        return self._is_heavy

    @property
    def is_fast(self) -> bool:
        """Whether it is synchronous and not known to take longer than 200 us."""
        if self.is_async:
            return False
        return not self._newest_ns or statistics.median(self._newest_ns) <= FAST_US * _NS_PER_US

    def _work(self, features: MarketFeatures, *, observes: bool) -> tuple[object, int]:
        # Runs in a thread that may outlive the request; only the agent itself is touched.
        self.is_busy = True
        started = self._clock.monotonic_ns()
        try:
            if observes:
                self.agent.observe(features)
            opinion = self.agent.opinion(features)
        finally:
            self.is_busy = False
        return opinion, self._clock.monotonic_ns() - started

    def _time(self, spent_ns: int) -> None:
        self._ring.record(spent_ns)
        self._newest_ns.append(spent_ns)
        spent_us = spent_ns / _NS_PER_US
        if self.avg_us is None:
            self.avg_us = spent_us
        else:
            self.avg_us += _SMOOTHING * (spent_us - self.avg_us)

    def _answered(self, *, is_slow: bool) -> None:
        # A slow answer is used, but it is no success: several in a row open the circuit.
        if not is_slow:
            self.circuit.succeeded()

    def _failed(self, now_ns: int, reason: str) -> Answer:
        reason = REDACTOR(reason)  # an agent's error may quote what it was sent with
        self.failures += 1
        self._observed_ns = 0
        if self.circuit.failed(now_ns, reason):
            _LOG.warning("an agent is left alone for a while", agent=self.name, reason=reason)
        return self._noted(reason)

    def _noted(self, note: str) -> Answer:
        self.note = note
        return Answer(None, note)


_ABSTENTION = Answer(None, ABSTAINED)
