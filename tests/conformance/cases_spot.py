"""pybit on the spot pair: REST, private and public streams, the trade WebSocket."""

from __future__ import annotations

import queue
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from protocol import EXECUTION_KEYS, ORDER_KEYS, book_of, check_order_row, check_same_book
from registry import CaseError, case, check, check_equal, check_keys
from room_modes import BASE, DEPTHS, FEE, ModesRoom
from room_pybit import SYMBOL, refused
from streams import WAIT_S

HTTP_CLIENT = "pybit HTTP spot"
STREAM_CLIENT = "pybit WebSocket spot"
TRADE_CLIENT = "pybit WebSocketTrading spot"
CONTRACT_KEYS = {"createType", "tpslMode"}
SPOT_ORDER_KEYS = ORDER_KEYS - CONTRACT_KEYS
SPOT_EXECUTION_KEYS = EXECUTION_KEYS - {"createType"}
EQUAL_BOOKS = 3


def spot_case(name: str, code: int = 0, *, client: str = HTTP_CLIENT) -> Callable[[Any], Any]:
    """Register a case of this module."""
    return case(name, client, code=code, phase="modes")


@spot_case("instruments, book, ticker, trades, klines")
def market_data(room: ModesRoom) -> None:
    http = room.spot.http
    found = http.get_instruments_info(category="spot")["result"]
    check_equal(found["category"], "spot", "category")
    names = {row["symbol"]: row["quoteCoin"] for row in found["list"]}
    check_equal(names, {"BTCUSDT": "USDT", "ETHUSDT": "USDT"}, "pairs")
    bid, ask = room.spot.top()
    (ticker,) = http.get_tickers(category="spot", symbol=SYMBOL)["result"]["list"]
    check("openInterestValue" not in ticker, "a contract's ticker")
    check(bid < ask and Decimal(ticker["bid1Price"]) < Decimal(ticker["ask1Price"]), "crossed")
    trades = http.get_public_trade_history(category="spot", symbol=SYMBOL, limit=20)["result"]
    check({row["symbol"] for row in trades["list"]} <= {SYMBOL}, "trades of another pair")
    bars = http.get_kline(category="spot", symbol=SYMBOL, interval=1, limit=30)["result"]["list"]
    check_equal(len(bars), 30, "klines")
    linear = http.get_tickers(category="linear", symbol=SYMBOL)["result"]["list"][0]
    gap = Decimal(ticker["lastPrice"]) / Decimal(linear["lastPrice"]) - 1
    check(abs(gap) < Decimal("0.01"), "spot is away from the perpetual by", gap)


@spot_case("place, amend, cancel")
def life_of_an_order(room: ModesRoom) -> None:
    spot = room.spot
    order_id = spot.spot(**spot.bid(timeInForce="PostOnly", orderLinkId="spot-1"))["orderId"]
    row = spot.spot_order(order_id)
    check_order_row(row, SPOT_ORDER_KEYS)
    check_equal(CONTRACT_KEYS & set(row), set(), "a contract's keys")
    locked = Decimal(spot.coin("USDT")["locked"])
    check(locked >= Decimal(row["price"]) * Decimal(row["qty"]), "locked", locked)
    spot.pace("amend")
    larger = spot.quantity("900")
    spot.http.amend_order(category="spot", symbol=SYMBOL, orderId=order_id, qty=larger)
    check_equal(Decimal(spot.spot_order(order_id)["qty"]), Decimal(larger), "amended qty")
    spot.cancel_spot(orderLinkId="spot-1")
    check_equal(spot.spot_order(order_id)["orderStatus"], "Cancelled", "orderStatus")
    check_equal(Decimal(spot.coin("USDT")["locked"]), Decimal(0), "locked after the cancel")


@spot_case("order stream", client=STREAM_CLIENT)
def order_stream(room: ModesRoom) -> None:
    order_id = room.spot.spot(**room.spot.bid())["orderId"]
    row = room.spot_event(order_id, "New")
    check_keys(row, SPOT_ORDER_KEYS | {"category", "feeCurrency"}, "order push")
    check_equal(row["category"], "spot", "category")
    check_equal(CONTRACT_KEYS & set(row), set(), "a contract's keys")
    room.spot.cancel_spot(orderId=order_id)
    room.spot_event(order_id, "Cancelled")


