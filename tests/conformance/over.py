"""The same requests to the venue in process, without sockets, and over loopback.

A fresh venue with the book of the protocol's worked example (bid 10.00, asks 10.02 and 10.03,
tick 0.01, lot 0.1) for every case. In process a request goes straight into the server's gateway
and a stream into its channel; over loopback the same bytes travel through aiohttp.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import aiohttp
from aiohttp import WSMsgType, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from server_rig import ABC, READER, TRADER, QuietMarket

from trading_system.runtime.clock import SystemClock
from trading_system.simulation.bybit_server.line import Line
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.server import BybitServer
from trading_system.simulation.bybit_server.session import Session
from trading_system.simulation.bybit_server.signing import request_text, sign, stream_text
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.venue import SimulatedVenue

WAIT_S = 5.0
TURN_S = 0.002
WAYS = ("in-process", "loopback")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and decoded body of one reply."""

    status: int
    headers: Any
    body: dict[str, Any]

    @property
    def code(self) -> int:
        """The reply's ``retCode``."""
        return int(self.body["retCode"])


class Stream(Protocol):
    """One WebSocket conversation, frame by frame."""

    async def send(self, text: str) -> None:
        """Send one text frame."""

    async def receive(self) -> dict[str, Any]:
        """Return the next frame, decoded."""
        ...


class _Outbox:
    # What the session writes to instead of a socket.
    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()

    async def send_frame(self, payload: bytes, kind: WSMsgType) -> None:
        if kind is WSMsgType.TEXT:
            self.frames.put_nowait(bytes(payload))

    async def close(self) -> None:
        pass


class _InProcessStream:
    def __init__(self, outbox: _Outbox, session: Session, channel: Any) -> None:
        self._outbox, self._session, self._channel = outbox, session, channel

    async def send(self, text: str) -> None:
        self._session.arrive(partial(self._channel.receive, text))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            found: dict[str, Any] = json.loads(await self._outbox.frames.get())
        return found


class _LoopbackStream:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)

    async def receive(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._socket.receive_json(timeout=WAIT_S)
        return found


class Over:
    """A venue and one way to it; ``http`` is None in process.

    Parameters
    ----------
    server : BybitServer
        Running over loopback, only made in process.
    """

    def __init__(
        self, server: BybitServer, exchange: Exchange, http: aiohttp.ClientSession | None
    ) -> None:
        self.server = server
        self.exchange = exchange
        self.clock = SystemClock()
        self._http = http

    def now_ms(self) -> int:
        """Return the time of the clock, milliseconds."""
        return self.clock.utc_ns() // 1_000_000

    def signed(
        self, payload: bytes, *, account: AccountSpec = TRADER, shift_ms: int = 0, secret: str = ""
    ) -> dict[str, str]:
        """Return the headers that sign ``payload``, a body or a raw query."""
        stamp = str(self.now_ms() + shift_ms)
        text = request_text(
            timestamp=stamp, api_key=account.api_key, window="5000", payload=payload
        )
        return {
            "X-BAPI-API-KEY": account.api_key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(secret or account.api_secret, text),
        }

    async def get(self, path: str, query: str = "", **how: Any) -> Answer:
        """Send one signed GET."""
        return await self.call("GET", path, query=query, headers=self.signed(query.encode(), **how))

    async def post(self, path: str, body: dict[str, Any], **how: Any) -> Answer:
        """Send one signed POST."""
        raw = json.dumps(body).encode()
        return await self.call("POST", path, body=raw, headers=self.signed(raw, **how))

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request exactly as given."""
        status, found, raw = await self.exchange_bytes(
            method, path + (f"?{query}" if query else ""), body, headers or {}
        )
        return Answer(status, found, json.loads(raw))

    async def exchange_bytes(
        self, method: str, target: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, Any, bytes]:
        """Send one request; return status, headers and bytes of the answer."""
        if self._http is not None:
            url = self.server.rest_url + target
            async with self._http.request(method, url, data=body or None, headers=headers) as reply:
                return reply.status, reply.headers, await reply.read()
        response = await self.server._rest.handle(_request(method, target, body, headers))
        assert isinstance(response.body, bytes)
        return response.status, response.headers, response.body

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[Stream]:
        """Open one WebSocket conversation."""
        if self._http is not None:
            async with self._http.ws_connect(self.server.ws_url + path) as socket:
                yield _LoopbackStream(socket)
            return
        make = self.server._channel_of(path)
        assert make is not None, path
        outbox = _Outbox()
        session = Session(
            "c1",
            options=self.server._options,
            line=Line(None),
            path=path,
            address="in-process",
            faults=self.server.faults,
        )
        channel = make(session)
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(session.write(outbox))
            try:
                yield _InProcessStream(outbox, session, channel)
            finally:
                channel.close()
                session.cut()
                writing.cancel()

    @property
    def http(self) -> aiohttp.ClientSession | None:
        """The session of the way over loopback, None in process."""
        return self._http

    @asynccontextmanager
    async def private(self, *topics: str) -> AsyncIterator[Stream]:
        """Open the private stream, log in, subscribe."""
        async with self.stream("/v5/private") as stream:
            await stream.send(self.login())
            await stream.send(json.dumps({"op": "subscribe", "args": topics, "req_id": "s"}))
            for name in ("auth", "subscribe"):
                reply = await stream.receive()
                assert (reply["op"], reply["success"]) == (name, True), reply
            yield stream

    def login(self, **extra: Any) -> str:
        """Return the text of a log-in."""
        expires = self.now_ms() + 5000
        signature = sign(TRADER.api_secret, stream_text(str(expires)))
        return json.dumps({"op": "auth", "args": [TRADER.api_key, expires, signature], **extra})


def _request(method: str, target: str, body: bytes, headers: dict[str, str]) -> web.BaseRequest:
    payload: Any = aiohttp.streams.EMPTY_PAYLOAD
    if body:
        loop = asyncio.get_running_loop()
        payload = aiohttp.StreamReader(BaseProtocol(loop), 2**16, loop=loop)
        payload.feed_data(body)
        payload.feed_eof()
        headers = {**headers, "Content-Length": str(len(body))}
    return make_mocked_request(method, target, headers=headers, payload=payload)


@asynccontextmanager
async def reaching(way: str) -> AsyncIterator[Over]:
    """Prepare a fresh venue and one way to it for the block."""
    clock = SystemClock()
    exchange = Exchange([ABC], [TRADER, READER], seed=1)
    venue = SimulatedVenue(exchange, MarketStatistics(exchange), QuietMarket(exchange))
    venue.prepare(clock.utc_ns() // 1_000_000)
    server = BybitServer(venue, clock=clock, options=ServerOptions())
    if way == "loopback":
        async with server, aiohttp.ClientSession() as http:
            yield Over(server, exchange, http)
        return
    async with asyncio.TaskGroup() as group:
        pumping = group.create_task(_pump(server))
        try:
            yield Over(server, exchange, None)
        finally:
            pumping.cancel()


async def _pump(server: BybitServer) -> None:
    while True:
        server.pump()
        await asyncio.sleep(TURN_S)


async def until(stream: Stream, topic: str, **wanted: Any) -> dict[str, Any]:
    """Return the first row pushed on ``topic`` that has the ``wanted`` values."""
    async with asyncio.timeout(WAIT_S):
        while True:
            frame = await stream.receive()
            if frame.get("topic") != topic:
                continue
            for row in frame["data"]:
                if all(row[key] == value for key, value in wanted.items()):
                    found: dict[str, Any] = row
                    return found
