"""What a running session does again and again: compare, mark, hold, protect, measure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from optimizers.latency_optimizer import LatencyOptimizer
from trading_system.domain.ports import Clock
from trading_system.live.account_side import AccountSide
from trading_system.live.address_ban import hold_while_banned
from trading_system.live.feed import MarketFeed
from trading_system.live.protection import Protection
from trading_system.live.settling import settle_silent
from trading_system.live.staleness import Renewable, hold_while_stale, renew_doubtful
from trading_system.live.venue_time import VenueTime
from trading_system.runtime.lifecycle import Spawn

_COMPARE_EVERY_S = 5.0
_COMPARE_AGAIN_S = 1.0
_CLOCK_EVERY_ROUNDS = 12
_MARK_EVERY_S = 0.5
_PROBE_EVERY_S = 5.0


class Upkeep:
    """The rounds of one session, each in a supervised task of its own.

    Parameters
    ----------
    account : AccountSide
        Compared with the venue, marked to market, its limits watched.
    feed : MarketFeed
        Mark prices, and how old the books are.
    public : Renewable
        The stream whose topics in doubt are subscribed anew.
    venue_time : VenueTime
        Measured again once a minute, and whenever a comparison fails.
    protection : Protection
        Rests the stops that positions lack.
    latency : LatencyOptimizer
        Measures the request path while no order needs it.
    banned_for_s : Callable[[], float]
        How long the venue still refuses this machine's address, seconds.
    on_mark : Callable
        Told every mark price: symbol, quote currency.
    stale_book_s : float
        Age from which a book holds trading, seconds.
    clock : Clock
        Ages of what the fast stream told.
    """

    def __init__(
        self,
        account: AccountSide,
        *,
        feed: MarketFeed,
        public: Renewable,
        venue_time: VenueTime,
        protection: Protection,
        latency: LatencyOptimizer,
        banned_for_s: Callable[[], float],
        on_mark: Callable[[str, Decimal], None],
        stale_book_s: float,
        clock: Clock,
    ) -> None:
        self._account = account
        self._engine = account.engine
        self._feed = feed
        self._public = public
        self._venue_time = venue_time
        self._protection = protection
        self._latency = latency
        self._banned_for_s = banned_for_s
        self._on_mark = on_mark
        self._stale_book_s = stale_book_s
        self._clock = clock

    def start(self, spawn: Spawn) -> None:
        """Begin every round."""
        spawn("compare", self._compare_forever())
        spawn("marks", self._mark_forever())
        spawn("venue-time", self._follow_time_forever())
        spawn("settling", settle_silent(self._engine, fetch_missing=self._fetch_missing))
        spawn("probe", self._probe_forever())

    async def _compare_forever(self) -> None:
        rounds, reconciler, is_answered = 0, self._account.reconciler, True
        await reconciler.catch_up()  # what happened before the private stream was there
        while True:
            is_urgent = reconciler.is_suspicious or not is_answered
            await asyncio.sleep(_COMPARE_AGAIN_S if is_urgent else _COMPARE_EVERY_S)
            rounds += 1
            is_answered = await reconciler.check()
            if not is_answered or rounds % _CLOCK_EVERY_ROUNDS == 0:
                await self._venue_time.synchronise()
            self._engine.check_journal()
            await self._protection.protect_missing()

    async def _mark_forever(self) -> None:
        while True:
            self._mark()
            self._engine.check_losses()
            hold_while_stale(self._feed, self._engine.holds, limit_s=self._stale_book_s)
            await renew_doubtful(self._feed, self._public)
            hold_while_banned(self._banned_for_s(), self._engine.holds)
            await asyncio.sleep(_MARK_EVERY_S)

    async def _follow_time_forever(self) -> None:
        while True:  # beside the marks, which must not wait for the venue's answer
            await self._venue_time.follow()
            await asyncio.sleep(_MARK_EVERY_S)

    def _mark(self) -> None:
        for symbol, state in self._feed.symbols.items():
            if state.ticker is not None and state.ticker.mark_price is not None:
                self._account.portfolio.mark(symbol, state.ticker.mark_price)
                self._on_mark(symbol, state.ticker.mark_price)

    async def _fetch_missing(self) -> None:
        """Ask for executions that only the fast stream told, once their full row is overdue."""
        fast, reconciler = self._account.reports.fast, self._account.reconciler
        waited_ns = fast.overdue_ns(self._clock.monotonic_ns())
        if waited_ns is None or not await reconciler.catch_up(reconciler.venue_ns() - waited_ns):
            return
        left_ns = fast.overdue_ns(self._clock.monotonic_ns())
        if left_ns is not None and left_ns >= waited_ns:
            fast.asked_in_vain(waited_ns)

    async def _probe_forever(self) -> None:
        """Measure the request path while no order needs it, and keep it warm."""
        symbol = next(iter(self._feed.symbols))
        while True:
            await asyncio.sleep(_PROBE_EVERY_S)
            await self._latency.optimize_market_data_request(symbol)
