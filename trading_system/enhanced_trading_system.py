"""The trading system of the users' guides: start, run, stop, status and commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from optimizers.ai_signal_optimizer import AISignalOptimizer
from optimizers.latency_optimizer import LatencyOptimizer
from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.performance_optimizer import PerformanceOptimizer
from trading_system.bybit_client import BybitClient
from trading_system.config.settings import Settings, load_settings
from trading_system.domain.ports import Clock
from trading_system.live import control
from trading_system.live.desk import TradingDesk
from trading_system.live.evidence import judged_health, snapshot_of
from trading_system.live.inspection.inspection import LiveInspection
from trading_system.live.watch import Watch
from trading_system.monitoring.health import Health
from trading_system.monitoring.status import status_of
from trading_system.runtime.clock import SystemClock


@asynccontextmanager
async def short_session(settings: Settings) -> AsyncIterator[EnhancedTradingSystem]:
    """Run a system without a strategy for as long as the context lasts."""
    quiet = settings.strategy.model_copy(update={"name": "none"})
    system = EnhancedTradingSystem(settings.model_copy(update={"strategy": quiet}))
    await system.start_system()
    try:
        yield system
    finally:
        await system.stop_system("the command is done")


class EnhancedTradingSystem:
    """Verified books, agents, risk gate and execution as one system.

    Parameters
    ----------
    settings : Settings or None
        None loads them from environment, ``.env`` and ``config.json``.
    clock : Clock or None
        None uses the machine's clocks.
    """

    def __init__(self, settings: Settings | None = None, *, clock: Clock | None = None) -> None:
        self._desk = TradingDesk(
            settings if settings is not None else load_settings({}),
            clock=clock or SystemClock(),
            before_stop=self._judge,
        )
        self._final_health: Health | None = None
        self._watch = Watch(self._desk)
        self.inspection = LiveInspection(self._desk, self._watch)
        self.bybit_client = BybitClient(desk=self._desk)

    @property
    def run_id(self) -> str:
        """Eight hex digits that mark every order of this run."""
        return self._desk.run_id

    @property
    def state(self) -> str:
        """Where the run is in its life: ``NEW``, ``STARTING``, ``RUNNING`` and so on."""
        return self._desk.state.name

    @property
    def desk(self) -> TradingDesk:
        """The parts behind this face."""
        return self._desk

    @property
    def watch(self) -> Watch:
        """What watches this system: health, behaviour, alerts and histories."""
        return self._watch

    @property
    def performance_optimizer(self) -> PerformanceOptimizer:
        """The optimizer that executes this system's orders; needs a running system."""
        return self._desk.live_session().optimizers.performance

    @property
    def latency_optimizer(self) -> LatencyOptimizer:
        """The warmed connections of this system; needs a running system."""
        return self._desk.live_session().optimizers.latency

    @property
    def ai_signal_optimizer(self) -> AISignalOptimizer:
        """The panel of agents that this system decides by; needs a running system."""
        return self._desk.live_session().signals

    @property
    def microstructure_analyzer(self) -> MarketMicrostructureAnalyzer:
        """The analysis of this system's live books; needs a running system."""
        return self._desk.live_session().optimizers.microstructure

    async def start_system(self) -> None:
        """Start everything and return when the system is ready to trade.

        Raises
        ------
        ConfigurationError
            If a setting makes the start impossible.
        LifecycleError
            If it was started before, or a stop was requested meanwhile.
        TradingSystemError
            If the venue or a stream did not get ready; everything begun was undone.
        """
        self._watch.prepare()
        await self._desk.start()
        self._watch.start()

    async def run_forever(self) -> None:
        """Wait until a stop is requested or a part fails, then stop in order.

        Raises
        ------
        Exception
            The error of the part that failed, after the ordered stop.
        """
        await self._desk.run_forever()

    async def stop_system(self, reason: str = "stopped") -> None:
        """Stop in order: decisions, resting orders, final reports, streams, venue.

        Idempotent; the first reason is kept. Positions are left as they are unless
        ``TRADING_STRATEGY__FLATTEN_ON_STOP`` is set. Before the start nothing happens.
        """
        await self._desk.stop(reason)

    def request_stop(self, reason: str) -> None:
        """Ask :meth:`run_forever` to stop; returns at once, the first reason is kept.

        A start that is under way is undone, and :meth:`start_system` raises.
        """
        self._desk.request_stop(reason)

    def get_system_status(self) -> dict[str, Any]:
        """Return the full status; every documented key is present from the first call."""
        health = self._final_health or judged_health(self._desk)
        return status_of(snapshot_of(self._desk, health, watch=self._watch.figures()))

    async def pause(self, reason: str) -> dict[str, Any]:
        """Begin no new trade; open trades are still watched and closed."""
        return control.pause(self._desk.live_session(), reason)

    async def resume(self, *, reset_limits: bool = False) -> dict[str, Any]:
        """Lift pause, reduce-only and kill; with ``reset_limits`` also a latched loss limit.

        Raises
        ------
        OrderDenied
            If a loss limit is latched and ``reset_limits`` is False; nothing was lifted.
        """
        return control.resume(self._desk.live_session(), reset_limits=reset_limits)

    async def reduce_only(self, reason: str) -> dict[str, Any]:
        """Let only orders through that shrink a position, restarts included."""
        return control.reduce_only(self._desk.live_session(), reason)

    async def kill(self, reason: str, *, flatten: bool = False) -> dict[str, Any]:
        """Block all orders, cancel until none is open, then close positions if asked to.

        The block survives restarts; only :meth:`resume` lifts it.
        """
        return await control.kill(self._desk.live_session(), reason, flatten=flatten)

    async def execute(
        self,
        symbol: str,
        side: str,
        quantity: str,
        *,
        algorithm: str | None = None,
        urgency: str = "NORMAL",
    ) -> dict[str, Any]:
        """Work one parent order through the performance optimizer; return its cost analysis.

        Raises
        ------
        ValidationError
            If the order makes no sense; nothing was sent.
        """
        return await control.execute(
            self._desk.live_session(),
            symbol,
            side,
            quantity,
            algorithm=algorithm,
            urgency=urgency,
        )

    def _judge(self) -> None:
        # The last moment with live streams: what follows is the stop, not the run's health.
        self._final_health = self._final_health or judged_health(self._desk)
