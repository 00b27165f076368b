"""The life of an own order as a table: ``(status, event) -> status``, and nothing else is legal."""

from __future__ import annotations

from enum import Enum

from trading_system.domain.errors import InvariantViolated


class TrackedStatus(Enum):
    """Life of an own order from the gate to its final state.

    ``UNKNOWN`` means that the request may have reached the venue; it counts against the limits
    at full size until a look-up settles it. ``PENDING_CANCEL`` means that a cancellation was asked
    for; the order may still fill and counts at full size too. ``UNTRIGGERED`` is a conditional
    order that waits at the venue, outside the book; it counts at full size as well.
    """

    SUBMITTED = "submitted"
    OPEN = "open"
    UNTRIGGERED = "untriggered"
    UNKNOWN = "unknown"
    PENDING_CANCEL = "pending_cancel"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected of the venue."""
        return self in _FINAL


class OrderEvent(Enum):
    """What can happen to an own order.

    ``ACKNOWLEDGED`` the reply accepted the request; ``REFUSED`` the reply refused it, or it was
    never sent; ``ANSWER_LOST`` no usable reply came; ``REPORTED_*`` the venue said so on the
    stream or in a look-up; ``CANCEL_SENT`` and ``CANCEL_FAILED`` belong to the request to cancel;
    ``NEVER_REACHED`` the venue does not know an unconfirmed order whose request can live no more;
    ``FORGOTTEN`` the venue knows an order no more that it had confirmed. ``AMENDED`` and
    ``AMEND_FAILED`` conclude a request for another price; they change no status.
    ``REPORTED_UNTRIGGERED`` the venue keeps a conditional order until its trigger price is
    reached; ``REPORTED_TRIGGERED`` it was reached; ``REPORTED_DEACTIVATED`` the order was
    cancelled before that. ``STILL_WAITS`` is a ``CANCEL_FAILED`` of such an order.
    """

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    ANSWER_LOST = "answer_lost"
    REPORTED_OPEN = "reported_open"
    REPORTED_FILLED = "reported_filled"
    REPORTED_CANCELLED = "reported_cancelled"
    REPORTED_REJECTED = "reported_rejected"
    REPORTED_UNTRIGGERED = "reported_untriggered"
    REPORTED_TRIGGERED = "reported_triggered"
    REPORTED_DEACTIVATED = "reported_deactivated"
    CANCEL_SENT = "cancel_sent"
    CANCEL_FAILED = "cancel_failed"
    STILL_WAITS = "still_waits"
    NEVER_REACHED = "never_reached"
    FORGOTTEN = "forgotten"
    AMENDED = "amended"
    AMEND_FAILED = "amend_failed"


_FINAL = frozenset({TrackedStatus.FILLED, TrackedStatus.CANCELLED, TrackedStatus.REJECTED})

_REPORTED_FINAL = {
    OrderEvent.REPORTED_FILLED: TrackedStatus.FILLED,
    OrderEvent.REPORTED_CANCELLED: TrackedStatus.CANCELLED,
    OrderEvent.REPORTED_REJECTED: TrackedStatus.REJECTED,
    OrderEvent.REPORTED_DEACTIVATED: TrackedStatus.CANCELLED,
}

_TABLE: dict[TrackedStatus, dict[OrderEvent, TrackedStatus]] = {
    TrackedStatus.SUBMITTED: {
        OrderEvent.ACKNOWLEDGED: TrackedStatus.OPEN,
        OrderEvent.REFUSED: TrackedStatus.REJECTED,
        OrderEvent.ANSWER_LOST: TrackedStatus.UNKNOWN,
        OrderEvent.REPORTED_OPEN: TrackedStatus.OPEN,
        OrderEvent.REPORTED_UNTRIGGERED: TrackedStatus.UNTRIGGERED,
        OrderEvent.REPORTED_TRIGGERED: TrackedStatus.OPEN,
        # Before the reply, a request to cancel changes nothing that is known.
        OrderEvent.CANCEL_SENT: TrackedStatus.SUBMITTED,
        OrderEvent.CANCEL_FAILED: TrackedStatus.SUBMITTED,
        OrderEvent.STILL_WAITS: TrackedStatus.SUBMITTED,
        OrderEvent.NEVER_REACHED: TrackedStatus.REJECTED,
        **_REPORTED_FINAL,
    },
    TrackedStatus.OPEN: {
        OrderEvent.ACKNOWLEDGED: TrackedStatus.OPEN,
        # The stream showed the order before its reply was lost: nothing is unknown.
        OrderEvent.ANSWER_LOST: TrackedStatus.OPEN,
        OrderEvent.REPORTED_OPEN: TrackedStatus.OPEN,
        # An older report may arrive after the order was triggered.
        OrderEvent.REPORTED_UNTRIGGERED: TrackedStatus.OPEN,
        OrderEvent.REPORTED_TRIGGERED: TrackedStatus.OPEN,
        OrderEvent.CANCEL_SENT: TrackedStatus.PENDING_CANCEL,
        OrderEvent.CANCEL_FAILED: TrackedStatus.OPEN,
        OrderEvent.FORGOTTEN: TrackedStatus.CANCELLED,
        **_REPORTED_FINAL,
    },
    TrackedStatus.UNTRIGGERED: {
        OrderEvent.ACKNOWLEDGED: TrackedStatus.UNTRIGGERED,
        OrderEvent.ANSWER_LOST: TrackedStatus.UNTRIGGERED,
        OrderEvent.REPORTED_UNTRIGGERED: TrackedStatus.UNTRIGGERED,
        OrderEvent.REPORTED_TRIGGERED: TrackedStatus.OPEN,
        OrderEvent.REPORTED_OPEN: TrackedStatus.OPEN,
        OrderEvent.CANCEL_SENT: TrackedStatus.PENDING_CANCEL,
        # A fill has proven meanwhile that it waits no more.
        OrderEvent.CANCEL_FAILED: TrackedStatus.OPEN,
        OrderEvent.STILL_WAITS: TrackedStatus.UNTRIGGERED,
        OrderEvent.FORGOTTEN: TrackedStatus.CANCELLED,
        **_REPORTED_FINAL,
    },
    TrackedStatus.UNKNOWN: {
        OrderEvent.REPORTED_OPEN: TrackedStatus.OPEN,
        OrderEvent.REPORTED_UNTRIGGERED: TrackedStatus.UNTRIGGERED,
        OrderEvent.REPORTED_TRIGGERED: TrackedStatus.OPEN,
        OrderEvent.CANCEL_SENT: TrackedStatus.UNKNOWN,
        OrderEvent.CANCEL_FAILED: TrackedStatus.UNKNOWN,
        OrderEvent.STILL_WAITS: TrackedStatus.UNKNOWN,
        OrderEvent.NEVER_REACHED: TrackedStatus.REJECTED,
        **_REPORTED_FINAL,
    },
    TrackedStatus.PENDING_CANCEL: {
        OrderEvent.ACKNOWLEDGED: TrackedStatus.PENDING_CANCEL,
        OrderEvent.ANSWER_LOST: TrackedStatus.PENDING_CANCEL,
        # An older report may arrive after the request to cancel was sent.
        OrderEvent.REPORTED_OPEN: TrackedStatus.PENDING_CANCEL,
        OrderEvent.REPORTED_UNTRIGGERED: TrackedStatus.PENDING_CANCEL,
        OrderEvent.REPORTED_TRIGGERED: TrackedStatus.PENDING_CANCEL,
        OrderEvent.CANCEL_SENT: TrackedStatus.PENDING_CANCEL,
        OrderEvent.CANCEL_FAILED: TrackedStatus.OPEN,
        OrderEvent.STILL_WAITS: TrackedStatus.UNTRIGGERED,
        OrderEvent.FORGOTTEN: TrackedStatus.CANCELLED,
        **_REPORTED_FINAL,
    },
}


def successor(status: TrackedStatus, event: OrderEvent) -> TrackedStatus:
    """Return the status after ``event``; a final status absorbs every event.

    Raises
    ------
    InvariantViolated
        If the event is illegal in ``status``; the message names both.
    """
    if status in _FINAL:
        return status
    after = _TABLE[status].get(event)
    if after is None:
        raise InvariantViolated(f"order event {event.name} is illegal in status {status.name}")
    return after
