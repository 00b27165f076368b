"""ccxt and ccxt.pro (okx): market data of the venue's OKX side, and how they recover from a gap."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import ccxt
import ccxt.async_support
import ccxt.pro
from aiohttp import web
from registry import CaseError, case, check, check_equal
from room_ccxt import OTHER, SYMBOL, WAIT_S, CcxtRoom

REST_CLIENT = "ccxt okx"
PRO_CLIENT = "ccxt.pro okx"
INST_ID = "BTC-USDT-SWAP"
CONTRACT = 0.01
EQUAL_BOOKS = 3


def okx_case(name: str, code: int = 0) -> Any:
    """Register a REST case of this module."""
    return case(name, REST_CLIENT, code=code, phase="ccxt")


def okx_pro_case(name: str, code: int = 0) -> Any:
    """Register a stream case of this module."""
    return case(name, PRO_CLIENT, code=code, phase="ccxt")


async def _code_of_refusal(call: Awaitable[Any], kind: type[Exception]) -> int:
    """Return the venue's code of a refusal that ccxt must raise as exactly ``kind``."""
    try:
        answer = await asyncio.wait_for(call, WAIT_S)
    except ccxt.BaseError as e:
        check(type(e) is kind, f"ccxt raised {type(e).__name__}, expected {kind.__name__}: {e}")
        found = re.search(r'"code":\s*"(\d+)"', str(e))
        return int(found.group(1)) if found else -1
    raise CaseError(f"not refused: {answer}")


@okx_case("markets")
async def markets(room: CcxtRoom) -> None:
    client = await room.okx()
    for symbol, tick, contract in ((SYMBOL, 0.1, 0.01), (OTHER, 0.01, 0.1)):
        market = client.market(symbol)
        found = (market["linear"], market["swap"], market["active"], market["precision"]["price"])
        check_equal(found, (True, True, True, tick), f"market {symbol}")
        check_equal(market["contractSize"], contract, "contract size")
        check_equal(market["precision"]["amount"], 0.1, "lot")
    check(abs(await client.fetch_time() - client.milliseconds()) < 2000, "server time")


@okx_case("market data")
async def market_data(room: CcxtRoom) -> None:
    client = await room.okx()
    ticker = await client.fetch_ticker(SYMBOL)
    check(ticker["bid"] < ticker["ask"], "ticker", ticker)
    check(ticker["low"] <= ticker["last"] <= ticker["high"], "ticker", ticker)
    tickers = await client.fetch_tickers([SYMBOL, OTHER])
    check_equal(set(tickers), {SYMBOL, OTHER}, "tickers")
    candles = await client.fetch_ohlcv(SYMBOL, "1m", limit=60)
    starts = [row[0] for row in candles]
    check_equal(len(candles), 60, "candles")
    check_equal(starts, sorted(starts), "candles in order")
    since = await client.fetch_ohlcv(SYMBOL, "1m", since=starts[10], limit=5)
    check_equal([row[0] for row in since], starts[10:15], "candles since a time")
    trades = await client.fetch_trades(SYMBOL, limit=20)
    check({trade["symbol"] for trade in trades} == {SYMBOL}, "trades")
    interest = await client.fetch_open_interest(SYMBOL)
    check(interest["openInterestAmount"] > 0, "open interest")
    funding = await client.fetch_funding_rate(SYMBOL)
    check(funding["fundingTimestamp"] > client.milliseconds(), "funding time", funding)
    mark = await client.fetch_mark_price(SYMBOL)
    check(abs(mark["markPrice"] / ticker["last"] - 1) < 0.05, "mark price", mark)


@okx_case("same candles as the Bybit side")
async def same_candles(room: CcxtRoom) -> None:
    client = await room.okx()
    okx, bybit = [
        {row[0]: row for row in await each.fetch_ohlcv(SYMBOL, "1m", limit=30)}
        for each in (client, room.rest)
    ]
    closed = sorted(set(okx) & set(bybit))[:-1]
    check(len(closed) >= 28, "common candles", len(closed))
    for start in closed:
        check_equal(okx[start], bybit[start], f"candle {start}")


