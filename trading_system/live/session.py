"""One trading session: streams, books, agents, gate, engine and trader, wired together.

Start order: the journal is opened and what earlier runs left open is concluded with the venue,
positions are adopted, the streams connect and the books get ready, then decisions begin. Stop
order: decisions, parents at work, resting orders, connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import structlog

from optimizers.ai_signal_optimizer import AISignalOptimizer
from trading_system.config.sections import RiskSettings, StrategySettings
from trading_system.config.settings import Settings
from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    Outcome,
    TradingSystemError,
    VenueError,
    VenueUnavailable,
)
from trading_system.domain.orders import Fill
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.ports import Clock
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.execution.engine import ExecutionEngine
from trading_system.execution.executor import Executor
from trading_system.execution.journal.store import Journal
from trading_system.live.account import AccountFeed, Reconciler, own_part
from trading_system.live.address_ban import hold_while_banned
from trading_system.live.client import GatedClient
from trading_system.live.collector import tame_collector
from trading_system.live.connection import Account, Traffic, VenueConnection
from trading_system.live.feed import MarketFeed
from trading_system.live.gated_engine import engine_of
from trading_system.live.market_making import MarketMaking, market_making_of
from trading_system.live.optimizers import optimizers_of
from trading_system.live.outage import OutageWatch
from trading_system.live.quoting import QuotingDesk
from trading_system.live.restraint import Restraint
from trading_system.live.settling import cancel_and_settle, settle_silent
from trading_system.live.staleness import hold_while_stale, renew_doubtful
from trading_system.market.warm import warm
from trading_system.monitoring.loop_lag import LoopLag
from trading_system.risk.limits import TradingState
from trading_system.risk.portfolio import Portfolio
from trading_system.strategies.trader import SignalTrader
from trading_system.venues.bybit.reading import BybitReads
from trading_system.venues.bybit.streams import StreamCallbacks

STARTING = "start"
"""Source of the hold that is in force until streams and books are ready."""

_LOG = structlog.get_logger(__name__)
_RECOVERY_S = 15.0
_RECOVERY_MARGIN_S = 4.0
_READY_S = 20.0
_POLL_S = 0.02
_DRAIN_S = 10.0
_FLATTEN_S = 15.0
_FLATTEN_ATTEMPTS = 3
_COMPARE_EVERY_S = 5.0
_COMPARE_AGAIN_S = 1.0
_MARK_EVERY_S = 0.5
_NS_PER_MS = 1_000_000
_PROBE_EVERY_S = 5.0
_CLOCK_EVERY_ROUNDS = 12

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]


class TradingSession:
    """Everything that trades, from the market's frames to the account's orders.

    Parameters
    ----------
    settings : Settings
        All sections.
    connection : VenueConnection
        Open connection; its owner closes it after :meth:`stop`.
    account : Account
        What the venue said of symbols and account.
    journal : Journal
        Open journal; its owner closes it after :meth:`stop`.
    run_id : str
        Eight hex digits that mark every order of this run.
    clock : Clock
        All stamps.
    spawn : Callable
        Starts a supervised task from a name and a coroutine.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connection: VenueConnection,
        account: Account,
        journal: Journal,
        run_id: str,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self._settings, self._clock, self._spawn = settings, clock, spawn
        self._timeout_s = settings.bybit.request_timeout_s
        self._connection = connection
        self._gateway, self.latency = connection.gateway, connection.latency
        self.journal, self.instruments = journal, account.instruments
        self.clock_offset_ms = account.clock_offset_ms
        self.last_frames_per_second: float | None = None
        self._release_collector: Callable[[], None] = _nothing
        self._is_ending = False
        self.answers: dict[str, dict[str, Any]] = {}
        self.loop_lag = LoopLag(clock=clock)
        self.portfolio = Portfolio(account.wallet.wallet_balance, hedged=account.hedged)
        self.venue_account = account
        self.signals = AISignalOptimizer(
            settings.optimization, clock=clock, extra_signals=settings.strategy.signal
        )
        self.feed = MarketFeed(
            self.instruments,
            clock=clock,
            latency=self.latency,
            decide=self._decide,
            call_soon=asyncio.get_running_loop().call_soon,
            panel_of=self.signals.panel,
            has_context=settings.optimization.context_book,
        )
        self.feed.offset_ns = connection.rest.offset_ns
        self.engine = engine_of(
            settings,
            connection,
            account=account,
            portfolio=self.portfolio,
            journal=journal,
            market=self.feed.market_view,
            clock=clock,
            run_id=run_id,
            clock_offset_ms=lambda: self.clock_offset_ms,
            on_booked=self._on_booked,
            on_funded=self._on_funded,
        )
        self.executor = Executor(
            engine=self.engine,
            instruments=self.instruments,
            quote=self.feed.best_prices,
            clock=clock,
            request_timeout_s=self._timeout_s,
            walk=lambda symbol, side, quantity: self.feed.symbols[symbol].walk(side, quantity),
        )
        self.account = AccountFeed(self.engine, drift=self._gateway.drift)
        self.reconciler = Reconciler(
            self._gateway,
            portfolio=self.portfolio,
            engine=self.engine,
            clock=clock,
            offset_ns=lambda: connection.rest.offset_ns,
            merged=self.account.fast.merged,
        )
        self.client = GatedClient(
            self._gateway,
            engine=self.engine,
            executor=self.executor,
            feed=self.feed,
            timeout_s=self._timeout_s,
            after_fill=self._protect_now,
            quoting=self._quoting(account),
        )
        self.optimizers = optimizers_of(
            self.client, transport=connection.transport, settings=settings, clock=clock
        )
        self.restraint = Restraint(self.engine, rules=settings.strategy, clock=clock)
        self.trader = self._signal_trader(account)
        self.slippage_bps = newest_slippage(self.trader)
        self.making = self._market_making() if settings.strategy.name == "market-maker" else None
        self.outage = OutageWatch(
            self.engine.holds,
            recover=self._catch_up,
            poll=self._poll_account,
            spawn=spawn,
            clock=clock,
        )
        self.private = connection.private_stream(self._private_callbacks())
        self.public = connection.public_stream(self.feed.topics(), self._public_callbacks())

    def _private_callbacks(self) -> StreamCallbacks:
        return StreamCallbacks(
            on_frame=self.account.on_frame,
            on_up=lambda: self.outage.up("private stream"),
            on_down=lambda reason: self.outage.down(
                "private stream", reason, silent_s=self.private.silent_s
            ),
        )

    def _public_callbacks(self) -> StreamCallbacks:
        return StreamCallbacks(
            on_frame=self.feed.on_frame,
            on_up=self._on_public_up,
            on_down=self._on_public_down,
            on_resync=self.feed.reset_topic,
        )

    def _quoting(self, account: Account) -> QuotingDesk:
        return QuotingDesk(
            engine=self.engine,
            feed=self.feed,
            portfolio=self.portfolio,
            costs=account.costs,
            candles=BybitReads(self._gateway, timeout_s=self._timeout_s).get_kline_data,
            may_open=self.may_open,
            clock=self._clock,
            timeout_s=self._timeout_s,
        )

    def _signal_trader(self, account: Account) -> SignalTrader:
        strategy = self._settings.strategy
        trader = SignalTrader(
            desk=self,
            portfolio=self.portfolio,
            instruments=self.instruments,
            costs=account.costs,
            rules=trading_rules(strategy, self._settings.risk),
            clock=self._clock,
            spawn=self._spawn_parent,
        )
        trader.is_accepting = strategy.name == "signals"
        return trader

    def _market_making(self) -> MarketMaking:
        return market_making_of(
            self.client.quoting,
            engine=self.engine,
            feed=self.feed,
            portfolio=self.portfolio,
            instruments=self.instruments,
            settings=self._settings,
            clock=self._clock,
        )

    @property
    def traffic(self) -> Traffic:
        """How the connection to the venue is doing; the connection itself is nobody else's."""
        return self._connection.traffic()

    @property
    def is_trading(self) -> bool:
        """Whether a strategy may begin trades: signals are accepted, or the market maker quotes."""
        if self.making is None:
            return self.trader.is_active
        return not self._is_ending and self.trader.paused_because is None

    def may_open(self) -> bool:
        """Return whether positions may be opened now: nothing holds, pauses or ends the session."""
        return (
            self.engine.state is TradingState.ACTIVE
            and self.private.is_up
            and self.trader.paused_because is None
            and not self._is_ending
        )

    async def start(self, *, is_fresh_account: bool) -> None:
        """Reconcile with the venue, connect the streams and wait for the books.

        Parameters
        ----------
        is_fresh_account : bool
            Whether the account has no past: losses of another one are not counted then.

        Raises
        ------
        VenueError
            If the venue cannot be reached or refuses the key.
        DeadlineExceeded
            If earlier orders were not concluded, or the books were not ready in time.
        """
        # Compiling or loading a kernel later would stall the tick path; here, only this thread.
        await asyncio.to_thread(warm)
        self.engine.holds.set(STARTING, TradingState.HALTED, "the system is starting")
        await self.engine.recover(
            deadline_s=max(_RECOVERY_S, self.engine.doubt_s + _RECOVERY_MARGIN_S),
            timeout_s=self._timeout_s,
            is_fresh_account=is_fresh_account,
        )
        if is_fresh_account:
            self.engine.losses.reset()
        await self.reconciler.adopt()
        _take_over(self.portfolio, engine=self.engine, journal=self.journal)
        if self.making is not None:
            self.making.adopt()
        if self._connection.trade is not None:
            self._spawn("trade-stream", self._connection.trade.run())
        self._spawn("private-stream", self.private.run())
        self._spawn("public-stream", self.public.run())
        await self._ready()
        self._release_collector = tame_collector()
        self._spawn("compare", self._compare_forever())
        self._spawn("marks", self._mark_forever())
        self._spawn("loop-lag", self.loop_lag.run())
        self._spawn("settling", settle_silent(self.engine, fetch_missing=self._fetch_missing))
        self._spawn("probe", self._probe_forever())
        for symbol in self.instruments:
            panel = self.signals.panel(symbol)
            if panel.has_async:
                self._spawn(f"agents-{symbol}", panel.serve())
        self.engine.holds.clear(STARTING)
        if self.making is not None:
            self.making.start(self._spawn)

    async def _ready(self) -> None:
        wanted = len(self.instruments)
        if not await _becomes_true(
            lambda: self.private.is_up and self.feed.fresh_books(_READY_S) == wanted,
            within_s=_READY_S,
        ):
            raise DeadlineExceeded(f"streams were not ready within {_READY_S:.0f} s")

    def _decide(self, features: MarketFeatures, consensus: Consensus | None) -> None:
        is_active = self.engine.state is TradingState.ACTIVE
        may_enter = is_active and self.private.is_up and self.restraint.may_enter(features.symbol)
        self.trader.consider(features, consensus, may_enter=may_enter)
        if self.making is not None:
            self.making.on_market(features.symbol)
        prices = self.feed.best_prices(features.symbol)
        if prices.bid is not None and prices.ask is not None:
            self.optimizers.performance.note_price(
                features.symbol, float(prices.bid), float(prices.ask)
            )

    def _on_booked(self, fill: Fill) -> None:
        if self.making is not None:
            self.making.on_booked(fill)

    def _on_funded(self, symbol: str, amount: Decimal) -> None:
        if self.making is not None:
            self.making.on_funded(symbol, amount)

    def _spawn_parent(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        self._spawn(name, coroutine)

    # --- the trader's desk --------------------------------------------------------------------

    async def execute(self, parent: ParentOrder) -> ParentResult | None:
        """Work one parent through the performance optimizer, which measures what it cost."""
        if not parent.reduce_only:
            self.restraint.note_entry(parent.symbol)
        result, answer = await self.optimizers.performance.execute_parent(parent)
        self.answers[parent.symbol] = answer
        return result

    async def protect(self, symbol: str, stop_price: Decimal) -> None:
        """Let a stop for the whole position rest at the venue; a failure is tried again later."""
        try:
            await self.engine.protect(symbol, stop_price, timeout_s=self._timeout_s)
        except TradingSystemError as e:
            _LOG.warning("no protective stop yet", symbol=symbol, error=str(e))

    async def _protect_now(self, symbol: str) -> None:
        """Rest a stop for what is open, as for the strategy's own trades."""
        for wanted, stop in self.unprotected().items():
            if wanted == symbol:
                await self.protect(symbol, stop)

    def unprotected(self) -> dict[str, Decimal]:
        """Return the stop that each own position without one at the venue should get."""
        keeper = self.trader.unprotected if self.making is None else self.making.stops.missing
        return keeper(self.reconciler.venue_stops)

    def own_quantity(self, symbol: str) -> Decimal:
        """Return the part of the position that this system opened, signed."""
        return self.engine.own_quantity(symbol)

    # --- the venue's ups and downs ------------------------------------------------------------

    def note_venue(self, *, is_up: bool) -> None:
        """Note that the embedded venue's process died or came back."""
        if is_up:
            self.outage.up("venue process")
        else:
            self.outage.down("venue process", "the embedded venue died")

    def _on_public_up(self) -> None:
        self.feed.connected()
        self.outage.up("market data")

    def _on_public_down(self, reason: str) -> None:
        self.feed.reset()
        self.outage.down("market data", reason)

    async def _catch_up(self) -> bool:
        """Learn what happened during an outage; return whether both sides are known to agree."""
        await self._synchronise_clock()
        if not await self.reconciler.catch_up(self.outage.since_utc_ns):
            return False
        # What agreed before the outage proves nothing now.
        return await self.reconciler.agrees_now() and not self.engine.unknown_orders

    async def _poll_account(self) -> None:
        await self.reconciler.catch_up(self.outage.since_utc_ns)

    async def _fetch_missing(self) -> None:
        if self.account.fast.is_overdue(self._clock.monotonic_ns()):
            await self.reconciler.catch_up(self._clock.utc_ns())

    async def _compare_forever(self) -> None:
        rounds = 0
        while True:
            is_suspicious = self.reconciler.is_suspicious
            await asyncio.sleep(_COMPARE_AGAIN_S if is_suspicious else _COMPARE_EVERY_S)
            rounds += 1
            is_answered = await self.reconciler.check()
            if not is_answered or rounds % _CLOCK_EVERY_ROUNDS == 0:
                await self._synchronise_clock()
            self.engine.check_journal()
            for symbol, stop in self.unprotected().items():
                await self.protect(symbol, stop)

    async def _synchronise_clock(self) -> None:
        """Follow the venue's clock: a drift beyond the receive window refuses every request."""
        try:
            self.clock_offset_ms = await self._gateway.synchronise_clock()
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("the venue's clock could not be read", error=str(e))
        self.feed.offset_ns = self._connection.rest.offset_ns

    async def _mark_forever(self) -> None:
        while True:
            for symbol, state in self.feed.symbols.items():
                if state.ticker is not None and state.ticker.mark_price is not None:
                    self.portfolio.mark(symbol, state.ticker.mark_price)
                    if self.making is not None:
                        self.making.on_mark(symbol, state.ticker.mark_price)
            self.engine.check_losses()
            hold_while_stale(self.feed, self.engine.holds, limit_s=self._settings.risk.stale_book_s)
            await renew_doubtful(self.feed, self.public)
            hold_while_banned(self._connection.rest.banned_for_s, self.engine.holds)
            await self._watch_clock()
            await asyncio.sleep(_MARK_EVERY_S)

    async def _watch_clock(self) -> None:
        """Notice at once that somebody set this machine's clock, then measure again."""
        rest = self._connection.rest
        if rest.venue_clock.has_moved:
            self.clock_offset_ms = rest.offset_ns / _NS_PER_MS
            _LOG.error("this machine's clock was set", clock_offset_ms=self.clock_offset_ms)
            await self._synchronise_clock()

    async def _probe_forever(self) -> None:
        """Measure the request path while no order needs it, and keep it warm."""
        symbol = next(iter(self.instruments))
        while True:
            await asyncio.sleep(_PROBE_EVERY_S)
            await self.optimizers.latency.optimize_market_data_request(symbol)

    # --- the end ------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Start no new trades, pull quotes, give parents a bounded time, flatten if asked to.

        Positions are closed only when no own order is left that could open them again, or when
        time for that is up.
        """
        self.last_frames_per_second = self.feed.frames_per_second()
        self._is_ending = True
        trader = self.trader
        trader.stop_accepting()
        self.executor.request_stop()
        if self.making is not None:
            await self.making.wind_down()
        if not await _becomes_true(lambda: not trader.busy_symbols, within_s=_DRAIN_S):
            _LOG.warning("parents still at work", symbols=sorted(trader.busy_symbols))
        if self._settings.strategy.flatten_on_stop:
            await cancel_and_settle(self.engine, timeout_s=self._timeout_s)
            await self._flatten()

    async def _flatten(self) -> None:
        """Close the own positions; again where a late fill or a thin book left something."""
        trader = self.trader
        for _ in range(_FLATTEN_ATTEMPTS):
            begun = [symbol for symbol in self.instruments if trader.request_exit(symbol)]
            if not begun:
                return
            await _becomes_true(lambda: not trader.busy_symbols, within_s=_FLATTEN_S)

    async def stop(self) -> None:
        """Cancel every own order that may still rest and settle all of them.

        Orders that somebody else placed in the same account are left alone, and so are the stops
        that protect open positions.
        """
        self._is_ending = True
        left = await cancel_and_settle(self.engine, timeout_s=self._timeout_s)
        await self.signals.cleanup()
        self._release_collector()
        if left:
            raise VenueUnavailable(
                f"{left} orders without a known outcome",
                venue="bybit",
                operation="stop",
                outcome=Outcome.UNKNOWN,
            )


def _nothing() -> None:
    return


def _take_over(portfolio: Portfolio, *, engine: ExecutionEngine, journal: Journal) -> None:
    """Count as own what the journal shows that this system opened; leave the rest alone."""
    fills = journal.account_fills()
    for position in portfolio.positions:
        own = own_part(fills, position.symbol, position.quantity)
        if not own and position.quantity:
            _LOG.warning(
                "position left alone: the journal does not show that this system opened it",
                symbol=position.symbol,
                quantity=str(position.quantity),
            )
        engine.take_over(position.symbol, own)


def newest_slippage(trader: SignalTrader) -> Callable[[], float | None]:
    """Return a function for the trader's slippage that computes it once per ended parent.

    With a thousand parents at hand it takes over a millisecond, and is asked for all the time.
    """
    ended, newest = -1, None

    def slippage_bps() -> float | None:
        nonlocal ended, newest
        if ended != trader.counts.parents_ended:
            ended, newest = trader.counts.parents_ended, trader.slippage_bps()
        return newest

    return slippage_bps


def trading_rules(strategy: StrategySettings, risk: RiskSettings) -> StrategySettings:
    """Return the strategy's rules; an entry at its worst price stays below the gate's cap."""
    worst = 1 + Decimal(str(strategy.max_slippage_bps)) / 10_000
    largest = min(strategy.entry_notional, risk.max_order_notional / worst)
    return strategy.model_copy(update={"entry_notional": largest})


async def _becomes_true(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Poll ``condition`` until it holds or time is up; return whether it held."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + within_s
    while not condition():
        if loop.time() >= ends:
            return False
        await asyncio.sleep(_POLL_S)
    return True
