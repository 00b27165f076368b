"""The comparison with the venue: positions of both sides, and what was missed in between."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

import structlog

from trading_system.domain.errors import CorruptDataError, VenueError
from trading_system.domain.orders import Fill, Funding, OrderReport, PositionReport
from trading_system.domain.ports import Clock
from trading_system.execution.engine import ExecutionEngine
from trading_system.live.account import Stake
from trading_system.risk.limits import TradingState
from trading_system.risk.portfolio import Portfolio

_LOG = structlog.get_logger(__name__)
_MAX_MISSES = 6
_HOLD = "reconciliation"
_OVERLAP_MS = 5_000
_HISTORY_LAG_NS = 60_000_000_000  # executions may be listed later than they happened
_HEAL_EVERY_NS = 5_000_000_000
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_FLAT = Decimal(0)
_NO_OFFSET: Callable[[], int] = int


class AccountQueries(Protocol):
    """Read side of the venue's account."""

    async def positions(self) -> list[PositionReport]:
        """Return all open positions."""
        ...

    async def open_orders(self) -> list[OrderReport]:
        """Return every open order of the account, protective stops marked as such."""
        ...

    async def executions_since(self, start_ms: int) -> Sequence[Fill | Funding]:
        """Return trades and funding from ``start_ms`` (UTC milliseconds) on, oldest first."""
        ...


