import pytest

from trading_system.domain.errors import InvariantViolated
from trading_system.execution.transitions import OrderEvent, TrackedStatus, successor

FINAL = [s for s in TrackedStatus if s.is_final]
OPEN = [s for s in TrackedStatus if not s.is_final]


@pytest.mark.parametrize("status", FINAL)
@pytest.mark.parametrize("event", OrderEvent)
def test_a_final_status_absorbs_every_event(status: TrackedStatus, event: OrderEvent) -> None:
    assert successor(status, event) is status


@pytest.mark.parametrize("status", OPEN)
@pytest.mark.parametrize("what", ["FILLED", "CANCELLED", "REJECTED"])
def test_the_venue_may_end_an_order_at_any_time(status: TrackedStatus, what: str) -> None:
    assert successor(status, OrderEvent[f"REPORTED_{what}"]) is TrackedStatus[what]


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (TrackedStatus.SUBMITTED, OrderEvent.FORGOTTEN),
        (TrackedStatus.OPEN, OrderEvent.REFUSED),
        (TrackedStatus.OPEN, OrderEvent.NEVER_REACHED),
        (TrackedStatus.UNKNOWN, OrderEvent.ACKNOWLEDGED),
        (TrackedStatus.UNKNOWN, OrderEvent.ANSWER_LOST),
        (TrackedStatus.UNKNOWN, OrderEvent.FORGOTTEN),
        (TrackedStatus.PENDING_CANCEL, OrderEvent.NEVER_REACHED),
    ],
)
def test_an_illegal_event_is_an_alarm_that_names_both(
    status: TrackedStatus, event: OrderEvent
) -> None:
    with pytest.raises(InvariantViolated, match=f"{event.name} .* {status.name}"):
        successor(status, event)


@pytest.mark.parametrize(
    ("status", "event", "after"),
    [
        (TrackedStatus.SUBMITTED, OrderEvent.ACKNOWLEDGED, TrackedStatus.OPEN),
        (TrackedStatus.SUBMITTED, OrderEvent.ANSWER_LOST, TrackedStatus.UNKNOWN),
        (TrackedStatus.OPEN, OrderEvent.ANSWER_LOST, TrackedStatus.OPEN),
        (TrackedStatus.OPEN, OrderEvent.CANCEL_SENT, TrackedStatus.PENDING_CANCEL),
        (TrackedStatus.PENDING_CANCEL, OrderEvent.REPORTED_OPEN, TrackedStatus.PENDING_CANCEL),
        (TrackedStatus.PENDING_CANCEL, OrderEvent.CANCEL_FAILED, TrackedStatus.OPEN),
        (TrackedStatus.UNKNOWN, OrderEvent.CANCEL_SENT, TrackedStatus.UNKNOWN),
        (TrackedStatus.UNKNOWN, OrderEvent.NEVER_REACHED, TrackedStatus.REJECTED),
    ],
)
def test_the_table_is_followed(
    status: TrackedStatus, event: OrderEvent, after: TrackedStatus
) -> None:
    assert successor(status, event) is after
