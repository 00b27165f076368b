"""One trading session: market, agents, gate, account and strategy, wired together.

Start order: the journal is opened and what earlier runs left open is concluded with the venue,
positions are adopted, the streams connect and the books get ready, then decisions begin. Stop
order: decisions, parents at work, resting orders, connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from optimizers.ai_signal_optimizer import AISignalOptimizer
from trading_system.config.settings import Settings
from trading_system.domain.errors import DeadlineExceeded, Outcome, VenueUnavailable
from trading_system.domain.orders import Fill
from trading_system.domain.ports import Clock
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.execution.journal.store import Journal
from trading_system.live.account_side import account_side_of
from trading_system.live.adoption import take_over
from trading_system.live.client import GatedClient
from trading_system.live.collector import tame_collector
from trading_system.live.connection import Account, Traffic, VenueConnection
from trading_system.live.ending import becomes_true, bring_to_rest, flatten
from trading_system.live.feed import MarketFeed
from trading_system.live.market_making import MarketMaking, market_making_of
from trading_system.live.optimizers import optimizers_of
from trading_system.live.parent_desk import ParentDesk
from trading_system.live.protection import Protection
from trading_system.live.quoting import QuotingDesk
from trading_system.live.restraint import Restraint
from trading_system.live.settling import cancel_and_settle
from trading_system.live.signal_trading import newest_slippage, signal_trader_of
from trading_system.live.streams import SessionStreams
from trading_system.live.upkeep import Upkeep
from trading_system.live.venue_time import VenueTime
from trading_system.market.warm import warm
from trading_system.monitoring.loop_lag import LoopLag
from trading_system.risk.limits import TradingState
from trading_system.runtime.lifecycle import Spawn
from trading_system.venues.bybit.reading import BybitReads

STARTING = "start"
"""Source of the hold that is in force until streams and books are ready."""

_RECOVERY_S = 15.0
_RECOVERY_MARGIN_S = 4.0
_READY_S = 20.0


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
        self._release_collector: Callable[[], None] = _nothing
        self._is_ending = False
        self.journal, self.latency = journal, connection.latency
        self.venue_account, self.instruments = account, account.instruments
        self.last_frames_per_second: float | None = None
        self.loop_lag = LoopLag(clock=clock)

        # From the market's frames to a consensus.
        self.signals = AISignalOptimizer(
            settings.optimization, clock=clock, extra_signals=settings.strategy.signal
        )
        self.feed = self._market_feed()
        self.venue_time = VenueTime(connection, self.feed, offset_ms=account.clock_offset_ms)

        # From a decision to the account's orders, and back.
        self._side = side = account_side_of(
            settings,
            connection,
            account=account,
            feed=self.feed,
            venue_time=self.venue_time,
            journal=journal,
            run_id=run_id,
            clock=clock,
            on_booked=self._on_booked,
            on_funded=self._on_funded,
        )
        self.portfolio, self.engine, self.executor = side.portfolio, side.engine, side.executor
        self.reports, self.reconciler = side.reports, side.reconciler
        self.protection = Protection(
            side.engine, missing=self.unprotected, timeout_s=self._timeout_s
        )
        self.client = self._gated_client(account)
        self.optimizers = optimizers_of(
            self.client, transport=connection.transport, settings=settings, clock=clock
        )

        # From a consensus to a decision.
        self.restraint = Restraint(side.engine, rules=settings.strategy, clock=clock)
        self.desk = ParentDesk(
            side.engine,
            performance=self.optimizers.performance,
            restraint=self.restraint,
            protection=self.protection,
        )
        self.trader = signal_trader_of(
            self.desk,
            account=account,
            portfolio=side.portfolio,
            settings=settings,
            clock=clock,
            spawn=spawn,
        )
        self.slippage_bps = newest_slippage(self.trader)
        self.making = self._market_making() if settings.strategy.name == "market-maker" else None

        self._streams = self._session_streams()
        self.outage = self._streams.outage
        self.private, self.public = self._streams.private, self._streams.public
        self._upkeep = self._rounds()

    def _market_feed(self) -> MarketFeed:
        return MarketFeed(
            self.instruments,
            clock=self._clock,
            latency=self.latency,
            decide=self._decide,
            call_soon=asyncio.get_running_loop().call_soon,
            panel_of=self.signals.panel,
            has_context=self._settings.optimization.context_book,
        )

    def _gated_client(self, account: Account) -> GatedClient:
        gateway = self._connection.gateway
        quoting = QuotingDesk(
            engine=self.engine,
            feed=self.feed,
            portfolio=self.portfolio,
            costs=account.costs,
            candles=BybitReads(gateway, timeout_s=self._timeout_s).get_kline_data,
            may_open=self.may_open,
            clock=self._clock,
            timeout_s=self._timeout_s,
        )
        return GatedClient(
            gateway,
            engine=self.engine,
            executor=self.executor,
            feed=self.feed,
            timeout_s=self._timeout_s,
            after_fill=self.protection.protect_now,
            quoting=quoting,
        )

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

    def _session_streams(self) -> SessionStreams:
        return SessionStreams(
            self._connection,
            feed=self.feed,
            account=self._side,
            venue_time=self.venue_time,
            spawn=self._spawn,
        )

    def _rounds(self) -> Upkeep:
        rest = self._connection.rest
        return Upkeep(
            self._side,
            feed=self.feed,
            public=self.public,
            venue_time=self.venue_time,
            protection=self.protection,
            latency=self.optimizers.latency,
            banned_for_s=lambda: rest.banned_for_s,
            on_mark=self._on_mark,
            stale_book_s=self._settings.risk.stale_book_s,
            clock=self._clock,
        )

    # --- what others read ---------------------------------------------------------------------

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

    def own_quantity(self, symbol: str) -> Decimal:
        """Return the part of the position that this system opened, signed."""
        return self.engine.own_quantity(symbol)

    def unprotected(self) -> dict[str, Decimal]:
        """Return the stop that each own position without one at the venue should get."""
        keeper = self.trader.unprotected if self.making is None else self.making.stops.missing
        return keeper(self.reconciler.venue_stops)

    def note_venue(self, *, is_up: bool) -> None:
        """Note that the embedded venue's process died or came back."""
        self._streams.note_venue(is_up=is_up)

    # --- the start ----------------------------------------------------------------------------

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
        await self._adopt(is_fresh_account=is_fresh_account)
        self._streams.start()
        await self._ready()
        self._release_collector = tame_collector()
        self._upkeep.start(self._spawn)
        self._spawn("loop-lag", self.loop_lag.run())
        for symbol in self.instruments:
            panel = self.signals.panel(symbol)
            if panel.has_async:
                self._spawn(f"agents-{symbol}", panel.serve())
        self.engine.holds.clear(STARTING)
        if self.making is not None:
            self.making.start(self._spawn)

    async def _adopt(self, *, is_fresh_account: bool) -> None:
        """Conclude what earlier runs left open and take over their positions."""
        await self.engine.recover(
            deadline_s=max(_RECOVERY_S, self.engine.doubt_s + _RECOVERY_MARGIN_S),
            timeout_s=self._timeout_s,
            is_fresh_account=is_fresh_account,
        )
        if is_fresh_account:
            self.engine.losses.reset()
        await self.reconciler.adopt()
        take_over(self.portfolio, engine=self.engine, journal=self.journal)
        if self.making is not None:
            self.making.adopt()

    async def _ready(self) -> None:
        wanted = len(self.instruments)
        if not await becomes_true(
            lambda: self.private.is_up and self.feed.fresh_books(_READY_S) == wanted,
            within_s=_READY_S,
        ):
            raise DeadlineExceeded(f"streams were not ready within {_READY_S:.0f} s")

    # --- the tick -----------------------------------------------------------------------------

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

    def _on_mark(self, symbol: str, price: Decimal) -> None:
        if self.making is not None:
            self.making.on_mark(symbol, price)

    # --- the end ------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Start no new trades, pull quotes, give parents a bounded time, flatten if asked to.

        Positions are closed only when no own order is left that could open them again, or when
        time for that is up.
        """
        self.last_frames_per_second = self.feed.frames_per_second()
        self._is_ending = True
        await bring_to_rest(self.trader, executor=self.executor, making=self.making)
        if self._settings.strategy.flatten_on_stop:
            await cancel_and_settle(self.engine, timeout_s=self._timeout_s)
            await flatten(self.trader, self.instruments)

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
