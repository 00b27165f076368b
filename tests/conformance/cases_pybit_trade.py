"""pybit's WebSocketTrading: order entry and refusals over the trade WebSocket."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from pybit.unified_trading import WebSocket, WebSocketTrading
from registry import case, check, check_equal, check_keys
from room_pybit import OTHER, SYMBOL, PybitRoom
from streams import WAIT_S

TRADE_CLIENT = "pybit WebSocketTrading"


def _bid(room: PybitRoom, symbol: str = SYMBOL, **fields: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "side": "Buy",
        "orderType": "Limit",
        "qty": room.quantity("700", symbol),
        "price": room.away(symbol),
        "orderLinkId": room.link(),
    } | fields


def _accepted(reply: dict[str, Any], operation: str) -> dict[str, Any]:
    check_equal((reply["retCode"], reply["op"]), (0, operation), f"reply {reply}")
    check_keys(reply, ("reqId", "retMsg", "data", "header", "connId", "retExtInfo"), "reply")
    header = reply["header"]
    names = ("X-Bapi-Limit", "X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp", "Timenow")
    for name in names:
        check(isinstance(header.get(name), str), f"header {name}", header)
    return reply["data"]


@case("place, amend, cancel", TRADE_CLIENT)
def life_of_an_order(room: PybitRoom) -> None:
    wanted = _bid(room, timeInForce="PostOnly")
    placed = _accepted(room.trade("place_order", **wanted), "order.create")
    check_equal(placed["orderLinkId"], wanted["orderLinkId"], "orderLinkId")
    order_id = placed["orderId"]
    room.order_event(order_id, "New")
    check_equal(room.a.order(order_id)["orderStatus"], "New", "status over REST")
    qty = room.quantity("900")
    changed = room.trade("amend_order", symbol=SYMBOL, orderId=order_id, qty=qty)
    check_equal(_accepted(changed, "order.amend")["orderId"], order_id, "orderId")
    check_equal(Decimal(room.a.order(order_id)["qty"]), Decimal(qty), "qty after the amend")
    gone = room.trade("cancel_order", symbol=SYMBOL, orderLinkId=wanted["orderLinkId"])
    check_equal(_accepted(gone, "order.cancel")["orderId"], order_id, "orderId")
    room.order_event(order_id, "Cancelled")


@case("batch create, amend, cancel", TRADE_CLIENT)
def batch(room: PybitRoom) -> None:
    wanted = [_bid(room), _bid(room, OTHER)]
    reply = room.trade("place_batch_order", kind="create-batch", cost=2, request=wanted)
    rows = _accepted(reply, "order.create-batch")["list"]
    check_equal([row["code"] for row in reply["retExtInfo"]["list"]], [0, 0], "item codes")
    changes = [
        {
            "symbol": row["symbol"],
            "orderId": row["orderId"],
            "qty": room.quantity("900", row["symbol"]),
        }
        for row in rows
    ]
    reply = room.trade("amend_batch_order", kind="amend-batch", cost=2, request=changes)
    _accepted(reply, "order.amend-batch")
    check_equal([row["code"] for row in reply["retExtInfo"]["list"]], [0, 0], "item codes")
    gone = [{"symbol": row["symbol"], "orderId": row["orderId"]} for row in rows]
    reply = room.trade("cancel_batch_order", kind="cancel-batch", cost=2, request=gone)
    _accepted(reply, "order.cancel-batch")
    check_equal([row["code"] for row in reply["retExtInfo"]["list"]], [0, 0], "item codes")
    for change in changes:
        row = room.a.final(change["orderId"])
        check_equal(Decimal(row["qty"]), Decimal(change["qty"]), "qty after the batch amend")


@case("market order fills", TRADE_CLIENT)
def market_fill(room: PybitRoom) -> None:
    qty = room.quantity("2000", OTHER)
    for side in ("Buy", "Sell"):
        reply = room.trade(
            "place_order",
            symbol=OTHER,
            side=side,
            orderType="Market",
            qty=qty,
            reduceOnly=side == "Sell",
        )
        order_id = _accepted(reply, "order.create")["orderId"]
        event = room.order_event(order_id, "Filled")
        check_equal(Decimal(event["cumExecQty"]), Decimal(qty), "cumExecQty")
    check_equal(room.a.position(OTHER), Decimal(0), "position")


@case("limit order fills", TRADE_CLIENT)
def limit_fill(room: PybitRoom) -> None:
    order = _bid(room, OTHER, price=room.across(OTHER), qty=room.quantity("2000", OTHER))
    order_id = _accepted(room.trade("place_order", **order), "order.create")["orderId"]
    room.order_event(order_id, "Filled")
    room.a.flatten(OTHER)


@case("post-only that would cross", TRADE_CLIENT)
def post_only_crossing(room: PybitRoom) -> None:
    order = _bid(room, price=room.across(), timeInForce="PostOnly")
    reply = room.trade("place_order", **order)
    order_id = _accepted(reply, "order.create")["orderId"]
    event = room.private.wait("order", lambda row: row["orderId"] == order_id)
    check(event["orderStatus"] in {"Cancelled", "Rejected"}, "status", event["orderStatus"])
    check_equal(event["rejectReason"], "EC_PostOnlyWillTakeLiquidity", "rejectReason")


def _refused(room: PybitRoom, operation: str, **fields: Any) -> int:
    reply = room.trade(operation, **fields)
    check_equal(reply["data"], {}, "data of a refusal")
    check_keys(reply, ("reqId", "retMsg", "op", "header", "connId"), "refusal")
    return reply["retCode"]


@case("duplicate link id", TRADE_CLIENT, code=110072)
def duplicate_link_id(room: PybitRoom) -> int:
    wanted = _bid(room)
    _accepted(room.trade("place_order", **wanted), "order.create")
    code = _refused(room, "place_order", **wanted)
    room.a.cancel(symbol=SYMBOL, orderLinkId=wanted["orderLinkId"])
    return code


@case("unknown order, cancel", TRADE_CLIENT, code=110001)
def unknown_order_cancel(room: PybitRoom) -> int:
    return _refused(room, "cancel_order", symbol=SYMBOL, orderId="no-such-order")


@case("unknown order, amend", TRADE_CLIENT, code=110001)
def unknown_order_amend(room: PybitRoom) -> int:
    return _refused(room, "amend_order", symbol=SYMBOL, orderId="no-such-order", qty="1")


@case("reduce-only without position", TRADE_CLIENT, code=110017)
def reduce_only_without_position(room: PybitRoom) -> int:
    return _refused(room, "place_order", **_bid(room, orderType="Market", reduceOnly=True))


@case("price off tick", TRADE_CLIENT, code=10001)
def price_off_tick(room: PybitRoom) -> int:
    return _refused(room, "place_order", **_bid(room, price=room.away() + "3"))


@case("quantity too small", TRADE_CLIENT, code=10001)
def quantity_too_small(room: PybitRoom) -> int:
    return _refused(room, "place_order", **_bid(room, qty=str(room.steps[SYMBOL][1] / 10)))


@case("notional too small", TRADE_CLIENT, code=110094)
def notional_too_small(room: PybitRoom) -> int:
    step = room.steps[SYMBOL][1]
    price = (Decimal(4) / step).quantize(Decimal(1))
    return _refused(room, "place_order", **_bid(room, qty=str(step), price=str(price)))


@case("no funds", TRADE_CLIENT, code=110007)
def no_funds(room: PybitRoom) -> int:
    return _refused(room, "place_order", **_bid(room, qty=room.quantity("3000000")))


@case("storm shares the quota with REST", TRADE_CLIENT, code=10006)
def storm(room: PybitRoom) -> int:
    account = room.b.account
    client = room.keep(
        WebSocketTrading(testnet=False, api_key=account.key, api_secret=account.secret)
    )
    replies: list[dict[str, Any]] = []
    room.b.pace("amend", 8)
    before = room.private.mark("storm")
    fields = {"category": "linear", "symbol": SYMBOL, "orderId": "no-such-order", "qty": "1"}
    collect = _collector(room, replies)
    for _ in range(24):
        client.amend_order(collect, collect, **fields)
    room.private.wait_count("storm", 24, mark=before)
    room.b.storm_over("amend")
    codes = [reply["retCode"] for reply in replies]
    check_equal(codes.count(110001) + codes.count(10006), 24, f"answers {codes}")
    check(codes.count(110001) >= 10, "fewer than the quota were served", codes)
    for reply in replies:
        if reply["retCode"] == 10006:
            header = reply["header"]
            check_equal(header["X-Bapi-Limit-Status"], "0", "X-Bapi-Limit-Status")
            ahead = int(header["X-Bapi-Limit-Reset-Timestamp"]) - int(header["Timenow"])
            check(0 < ahead <= 1500, "reset lies", ahead, "ms ahead")
    return 10006 if 10006 in codes else codes[-1]


def _collector(room: PybitRoom, replies: list[dict[str, Any]]) -> Any:
    def collect(reply: dict[str, Any]) -> None:
        replies.append(reply)
        room.private.add({"topic": "storm", "data": [reply]})

    return collect


def _login_failure(room: PybitRoom, client: Any) -> str:
    """Return the text with which the client's reader ended; forget this expected failure."""
    text = room.log.wait_failure("Authorization for")
    client.exit()
    client.wst.join(timeout=WAIT_S)
    check(not client.wst.is_alive(), "the client's reader did not end")
    room.log.take()
    return text


def _auth_code(text: str) -> int:
    found = re.search(r"'retCode': (\d+)", text)
    return int(found.group(1)) if found else -1


@case("bad signature at login", TRADE_CLIENT, code=10004)
def bad_signature(room: PybitRoom) -> int:
    client = WebSocketTrading(
        api_key=room.a.account.key,
        api_secret="not-the-secret",
        testnet=False,
        restart_on_error=False,
    )
    check(not client.auth, "the client believes it is logged in")
    return _auth_code(_login_failure(room, client))


@case("unknown key at login", TRADE_CLIENT, code=10003)
def unknown_key(room: PybitRoom) -> int:
    client = WebSocketTrading(
        api_key="no-such-key", api_secret="x", testnet=False, restart_on_error=False
    )
    return _auth_code(_login_failure(room, client))


@case("bad signature at login", "pybit WebSocket")
def bad_signature_private(room: PybitRoom) -> None:
    client = WebSocket(
        "private",
        api_key=room.a.account.key,
        api_secret="not-the-secret",
        testnet=False,
        restart_on_error=False,
    )
    text = _login_failure(room, client)
    check("'success': False" in text, "private login with a bad signature", text)
