import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web
from pydantic import SecretStr

from trading_system.domain.errors import CorruptDataError, InvariantViolated, VenueAuthError
from trading_system.runtime.clock import ManualClock, SystemClock
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks


class StreamServer:
    """Accepts log-in and subscriptions; the test decides what each connection sends."""

    def __init__(self) -> None:
        self.requests: list[dict[str, object]] = []
        self.connections = 0
        self.accepts_key = True
        self.accepts_topics = True
        self.frames: list[str] = []
        self.closes_after_frames = False
        self.is_mute = False

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        self.connections += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            await self._answer(socket, json.loads(message.data))
        return socket

    async def _answer(self, socket: web.WebSocketResponse, asked: dict[str, object]) -> None:
        self.requests.append(asked)
        if self.is_mute:
            return
        if asked["op"] == "auth":
            await socket.send_json({"op": "auth", "success": self.accepts_key, "ret_msg": ""})
        if asked["op"] == "subscribe":
            await socket.send_json({"op": "subscribe", "success": self.accepts_topics})
            for frame in self.frames:
                await socket.send_str(frame)
            if self.closes_after_frames:
                await socket.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/ws", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
        finally:
            await runner.cleanup()


class Ear:
    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.downs: list[str] = []
        self.up = asyncio.Event()
        self.heard = asyncio.Event()
        self.down = asyncio.Event()
        self.refuses = False

    def on_frame(self, frame: bytes, received_ns: int) -> None:
        self.frames.append(frame)
        self.heard.set()
        if self.refuses:
            self.refuses = False
            raise CorruptDataError("a gap")

    def on_down(self, reason: str) -> None:
        self.downs.append(reason)
        self.down.set()

    def callbacks(self) -> StreamCallbacks:
        return StreamCallbacks(on_frame=self.on_frame, on_up=self.up.set, on_down=self.on_down)


def stream(url: str, ear: Ear, *, signer: Signer | None = None) -> BybitStream:
    return BybitStream(
        url,
        ["order"],
        callbacks=ear.callbacks(),
        clock=SystemClock(),
        signer=signer,
        jitter=random.Random(1),
    )


@asynccontextmanager
async def listening(client: BybitStream) -> AsyncIterator[None]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(client.run())
        yield
        task.cancel()


async def test_it_logs_in_before_it_subscribes_and_delivers_frames() -> None:
    server, ear = StreamServer(), Ear()
    server.frames = ['{"topic":"order","data":[]}']
    key = Signer("k", SecretStr("s"), recv_window_ms=5000)
    async with server.running() as url, listening(stream(url, ear, signer=key)):
        await ear.heard.wait()
    operations = [asked["op"] for asked in server.requests if asked["op"] != "ping"]
    assert operations == ["auth", "subscribe"]
    assert ear.frames == [b'{"topic":"order","data":[]}']


async def test_it_pings_at_once_so_that_silence_can_be_judged() -> None:
    server, ear = StreamServer(), Ear()
    async with server.running() as url, listening(stream(url, ear)):
        await ear.up.wait()
    assert {"op": "ping"} in server.requests


async def test_a_refused_key_ends_the_stream_with_a_typed_error() -> None:
    server, ear = StreamServer(), Ear()
    server.accepts_key = False
    key = Signer("k", SecretStr("s"), recv_window_ms=5000)
    async with server.running() as url:
        with pytest.raises(VenueAuthError):
            async with asyncio.timeout(10):
                await stream(url, ear, signer=key).run()
    assert not ear.up.is_set()


async def test_a_lost_connection_is_told_and_opened_anew() -> None:
    server, ear = StreamServer(), Ear()
    server.closes_after_frames = True
    client_ear = ear
    async with server.running() as url:
        client = stream(url, client_ear)
        async with listening(client):
            await ear.down.wait()
            ear.up.clear()
            await ear.up.wait()
    assert client.connects >= 2


async def test_a_frame_that_cannot_be_trusted_drops_the_connection() -> None:
    server, ear = StreamServer(), Ear()
    server.frames = ['{"topic":"order","data":[]}']
    ear.refuses = True
    async with server.running() as url, listening(stream(url, ear)):
        await ear.down.wait()
    assert "a gap" in ear.downs[0]


async def test_a_refused_subscription_never_counts_as_up() -> None:
    server, ear = StreamServer(), Ear()
    server.accepts_topics = False
    async with server.running() as url:
        client = stream(url, ear)
        async with listening(client):
            await ear.down.wait()
            assert not client.is_up
    assert "subscription refused" in ear.downs[0]


async def test_an_unreachable_host_is_tried_again_with_back_off() -> None:
    ear = Ear()
    client = stream("ws://127.0.0.1:9/ws", ear)
    async with listening(client):
        await ear.down.wait()
    assert "cannot connect" in ear.downs[0]
    assert client.connects == 0


async def test_the_log_in_is_stamped_with_the_venues_time() -> None:
    server, ear = StreamServer(), Ear()
    hour_ns = 3_600 * 1_000_000_000
    async with server.running() as url:
        client = BybitStream(
            url,
            ["order"],
            callbacks=ear.callbacks(),
            clock=ManualClock(),
            signer=Signer("k", SecretStr("s"), recv_window_ms=5000),
            jitter=random.Random(1),
            offset_ns=lambda: hour_ns,
        )
        async with listening(client):
            await ear.up.wait()
    asked = next(r for r in server.requests if r["op"] == "auth")
    arguments = asked["args"]
    assert isinstance(arguments, list)
    assert arguments[1] == 1_700_000_000_000 + 3_600_000 + 5_000


async def test_a_connection_that_never_gets_through_is_opened_anew() -> None:
    server, ear = StreamServer(), Ear()
    server.is_mute = True
    async with server.running() as url:
        client = BybitStream(
            url,
            ["order"],
            callbacks=ear.callbacks(),
            clock=SystemClock(),
            jitter=random.Random(1),
            ping_s=0.05,
        )
        async with listening(client):
            await ear.down.wait()
    assert not ear.up.is_set()


async def test_a_stream_that_was_cancelled_is_not_up() -> None:
    server, ear = StreamServer(), Ear()
    async with server.running() as url:
        client = stream(url, ear)
        async with listening(client):
            await ear.up.wait()
    assert not client.is_up


async def test_an_error_of_the_receiver_leaves_as_itself() -> None:
    server, ear = StreamServer(), Ear()
    server.frames = ['{"topic":"order","data":[]}']

    def overfill(_frame: bytes, _received_ns: int) -> None:
        raise InvariantViolated("filled 2 of 1")

    callbacks = StreamCallbacks(on_frame=overfill, on_up=ear.up.set, on_down=ear.on_down)
    async with server.running() as url:
        client = BybitStream(
            url, ["order"], callbacks=callbacks, clock=SystemClock(), jitter=random.Random(1)
        )
        with pytest.raises(InvariantViolated):
            async with asyncio.timeout(10):
                await client.run()
