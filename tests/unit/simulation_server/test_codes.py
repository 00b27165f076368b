"""The venue's code for each rule of linear order entry: one row per rule."""

import pytest
from venue_rig import BUY, SELL, D, X, fresh_exchange

from trading_system.simulation.bybit_server.limits import RequestLimits
from trading_system.simulation.bybit_server.order_desk import OrderDesk
from trading_system.simulation.bybit_server.order_rows import order_row
from trading_system.simulation.bybit_server.parameters import Fields
from trading_system.simulation.bybit_server.stop_parameters import stop_changes
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.records import PositionMode, VenueReject

NOW = 1_700_000_000_000
LIMIT = {
    "category": "linear",
    "symbol": X,
    "side": "Buy",
    "orderType": "Limit",
    "qty": "5",
    "price": "9.90",
}
MARKET = {**LIMIT, "orderType": "Market", "price": None}
CLOSE = {**MARKET, "side": "Sell", "reduceOnly": True}
STOP = {**LIMIT, "triggerPrice": "10.50"}


class Desk:
    def __init__(self, **how):
        self.exchange = fresh_exchange(**how)
        self.account = self.exchange.accounts[1]
        limits = RequestLimits(is_enforced=False)
        self.desk = OrderDesk(self.exchange, limits, advance=lambda now_ms: now_ms)
        self.texts = GridText(self.exchange.instruments[X])

    def run(self, operation, body):
        return self.desk.run(
            f"order.{operation}", self.account, read=lambda: Fields(body), now_ms=NOW
        )

    def code(self, operation, body):
        return self.run(operation, body).code

    def create(self, **changes):
        outcome = self.run("create", {**LIMIT, **changes})
        assert outcome.code == 0, outcome.message
        return outcome.result["orderId"]

    def row(self, order_id):
        return order_row(self.exchange.find_order(1, order_id=order_id), self.texts)


@pytest.fixture
def desk():
    return Desk()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**LIMIT, "category": None}, 10001),
        ({**LIMIT, "category": "futures"}, 10001),
        ({**LIMIT, "category": "inverse"}, 10001),
        ({**LIMIT, "symbol": "NOPEUSDT"}, 10001),
        ({**LIMIT, "side": "buy"}, 10001),
        ({**LIMIT, "orderType": "Stop"}, 10001),
        ({**LIMIT, "timeInForce": "DAY"}, 10001),
        ({**LIMIT, "qty": None}, 10001),
        ({**LIMIT, "price": None}, 10001),
        ({**LIMIT, "price": "9.905"}, 10001),
        ({**LIMIT, "price": "0"}, 110003),
        ({**LIMIT, "price": "1000.01"}, 110003),
        ({**LIMIT, "qty": "0"}, 10001),
        ({**LIMIT, "qty": "0.05"}, 10001),
        ({**LIMIT, "qty": "5.05"}, 10001),
        ({**LIMIT, "qty": "5000.1"}, 10001),
        ({**MARKET, "qty": "1000.1"}, 10001),
        ({**LIMIT, "qty": "0.5"}, 110094),
        ({**MARKET, "qty": "0.4"}, 110094),
        ({**STOP, "qty": "0.4"}, 110094),
        ({**LIMIT, "orderLinkId": "x" * 37}, 10001),
        ({**LIMIT, "orderLinkId": "a b"}, 10001),
        ({**LIMIT, "orderLinkId": "taken"}, 110072),
        ({**LIMIT, "positionIdx": 1}, 10001),
        ({**LIMIT, "positionIdx": 3}, 10001),
        ({**LIMIT, "smpType": "Both"}, 10001),
        (CLOSE, 110017),
        ({**LIMIT, "reduceOnly": True}, 110017),
        ({**STOP, "reduceOnly": True}, 110017),
        ({**LIMIT, "qty": "5000"}, 0),
        ({**LIMIT, "qty": "5000", "price": "10.40"}, 0),
        ({**STOP, "triggerDirection": 3}, 10001),
        ({**STOP, "triggerBy": "Moon"}, 10001),
        ({**STOP, "triggerDirection": 2}, 110093),
        ({**STOP, "triggerPrice": "9.50", "triggerDirection": 1}, 110092),
        ({**STOP, "takeProfit": "11"}, 110057),
        ({**LIMIT, "orderFilter": "StopOrder"}, 10001),
        ({**STOP, "orderFilter": "Order"}, 10001),
        ({**LIMIT, "orderFilter": "tpslOrder"}, 10001),
        ({**LIMIT, "trailingStop": "1"}, 10001),
        ({**LIMIT, "takeProfit": "9.80"}, 10001),
        ({**LIMIT, "takeProfit": "-1"}, 10001),
        ({**LIMIT, "takeProfit": "11", "tpslMode": "Half"}, 10001),
        ({**LIMIT, "takeProfit": "11", "tpOrderType": "Limit"}, 10001),
        ({**LIMIT, "takeProfit": "11", "tpLimitPrice": "10.9"}, 10001),
        ({**LIMIT, "takeProfit": "11", "tpOrderType": "Limit", "tpLimitPrice": "10.9"}, 110060),
        ({**MARKET, "slippageToleranceType": "Ticks", "slippageTolerance": "5"}, 10001),
        ({**MARKET, "slippageToleranceType": "TickSize"}, 10001),
        ({**LIMIT, "slippageToleranceType": "TickSize", "slippageTolerance": "5"}, 10001),
        ({**MARKET, "slippageToleranceType": "TickSize", "slippageTolerance": "0"}, 110108),
        ({**MARKET, "slippageToleranceType": "TickSize", "slippageTolerance": "1.5"}, 110108),
        ({**MARKET, "slippageToleranceType": "TickSize", "slippageTolerance": "10001"}, 110108),
        ({**MARKET, "slippageToleranceType": "Percent", "slippageTolerance": "0.001"}, 110109),
        ({**MARKET, "slippageToleranceType": "Percent", "slippageTolerance": "10.1"}, 110109),
        ({**LIMIT, "bboSideType": "Middle"}, 10001),
        ({**LIMIT, "bboSideType": "Queue", "bboLevel": "6"}, 10001),
        ({**LIMIT, "bboSideType": "Queue", "bboLevel": "4"}, 10001),
    ],
)
def test_create_is_answered_with_its_code(desk, body, code):
    desk.create(orderLinkId="taken")
    assert desk.code("pre-check", body) == code
    assert desk.code("create", body) == code


