"""Books that stand still: a feed without a network, and a Bybit host that shows one book."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from trading_system.cost_simulator.feeds import BookView, Level, Listeners, Tick
from trading_system.domain.ports import Clock

BIDS: list[Level] = [(99.9, 2.0), (99.8, 3.0), (99.5, 10.0)]
ASKS: list[Level] = [(100.1, 2.0), (100.2, 3.0), (100.5, 10.0)]
_RULES = {
    "symbol": "BTCUSDT",
    "contractType": "LinearPerpetual",
    "settleCoin": "USDT",
    "status": "Trading",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "fundingInterval": 480,
    "priceFilter": {"tickSize": "0.1", "minPrice": "0.1", "maxPrice": "1999999.8"},
    "lotSizeFilter": {
        "qtyStep": "0.001",
        "minOrderQty": "0.001",
        "maxOrderQty": "1190",
        "maxMktOrderQty": "500",
        "minNotionalValue": "5",
    },
    "leverageFilter": {"maxLeverage": "100"},
}


class FrozenFeed:
    """A feed whose books change only when a test says so."""

    def __init__(self, exchange: str, *instruments: str, clock: Clock) -> None:
        self._exchange = exchange
        self._instruments = instruments
        self._clock = clock
        self._views: dict[str, BookView] = {}
        self._listeners: Listeners | None = None
        self._version = 0
        self.failure: Exception | None = None
        self.failing = asyncio.Event()
        self.is_closed = False

    @property
    def exchange(self) -> str:
        return self._exchange

    @property
    def products(self) -> dict[str, str]:
        return dict.fromkeys(self._instruments, "perpetual")

    def listen(self, listeners: Listeners) -> None:
        self._listeners = listeners

    async def run(self) -> None:
        try:
            await self.failing.wait()
        finally:
            self.is_closed = True
        assert self.failure is not None
        raise self.failure

    def view(self, instrument: str) -> BookView | None:
        return self._views.get(instrument)

    def figures(self) -> dict[str, Any]:
        return {"is_up": True, "resyncs": 0, "gaps": 0, "connects": 1}

    def fail(self, error: Exception) -> None:
        self.failure = error
        self.failing.set()

    def show(self, instrument: str, bids: list[Level] = BIDS, asks: list[Level] = ASKS) -> None:
        self._version += 1
        now_ns = self._clock.monotonic_ns()
        self._views[instrument] = BookView(
            bids=bids,
            asks=asks,
            version=self._version,
            sequence=1000 + self._version,
            ts_exchange_ns=1_700_000_000_000_000_000,
            received_ns=now_ns,
            confirmed_ns=now_ns,
        )
        if self._listeners is not None:
            tick = Tick(
                instrument=instrument,
                mid=(bids[0][0] + asks[0][0]) / 2,
                received_ns=now_ns,
                decoded_ns=now_ns + 1_000,
                applied_ns=now_ns + 3_000,
            )
            self._listeners.on_tick(tick)

    def lose(self, instrument: str) -> None:
        self._views.pop(instrument, None)
        if self._listeners is not None:
            self._listeners.on_lost(instrument)


@asynccontextmanager
async def frozen_bybit(
    bids: list[Level] = BIDS, asks: list[Level] = ASKS
) -> AsyncIterator[tuple[str, str]]:
    """Serve one BTCUSDT book that never changes; yield REST and WebSocket base addresses."""

    async def rules(request: web.Request) -> web.Response:
        rows = [_RULES] if request.query.get("symbol", "BTCUSDT") == "BTCUSDT" else []
        result = {"category": "linear", "list": rows, "nextPageCursor": ""}
        code = 0 if rows else 10001
        body = {"retCode": code, "retMsg": "OK" if rows else "symbol invalid", "result": result}
        return web.json_response({**body, "retExtInfo": {}, "time": 1})

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            answer = {"success": True, "ret_msg": "", "op": asked["op"], "conn_id": "1"}
            await socket.send_json({**answer, "req_id": asked.get("req_id", "")})
            if asked["op"] == "subscribe":
                for topic in asked["args"]:
                    await socket.send_str(json.dumps(_snapshot(topic, bids, asks)))
        return socket

    app = web.Application()
    app.router.add_get("/v5/market/instruments-info", rules)
    app.router.add_get("/v5/public/linear", stream)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def _snapshot(topic: str, bids: list[Level], asks: list[Level]) -> dict[str, Any]:
    count = int(topic.split(".")[1])
    return {
        "topic": topic,
        "type": "snapshot",
        "ts": 1_700_000_000_100,
        "data": {
            "s": topic.split(".")[2],
            "b": [[str(price), str(size)] for price, size in bids[:count]],
            "a": [[str(price), str(size)] for price, size in asks[:count]],
            "u": 7,
            "seq": 77,
        },
        "cts": 1_700_000_000_099,
    }
