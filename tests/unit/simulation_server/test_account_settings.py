"""Position settings, positions and lagging histories as the REST side answers them."""

from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.bybit_server.account_queries import AccountQueries
from trading_system.simulation.bybit_server.parameters import DetailedReject, Fields
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, DcpProduct, OrderRequest, VenueReject

D = Decimal
X, Y = "ABCUSDT", "XYZUSDT"
ABC = {"category": "linear", "symbol": X}
USDT = {"category": "linear", "coin": "USDT"}
FUND = AccountSpec(account_id=1, uid=1, api_key="a", api_secret="s", institutional=True)
RETAIL = AccountSpec(account_id=2, uid=2, api_key="b", api_secret="s", balance=D(30))


@pytest.fixture
def exchange():
    listed = [
        Instrument(
            symbol=symbol,
            base_coin=symbol[:3],
            quote_coin="USDT",
            tick_size=D("0.01"),
            qty_step=D("0.1"),
            min_price=D("0.01"),
            max_price=D(1000),
            min_qty=D("0.1"),
            max_qty=D(5000),
            max_market_qty=D(1000),
        )
        for symbol in (X, Y)
    ]
    exchange = Exchange(listed, [FUND, RETAIL], seed=1)
    for symbol in (X, Y):
        exchange.set_reference(symbol, index_price=D(10), mark_price=D(10))
        exchange.house_limit(symbol, Side.SELL, 1000, 1000, now_ms=1)
    return exchange


@pytest.fixture
def queries(exchange):
    return AccountQueries(exchange)


def buy(exchange, *, symbol=X, side=Side.BUY, position_idx=0, account=FUND, quantity=1):
    request = OrderRequest(
        symbol=symbol,
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(quantity),
        position_idx=position_idx,
    )
    return exchange.place(account.account_id, request, now_ms=1_000)


def code_of(call, fields, *, account=FUND):
    with pytest.raises(VenueReject) as refused:
        call(account, Fields(fields), 1_000)
    return refused.value.code


def positions(queries, *, account=FUND, **fields):
    answer = queries.position_list(account, Fields({"category": "linear", **fields}), 2_000)
    return answer["list"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({**ABC, "mode": 0}, 110025),
        ({**ABC, "mode": 1}, 10001),
        (ABC, 10001),
        ({"category": "linear", "mode": 3}, 10001),
        ({**ABC, "category": "inverse", "mode": 3}, 10001),
        ({**ABC, "symbol": "NOPE", "mode": 3}, 10001),
        ({**USDT, "mode": 0}, 110025),
        ({**USDT, "coin": "USDC", "mode": 3}, 110029),
    ],
)
def test_switch_that_is_refused(queries, fields, code):
    assert code_of(queries.settings.switch_mode, fields) == code


def test_symbol_wins_over_coin_in_one_request(queries):
    fields = Fields({**ABC, "coin": "USDT", "mode": "3"})
    assert queries.settings.switch_mode(FUND, fields, 1_000) == {}
    assert [row["positionIdx"] for row in positions(queries, symbol=X)] == [1, 2]
    assert [row["positionIdx"] for row in positions(queries, symbol=Y)] == [0]


def test_flat_hedged_contract_has_two_rows_and_none_by_coin(exchange, queries):
    queries.settings.switch_mode(FUND, Fields({**USDT, "mode": 3}), 1_000)
    assert [(row["side"], row["size"]) for row in positions(queries, symbol=X)] == [
        ("", "0"),
        ("", "0"),
    ]
    buy(exchange, position_idx=1)
    (row,) = positions(queries, settleCoin="USDT")
    assert (row["symbol"], row["positionIdx"], row["side"]) == (X, 1, "Buy")


def test_pages_of_hedged_positions_neither_repeat_nor_skip(exchange, queries):
    queries.settings.switch_mode(FUND, Fields({**USDT, "mode": 3}), 1_000)
    first = queries.position_list(FUND, Fields({**ABC, "limit": 1}), 2_000)
    rest = Fields({**ABC, "limit": 1, "cursor": first["nextPageCursor"]})
    second = queries.position_list(FUND, rest, 2_000)
    assert [page["list"][0]["positionIdx"] for page in (first, second)] == [1, 2]
    assert second["nextPageCursor"] == ""


