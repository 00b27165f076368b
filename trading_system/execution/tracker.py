"""What this run knows of its own orders: reports, executions and look-ups become outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import structlog

from trading_system.domain.errors import (
    InvariantViolated,
)
from trading_system.domain.orders import (
    Fill,
    Funding,
    OrderIntent,
    OrderReport,
    PriceChange,
    RestingOrder,
)
from trading_system.domain.ports import Clock
from trading_system.execution.brake import Brake
from trading_system.execution.journal.records import (
    JournaledIntent,
    Settlement,
    StateChange,
)
from trading_system.execution.journal.store import Journal
from trading_system.execution.ledger import OrderLedger
from trading_system.execution.lookup import OrderLookup
from trading_system.execution.tracking import (
    Amendment,
    TrackedOrder,
    TrackedStatus,
    report_event,
)
from trading_system.execution.transitions import OrderEvent
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import TradingState
from trading_system.risk.portfolio import Portfolio

_LOG = structlog.get_logger(__name__)


def ignore(*_told: object) -> None:
    """Listen to nothing."""


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
    on_booked : Callable[[Fill], None]
        Told of every fill that was booked, own or not, once.
    on_funded : Callable[[str, Decimal], None]
        Told of every funding settlement that was booked: symbol, amount received.
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
        on_booked: Callable[[Fill], None] = ignore,
        on_funded: Callable[[str, Decimal], None] = ignore,
    ) -> None:
        self._lookup = lookup
        self._portfolio = portfolio
        self._journal = journal
        self._brake = brake
        self._clock = clock
        self._latency = latency
        self._request_life_s = request_life_s
        self._on_booked = on_booked
        self._on_funded = on_funded
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
    def ledger(self) -> OrderLedger:
        """Own orders at work and ended, and the newest fills; for reading only."""
        return self._ledger

    @property
    def live_orders(self) -> tuple[TrackedOrder, ...]:
        """Orders without a settled outcome."""
        return self._ledger.live

    @property
    def unknown_orders(self) -> int:
        """Orders whose request may or may not have reached the venue."""
        return sum(o.status is TrackedStatus.UNKNOWN for o in self._ledger.live)

    def resting(self, symbol: str) -> tuple[RestingOrder, ...]:
        """Return the own opening orders of ``symbol`` without a settled outcome, oldest first.

        They are, or may be, in the book, or have filled there and the fills are not booked yet.
        """
        found = []
        for order in self._ledger.resting(symbol):
            assert order.closest_price is not None
            found.append(
                RestingOrder(
                    link_id=order.intent.link_id,
                    symbol=symbol,
                    side=order.intent.side,
                    price=order.closest_price,
                    open_quantity=order.open_quantity,
                    is_settled_in=order.is_settled_in,
                )
            )
        return tuple(found)

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

    def on_report(self, report: OrderReport) -> None:
        """Apply an order report of the private stream or of a look-up."""
        order = self._ledger.get(report.link_id)
        if order is None:
            self.foreign_reports += 1
            return
        amendment = order.amendment
        try:
            has_changed = order.apply_report(report)
        except InvariantViolated as e:
            self._alarm(e)
            raise
        if order.amendment is not amendment:
            self._note(order, OrderEvent.AMENDED, f"to {order.standing_price}")
        self._follow(order, report_event(report) if has_changed else None)

    def on_fill(self, fill: Fill) -> None:
        """Record and book one fill, own, foreign or forced by the venue, exactly once."""
        conflicts = self._portfolio.conflicting_fills
        try:
            is_new = (
                self._portfolio.remember(fill)
                if self._is_recovering
                else self._portfolio.book_fill(fill, is_closing=self._is_exit(fill)) is not None
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
        try:
            self._count(fill)
        finally:
            if not self._is_recovering:
                self._ledger.newest_fills.append(fill)
                self._on_booked(fill)

    def on_funding(self, symbol: str, amount: Decimal, exec_id: str) -> None:
        """Record and book one funding settlement once; a positive amount was received."""
        if self._portfolio.book_funding(symbol, amount, exec_id):
            self._journal.note_funding(Funding(symbol=symbol, amount=amount, exec_id=exec_id))
            self._brake.watch_journal()
            self._on_funded(symbol, amount)

    def _restored(self, found: JournaledIntent, recorded: list[Fill]) -> TrackedOrder:
        """Track an intent of an earlier run as it stood when that run ended."""
        link_id = found.intent.link_id
        fills = [fill for fill in recorded if fill.link_id == link_id]
        age_ns = max(0, self._clock.utc_ns() - found.utc_ns)
        story = self._journal.price_story(link_id)
        was_confirmed = bool(fills) or any(
            isinstance(told, StateChange) and told.status is not TrackedStatus.UNKNOWN
            for _, told in story
        )
        confirmed = _confirmed_status(found.intent, story) if was_confirmed else None
        order = TrackedOrder(
            intent=found.intent,
            sent_ns=self._clock.monotonic_ns() - age_ns,
            status=confirmed or TrackedStatus.UNKNOWN,
            has_triggered=confirmed is TrackedStatus.OPEN,
        )
        for fill in fills:
            order.apply_fill(fill, now_ns=order.sent_ns)
        for utc_ns, told in story:
            self._retell(order, told, age_ns=max(0, self._clock.utc_ns() - utc_ns))
        self._ledger.add(order)
        return order

    def _retell(self, order: TrackedOrder, told: PriceChange | StateChange, *, age_ns: int) -> None:
        """Repeat one recorded step of an order's price."""
        amendment = order.amendment
        if isinstance(told, PriceChange):
            order.asked_ns = self._clock.monotonic_ns() - age_ns
            wanted = told.trigger_price or order.standing_trigger
            order.amendment = Amendment(told.price, order.asked_ns, wanted)
        elif told.event is OrderEvent.AMEND_FAILED:
            order.amendment = None
        elif told.event is OrderEvent.AMENDED and amendment is not None:
            order.standing_price, order.standing_trigger = amendment.terms
            order.amendment = None

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

    def _is_exit(self, fill: Fill) -> bool | None:
        """Return whether the fill's order could only shrink a position, None for a foreign one."""
        order = self._ledger.get(fill.link_id)
        return None if order is None else order.intent.reduce_only

    def _note_own(self, symbol: str, change: Decimal) -> None:
        is_flat = not any(stake.quantity for stake in self._portfolio.stakes_of(symbol))
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
            self._note(order, event, order.reason)
        if self._ledger.update(order):
            order.ended_utc_ns = self._clock.utc_ns()
            self._journal.note_settled(
                link_id,
                Settlement(
                    status=order.status,
                    booked_quantity=order.booked_quantity,
                    reason=order.reason,
                ),
            )
        self._brake.watch_journal()

    def _drop_amendment(self, order: TrackedOrder, amendment: Amendment, reason: str) -> None:
        """Conclude that the old price stands, unless something else was concluded meanwhile."""
        if order.amendment is not amendment:
            return
        order.amendment = None
        self._note(order, OrderEvent.AMEND_FAILED, reason)
        self._follow(order, None)

    def _note(self, order: TrackedOrder, event: OrderEvent, reason: str) -> None:
        self._journal.note_change(
            order.intent.link_id,
            StateChange(event=event, status=order.status, order_id=order.order_id, reason=reason),
        )

    def _alarm(self, error: InvariantViolated) -> None:
        _LOG.error("halted: an invariant is violated", error=str(error))
        self._brake.holds.set("invariant", TradingState.HALTED, str(error))


def _confirmed_status(
    intent: OrderIntent, story: Sequence[tuple[int, PriceChange | StateChange]]
) -> TrackedStatus:
    """Return whether an order that the venue had confirmed was in the book or still waited."""
    statuses = {told.status for _, told in story if isinstance(told, StateChange)}
    has_waited = intent.trigger is not None and TrackedStatus.OPEN not in statuses
    return TrackedStatus.UNTRIGGERED if has_waited else TrackedStatus.OPEN
