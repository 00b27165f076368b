from decimal import Decimal

import pytest

from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.live.order_requests import order_request, side_of


def test_a_market_order_is_immediate_or_cancel() -> None:
    request = order_request("BTCUSDT", "Buy", quantity=0.01)
    assert (request.order_type, request.time_in_force) == (OrderType.MARKET, TimeInForce.IOC)
    assert (request.quantity, request.price, request.reduce_only) == (Decimal("0.01"), None, False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GTC", TimeInForce.GTC),
        ("PostOnly", TimeInForce.POST_ONLY),
        ("post_only", TimeInForce.POST_ONLY),
        ("fok", TimeInForce.FOK),
    ],
)
def test_a_limit_order_takes_the_venues_spellings(name: str, expected: TimeInForce) -> None:
    request = order_request(
        "BTCUSDT", "sell", quantity="0.01", order_type="Limit", price="65000", time_in_force=name
    )
    assert (request.side, request.time_in_force) == (Side.SELL, expected)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": float("nan")},
        {"quantity": float("inf")},
        {"quantity": "1e3"},
        {"quantity": "many"},
        {"quantity": 1, "price": 5},
        {"quantity": 1, "order_type": "Limit"},
        {"quantity": 1, "order_type": "Limit", "price": 0},
        {"quantity": 1, "order_type": "Stop"},
        {"quantity": 1, "time_in_force": "GTD"},
        {"quantity": 1, "reduce_only": "yes"},
        {"quantity": 1, "close_on_trigger": True},
        {"quantity": 1, "take_profit": 70_000},
        {"quantity": 1, "stop_loss": -5},
        {"quantity": 1, "leverage": 100},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        order_request("BTCUSDT", "Buy", **parameters)


@pytest.mark.parametrize("text", ["", "long", None, 1])
def test_a_side_is_buy_or_sell(text: object) -> None:
    with pytest.raises(ValidationError):
        side_of(text)


def test_absent_parameters_may_be_given_as_none() -> None:
    request = order_request("BTCUSDT", "Buy", quantity=1, price=None, stop_loss=None)
    assert request.stop_loss is None
