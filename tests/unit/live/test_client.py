from decimal import Decimal
from typing import Any, cast

import pytest
from engine_rig import Rig, unavailable
from virtual_time import VirtualLoop, in_virtual_time

from trading_system.domain.errors import Outcome, ValidationError
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.live.client import GatedClient
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
        {"quantity": 1, "take_profit": 0},
        {"quantity": 1, "take_profit_limit_price": 5},
        {"quantity": 1, "exit_trigger_by": "mark"},
        {"quantity": 1, "take_profit": 5, "exit_trigger_by": "mood"},
        {"quantity": 1, "trigger_by": "last"},
        {"quantity": 1, "trigger_direction": "rise"},
        {"quantity": 1, "trigger_price": -5},
        {"quantity": 1, "trigger_price": 5, "trigger_by": "mood"},
        {"quantity": 1, "trigger_price": 5, "trigger_direction": "up"},
        {"quantity": 1, "trigger_price": 5, "stop_loss": 4},
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


MID = Decimal(65_000)


def test_a_trigger_is_reached_from_the_side_of_the_market() -> None:
    for price, direction in ((66_000, "RISE"), (64_000, "FALL")):
        request = order_request("BTCUSDT", "Buy", quantity=1, trigger_price=price)
        trigger = request.intent("l", mid=MID).trigger
        assert trigger is not None
        assert (trigger.price, trigger.direction.name, trigger.by.name) == (
            price,
            direction,
            "LAST",
        )


def test_without_a_market_the_direction_must_be_given() -> None:
    request = order_request("BTCUSDT", "Buy", quantity=1, trigger_price=66_000)
    with pytest.raises(ValidationError, match="give trigger_direction"):
        request.intent("l", mid=None)
    given = order_request(
        "BTCUSDT",
        "Buy",
        quantity=1,
        trigger_price=66_000,
        trigger_direction="Fall",
        trigger_by="MarkPrice",
    )
    trigger = given.intent("l", mid=None).trigger
    assert trigger is not None
    assert (trigger.direction.name, trigger.by.name) == ("FALL", "MARK")


def test_a_stop_alone_of_an_order_that_trades_at_once_is_set_after_the_trade() -> None:
    request = order_request("BTCUSDT", "Buy", quantity=1, stop_loss=64_000)
    assert (request.stop_loss, request.intent("l", mid=MID).has_exits) == (64_000, False)


@pytest.mark.parametrize(
    "parameters",
    [
        {"order_type": "Limit", "price": 65_000, "stop_loss": 64_000},
        {"stop_loss": 64_000, "take_profit": 66_000},
        {"stop_loss": 64_000, "stop_loss_limit_price": 63_990},
    ],
)
def test_other_exits_go_with_the_order(parameters: dict[str, object]) -> None:
    request = order_request("BTCUSDT", "Buy", quantity=1, exit_trigger_by="last", **parameters)
    intent = request.intent("l", mid=MID)
    assert request.stop_loss is None
    assert intent.stop_loss is not None
    assert (intent.stop_loss.price, intent.stop_loss.by.name) == (64_000, "LAST")
    wanted = parameters.get("stop_loss_limit_price")
    assert intent.stop_loss.limit_price == wanted


class Feed:
    """Market views of the rig, without books."""

    def __init__(self, rig: Rig) -> None:
        self.symbols: dict[str, object] = {}
        self.market_view = lambda _symbol: rig.view


def test_an_order_that_the_venue_tells_nothing_of_is_returned_as_unknown() -> None:
    async def work(loop: VirtualLoop) -> None:
        rig = Rig()
        rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
        nothing = cast("Any", None)

        async def fail(link_id: str) -> None:
            raise unavailable(Outcome.NOT_SENT)

        rig.venue.find_order = fail  # type: ignore[assignment,method-assign]  # the fake's own seam
        client = GatedClient(
            nothing,
            engine=rig.engine,
            executor=nothing,
            feed=cast("Any", Feed(rig)),
            timeout_s=5.0,
            after_fill=nothing,
            quoting=nothing,
        )
        told = await client.place_order("BTCUSDT", "Buy", quantity="0.01")
        assert (told["status"], told["filled_quantity"], loop.time()) == ("unknown", 0.0, 15)

    in_virtual_time(work)
