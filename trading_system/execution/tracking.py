"""What the engine knows of each own order, and the only legal ways it changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from decimal import Decimal

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import (
    Fill,
    OrderIntent,
    OrderReport,
    OrderStatus,
    PriceChange,
    Side,
    Trigger,
)
from trading_system.execution.transitions import OrderEvent, TrackedStatus, successor

__all__ = ["Amendment", "TrackedOrder", "TrackedStatus", "report_event"]

Terms = tuple[Decimal | None, Decimal | None]
"""Price and trigger price of an order; None where it has none."""

_ZERO = Decimal(0)
_FROM_REPORT = {
    OrderStatus.UNTRIGGERED: OrderEvent.REPORTED_UNTRIGGERED,
    OrderStatus.TRIGGERED: OrderEvent.REPORTED_TRIGGERED,
    OrderStatus.DEACTIVATED: OrderEvent.REPORTED_DEACTIVATED,
    OrderStatus.NEW: OrderEvent.REPORTED_OPEN,
    OrderStatus.PARTIALLY_FILLED: OrderEvent.REPORTED_OPEN,
    OrderStatus.FILLED: OrderEvent.REPORTED_FILLED,
    OrderStatus.CANCELLED: OrderEvent.REPORTED_CANCELLED,
    OrderStatus.REJECTED: OrderEvent.REPORTED_REJECTED,
}
_CONFIRMED = frozenset({TrackedStatus.OPEN, TrackedStatus.UNTRIGGERED})
_IN_THE_BOOK = frozenset(
    {OrderEvent.REPORTED_TRIGGERED, OrderEvent.REPORTED_OPEN, OrderEvent.REPORTED_FILLED}
)
_WHILE_WAITING = {
    OrderEvent.ACKNOWLEDGED: OrderEvent.REPORTED_UNTRIGGERED,
    OrderEvent.CANCEL_FAILED: OrderEvent.STILL_WAITS,
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
    trigger_price : Decimal or None
        Asked for with it, quote currency; None where the order waits for no trigger.
    """

    price: Decimal
    sent_ns: int
    trigger_price: Decimal | None = None

    @property
    def terms(self) -> Terms:
        """What was asked for."""
        return self.price, self.trigger_price