@okx_case("same order book as the Bybit side")
async def same_book(room: CcxtRoom) -> None:
    client = await room.okx()
    agreed = 0
    async with asyncio.timeout(3 * WAIT_S):
        while agreed < EQUAL_BOOKS:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(client.fetch_order_book(SYMBOL, 50))
                bybit = await room.rest.fetch_order_book(SYMBOL, 50)
            okx = reading.result()
            agreed += all(
                [(level[0], round(level[1] * CONTRACT, 3)) for level in okx[side]]
                == [(level[0], level[1]) for level in bybit[side]]
                for side in ("bids", "asks")
            )


@okx_case("unknown instrument", code=51001)
async def unknown_instrument(room: CcxtRoom) -> int:
    client = await room.okx()
    return await _code_of_refusal(
        client.public_get_market_books({"instId": "NO-USDT-SWAP"}), ccxt.BadSymbol
    )


@okx_pro_case("order book, increments")
async def order_book(room: CcxtRoom) -> None:
    client = await room.okx_pro()
    agreed = seen = 0
    async with asyncio.timeout(3 * WAIT_S):
        while agreed < EQUAL_BOOKS or seen < 20:
            book = await client.watch_order_book(SYMBOL)
            seen += 1
            _check_sorted(book)
            agreed += await _equals_rest(client)


def _check_sorted(book: dict[str, Any]) -> None:
    bids = [level[0] for level in book["bids"]]
    asks = [level[0] for level in book["asks"]]
    check(bids and asks and bids[0] < asks[0], "crossed book", bids[:1], asks[:1])
    check(bids == sorted(set(bids), reverse=True) and asks == sorted(set(asks)), "unsorted book")
    check(all(level[1] > 0 for side in ("bids", "asks") for level in book[side]), "size 0")


async def _equals_rest(client: Any) -> bool:
    """Whether the local book and REST's had the same sequence number; then they must be equal."""
    answer = await client.public_get_market_books({"instId": INST_ID, "sz": "400"})
    (row,) = answer["data"]
    local = client.orderbooks.get(SYMBOL)
    if local is None or local["nonce"] != int(row["seqId"]):
        return False
    for side in ("bids", "asks"):
        wanted = [(float(price), float(size)) for price, size, _, _ in row[side]]
        check_equal([(level[0], level[1]) for level in local[side]], wanted, side)
    return True


@okx_pro_case("order book, five levels and best bid and ask")
async def small_books(room: CcxtRoom) -> None:
    client = await room.okx_pro()
    for _ in range(5):
        book = await asyncio.wait_for(client.watch_order_book(OTHER, 5), WAIT_S)
        _check_sorted(book)
        check_equal((len(book["bids"]), len(book["asks"])), (5, 5), "levels")
        found = await asyncio.wait_for(client.watch_bids_asks([OTHER]), WAIT_S)
        check(found[OTHER]["bid"] < found[OTHER]["ask"], "crossed", found)


@okx_pro_case("trades")
async def trades(room: CcxtRoom) -> None:
    client = await room.okx_pro()
    seen: dict[str, dict[str, Any]] = {}

    def enough(rows: list[dict[str, Any]]) -> bool:
        seen.update((row["id"], row) for row in rows)
        return len(seen) >= 10

    await room.watch(client.watch_trades, SYMBOL, until=enough)
    rest = {row["id"]: row for row in await client.fetch_trades(SYMBOL, limit=500)}
    common = set(seen) & set(rest)
    check(len(common) >= 10, "pushed trades are not in REST", len(common))
    for name in common:
        for key in ("price", "amount", "side", "timestamp"):
            check_equal(seen[name][key], rest[name][key], f"trade {name} {key}")


