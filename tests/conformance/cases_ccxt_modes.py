"""ccxt and ccxt.pro on the spot pair, with both sides of a position, stops, and an RSA key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.async_support
from registry import case, check, check_equal
from room_ccxt import SYMBOL, WAIT_S, CcxtRoom, check_order, refused

SPOT = "BTC/USDT"
REST_CLIENT = "ccxt spot"
PRO_CLIENT = "ccxt.pro spot"
MODES_CLIENT = "ccxt modes"
FEE = 0.001
EQUAL_BOOKS = 3


def modes_case(name: str, client: str, code: int = 0) -> Callable[[Any], Any]:
    """Register a case of this module."""
    return case(name, client, code=code, phase="ccxt modes")


async def _bid(room: CcxtRoom, symbol: str = SPOT, **params: Any) -> dict[str, Any]:
    amount, price = await room.amount("700", symbol), await room.away(symbol)
    await room.pace("create")
    found: dict[str, Any] = await room.rest.create_order(
        symbol, "limit", "buy", float(amount), float(price), params
    )
    return found


async def _sell(room: CcxtRoom, amount: float) -> dict[str, Any]:
    await room.pace("create")
    cut = float(room.rest.amount_to_precision(SPOT, amount))
    found: dict[str, Any] = await room.rest.create_order(SPOT, "market", "sell", cut)
    return found


@modes_case("markets, book, ticker, candles, trades", REST_CLIENT)
async def markets(room: CcxtRoom) -> None:
    market = room.rest.market(SPOT)
    found = (market["spot"], market["linear"], market["active"], market["precision"]["price"])
    check_equal(found, (True, None, True, 0.01), "market")
    book = await room.rest.fetch_order_book(SPOT, 50)
    check(book["bids"][0][0] < book["asks"][0][0], "crossed book")
    ticker = await room.rest.fetch_ticker(SPOT)
    check_equal(ticker["symbol"], SPOT, "symbol of the ticker")
    check(ticker["bid"] < ticker["ask"], "ticker", ticker)
    check_equal(len(await room.rest.fetch_ohlcv(SPOT, "1m", limit=30)), 30, "candles")
    trades = await room.rest.fetch_trades(SPOT, limit=20)
    check({trade["symbol"] for trade in trades} <= {SPOT}, "trades of another market")
    fee = await room.rest.fetch_trading_fee(SPOT)
    check_equal((fee["taker"], fee["maker"]), (FEE, FEE), "fees")


@modes_case("place, amend, cancel", REST_CLIENT)
async def life_of_an_order(room: CcxtRoom) -> None:
    placed = await _bid(room, postOnly=True)
    order = await room.order(placed["id"], SPOT)
    check_order(order, status="open", symbol=SPOT, side="buy", filled=0)
    listed = await room.rest.fetch_open_orders(SPOT)
    check_equal([row["id"] for row in listed], [placed["id"]], "open orders")
    amount = float(await room.amount("900", SPOT))
    await room.pace("amend")
    await room.rest.edit_order(placed["id"], SPOT, "limit", "buy", amount, order["price"])
    check_order(await room.order(placed["id"], SPOT), amount=amount, price=order["price"])
    await room.pace("cancel")
    await room.rest.cancel_order(placed["id"], SPOT)
    check_order(await room.order(placed["id"], SPOT), status="canceled", filled=0.0)


@modes_case("market buy and sell, balance, trades", REST_CLIENT)
async def fills(room: CcxtRoom) -> None:
    before = await room.rest.fetch_balance()
    amount = float(await room.amount("2000", SPOT))
    await room.pace("create")
    placed = await room.rest.create_order(
        SPOT, "market", "buy", amount, None, {"marketUnit": "baseCoin"}
    )
    order = await room.order(placed["id"], SPOT)
    check_order(order, status="closed", symbol=SPOT, filled=amount)
    after = await room.rest.fetch_balance()
    gained = after["BTC"]["total"] - before.get("BTC", {"total": 0.0})["total"]
    check(abs(gained - amount * (1 - FEE)) < 1e-9, "coins gained", gained, amount)
    trades = await room.rest.fetch_my_trades(SPOT, params={"orderId": placed["id"]})
    check_equal({trade["symbol"] for trade in trades}, {SPOT}, "symbols of the trades")
    check_equal({trade["fee"]["currency"] for trade in trades}, {"BTC"}, "fee coin")
    sold = await _sell(room, gained)
    check_order(await room.order(sold["id"], SPOT), status="closed")


@modes_case("market buy for an amount of USDT", REST_CLIENT)
async def buy_by_cost(room: CcxtRoom) -> None:
    await room.pace("create")
    placed = await room.rest.create_market_buy_order_with_cost(SPOT, 1000)
    order = await room.order(placed["id"], SPOT)
    check(order["status"] in {"closed", "canceled"}, "status", order["status"])
    check(900 < order["cost"] <= 1000, "cost", order["cost"])
    await _sell(room, order["filled"] * (1 - FEE))


@modes_case("batch create and cancel", REST_CLIENT)
async def batch(room: CcxtRoom) -> None:
    amount, price = float(await room.amount("700", SPOT)), float(await room.away(SPOT))
    row = {"symbol": SPOT, "type": "limit", "side": "buy", "amount": amount, "price": price}
    await room.pace("create-batch", 2)
    placed = await room.rest.create_orders([dict(row), dict(row)])
    ids = [order["id"] for order in placed]
    check(all(ids), "batch create", placed)
    await room.pace("cancel-batch", 2)
    await room.rest.cancel_orders(ids, SPOT)
    check_equal(await room.rest.fetch_open_orders(SPOT), [], "open orders")


@modes_case("conditional order, cancel all", REST_CLIENT)
async def conditional(room: CcxtRoom) -> None:
    amount, price = float(await room.amount("700", SPOT)), float(await room.away(SPOT))
    await room.pace("create")
    placed = await room.rest.create_order(
        SPOT, "limit", "buy", amount, price, {"triggerPrice": price}
    )
    (order,) = await room.rest.fetch_open_orders(SPOT, params={"trigger": True})
    check_order(order, id=placed["id"], status="open", triggerPrice=price)
    await room.pace("cancel-all")
    await room.rest.cancel_all_orders(SPOT, {"orderFilter": "StopOrder"})
    check_equal(await room.rest.fetch_open_orders(SPOT, params={"trigger": True}), [], "waiting")


@modes_case("no funds", REST_CLIENT, code=170131)
async def no_funds(room: CcxtRoom) -> int:
    amount, price = float(await room.amount("2000000", SPOT)), float(await room.away(SPOT))
    await room.pace("create")
    call = room.rest.create_order(SPOT, "limit", "buy", amount, price)
    return await refused(call, ccxt.InsufficientFunds)


@modes_case("unknown order, cancel", REST_CLIENT, code=170213)
async def unknown_order(room: CcxtRoom) -> int:
    await room.pace("cancel")
    return await refused(room.rest.cancel_order("1", SPOT), ccxt.OrderNotFound)


@modes_case("order book", PRO_CLIENT)
async def order_book(room: CcxtRoom) -> None:
    agreed = 0
    async with asyncio.timeout(2 * WAIT_S):
        while agreed < EQUAL_BOOKS:
            book = await room.pro.watch_order_book(SPOT, 50)
            check(book["bids"][0][0] < book["asks"][0][0], "crossed book")
            rest = await room.rest.fetch_order_book(SPOT, 50)
            local = room.pro.orderbooks[SPOT]
            agreed += all(
                [tuple(level[:2]) for level in rest[side][:50]]
                == [tuple(level[:2]) for level in local[side][:50]]
                for side in ("bids", "asks")
            )


@modes_case("trades, ticker", PRO_CLIENT)
async def public_rows(room: CcxtRoom) -> None:
    seen: set[str] = set()

    def enough(rows: list[dict[str, Any]]) -> bool:
        seen.update(row["id"] for row in rows if row["symbol"] == SPOT)
        return len(seen) >= 5

    await room.watch(room.pro.watch_trades, SPOT, until=enough)
    ticker = await asyncio.wait_for(room.pro.watch_ticker(SPOT), WAIT_S)
    check_equal(ticker["symbol"], SPOT, "symbol")
    check(ticker["low"] <= ticker["last"] <= ticker["high"], "last outside low and high", ticker)


@modes_case("order and execution streams", PRO_CLIENT)
async def private_rows(room: CcxtRoom) -> None:
    amount = float(await room.amount("1500", SPOT))
    states: list[str] = []

    def bought(rows: list[dict[str, Any]]) -> bool:
        return any(row["symbol"] == SPOT and row["side"] == "buy" for row in rows)

    def closed(rows: list[dict[str, Any]]) -> bool:
        states.extend(row["status"] for row in rows if row["symbol"] == SPOT)
        return "closed" in states

    async def buy() -> None:
        await room.pace("create")
        params = {"marketUnit": "baseCoin"}
        await room.rest.create_order(SPOT, "market", "buy", amount, None, params)

    async def sell() -> None:
        await _sell(room, amount * (1 - FEE))

    await room.during(room.pro.watch_my_trades, name="myTrades", until=bought, act=buy)
    await room.during(room.pro.watch_orders, name="orders", until=closed, act=sell)


@modes_case("place, amend, cancel over the trade WebSocket", PRO_CLIENT)
async def trade_socket(room: CcxtRoom) -> None:
    amount, price = float(await room.amount("700", SPOT)), float(await room.away(SPOT))
    await room.pace("create")
    placed = await asyncio.wait_for(
        room.pro.create_order_ws(SPOT, "limit", "buy", amount, price, {"postOnly": True}), WAIT_S
    )
    larger = float(await room.amount("900", SPOT))
    await room.pace("amend")
    await asyncio.wait_for(
        room.pro.edit_order_ws(placed["id"], SPOT, "limit", "buy", larger, price), WAIT_S
    )
    check_order(await room.order(placed["id"], SPOT), amount=larger, status="open")
    await room.pace("cancel")
    await asyncio.wait_for(room.pro.cancel_order_ws(placed["id"], SPOT), WAIT_S)
    check_order(await room.order(placed["id"], SPOT), status="canceled")


@modes_case("hedge: both sides at once", MODES_CLIENT)
async def hedge(room: CcxtRoom) -> None:
    await room.rest.set_position_mode(True, SYMBOL)
    amount = float(await room.amount("2000"))
    for side in ("buy", "sell"):
        await room.pace("create")
        await room.rest.create_order(SYMBOL, "market", side, amount, None, {"hedged": True})
    rows = await room.rest.fetch_positions([SYMBOL])
    sides = {row["side"]: (row["contracts"], row["hedged"]) for row in rows}
    check_equal(sides, {"long": (amount, True), "short": (amount, True)}, "sides")
    for side in ("sell", "buy"):
        await room.pace("create")
        params = {"hedged": True, "reduceOnly": True}
        await room.rest.create_order(SYMBOL, "market", side, amount, None, params)
    left = [row for row in await room.rest.fetch_positions([SYMBOL]) if row["contracts"]]
    check_equal(left, [], "positions left")
    await room.rest.set_position_mode(False, SYMBOL)


@modes_case("hedge: mode unchanged", MODES_CLIENT, code=110025)
async def mode_unchanged(room: CcxtRoom) -> int:
    return await refused(room.rest.set_position_mode(False, SYMBOL), ccxt.NoChange)


@modes_case("order with take profit and stop loss", MODES_CLIENT)
async def guards(room: CcxtRoom) -> None:
    amount = float(await room.amount("2000"))
    low, high = float(await room.away()), float(await room.away(percent="-3"))
    await room.pace("create")
    params = {"stopLoss": {"triggerPrice": low}, "takeProfit": {"triggerPrice": high}}
    await room.rest.create_order(SYMBOL, "market", "buy", amount, None, params)
    (position,) = await room.rest.fetch_positions([SYMBOL])
    found = (position["stopLossPrice"], position["takeProfitPrice"])
    check_equal(found, (low, high), "stops of the position")
    rows = await room.rest.fetch_open_orders(SYMBOL, params={"trigger": True})
    check_equal({row["triggerPrice"] for row in rows}, {low, high}, "trigger prices")
    await room.flatten(SYMBOL)


@modes_case("trailing stop", MODES_CLIENT)
async def trailing(room: CcxtRoom) -> None:
    amount = float(await room.amount("2000"))
    await room.pace("create")
    await room.rest.create_order(SYMBOL, "market", "buy", amount)
    await room.pace("trading-stop")
    await room.rest.create_order(
        SYMBOL, "market", "sell", amount, None, {"trailingAmount": 500, "reduceOnly": True}
    )
    (position,) = await room.rest.fetch_positions([SYMBOL])
    check_equal(Decimal(position["info"]["trailingStop"]), Decimal(500), "trailingStop")
    await room.flatten(SYMBOL)


@modes_case("margin mode: isolated", MODES_CLIENT, code=3400045)
async def isolated(room: CcxtRoom) -> int:
    return await refused(room.rest.set_margin_mode("isolated"), ccxt.ExchangeError)


@modes_case("signed orders", "ccxt RSA")
async def rsa_orders(room: CcxtRoom) -> None:
    third = room.venue.accounts[2]
    client = room.stranger(ccxt.async_support.bybit, third.key, room.pem)
    amount, price = float(await room.amount("700")), float(await room.away())
    placed = await client.create_order(SYMBOL, "limit", "buy", amount, price)
    await client.cancel_order(placed["id"], SYMBOL)
