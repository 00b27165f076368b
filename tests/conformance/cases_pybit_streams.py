"""pybit's WebSocket: public and private streams against REST and against themselves."""

from __future__ import annotations

import itertools
import time
from decimal import Decimal
from typing import Any

from protocol import (
    EXECUTION_STREAM_KEYS,
    FAST_KEYS,
    ORDER_STREAM_KEYS,
    POSITION_KEYS,
    TICKER_STREAM_KEYS,
    book_of,
    cash_change,
    check_order_row,
    check_same_book,
    check_wallet_row,
    signed_size,
)
from registry import case, check, check_equal, check_keys
from room_pybit import DEPTHS, OTHER, SYMBOL, PybitRoom

STREAM_CLIENT = "pybit WebSocket"
EQUAL_BOOKS = 3
AGREE_S = 20.0
START_CASH = Decimal(100_000)


@case("order books equal REST at the same seq", STREAM_CLIENT)
def books_equal_rest(room: PybitRoom) -> None:
    agreed = dict.fromkeys(DEPTHS, 0)
    deadline = time.monotonic() + AGREE_S
    while min(agreed.values()) < EQUAL_BOOKS:
        check(time.monotonic() < deadline, f"too few books at a common seq: {agreed}")
        found = room.a.http.get_orderbook(category="linear", symbol=SYMBOL, limit=1000)["result"]
        wanted = book_of(found)
        for depth in DEPTHS:
            book = room.books[SYMBOL, depth].at(found["seq"], timeout_s=0.25)
            if book is not None:
                check_same_book(book, wanted, depth, f"orderbook.{depth} at seq {found['seq']}")
                agreed[depth] += 1


@case("order books agree with each other", STREAM_CLIENT)
def books_agree(room: PybitRoom) -> None:
    for symbol in (SYMBOL, OTHER):
        for depth in DEPTHS:
            log = room.books[symbol, depth]
            log.wait_messages(10)
            check(log.problem is None, log.problem)


@case("public trades", STREAM_CLIENT)
def trades(room: PybitRoom) -> None:
    topic = f"publicTrade.{SYMBOL}"
    mark = room.public.mark(topic)
    order_id = room.a.place(
        symbol=SYMBOL, side="Buy", orderType="Market", qty=room.quantity("2000")
    )["orderId"]
    own = room.a.http.get_executions(category="linear", orderId=order_id)["result"]["list"]
    room.public.wait_count(topic, 20)
    for execution in own:
        price, qty = Decimal(execution["execPrice"]), Decimal(execution["execQty"])
        room.public.wait(
            topic,
            lambda row, price=price, qty=qty: (
                (row["S"], Decimal(row["p"])) == ("Buy", price) and Decimal(row["v"]) >= qty
            ),
            mark=mark,
        )
    room.a.flatten(SYMBOL)
    pushed = room.public.since(topic)
    times = [row["T"] for row in pushed]
    back = [pair for pair in itertools.pairwise(times) if pair[1] < pair[0]]
    check(not back, "trades are not in time order:", back)
    history = room.a.http.get_public_trade_history(category="linear", symbol=SYMBOL, limit=1000)
    rest = {row["execId"]: row for row in history["result"]["list"]}
    check_equal(len({row["i"] for row in pushed}), len(pushed), "distinct trade ids")
    for row in pushed:
        check_keys(row, ("T", "s", "S", "v", "p", "L", "i", "BT", "seq"), "trade")
        if len(rest) < 1000:
            check(row["i"] in rest, "a pushed trade is not in recent-trade", row)
        twin = rest.get(row["i"])
        if twin is not None:
            pushed_row = (row["p"], row["v"], row["S"], str(row["T"]))
            rest_row = tuple(twin[key] for key in ("price", "size", "side", "time"))
            check_equal(pushed_row, rest_row, f"trade {row['i']}")


