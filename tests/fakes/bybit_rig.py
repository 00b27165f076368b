"""A scripted HTTP transport and a small WebSocket venue, to test the Bybit client against."""

import asyncio
import json
import random
from collections import deque
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

from aiohttp import WSMsgType, web
from pydantic import SecretStr

from trading_system.domain.ports import HttpReply, HttpTiming
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.link import LinkTiming

HOST = "http://venue.test"
FAST = LinkTiming(
    spacing_s=0.0, backoff=Backoff(first_s=0.001, max_s=0.005, attempts=1000), ping_s=5.0
)
TIMING = HttpTiming(queue_ms=1.0, connect_ms=None, send_ms=0.5, response_ms=2.0, total_ms=3.5)


def signer():
    return Signer("demoKey", SecretStr("demoSecret"), recv_window_ms=5000)


def ok(result, *, extra=None):
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": extra or {}})


def listing(*rows, cursor=""):
    return ok({"category": "linear", "list": list(rows), "nextPageCursor": cursor})


def refused(code, text="no"):
    return json.dumps({"retCode": code, "retMsg": text, "result": {}})


class Sent:
    """One request as the transport got it."""

    def __init__(self, request, priority, timeout_s):
        parts = urlsplit(request.url)
        self.method = request.method
        self.path = parts.path
        self.query = dict(parse_qsl(parts.query))
        self.raw_query = parts.query
        self.headers = dict(request.headers)
        self.body = json.loads(request.body) if request.body else None
        self.raw_body = request.body
        self.priority = priority
        self.timeout_s = timeout_s


class FakeTransport:
    """Answers by path: a text, a (status, text) pair, a whole reply, or an error to raise.

    Several answers of one path are given one after the other; the last one stays.
    """

    def __init__(self, **answers):
        self.silent_for_s = 0.0
        self.answers = {}
        self.sent = []
        self.headers = {}

    def answer(self, path, *answers):
        self.answers[path] = deque(answers)
        return self

    async def request(self, request, *, priority, timeout_s):
        sent = Sent(request, priority, timeout_s)
        self.sent.append(sent)
        await asyncio.sleep(0)
        queue = self.answers[sent.path]
        answer = queue.popleft() if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        status, text = answer if isinstance(answer, tuple) else (200, answer)
        body = text if isinstance(text, bytes) else text.encode()
        return HttpReply(status=status, headers=self.headers, body=body, timing=TIMING)


def rest(transport, *, clock=None, key=None, **options):
    return BybitRest(
        HOST, signer=key or signer(), clock=clock or ManualClock(), transport=transport, **options
    )


def gateway(transport, *, trade=None, clock=None):
    clock = clock or ManualClock()
    return BybitGateway(rest(transport, clock=clock), clock=clock, trade=trade)


class StreamVenue:
    """Accepts log-in, subscriptions and orders; a test decides what goes wrong."""

    def __init__(self):
        self.requests = []
        self.connections = 0
        self.sockets = []
        self.accepts_key = True
        self.refused_topics = set()
        self.is_mute = False
        self.ignores_orders = False
        self.frames = []
        self.on_order = None
        self.heard = asyncio.Event()

    async def handle(self, request):
        self.connections += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            self.requests.append(asked)
            self.heard.set()
            if not self.is_mute:
                await self.answer(socket, asked)
        return socket

    async def answer(self, socket, asked):
        operation = asked["op"]
        if operation == "auth":
            await self.on_auth(socket, asked)
        elif operation in {"subscribe", "unsubscribe"}:
            bad = sorted(self.refused_topics & set(asked["args"]))
            reply = {"op": operation, "success": not bad, "req_id": asked["req_id"]}
            await socket.send_json(reply | {"ret_msg": f"Invalid topic: {bad}" if bad else ""})
            if not bad and operation == "subscribe":
                for frame in self.frames:
                    await socket.send_str(frame)
        elif operation == "ping":
            await socket.send_json({"op": "pong", "retCode": 0, "success": True})
        elif not self.ignores_orders:
            await self.on_request(socket, asked)

    async def on_auth(self, socket, asked):
        if "reqId" in asked:
            code = 0 if self.accepts_key else 10003
            await socket.send_json({"op": "auth", "retCode": code, "retMsg": "", "reqId": "auth"})
        else:
            await socket.send_json({"op": "auth", "success": self.accepts_key, "ret_msg": ""})

    async def on_request(self, socket, asked):
        reply = {"retCode": 0, "retMsg": "OK", "data": {"orderId": "o-1", "orderLinkId": "x"}}
        if self.on_order is not None:
            reply = self.on_order(asked)
        await socket.send_json({"reqId": asked["reqId"], "op": asked["op"], **reply})

    def orders(self):
        return [asked for asked in self.requests if asked["op"].startswith("order.")]

    def operations(self):
        return [asked["op"] for asked in self.requests if asked["op"] != "ping"]

    @asynccontextmanager
    async def running(self):
        app = web.Application()
        app.router.add_get("/ws", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def alive(client):
    """Run a stream client for the block, at most ten seconds."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(client.run())
        yield
        task.cancel()


async def becomes_true(condition):
    """Let the loop turn until ``condition`` holds; the block's timeout bounds it."""
    while not condition():
        await asyncio.sleep(0.001)


def jitter():
    return random.Random(1)