@dataclass(slots=True, eq=False)
class TrackedOrder:
    """One own order; fills and reports may arrive in any order.

    The order is *settled* when its status is final and the booked fills add up to what the venue
    reports as filled; :attr:`settled` is set then.

    ``standing_price`` is the price that the venue last confirmed, or that the order was sent with,
    and ``standing_trigger`` likewise where a conditional order waits.
    While an ``amendment`` is under way the order may rest at either price, and both count.
    ``full_quantity`` is how much the order is for, base currency: the venue shrinks an order that
    may only reduce with its position.
    ``asked_ns`` is when the last request about the order was sent, monotonic nanoseconds.
    ``absent_ns`` is when a look-up first found nothing of an order that the venue had taken.
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
    standing_trigger: Decimal | None = field(init=False)
    has_triggered: bool = False
    full_quantity: Decimal = field(init=False)
    asked_ns: int = field(init=False)
    ended_utc_ns: int | None = None
    absent_ns: int | None = None
    _price_ns: int = 0

    def __post_init__(self) -> None:
        """Begin with the price and the time that the order is sent with."""
        self.standing_price = self.intent.price
        trigger = self.intent.trigger
        self.standing_trigger = None if trigger is None else trigger.price
        self.full_quantity = self.intent.quantity
        self.asked_ns = self.sent_ns

    @property
    def price(self) -> Decimal | None:
        """Newest price asked for, quote currency; None for an order without one."""
        return self.amendment.price if self.amendment is not None else self.standing_price

    @property
    def waiting_for(self) -> Trigger | None:
        """The trigger that a conditional order still waits for, as the venue last confirmed it."""
        trigger = self.intent.trigger
        if trigger is None or self.has_triggered:
            return None
        assert self.standing_trigger is not None
        return replace(trigger, price=self.standing_trigger)

    @property
    def terms(self) -> Terms:
        """Price and trigger price that stand."""
        return self.standing_price, self.standing_trigger

    def stands_at(self, change: PriceChange) -> bool:
        """Return whether the order has the terms of ``change`` already."""
        return change.price == self.standing_price and (
            change.trigger_price is None or change.trigger_price == self.standing_trigger
        )

    @property
    def highest_price(self) -> Decimal | None:
        """The highest of the prices at which the order may trade; it values the exposure."""
        prices = [*self.terms, *(self.amendment.terms if self.amendment is not None else ())]
        return max((price for price in prices if price is not None), default=None)

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
        return max(_ZERO, self.full_quantity - self.booked_quantity)

    @property
    def average_price(self) -> Decimal | None:
        """Volume-weighted price of the booked fills, None without one."""
        return self.booked_value / self.booked_quantity if self.booked_quantity else None

    @property
    def is_settled_in(self) -> bool:
        """Whether the venue has confirmed the order and no request about it is under way."""
        return self.status in _CONFIRMED and self.amendment is None

    @property
    def is_in_doubt(self) -> bool:
        """Whether an answer about the order is still owed, or the report that it has ended."""
        owed = {TrackedStatus.UNKNOWN, TrackedStatus.PENDING_CANCEL}
        is_owed = self.status in owed or self.status.is_final or self.amendment is not None
        return is_owed or self.absent_ns is not None or not self.open_quantity

    def ask_price(
        self, price: Decimal, *, now_ns: int, trigger_price: Decimal | None = None
    ) -> Amendment:
        """Note that other terms are asked for; until it is concluded both prices count.

        A conditional order that is to keep its trigger price asks for the one that stands.
        """
        assert self.is_settled_in, self.intent.link_id
        wanted = trigger_price if trigger_price is not None else self.standing_trigger
        self.amendment, self.asked_ns = Amendment(price, now_ns, wanted), now_ns
        return self.amendment

    def confirms_standing(self, report: OrderReport) -> bool:
        """Return whether a report that was applied says that the standing terms still hold."""
        told = self._told_terms(report)
        return told == self.terms and report.ts_exchange_ns >= self._price_ns

    def apply(self, event: OrderEvent, reason: str = "") -> bool:
        """Follow the table of transitions; return whether the status changed.

        Raises
        ------
        InvariantViolated
            If the event is illegal in the present status; nothing changed.
        """
        before = self.status
        try:
            self.status = successor(before, self._as_conditional(event))
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
        if self.intent.reduce_only and report.quantity > 0:
            self.full_quantity = min(self.full_quantity, report.quantity)
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
        self.has_triggered = True
        if self.first_fill_ns is None:
            self.first_fill_ns = now_ns
        self._settle()
        if self.booked_quantity > self.intent.quantity:
            raise InvariantViolated(
                f"order {self.intent.link_id} filled {self.booked_quantity} of "
                f"{self.intent.quantity}"
            )

    def _as_conditional(self, event: OrderEvent) -> OrderEvent:
        """Return what ``event`` means for an order that may wait outside the book."""
        if self.intent.trigger is None:
            return event
        if event in _IN_THE_BOOK:
            self.has_triggered = True
        if self.has_triggered:
            return event
        # An answer accepts the waiting, and a cancellation that failed leaves it.
        return _WHILE_WAITING.get(event, event)

    def _told_terms(self, report: OrderReport) -> Terms:
        # A trigger price that the report leaves out has not changed.
        trigger_price = report.trigger_price if self.intent.trigger is not None else None
        return report.price, trigger_price or self.standing_trigger

    def _apply_price(self, report: OrderReport) -> None:
        # A report that is older than the newest known price says nothing of the present one.
        stamp_ns = report.ts_exchange_ns
        if report.price is None or self.standing_price is None or stamp_ns < self._price_ns:
            return
        told = self._told_terms(report)
        if self.amendment is not None and told == self.amendment.terms:
            self.amendment = None
        elif told != self.terms and stamp_ns == self._price_ns:
            return
        # What is left are the standing terms again, or some that somebody else has set.
        self.standing_price, self.standing_trigger = told
        self._price_ns = stamp_ns

    def _settle(self) -> None:
        if self.status.is_final and self.booked_quantity >= self.reported_quantity:
            full = self.status is not TrackedStatus.FILLED
            if full or self.booked_quantity >= self.full_quantity:
                self.settled.set()
