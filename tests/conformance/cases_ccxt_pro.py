"""ccxt.pro: public and private streams, order entry over the trade WebSocket."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.pro
from protocol import cash_change, check_wallet_row, signed_size
from registry import case, check, check_equal
from room_ccxt import OTHER, SYMBOL, WAIT_S, CcxtRoom, check_order, refused

CLIENT = "ccxt.pro"
EQUAL_BOOKS = 3


def pro_case(name: str, code: int = 0) -> Any:
    """Register a case of this module."""
    return case(name, CLIENT, code=code, phase="ccxt")


@pro_case("order book")
async def order_book(room: CcxtRoom) -> None:
    agreed = seen = 0
    async with asyncio.timeout(2 * WAIT_S):
        while agreed < EQUAL_BOOKS or seen < 20:
            book = await room.pro.watch_order_book(SYMBOL, 50)
            seen += 1
            _check_sorted(book)
            if seen % 3 == 0 and agreed < EQUAL_BOOKS:
                agreed += await _equals_rest(room)


def _check_sorted(book: dict[str, Any]) -> None:
    bids = [level[0] for level in book["bids"]]
    asks = [level[0] for level in book["asks"]]
    check(bids and asks and bids[0] < asks[0], "crossed book", bids[:1], asks[:1])
    check(bids == sorted(set(bids), reverse=True) and asks == sorted(set(asks)), "unsorted book")
    check_equal((len(bids), len(asks)), (50, 50), "levels")


async def _equals_rest(room: CcxtRoom) -> bool:
    """Whether the local book is REST's book before or after the reply (a quiet moment)."""
    rest = await room.rest.fetch_order_book(SYMBOL, 50)
    local = room.pro.orderbooks[SYMBOL]
    wanted = [[(level[0], level[1]) for level in rest[side][:50]] for side in ("bids", "asks")]
    found = [[(level[0], level[1]) for level in local[side][:50]] for side in ("bids", "asks")]
    return wanted == found


@pro_case("best bid and ask, level 1")
async def level_one(room: CcxtRoom) -> None:
    for _ in range(5):
        found = await asyncio.wait_for(room.pro.watch_bids_asks([OTHER]), WAIT_S)
        check(found[OTHER]["bid"] < found[OTHER]["ask"], "crossed", found)


@pro_case("trades")
async def trades(room: CcxtRoom) -> None:
    seen: dict[str, dict[str, Any]] = {}

    def enough(rows: list[dict[str, Any]]) -> bool:
        seen.update((row["id"], row) for row in rows)
        return len(seen) >= 10

    await room.watch(room.pro.watch_trades, SYMBOL, until=enough)
    rest = {row["id"]: row for row in await room.rest.fetch_trades(SYMBOL, limit=1000)}
    common = set(seen) & set(rest)
    check(len(common) >= 10, "pushed trades are not in REST", len(common))
    for name in common:
        for key in ("price", "amount", "side", "timestamp"):
            check_equal(seen[name][key], rest[name][key], f"trade {name} {key}")


@pro_case("ticker")
async def ticker(room: CcxtRoom) -> None:
    for _ in range(5):
        found = await asyncio.wait_for(room.pro.watch_ticker(SYMBOL), WAIT_S)
        check_equal(found["symbol"], SYMBOL, "symbol")
        check(found["bid"] < found["ask"], "crossed", found)
        check(found["low"] <= found["last"] <= found["high"], "last outside low and high", found)


@pro_case("kline")
async def kline(room: CcxtRoom) -> None:
    async with asyncio.timeout(2 * WAIT_S):
        while True:
            rows = await room.pro.watch_ohlcv(SYMBOL, "1m")
            _start, first, high, low, last = rows[-1][:5]
            check(low <= min(first, last) <= max(first, last) <= high, "candle", rows[-1])
            rest = await room.rest.fetch_ohlcv(SYMBOL, "1m", limit=2)
            local = {row[0]: row for row in room.pro.ohlcvs[SYMBOL]["1m"]}
            if any(local.get(row[0]) == row for row in rest[-1:]):
                return


@pro_case("order stream")
async def order_stream(room: CcxtRoom) -> None:
    link = room.link()
    statuses: list[str] = []

    def closed(rows: list[dict[str, Any]]) -> bool:
        mine = [row for row in rows if row["clientOrderId"] == link]
        statuses.extend(row["status"] for row in mine)
        return statuses[-1:] == ["canceled"]

    async def act() -> None:
        placed = await room.rest_a_bid(clientOrderId=link)
        await room.pace("cancel")
        await room.rest.cancel_order(placed["id"], SYMBOL)

    await room.during(room.pro.watch_orders, name="orders", until=closed, act=act)
    check(statuses[0] == "open", "statuses", statuses)


@pro_case("execution, position, wallet streams; equity")
async def private_streams(room: CcxtRoom) -> None:
    await room.flatten(OTHER)
    before = check_wallet_row((await room.rest.fetch_balance())["info"]["result"]["list"][0])
    rows: dict[str, dict[str, Any]] = {}
    amount = float(await room.amount("2500", OTHER))

    def flat_again(found: list[dict[str, Any]]) -> bool:
        rows.update((row["id"], row["info"]) for row in found if row["symbol"] == OTHER)
        return bool(rows) and signed_size(rows.values()) == 0

    async def act() -> None:
        opened = await _position_while_buying(room, amount)
        check_equal((opened["side"], opened["contracts"]), ("long", amount), "position")
        await _balance_while_closing(room, amount)

    await room.during(room.pro.watch_my_trades, name="myTrades", until=flat_again, act=act)
    row = (await room.rest.fetch_balance())["info"]["result"]["list"][0]
    check_equal(check_wallet_row(row) - before, cash_change(rows.values()), "equity change")


