"""Own account: private frames to engine and portfolio, and the comparison with the venue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec
import structlog

from trading_system.domain.errors import CorruptDataError, VenueError
from trading_system.domain.instruments import parse_decimal
from trading_system.domain.orders import Fill, PositionReport
from trading_system.domain.ports import Clock
from trading_system.execution.engine import LINK_PREFIX, ExecutionEngine
from trading_system.risk.limits import TradingState
from trading_system.risk.portfolio import Portfolio
from trading_system.venues.bybit import wire

_LOG = structlog.get_logger(__name__)
_MAX_MISSES = 6
_HOLD = "reconciliation"
_OVERLAP_MS = 5_000
_NS_PER_S = 1_000_000_000
_FLAT = Decimal(0)


class AccountQueries(Protocol):
    """Read side of the venue's account."""

    async def positions(self) -> list[PositionReport]:
        """Return all open positions."""
        ...

    async def executions_since(self, start_ms: int) -> list[Fill]:
        """Return every execution from ``start_ms`` (UTC, epoch milliseconds) on, oldest first."""
        ...


class AccountFeed:
    """Applies private frames; the execution stream books, the order stream decides states.

    Parameters
    ----------
    engine : ExecutionEngine
        Receiver of reports and fills.
    """

    def __init__(self, engine: ExecutionEngine) -> None:
        self._engine = engine
        self._frame = msgspec.json.Decoder(wire.PrivateFrame)
        self._orders = msgspec.json.Decoder(list[wire.OrderRow])
        self._executions = msgspec.json.Decoder(list[wire.ExecutionRow])
        self._positions = msgspec.json.Decoder(list[wire.PositionRow])
        self._wallets = msgspec.json.Decoder(list[wire.WalletRow])
        self._handlers: dict[str, Callable[[msgspec.Raw, int], None]] = {
            "order": self._on_orders,
            "execution": self._on_executions,
            "position": self._on_positions,
            "wallet": self._on_wallet,
        }
        self.venue_positions: dict[str, Decimal] = {}
        self.equity: Decimal | None = None
        self.frames = 0

    def on_frame(self, frame: bytes, _received_ns: int) -> None:
        """Apply one private frame.

        Raises
        ------
        CorruptDataError
            If the frame is malformed; the owner reconnects and reconciles.
        """
        self.frames += 1
        message = wire.decode(frame, self._frame, what="private frame")
        handler = self._handlers.get(message.topic)
        if handler is None:
            raise CorruptDataError(f"private topic that was not subscribed: {message.topic!r}")
        handler(message.data, message.creationTime)

    def _on_orders(self, data: msgspec.Raw, _created_ms: int) -> None:
        for row in wire.decode(data, self._orders, what="order rows"):
            if row.category == "linear":
                self._engine.on_report(wire.order_report(row))

    def _on_executions(self, data: msgspec.Raw, _created_ms: int) -> None:
        for row in wire.decode(data, self._executions, what="execution rows"):
            if row.category != "linear":
                continue
            if row.execType in wire.POSITION_TRADES:
                self._engine.on_fill(wire.fill(row))
            elif row.execType == "Funding":
                # Paid funding is a fee above zero; the portfolio counts what was received.
                paid = parse_decimal(row.execFee)
                self._engine.on_funding(row.symbol, -paid, row.execId)

    def _on_positions(self, data: msgspec.Raw, _created_ms: int) -> None:
        for row in wire.decode(data, self._positions, what="position rows"):
            report = wire.position_report(row)
            self.venue_positions[report.symbol] = report.quantity

    def _on_wallet(self, data: msgspec.Raw, created_ms: int) -> None:
        for row in wire.decode(data, self._wallets, what="wallet rows"):
            self.equity = wire.wallet_report(row, ts_exchange_ns=created_ms * 1_000_000).equity


