"""ccxt (asynchronous REST): market data, account, the life of orders, refusals."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.async_support
from protocol import cash_change, check_wallet_row
from registry import case, check, check_equal
from room_ccxt import OTHER, SYMBOL, CcxtRoom, check_order, code_of, refused

CLIENT = "ccxt"


def ccxt_case(name: str, code: int = 0) -> Any:
    """Register a case of this module."""
    return case(name, CLIENT, code=code, phase="ccxt")


@ccxt_case("markets")
async def markets(room: CcxtRoom) -> None:
    for symbol, tick in ((SYMBOL, 0.1), (OTHER, 0.01)):
        market = room.rest.market(symbol)
        found = (market["linear"], market["swap"], market["active"], market["precision"]["price"])
        check_equal(found, (True, True, True, tick), f"market {symbol}")
    check(abs(await room.rest.fetch_time() - room.rest.milliseconds()) < 2000, "server time")


@ccxt_case("market data")
async def market_data(room: CcxtRoom) -> None:
    book = await room.rest.fetch_order_book(SYMBOL, 50)
    check(book["bids"][0][0] < book["asks"][0][0], "crossed book")
    check_equal((len(book["bids"]), len(book["asks"])), (50, 50), "levels")
    ticker = await room.rest.fetch_ticker(SYMBOL)
    check(ticker["bid"] < ticker["ask"] and ticker["last"] > 0, "ticker", ticker)
    candles = await room.rest.fetch_ohlcv(SYMBOL, "1m", limit=60)
    check_equal(len(candles), 60, "candles")
    starts = [row[0] for row in candles]
    check_equal(starts, sorted(starts), "candles in order")
    trades = await room.rest.fetch_trades(SYMBOL, limit=20)
    check({trade["symbol"] for trade in trades} == {SYMBOL}, "trades")


@ccxt_case("account")
async def account(room: CcxtRoom) -> None:
    balance = await room.rest.fetch_balance()
    check(balance["USDT"]["total"] > 0, "balance", balance["USDT"])
    check_equal(balance["USDT"]["free"], balance["USDT"]["total"], "free balance without orders")
    fee = await room.rest.fetch_trading_fee(SYMBOL)
    check_equal((fee["taker"], fee["maker"]), (0.00055, 0.0002), "fees")
    check_equal(await room.rest.fetch_positions(), [], "positions")
    leverage = await room.rest.fetch_leverage(SYMBOL)
    check_equal(leverage["longLeverage"], 10, "leverage")


@ccxt_case("place, amend, cancel")
async def life_of_an_order(room: CcxtRoom) -> None:
    placed = await room.rest_a_bid()
    order = await room.order(placed["id"])
    check_order(order, status="open", symbol=SYMBOL, side="buy", postOnly=True, filled=0)
    listed = await room.rest.fetch_open_orders(SYMBOL)
    check_equal([row["id"] for row in listed], [placed["id"]], "open orders")
    by_coin = await room.rest.fetch_open_orders()
    check_equal([row["id"] for row in by_coin], [placed["id"]], "open orders without a symbol")
    amount = float(await room.amount("900"))
    await room.pace("amend")
    await room.rest.edit_order(placed["id"], SYMBOL, "limit", "buy", amount, order["price"])
    check_order(await room.order(placed["id"]), amount=amount, price=order["price"])
    await room.pace("cancel")
    await room.rest.cancel_order(placed["id"], SYMBOL)
    check_order(await room.order(placed["id"]), status="canceled", remaining=0.0, filled=0.0)
    gone = await room.rest.fetch_canceled_orders(SYMBOL)
    check(placed["id"] in {row["id"] for row in gone}, "not among the cancelled orders")


@ccxt_case("batch create, amend, cancel")
async def batch(room: CcxtRoom) -> None:
    amount, price = float(await room.amount("700")), float(await room.away())
    row = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": amount, "price": price}
    await room.pace("create-batch", 2)
    placed = await room.rest.create_orders([dict(row), dict(row)])
    ids = [order["id"] for order in placed]
    check(len(ids) == 2 and all(ids), "batch create", placed)
    larger = float(await room.amount("900"))
    await room.pace("amend-batch", 2)
    await room.rest.edit_orders([row | {"id": name, "amount": larger} for name in ids])
    for name in ids:
        check_order(await room.order(name), amount=larger, status="open")
    await room.pace("cancel-batch", 2)
    await room.rest.cancel_orders(ids, SYMBOL)
    check_equal(await room.rest.fetch_open_orders(SYMBOL), [], "open orders")


@ccxt_case("batch with one bad item", code=110094)
async def batch_partly_refused(room: CcxtRoom) -> int:
    amount, price = float(await room.amount("700")), float(await room.away())
    row = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": amount, "price": price}
    await room.pace("create-batch", 2)
    placed = await room.rest.create_orders([row, row | {"amount": 0.001, "price": 4000.0}])
    check(placed[0]["id"], "the good item was not placed", placed)
    check_equal(placed[1]["status"], "rejected", "status of the bad item")
    await room.pace("cancel-all")
    await room.rest.cancel_all_orders(SYMBOL)
    return int(placed[1]["info"]["code"])


@ccxt_case("cancel all")
async def cancel_all(room: CcxtRoom) -> None:
    for symbol in (SYMBOL, OTHER):
        await room.rest_a_bid(symbol)
    await room.pace("cancel-all")
    await room.rest.cancel_all_orders()
    check_equal(await room.rest.fetch_open_orders(), [], "open orders")


@ccxt_case("market and limit fills")
async def fills(room: CcxtRoom) -> None:
    amount = float(await room.amount("3000"))
    for kind in ("market", "limit"):
        await room.pace("create")
        price = await room.across() if kind == "limit" else None
        placed = await room.rest.create_order(SYMBOL, kind, "buy", amount, price)
        order = await room.order(placed["id"])
        check_order(order, status="closed", filled=amount, remaining=0.0)
        trades = await room.rest.fetch_my_trades(SYMBOL, params={"orderId": placed["id"]})
        total = sum(Decimal(trade["info"]["execQty"]) for trade in trades)
        check_equal(total, Decimal(order["info"]["cumExecQty"]), "sum of the trades")
        cost = sum(Decimal(trade["info"]["execFee"]) for trade in trades)
        check_equal(Decimal(order["info"]["cumFeeDetail"]["USDT"]), cost, "fee")
    position = (await room.rest.fetch_positions([SYMBOL]))[0]
    check_equal(
        (position["side"], position["contracts"]), ("long", round(2 * amount, 3)), "position"
    )
    await room.flatten(SYMBOL)
    closed = await room.rest.fetch_closed_orders(SYMBOL)
    check(placed["id"] in {order["id"] for order in closed}, "not among the closed orders")


@ccxt_case("post-only that would cross")
async def post_only_crossing(room: CcxtRoom) -> None:
    amount, params = float(await room.amount("700")), {"postOnly": True}
    await room.pace("create")
    price = await room.across()
    placed = await room.rest.create_order(SYMBOL, "limit", "buy", amount, price, params)
    order = await room.order(placed["id"])
    check(order["status"] in {"canceled", "rejected"}, "status", order["status"])
    check_equal(order["info"]["rejectReason"], "EC_PostOnlyWillTakeLiquidity", "rejectReason")


async def _wallet(room: CcxtRoom) -> Decimal:
    balance = await room.rest.fetch_balance()
    return check_wallet_row(balance["info"]["result"]["list"][0])


@ccxt_case("equity change = trades - fees")
async def equity_change(room: CcxtRoom) -> None:
    await room.flatten(OTHER)
    before = await _wallet(room)
    ids = []
    for side, value in (("buy", "4000"), ("sell", "1500")):
        await room.pace("create")
        amount = float(await room.amount(value, OTHER))
        ids.append((await room.rest.create_order(OTHER, "market", side, amount))["id"])
    left = (await room.rest.fetch_positions([OTHER]))[0]["contracts"]
    await room.pace("create")
    params = {"reduceOnly": True}
    ids.append((await room.rest.create_order(OTHER, "market", "sell", left, None, params))["id"])
    rows: list[dict[str, Any]] = []
    for order_id in ids:
        found = await room.rest.fetch_my_trades(OTHER, params={"orderId": order_id})
        rows += [trade["info"] for trade in found]
    check_equal(await _wallet(room) - before, cash_change(rows), "equity change")


@ccxt_case("bad signature", code=10004)
async def bad_signature(room: CcxtRoom) -> int:
    key = room.venue.accounts[0].key
    client = room.stranger(ccxt.async_support.bybit, key, "not-the-secret")
    return await refused(client.private_get_v5_user_query_api(), ccxt.AuthenticationError)


@ccxt_case("unknown key", code=10003)
async def unknown_key(room: CcxtRoom) -> int:
    client = room.stranger(ccxt.async_support.bybit, "no-such-key", "x")
    return await refused(client.private_get_v5_user_query_api(), ccxt.AuthenticationError)


@ccxt_case("stale time", code=10002)
async def stale_time(room: CcxtRoom) -> int:
    first = room.venue.accounts[0]
    late = room.stranger(ccxt.async_support.bybit, first.key, first.secret, timeDifference=6000)
    early = room.stranger(ccxt.async_support.bybit, first.key, first.secret, timeDifference=-3000)
    codes = [
        await refused(client.private_get_v5_user_query_api(), ccxt.InvalidNonce)
        for client in (late, early)
    ]
    check_equal(codes[0], codes[1], "codes of a late and an early time")
    return codes[0]


async def _create_refused(room: CcxtRoom, kind: type[Exception], **fields: Any) -> int:
    wanted = await room.raw_bid(**fields)
    await room.pace("create")
    return await refused(room.rest.private_post_v5_order_create(wanted), kind)


@ccxt_case("duplicate link id", code=110072)
async def duplicate_link_id(room: CcxtRoom) -> int:
    placed = await room.rest_a_bid(clientOrderId="ccxt-twice")
    code = await _create_refused(room, ccxt.InvalidOrder, orderLinkId="ccxt-twice")
    await room.pace("cancel")
    await room.rest.cancel_order(placed["id"], SYMBOL)
    return code


@ccxt_case("unknown order, cancel", code=110001)
async def unknown_order_cancel(room: CcxtRoom) -> int:
    await room.pace("cancel")
    return await refused(room.rest.cancel_order("no-such-order", SYMBOL), ccxt.OrderNotFound)


@ccxt_case("unknown order, amend", code=110001)
async def unknown_order_amend(room: CcxtRoom) -> int:
    await room.pace("amend")
    call = room.rest.edit_order("no-such-order", SYMBOL, "limit", "buy", 0.01, 60_000.0)
    return await refused(call, ccxt.OrderNotFound)


@ccxt_case("reduce-only without position", code=110017)
async def reduce_only_without_position(room: CcxtRoom) -> int:
    amount = float(await room.amount("700"))
    await room.pace("create")
    params = {"reduceOnly": True}
    call = room.rest.create_order(SYMBOL, "market", "sell", amount, None, params)
    return await refused(call, ccxt.InvalidOrder)


@ccxt_case("price off tick", code=10001)
async def price_off_tick(room: CcxtRoom) -> int:
    return await _create_refused(room, ccxt.BadRequest, price=f"{await room.away()}3")


@ccxt_case("quantity too small", code=10001)
async def quantity_too_small(room: CcxtRoom) -> int:
    return await _create_refused(room, ccxt.BadRequest, qty="0.0001")


@ccxt_case("notional too small", code=110094)
async def notional_too_small(room: CcxtRoom) -> int:
    return await _create_refused(room, ccxt.InvalidOrder, qty="0.001", price="4000")


@ccxt_case("no funds", code=110007)
async def no_funds(room: CcxtRoom) -> int:
    amount, price = float(await room.amount("3000000")), float(await room.away())
    await room.pace("create")
    call = room.rest.create_order(SYMBOL, "limit", "buy", amount, price)
    return await refused(call, ccxt.InsufficientFunds)


@ccxt_case("storm", code=10006)
async def storm(room: CcxtRoom) -> int:
    second = room.venue.accounts[1]
    client = room.stranger(ccxt.async_support.bybit, second.key, second.secret)
    client.enableRateLimit = False
    await room.pace("cancel", 8, second=True)
    errors: list[BaseException] = []

    async def cancel() -> None:
        try:
            await client.cancel_order("no-such-order", SYMBOL)
        except ccxt.BaseError as e:
            errors.append(e)

    async with asyncio.TaskGroup() as group:
        for _ in range(24):
            group.create_task(cancel())
    room.storm_over("cancel", second=True)
    kinds = {code_of(e): type(e) for e in errors}
    wanted = {110001: ccxt.OrderNotFound, 10006: ccxt.RateLimitExceeded}
    check_equal(kinds, wanted, "codes and exceptions of the storm")
    served = sum(code_of(e) == 110001 for e in errors)
    check(10 <= served < 24, f"{served} of 24 requests were served at a quota of 10")
    return next(code for code, kind in kinds.items() if kind is ccxt.RateLimitExceeded)
