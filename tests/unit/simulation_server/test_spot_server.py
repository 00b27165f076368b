"""Spot through the server's parts: parameters, rows, queries, topics, quotas."""

import json
from dataclasses import replace

import pytest
from spot_rig import LINEAR, PAIR, START_MS, TRADER, D, limit, market, spot_exchange, waits_for

from trading_system.domain.instruments import Category
from trading_system.domain.orders import Side
from trading_system.simulation.bybit_server import account_rows, order_rows
from trading_system.simulation.bybit_server.account_queries import AccountQueries
from trading_system.simulation.bybit_server.limits import RequestLimits
from trading_system.simulation.bybit_server.market_queries import MarketQueries
from trading_system.simulation.bybit_server.order_desk import OrderDesk
from trading_system.simulation.bybit_server.parameters import Fields
from trading_system.simulation.bybit_server.private_feeds import PrivateFeeds
from trading_system.simulation.bybit_server.public_feeds import PublicFeeds
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.conditions import StopKind
from trading_system.simulation.records import VenueReject
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.venue import SimulatedVenue

BUY, SELL = Side.BUY, Side.SELL
NOW = START_MS + 10
SPOT = {"category": "spot", "symbol": LINEAR}
BID = {**SPOT, "side": "Buy", "orderType": "Limit", "qty": "0.001", "price": "49000"}


class StillMarket:
    is_finished = False

    def prepare(self, now_ms):
        """Make nothing."""

    def advance(self, now_ms):
        """Do nothing."""


class Ears:
    """A subscriber, public or private, that keeps what it hears."""

    def __init__(self, *topics):
        self.topics = dict.fromkeys(topics)
        self.heard = []

    def push(self, payload):
        self.heard.append(json.loads(payload))

    def deliver(self, payload, text):
        self.heard.append(json.loads(payload))


@pytest.fixture
def exchange():
    return spot_exchange()


@pytest.fixture
def venue(exchange):
    venue = SimulatedVenue(exchange, MarketStatistics(exchange), StillMarket())
    venue.prepare(START_MS)
    return venue


def desk_of(exchange, *, is_enforced=False):
    return OrderDesk(
        exchange, RequestLimits(is_enforced=is_enforced), advance=lambda now_ms: now_ms
    )


def run(desk, operation, body, *, now_ms=NOW):
    return desk.run(operation, TRADER, read=lambda: Fields(body), now_ms=now_ms)


def test_a_spot_order_lives_behind_the_same_desk(exchange):
    desk = desk_of(exchange)
    made = run(desk, "order.create", {**BID, "orderLinkId": "mine"})
    assert (made.code, made.result["orderLinkId"]) == (0, "mine")
    ids = {**SPOT, "orderId": made.result["orderId"]}
    assert run(desk, "order.amend", {**ids, "price": "48000", "qty": "0.001"}).code == 0
    assert run(desk, "order.cancel", ids).code == 0
    assert run(desk, "order.cancel", ids).code == 170213


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": "XYZUSDT"}, 170121),
        ({"symbol": PAIR}, 10001),
        ({"symbol": PAIR, "category": "linear"}, 10001),
        ({"category": "inverse"}, 10001),
        ({"side": "Long"}, 170117),
        ({"orderType": "Stop"}, 170116),
        ({"timeInForce": "GTX"}, 170115),
        ({"orderFilter": "OcoOrder"}, 170201),
        ({"orderFilter": "StopOrder"}, 170105),
        ({"triggerPrice": "51000"}, 170130),
        ({"orderType": "Market", "marketUnit": "lots"}, 170130),
        ({"smpType": "CancelAll"}, 170130),
        ({"qty": ""}, 170105),
        ({"price": ""}, 170105),
        ({"qty": "1"}, 170131),
        ({"isLeverage": 1}, 10001),
        ({"slippageTolerance": "5"}, 10001),
        ({"takeProfit": "48000"}, 170130),
    ],
)
def test_each_malformed_field_has_spots_code(exchange, change, code):
    assert run(desk_of(exchange), "order.create", {**BID, **change}).code == code
    assert exchange.open_orders(1) == []