@case("ticker", STREAM_CLIENT)
def ticker(room: PybitRoom) -> None:
    topic = f"tickers.{SYMBOL}"
    rows = room.public.wait_count(topic, 10)
    for row in rows:
        check_keys(row, TICKER_STREAM_KEYS, "ticker after deltas")
        check(Decimal(row["bid1Price"]) < Decimal(row["ask1Price"]), "ticker crossed", row)
        low, high = Decimal(row["lowPrice24h"]), Decimal(row["highPrice24h"])
        check(low <= Decimal(row["lastPrice"]) <= high, "last outside low and high", row)
        before = Decimal(row["prevPrice24h"])
        move = (Decimal(row["lastPrice"]) - before) / before
        check(abs(Decimal(row["price24hPcnt"]) - move) < Decimal("0.0002"), "price24hPcnt", row)
    printed = {row["p"] for row in room.public.since(f"publicTrade.{SYMBOL}")}
    room.public.wait(
        topic, lambda row: Decimal(row["lastPrice"]) in {Decimal(price) for price in printed}
    )
    deadline = time.monotonic() + AGREE_S
    keys = ("bid1Price", "bid1Size", "ask1Price", "ask1Size", "lastPrice")
    while True:
        check(time.monotonic() < deadline, "the ticker never equals REST")
        rest = room.a.http.get_tickers(category="linear", symbol=SYMBOL)["result"]["list"][0]
        latest = room.public.since(topic)[-1]
        if all(rest[key] == latest[key] for key in keys):
            return
        room.public.wait_count(topic, 1, mark=room.public.mark(topic))


@case("kline", STREAM_CLIENT)
def kline(room: PybitRoom) -> None:
    topic = f"kline.1.{SYMBOL}"
    deadline = time.monotonic() + AGREE_S
    while True:
        check(time.monotonic() < deadline, "the stream's kline never equals REST")
        room.public.wait_count(topic, 1, mark=room.public.mark(topic))
        found = room.a.http.get_kline(category="linear", symbol=SYMBOL, interval="1", limit=5)
        rest = {int(row[0]): row for row in found["result"]["list"]}
        row = room.public.since(topic)[-1]
        check_keys(row, ("start", "end", "interval", "confirm", "timestamp"), "kline")
        check_equal((row["interval"], row["end"] - row["start"]), ("1", 59_999), "kline frame")
        names = ("open", "high", "low", "close", "volume", "turnover")
        if [Decimal(row[name]) for name in names] == [
            Decimal(text) for text in rest.get(row["start"], [0] * 7)[1:]
        ]:
            return


@case("order stream", STREAM_CLIENT)
def order_stream(room: PybitRoom) -> None:
    mark = room.private.mark("order")
    placed = room.rest_a_bid()
    order_id = placed["orderId"]
    first = room.order_event(order_id, "New", mark)
    check_order_row(first, ORDER_STREAM_KEYS)
    check_equal((first["category"], first["cumFeeDetail"]), ("linear", {}), "first row")
    qty = room.quantity("900")
    room.a.amend(symbol=SYMBOL, orderId=order_id, qty=qty)
    changed = room.private.wait(
        "order",
        lambda row: row["orderId"] == order_id and Decimal(row["qty"]) == Decimal(qty),
        mark=mark,
    )
    check_equal(changed["createdTime"], first["createdTime"], "createdTime")
    check(int(changed["updatedTime"]) >= int(first["updatedTime"]), "updatedTime went back")
    room.a.cancel(symbol=SYMBOL, orderId=order_id)
    last = room.order_event(order_id, "Cancelled", mark)
    check_order_row(last, ORDER_STREAM_KEYS)
    check_equal(last["cancelType"], "CancelByUser", "cancelType")
    mine = [row for row in room.private.since("order", mark) if row["orderId"] == order_id]
    check_equal([row["orderStatus"] for row in mine], ["New", "New", "Cancelled"], "life")
    check_equal({row["orderLinkId"] for row in mine}, {placed["orderLinkId"]}, "link ids")


