"""A panel of agents for one symbol: observes, asks, pools and learns whom to trust."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from optimizers.signals.member import Answer, Member, MemberFigures, MemberRules
from optimizers.signals.pooling import Ballot, PoolingRules, pool, votes_of
from optimizers.signals.weights import Scoreboard, WeightRules
from trading_system.domain.errors import ConfigurationError, DeadlineExceeded
from trading_system.domain.ports import Clock, SignalAgent
from trading_system.domain.signals import Consensus, MarketFeatures, Vote
from trading_system.runtime.deadline import within


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelParameters:
    """How a panel pools, learns and judges.

    Parameters
    ----------
    request_timeout_s : float
        Patience with one asynchronous agent, seconds.
    max_concurrent : int
        Asynchronous agents that may work at the same time.
    refresh_s : float
        Pause between two calls of one asynchronous agent, seconds.
    """

    pooling: PoolingRules = field(default_factory=PoolingRules)
    weights: WeightRules = field(default_factory=WeightRules)
    member: MemberRules = field(default_factory=MemberRules)
    request_timeout_s: float = 30.0
    max_concurrent: int = 5
    refresh_s: float = 0.5


class AgentPanel:
    """The agents of one symbol and what their matured outcomes say about them.

    Parameters
    ----------
    agents : sequence of SignalAgent
        At least one, with different names; ``async def opinion`` marks one that is never called
        by the live decision, which reads its newest opinion instead.
    clock : Clock
        For the time that calls take; decisions depend on the features' own time only.
    on_reset : callable or None
        Called after each :meth:`reset`.

    Raises
    ------
    ConfigurationError
        If there is no agent or a name occurs twice.
    """

    def __init__(
        self,
        symbol: str,
        agents: Sequence[SignalAgent],
        *,
        clock: Clock,
        parameters: PanelParameters | None = None,
        on_reset: Callable[[], None] | None = None,
    ) -> None:
        self.symbol = symbol
        self._on_reset = on_reset
        self.parameters = parameters or PanelParameters()
        ordered = sorted(agents, key=lambda agent: agent.name)
        _check_names(symbol, [agent.name for agent in ordered])
        self.seats = tuple(
            Member(agent, symbol=symbol, clock=clock, rules=self.parameters.member)
            for agent in ordered
        )
        self.scores = Scoreboard(len(self.seats), rules=self.parameters.weights)
        self.latest: MarketFeatures | None = None
        self.votes: tuple[Vote, ...] = ()
        self.decisions = 0
        self.is_live = False
        self._noticed_ns = -1
        self._fresh: dict[str, asyncio.Event] = {}

    @property
    def has_async(self) -> bool:
        """Whether :meth:`serve` has work to do."""
        return any(seat.is_async for seat in self.seats)

    def decide(self, features: MarketFeatures) -> Consensus | None:
        """Return the consensus at this instant, None when no agent has a usable opinion.

        Synchronous, for the live path: each agent observes and is asked inline, asynchronous
        ones are read from their slot, and a failing agent harms nobody but itself.
        """
        self.is_live = True
        self.notice(features)
        answers = [self._answer(seat, features) for seat in self.seats]
        return self.conclude(features, answers)

    def notice(self, features: MarketFeatures, *, is_complete: bool = True) -> bool:
        """Learn from the outcomes that have matured by now; return whether this is news.

        Parameters
        ----------
        is_complete : bool
            Whether every feature is known; only such features are kept as the latest.
        """
        assert features.symbol == self.symbol
        if features.ts_ns < self._noticed_ns:
            return False
        self._noticed_ns = features.ts_ns
        self.scores.mature(features.ts_ns, features.mid)
        if is_complete:
            self.latest = features
            for fresh in self._fresh.values():
                fresh.set()
        return True

    def conclude(
        self, features: MarketFeatures, answers: Sequence[Answer | None]
    ) -> Consensus | None:
        """Pool ``answers``, one per seat; None for an agent that was not asked this time."""
        ballots = [
            Ballot(
                seat.name,
                seat.family,
                0.0 if seat.circuit.is_open else weight,
                answer.opinion,
                answer.note,
            )
            for seat, weight, answer in zip(self.seats, self.scores.weights, answers, strict=True)
            if answer is not None
        ]
        self.decisions += 1
        consensus = pool(
            ballots, symbol=self.symbol, now_ns=features.ts_ns, rules=self.parameters.pooling
        )
        self.votes = votes_of(ballots, ()) if consensus is None else consensus.votes
        is_news = features.ts_ns >= self._noticed_ns
        if consensus is not None and is_news and self.scores.is_due(features.ts_ns):
            self._sample(features, consensus, answers)
        return consensus

    def reset(self) -> None:
        """Drop what a gap in the market data made uncertain; keep what was learned."""
        self.latest = None
        self.votes = ()
        self.scores.reset()
        for seat in self.seats:
            seat.reset()
        if self._on_reset is not None:
            self._on_reset()

    async def serve(self) -> None:
        """Refresh the asynchronous agents' opinions for ever, each at its own pace.

        The owner runs this in its task group when :attr:`has_async` is true.
        """
        gate = asyncio.Semaphore(self.parameters.max_concurrent)
        async with asyncio.TaskGroup() as group:
            for seat in self.seats:
                if seat.is_async:
                    group.create_task(self._serve(seat, gate), name=f"agent {seat.name}")

    async def ask(
        self,
        seat: Member,
        features: MarketFeatures,
        *,
        gate: asyncio.Semaphore,
        timeout_s: float | None = None,
        work: Callable[[MarketFeatures], Awaitable[Answer]] | None = None,
    ) -> Answer:
        """Await one agent's answer under ``gate`` and a deadline; a late one is a failure.

        Parameters
        ----------
        timeout_s : float or None
            Patience, the wait for its turn included; None for the panel's own.
        work : callable or None
            How to ask; None awaits an asynchronous agent.
        """
        patience_s = self.parameters.request_timeout_s if timeout_s is None else timeout_s
        trips = seat.circuit.trips
        try:
            async with within(patience_s, f"agent {seat.name}"), seat.turn, gate:
                answer = await (work or seat.ask_async)(features)
        except DeadlineExceeded:
            answer = seat.fail(features.ts_ns, "late")
        if seat.circuit.trips != trips:
            self.penalise(seat)
        return answer

    @property
    def members(self) -> tuple[MemberFigures, ...]:
        """Figures of every agent, by name."""
        return tuple(self._figures(i) for i in range(len(self.seats)))

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of every agent before renormalisation; 0 while one is left alone."""
        return {
            seat.name: 0.0 if seat.circuit.is_open else weight
            for seat, weight in zip(self.seats, self.scores.weights, strict=True)
        }

    def _answer(self, seat: Member, features: MarketFeatures) -> Answer:
        if not seat.circuit.allows(features.ts_ns):
            return seat.left_alone()
        if seat.is_async:
            return seat.observe(features) or seat.read_slot(features.ts_ns)
        return self.ask_inline(seat, features, observes=True)

    def ask_inline(self, seat: Member, features: MarketFeatures, *, observes: bool) -> Answer:
        """Call a synchronous agent here and now."""
        if seat.is_busy:
            return Answer(None, "busy with an earlier request")
        trips = seat.circuit.trips
        answer = (seat.observe(features) if observes else None) or seat.ask(features)
        if seat.circuit.trips != trips:
            self.penalise(seat)
        return answer

    def penalise(self, seat: Member) -> None:
        """Take weight from an agent whose circuit has just opened."""
        self.scores.penalise(self.seats.index(seat))

    def _sample(
        self, features: MarketFeatures, consensus: Consensus, answers: Sequence[Answer | None]
    ) -> None:
        forecasts = [
            (i, answer.opinion.p_up, answer.opinion.horizon_s)
            for i, answer in enumerate(answers)
            if answer is not None and answer.opinion is not None
        ]
        self.scores.sample(features.ts_ns, features.mid, pooled=consensus.p_up, forecasts=forecasts)
        for seat, answer in zip(self.seats, answers, strict=True):
            if answer is not None and seat.watch(answer.opinion, features):
                self.penalise(seat)

    async def _serve(self, seat: Member, gate: asyncio.Semaphore) -> None:
        fresh = self._fresh[seat.name] = asyncio.Event()
        fresh.set()
        while True:
            await fresh.wait()
            fresh.clear()
            features = self.latest
            if features is not None and seat.circuit.allows(features.ts_ns):
                await self.ask(seat, features, gate=gate)
                await asyncio.sleep(self.parameters.refresh_s)

    def _figures(self, position: int) -> MemberFigures:
        seat, score = self.seats[position], self.scores.score(position)
        return MemberFigures(
            name=seat.name,
            family=seat.family,
            is_async=seat.is_async,
            state=seat.state,
            note=seat.note,
            calls=seat.calls,
            votes=seat.votes,
            abstentions=seat.abstentions,
            failures=seat.failures,
            trips=seat.circuit.trips,
            avg_us=seat.avg_us,
            p95_us=seat.p95_us,
            weight=0.0 if seat.circuit.is_open else self.scores.weights[position],
            brier=score.brier,
            accuracy=score.accuracy,
            matured=score.matured,
        )


def _check_names(symbol: str, names: Sequence[str]) -> None:
    if not names:
        raise ConfigurationError(
            f"no signal agent for {symbol}; install the project with its entry points or name one"
            " with --signal module:Class"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"two signal agents are named {twice[0]}; give the one you added a name of its own"
        )