def test_first_broken_rule_decides(desk):
    broken = [
        ({"side": "buy"}, 10001),
        ({"price": "9999"}, 110003),
        ({"qty": "0.5"}, 110094),
        ({"orderLinkId": "taken"}, 110072),
        ({"positionIdx": 1}, 10001),
    ]
    desk.create(orderLinkId="taken")
    body = LIMIT
    for change, code in reversed(broken):
        body = {**body, **change}
        assert desk.code("create", body) == code


def test_balance_and_active_orders_are_limited():
    desk = Desk(balance=100)
    assert desk.code("create", {**LIMIT, "qty": "200"}) == 110007
    desk = Desk(balance=1_000_000)
    for _ in range(500):
        desk.create(qty="1")
    assert desk.code("create", LIMIT) == 110020
    assert desk.code("create", {**LIMIT, "timeInForce": "IOC"}) == 0
    assert len(desk.run("cancel-all", LIMIT).result["list"]) == 500


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"orderId": None}, 10001),
        ({"orderId": "unknown", "price": "9.8"}, 110001),
        ({}, 10001),
        ({"qty": "5", "price": "9.90"}, 10001),
        ({"price": "9.905"}, 10001),
        ({"price": "9999"}, 110003),
        ({"qty": "0.05"}, 10001),
        ({"qty": "0.5"}, 110094),
        ({"qty": "5000", "price": "10"}, 0),
        ({"triggerPrice": "11"}, 10001),
        ({"triggerBy": "Moon"}, 10001),
        ({"stopLoss": "9.95"}, 10001),
        ({"stopLoss": "0"}, 10001),
        ({"stopLoss": "9.5", "takeProfit": "11"}, 0),
        ({"symbol": "NOPEUSDT", "price": "9.8"}, 10001),
    ],
)
def test_amend_is_answered_with_its_code(desk, change, code):
    body = {"category": "linear", "symbol": X, "orderId": desk.create()}
    assert desk.code("amend", {**body, **change}) == code


def test_amend_of_what_is_filled_or_gone(desk):
    order_id = desk.create(price="9.96")
    ids = {"category": "linear", "symbol": X, "orderId": order_id}
    desk.exchange.house_limit(X, SELL, 996, 30, now_ms=NOW)
    assert desk.code("amend", {**ids, "qty": "3"}) == 110064
    assert desk.code("amend", {**ids, "stopLoss": "9.5"}) == 110059
    desk.exchange.house_limit(X, SELL, 996, 20, now_ms=NOW)
    assert desk.code("amend", {**ids, "qty": "9"}) == 110001
    assert desk.code("cancel", ids) == 110001
    assert desk.code("cancel", {**ids, "orderId": None}) == 10001


