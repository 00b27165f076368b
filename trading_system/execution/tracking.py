"""What the engine knows of each own order, and the only legal ways it changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import Fill, OrderIntent, OrderReport, OrderStatus, Side
from trading_system.execution.transitions import OrderEvent, TrackedStatus, successor

__all__ = ["Amendment", "TrackedOrder", "TrackedStatus", "report_event"]

_ZERO = Decimal(0)
_FROM_REPORT = {
    OrderStatus.NEW: OrderEvent.REPORTED_OPEN,
    OrderStatus.PARTIALLY_FILLED: OrderEvent.REPORTED_OPEN,
    OrderStatus.FILLED: OrderEvent.REPORTED_FILLED,
    OrderStatus.CANCELLED: OrderEvent.REPORTED_CANCELLED,
    OrderStatus.REJECTED: OrderEvent.REPORTED_REJECTED,
}


def report_event(report: OrderReport) -> OrderEvent:
    """Return the event that a report of the venue is."""
    return _FROM_REPORT[report.status]


@dataclass(frozen=True, slots=True, eq=False)
class Amendment:
    """A request for another price whose effect is not known yet.

    Parameters
    ----------
    price : Decimal
        Asked for, quote currency.
    sent_ns : int
        When it was sent, monotonic nanoseconds.
    """

    price: Decimal
    sent_ns: int


@dataclass(slots=True, eq=False)
class TrackedOrder:
    """One own order; fills and reports may arrive in any order.

    The order is *settled* when its status is final and the booked fills add up to what the venue
    reports as filled; :attr:`settled` is set then.

    ``standing_price`` is the price that the venue last confirmed, or that the order was sent with.
    While an ``amendment`` is under way the order may rest at either price, and both count.
    ``asked_ns`` is when the last request about the order was sent, monotonic nanoseconds.
    ``ended_utc_ns`` is when it was found to be settled, UTC nanoseconds.
    """

    intent: OrderIntent
    sent_ns: int
    status: TrackedStatus = TrackedStatus.SUBMITTED
    order_id: str = ""
    reported_quantity: Decimal = _ZERO
    booked_quantity: Decimal = _ZERO
    booked_value: Decimal = _ZERO
    booked_fees: Decimal = _ZERO
    reason: str = ""
    first_fill_ns: int | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    amendment: Amendment | None = None
    standing_price: Decimal | None = field(init=False)
    asked_ns: int = field(init=False)
    ended_utc_ns: int | None = None
    _price_ns: int = 0

    def __post_init__(self) -> None:
        """Begin with the price and the time that the order is sent with."""
        self.standing_price = self.intent.price
        self.asked_ns = self.sent_ns

    @property
    def price(self) -> Decimal | None:
        """Newest price asked for, quote currency; None for an order without one."""
        return self.amendment.price if self.amendment is not None else self.standing_price

    @property
    def highest_price(self) -> Decimal | None:
        """The higher of the prices at which the order may rest; it values the exposure."""
        standing, asked = self.standing_price, self.amendment
        return standing if asked is None or standing is None else max(standing, asked.price)

    @property
    def closest_price(self) -> Decimal | None:
        """Of the prices at which the order may rest, the one nearest to the other side."""
        standing, asked = self.standing_price, self.amendment
        if asked is None or standing is None:
            return standing
        return (max if self.intent.side is Side.BUY else min)(standing, asked.price)

    def may_rest_at(self, price: Decimal) -> bool:
        """Return whether ``price`` is one of those at which the order may rest."""
        return price in {self.standing_price, self.price}

    @property
    def open_quantity(self) -> Decimal:
        """Quantity that may still fill, or has filled and is not booked yet, base currency."""
        if self.status.is_final:
            return max(_ZERO, self.reported_quantity - self.booked_quantity)
        return max(_ZERO, self.intent.quantity - self.booked_quantity)

    @property
    def average_price(self) -> Decimal | None:
        """Volume-weighted price of the booked fills, None without one."""
        return self.booked_value / self.booked_quantity if self.booked_quantity else None

    @property
    def is_settled_in(self) -> bool:
        """Whether the venue has confirmed the order and no request about it is under way."""
        return self.status is TrackedStatus.OPEN and self.amendment is None

    @property
    def is_in_doubt(self) -> bool:
        """Whether an answer about the order is still owed, or the report that it has ended."""
        owed = {TrackedStatus.UNKNOWN, TrackedStatus.PENDING_CANCEL}
        is_owed = self.status in owed or self.status.is_final or self.amendment is not None
        return is_owed or not self.open_quantity

    def ask_price(self, price: Decimal, *, now_ns: int) -> Amendment:
        """Note that another price is asked for; until it is concluded both prices count."""
        assert self.is_settled_in, self.intent.link_id
        self.amendment, self.asked_ns = Amendment(price, now_ns), now_ns
        return self.amendment

    def confirms_standing(self, report: OrderReport) -> bool:
        """Return whether a report that was applied says that the standing price still holds."""
        return report.price == self.standing_price and report.ts_exchange_ns >= self._price_ns

    def apply(self, event: OrderEvent, reason: str = "") -> bool:
        """Follow the table of transitions; return whether the status changed.

        Raises
        ------
        InvariantViolated
            If the event is illegal in the present status; nothing changed.
        """
        before = self.status
        try:
            self.status = successor(before, event)
        except InvariantViolated as e:
            raise InvariantViolated(f"{self.intent.link_id}: {e}") from e
        if self.status is not before:
            self.reason = reason
        self._settle()
        return self.status is not before

    def apply_report(self, report: OrderReport) -> bool:
        """Take over the venue's view; a final status absorbs, a smaller fill count is ignored.

        Return whether the status changed.

        Raises
        ------
        InvariantViolated
            If the venue reports more than was ordered; nothing changed.
        """
        if report.filled_quantity > self.intent.quantity:
            raise InvariantViolated(
                f"order {self.intent.link_id} reported {report.filled_quantity} filled of "
                f"{self.intent.quantity}"
            )
        self.order_id = self.order_id or report.order_id
        self.reported_quantity = max(self.reported_quantity, report.filled_quantity)
        self._apply_price(report)
        return self.apply(report_event(report), report.reason)

    def apply_fill(self, fill: Fill, *, now_ns: int) -> None:
        """Count one fill that was recorded for the first time, also after the order's end.

        Raises
        ------
        InvariantViolated
            If more was filled than was ordered; the fill is counted all the same.
        """
        self.booked_quantity += fill.quantity
        self.booked_value += fill.quantity * fill.price
        self.booked_fees += fill.fee
        if self.first_fill_ns is None:
            self.first_fill_ns = now_ns
        self._settle()
        if self.booked_quantity > self.intent.quantity:
            raise InvariantViolated(
                f"order {self.intent.link_id} filled {self.booked_quantity} of "
                f"{self.intent.quantity}"
            )

    def _apply_price(self, report: OrderReport) -> None:
        # A report that is older than the newest known price says nothing of the present one.
        price, stamp_ns = report.price, report.ts_exchange_ns
        if price is None or self.standing_price is None or stamp_ns < self._price_ns:
            return
        if self.amendment is not None and price == self.amendment.price:
            self.amendment = None
        elif price != self.standing_price and stamp_ns == self._price_ns:
            return
        # What is left is the standing price again, or one that somebody else has set.
        self.standing_price, self._price_ns = price, stamp_ns

    def _settle(self) -> None:
        if self.status.is_final and self.booked_quantity >= self.reported_quantity:
            full = self.status is not TrackedStatus.FILLED
            if full or self.booked_quantity >= self.intent.quantity:
                self.settled.set()
