"""pybit's HTTP client: market data, account, the life of orders, fills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from protocol import (
    EXECUTION_KEYS,
    LINEAR_TICKER_KEYS,
    ORDER_KEYS,
    POSITION_KEYS,
    book_of,
    check_book,
    check_order_row,
    check_wallet_row,
    signed_size,
)
from registry import case, check, check_equal, check_keys
from room_pybit import OTHER, SYMBOL, PybitRoom, refused

HTTP_CLIENT = "pybit HTTP"


@case("server time", HTTP_CLIENT)
def server_time(room: PybitRoom) -> None:
    answer = room.a.http.get_server_time()
    said = int(answer["result"]["timeNano"]) // 1_000_000
    check(abs(said - answer["time"]) < 2000, "timeNano against envelope time", answer)
    check_equal(int(answer["result"]["timeSecond"]), said // 1000, "timeSecond")


@case("instruments", HTTP_CLIENT)
def instruments(room: PybitRoom) -> None:
    linear = room.a.http.get_instruments_info(category="linear", limit=1000)["result"]
    check_equal(linear["category"], "linear", "category")
    check_equal(linear["nextPageCursor"], "", "nextPageCursor")
    check({SYMBOL, OTHER} <= {row["symbol"] for row in linear["list"]}, "symbols are missing")
    for row in linear["list"]:
        check_keys(
            row, ("priceFilter", "lotSizeFilter", "leverageFilter", "settleCoin"), "linear row"
        )
        check_keys(
            row["lotSizeFilter"], ("minNotionalValue", "qtyStep", "minOrderQty"), "lot filter"
        )
    for category in ("spot", "inverse", "option"):
        answer = room.a.http.get_instruments_info(category=category)["result"]
        check_equal(answer["category"], category, "category")
    one = room.a.http.get_instruments_info(category="linear", limit=1)["result"]
    check_equal(len(one["list"]), 1, "rows of a page of one")
    rest = room.a.http.get_instruments_info(
        category="linear", limit=1, cursor=one["nextPageCursor"]
    )["result"]
    check(
        rest["list"][0]["symbol"] != one["list"][0]["symbol"], "the second page repeats the first"
    )


@case("order book", HTTP_CLIENT)
def order_book(room: PybitRoom) -> None:
    for limit in (1, 50, 200, 1000):
        found = room.a.http.get_orderbook(category="linear", symbol=SYMBOL, limit=limit)["result"]
        check_equal(found["s"], SYMBOL, "s")
        check_book(book_of(found), limit, f"REST book {limit}")
        prices = [[Decimal(price) for price, _ in found[side]] for side in ("b", "a")]
        check(prices[0] == sorted(prices[0], reverse=True), "bids not descending")
        check(prices[1] == sorted(prices[1]), "asks not ascending")
        check_keys(found, ("ts", "u", "seq", "cts"), "REST book")
        if limit == 50:
            check_equal((len(prices[0]), len(prices[1])), (50, 50), "levels at depth 50")


@case("tickers, trades, klines", HTTP_CLIENT)
def market_figures(room: PybitRoom) -> None:
    http = room.a.http
    row = http.get_tickers(category="linear", symbol=SYMBOL)["result"]["list"][0]
    check_keys(row, LINEAR_TICKER_KEYS, "ticker")
    check(Decimal(row["bid1Price"]) < Decimal(row["ask1Price"]), "ticker crossed", row)
    trades = http.get_public_trade_history(category="linear", symbol=SYMBOL, limit=50)
    for trade in trades["result"]["list"]:
        keys = ("execId", "symbol", "price", "size", "side", "time", "isBlockTrade", "seq")
        check_keys(trade, keys, "trade")
    for read in (http.get_kline, http.get_mark_price_kline, http.get_index_price_kline):
        rows = read(category="linear", symbol=SYMBOL, interval="1", limit=60)["result"]["list"]
        starts = [int(kline[0]) for kline in rows]
        check(len(rows) == 60 and starts == sorted(starts, reverse=True), "klines", starts[:3])
        for kline in rows:
            first, high, low, last = (Decimal(text) for text in kline[1:5])
            check(low <= min(first, last) <= max(first, last) <= high, "kline out of order", kline)


@case("funding, open interest, ratio, risk limit", HTTP_CLIENT)
def market_statistics(room: PybitRoom) -> None:
    http, scope = room.a.http, {"category": "linear", "symbol": SYMBOL}
    funding = http.get_funding_rate_history(**scope)["result"]
    check_keys(funding, ("category", "list"), "funding history")
    interest = http.get_open_interest(**scope, intervalTime="5min")["result"]
    check_keys(interest, ("category", "symbol", "list", "nextPageCursor"), "open interest")
    ratio = http.get_long_short_ratio(**scope, period="5min")["result"]
    for row in ratio["list"]:
        check_equal(Decimal(row["buyRatio"]) + Decimal(row["sellRatio"]), Decimal(1), "ratios")
    risk = http.get_risk_limit(**scope)["result"]["list"]
    check(risk and risk[0]["symbol"] == SYMBOL, "risk limit", risk)
    premium = http.get_premium_index_price_kline(**scope, interval="1")["result"]
    check_keys(premium, ("category", "symbol", "list"), "premium index kline")


@case("account queries", HTTP_CLIENT)
def account_queries(room: PybitRoom) -> None:
    http = room.a.http
    key = http.get_api_key_information()["result"]
    check_equal((key["uta"], key["readOnly"]), (1, 0), "uta and readOnly")
    other = room.b.http.get_api_key_information()["result"]
    check(key["userID"] != other["userID"], "both keys belong to one UID")
    check_equal(http.get_account_info()["result"]["unifiedMarginStatus"], 6, "unifiedMarginStatus")
    check_wallet_row(http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0])
    fees = http.get_fee_rates(category="linear", symbol=SYMBOL)["result"]["list"]
    check_equal(fees[0]["takerFeeRate"], "0.00055", "takerFeeRate")
    check_equal(fees[0]["makerFeeRate"], "0.0002", "makerFeeRate")
    check(http.get_fee_rates(category="linear")["result"]["list"], "fee rates without a symbol")
    check_keys(http.get_coin_info()["result"], ("rows",), "coin info")
    http.get_transaction_log(accountType="UNIFIED", category="linear")


@case("set leverage", HTTP_CLIENT, code=110043)
def set_leverage(room: PybitRoom) -> int:
    wanted = {"category": "linear", "symbol": OTHER}
    for value in ("5", "10"):
        room.a.pace("leverage")
        room.a.http.set_leverage(**wanted, buyLeverage=value, sellLeverage=value)
        rows = room.a.http.get_positions(category="linear", symbol=OTHER)["result"]["list"]
        check_equal(Decimal(rows[0]["leverage"]), Decimal(value), "leverage")
    room.a.pace("leverage")
    return refused(room.a.strict.set_leverage, **wanted, buyLeverage="10", sellLeverage="10")


@case("place limit order", HTTP_CLIENT)
def place(room: PybitRoom) -> None:
    link = room.link()
    order_id = room.rest_a_bid(orderLinkId=link)["orderId"]
    row = room.a.order(order_id)
    check_order_row(row, ORDER_KEYS)
    check_equal((row["orderStatus"], row["orderLinkId"]), ("New", link), "status and link id")
    by_link = room.a.http.get_open_orders(category="linear", orderLinkId=link)["result"]["list"]
    check_equal([found["orderId"] for found in by_link], [order_id], "ids by link id")
    by_coin = room.a.http.get_open_orders(category="linear", settleCoin="USDT")["result"]["list"]
    check(order_id in {found["orderId"] for found in by_coin}, "not listed by settle coin")
    check(order_id in room.a.open_ids(), "not listed by symbol")
    room.a.cancel(symbol=SYMBOL, orderId=order_id)


@case("amend order", HTTP_CLIENT)
def amend(room: PybitRoom) -> None:
    placed = room.rest_a_bid()
    before = room.a.order(placed["orderId"])
    price = str(Decimal(before["price"]) - 10 * room.steps[SYMBOL][0])
    qty = str(Decimal(before["qty"]) + room.steps[SYMBOL][1])
    room.a.amend(symbol=SYMBOL, orderId=placed["orderId"], price=price, qty=qty)
    after = room.a.order(placed["orderId"])
    check_equal(Decimal(after["price"]), Decimal(price), "amended price")
    check_equal(Decimal(after["leavesQty"]), Decimal(qty), "leavesQty after the amend")
    check_equal(after["createdTime"], before["createdTime"], "createdTime")
    room.a.cancel(symbol=SYMBOL, orderLinkId=placed["orderLinkId"])


@case("cancel order", HTTP_CLIENT)
def cancel(room: PybitRoom) -> None:
    placed = room.rest_a_bid()
    answer = room.a.cancel(symbol=SYMBOL, orderLinkId=placed["orderLinkId"])
    check_equal(answer["orderId"], placed["orderId"], "orderId of the cancel reply")
    row = room.a.final(placed["orderId"])
    found = (row["orderStatus"], row["cancelType"], row["rejectReason"])
    check_equal(found, ("Cancelled", "CancelByUser", "EC_PerCancelRequest"), "final row")
    check(placed["orderId"] not in room.a.open_ids(), "still listed as open")


def _batch(room: PybitRoom, count: int) -> list[dict[str, str]]:
    return [
        {
            "symbol": symbol,
            "side": "Buy",
            "orderType": "Limit",
            "qty": room.quantity("300", symbol),
            "price": room.away(symbol),
            "orderLinkId": room.link(),
        }
        for symbol in (SYMBOL, OTHER, SYMBOL)[:count]
    ]


def _check_batch(answer: dict[str, Any], wanted: list[dict[str, str]]) -> list[str]:
    rows, codes = answer["result"]["list"], answer["retExtInfo"]["list"]
    check_equal([code["code"] for code in codes], [0] * len(wanted), "item codes")
    found = [(row["symbol"], row["orderLinkId"]) for row in rows]
    check_equal(found, [(row["symbol"], row["orderLinkId"]) for row in wanted], "items")
    return [row["orderId"] for row in rows]


@case("batch create, amend, cancel", HTTP_CLIENT)
def batch(room: PybitRoom) -> None:
    http, wanted = room.a.http, _batch(room, 3)
    room.a.pace("create-batch", 3)
    ids = _check_batch(http.place_batch_order(category="linear", request=wanted), wanted)
    check(set(ids) <= room.a.open_ids(SYMBOL) | room.a.open_ids(OTHER), "not all are open")
    changes = [
        {"symbol": row["symbol"], "orderId": order_id, "qty": room.quantity("500", row["symbol"])}
        for row, order_id in zip(wanted, ids, strict=True)
    ]
    room.a.pace("amend-batch", 3)
    _check_batch(http.amend_batch_order(category="linear", request=changes), wanted)
    for change in changes:
        row = room.a.order(change["orderId"])
        check_equal(Decimal(row["qty"]), Decimal(change["qty"]), "qty after the batch amend")
    room.a.pace("cancel-batch", 3)
    gone = [{"symbol": row["symbol"], "orderLinkId": row["orderLinkId"]} for row in wanted]
    _check_batch(http.cancel_batch_order(category="linear", request=gone), wanted)
    for order_id in ids:
        check_equal(room.a.final(order_id)["orderStatus"], "Cancelled", "status")


@case("batch with one bad item", HTTP_CLIENT, code=10001)
def batch_partly_refused(room: PybitRoom) -> int:
    wanted = _batch(room, 3)
    wanted[1]["qty"] = "0.0001"
    room.a.pace("create-batch", 3)
    answer = room.a.http.place_batch_order(category="linear", request=wanted)
    codes = [row["code"] for row in answer["retExtInfo"]["list"]]
    check_equal((codes[0], codes[2]), (0, 0), "codes of the good items")
    rows = answer["result"]["list"]
    check_equal(len(rows), 3, "result rows")
    check_equal((rows[1]["orderId"], rows[1]["createAt"]), ("", ""), "ids of the bad item")
    room.a.pace("cancel-all")
    room.a.http.cancel_all_orders(category="linear", symbol=SYMBOL)
    return int(codes[1])


@case("cancel all", HTTP_CLIENT)
def cancel_all(room: PybitRoom) -> None:
    ids = {room.rest_a_bid()["orderId"] for _ in range(3)}
    room.a.pace("cancel-all")
    answer = room.a.http.cancel_all_orders(category="linear", symbol=SYMBOL)["result"]
    check_equal(answer["success"], "1", "success")
    check_equal({row["orderId"] for row in answer["list"]}, ids, "cancelled ids")
    check_equal(room.a.open_ids(), set(), "open orders")


def _check_fills(room: PybitRoom, row: dict[str, Any], *, is_maker: bool) -> None:
    check_order_row(row, ORDER_KEYS)
    found = room.a.http.get_executions(category="linear", orderId=row["orderId"])["result"]["list"]
    check(found, "no executions of a filled order")
    for execution in found:
        check_keys(execution, EXECUTION_KEYS, "execution")
        check_equal(execution["isMaker"], is_maker, "isMaker")
    check_equal(abs(signed_size(found)), Decimal(row["cumExecQty"]), "sum of executions")
    value = sum(Decimal(execution["execValue"]) for execution in found)
    check_equal(value, Decimal(row["cumExecValue"]), "cumExecValue")
    fee = sum(Decimal(execution["execFee"]) for execution in found)
    check_equal(Decimal(row["cumFeeDetail"]["USDT"]), fee, "cumFeeDetail")


@case("market order fills", HTTP_CLIENT)
def market_fill(room: PybitRoom) -> None:
    qty = room.quantity("4000")
    order_id = room.a.place(symbol=SYMBOL, side="Buy", orderType="Market", qty=qty)["orderId"]
    row = room.a.final(order_id)
    check_equal((row["orderStatus"], row["timeInForce"]), ("Filled", "IOC"), "final row")
    _check_fills(room, row, is_maker=False)
    check_equal(room.a.position(SYMBOL), Decimal(qty), "position")
    position = room.a.http.get_positions(category="linear", settleCoin="USDT")["result"]["list"]
    check_equal([found["symbol"] for found in position], [SYMBOL], "positions by settle coin")
    check_keys(position[0], POSITION_KEYS | {"avgPrice"}, "position")


@case("reduce-only close", HTTP_CLIENT)
def reduce_only_close(room: PybitRoom) -> None:
    qty = room.a.position(SYMBOL)
    if not qty:
        qty = Decimal(room.quantity("4000"))
        room.a.place(symbol=SYMBOL, side="Buy", orderType="Market", qty=str(qty))
    order_id = room.a.place(
        symbol=SYMBOL, side="Sell", orderType="Market", qty=str(qty), reduceOnly=True
    )["orderId"]
    row = room.a.final(order_id)
    check_equal((row["orderStatus"], row["reduceOnly"]), ("Filled", True), "final row")
    check_equal(room.a.position(SYMBOL), Decimal(0), "position")
    pnl = room.a.http.get_closed_pnl(category="linear", symbol=SYMBOL)["result"]["list"][0]
    check_equal((pnl["side"], Decimal(pnl["closedSize"])), ("Sell", qty), "closed PnL row")
    empty = room.a.http.get_positions(category="linear", settleCoin="USDT")["result"]["list"]
    check_equal(empty, [], "positions by settle coin")


@case("limit order fills as taker", HTTP_CLIENT)
def limit_fill_taker(room: PybitRoom) -> None:
    price = Decimal(room.across(OTHER))
    order_id = room.a.place(
        symbol=OTHER,
        side="Buy",
        orderType="Limit",
        qty=room.quantity("3000", OTHER),
        price=str(price),
    )["orderId"]
    row = room.a.final(order_id)
    check_equal(row["orderStatus"], "Filled", "status")
    check(Decimal(row["avgPrice"]) <= price, "filled above its limit", row["avgPrice"], price)
    _check_fills(room, row, is_maker=False)
    room.a.flatten(OTHER)


@case("limit order fills as maker", HTTP_CLIENT)
def limit_fill_maker(room: PybitRoom) -> None:
    event = room.fill_as_maker(SYMBOL, "2000")
    row = room.a.final(event["orderId"])
    check_equal(row["orderStatus"], "Filled", "status")
    check_equal(Decimal(row["avgPrice"]), Decimal(row["price"]), "avgPrice of a maker")
    _check_fills(room, row, is_maker=True)
    room.b.flatten(SYMBOL)
    room.a.flatten(SYMBOL)


@case("post-only that would cross", HTTP_CLIENT)
def post_only_crossing(room: PybitRoom) -> None:
    order_id = room.rest_a_bid(price=room.across())["orderId"]
    row = room.a.final(order_id)
    check(row["orderStatus"] in {"Cancelled", "Rejected"}, "status", row["orderStatus"])
    check_equal(row["rejectReason"], "EC_PostOnlyWillTakeLiquidity", "rejectReason")
    check_equal((row["cancelType"], row["cumExecQty"]), ("UNKNOWN", "0"), "final row")


@case("IOC and FOK that cannot fill", HTTP_CLIENT)
def ioc_and_fok(room: PybitRoom) -> None:
    for kind, reasons in (
        ("IOC", {"EC_NoImmediateQtyToFill"}),
        ("FOK", {"EC_NoEnoughQtyToFill", "EC_CancelForNoFullFill"}),
    ):
        row = room.a.final(room.rest_a_bid(timeInForce=kind)["orderId"])
        check_equal((row["orderStatus"], row["cumExecQty"]), ("Cancelled", "0"), kind)
        check(row["rejectReason"] in reasons, kind, row["rejectReason"])


@case("order and execution history", HTTP_CLIENT)
def histories(room: PybitRoom) -> None:
    http, seen, cursor = room.a.http, [], ""
    for _ in range(20):
        page = http.get_order_history(category="linear", limit=5, cursor=cursor or None)["result"]
        seen += [row["orderId"] for row in page["list"]]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    check_equal(len(seen), len(set(seen)), "orders over pages")
    check(len(seen) > 5 and not cursor, "paging", len(seen), cursor)
    filled = http.get_order_history(category="linear", orderStatus="Filled")["result"]["list"]
    check({row["orderStatus"] for row in filled} == {"Filled"}, "filter by status")
    trades = http.get_executions(category="linear", execType="Trade", limit=100)["result"]["list"]
    times = [int(row["execTime"]) for row in trades]
    check(times == sorted(times, reverse=True), "executions are not newest first")
