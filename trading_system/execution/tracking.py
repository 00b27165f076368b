"""What the engine knows of each own order, and the only legal ways it changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import Fill, OrderIntent, OrderReport, OrderStatus
from trading_system.execution.transitions import OrderEvent, TrackedStatus, successor

__all__ = ["TrackedOrder", "TrackedStatus", "report_event"]

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


@dataclass(slots=True, eq=False)
class TrackedOrder:
    """One own order; fills and reports may arrive in any order.

    The order is *settled* when its status is final and the booked fills add up to what the venue
    reports as filled; :attr:`settled` is set then.
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

    def _settle(self) -> None:
        if self.status.is_final and self.booked_quantity >= self.reported_quantity:
            full = self.status is not TrackedStatus.FILLED
            if full or self.booked_quantity >= self.intent.quantity:
                self.settled.set()
