"""One trading session: everything between the venue's address and a decision, assembled.

The session owns no task itself: it starts its streams and loops through the ``spawn`` it is
given, and works without them during the stop, when only requests and look-ups remain.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog

from agents.order_flow import OrderFlowParameters
from trading_system.config.sections import RiskSettings, StrategySettings
from trading_system.domain.errors import (
    ConfigurationError,
    CorruptDataError,
    DeadlineExceeded,
    Outcome,
    VenueError,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderIntent
from trading_system.domain.ports import Clock
from trading_system.domain.signals import MarketFeatures, Opinion
from trading_system.execution.engine import LINK_PREFIX, ExecutionEngine
from trading_system.execution.executor import Executor
from trading_system.execution.tracking import TrackedStatus
from trading_system.market import kernels
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import RiskLimits
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.limiter import SlidingWindow
from trading_system.live.account import AccountFeed, Reconciler
from trading_system.live.feed import MarketFeed
from trading_system.strategies.signals import Costs, SignalRules
from trading_system.strategies.trader import SignalTrader
from trading_system.venues.bybit.gateway import BybitGateway, private_topics
from trading_system.venues.bybit.hosts import Endpoints
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks

_LOG = structlog.get_logger(__name__)
_READY_S = 20.0
_POLL_S = 0.02
_DRAIN_S = 10.0
_COMPARE_EVERY_S = 5.0
_MARK_EVERY_S = 0.5
_CLOCK_EVERY_ROUNDS = 12
_SETTLE_S = 12.0
_SETTLE_PAUSE_S = 0.3
_NS_PER_S = 1_000_000_000

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What a session needs to know.

    Parameters
    ----------
    symbols : Sequence[str]
        Symbols to follow and trade.
    run_id : str
        Eight hex digits that mark every order of this run.
    endpoints : Endpoints
        Addresses of the venue.
    signer : Signer
        The account's key.
    request_timeout_s : float
        Patience with one request, seconds.
    """

    symbols: Sequence[str]
    run_id: str
    endpoints: Endpoints
    signer: Signer
    request_timeout_s: float
    risk: RiskSettings
    strategy: StrategySettings