@case("execution stream", STREAM_CLIENT)
def execution_stream(room: PybitRoom) -> None:
    marks = {topic: room.private.mark(topic) for topic in ("execution", "execution.fast")}
    order_id = room.a.place(
        symbol=SYMBOL, side="Sell", orderType="Market", qty=room.quantity("5000")
    )["orderId"]
    final = room.order_event(order_id, "Filled")
    done = Decimal(0)
    while done < Decimal(final["cumExecQty"]):
        row = room.private.wait(
            "execution", lambda row: row["orderId"] == order_id, mark=marks["execution"]
        )
        check_keys(row, EXECUTION_STREAM_KEYS, "execution")
        mine = _of_order(room, "execution", order_id, marks["execution"])
        done = sum((Decimal(row["execQty"]) for row in mine), start=Decimal(0))
    check_equal(done, Decimal(final["cumExecQty"]), "sum of executions")
    for row in _of_order(room, "execution.fast", order_id, marks["execution.fast"]):
        check_keys(row, FAST_KEYS, "execution.fast")
    rest = room.a.http.get_executions(category="linear", orderId=order_id)["result"]["list"]
    ids = {row["execId"] for row in rest}
    for topic, mark in marks.items():
        room.private.wait(topic, lambda row: row["orderId"] == order_id, mark=mark)
        pushed = {row["execId"] for row in _of_order(room, topic, order_id, mark)}
        check_equal(pushed, ids, f"execution ids of {topic}")
    room.a.flatten(SYMBOL)


def _of_order(room: PybitRoom, topic: str, order_id: str, mark: int) -> list[dict[str, Any]]:
    return [row for row in room.private.since(topic, mark) if row["orderId"] == order_id]


@case("position stream", STREAM_CLIENT)
def position_stream(room: PybitRoom) -> None:
    mark = room.private.mark("position")
    qty = Decimal(room.quantity("3000"))
    order_id = room.a.place(symbol=SYMBOL, side="Buy", orderType="Market", qty=str(qty))["orderId"]
    row = room.private.wait(
        "position",
        lambda row: row["symbol"] == SYMBOL and Decimal(row["size"]) == qty,
        mark=mark,
    )
    check_keys(row, POSITION_KEYS | {"category", "entryPrice", "openTime"}, "position")
    filled = room.a.final(order_id)
    check_equal(row["side"], "Buy", "side")
    _check_open_profit(room, row)
    entry, average = Decimal(row["entryPrice"]), Decimal(filled["avgPrice"])
    check(abs(entry - average) <= Decimal("0.00000001"), "entryPrice", entry, average)
    mark = room.private.mark("position")
    room.a.flatten(SYMBOL)
    flat = room.private.wait(
        "position",
        lambda row: row["symbol"] == SYMBOL and Decimal(row["size"]) == 0,
        mark=mark,
    )
    check_equal((flat["side"], flat["entryPrice"]), ("", "0"), "flat row")
    quiet = room.private.mark("position")
    room.rest_a_bid()
    room.private.wait("position", lambda row: row["symbol"] == SYMBOL, mark=quiet)
    room.a.flatten(SYMBOL)


@case("wallet stream", STREAM_CLIENT)
def wallet_stream(room: PybitRoom) -> None:
    mark = room.private.mark("wallet")
    order_id = room.rest_a_bid()["orderId"]
    reserved = room.private.wait("wallet", lambda row: _order_margin(row) > 0, mark=mark)
    check_wallet_row(reserved)
    row = room.a.order(order_id)
    value = Decimal(row["qty"]) * Decimal(row["price"])
    leverage = room.a.http.get_positions(category="linear", symbol=SYMBOL)["result"]["list"][0]
    wanted = value / Decimal(leverage["leverage"]) + value * Decimal("0.00055")
    check_equal(_order_margin(reserved), wanted, "totalOrderIM")
    mark = room.private.mark("wallet")
    room.a.cancel(symbol=SYMBOL, orderId=order_id)
    freed = room.private.wait(
        "wallet", lambda row: Decimal(row["totalInitialMargin"]) == 0, mark=mark
    )
    check_equal(check_wallet_row(freed), check_wallet_row(room.a.wallet()), "wallet against REST")


def _check_open_profit(room: PybitRoom, row: dict[str, Any]) -> None:
    """Fail unless the profit of an open position is its size times mark less entry."""
    gain = Decimal(row["markPrice"]) - Decimal(row["entryPrice"])
    profit = Decimal(row["unrealisedPnl"])
    check(abs(profit - gain * Decimal(row["size"])) < Decimal("0.0001"), "unrealisedPnl", row)
    wallet = room.private.wait("wallet", lambda row: Decimal(row["totalPerpUPL"]) != 0)
    check_wallet_row(wallet)