@spot_case("market buy in USDT, market sell in coins; cash")
def market_orders(room: ModesRoom) -> None:
    spot = room.spot
    coins, cash = spot.balance(BASE), spot.balance("USDT")
    bought = spot.buy("3000")
    check(bought > 0, "nothing was bought")
    sold_id = spot.sell(bought)
    rows = spot.http.get_executions(category="spot", symbol=SYMBOL, limit=100)["result"]["list"]
    sold = [row for row in rows if row["orderId"] == sold_id]
    buys = [row for row in rows if row["side"] == "Buy"][:20]
    latest = buys[0]["orderId"]
    buys = [row for row in rows if row["orderId"] == latest]
    for row in buys + sold:
        check_keys(row, SPOT_EXECUTION_KEYS, "execution")
        fee = Decimal(row["execQty" if row["side"] == "Buy" else "execValue"]) * FEE
        check_equal(Decimal(row["execFee"]), fee, "fee")
        check_equal(row["feeCurrency"], BASE if row["side"] == "Buy" else "USDT", "fee coin")
    got = sum(Decimal(row["execQty"]) - Decimal(row["execFee"]) for row in buys)
    check_equal(got, bought, "coins bought less the fee")
    paid = sum(Decimal(row["execValue"]) for row in buys)
    earned = sum(Decimal(row["execValue"]) - Decimal(row["execFee"]) for row in sold)
    check_equal(spot.balance("USDT") - cash, earned - paid, "change of USDT")
    left = bought - sum(Decimal(row["execQty"]) for row in sold)
    check_equal(spot.balance(BASE) - coins, left, "change of coins")


@spot_case("market buy in coins")
def market_buy_in_coins(room: ModesRoom) -> None:
    spot = room.spot
    size = spot.quantity("1000")
    order_id = spot.spot(side="Buy", orderType="Market", qty=size, marketUnit="baseCoin")["orderId"]
    row = spot.spot_order(order_id)
    check_equal((row["orderStatus"], Decimal(row["cumExecQty"])), ("Filled", Decimal(size)), "buy")
    spot.sell(Decimal(size) * (1 - FEE))


@spot_case("execution and wallet streams", client=STREAM_CLIENT)
def execution_stream(room: ModesRoom) -> None:
    mark = room.rows.mark("wallet")
    bought = room.spot.buy("1500")
    order_id = room.spot.sell(bought)
    row = room.rows.wait("execution.spot", lambda each: each["orderId"] == order_id)
    check_keys(row, SPOT_EXECUTION_KEYS | {"category", "isLeverage"}, "execution push")
    check_equal((row["category"], row["execType"]), ("spot", "Trade"), "execution")
    room.rows.wait_count("wallet", 2, mark=mark)


@spot_case("limit fill, IOC and FOK")
def limit_fills(room: ModesRoom) -> None:
    spot = room.spot
    size = spot.quantity("1000")
    taken = spot.spot(side="Buy", orderType="Limit", qty=size, price=spot.price("0.3"))["orderId"]
    check_equal(spot.spot_order(taken)["orderStatus"], "Filled", "limit order")
    for kind in ("IOC", "FOK"):
        gone = spot.spot(**spot.bid(timeInForce=kind))["orderId"]
        check_equal(spot.spot_order(gone)["orderStatus"], "Cancelled", kind)
    spot.sell(Decimal(size) * (1 - FEE))


@spot_case("post-only that would cross")
def post_only(room: ModesRoom) -> None:
    spot = room.spot
    order_id = spot.spot(**spot.bid(price=spot.price("0.3"), timeInForce="PostOnly"))["orderId"]
    row = spot.spot_order(order_id)
    check(row["orderStatus"] in {"Cancelled", "Rejected"}, "orderStatus", row["orderStatus"])
    check_equal(Decimal(row["cumExecQty"]), Decimal(0), "filled")