async def _position_while_buying(room: CcxtRoom, amount: float) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def is_open(rows: list[dict[str, Any]]) -> bool:
        found.extend(row for row in rows if row["symbol"] == OTHER and row["contracts"] == amount)
        return bool(found)

    async def buy() -> None:
        await room.pace("create")
        await room.rest.create_order(OTHER, "market", "buy", amount)

    await asyncio.wait_for(room.pro.watch_positions([OTHER]), WAIT_S)  # REST's snapshot comes first
    await room.during(room.pro.watch_positions, [OTHER], name="positions", until=is_open, act=buy)
    return found[-1]


async def _balance_while_closing(room: CcxtRoom, amount: float) -> None:
    async def sell() -> None:
        await room.pace("create")
        params = {"reduceOnly": True}
        await room.rest.create_order(OTHER, "market", "sell", amount, None, params)

    def is_free(balance: dict[str, Any]) -> bool:
        row = balance["info"][0]
        check_wallet_row(row)
        return Decimal(row["totalInitialMargin"]) == 0

    await room.during(room.pro.watch_balance, name="balances", until=is_free, act=sell)


@pro_case("place, amend, cancel over the trade WebSocket")
async def trade_socket(room: CcxtRoom) -> None:
    amount, price = float(await room.amount("700")), float(await room.away())
    await room.pace("create")
    placed = await asyncio.wait_for(
        room.pro.create_order_ws(SYMBOL, "limit", "buy", amount, price, {"postOnly": True}), WAIT_S
    )
    check_order(await room.order(placed["id"]), status="open", amount=amount)
    larger = float(await room.amount("900"))
    await room.pace("amend")
    await asyncio.wait_for(
        room.pro.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", larger, price), WAIT_S
    )
    check_order(await room.order(placed["id"]), amount=larger)
    await room.pace("cancel")
    await asyncio.wait_for(room.pro.cancel_order_ws(placed["id"], SYMBOL), WAIT_S)
    check_order(await room.order(placed["id"]), status="canceled")


@pro_case("market fill over the trade WebSocket")
async def market_fill(room: CcxtRoom) -> None:
    amount = float(await room.amount("1500", OTHER))
    for side in ("buy", "sell"):
        await room.pace("create")
        placed = await asyncio.wait_for(
            room.pro.create_order_ws(OTHER, "market", side, amount), WAIT_S
        )
        check_order(await room.order(placed["id"], OTHER), status="closed", filled=amount)


async def _create_refused(room: CcxtRoom, kind: type[Exception], *order: Any, **params: Any) -> int:
    await room.pace("create")
    return await refused(room.pro.create_order_ws(*order, params), kind)


@pro_case("duplicate link id", code=110072)
async def duplicate_link_id(room: CcxtRoom) -> int:
    link = room.link()
    placed = await room.rest_a_bid(clientOrderId=link)
    amount, price = float(await room.amount("700")), float(await room.away())
    order = (SYMBOL, "limit", "buy", amount, price)
    code = await _create_refused(room, ccxt.InvalidOrder, *order, clientOrderId=link)
    await room.pace("cancel")
    await room.rest.cancel_order(placed["id"], SYMBOL)
    return code


@pro_case("unknown order, cancel", code=110001)
async def unknown_order_cancel(room: CcxtRoom) -> int:
    await room.pace("cancel")
    return await refused(room.pro.cancel_order_ws("no-such-order", SYMBOL), ccxt.OrderNotFound)


@pro_case("reduce-only without position", code=110017)
async def reduce_only_without_position(room: CcxtRoom) -> int:
    amount = float(await room.amount("700"))
    order = (SYMBOL, "market", "sell", amount, None)
    return await _create_refused(room, ccxt.InvalidOrder, *order, reduceOnly=True)


@pro_case("notional too small", code=110094)
async def notional_too_small(room: CcxtRoom) -> int:
    return await _create_refused(room, ccxt.InvalidOrder, SYMBOL, "limit", "buy", 0.001, 4000.0)


@pro_case("no funds", code=110007)
async def no_funds(room: CcxtRoom) -> int:
    amount, price = float(await room.amount("3000000")), float(await room.away())
    order = (SYMBOL, "limit", "buy", amount, price)
    return await _create_refused(room, ccxt.InsufficientFunds, *order)


@pro_case("bad signature at login", code=10004)
async def bad_signature(room: CcxtRoom) -> int:
    client = room.stranger(ccxt.pro.bybit, room.venue.accounts[0].key, "not-the-secret")
    call = client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 60_000.0)
    return await refused(call, ccxt.AuthenticationError)


@pro_case("unknown key at login", code=10003)
async def unknown_key(room: CcxtRoom) -> int:
    client = room.stranger(ccxt.pro.bybit, "no-such-key", "x")
    call = client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 60_000.0)
    return await refused(call, ccxt.AuthenticationError)
