"""The market maker: keeps quotes on both sides of each symbol, through the risk gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, Final

import structlog

from agents.market_maker.budget import VENUE_RATE, Budget
from agents.market_maker.desk import Desk, QuoteCounts
from agents.market_maker.own import OwnQuotes
from agents.market_maker.pace import Pace
from agents.market_maker.plan import Plan, Step
from agents.market_maker.quoting import Quoter, Scale, Silence
from agents.market_maker.rations import Rations
from agents.market_maker.recall import Recall
from agents.market_maker.sending import CONTAINED, Result, Sender
from optimizers.volatility_calculator import VolatilityCalculator
from trading_system.config.sections import MarketMakerSettings, PerformanceSettings, RiskSettings
from trading_system.domain.errors import ValidationError
from trading_system.domain.ports import Clock, QuotingVenue
from trading_system.runtime.clock import SystemClock
from trading_system.runtime.deadline import within

_LOG = structlog.get_logger(__name__)
_NS_PER_S: Final = 1_000_000_000
_READY_DEADLINE_S: Final = 30.0
_READ_DEADLINE_S: Final = 2.0
_GUARD_INTERVAL_S: Final = 0.1


class MarketMaker:
    """Quotes both sides of some symbols and keeps the quotes where they belong.

    One task drives it: :meth:`run`, or :meth:`cycle` by hand. Errors of the venue and refusals of
    the risk gate are counted and do not end it.

    Parameters
    ----------
    exchange : QuotingVenue
        The gated client.
    symbols : Sequence of str
        Symbols to quote, at least one.
    settings : MarketMakerSettings or None
        How to quote; None takes the defaults.
    performance : PerformanceSettings or None
        Batch size, cache times and thresholds; None takes the defaults.
    risk : RiskSettings or None
        The gate's limits of new orders and price changes in a second, of which the maker leaves
        one; None takes the defaults.
    venue_rate : int
        New orders, price changes and cancellations, each, that the venue takes in a second.
    volatility : VolatilityCalculator or None
        None makes one that reads its candles from ``exchange``.
    clock : Clock or None
        None uses the machine's clocks.
    pause : Callable
        Waits a number of seconds.

    Attributes
    ----------
    volatility : VolatilityCalculator
        The one in use.
    paused_because : str or None
        Why nothing is quoted; see :meth:`pause`.
    """

    def __init__(
        self,
        exchange: QuotingVenue,
        *,
        symbols: Sequence[str],
        settings: MarketMakerSettings | None = None,
        performance: PerformanceSettings | None = None,
        risk: RiskSettings | None = None,
        venue_rate: int = VENUE_RATE,
        volatility: VolatilityCalculator | None = None,
        clock: Clock | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not symbols or isinstance(symbols, str) or len(set(symbols)) != len(symbols):
            raise ValidationError(f"symbols must be different names, were {symbols!r}")
        if venue_rate < 1:
            raise ValidationError(f"the venue's rate must be 1 or more, was {venue_rate}")
        self.settings = settings or MarketMakerSettings()
        self._performance = performance or PerformanceSettings()
        self._clock = clock or SystemClock()
        self._exchange = quotes = OwnQuotes(exchange)
        self.volatility = volatility or VolatilityCalculator(
            exchange,
            settings=self._performance,
            clock=self._clock,
            period=self.settings.atr_period,
        )
        self._wait = pause
        self._budget = Budget(risk or RiskSettings(), venue_rate=venue_rate, clock=self._clock)
        self._rations = Rations(self._budget, clock=self._clock)
        self._sender = Sender(
            quotes, settings=self._performance, budget=self._budget, clock=self._clock
        )
        self._pace = Pace(self.settings.update_interval_s)
        self._counts = QuoteCounts()
        self._desks = {
            symbol: Desk(symbol, quotes, self._clock, self.settings.update_interval_s, self._counts)
            for symbol in symbols
        }
        self._recall = Recall(
            self._desks, exchange=quotes, sender=self._sender, budget=self._budget, wait=pause
        )
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._is_ending = False
        self._skipped = 0
        self._interval_s = self.settings.update_interval_s
        self._logged_ns = self._clock.monotonic_ns()
        self.paused_because: str | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols quoted."""
        return tuple(self._desks)

    async def run(self) -> None:
        """Quote until :meth:`wind_down`: cycles, and in between a look at each book.

        Between cycles every 0.1 s, or at once after :meth:`on_book_change`, each symbol whose
        quotes cannot wait is quoted anew, or pulled. A second task that waits for no answer looks
        every 0.1 s whether orders rest that should not, so that one unanswered request keeps no
        other quote in the book.
        """
        async with asyncio.TaskGroup() as group:
            recalling = group.create_task(self._recall.keep(group, self._silence))
            while not self._is_ending:
                started_ns = self._clock.monotonic_ns()
                await self.cycle()
                self._interval_s = self.optimize_update_interval(self._interval_s)
                self._log_when_due()
                await self._watch(started_ns + round(self._interval_s * _NS_PER_S))
            recalling.cancel()

    async def cycle(self) -> None:
        """Bring the quotes of all symbols to where they belong now."""
        async with self._lock:
            started_ns = self._clock.monotonic_ns()
            await self._prepare()
            silence = self._silence()
            due = [desk for desk in self._desks.values() if not desk.may_skip(silence)]
            await self._requote(due, is_hasty=False)
            self._skipped += not due
            self._pace.record((self._clock.monotonic_ns() - started_ns) / _NS_PER_S)

    async def guard(self) -> tuple[str, ...]:
        """Quote anew, or pull, the symbols that cannot wait, and return them.

        So too with symbols that had to wait for the budget, as soon as it suffices. Moves that rely
        on others are left to the next cycle. Costs no request where nothing is wrong.
        """
        self._wake.clear()
        silence = self._silence()
        owing = self._rations.due()
        urgent = [
            desk for desk in self._desks.values() if desk.is_urgent(silence) or desk.symbol in owing
        ]
        if urgent:
            async with self._lock:
                await self._requote(urgent, is_hasty=True)
        return tuple(desk.symbol for desk in urgent)

    def on_book_change(self, symbol: str) -> None:
        """Say that the book of ``symbol`` changed; :meth:`run` then looks at it at once."""
        if symbol in self._desks:
            self._wake.set()

    def pause(self, reason: str) -> None:
        """Quote nothing until :meth:`resume`; quotes in the book are cancelled by :meth:`run`."""
        self.paused_because = self.paused_because or reason
        self._wake.set()

    def resume(self) -> None:
        """Quote again."""
        self.paused_because = None
        self._wake.set()

    async def pull(self, reason: str) -> bool:
        """Cancel all own orders of all symbols and wait until the venue has confirmed it.

        What is not gone half a second later is asked for again, answered or not. The next cycle
        quotes again unless :meth:`pause` was called.

        Returns
        -------
        bool
            Whether nothing is left in the book.
        """
        return await self._pull(tuple(self._desks), reason)

    @asynccontextmanager
    async def standing_aside(self, symbol: str, reason: str) -> AsyncIterator[bool]:
        """Quote nothing of ``symbol`` inside the block, so that another own order may trade.

        Its quotes are cancelled before the block begins; all other symbols go on. The block gets
        whether nothing of the symbol is left in the book.
        """
        desk = self._desks.get(symbol)
        if desk is None:
            yield True
            return
        desk.asides += 1
        try:
            yield await self._pull((symbol,), reason)
        finally:
            desk.asides -= 1
            self._wake.set()

    async def wind_down(self) -> bool:
        """End :meth:`run`, quote no more and cancel everything; the inventory is left as it is.

        Returns
        -------
        bool
            Whether nothing is left in the book.
        """
        self._is_ending = True
        self.pause("winding down")
        return await self.pull("winding down")

    def optimize_update_interval(
        self, interval: float, avg_cycle_time: float | None = None
    ) -> float:
        """Return the interval, seconds, that suits the cycles; see :meth:`Pace.interval`.

        Parameters
        ----------
        interval : float
            Present interval, seconds.
        avg_cycle_time : float or None
            Mean duration of a cycle, seconds; None takes that of the newest ones.
        """
        return self._pace.interval(interval, avg_cycle_time)

    def collect_performance_stats(self) -> dict[str, Any]:
        """Return the figures of cycles, volatility, requests, quotes, errors and inventory.

        Durations in seconds, rates in percent, inventory in base currency and its value in quote
        currency. Every key is there from the start.
        """
        counts = self._sender.counts
        cycles = self._pace.cycles
        return {
            "cycle_times": self._pace.summary(),
            "update_interval": self._interval_s,
            "volatility": self.volatility.get_cache_stats(),
            "requests": {
                "creates": counts.creates,
                "amends": counts.amends,
                "cancels": counts.cancels,
                "calls": counts.calls,
                "slow": counts.slow,
                "rate_waits": self._rations.waits,
                "owed": self._rations.owed,
                "per_10_cycles": 10.0 * counts.calls / cycles if cycles else 0.0,
            },
            "quotes": {
                **asdict(self._counts),
                "resting": len(self._recall.resting(self._desks)),
                "wanted": sum(len(d.target.bids + d.target.asks) for d in self._desks.values()),
            },
            "skipped": self._skipped,
            "errors": {
                "denied": counts.denied,
                "failed": counts.failed,
                "denials": dict(counts.denials),
                "last": counts.last_error,
            },
            "inventory": {symbol: self._inventory(symbol) for symbol in self._desks},
            "paused": self.paused_because,
        }

    async def _prepare(self) -> None:
        try:
            async with within(_READY_DEADLINE_S, "connecting"):
                await self._exchange.ensure_ready()
        except CONTAINED as e:
            self._fail("connecting", e)
            return
        async with asyncio.TaskGroup() as group:
            for desk in self._desks.values():
                group.create_task(self._equip(desk))

    async def _equip(self, desk: Desk) -> None:
        symbol = desk.symbol
        try:
            async with within(_READ_DEADLINE_S, f"reading {symbol}"):
                instrument = await self._exchange.instrument(symbol)
                fee = self._exchange.maker_fee(symbol)
                held = desk.quoter
                if held is None or held.instrument != instrument or held.maker_fee != fee:
                    desk.quoter = Quoter(instrument, self.settings, maker_fee=fee)
                scale = await self._scale(symbol)
        except CONTAINED as e:
            self._fail(f"reading {symbol}", e)
        else:
            desk.take_scale(scale)

    async def _scale(self, symbol: str) -> Scale:
        atr = await self.volatility.get_atr(symbol)
        if self.settings.quoting == "atr":
            return Scale(atr)
        return Scale(atr, await self.volatility.get_volatility(symbol))

    async def _requote(self, desks: Iterable[Desk], *, is_hasty: bool) -> None:
        silence = self._silence()
        plans: dict[str, Plan] = {}
        for desk in desks:
            try:
                plans[desk.symbol] = desk.decide(silence)
            except CONTAINED as e:
                self._fail(f"quoting {desk.symbol}", e)
        self._rations.begin(plans)
        results = await self._send({symbol: plan.first for symbol, plan in plans.items()})
        if self._silence() is silence and not is_hasty:
            # The second steps rely on the first ones.
            results |= await self._send(
                {
                    symbol: plan.second
                    for symbol, plan in plans.items()
                    if self._rations.is_complete(symbol)
                    and (symbol not in results or results[symbol].is_clean)
                }
            )
        for symbol, result in results.items():
            self._desks[symbol].learn(result)

    async def _send(self, steps: Mapping[str, Step]) -> dict[str, Result]:
        pulled = {symbol for symbol in steps if self._desks[symbol].target.silence is not None}
        still = {symbol: self._not_asked(steps[symbol]) for symbol in pulled}
        parts = self._rations.cut({**steps, **still}, pulled=pulled)
        quoters = [(symbol, self._desks[symbol].quoter) for symbol in parts]
        return await self._sender.send(
            [(quoter.instrument, parts[symbol]) for symbol, quoter in quoters if quoter is not None]
        )

    def _not_asked(self, step: Step) -> Step:
        # Without the cancellations that were asked for just now.
        return replace(step, cancels=tuple(filter(self._sender.may_ask, step.cancels)))

    def _silence(self) -> Silence | None:
        if self.paused_because is not None:
            return Silence.PAUSED
        return None if self._exchange.may_open() else Silence.HALTED

    async def _pull(self, names: tuple[str, ...], reason: str) -> bool:
        is_busy = self._lock.locked()
        async with asyncio.TaskGroup() as group:
            if is_busy:  # perhaps with a request that nobody answers
                self._recall.ask(group, names, Silence.PAUSED)
            async with self._lock:
                self._recall.pulling = frozenset(names)
                try:
                    if is_busy:
                        await self._recall.until_gone(names)
                    await self._recall.cancel_all(group, names, reason)
                finally:
                    self._recall.pulling = frozenset()
        left = self._recall.resting(names)
        if left:
            _LOG.error("quotes could not be pulled", reason=reason, orders=len(left))
        return not left

    async def _watch(self, until_ns: int) -> None:
        while not self._is_ending:
            left_s = (until_ns - self._clock.monotonic_ns()) / _NS_PER_S
            if left_s <= 0:
                return
            owed_s = self._rations.wait_s() or _GUARD_INTERVAL_S
            await self._idle(min(left_s, owed_s, _GUARD_INTERVAL_S))
            await self.guard()

    async def _idle(self, seconds: float) -> None:
        # Until the time is over or somebody wakes us.
        async with asyncio.TaskGroup() as group:
            waits = [
                group.create_task(self._sleep(seconds)),
                group.create_task(self._woken()),
            ]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _sleep(self, seconds: float) -> None:
        await self._wait(seconds)

    async def _woken(self) -> None:
        await self._wake.wait()

    def _inventory(self, symbol: str) -> dict[str, Any]:
        desk = self._desks[symbol]
        view = None if desk.quoter is None else self._exchange.quote_view(symbol)
        silence = desk.target.silence
        return {
            "quantity": None if view is None else float(view.position),
            "notional": None if view is None else float(view.position) * view.mid,
            "limit": float(self.settings.max_inventory_notional),
            "half_spread_bps": desk.half_spread_bps,
            "silence": None if silence is None else silence.value,
        }

    def _fail(self, what: str, error: Exception) -> None:
        self._sender.note(error)
        _LOG.warning("a cycle goes on without", what=what, error=str(error))

    def _log_when_due(self) -> None:
        now_ns = self._clock.monotonic_ns()
        due_ns = self._logged_ns + round(self._performance.performance_log_interval_s * _NS_PER_S)
        if now_ns >= due_ns:
            self._logged_ns = now_ns
            _LOG.info("market maker performance", **self.collect_performance_stats())
