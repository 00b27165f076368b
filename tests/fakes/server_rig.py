"""A running protocol server with a hand-made book, and a client that signs for its accounts."""

import json
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.runtime.clock import SystemClock
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.server import BybitServer
from trading_system.simulation.bybit_server.signing import request_text, sign, stream_text
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.venue import SimulatedVenue

ABC = Instrument(
    symbol="ABCUSDT",
    base_coin="ABC",
    quote_coin="USDT",
    tick_size=Decimal("0.01"),
    qty_step=Decimal("0.1"),
    min_price=Decimal("0.01"),
    max_price=Decimal("199999.98"),
    min_qty=Decimal("0.1"),
    max_qty=Decimal(5000),
    max_market_qty=Decimal(1000),
    min_notional=Decimal(5),
    max_leverage=Decimal(50),
)
TRADER = AccountSpec(
    account_id=1, uid=101, api_key="demoKey", api_secret="demoSecret", balance=Decimal(10_000)
)
READER = AccountSpec(
    account_id=2, uid=102, api_key="readKey", api_secret="readSecret", read_only=True
)
PLAIN = {"category": "linear", "symbol": "ABCUSDT"}


class QuietMarket:
    is_finished = False

    def __init__(self, exchange):
        self.exchange = exchange

    def prepare(self, now_ms):
        price = Decimal("10.01")
        self.exchange.set_reference("ABCUSDT", index_price=price, mark_price=price)
        self.house(Side.BUY, 1000, 300, now_ms)
        self.house(Side.SELL, 1002, 20, now_ms)
        self.house(Side.SELL, 1003, 500, now_ms)

    def house(self, side, ticks, lots, now_ms):
        self.exchange.house_limit("ABCUSDT", side, ticks, lots, now_ms=now_ms)

    def advance(self, now_ms):
        pass

    def description(self):
        return {}


class Client:
    def __init__(self, server, http):
        self.server = server
        self.http = http
        self.clock = SystemClock()

    def private_sessions(self):
        return [s for each in self.server._private._sessions.values() for s in each]

    def now_ms(self):
        return self.clock.utc_ns() // 1_000_000

    def headers(self, payload, *, account=TRADER, shift_ms=0, secret=None):
        stamp = str(self.now_ms() + shift_ms)
        text = request_text(
            timestamp=stamp, api_key=account.api_key, window="5000", payload=payload
        )
        return {
            "x-bapi-api-key": account.api_key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(secret or account.api_secret, text),
        }

    async def get(self, path, query="", **how):
        url = f"{self.server.rest_url}{path}?{query}"
        headers = self.headers(query.encode(), **how)
        async with self.http.get(url, headers=headers) as reply:
            return await reply.json()

    async def post(self, path, body, **how):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.headers(raw, **how)
        async with self.http.post(self.server.rest_url + path, data=raw, headers=headers) as reply:
            self.last_headers = reply.headers
            self.last_status = reply.status
            return await reply.json()

    async def create(self, **fields):
        body = {**PLAIN, "side": "Buy", "orderType": "Limit", "qty": "5", **fields}
        return await self.post("/v5/order/create", body)

    @asynccontextmanager
    async def stream(self, path):
        async with self.http.ws_connect(self.server.ws_url + path) as ws:
            yield ws

    @asynccontextmanager
    async def private(self, *topics):
        async with self.stream("/v5/private") as ws:
            await ws.send_json(auth(self.now_ms()))
            await ws.send_json({"op": "subscribe", "args": list(topics), "req_id": "s"})
            assert (await ws.receive_json())["op"] == "auth"
            assert (await ws.receive_json())["req_id"] == "s"
            yield ws


def auth(now_ms, *, account=TRADER, **extra):
    expires = now_ms + 5000
    signature = sign(account.api_secret, stream_text(str(expires)))
    return {"op": "auth", "args": [account.api_key, expires, signature], **extra}


@asynccontextmanager
async def serving(*, accounts=(TRADER, READER), **options):
    clock = SystemClock()
    exchange = Exchange([ABC], list(accounts), seed=1)
    statistics = MarketStatistics(exchange)
    venue = SimulatedVenue(exchange, statistics, QuietMarket(exchange))
    venue.prepare(clock.utc_ns() // 1_000_000)
    async with (
        BybitServer(venue, clock=clock, options=ServerOptions(**options)) as server,
        aiohttp.ClientSession() as http,
    ):
        client = Client(server, http)
        client.exchange = exchange
        client.market = venue.market
        yield client


async def frames(ws, count):
    return [await ws.receive_json(timeout=5) for _ in range(count)]


async def until(ws, topic):
    while True:
        frame = await ws.receive_json(timeout=5)
        if frame.get("topic") == topic:
            return frame