@pytest.mark.parametrize(
    ("index", "side", "reduce_only", "code"),
    [
        (0, "Buy", False, 10001),
        (1, "Buy", False, 0),
        (2, "Sell", False, 0),
        (2, "Buy", True, 110017),
    ],
)
def test_hedged_contract_needs_the_index_of_a_side(desk, index, side, reduce_only, code):
    desk.exchange.switch_mode(1, PositionMode.HEDGE, symbol=X)
    body = {**MARKET, "side": side, "positionIdx": index, "reduceOnly": reduce_only}
    assert desk.code("create", body) == code


def test_stops_of_a_hedged_contract_guard_their_side(desk):
    desk.exchange.switch_mode(1, PositionMode.HEDGE, symbol=X)
    desk.create(**{**MARKET, "positionIdx": 1, "stopLoss": "9.7"})
    desk.create(**{**MARKET, "side": "Sell", "positionIdx": 2, "stopLoss": "10.3"})
    desk.exchange.recorded_trade(X, SELL, 970, 1, now_ms=NOW)
    assert [desk.exchange.position(1, X, index).lots for index in (1, 2)] == [0, -50]
    (left,) = desk.exchange.stop_orders(1)
    assert (left.position_idx, left.side) == (2, BUY)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"tpslMode": "Half", "stopLoss": "9.7"}, 10001),
        ({"stopLoss": "-1"}, 10001),
        ({"stopLoss": "9.7", "slTriggerBy": "Moon"}, 10001),
        ({"stopLoss": "9.7", "slSize": "1"}, 110060),
        ({"stopLoss": "9.7", "slOrderType": "Limit", "slLimitPrice": "9.6"}, 110060),
        ({"stopLoss": "9.7", "slOrderType": "Limit"}, 10001),
        ({"stopLoss": "9.7", "slLimitPrice": "9.6"}, 10001),
        ({"tpslMode": "Partial", "stopLoss": "9.7"}, 10001),
        ({"tpslMode": "Partial", "stopLoss": "9.7", "slSize": "1", "tpSize": "2"}, 10001),
        ({"trailingStop": "-1"}, 10001),
        ({"trailingStop": "1", "activePrice": "-1"}, 10001),
    ],
)
def test_trading_stop_is_answered_with_its_code(body, code):
    with pytest.raises(VenueReject) as refused:
        stop_changes(Fields(body))
    assert refused.value.code == code


def test_trading_stop_is_read():
    both = {
        "tpslMode": "Partial",
        "takeProfit": "11",
        "tpSize": "1",
        "stopLoss": "9",
        "slSize": "1",
    }
    limit = {"tpOrderType": "Limit", "tpLimitPrice": "10.9", "trailingStop": "0.5"}
    take_profit, stop_loss, trail = stop_changes(Fields({**both, **limit, "activePrice": "12"}))
    assert (take_profit.quantity, take_profit.limit_price) == (D(1), D("10.9"))
    assert (stop_loss.quantity, stop_loss.limit_price) == (D(1), None)
    assert (trail.price, trail.active_price) == (D("0.5"), D(12))


def test_batch_keeps_order_and_gives_each_item_its_code(desk):
    items = [LIMIT, {**LIMIT, "symbol": "NOPEUSDT"}, {**LIMIT, "qty": "0.5"}, STOP, "no"]
    outcome = desk.run("create-batch", {"category": "linear", "request": items[:4]})
    assert outcome.code == 0
    assert [each["code"] for each in outcome.extra["list"]] == [0, 10001, 110094, 0]
    assert [bool(each["orderId"]) for each in outcome.result["list"]] == [True, False, False, True]
    assert desk.code("create-batch", {"category": "linear", "request": items}) == 10001
    ids = [each["orderId"] for each in outcome.result["list"]]
    moves = [{"symbol": X, "orderId": each, "price": "9.80"} for each in ids]
    moved = desk.run("amend-batch", {"category": "linear", "request": moves})
    assert [each["code"] for each in moved.extra["list"]] == [0, 10001, 10001, 10001]
    gone = desk.run("cancel-batch", {"category": "linear", "request": moves})
    assert [each["code"] for each in gone.extra["list"]] == [0, 10001, 10001, 0]


