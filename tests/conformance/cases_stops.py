"""Stops over a whole position, through pybit's HTTP client and streams and through ccxt."""

from __future__ import annotations

import time
from decimal import ROUND_DOWN, Decimal
from typing import Any

from protocol import ORDER_KEYS
from pybit.exceptions import InvalidRequestError
from registry import CaseError, case, check, check_equal, check_keys
from room_ccxt import SYMBOL as CCXT_SYMBOL
from room_ccxt import CcxtRoom
from room_pybit import SYMBOL, PybitRoom, refused

HTTP_CLIENT = "pybit HTTP"
FIRE_S = 20.0
FULL = {"category": "linear", "symbol": SYMBOL, "tpslMode": "Full", "positionIdx": 0}


def _buy(room: PybitRoom) -> None:
    qty = room.quantity("3000")
    room.a.place(symbol=SYMBOL, side="Buy", orderType="Market", qty=qty)
    check(room.a.position(SYMBOL) > 0, "nothing was bought")


def _set(room: PybitRoom, **fields: Any) -> None:
    room.a.pace("trading-stop")
    room.a.http.set_trading_stop(**FULL, **fields)


def _set_refused(room: PybitRoom, **fields: Any) -> int:
    room.a.pace("trading-stop")
    return refused(room.a.strict.set_trading_stop, **FULL, **fields)


def _stops(room: PybitRoom) -> list[dict[str, Any]]:
    found = room.a.http.get_open_orders(
        category="linear", symbol=SYMBOL, orderFilter="StopOrder", limit=50
    )
    rows: list[dict[str, Any]] = found["result"]["list"]
    return rows


def _stop_loss(room: PybitRoom) -> str:
    rows = room.a.http.get_positions(category="linear", symbol=SYMBOL)["result"]["list"]
    return str(rows[0]["stopLoss"])


@case("stop: no position", HTTP_CLIENT, code=10001)
def stop_without_position(room: PybitRoom) -> int:
    check_equal(room.a.position(SYMBOL), Decimal(0), "position before the case")
    return _set_refused(room, stopLoss=room.away())


@case("stop: set, moved, unchanged, removed", HTTP_CLIENT, code=34040)
def life_of_a_stop(room: PybitRoom) -> int:
    _buy(room)
    price, further = room.away(), room.away(percent="3")
    _set(room, stopLoss=price, slTriggerBy="MarkPrice")
    (row,) = _stops(room)
    check_keys(row, ORDER_KEYS, "stop")
    wanted = ("Untriggered", "StopLoss", "CreateByStopLoss", "MarkPrice", 2, True, True)
    names = "orderStatus stopOrderType createType triggerBy triggerDirection reduceOnly"
    found = tuple(row[name] for name in [*names.split(), "closeOnTrigger"])
    check_equal(found, wanted, "stop order")
    check_equal(Decimal(row["triggerPrice"]), Decimal(price), "triggerPrice")
    check_equal(Decimal(_stop_loss(room)), Decimal(price), "stopLoss of the position")
    room.order_event(row["orderId"], "Untriggered")
    code = _set_refused(room, stopLoss=price, slTriggerBy="MarkPrice")
    _set(room, stopLoss=further)
    check_equal(Decimal(_stops(room)[0]["triggerPrice"]), Decimal(further), "moved stop")
    _set(room, stopLoss="0")
    check_equal(_stops(room), [], "stops after removing")
    room.order_event(row["orderId"], "Deactivated")
    room.a.flatten(SYMBOL)
    return code


@case("stop: wrong side of the price", HTTP_CLIENT, code=10001)
def stop_on_the_wrong_side(room: PybitRoom) -> int:
    _buy(room)
    code = _set_refused(room, stopLoss=room.across())
    room.a.flatten(SYMBOL)
    return code