def _order_margin(row: dict[str, Any]) -> Decimal:
    usdt = next(coin for coin in row["coin"] if coin["coin"] == "USDT")
    return Decimal(usdt["totalOrderIM"])


@case("equity change = trades - fees", STREAM_CLIENT)
def equity_change(room: PybitRoom) -> None:
    for symbol in (SYMBOL, OTHER):
        room.a.flatten(symbol)
    before, mark = check_wallet_row(room.a.wallet()), room.private.mark("execution")
    ids = [_sweep(room, side, value) for side, value in (("Buy", "5000"), ("Sell", "1700"))]
    maker = room.fill_as_maker(OTHER, "1500")["orderId"]
    ids += [maker, _sweep(room, "Sell", "900")]
    left = room.a.position(OTHER)
    room.a.place(symbol=OTHER, side="Sell", orderType="Market", qty=str(left), reduceOnly=True)
    check_equal(room.a.position(OTHER), Decimal(0), "position at the end")
    row = room.a.wallet()
    rows = _executions_until_flat(room, mark)
    check({row["isMaker"] for row in rows} == {True, False}, "no maker and taker fills")
    check(set(ids) <= {row["orderId"] for row in rows}, "an order has no execution")
    check_equal(check_wallet_row(row) - before, cash_change(rows), "equity change")
    room.b.flatten(OTHER)


def _sweep(room: PybitRoom, side: str, value: str) -> str:
    order_id: str = room.a.place(
        symbol=OTHER, side=side, orderType="Market", qty=room.quantity(value, OTHER)
    )["orderId"]
    check_equal(room.a.final(order_id)["orderStatus"], "Filled", "status")
    return order_id


def _executions_until_flat(room: PybitRoom, mark: int) -> list[dict[str, Any]]:
    """Return the pushed executions once their quantities add up to what REST knows."""
    wanted = room.a.http.get_executions(category="linear", symbol=OTHER, limit=100)
    last = wanted["result"]["list"][0]["execId"]
    room.private.wait("execution", lambda row: row["execId"] == last, mark=mark)
    rows = room.private.since("execution", mark)
    check_equal(signed_size(rows), Decimal(0), "sum of signed executions")
    return rows


@case("unsubscribe", STREAM_CLIENT)
def unsubscribe(room: PybitRoom) -> None:
    topic = f"kline.5.{SYMBOL}"
    room.public_ws.kline_stream(5, SYMBOL, room.public.add)
    room.public.wait_count(topic, 2)
    room.public_ws.unsubscribe(topic)
    room.log.wait("Unsubscription from")
    mark, other = room.public.mark(topic), room.public.mark(f"kline.1.{SYMBOL}")
    room.public.wait_count(f"kline.1.{SYMBOL}", 2, mark=other)
    check_equal(room.public.mark(topic), mark, "rows after the unsubscribe")


@case("cash over the whole run", "pybit HTTP", phase="close")
def whole_run(room: PybitRoom) -> None:
    for side in (room.a, room.b):
        for symbol in (SYMBOL, OTHER):
            side.flatten(symbol)
        rows, cursor = [], ""
        while True:
            page = side.http.get_executions(category="linear", limit=100, cursor=cursor or None)
            rows += page["result"]["list"]
            cursor = page["result"]["nextPageCursor"]
            if not cursor:
                break
        check(rows, "no executions")
        before = check_wallet_row(room.start[side.account.key])
        check_equal(before, START_CASH, "wallet at the start")
        check_equal(check_wallet_row(side.wallet()) - before, cash_change(rows), "wallet change")


@case("books stayed whole to the end", STREAM_CLIENT, phase="close")
def books_to_the_end(room: PybitRoom) -> None:
    for log in room.books.values():
        check(log.problem is None, log.problem)


@case("no connection lost, no thread died", STREAM_CLIENT, phase="close")
def connections_held(room: PybitRoom) -> None:
    check_equal(room.lost_connections(), 0, "lost connections")
    check_equal(room.log.take(), [], "failures in client threads")