def test_pages_of_all_hedged_positions_end_though_one_closes_meanwhile(exchange, queries):
    queries.settings.switch_mode(FUND, Fields({**USDT, "mode": 3}), 1_000)
    for symbol in (X, Y):
        exchange.house_limit(symbol, Side.BUY, 990, 1000, now_ms=1)
        buy(exchange, symbol=symbol, position_idx=1)
        buy(exchange, symbol=symbol, position_idx=2, side=Side.SELL)
    seen, fields = [], {"category": "linear", "settleCoin": "USDT", "limit": 1}
    while len(seen) < 5:
        page = queries.position_list(FUND, Fields(fields), 2_000)
        seen += [(row["symbol"], row["positionIdx"]) for row in page["list"]]
        if len(seen) == 2:
            buy(exchange, position_idx=2)
        fields["cursor"] = page["nextPageCursor"]
        if not page["nextPageCursor"]:
            break
    assert seen == [(X, 1), (X, 2), (Y, 1), (Y, 2)]


def test_the_ledger_of_no_category_is_of_the_coin_that_is_asked_for(exchange, queries):
    for symbol in (X, Y):
        buy(exchange, symbol=symbol)
    log = queries.transaction_log(FUND, Fields({"baseCoin": "XYZ"}), 2_000)["list"]
    assert [row["symbol"] for row in log] == [Y]
    assert len(queries.transaction_log(FUND, Fields({}), 2_000)["list"]) == 2


def test_position_row_names_the_prices_at_which_it_would_fall(exchange, queries):
    buy(exchange, account=RETAIL, quantity=20)
    (row,) = positions(queries, account=RETAIL, symbol=X)
    assert (row["liqPrice"], row["bustPrice"]) == ("8.55", "8.52")
    assert row["positionStatus"] == "Normal"
    assert positions(queries, symbol=X)[0]["liqPrice"] == ""


def test_leverage_of_both_sides_must_be_equal(queries):
    set_leverage = queries.settings.set_leverage
    assert code_of(set_leverage, {**ABC, "buyLeverage": "5", "sellLeverage": "6"}) == 10001
    assert code_of(set_leverage, {**ABC, "buyLeverage": "0.5", "sellLeverage": "0.5"}) == 10001
    assert code_of(set_leverage, {**ABC, "buyLeverage": "5.001", "sellLeverage": "5.001"}) == 10001
    assert code_of(set_leverage, {**ABC, "buyLeverage": "10", "sellLeverage": "10"}) == 110043
    set_leverage(FUND, Fields({**ABC, "buyLeverage": "5", "sellLeverage": "5"}), 1_000)
    assert positions(queries, symbol=X)[0]["leverage"] == "5"


def test_margin_is_crossed_only(queries):
    set_mode = queries.settings.set_margin_mode
    regular = Fields({"setMarginMode": "REGULAR_MARGIN"})
    with pytest.raises(VenueReject) as unchanged:
        set_mode(FUND, regular, 1_000)
    assert unchanged.value.code == 110026
    with pytest.raises(DetailedReject) as refused:
        set_mode(FUND, Fields({"setMarginMode": "ISOLATED_MARGIN"}), 1_000)
    assert refused.value.code == 3400045
    assert code_of(set_mode, {"setMarginMode": "OTHER"}) == 10001


def test_disconnect_protection_is_set_and_told(queries):
    settings = queries.settings
    wish = {"product": "DERIVATIVES", "timeWindow": 40}
    assert settings.dcp_info(FUND, Fields({}), 1_000) == {"dcpInfos": []}
    assert settings.protect_disconnected(FUND, Fields(wish), 1_000) == {}
    info = {"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "40"}
    assert settings.dcp_info(FUND, Fields({}), 1_000) == {"dcpInfos": [info]}
    assert code_of(settings.protect_disconnected, wish, account=RETAIL) == 10005
    assert code_of(settings.protect_disconnected, {"product": "SPOT"}) == 10001


def test_disconnect_protection_is_of_options_where_no_product_is_named(exchange, queries):
    settings = queries.settings
    settings.protect_disconnected(FUND, Fields({"timeWindow": 40}), 1_000)
    (info,) = settings.dcp_info(FUND, Fields({}), 1_000)["dcpInfos"]
    assert info["product"] == "OPTIONS"
    bid = OrderRequest(
        symbol=X, side=Side.BUY, order_type=OrderType.LIMIT, quantity=D(1), price=D(9)
    )
    order = exchange.place(1, bid, now_ms=1_000)
    assert exchange.cancel_disconnected(1, DcpProduct.OPTIONS, now_ms=1_001) == 0
    assert not order.state.is_final


def test_histories_lag_and_open_queries_do_not(exchange, queries):
    order = buy(exchange)
    queries.history_lag_ms = 500

    def seen(now_ms):
        ids = Fields({**ABC, "orderId": order.order_id})
        calls = (queries.order_realtime, queries.order_history, queries.execution_list)
        return [len(call(FUND, ids, now_ms)["list"]) for call in calls]

    assert seen(1_499) == [1, 0, 0]
    assert seen(1_500) == [1, 1, 1]