@spot_case("batch create, amend, cancel")
def batch(room: ModesRoom) -> None:
    spot = room.spot
    spot.pace("create-batch", 2)
    wanted = [{"symbol": SYMBOL, **spot.bid()} for _ in range(2)]
    made = spot.http.place_batch_order(category="spot", request=wanted)
    ids = [row["orderId"] for row in made["result"]["list"]]
    check(all(ids), "batch create", made)
    spot.pace("amend-batch", 2)
    larger = spot.quantity("900")
    changes = [{"symbol": SYMBOL, "orderId": name, "qty": larger} for name in ids]
    changed = spot.http.amend_batch_order(category="spot", request=changes)
    check_equal([row["code"] for row in changed["retExtInfo"]["list"]], [0, 0], "amend codes")
    spot.pace("cancel-batch", 2)
    names = [{"symbol": SYMBOL, "orderId": name} for name in ids]
    gone = spot.http.cancel_batch_order(category="spot", request=names)
    check_equal([row["code"] for row in gone["retExtInfo"]["list"]], [0, 0], "cancel codes")


@spot_case("cancel all")
def cancel_all(room: ModesRoom) -> None:
    spot = room.spot
    for _ in range(2):
        spot.spot(**spot.bid())
    spot.pace("cancel-all")
    spot.http.cancel_all_orders(category="spot", symbol=SYMBOL)
    check_equal(spot.waiting("Order"), [], "open orders")


@spot_case("conditional and TP/SL orders wait and go")
def waiting_orders(room: ModesRoom) -> None:
    spot = room.spot
    for order_filter in ("StopOrder", "tpslOrder"):
        fields = spot.bid(triggerPrice=spot.price("-1"), orderFilter=order_filter)
        order_id = spot.spot(**fields)["orderId"]
        (row,) = spot.waiting(order_filter)
        check_equal((row["orderId"], row["orderStatus"]), (order_id, "Untriggered"), "waiting")
        spot.cancel_spot(orderId=order_id, orderFilter=order_filter)
        check_equal(spot.waiting(order_filter), [], order_filter)


@spot_case("limit order brings take profit and stop loss")
def guards(room: ModesRoom) -> None:
    spot = room.spot
    size = spot.quantity("1000")
    spot.spot(
        side="Buy",
        orderType="Limit",
        qty=size,
        price=spot.price("0.3"),
        takeProfit=spot.price("4"),
        stopLoss=spot.price("-4"),
    )
    rows = spot.waiting("tpslOrder")
    check_equal({row["side"] for row in rows}, {"Sell"}, "sides of the guards")
    check_equal(len(rows), 2, "guards")
    spot.pace("cancel-all")
    spot.http.cancel_all_orders(category="spot", symbol=SYMBOL, orderFilter="tpslOrder")
    check_equal(spot.waiting("tpslOrder"), [], "guards after cancelling")
    spot.sell(Decimal(size) * (1 - FEE))


@spot_case("no funds", code=170131)
def no_funds(room: ModesRoom) -> int:
    return room.spot.spot_refused(**room.spot.bid(qty=room.spot.quantity("2000000")))


@spot_case("sale of coins not held", code=170131)
def short_sale(room: ModesRoom) -> int:
    fields = room.spot.bid(side="Sell", price=room.spot.price("1"), qty=room.spot.quantity("90000"))
    return room.spot.spot_refused(**fields)


@spot_case("duplicate link id", code=170141)
def duplicate(room: ModesRoom) -> int:
    return room.spot.spot_refused(**room.spot.bid(orderLinkId="spot-1"))


@spot_case("unknown order, cancel", code=170213)
def unknown_order(room: ModesRoom) -> int:
    room.spot.pace("cancel")
    return refused(room.spot.strict.cancel_order, category="spot", symbol=SYMBOL, orderId="1")


@spot_case("price off tick", code=170134)
def price_off_tick(room: ModesRoom) -> int:
    return room.spot.spot_refused(**room.spot.bid(price=room.spot.price("-2") + "3"))


@spot_case("quantity too small", code=170136)
def too_small(room: ModesRoom) -> int:
    return room.spot.spot_refused(**room.spot.bid(qty=str(room.spot.step)))