def test_plain_values_of_optional_fields_change_nothing(exchange):
    body = {**BID, "isLeverage": 0, "orderFilter": "Order", "takeProfit": "0", "timeInForce": "GTC"}
    assert run(desk_of(exchange), "order.create", body).code == 0
    sell = {**SPOT, "side": "Buy", "orderType": "Market", "qty": "100", "marketUnit": "quoteCoin"}
    assert run(desk_of(exchange), "order.create", sell).code == 0


def test_pre_check_is_for_contracts(exchange):
    assert run(desk_of(exchange), "order.pre-check", BID).code == 10001


def test_spot_has_order_quotas_of_its_own(exchange):
    desk = desk_of(exchange, is_enforced=True)
    codes = [run(desk, "order.create", {**BID, "price": str(40_000 + n)}).code for n in range(21)]
    assert codes == [0] * 20 + [10006]
    assert run(desk, "order.create", {**BID, "category": "linear", "qty": "x"}).code == 10001
    limits = RequestLimits(is_enforced=True)
    for operation, count in (("order.create", 20), ("order.amend", 10), ("order.cancel", 20)):
        admission = limits.take_account(
            TRADER, operation, count=50, now_ms=NOW, category=Category.SPOT
        )
        assert admission.admitted == count


def test_a_spot_batch_holds_ten_orders_and_is_charged_to_spot(exchange):
    desk = desk_of(exchange, is_enforced=True)
    item = {name: value for name, value in BID.items() if name != "category"}
    body = {"category": "spot", "request": [item] * 11}
    assert run(desk, "order.create-batch", body).code == 10001
    outcome = run(desk, "order.create-batch", {**body, "request": [item, {**item, "side": "?"}]})
    assert [each["code"] for each in outcome.extra["list"]] == [0, 170117]
    assert outcome.result["list"][0]["category"] == "spot"
    assert outcome.admission.limit == 20


def test_quotas_shown_are_those_of_the_category_that_was_asked(exchange):
    desk = desk_of(exchange, is_enforced=True)
    refused = run(desk, "order.create-batch", {"category": "spot", "request": []})
    assert (refused.code, refused.admission.limit) == (10001, 20)
    for category, most in (("spot", 20), ("linear", 10)):
        body = Fields({**BID, "category": category})
        quota = desk.quota("order.create", TRADER, now_ms=NOW, read=lambda each=body: each)
        assert quota.limit == most


@pytest.mark.parametrize(
    "wish",
    [{"tpOrderType": "Limit"}, {"tpLimitPrice": "52000"}, {"tpOrderType": "limit"}],
)
def test_a_limit_take_profit_needs_type_and_price(exchange, wish):
    desk = desk_of(exchange)
    assert run(desk, "order.create", {**BID, "takeProfit": "51000", **wish}).code == 10001
    whole = {"takeProfit": "51000", "tpOrderType": "Limit", "tpLimitPrice": "52000"}
    assert run(desk, "order.create", {**BID, **whole}).code == 0


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({}, {"Stop", "tpslOrder"}),
        ({"orderFilter": "tpslOrder"}, {"Stop", ""}),
        ({"orderFilter": "StopOrder", "symbol": LINEAR}, {"tpslOrder", ""}),
        ({"orderFilter": "OcoOrder", "baseCoin": "BTC"}, {"Stop", "tpslOrder", ""}),
        ({"baseCoin": "ETH"}, {"Stop", "tpslOrder", ""}),
    ],
)
def test_cancel_all_takes_one_kind_of_spot_orders(exchange, fields, left):
    exchange.place(1, limit(BUY, "0.001", 49_000), now_ms=NOW)
    for kind in (StopKind.STOP, StopKind.TPSL):
        request = limit(BUY, "0.001", 49_000, trigger=waits_for(51_000, kind))
        exchange.place(1, request, now_ms=NOW)
    body = {"category": "spot", **fields}
    assert run(desk_of(exchange), "order.cancel-all", body).code == 0
    orders = [*exchange.open_orders(1), *exchange.stop_orders(1)]
    kinds = {order.trigger.kind.value if order.trigger else "" for order in orders}
    assert kinds == left