@case("stop: goes with its position", HTTP_CLIENT)
def stop_goes_with_the_position(room: PybitRoom) -> None:
    _buy(room)
    _set(room, stopLoss=room.away())
    (row,) = _stops(room)
    room.a.pace("cancel-all")
    room.a.http.cancel_all_orders(category="linear", symbol=SYMBOL, orderFilter="Order")
    check_equal(len(_stops(room)), 1, "stops after cancelling plain orders")
    size = room.a.position(SYMBOL)
    room.a.place(symbol=SYMBOL, side="Sell", orderType="Market", qty=str(size), reduceOnly=True)
    check_equal(_stops(room), [], "stops after closing")
    gone = room.order_event(row["orderId"], "Deactivated")
    check_equal(gone["cancelType"], "CancelByTpSlTsClear", "cancelType")


@case("stop: fires and closes", HTTP_CLIENT)
def stop_fires(room: PybitRoom) -> None:
    _buy(room)
    order_id = _set_close(room)
    ends = time.monotonic() + FIRE_S
    while room.a.position(SYMBOL) and time.monotonic() < ends:
        # The second account's sale moves the price down for a moment; the market drifts anyway.
        room.b.place(
            symbol=SYMBOL,
            side="Sell",
            orderType="Limit",
            timeInForce="IOC",
            price=room.away(percent="0.2"),
            qty=room.quantity("200000"),
        )
        room.b.flatten(SYMBOL)
    check_equal(room.a.position(SYMBOL), Decimal(0), "position after the stop")
    room.order_event(order_id, "Triggered")
    row = room.order_event(order_id, "Filled")
    check_equal((row["orderType"], row["stopOrderType"]), ("Market", "StopLoss"), "fired stop")


def _set_close(room: PybitRoom) -> str:
    """Set a stop a little below the last price, which moves meanwhile; return its order id."""
    tick = room.steps[SYMBOL][0]
    for _ in range(10):
        (ticker,) = room.a.http.get_tickers(category="linear", symbol=SYMBOL)["result"]["list"]
        price = Decimal(ticker["lastPrice"]) * (1 - Decimal("0.00001"))
        price = (price / tick).quantize(Decimal(1), ROUND_DOWN) * tick
        room.a.pace("trading-stop")
        try:
            room.a.strict.set_trading_stop(**FULL, stopLoss=str(price))
        except InvalidRequestError as e:
            check_equal(e.status_code, 10001, "a price that has moved meanwhile")
            continue
        rows = _stops(room)
        if rows:
            return str(rows[0]["orderId"])
        break  # it has fired already
    history = room.a.http.get_order_history(
        category="linear", symbol=SYMBOL, orderFilter="StopOrder"
    )["result"]["list"]
    if not history:
        raise CaseError("no stop could be set")
    return str(history[0]["orderId"])


@case("position stop", "ccxt", phase="ccxt")
async def ccxt_stop(room: CcxtRoom) -> None:
    amount = float(await room.amount("3000"))
    await room.pace("create")
    await room.rest.create_order(CCXT_SYMBOL, "market", "buy", amount)
    price = float(await room.away())
    await room.pace("trading-stop")
    wish = {"stopLossPrice": price, "tradingStopEndpoint": True}
    await room.rest.create_order(CCXT_SYMBOL, "market", "sell", None, None, wish)
    (position,) = await room.rest.fetch_positions([CCXT_SYMBOL])
    check_equal(position["stopLossPrice"], price, "stopLossPrice")
    (order,) = await room.rest.fetch_open_orders(CCXT_SYMBOL, params={"trigger": True})
    found = (order["status"], order["side"], order["triggerPrice"], order["reduceOnly"])
    check_equal(found, ("open", "sell", price, True), "stop order")
    await room.pace("cancel")
    await room.rest.cancel_order(order["id"], CCXT_SYMBOL)
    check_equal(await room.rest.fetch_open_orders(CCXT_SYMBOL), [], "open orders")
    await room.pace("create")
    await room.rest.create_order(CCXT_SYMBOL, "market", "sell", amount, None, {"reduceOnly": True})
    check_equal(await room.rest.fetch_positions(), [], "positions")
