"""A small scripted OKX-like public server on loopback; a test decides what goes wrong."""

import asyncio
import json
import random
from contextlib import asynccontextmanager
from decimal import Decimal

from aiohttp import WSMsgType, web

from trading_system.runtime.backoff import Backoff
from trading_system.venues.link import LinkTiming
from trading_system.venues.okx.instruments import OkxContract, OkxInstrument, OkxInstType

FAST = LinkTiming(
    spacing_s=0.0,
    backoff=Backoff(first_s=0.001, max_s=0.005, attempts=1000),
    ping_s=5.0,
    pong_s=5.0,
)
SWAP = OkxInstrument(
    inst_id="ABC-USDT-SWAP",
    inst_type=OkxInstType.SWAP,
    base="ABC",
    quote="USDT",
    tick=Decimal("0.01"),
    lot=Decimal("0.1"),
    min_size=Decimal("0.1"),
    contract_value=Decimal("0.01"),
    contract=OkxContract.LINEAR,
)
SPOT = OkxInstrument(
    inst_id="ABC-USDT",
    inst_type=OkxInstType.SPOT,
    base="ABC",
    quote="USDT",
    tick=Decimal("0.01"),
    lot=Decimal("0.0001"),
    min_size=Decimal("0.001"),
)
INVERSE = OkxInstrument(
    inst_id="ABC-USD-SWAP",
    inst_type=OkxInstType.SWAP,
    base="ABC",
    quote="USD",
    tick=Decimal("0.1"),
    lot=Decimal(1),
    min_size=Decimal(1),
    contract_value=Decimal(100),
    contract=OkxContract.INVERSE,
)


def jitter():
    return random.Random(1)


def levels(*rows):
    return [[price, size, "0", "1"] for price, size in rows]


def data(row, *, action=None, channel="books", inst_id="ABC-USDT-SWAP"):
    frame = {"arg": {"channel": channel, "instId": inst_id}}
    if action:
        frame["action"] = action
    return json.dumps(frame | {"data": row if isinstance(row, list) else [row]})


def book_row(bids=(), asks=(), **numbers):
    return {
        "asks": levels(*asks),
        "bids": levels(*bids),
        "ts": "1700000000105",
        "checksum": 0,
    } | numbers


def snapshot(seq=10, *, bids=(("10.00", "5"),), asks=(("10.02", "7"),), **where):
    return data(book_row(bids, asks, prevSeqId=-1, seqId=seq), action="snapshot", **where)


def update(prev, seq, *, bids=(), asks=(), **where):
    return data(book_row(bids, asks, prevSeqId=prev, seqId=seq), action="update", **where)


class OkxServer:
    """Acknowledges every argument, then sends the frames scripted for it."""

    def __init__(self):
        self.requests = []
        self.pings = 0
        self.sockets = []
        self.frames = {}
        self.refused = {}
        self.is_mute = False
        self.answers_pings = True
        self.ignores_unsubscribe = False
        self.acknowledges = True
        self.greeting = []
        self.urls = []
        self.rest = {}
        self.queries = []

    async def handle(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        self.urls.append(request.path_qs)
        for frame in self.greeting:
            await self.write(socket, frame)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            if message.data == "ping":
                self.pings += 1
                if self.answers_pings:
                    await socket.send_str("pong")
                continue
            asked = json.loads(message.data)
            self.requests.append(asked)
            if not self.is_mute:
                await self.answer(socket, asked)
        return socket

    async def answer(self, socket, asked):
        for arg in asked["args"]:
            refusal = self.refused.get((arg["channel"], arg.get("instId", "")))
            if refusal and asked["op"] == "subscribe":
                code, text = refusal
                await socket.send_json(
                    {"id": asked["id"], "event": "error", "code": code, "msg": text, "connId": "c"}
                )
                continue
            if asked["op"] == "unsubscribe" and self.ignores_unsubscribe:
                continue
            if self.acknowledges:
                await socket.send_json(
                    {"id": asked["id"], "event": asked["op"], "arg": arg, "connId": "c"}
                )
            if asked["op"] == "subscribe":
                for frame in self.script(arg):
                    await self.write(socket, frame)

    def script(self, arg):
        frames = self.frames.get((arg["channel"], arg.get("instId", "")), [])
        if frames and isinstance(frames[0], list):  # one list per subscription, the last one stays
            return frames.pop(0) if len(frames) > 1 else frames[0]
        return frames

    async def write(self, socket, frame):
        await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))

    async def push(self, frame):
        await self.write(self.sockets[-1], frame)

    async def answer_rest(self, request):
        self.queries.append((request.path, dict(request.query), dict(request.headers)))
        answer = self.rest[request.path]
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        if body is None:
            await asyncio.Event().wait()
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=text)

    def operations(self):
        return [(asked["op"], len(asked["args"])) for asked in self.requests]

    @asynccontextmanager
    async def running(self):
        app = web.Application()
        app.router.add_get("/ws/v5/public", self.handle)
        app.router.add_get("/ws/l2-orderbook/okx/{name}", self.handle)
        app.router.add_get("/api/v5/{rest:.*}", self.answer_rest)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def alive(client):
    """Run a feed for the block, at most ten seconds."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(client.run())
        yield
        task.cancel()


async def becomes_true(condition):
    """Let the loop turn until ``condition`` holds; the block's timeout bounds it."""
    while not condition():
        await asyncio.sleep(0.001)
