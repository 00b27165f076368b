"""What this run knows of its own orders: reports, executions and look-ups become outcomes."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import structlog

from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    InvariantViolated,
    VenueError,
)
from trading_system.domain.orders import Fill, OrderReport
from trading_system.domain.ports import Clock
from trading_system.execution.brake import Brake
from trading_system.execution.journal.records import (
    Funding,
    JournaledIntent,
    Settlement,
    StateChange,
)
from trading_system.execution.journal.store import Journal
from trading_system.execution.ledger import OrderLedger
from trading_system.execution.lookup import OrderLookup
from trading_system.execution.tracking import TrackedOrder, TrackedStatus, report_event
from trading_system.execution.transitions import OrderEvent
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import TradingState
from trading_system.risk.portfolio import Portfolio

_LOG = structlog.get_logger(__name__)
_LOOKUP_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 4.0)
_LOOKUP_MARGIN_S = 1.0
_HISTORY_LAG_S = 60.0
_SILENCE_S = 2.0
_NS_PER_S = 1_000_000_000


class OrderTracker:
    """Applies everything that happens to own orders, records it, and settles them.

    The engine is one: it adds the sending. An event that no order can have, or more filled than
    was ordered, halts trading (``invariant``) and is raised.

    Parameters
    ----------
    lookup : OrderLookup
        Read side of the venue.
    portfolio : Portfolio
        Receives every fill once.
    journal : Journal
        Receives every change.
    brake : Brake
        Where trading is held.
    clock : Clock
        Monotonic stamps and UTC times.
    latency : StageLatency
        Receives the stage ``fill``.
    request_life_s : float
        Seconds after which a request that the venue has not seen can no longer take effect.
    """

    def __init__(
        self,
        *,
        lookup: OrderLookup,
        portfolio: Portfolio,
        journal: Journal,
        brake: Brake,
        clock: Clock,
        latency: StageLatency,
        request_life_s: float,
    ) -> None:
        self._lookup = lookup
        self._portfolio = portfolio
        self._journal = journal
        self._brake = brake
        self._clock = clock
        self._latency = latency
        self._request_life_s = request_life_s
        self._ledger = OrderLedger()
        self._own: dict[str, Decimal] = {}
        self._is_recovering = False
        self.outcomes = self._ledger.outcomes
        self.fills = 0
        self.late_fills = 0
        self.foreign_reports = 0

    def order(self, link_id: str) -> TrackedOrder | None:
        """Return what is known of one own order."""
        return self._ledger.get(link_id)

    @property
    def live_orders(self) -> tuple[TrackedOrder, ...]:
        """Orders without a settled outcome."""
        return self._ledger.live

    @property
    def unknown_orders(self) -> int:
        """Orders whose request may or may not have reached the venue."""
        return sum(o.status is TrackedStatus.UNKNOWN for o in self._ledger.live)

    def own_quantity(self, symbol: str) -> Decimal:
        """Return the part of the position that this run's orders opened, signed."""
        return self._own.get(symbol, Decimal(0))

    def take_over(self, symbol: str, quantity: Decimal) -> None:
        """Treat ``quantity`` (signed) of an adopted position as opened by this run.

        Raises
        ------
        InvariantViolated
            If it is not a part of the position.
        """
        held = self._portfolio.position(symbol).quantity
        if quantity * held < 0 or abs(quantity) > abs(held):
            raise InvariantViolated(f"cannot take over {quantity} of a {symbol} position of {held}")
        self._own[symbol] = quantity

    async def settle(self, link_id: str, *, timeout_s: float) -> TrackedOrder:
        """Wait until the order's outcome is known, looking it up when the stream is silent.

        A look-up that fails is tried again: an outage is no outcome.

        Raises
        ------
        DeadlineExceeded
            If neither stream nor look-up settled it in time; it stays tracked.
        """
        order = self._known(link_id)
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * _NS_PER_S)
        while not order.settled.is_set():
            left_s = (deadline_ns - self._clock.monotonic_ns()) / _NS_PER_S
            if left_s <= 0:
                raise DeadlineExceeded(f"order {link_id} not settled within {timeout_s} s")
            try:
                async with asyncio.timeout(min(left_s, _SILENCE_S)):
                    await order.settled.wait()
            except TimeoutError:
                await self.look_up(order)
        return order

    async def look_up(self, order: TrackedOrder) -> None:
        """Ask the venue for one order; an absence past the request's life settles it.

        A request that the venue has not processed dies with its receive window, so "not found"
        is final only after that. An order that the venue had taken and knows no more (it lost its
        memory) can fill no more either. Failed requests settle nothing and are logged.
        """
        link_id = order.intent.link_id
        life_s = self._request_life_s + _LOOKUP_MARGIN_S
        age_s = (self._clock.monotonic_ns() - order.sent_ns) / _NS_PER_S
        try:
            is_listed, is_traded = await self._query(link_id)
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("look-up failed", link_id=link_id, error=str(e))
            return
        if is_listed or age_s <= life_s or order.status.is_final:
            return  # a final order still owes the fills that were reported
        if is_traded:
            self._conclude_from_fills(order, age_s)
        elif order.status in {TrackedStatus.OPEN, TrackedStatus.PENDING_CANCEL}:
            _LOG.error("the venue no longer knows an order", link_id=link_id)
            self._apply(order, OrderEvent.FORGOTTEN, "the venue no longer knows it")
        else:
            self._apply(order, OrderEvent.NEVER_REACHED, "never reached the venue")

    async def refresh(self, link_id: str) -> bool:
        """Look one order up and apply what the venue says; return whether it was found."""
        return any(await self._query(link_id))

    async def resolve(self, link_id: str) -> TrackedOrder:
        """Settle an order of unknown outcome by look-ups; it is never sent again."""
        order = self._known(link_id)
        attempt = 0
        while order.status is TrackedStatus.UNKNOWN:
            await asyncio.sleep(_LOOKUP_DELAYS_S[min(attempt, len(_LOOKUP_DELAYS_S) - 1)])
            attempt += 1
            await self.look_up(order)
        return order

    def on_report(self, report: OrderReport) -> None:
        """Apply an order report of the private stream or of a look-up."""
        order = self._ledger.get(report.link_id)
        if order is None:
            self.foreign_reports += 1
            return
        try:
            has_changed = order.apply_report(report)
        except InvariantViolated as e:
            self._alarm(e)
            raise
        self._follow(order, report_event(report) if has_changed else None)

    def on_fill(self, fill: Fill) -> None:
        """Record and book one fill, own, foreign or forced by the venue, exactly once."""
        conflicts = self._portfolio.conflicting_fills
        try:
            is_new = (
                self._portfolio.remember(fill)
                if self._is_recovering
                else self._portfolio.book_fill(fill) is not None
            )
        except InvariantViolated as e:
            self._alarm(e)
            raise
        if not is_new:
            if self._portfolio.conflicting_fills != conflicts:
                _LOG.error("an execution changed", exec_id=fill.exec_id, link_id=fill.link_id)
            return
        self._journal.note_fill(fill)
        self._brake.watch_journal()
        self._count(fill)

    def on_funding(self, symbol: str, amount: Decimal, exec_id: str) -> None:
        """Record and book one funding settlement once; a positive amount was received."""
        if self._portfolio.book_funding(symbol, amount, exec_id):
            self._journal.note_funding(Funding(symbol=symbol, amount=amount, exec_id=exec_id))
            self._brake.watch_journal()

    async def _query(self, link_id: str) -> tuple[bool, bool]:
        """Apply what the venue says of an order; return whether it lists it and knows fills."""
        report = await self._lookup.find_order(link_id)
        # Executions prove an order too: a venue's order history may lag behind them.
        fills = await self._lookup.executions(link_id)
        for fill in fills:
            self.on_fill(fill)
        if report is not None:
            self.on_report(report)
        return report is not None, bool(fills)

    def _conclude_from_fills(self, order: TrackedOrder, age_s: float) -> None:
        # Executions without an order: the order history lags, or has been cleared long ago.
        if order.booked_quantity >= order.intent.quantity:
            self._apply(order, OrderEvent.REPORTED_FILLED, "proven by its executions")
        elif age_s > _HISTORY_LAG_S:
            self._apply(order, OrderEvent.REPORTED_CANCELLED, "the venue keeps only its fills")

    def _restored(self, found: JournaledIntent, recorded: list[Fill]) -> TrackedOrder:
        """Track an intent of an earlier run as it stood when that run ended."""
        link_id = found.intent.link_id
        fills = [fill for fill in recorded if fill.link_id == link_id]
        age_ns = max(0, self._clock.utc_ns() - found.utc_ns)
        was_confirmed = bool(fills) or any(
            change.status is not TrackedStatus.UNKNOWN for change in self._journal.changes(link_id)
        )
        order = TrackedOrder(
            intent=found.intent,
            sent_ns=self._clock.monotonic_ns() - age_ns,
            status=TrackedStatus.OPEN if was_confirmed else TrackedStatus.UNKNOWN,
        )
        for fill in fills:
            order.apply_fill(fill, now_ns=order.sent_ns)
        self._ledger.add(order)
        return order

    def _count(self, fill: Fill) -> None:
        order = self._ledger.get(fill.link_id)
        if order is None:
            self.foreign_reports += 1
            self._note_own(fill.symbol, Decimal(0))
            return
        self.fills += 1
        now_ns = self._clock.monotonic_ns()
        if not self._is_recovering:
            self._note_own(fill.symbol, fill.quantity * fill.side.sign)
            if order.first_fill_ns is None:
                self._latency.record("fill", now_ns - order.sent_ns)
        if order.settled.is_set():
            self.late_fills += 1
            _LOG.warning("late fill", link_id=fill.link_id, quantity=str(fill.quantity))
        try:
            order.apply_fill(fill, now_ns=now_ns)
        except InvariantViolated as e:
            self._alarm(e)
            raise
        finally:
            self._follow(order, None)

    def _note_own(self, symbol: str, change: Decimal) -> None:
        is_flat = not self._portfolio.position(symbol).quantity
        self._own[symbol] = Decimal(0) if is_flat else self.own_quantity(symbol) + change

    def _known(self, link_id: str) -> TrackedOrder:
        order = self._ledger.get(link_id)
        assert order is not None, link_id
        return order

    def _apply(self, order: TrackedOrder, event: OrderEvent, reason: str = "") -> None:
        try:
            has_changed = order.apply(event, reason)
        except InvariantViolated as e:
            self._alarm(e)
            raise
        self._follow(order, event if has_changed else None)

    def _follow(self, order: TrackedOrder, event: OrderEvent | None) -> None:
        """Record what became of an order, and count it anew."""
        link_id = order.intent.link_id
        if event is not None:
            self._journal.note_change(
                link_id,
                StateChange(
                    event=event, status=order.status, order_id=order.order_id, reason=order.reason
                ),
            )
        if self._ledger.update(order):
            self._journal.note_settled(
                link_id,
                Settlement(
                    status=order.status,
                    booked_quantity=order.booked_quantity,
                    reason=order.reason,
                ),
            )
        self._brake.watch_journal()

    def _alarm(self, error: InvariantViolated) -> None:
        _LOG.error("halted: an invariant is violated", error=str(error))
        self._brake.holds.set("invariant", TradingState.HALTED, str(error))