def test_cancel_all_refuses_a_symbol_that_is_not_listed(exchange):
    body = {"category": "spot", "symbol": "XYZUSDT"}
    assert run(desk_of(exchange), "order.cancel-all", body).code == 10001


def test_spot_rows_have_no_key_of_a_contract(exchange):
    texts = GridText(exchange.instruments[PAIR])
    order = exchange.place(1, market(BUY, 100), now_ms=NOW)
    row = order_rows.stream_order_row(order, texts)
    assert not {"tpslMode", "createType"} & set(row)
    fee = row["cumExecFee"]
    assert (row["symbol"], row["category"], row["marketUnit"]) == (LINEAR, "spot", "quoteCoin")
    assert (row["qty"], row["cumFeeDetail"], row["feeCurrency"]) == ("100", {"BTC": fee}, "BTC")
    execution = order_rows.stream_execution_row(exchange.executions(1)[0], texts)
    assert "createType" not in execution
    assert (execution["category"], execution["feeCurrency"]) == ("spot", "BTC")
    fast = order_rows.fast_execution_row(exchange.executions(1)[0], texts)
    assert (fast["category"], fast["symbol"]) == ("spot", LINEAR)
    rest = exchange.place(1, limit(SELL, "0.0005", 51_000), now_ms=NOW)
    row = order_rows.stream_order_row(rest, texts)
    assert (row["marketUnit"], row["cumFeeDetail"], row["feeCurrency"]) == ("", {}, "")


def test_the_ledger_has_a_row_per_coin(exchange):
    texts = GridText(exchange.instruments[PAIR])
    exchange.place(1, market(BUY, 100), now_ms=NOW)
    rows = [order_rows.ledger_row(each, texts) for each in exchange.ledger(1)]
    assert [(row["currency"], row["category"]) for row in rows] == [
        ("USDT", "spot"),
        ("BTC", "spot"),
    ]


def test_ledger_rows_of_both_categories_have_ids_of_their_own(exchange):
    exchange.house_limit(LINEAR, SELL, 500_000, 1_000, now_ms=NOW)
    for _ in range(3):
        exchange.place(1, market(BUY, 100), now_ms=NOW)
        contract = replace(market(BUY, "0.002"), symbol=LINEAR)
        exchange.place(1, contract, now_ms=NOW)
    queries, seen, cursor = AccountQueries(exchange), [], ""
    while len(seen) < 10:
        fields = Fields({"limit": 2, "cursor": cursor})
        page = queries.transaction_log(TRADER, fields, NOW)
        seen += [row["id"] for row in page["list"]]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 9


def test_buying_coins_is_no_loss(exchange):
    exchange.place(1, market(BUY, 1_000), now_ms=NOW)
    (usdt, _) = account_rows.coin_rows(exchange.wallet(1))
    assert usdt["cumRealisedPnl"] == "0"


def test_recent_closed_orders_are_counted_per_category(exchange):
    bid = replace(limit(BUY, "0.001", 49_000), symbol=LINEAR)
    first = exchange.place(1, bid, now_ms=NOW)
    exchange.cancel(1, LINEAR, order_id=first.order_id, now_ms=NOW)
    for _ in range(500):
        order = exchange.place(1, limit(BUY, "0.001", 49_000), now_ms=NOW)
        exchange.cancel(1, PAIR, order_id=order.order_id, now_ms=NOW)
    fields = Fields({"category": "linear", "symbol": LINEAR, "openOnly": 1})
    rows = AccountQueries(exchange).order_realtime(TRADER, fields, NOW)["list"]
    assert [row["orderId"] for row in rows] == [first.order_id]


def test_no_text_names_the_key_of_a_spot_listing(exchange, venue):
    bad = run(desk_of(exchange), "order.create", {**BID, "category": "linear", "symbol": "FOO"})
    assert bad.message.endswith(f"lists {LINEAR}")
    fields = Fields({"category": "spot", "symbol": "FOO", "limit": "1"})
    with pytest.raises(VenueReject) as refused:
        MarketQueries(venue, books=PublicFeeds(venue)).orderbook(fields, NOW)
    assert refused.value.message == "Not supported symbols: spot FOO"


