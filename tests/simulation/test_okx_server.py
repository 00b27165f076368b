"""The OKX side over real loopback sockets: frames, refusals, slow and silent clients."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest
from server_rig import ABC, READER, TRADER, QuietMarket, frames, serving

from trading_system.domain.orders import Side
from trading_system.runtime.clock import ManualClock
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.server import BybitServer
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.venue import SimulatedVenue

BOOKS = {"channel": "books", "instId": "ABC-USDT-SWAP"}
RELAY = "/ws/l2-orderbook/okx/ABC-USDT-SWAP"


@pytest.fixture
async def client():
    async with serving() as running:
        yield running


@asynccontextmanager
async def standing_clock():
    """A server whose clock only a test moves."""
    clock = ManualClock()
    exchange = Exchange([ABC], [TRADER, READER], seed=1)
    venue = SimulatedVenue(exchange, MarketStatistics(exchange), QuietMarket(exchange))
    venue.prepare(clock.utc_ns() // 1_000_000)
    async with (
        BybitServer(venue, clock=clock, options=ServerOptions()) as server,
        aiohttp.ClientSession() as http,
    ):
        yield clock, server, http


async def flood(ws, request):
    async with asyncio.timeout(20):
        while True:
            await ws.send_json(request)
            await asyncio.sleep(0)


async def test_bybit_orders_show_in_the_okx_book_in_contracts(client):
    async with client.stream("/ws/v5/public") as ws:
        await ws.send_json({"id": "b1", "op": "subscribe", "args": [BOOKS]})
        ack, snapshot = await frames(ws, 2)
        assert (ack["id"], ack["event"], ack["arg"]) == ("b1", "subscribe", BOOKS)
        first = snapshot["data"][0]
        assert first["bids"] == [["10", "30", "0", "1"]]
        assert first["asks"] == [["10.02", "2", "0", "1"], ["10.03", "50", "0", "1"]]
        await client.create(price="9.90")
        update = (await ws.receive_json(timeout=5))["data"][0]
        assert (update["bids"], update["asks"]) == ([["9.9", "5", "0", "1"]], [])
        assert update["prevSeqId"] == first["seqId"] < update["seqId"]
        await client.create(orderType="Market", qty="2.5")
        update = (await ws.receive_json(timeout=5))["data"][0]
        assert update["asks"] == [["10.02", "0", "0", "0"], ["10.03", "49.5", "0", "1"]]


async def test_a_market_order_is_one_trade_per_price(client):
    async with client.stream("/ws/v5/public") as ws:
        arg = {"channel": "trades", "instId": "ABC-USDT-SWAP"}
        await ws.send_json({"op": "subscribe", "args": [arg]})
        await frames(ws, 1)
        client.market.house(Side.SELL, 1003, 10, client.now_ms())
        await client.create(orderType="Market", qty="52.5")
        rows = [frame["data"][0] for frame in await frames(ws, 2)]
        assert [(row["px"], row["sz"], row["side"], row["count"]) for row in rows] == [
            ("10.02", "2", "buy", "1"),
            ("10.03", "50.5", "buy", "2"),
        ]
        assert [row["tradeId"] for row in rows] == ["1", "3"]


async def test_relay_pushes_without_being_asked(client):
    async with client.stream(RELAY) as ws:
        frame = await ws.receive_json(timeout=5)
        assert frame["symbol"] == "ABC-USDT-SWAP"
        assert frame["asks"] == [["10.02", "2"], ["10.03", "50"]]
        await ws.send_str("whatever")
        await client.create(price="9.90")
        assert (await ws.receive_json(timeout=5))["bids"] == [["10", "30"], ["9.9", "5"]]


async def test_rest_speaks_okx_below_its_prefix_and_bybit_elsewhere(client):
    answer = await client.get("/api/v5/market/books", "instId=ABC-USDT-SWAP&sz=5")
    assert answer["code"] == "0"
    assert answer["data"][0]["bids"] == [["10", "30", "0", "1"]]
    assert (await client.get("/v5/market/time"))["retCode"] == 0
    url = f"{client.server.rest_url}/api/v5/nothing"
    async with client.http.get(url) as reply:
        assert (reply.status, (await reply.json())["code"]) == (404, "404")


async def test_plain_words_ping_and_pong(client):
    async with client.stream("/ws/v5/business?brokerId=9999") as ws:
        await ws.send_str("ping")
        assert await ws.receive_str(timeout=5) == "pong"


async def test_unknown_paths_are_not_found(client):
    for path in ("/ws/v5/other", "/ws/l2-orderbook/okx/NO-USDT-SWAP"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with client.stream(path):
                pass
        assert refused.value.status == 404


async def test_fourth_connection_within_a_second_is_refused():
    async with standing_clock() as (clock, server, http):
        url = server.ws_url + "/ws/v5/public"
        for _ in range(3):
            await (await http.ws_connect(url)).close()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(url)
        assert refused.value.status == 429
        clock.advance(1.0)
        await (await http.ws_connect(url)).close()


async def test_silent_connection_is_closed_with_4004_while_the_relay_stays():
    async with standing_clock() as (clock, server, http):
        relay = await http.ws_connect(server.ws_url + RELAY)
        await relay.receive_json(timeout=5)
        ws = await http.ws_connect(server.ws_url + "/ws/v5/public")
        await ws.send_str("ping")
        assert await ws.receive_str(timeout=5) == "pong"
        clock.advance(31.0)
        message = await ws.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4004)
        await relay.ping()
        assert not relay.closed
        await relay.close()


async def test_reader_that_stalls_is_cut_off_and_others_go_on():
    async with serving(max_outbox_bytes=200_000, limits="off") as client:
        stalled = await client.http.ws_connect(client.server.ws_url + "/ws/v5/public")
        stalled._conn.transport.pause_reading()
        with pytest.raises(ConnectionError):
            await flood(stalled, {"op": "subscribe", "args": [BOOKS | {"x": "x" * 60}] * 400})
        async with client.stream("/ws/v5/public") as ws:
            await ws.send_json({"op": "subscribe", "args": [BOOKS]})
            assert (await frames(ws, 2))[1]["data"][0]["bids"] == [["10", "30", "0", "1"]]


async def test_oversized_message_ends_only_its_own_connection(client):
    async with client.stream("/ws/v5/public") as ws, client.stream("/ws/v5/public") as other:
        await ws.send_str("x" * (1 << 21))
        assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        await other.send_str("ping")
        assert await other.receive_str(timeout=5) == "pong"