class Reconciler:
    """Compares local positions with the venue's; while they differ, only reducing is allowed.

    What makes them differ may be an execution that was never told: those since both sides were last
    known to agree are read again. A symbol that is not traded here counts by its net position,
    whatever its mode.

    Parameters
    ----------
    queries : AccountQueries
        Read side of the venue.
    portfolio : Portfolio
        Local truth.
    engine : ExecutionEngine
        Source of orders at work, whose fills may be under way when both sides differ.
    clock : Clock
        Age of the newest comparison.
    offset_ns : Callable[[], int]
        The venue's clock minus ours, nanoseconds: executions are asked for by the venue's time.
    merged : Callable[[Fill], Fill]
        Adds what a stream told first to an execution that a query found.
    """

    def __init__(
        self,
        queries: AccountQueries,
        *,
        portfolio: Portfolio,
        engine: ExecutionEngine,
        clock: Clock,
        offset_ns: Callable[[], int] = _NO_OFFSET,
        merged: Callable[[Fill], Fill] = lambda fill: fill,
    ) -> None:
        self._clock = clock
        self._offset_ns = offset_ns
        self._merged = merged
        self._compared_ns: int | None = None
        self._queries = queries
        self._portfolio = portfolio
        self._engine = engine
        self.positions_agree: bool | None = None
        self.venue: dict[str, Decimal] | None = None
        self.venue_stops: dict[str, Decimal | None] = {}
        self.comparisons = 0
        self.differences = 0
        self.misses = 0
        self._suspected: dict[Stake, tuple[Decimal, Decimal]] = {}
        self._adopted_ns: dict[str, int] = {}
        self._first_ms = 0
        self._agreed_ns: int | None = None  # venue's time up to which nothing was missed
        self._healed_ns: int | None = None  # own monotonic time

    async def adopt(self) -> None:
        """Take over the positions that exist at the venue before the first order."""
        self._agreed_ns = self.venue_ns()
        self._first_ms = self._agreed_ns // _NS_PER_MS
        for report in await self._positions():
            if report.entry_price is None:
                raise CorruptDataError(f"a {report.symbol} position without an entry price")
            self._portfolio.adopt(
                report.symbol,
                report.quantity,
                report.entry_price,
                position_idx=report.position_idx,
            )
            self._adopted_ns[report.symbol] = report.ts_exchange_ns
            self._mark_foreign(report)
            _LOG.info("position adopted", symbol=report.symbol, quantity=str(report.quantity))
        self._compared_ns = self._clock.monotonic_ns()
        self.positions_agree = True
        self.venue = _net(self._stakes())

    def venue_ns(self) -> int:
        """Return the venue's time as far as it is known, UTC nanoseconds."""
        return self._clock.utc_ns() + self._offset_ns()

    async def _positions(self) -> list[PositionReport]:
        """Return what is open; both sides of a symbol that is not traded here as one."""
        found: dict[Stake, PositionReport] = {}
        for report in await self._queries.positions():
            index = report.position_idx if self._engine.trades(report.symbol) else 0
            stake, one = (report.symbol, index), replace(report, position_idx=index)
            found[stake] = _joined(found[stake], one) if stake in found else one
        return [report for report in found.values() if report.quantity]

    @property
    def is_suspicious(self) -> bool:
        """Whether the newest reading found a difference: compare again soon."""
        return bool(self._suspected)

    @property
    def compared_age_s(self) -> float | None:
        """Seconds since both sides were last compared, None before the first time."""
        if self._compared_ns is None:
            return None
        return (self._clock.monotonic_ns() - self._compared_ns) / _NS_PER_S

    async def check(self) -> bool:
        """Compare, and let the gate open positions only while both sides are known to agree.

        A comparison that fails again and again is no agreement either. Return whether the venue
        answered.
        """
        agree, is_answered = None, True
        try:
            agree = await self.compare()
            if agree is False and await self._heal():
                agree = await self.compare()
        except (VenueError, CorruptDataError) as e:
            is_answered = False
            _LOG.warning("position comparison failed", error=str(e))
        self.misses = self.misses + 1 if agree is None else 0
        if self.misses >= _MAX_MISSES:
            self.positions_agree = None
        self._guard()
        return is_answered

    async def agrees_now(self) -> bool:
        """Compare, as :meth:`check`; return whether this very comparison found both sides equal."""
        before = self.comparisons
        await self.check()
        return self.comparisons > before and self.positions_agree is True

    def _guard(self) -> None:
        if self.positions_agree:
            self._engine.holds.clear(_HOLD)
            return
        known = "are not known" if self.positions_agree is None else "differ"
        self._engine.holds.set(_HOLD, TradingState.REDUCING, f"local and venue positions {known}")

    async def _heal(self) -> bool:
        """Read what was missed since both sides agreed; return whether that was read now."""
        now_ns, venue_ns = self._clock.monotonic_ns(), self.venue_ns()
        is_due = self._healed_ns is None or now_ns - self._healed_ns >= _HEAL_EVERY_NS
        if self._agreed_ns is None or not is_due:
            return False
        self._healed_ns = now_ns
        if not await self.catch_up():
            return False
        self._agreed_ns = max(self._agreed_ns, venue_ns - _HISTORY_LAG_NS)
        return True

    async def catch_up(self, since_ns: int | None = None) -> bool:
        """Learn what the private stream may have missed since a time of the venue's clock.

        Trades, foreign ones included, and funding from a little earlier on, then the state of every
        own order at work: those the venue lists as open as it lists them, each other one by its own
        look-up. What is known already changes nothing, nor does what adopted positions contain.
        Return whether everything could be read.

        Parameters
        ----------
        since_ns : int or None
            UTC nanoseconds; None is the time both sides were last known to agree.
        """
        since_ns = self._agreed_ns if since_ns is None else since_ns
        if since_ns is None:
            return True
        since_ms = max(since_ns // _NS_PER_MS - _OVERLAP_MS, self._first_ms)
        try:
            for told in await self._queries.executions_since(since_ms):
                self._apply(told)
            listed = await self._queries.open_orders()
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("what was missed could not be read", error=str(e))
            return False
        await self._follow(listed)
        return True

    def _apply(self, told: Fill | Funding) -> None:
        if isinstance(told, Funding):
            self._engine.on_funding(told.symbol, told.amount, told.exec_id)
        elif told.ts_exchange_ns > self._adopted_ns.get(told.symbol, -1):
            self._engine.on_fill(self._merged(told))

    async def _follow(self, listed: Sequence[OrderReport]) -> None:
        for report in listed:
            if self._engine.order(report.link_id) is not None:
                self._engine.on_report(report)
        seen = {report.link_id for report in listed}
        for order in self._engine.live_orders:
            if order.intent.link_id not in seen or order.is_in_doubt:
                await self._engine.look_up(order)

    async def compare(self) -> bool | None:
        """Compare once and return whether both sides agree, None where that cannot be said.

        A difference of a symbol with an order at work may be a fill under way: such orders are
        looked up, and it is a difference if the next comparison finds both sides as they were.
        """
        at_work, before, asked_ns = self._at_work(), self._stakes(), self.venue_ns()
        reports = await self._positions()
        self.venue_stops = _stops(reports)
        for report in reports:
            self._mark_foreign(report)
        venue = {(r.symbol, r.position_idx): r.quantity for r in reports}
        if self._stakes() != before:
            return None
        differing = _differing(before, venue)
        known, self._suspected = self._suspected, differing
        at_work |= self._at_work()
        symbols = {symbol for symbol, _ in differing}
        if differing and symbols <= at_work and not known.items() & differing.items():
            await self._look_up(symbols)
            return None
        if self._judge(before, venue):
            self._agreed_ns = asked_ns
        return self.positions_agree

    def _mark_foreign(self, report: PositionReport) -> None:
        """Value a position in a symbol of which there is no market data here."""
        if report.mark_price is not None and not self._engine.trades(report.symbol):
            self._portfolio.mark(report.symbol, report.mark_price)

    def _judge(self, local: dict[Stake, Decimal], venue: dict[Stake, Decimal]) -> bool:
        self.comparisons += 1
        self._compared_ns = self._clock.monotonic_ns()
        self.venue = _net(venue)
        self.positions_agree = venue == local
        if not self.positions_agree:
            self.differences += 1
            _LOG.error("positions differ", local=_text(local), venue=_text(venue))
        return self.positions_agree

    def _at_work(self) -> set[str]:
        return {order.intent.symbol for order in self._engine.live_orders}

    async def _look_up(self, symbols: Collection[str]) -> None:
        """Book the fills that the private stream may owe."""
        for order in self._engine.live_orders:
            if order.intent.symbol in symbols:
                await self._engine.look_up(order)

    def local(self) -> dict[str, Decimal]:
        """Return the local net positions that are not flat, signed, base currency."""
        return _net(self._stakes())

    def _stakes(self) -> dict[Stake, Decimal]:
        stakes = self._portfolio.stakes
        return {(p.symbol, p.position_idx): p.quantity for p in stakes if p.quantity}


def _differing(
    local: dict[Stake, Decimal], venue: dict[Stake, Decimal]
) -> dict[Stake, tuple[Decimal, Decimal]]:
    """Return local and venue quantity of each stake in which they differ."""
    both = {s: (local.get(s, _FLAT), venue.get(s, _FLAT)) for s in local.keys() | venue.keys()}
    return {stake: pair for stake, pair in both.items() if pair[0] != pair[1]}


def _joined(one: PositionReport, other: PositionReport) -> PositionReport:
    """Return the net of both sides of one symbol, at the prices of the larger side."""
    larger = max(one, other, key=lambda report: abs(report.quantity))
    stamp_ns = max(one.ts_exchange_ns, other.ts_exchange_ns)
    return replace(larger, quantity=one.quantity + other.quantity, ts_exchange_ns=stamp_ns)


def _net(stakes: dict[Stake, Decimal]) -> dict[str, Decimal]:
    """Return the net quantity of each symbol that is not flat."""
    net: dict[str, Decimal] = {}
    for (symbol, _), quantity in stakes.items():
        net[symbol] = net.get(symbol, _FLAT) + quantity
    return {symbol: quantity for symbol, quantity in net.items() if quantity}


def _stops(reports: Sequence[PositionReport]) -> dict[str, Decimal | None]:
    """Return the stop that rests for each symbol: in hedge mode that of the larger side."""
    by_size = sorted(reports, key=lambda report: abs(report.quantity))
    return {report.symbol: report.stop_price for report in by_size}


def _text(positions: dict[Stake, Decimal]) -> dict[str, str]:
    names = {(s, i): s if not i else f"{s}/{i}" for s, i in positions}
    return {names[stake]: str(quantity) for stake, quantity in positions.items()}