@pytest.mark.parametrize(("category", "highest"), [("linear", 20), ("spot", 10)])
def test_batches_are_bounded_by_category(desk, category, highest):
    item = {**LIMIT, "symbol": "NOPEUSDT"}
    for count, code in ((0, 10001), (highest, 0), (highest + 1, 10001)):
        body = {"category": category, "request": [item] * count}
        assert desk.code("create-batch", body) == code


def test_slippage_and_book_price_decide_the_limit(desk):
    tolerant = {"slippageToleranceType": "TickSize", "slippageTolerance": "5"}
    row = desk.row(desk.create(**{**MARKET, **tolerant, "qty": "150"}))
    assert (row["price"], row["cumExecQty"]) == ("10.10", "150.0")
    assert (row["slippageToleranceType"], row["slippageTolerance"]) == ("TickSize", "5")
    percent = {"slippageToleranceType": "Percent", "slippageTolerance": "0.5"}
    assert desk.row(desk.create(**{**MARKET, **percent, "side": "Sell"}))["price"] == "9.91"
    queue = {"price": None, "bboSideType": "Queue", "bboLevel": "2"}
    assert desk.row(desk.create(**queue))["price"] == "9.90"
    assert desk.row(desk.create(**{**queue, "bboSideType": "Counterparty"}))["price"] == "10.20"


def test_rows_of_waiting_orders_say_what_they_are(desk):
    row = desk.row(desk.create(**STOP, triggerBy="MarkPrice"))
    wanted = {
        "orderStatus": "Untriggered",
        "createType": "CreateByStopOrder",
        "stopOrderType": "Stop",
        "triggerPrice": "10.50",
        "triggerDirection": 1,
        "triggerBy": "MarkPrice",
        "tpslMode": "",
    }
    assert {name: row[name] for name in wanted} == wanted
    limit = {"tpOrderType": "Limit", "tpLimitPrice": "10.9", "tpslMode": "Partial"}
    parent = desk.create(
        **MARKET | limit | {"takeProfit": "11", "stopLoss": "9.7", "orderLinkId": "p"}
    )
    row = desk.row(parent)
    assert (row["takeProfit"], row["tpLimitPrice"], row["tpslMode"]) == (
        "11.00",
        "10.90",
        "Partial",
    )
    rows = [desk.row(each.order_id) for each in desk.exchange.stop_orders(1)]
    assert {(each["createType"], each["price"], each["parentOrderLinkId"]) for each in rows} == {
        ("CreateByPartialTakeProfit", "10.90", "p"),
        ("CreateByPartialStopLoss", "0", "p"),
        ("CreateByStopOrder", "9.90", ""),
    }


def test_pre_check_tells_rates_and_places_nothing(desk):
    result = desk.run("pre-check", {**LIMIT, "qty": "1000", "orderLinkId": "p"}).result
    assert result == {
        "orderId": "",
        "orderLinkId": "p",
        "preImrE4": 0,
        "preMmrE4": 0,
        "postImrE4": 995,
        "postMmrE4": 55,
    }
    assert desk.exchange.open_orders(1) == []
    assert desk.run("pre-check", {**STOP, "orderLinkId": "p"}).result["postImrE4"] == 0
    desk.create(**MARKET)
    closing = desk.run("pre-check", CLOSE).result
    assert closing["postMmrE4"] == 0 < closing["postImrE4"]


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        ({}, set()),
        ({"orderFilter": "Order"}, {"Stop", "StopLoss"}),
        ({"orderFilter": "StopOrder"}, {""}),
        ({"orderFilter": "StopOrder", "stopOrderType": "Stop"}, {"", "StopLoss"}),
        ({"orderFilter": "OpenOrder"}, {"Stop", "StopLoss"}),
        ({"orderFilter": "tpslOrder"}, {"", "Stop", "StopLoss"}),
        ({"symbol": None, "settleCoin": "USDT"}, set()),
        ({"symbol": None, "baseCoin": "XYZ"}, {"", "Stop", "StopLoss"}),
    ],
)
def test_cancel_all_takes_the_kinds_of_its_filter(desk, scope, left):
    desk.create(**{**MARKET, "stopLoss": "9.7"})
    desk.create()
    desk.create(**STOP)
    assert desk.code("cancel-all", {"category": "linear", "symbol": X, **scope}) == 0
    orders = [*desk.exchange.open_orders(1), *desk.exchange.stop_orders(1)]
    assert {desk.row(each.order_id)["stopOrderType"] for each in orders} == left