class TradingSession:
    """Streams, books, agent, gate, engine and trader of one run.

    Parameters
    ----------
    options : SessionOptions
        Fixed for the session.
    clock : Clock
        All stamps.
    """

    def __init__(self, options: SessionOptions, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self.latency = StageLatency()
        self.rest = BybitRest(
            options.endpoints.rest,
            signer=options.signer,
            clock=clock,
            on_post_sent=lambda ns: self.latency.record("send", ns),
        )
        self.gateway = BybitGateway(
            self.rest, clock=clock, timeout_s=self._options.request_timeout_s
        )
        self.instruments: dict[str, Instrument] = {}
        self.portfolio = Portfolio(Decimal(0))
        self.feed: MarketFeed | None = None
        self.engine: ExecutionEngine | None = None
        self.trader: SignalTrader | None = None
        self.account: AccountFeed | None = None
        self.reconciler: Reconciler | None = None
        self.private: BybitStream | None = None
        self.public: BybitStream | None = None
        self.clock_offset_ms: float | None = None
        self.resyncs = 0
        self.last_frames_per_second: float | None = None
        self._spawn: Spawn | None = None

    async def start(self, spawn: Spawn) -> None:
        """Load rules and account, adopt what exists, connect the streams, wait for the books.

        Raises
        ------
        VenueError
            If the venue cannot be reached or refuses the key.
        DeadlineExceeded
            If streams or books were not ready in time.
        """
        self._spawn = spawn
        kernels.warm()  # compiling or loading a kernel later would stall the tick path
        costs = await self._load()
        self._assemble(costs)
        await self._take_over()
        self._connect(spawn)
        await self._ready()
        spawn("compare", self._compare_forever())
        spawn("marks", self._mark_forever())

    async def _load(self) -> dict[str, Costs]:
        self.clock_offset_ms = await self.gateway.synchronise_clock()
        costs: dict[str, Costs] = {}
        for symbol in self._options.symbols:
            self.instruments[symbol] = await self._instrument(symbol)
            rates = await self.gateway.fee_rates(symbol)
            costs[symbol] = Costs(taker=float(rates.taker), maker=float(rates.maker))
        wallet = await self.gateway.wallet()
        self.portfolio = Portfolio(wallet.wallet_balance)
        return costs

    async def _instrument(self, symbol: str) -> Instrument:
        try:
            return await self.gateway.instrument(symbol)
        except (VenueRejected, CorruptDataError) as e:
            raise ConfigurationError(
                f"the venue does not offer {symbol} ({e}); remove it from TRADING_SYMBOLS"
            ) from e

    def _assemble(self, costs: dict[str, Costs]) -> None:
        risk, strategy = self._options.risk, self._options.strategy
        loop = asyncio.get_running_loop()
        self.feed = MarketFeed(
            self.instruments,
            clock=self._clock,
            latency=self.latency,
            decide=self._decide,
            call_soon=loop.call_soon,
            parameters=OrderFlowParameters(horizon_s=strategy.horizon_s),
        )
        self.feed.offset_ns = self.rest.offset_ns
        self.engine = ExecutionEngine(
            gateway=self.gateway,
            lookup=self.gateway,
            instruments=self.instruments,
            limits=RiskLimits(
                collar_bps=risk.collar_bps,
                max_order_notional=risk.max_order_notional,
                max_position_notional=risk.max_position_notional,
                max_gross_notional=risk.max_gross_notional,
                max_book_age_s=risk.stale_book_s,
            ),
            order_rate=SlidingWindow(risk.max_orders_per_second, window_s=1.0, clock=self._clock),
            portfolio=self.portfolio,
            market=self.feed.market_view,
            clock=self._clock,
            latency=self.latency,
            run_id=self._options.run_id,
            request_life_s=self._options.signer.recv_window_ms / 1_000,
        )
        executor = Executor(
            engine=self.engine,
            instruments=self.instruments,
            quote=self.feed.best_prices,
            clock=self._clock,
            request_timeout_s=self._options.request_timeout_s,
        )
        self.account = AccountFeed(self.engine)
        self.reconciler = Reconciler(self.gateway, portfolio=self.portfolio, engine=self.engine)
        if strategy.name == "signals":
            self.trader = SignalTrader(
                executor=executor,
                portfolio=self.portfolio,
                instruments=self.instruments,
                costs=costs,
                rules=signal_rules(strategy, risk),
                clock=self._clock,
                spawn=self._spawn_parent,
            )

    async def _take_over(self) -> None:
        assert self.reconciler is not None
        for order in await self.gateway.open_orders():
            if order.link_id.startswith(LINK_PREFIX):
                _LOG.info("cancelling an order of an earlier run", link_id=order.link_id)
                with contextlib.suppress(VenueRejected):  # it has just ended by itself
                    await self.gateway.cancel(
                        order.symbol, order.link_id, timeout_s=self._options.request_timeout_s
                    )
        await self.reconciler.adopt()

    def _connect(self, spawn: Spawn) -> None:
        assert self.account is not None
        assert self.feed is not None
        endpoints, jitter = self._options.endpoints, random.Random(self._options.run_id)
        self.private = BybitStream(
            f"{endpoints.private_ws}/v5/private",
            private_topics(),
            callbacks=StreamCallbacks(
                on_frame=self.account.on_frame, on_up=self._on_private_up, on_down=_ignore
            ),
            clock=self._clock,
            signer=self._options.signer,
            jitter=jitter,
            offset_ns=lambda: self.rest.offset_ns,
        )
        self.public = BybitStream(
            f"{endpoints.public_ws}/v5/public/linear",
            self.feed.topics(),
            callbacks=StreamCallbacks(
                on_frame=self.feed.on_frame, on_up=_nothing, on_down=self._on_public_down
            ),
            clock=self._clock,
            jitter=jitter,
        )
        spawn("private-stream", self.private.run())
        spawn("public-stream", self.public.run())

    async def _ready(self) -> None:
        assert self.private is not None
        assert self.feed is not None
        feed, private, wanted = self.feed, self.private, len(self.instruments)
        if not await _becomes_true(
            lambda: private.is_up and feed.fresh_books(_READY_S) == wanted, within_s=_READY_S
        ):
            raise DeadlineExceeded(f"streams were not ready within {_READY_S:.0f} s")

    def _decide(self, features: MarketFeatures, opinion: Opinion | None) -> None:
        # Without the private stream orders are settled by look-ups: enough to leave a trade.
        if self.trader is not None and self.private is not None:
            self.trader.consider(features, opinion, may_enter=self.private.is_up)

    def _spawn_parent(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        assert self._spawn is not None
        self._spawn(name, coroutine)

    def _on_public_down(self, _reason: str) -> None:
        assert self.feed is not None
        self.resyncs += 1
        self.feed.reset()

    def _on_private_up(self) -> None:
        """After a reconnect, look up every order whose reports may have been missed."""
        assert self.private is not None
        assert self.engine is not None
        if self.private.connects > 1 and self._spawn is not None:
            self._spawn("catch-up", self._catch_up())

    async def _catch_up(self) -> None:
        assert self.engine is not None
        for order in self.engine.live_orders:
            await self.engine.look_up(order)

    async def _compare_forever(self) -> None:
        assert self.reconciler is not None
        rounds = 0
        while True:
            await asyncio.sleep(_COMPARE_EVERY_S)
            rounds += 1
            is_answered = await self.reconciler.check()
            if not is_answered or rounds % _CLOCK_EVERY_ROUNDS == 0:
                await self._synchronise_clock()

    async def _synchronise_clock(self) -> None:
        """Follow the venue's clock: a drift beyond the receive window refuses every request."""
        assert self.feed is not None
        try:
            self.clock_offset_ms = await self.gateway.synchronise_clock()
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("the venue's clock could not be read", error=str(e))
        self.feed.offset_ns = self.rest.offset_ns

    async def _mark_forever(self) -> None:
        assert self.feed is not None
        while True:
            for symbol, state in self.feed.symbols.items():
                if state.ticker is not None and state.ticker.mark_price is not None:
                    self.portfolio.mark(symbol, state.ticker.mark_price)
            await asyncio.sleep(_MARK_EVERY_S)

    async def drain(self) -> None:
        """Start no new parents and give those at work a bounded time to end."""
        if self.feed is not None:
            self.last_frames_per_second = self.feed.frames_per_second()
        trader = self.trader
        if trader is None:
            return
        trader.stop_accepting()
        if not await _becomes_true(lambda: not trader.busy_symbols, within_s=_DRAIN_S):
            _LOG.warning("parents still at work", symbols=sorted(trader.busy_symbols))

    async def stop(self) -> None:
        """Cancel every own order that may still rest and settle all of them.

        Orders that somebody else placed in the same account are left alone.
        """
        engine = self.engine
        if engine is None:
            return
        async with asyncio.TaskGroup() as group:
            for order in engine.live_orders:
                link_id = order.intent.link_id
                group.create_task(self._cancel(engine, order.intent), name=f"cancel-{link_id}")
        ends_ns = self._clock.monotonic_ns() + round(_SETTLE_S * _NS_PER_S)
        while engine.live_orders:
            for order in engine.live_orders:
                await engine.look_up(order)
            if self._clock.monotonic_ns() >= ends_ns:
                break
            await asyncio.sleep(_SETTLE_PAUSE_S)
        if not engine.live_orders:
            return
        raise VenueUnavailable(
            f"{len(engine.live_orders)} orders without a known outcome",
            venue="bybit",
            operation="stop",
            outcome=Outcome.UNKNOWN,
        )

    async def _cancel(self, engine: ExecutionEngine, intent: OrderIntent) -> None:
        try:
            await engine.cancel(
                intent.symbol, intent.link_id, timeout_s=self._options.request_timeout_s
            )
        except VenueError as e:  # final already, or unreachable: the look-ups below tell
            _LOG.info("cancel had no effect", link_id=intent.link_id, error=str(e))

    @property
    def fills(self) -> int:
        """Executions of own orders booked so far."""
        return self.engine.fills if self.engine is not None else 0

    def order_outcomes(self) -> dict[TrackedStatus, int]:
        """Return how many settled orders ended in each status."""
        if self.engine is None:
            return dict.fromkeys(TrackedStatus, 0)
        return dict(self.engine.outcomes)


def signal_rules(strategy: StrategySettings, risk: RiskSettings) -> SignalRules:
    """Return the strategy's rules; an entry at its worst price stays below the gate's cap."""
    worst = 1 + Decimal(str(strategy.max_slippage_bps)) / 10_000
    return SignalRules(
        min_edge_bps=strategy.min_edge_bps,
        confidence=strategy.confidence,
        entry_notional=min(strategy.entry_notional, risk.max_order_notional / worst),
        max_hold_s=strategy.max_hold_s,
        stop_loss_bps=strategy.stop_loss_bps,
        max_slippage_bps=strategy.max_slippage_bps,
        time_limit_s=strategy.time_limit_s,
        decision_interval_s=strategy.decision_interval_s,
    )


async def _becomes_true(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Poll ``condition`` until it holds or time is up; return whether it held."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + within_s
    while not condition():
        if loop.time() >= ends:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _nothing() -> None:
    return


def _ignore(_reason: str) -> None:
    return