@spot_case("value too small", code=170140)
def value_too_small(room: ModesRoom) -> int:
    return room.spot.spot_refused(side="Buy", orderType="Market", qty="1")


@spot_case("price beyond the limit", code=170193)
def beyond_the_limit(room: ModesRoom) -> int:
    return room.spot.spot_refused(**room.spot.bid(price=room.spot.price("20")))


@spot_case("unknown pair", code=170121)
def unknown_pair(room: ModesRoom) -> int:
    room.spot.pace("create")
    fields = room.spot.bid()
    return refused(room.spot.strict.place_order, category="spot", symbol="NOPEUSDT", **fields)


@spot_case("order books equal REST at the same seq", client=STREAM_CLIENT)
def books_equal_rest(room: ModesRoom) -> None:
    for depth, log in room.books.items():
        log.wait_messages(3)
        agreed = 0
        for _ in range(40):
            wanted = room.spot.http.get_orderbook(
                category="spot", symbol=SYMBOL, limit=min(depth, 200)
            )["result"]
            found = log.at(wanted["seq"], timeout_s=1.0)
            if found is not None:
                check_same_book(found, book_of(wanted), min(depth, 200), f"depth {depth}")
                agreed += 1
            if agreed == EQUAL_BOOKS:
                break
        check_equal(agreed, EQUAL_BOOKS, f"equal books at depth {depth}")
    check_equal(len(room.books), len(DEPTHS), "depths")


@spot_case("trades, ticker, kline", client=STREAM_CLIENT)
def public_rows(room: ModesRoom) -> None:
    trades = room.public.wait_count(f"publicTrade.{SYMBOL}", 5)
    names = [row["i"] for row in trades]
    check_equal(len(names), len(set(names)), "different trade ids")
    ticker = room.public.wait_count(f"tickers.{SYMBOL}", 2)[-1]
    check_keys(ticker, ("symbol", "lastPrice", "usdIndexPrice", "turnover24h"), "ticker")
    check("openInterestValue" not in ticker, "a contract's ticker")
    bar = room.public.wait_count(f"kline.1.{SYMBOL}", 1)[-1]
    low, high = Decimal(bar["low"]), Decimal(bar["high"])
    check(low <= Decimal(bar["close"]) <= high, "close outside low and high", bar)


@spot_case("place, amend, cancel", client=TRADE_CLIENT)
def trade_socket(room: ModesRoom) -> None:
    made = _trade(room, "place_order", "create", **room.spot.bid(orderLinkId="spot-ws"))
    check_equal(made["retCode"], 0, f"reply {made}")
    order_id = made["data"]["orderId"]
    room.spot_event(order_id, "New")
    qty = room.spot.quantity("900")
    changed = _trade(room, "amend_order", "amend", orderId=order_id, qty=qty)
    check_equal(changed["retCode"], 0, f"reply {changed}")
    gone = _trade(room, "cancel_order", "cancel", orderId=order_id)
    check_equal(gone["retCode"], 0, f"reply {gone}")
    room.spot_event(order_id, "Cancelled")


@spot_case("no funds", code=170131, client=TRADE_CLIENT)
def trade_socket_refusal(room: ModesRoom) -> int:
    fields = room.spot.bid(qty=room.spot.quantity("2000000"))
    return int(_trade(room, "place_order", "create", **fields)["retCode"])


def _trade(room: ModesRoom, method: str, kind: str, **fields: Any) -> dict[str, Any]:
    replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    room.spot.pace(kind)
    call = getattr(room.trade_ws, method)
    call(replies.put, replies.put, category="spot", symbol=SYMBOL, **fields)
    try:
        return replies.get(timeout=WAIT_S)
    except queue.Empty:
        raise CaseError(f"{method}: no reply within {WAIT_S:.0f} s") from None


@spot_case("books stayed whole, no thread died", client=STREAM_CLIENT)
def whole(room: ModesRoom) -> None:
    for log in room.books.values():
        check(log.problem is None, log.problem)
    check_equal(room.log.take(), [], "failures in client threads")
