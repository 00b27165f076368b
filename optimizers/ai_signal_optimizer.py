"""The users' face of the signal agents: one consensus per request, cached, under deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from optimizers.signals.asking import OpinionCache, Round, ask_all
from optimizers.signals.discovery import AgentFactory, load_agents, make_agent
from optimizers.signals.figures import RequestFigures, cache_figures, model_figures
from optimizers.signals.outcome import Outcome, concluded, refused
from optimizers.signals.panel import AgentPanel, PanelParameters
from optimizers.signals.positioning import PositioningAgent, positioning_of
from optimizers.signals.reading import Reading, quantised, read
from optimizers.signals.selection import STRATEGIES, selected
from optimizers.signals.verdict import OptimizedConsensusResult, VerdictRules
from trading_system.config.sections import OptimizationSettings
from trading_system.domain.errors import ValidationError
from trading_system.domain.ports import Clock, SignalAgent
from trading_system.domain.signals import MarketFeatures
from trading_system.runtime.cache import TtlCache
from trading_system.runtime.clock import SystemClock

_NS_PER_MS = 1_000_000.0
_CACHED = 50
_TARGET_MS = 2_000.0
_MAX_PANELS = 64

PanelFactory = Callable[[str], Sequence[SignalAgent]]
"""Makes all agents of one symbol."""


class AISignalOptimizer:
    """Finds the agents, asks them in parallel, pools what they say and learns whom to trust.

    Parameters
    ----------
    agents : callable, mapping or None
        What makes the agents of a symbol, or one factory per agent; None finds the installed
        ones by their entry points.
    extra_signals : sequence of str
        Further agents as ``module:Class``.
    target_ms : float
        Longest acceptable time of a request, for ``target_met_pct``, milliseconds.

    Attributes
    ----------
    cache_ttl : float
        Ceiling on the life of cached values, seconds; each value's own validity is shorter.
    max_concurrent_requests : int
        Slow agents that may work at the same time.
    request_timeout : float
        Patience with one slow agent, seconds.
    """

    def __init__(
        self,
        settings: OptimizationSettings | None = None,
        *,
        agents: PanelFactory | Mapping[str, AgentFactory] | None = None,
        clock: Clock | None = None,
        extra_signals: Sequence[str] = (),
        target_ms: float = _TARGET_MS,
    ) -> None:
        optimization = settings or OptimizationSettings()
        self.cache_ttl = optimization.cache_ttl_s
        self.max_concurrent_requests = optimization.max_concurrent_requests
        self.request_timeout = optimization.request_timeout_s
        self._clock = clock or SystemClock()
        self._agents = agents
        self._extra = tuple(extra_signals)
        self._verdict = VerdictRules()
        self._panels: dict[str, AgentPanel] = {}
        self._positioning: dict[str, PositioningAgent] = {}
        self._consensus: TtlCache[Any, Outcome] = TtlCache(
            _CACHED, ttl_s=self.cache_ttl, clock=self._clock
        )
        self._opinions = OpinionCache(
            values=TtlCache(_CACHED, ttl_s=self.cache_ttl, clock=self._clock),
            ceiling_s=self.cache_ttl,
        )
        self._figures = RequestFigures(target_ms=target_ms)
        self._executor: ThreadPoolExecutor | None = None
        self._gate: tuple[int, asyncio.Semaphore] | None = None
        self._epochs: dict[str, int] = {}

    def panel(self, symbol: str) -> AgentPanel:
        """Return the one panel of ``symbol``, made on first use; the live system shares it.

        Raises
        ------
        ConfigurationError
            If an agent named by the user cannot be loaded or there is none at all.
        """
        panel = self._panels.get(symbol)
        if panel is None:
            if not symbol or len(self._panels) >= _MAX_PANELS:
                raise ValidationError(f"symbol {symbol!r} is empty or one of too many")
            rule = self._positioning[symbol] = PositioningAgent(symbol)
            panel = self._panels[symbol] = AgentPanel(
                symbol,
                [*self._make_agents(symbol), rule],
                clock=self._clock,
                parameters=PanelParameters(
                    request_timeout_s=self.request_timeout,
                    max_concurrent=self.max_concurrent_requests,
                ),
                on_reset=lambda: self._forget(symbol),
            )
        return panel

    async def get_optimized_signal(
        self,
        symbol: str,
        market_data: MarketFeatures | Mapping[str, Any],
        institutional_data: Mapping[str, Any] | None = None,
        priority: int = 2,
        use_cache: bool = True,  # noqa: FBT001, FBT002 - the documented signature
    ) -> OptimizedConsensusResult:
        """Return what the agents of ``symbol`` recommend.

        Parameters
        ----------
        market_data : MarketFeatures or mapping
            What is known of the market; agents whose features are missing abstain. See
            :func:`optimizers.signals.reading.read` for the keys.
        institutional_data : mapping or None
            ``funding_rate``, ``open_interest_change``, ``long_short_ratio``, ``basis_bps``.
        priority : int
            1 compiled agents only, 2 the best two, 3 all.
        use_cache : bool
            Whether cached values may be used and new ones are kept.

        Raises
        ------
        ValidationError
            If the priority is unknown or the features belong to another symbol.
        """
        started_ns = self._clock.monotonic_ns()
        if priority not in STRATEGIES:
            raise ValidationError(f"priority is 1, 2 or 3, was {priority!r}")
        panel = self.panel(symbol)
        reading = self._read(panel, market_data, now_ns=started_ns)
        if institutional_data is not None and reading.features is not None:
            known = positioning_of(institutional_data)
            self._positioning[symbol].inform(known, ts_ns=reading.features.ts_ns)
        is_hit = False
        if reading.features is None:
            outcome = refused(reading.reason, priority=priority, timeout_s=self.request_timeout)
        elif use_cache:
            outcome, is_hit = await self._cached(
                panel, reading, reading.features, institutional_data, priority
            )
        else:
            outcome = await self._compute(panel, reading, reading.features, priority, key=None)
        return self._handed_out(outcome, started_ns=started_ns, is_hit=is_hit)

    def get_optimization_metrics(self) -> dict[str, Any]:
        """Return all figures; every key is there from the first call, without data None."""
        panels = [panel.members for panel in self._panels.values()]
        models = model_figures(panels, self._opinions.lookups)
        return {
            "status": "active" if self._figures.total else "no requests yet",
            "overall_metrics": self._figures.overall(),
            "cache_metrics": cache_figures(
                self._consensus.statistics, self._opinions.values.statistics, ttl_s=self.cache_ttl
            ),
            "model_performance": models,
            "load_balancing": {
                "model_weights": {name: figures["weight"] for name, figures in models.items()},
                "optimization_strategy": "performance_weighted",
                "max_concurrent_requests": self.max_concurrent_requests,
            },
            "recent_performance": self._figures.recent(),
        }

    def clear_cache(self) -> None:
        """Forget every cached consensus and opinion; what agents learned stays."""
        for symbol in self._panels:
            self._forget(symbol)

    async def cleanup(self) -> None:
        """Forget cached values and end the worker threads; may be called more than once."""
        self.clear_cache()
        if self._executor is not None:
            # Idle threads end at once; one whose agent hangs must not hold up the caller.
            is_idle = not any(seat.is_busy for p in self._panels.values() for seat in p.seats)
            self._executor.shutdown(wait=is_idle, cancel_futures=True)
            self._executor = None

    def _make_agents(self, symbol: str) -> list[SignalAgent]:
        if self._agents is None:
            return load_agents(symbol, self._extra)
        extra = load_agents(symbol, self._extra, installed=())
        if isinstance(self._agents, Mapping):
            made = [make_agent(f, symbol, what=name) for name, f in self._agents.items()]
            return [*made, *extra]
        return [*self._agents(symbol), *extra]

    def _read(
        self, panel: AgentPanel, data: MarketFeatures | Mapping[str, Any], *, now_ns: int
    ) -> Reading:
        if isinstance(data, MarketFeatures):
            if data.symbol != panel.symbol:
                raise ValidationError(f"features of {data.symbol} given for {panel.symbol}")
            if panel.is_live and data.ts_ns > now_ns:  # never let a live panel see the future
                data = data._replace(ts_ns=now_ns)
        return read(panel.symbol, data, latest=panel.latest, now_ns=now_ns)

    async def _cached(
        self,
        panel: AgentPanel,
        reading: Reading,
        features: MarketFeatures,
        institutional: Mapping[str, Any] | None,
        priority: int,
    ) -> tuple[Outcome, bool]:
        grid = quantised(features)
        known = None if institutional is None else positioning_of(institutional)
        key = (panel.symbol, priority, reading.missing, known, grid)
        led: list[Outcome] = []
        epoch = self._epochs.get(panel.symbol)

        async def lead() -> Outcome:
            outcome = await self._compute(panel, reading, features, priority, key=(known, grid))
            led.append(outcome)
            return outcome

        found = await self._consensus.get_or_compute(key, lead)
        if led and epoch == self._epochs.get(panel.symbol):
            # The cache stored it for its own time; now its validity is known.
            ttl_s = min(found.validity_s, self.cache_ttl)
            if ttl_s > 0.0:
                self._consensus.put(key, found, ttl_s=ttl_s)
            else:
                self._consensus.invalidate(key)
        return found, not led

    async def _compute(
        self,
        panel: AgentPanel,
        reading: Reading,
        features: MarketFeatures,
        priority: int,
        *,
        key: object,
    ) -> Outcome:
        is_news = panel.notice(features, is_complete=not reading.missing)
        chosen = selected(
            panel.seats, panel.scores.weights, priority=priority, ts_ns=features.ts_ns
        )
        request = Round(
            reading=reading,
            features=features,
            chosen=chosen,
            key=key,
            timeout_s=self.request_timeout,
            gate=self._semaphore(),
            executor=self._threads(),
            observes=is_news,
        )
        self._opinions.ceiling_s = self.cache_ttl
        answers, hits = await ask_all(panel, request, self._opinions)
        return concluded(
            panel,
            request,
            answers,
            priority=priority,
            opinion_hits=hits,
            rules=self._verdict,
        )

    def _handed_out(
        self, outcome: Outcome, *, started_ns: int, is_hit: bool
    ) -> OptimizedConsensusResult:
        time_ms = (self._clock.monotonic_ns() - started_ns) / _NS_PER_MS
        self._figures.add(time_ms, succeeded=outcome.succeeded)
        return outcome.handed_out(time_ms=time_ms, is_hit=is_hit)

    def _semaphore(self) -> asyncio.Semaphore:
        limit = self.max_concurrent_requests
        if self._gate is None or self._gate[0] != limit:
            self._gate = (limit, asyncio.Semaphore(limit))
        return self._gate[1]

    def _threads(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(
                max_workers=self.max_concurrent_requests, thread_name_prefix="signals"
            )
        return self._executor

    def _forget(self, symbol: str) -> None:
        """Drop what is cached for one symbol, as after a gap in its market data."""
        self._epochs[symbol] = self._epochs.get(symbol, 0) + 1
        self._consensus.invalidate_where(lambda key: key[0] == symbol)
        self._opinions.values.invalidate_where(lambda key: key[0] == symbol)