def test_the_wallet_lists_coins_held_and_coins_named(exchange):
    view = exchange.wallet(1)
    assert [row["coin"] for row in account_rows.coin_rows(view)] == ["USDT"]
    exchange.place(1, market(BUY, "0.01", in_quote=False), now_ms=NOW)
    exchange.place(1, limit(SELL, "0.004", 51_000), now_ms=NOW)
    view = exchange.wallet(1)
    usdt, btc = account_rows.coin_rows(view)
    assert (btc["coin"], btc["walletBalance"], btc["locked"]) == ("BTC", "0.00999", "0.004")
    assert btc["usdValue"] == "499.5"
    row = account_rows.wallet_row(view, coins=[usdt, btc])
    assert D(row["totalEquity"]) == view.equity + D("499.5")
    assert D(row["totalAvailableBalance"]) == view.available
    named = account_rows.coin_rows(view, ["ETH", "BTC"])
    assert [(each["coin"], each["equity"]) for each in named] == [("ETH", "0"), ("BTC", "0.00999")]


def test_queries_keep_the_categories_apart(exchange):
    desk, queries = desk_of(exchange), AccountQueries(exchange)
    for category in ("spot", "linear"):
        body = {**BID, "category": category, "orderLinkId": category}
        assert run(desk, "order.create", body).code == 0
    exchange.place(1, market(BUY, 100), now_ms=NOW)

    def rows(answer, category, **fields):
        query = Fields({"category": category, "settleCoin": "USDT", **fields})
        return answer(TRADER, query, NOW)["list"]

    for category in ("spot", "linear"):
        links = [row["orderLinkId"] for row in rows(queries.order_realtime, category)]
        assert links == [category]
        by_link = rows(queries.order_realtime, category, orderLinkId="spot")
        assert len(by_link) == (category == "spot")
    assert len(rows(queries.order_realtime, "spot", symbol=LINEAR, settleCoin="")) == 1
    assert (
        len(rows(queries.order_history, "spot")) == len(rows(queries.execution_list, "spot")) == 1
    )
    assert rows(queries.order_history, "linear") == rows(queries.execution_list, "linear") == []
    assert queries.position_list(TRADER, Fields({"category": "spot"}), NOW)["list"] == []
    fees = queries.fee_rate(TRADER, Fields({"category": "spot"}), NOW)["list"]
    assert [(each["symbol"], each["takerFeeRate"], each["makerFeeRate"]) for each in fees] == [
        (LINEAR, "0.001", "0.001")
    ]
    log = Fields({"category": "spot", "currency": "BTC"})
    assert len(queries.transaction_log(TRADER, log, NOW)["list"]) == 1
    with pytest.raises(VenueReject):
        queries.order_realtime(TRADER, Fields({"category": "spot", "symbol": "XYZUSDT"}), NOW)


def test_waiting_spot_orders_are_listed_by_their_filter(exchange):
    queries = AccountQueries(exchange)
    exchange.place(1, limit(BUY, "0.001", 49_000), now_ms=NOW)
    for kind in (StopKind.STOP, StopKind.TPSL):
        request = limit(BUY, "0.001", 49_000, trigger=waits_for(51_000, kind))
        exchange.place(1, request, now_ms=NOW)
    listed = {}
    for name in ("", "Order", "StopOrder", "tpslOrder"):
        query = Fields({**SPOT, "orderFilter": name})
        rows = queries.order_realtime(TRADER, query, NOW)["list"]
        listed[name] = {row["stopOrderType"] for row in rows}
    assert listed == {
        "": {"", "Stop", "tpslOrder"},
        "Order": {""},
        "StopOrder": {"Stop"},
        "tpslOrder": {"tpslOrder"},
    }


