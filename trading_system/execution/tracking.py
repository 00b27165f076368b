"""What the engine knows of each own order, and the only legal ways it changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import Fill, OrderIntent, OrderReport, OrderStatus

_ZERO = Decimal(0)


class TrackedStatus(Enum):
    """Life of an own order from the gate to its final state.

    ``UNKNOWN`` means that the request may have reached the venue; it counts against the limits
    at full size until a look-up settles it.
    """

    SUBMITTED = "submitted"
    OPEN = "open"
    UNKNOWN = "unknown"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected of the venue."""
        return self in _FINAL


_FINAL = frozenset({TrackedStatus.FILLED, TrackedStatus.CANCELLED, TrackedStatus.REJECTED})
_FROM_REPORT = {
    OrderStatus.NEW: TrackedStatus.OPEN,
    OrderStatus.PARTIALLY_FILLED: TrackedStatus.OPEN,
    OrderStatus.FILLED: TrackedStatus.FILLED,
    OrderStatus.CANCELLED: TrackedStatus.CANCELLED,
    OrderStatus.REJECTED: TrackedStatus.REJECTED,
}


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

    def apply_report(self, report: OrderReport) -> None:
        """Take over the venue's view; a final status absorbs, a smaller fill count is ignored.

        Raises
        ------
        InvariantViolated
            If the venue reports more than was ordered.
        """
        if report.filled_quantity > self.intent.quantity:
            raise InvariantViolated(
                f"order {self.intent.link_id} reported {report.filled_quantity} filled of "
                f"{self.intent.quantity}"
            )
        self.order_id = self.order_id or report.order_id
        self.reported_quantity = max(self.reported_quantity, report.filled_quantity)
        if not self.status.is_final:
            self.status = _FROM_REPORT[report.status]
            self.reason = report.reason
        self._settle()

    def apply_fill(self, fill: Fill, *, now_ns: int) -> None:
        """Count one fill that the portfolio booked for the first time."""
        self.booked_quantity += fill.quantity
        self.booked_value += fill.quantity * fill.price
        self.booked_fees += fill.fee
        if self.first_fill_ns is None:
            self.first_fill_ns = now_ns
        if self.booked_quantity > self.intent.quantity:
            raise InvariantViolated(
                f"order {self.intent.link_id} filled {self.booked_quantity} of "
                f"{self.intent.quantity}"
            )
        self._settle()

    def conclude(self, status: TrackedStatus, reason: str) -> None:
        """Note a final status that came from a reply or a look-up, not from the stream."""
        assert status.is_final
        if not self.status.is_final:
            self.status = status
            self.reason = reason
        self._settle()

    def _settle(self) -> None:
        if self.status.is_final and self.booked_quantity >= self.reported_quantity:
            full = self.status is not TrackedStatus.FILLED
            if full or self.booked_quantity == self.intent.quantity:
                self.settled.set()