class Reconciler:
    """Compares local positions with the venue's; while they differ, only reducing is allowed.

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
    """

    def __init__(
        self,
        queries: AccountQueries,
        *,
        portfolio: Portfolio,
        engine: ExecutionEngine,
        clock: Clock,
    ) -> None:
        self._clock = clock
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
        self._suspected: dict[str, tuple[Decimal, Decimal]] = {}

    async def adopt(self) -> None:
        """Take over the positions that exist at the venue before the first order."""
        for report in await self._queries.positions():
            if not report.quantity:
                continue
            if report.entry_price is None:
                raise CorruptDataError(f"a {report.symbol} position without an entry price")
            self._portfolio.adopt(report.symbol, report.quantity, report.entry_price)
            _LOG.info("position adopted", symbol=report.symbol, quantity=str(report.quantity))
        self._compared_ns = self._clock.monotonic_ns()
        self.positions_agree = True
        self.venue = self.local()

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

    async def catch_up(self, since_utc_ns: int | None) -> bool:
        """Book executions that the private stream may have missed, foreign ones included.

        Return whether they could be read.
        """
        if since_utc_ns is None:
            return True
        since_ms = since_utc_ns // 1_000_000 - _OVERLAP_MS
        try:
            for fill in await self._queries.executions_since(since_ms):
                self._engine.on_fill(fill)
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("missed executions could not be read", error=str(e))
            return False
        return True

    async def compare(self) -> bool | None:
        """Compare once and return whether both sides agree, None where that cannot be said.

        A difference of a symbol with an order at work may be a fill under way: such orders are
        looked up, and it is a difference if the next comparison finds both sides as they were.
        """
        at_work, before = self._at_work(), self.local()
        reports = [r for r in await self._queries.positions() if r.quantity]
        self.venue_stops = {r.symbol: r.stop_price for r in reports}
        venue = {r.symbol: r.quantity for r in reports}
        if self.local() != before:
            return None
        differing = _differing(before, venue)
        known, self._suspected = self._suspected, differing
        at_work |= self._at_work()
        if differing and differing.keys() <= at_work and not known.items() & differing.items():
            await self._look_up(differing)
            return None
        return self._judge(before, venue)

    def _judge(self, local: dict[str, Decimal], venue: dict[str, Decimal]) -> bool:
        self.comparisons += 1
        self._compared_ns = self._clock.monotonic_ns()
        self.venue = venue
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
        """Return the local positions that are not flat, signed, base currency."""
        return {p.symbol: p.quantity for p in self._portfolio.positions if p.quantity}


def own_part(fills: Sequence[Fill], symbol: str, position: Decimal) -> Decimal:
    """Return the part of ``position`` that own orders opened, replayed from all its ``fills``.

    The same rule as while running: own orders add to the own part, and it ends whenever the
    position is flat. Executions of other orders move the position only. Where the fills, oldest
    first, do not add up to ``position``, somebody changed it unseen: then nothing counts as own,
    for a position that this system did not open is not its to close.
    """
    total = own = Decimal(0)
    for fill in fills:
        if fill.symbol != symbol:
            continue
        change = fill.quantity * fill.side.sign
        total += change
        own += change if fill.link_id.startswith(LINK_PREFIX) else Decimal(0)
        if not total:
            own = Decimal(0)
    if total != position or own * position <= 0:
        return Decimal(0)
    return min(own, position, key=abs)


def _differing(
    local: dict[str, Decimal], venue: dict[str, Decimal]
) -> dict[str, tuple[Decimal, Decimal]]:
    """Return local and venue quantity of each symbol in which they differ."""
    both = {s: (local.get(s, _FLAT), venue.get(s, _FLAT)) for s in local.keys() | venue.keys()}
    return {symbol: pair for symbol, pair in both.items() if pair[0] != pair[1]}


def _text(positions: dict[str, Decimal]) -> dict[str, str]:
    return {symbol: str(quantity) for symbol, quantity in positions.items()}
