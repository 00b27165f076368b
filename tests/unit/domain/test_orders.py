import pytest

from trading_system.domain.errors import (
    OrderDenied,
    Outcome,
    VenueError,
    VenueRejected,
)
from trading_system.domain.orders import OrderStatus, Side


def test_sides_are_opposites_with_opposite_signs() -> None:
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY
    assert Side.BUY.sign == -Side.SELL.sign == 1


@pytest.mark.parametrize(
    ("status", "is_final"),
    [
        (OrderStatus.NEW, False),
        (OrderStatus.PARTIALLY_FILLED, False),
        (OrderStatus.FILLED, True),
        (OrderStatus.CANCELLED, True),
        (OrderStatus.REJECTED, True),
    ],
)
def test_only_terminal_statuses_are_final(status: OrderStatus, is_final: bool) -> None:
    assert status.is_final is is_final


def test_a_venue_error_says_what_is_known() -> None:
    error = VenueRejected(
        "110007 no funds",
        venue="bybit",
        operation="order.create",
        outcome=Outcome.REJECTED,
        code=110007,
    )
    assert isinstance(error, VenueError | ConnectionError)
    assert (error.code, error.outcome, error.retry_after_s) == (110007, Outcome.REJECTED, None)
    assert str(error) == "bybit order.create: 110007 no funds"


def test_a_denial_names_rule_and_figures() -> None:
    denial = OrderDenied("order_notional", "order value 20000 above 10000")
    assert denial.reason == "order_notional"
    assert "20000" in str(denial)