@okx_pro_case("ticker")
async def ticker(room: CcxtRoom) -> None:
    client = await room.okx_pro()
    for _ in range(5):
        found = await asyncio.wait_for(client.watch_ticker(SYMBOL), WAIT_S)
        check_equal(found["symbol"], SYMBOL, "symbol")
        check(found["bid"] < found["ask"], "crossed", found)
        check(found["low"] <= found["last"] <= found["high"], "last outside low and high", found)


@okx_pro_case("kline")
async def kline(room: CcxtRoom) -> None:
    client = await room.okx_pro()
    async with asyncio.timeout(3 * WAIT_S):
        while True:
            rows = await client.watch_ohlcv(SYMBOL, "1m")
            _start, first, high, low, last = rows[-1][:5]
            check(low <= min(first, last) <= max(first, last) <= high, "candle", rows[-1])
            rest = await client.fetch_ohlcv(SYMBOL, "1m", limit=1)
            local = {row[0]: row for row in client.ohlcvs[SYMBOL]["1m"]}
            if local.get(rest[0][0]) == rest[0]:
                return


@okx_pro_case("ping in plain words")
async def ping(room: CcxtRoom) -> None:
    client = await room.okx_pro()
    await asyncio.wait_for(client.watch_ticker(SYMBOL), WAIT_S)
    connection = client.clients[f"{room.venue.ws}/ws/v5/public"]
    before = connection.lastPong
    async with asyncio.timeout(WAIT_S):
        while connection.lastPong == before:
            await connection.send(client.ping(connection))
            await asyncio.sleep(0.02)


@okx_pro_case("login is refused", code=60009)
async def login(room: CcxtRoom) -> int:
    client = await room.okx_pro(apiKey="key", secret="secret", password="word")
    return await _code_of_refusal(client.watch_order_book(OTHER, 50), ccxt.AuthenticationError)


@okx_pro_case("new snapshot after a lost update")
async def gap(room: CcxtRoom) -> None:
    async with _lossy(room.venue.ws) as lossy:
        client = await room.okx_pro(ws=lossy.url)
        async with asyncio.timeout(2 * WAIT_S):
            await client.watch_order_book(SYMBOL)
            lossy.is_armed = True
            refusals = 0
            while not refusals:
                try:
                    await client.watch_order_book(SYMBOL)
                except ccxt.InvalidNonce:
                    refusals += 1
            agreed = 0
            while agreed < EQUAL_BOOKS:
                _check_sorted(await client.watch_order_book(SYMBOL))
                agreed += await _equals_rest(client)
        check_equal(lossy.snapshots, 2, "snapshots")
        await client.close()


class Lossy:
    """Passes frames between a client and the venue; armed, it loses the next book update."""

    def __init__(self, venue_ws: str) -> None:
        self.url = ""
        self.is_armed = False
        self.snapshots = 0
        self._venue_ws = venue_ws

    async def handle(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Serve one client until either side leaves."""
        near = web.WebSocketResponse()
        await near.prepare(request)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self._venue_ws + request.path) as far,
            asyncio.TaskGroup() as group,
        ):
            back = group.create_task(self._back(far, near))
            async for message in near:
                await far.send_str(message.data)
            back.cancel()
        return near

    async def _back(
        self, far: aiohttp.ClientWebSocketResponse, near: web.WebSocketResponse
    ) -> None:
        async for message in far:
            text = message.data
            self.snapshots += '"action":"snapshot"' in text
            if self.is_armed and '"action":"update"' in text:
                self.is_armed = False
            else:
                await near.send_str(text)


@asynccontextmanager
async def _lossy(venue_ws: str) -> AsyncIterator[Lossy]:
    lossy = Lossy(venue_ws)
    runner = web.ServerRunner(web.Server(lossy.handle), shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        lossy.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        yield lossy
    finally:
        await runner.cleanup()