def test_market_queries_answer_for_both_categories(venue):
    queries = MarketQueries(venue, books=PublicFeeds(venue))
    venue.exchange.house_market(PAIR, BUY, 5, now_ms=NOW)
    info = queries.instruments_info(Fields({"category": "spot"}), NOW)
    assert info["list"][0]["lotSizeFilter"]["minOrderAmt"] == "5"
    book = queries.orderbook(Fields(SPOT), NOW)
    assert (book["s"], book["b"], len(book["a"])) == (LINEAR, [["49999.99", "0.100000"]], 1)
    (ticker,) = queries.tickers(Fields(SPOT), NOW)["list"]
    assert (ticker["symbol"], ticker["usdIndexPrice"]) == (LINEAR, "50000.00")
    assert "openInterestValue" not in ticker
    (trade,) = queries.recent_trade(Fields(SPOT), NOW)["list"]
    assert (trade["symbol"], trade["size"]) == (LINEAR, "0.000005")
    kline = queries.kline(Fields({**SPOT, "interval": "1"}), NOW)
    assert (kline["category"], kline["symbol"], len(kline["list"])) == ("spot", LINEAR, 1)
    limits = queries.price_limit(Fields(SPOT), NOW)
    assert (limits["symbol"], limits["buyLmt"], limits["sellLmt"]) == (
        LINEAR,
        "52500.00",
        "47500.00",
    )
    assert queries.tickers(Fields({"category": "option"}), NOW)["list"] == []
    for contract_only in (queries.funding_history, queries.mark_kline, queries.open_interest):
        with pytest.raises(VenueReject):
            contract_only(Fields({**SPOT, "interval": "1", "intervalTime": "5min"}), NOW)


def test_public_topics_of_a_symbol_belong_to_the_category_of_their_channel(venue):
    feeds, spot, linear = PublicFeeds(venue), Ears(), Ears()
    text = f"tickers.{LINEAR}"
    assert feeds.is_valid(text, category="spot")
    assert not feeds.is_valid("tickers.SOLUSDT", category="spot")
    feeds.subscribe(spot, text, now_ms=NOW, category=Category.SPOT)
    feeds.subscribe(spot, f"publicTrade.{LINEAR}", now_ms=NOW, category=Category.SPOT)
    feeds.subscribe(linear, f"publicTrade.{LINEAR}", now_ms=NOW)
    (first,) = spot.heard
    assert (first["topic"], first["type"]) == (text, "snapshot")
    assert "openInterest" not in first["data"]
    venue.exchange.house_market(PAIR, BUY, 5, now_ms=NOW)
    feeds.add_trades(PAIR, list(venue.exchange.public_trades(PAIR)))
    feeds.pump(NOW + 50)
    kinds = {frame["topic"]: frame for frame in spot.heard[1:]}
    assert kinds[text]["type"] == "snapshot"
    (row,) = kinds[f"publicTrade.{LINEAR}"]["data"]
    assert "L" not in row
    assert linear.heard == []
    feeds.unsubscribe(spot, text, category=Category.SPOT)
    spot.heard.clear()
    venue.exchange.house_market(PAIR, BUY, 200_000, now_ms=NOW)
    feeds.pump(NOW + 500)
    assert spot.heard == []


def test_private_topics_of_spot_are_told_apart_and_there_is_no_position(exchange):
    feeds = PrivateFeeds(exchange, on_trades=lambda key, trades: None, now_ms=lambda: NOW)
    exchange.listener = feeds
    spot = Ears("order.spot", "execution.spot", "execution.fast.spot", "position")
    linear, everything = Ears("order.linear", "position.linear"), Ears("order", "wallet")
    for ears in (spot, linear, everything):
        feeds.join(1, ears)
    exchange.place(1, market(BUY, 100), now_ms=NOW)
    assert {frame["topic"] for frame in spot.heard} == {
        "order.spot",
        "execution.spot",
        "execution.fast.spot",
    }
    assert linear.heard == []
    assert [frame["topic"] for frame in everything.heard] == ["order", "wallet"]
    coins = everything.heard[1]["data"][0]["coin"]
    assert [coin["coin"] for coin in coins] == ["USDT", "BTC"]
