"""Orders that wait for a price, through pybit's HTTP client and streams and through ccxt."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from protocol import ORDER_KEYS
from registry import case, check, check_equal, check_keys
from room_ccxt import SYMBOL as CCXT_SYMBOL
from room_ccxt import CcxtRoom
from room_pybit import SYMBOL, PybitRoom, refused

HTTP_CLIENT = "pybit HTTP"


def _waiting(room: PybitRoom) -> list[dict[str, Any]]:
    found = room.a.http.get_open_orders(
        category="linear", symbol=SYMBOL, orderFilter="StopOrder", limit=50
    )
    rows: list[dict[str, Any]] = found["result"]["list"]
    return rows


def _condition(room: PybitRoom, **fields: Any) -> dict[str, Any]:
    # A falling trigger far below the market; nothing of it ever trades.
    return {
        "symbol": SYMBOL,
        "side": "Buy",
        "orderType": "Limit",
        "qty": room.quantity("700"),
        "price": room.away(percent="4"),
        "triggerPrice": room.away(percent="3"),
        "triggerDirection": 2,
        **fields,
    }


@case("conditional: waits, moves, is deactivated", HTTP_CLIENT)
def life_of_a_conditional_order(room: PybitRoom) -> None:
    order_id = room.a.place(**_condition(room))["orderId"]
    (row,) = _waiting(room)
    check_keys(row, ORDER_KEYS, "conditional order")
    found = (row["orderStatus"], row["stopOrderType"], row["createType"], row["triggerBy"])
    check_equal(found, ("Untriggered", "Stop", "CreateByStopOrder", "LastPrice"), "order")
    room.order_event(order_id, "Untriggered")
    level = room.away(percent="2.5")
    room.a.amend(symbol=SYMBOL, orderId=order_id, triggerPrice=level)
    check_equal(Decimal(_waiting(room)[0]["triggerPrice"]), Decimal(level), "moved trigger")
    room.a.cancel(symbol=SYMBOL, orderId=order_id)
    gone = room.order_event(order_id, "Deactivated")
    check_equal(gone["cancelType"], "CancelByUser", "cancelType")
    check_equal(_waiting(room), [], "orders left")


@case("conditional: trigger reached already", HTTP_CLIENT, code=110092)
def conditional_behind_the_price(room: PybitRoom) -> int:
    fields = _condition(room, triggerDirection=1)
    room.a.pace("create")
    return refused(room.a.strict.place_order, category="linear", **fields)


@case("conditional: with a take profit", HTTP_CLIENT, code=110057)
def conditional_with_a_guard(room: PybitRoom) -> int:
    fields = _condition(room, takeProfit=room.across())
    room.a.pace("create")
    return refused(room.a.strict.place_order, category="linear", **fields)


@case("order brings take profit and stop loss", HTTP_CLIENT)
def order_with_guards(room: PybitRoom) -> None:
    size = room.quantity("3000")
    stop = room.away(percent="4")
    room.a.place(
        symbol=SYMBOL,
        side="Buy",
        orderType="Market",
        qty=size,
        stopLoss=stop,
        tpslMode="Partial",
    )
    (row,) = _waiting(room)
    found = (row["createType"], row["tpslMode"], row["side"], row["reduceOnly"])
    check_equal(found, ("CreateByPartialStopLoss", "Partial", "Sell", True), "stop")
    check_equal(Decimal(row["qty"]), Decimal(size), "qty of the stop")
    check_equal(Decimal(row["triggerPrice"]), Decimal(stop), "triggerPrice of the stop")
    room.a.place(symbol=SYMBOL, side="Sell", orderType="Market", qty=size, reduceOnly=True)
    cleared = room.order_event(row["orderId"], "Deactivated")
    check_equal(cleared["cancelType"], "CancelByTpSlTsClear", "cancelType")


@case("trailing stop", HTTP_CLIENT)
def trailing_stop(room: PybitRoom) -> None:
    room.a.place(symbol=SYMBOL, side="Buy", orderType="Market", qty=room.quantity("3000"))
    distance = str(room.steps[SYMBOL][0] * 5000)
    room.a.pace("trading-stop")
    room.a.http.set_trading_stop(
        category="linear", symbol=SYMBOL, tpslMode="Full", positionIdx=0, trailingStop=distance
    )
    rows = room.a.http.get_positions(category="linear", symbol=SYMBOL)["result"]["list"]
    check_equal(Decimal(rows[0]["trailingStop"]), Decimal(distance), "trailingStop")
    (row,) = _waiting(room)
    check_equal(row["stopOrderType"], "TrailingStop", "stopOrderType")
    check(Decimal(row["triggerPrice"]) > 0, "the trailing stop has no trigger price")
    room.a.flatten(SYMBOL)
    check_equal(_waiting(room), [], "stops after closing")


@case("conditional order", "ccxt", phase="ccxt")
async def ccxt_conditional(room: CcxtRoom) -> None:
    amount, price = float(await room.amount("700")), float(await room.away())
    await room.pace("create")
    wish = {"triggerPrice": price, "triggerDirection": "descending"}
    made = await room.rest.create_order(CCXT_SYMBOL, "limit", "buy", amount, price, wish)
    (order,) = await room.rest.fetch_open_orders(CCXT_SYMBOL, params={"trigger": True})
    found = (order["id"], order["status"], order["side"], order["triggerPrice"])
    check_equal(found, (made["id"], "open", "buy", price), "conditional order")
    await room.pace("cancel")
    await room.rest.cancel_order(made["id"], CCXT_SYMBOL, {"trigger": True})
    check_equal(await room.rest.fetch_open_orders(CCXT_SYMBOL), [], "open orders")
