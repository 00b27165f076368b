"""Connections that only hold a place come to an end; timers are looked at, not waited for."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from trading_system.api import wires
from trading_system.api.wires import HEAD_S, MAX_IDLE, STALL_S, RequestWire, StreamWire

EMPTY = [(b"content-length", b"0")]


class Transport:
    """A peer that takes what it is given, and remembers how it was left."""

    def __init__(self, raw: Any = None) -> None:
        self.raw = raw
        self.is_aborted = False
        self.is_closed = False
        self.written = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": self.raw, "sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)}.get(
            name, default
        )

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Raw:
    """A socket whose options are kept; ``is_gone`` makes it a closed one."""

    def __init__(self, *, is_gone: bool = False, gone: Exception | None = None) -> None:
        self.is_gone = is_gone or gone is not None
        self.gone = gone or OSError("closed")
        self.options: dict[int, Any] = {}

    def setsockopt(self, _level: int, option: int, value: Any) -> None:
        if self.is_gone:
            raise self.gone
        self.options[option] = value

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 1)

    def getpeername(self) -> tuple[str, int]:
        return ("127.0.0.1", 2)


class Rig:
    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.config = uvicorn.Config(
            self.app,
            http=RequestWire,
            ws=StreamWire,
            lifespan="off",
            log_level="critical",
            interface="asgi3",
            date_header=False,
            server_header=False,
        )
        self.config.load()
        self.state = ServerState()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await self.release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": EMPTY})
        await send({"type": "http.response.body", "body": b""})

    def open(self, kind: Any = RequestWire, raw: Any = None) -> Any:
        wire = kind(config=self.config, server_state=self.state, app_state={})
        wire.connection_made(Transport(raw))
        return wire


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    rig.release.set()
    while rig.state.tasks:
        await asyncio.sleep(0)
    for wire in list(rig.state.connections):
        wire.connection_lost(None)


def due_in_s(timer: asyncio.TimerHandle | None) -> float:
    assert timer is not None
    assert not timer.cancelled()
    return timer.when() - asyncio.get_running_loop().time()


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_head_has_ten_seconds_and_a_running_request_no_limit(rig: Rig) -> None:
    wire = rig.open()
    wire.data_received(REQUEST[:10])
    assert due_in_s(wire._head_timer) == pytest.approx(HEAD_S, abs=1)
    wire._head_timer._run()
    assert wire.transport.is_aborted
    wire.data_received(REQUEST[10:])
    assert wire._head_timer is None
    assert not wire.is_idle


async def test_the_next_head_on_a_kept_connection_is_limited_too(rig: Rig) -> None:
    wire = rig.open()
    wire.data_received(REQUEST)
    rig.release.set()
    while not wire.is_idle:
        await asyncio.sleep(0)
    assert wire._head_timer is None
    assert not wire.transport.is_closed, wire.transport.written
    wire.data_received(b"GET /slow")
    assert due_in_s(wire._head_timer) == pytest.approx(HEAD_S, abs=1)


async def test_who_takes_nothing_for_ten_seconds_loses_the_connection(rig: Rig) -> None:
    wire = rig.open()
    wire.pause_writing()
    stalled = wire._stall_timer
    assert due_in_s(stalled) == pytest.approx(STALL_S, abs=1)
    stalled._run()
    assert wire.transport.is_aborted


async def test_who_takes_it_in_time_keeps_it(rig: Rig) -> None:
    wire = rig.open()
    wire.pause_writing()
    stalled = wire._stall_timer
    wire.resume_writing()
    wire.resume_writing()
    assert stalled.cancelled()
    wire.pause_writing()
    left = wire._stall_timer
    wire.connection_lost(None)
    assert left.cancelled()


async def test_the_oldest_idle_connection_makes_room(rig: Rig) -> None:
    wires_open = [rig.open() for _ in range(MAX_IDLE)]
    assert not any(wire.transport.is_aborted for wire in wires_open)
    rig.open()
    assert [wire.transport.is_aborted for wire in wires_open[:2]] == [True, False]


async def test_who_was_served_before_outlasts_who_never_asked(rig: Rig) -> None:
    served = rig.open()
    served.data_received(REQUEST)
    rig.release.set()
    while not served.is_idle:
        await asyncio.sleep(0)
    others = [rig.open() for _ in range(MAX_IDLE)]
    assert not served.transport.is_aborted
    assert others[0].transport.is_aborted


async def test_a_stream_has_small_buffers_and_is_reset_in_the_end(rig: Rig) -> None:
    raw = Raw()
    wire = rig.open(StreamWire, raw)
    assert raw.options[socket.SO_SNDBUF] == wires.STREAM_BUFFER_BYTES
    wires._cut(wire.transport)
    assert wire.transport.is_aborted
    assert socket.SO_LINGER in raw.options


async def test_a_socket_that_is_gone_already_is_no_error(rig: Rig) -> None:
    uvloop_says = ValueError("negative file descriptor")
    for raw in (None, Raw(is_gone=True), Raw(gone=uvloop_says)):
        transport = Transport(raw)
        wires._cut(transport)  # type: ignore[arg-type]  # a fake
        assert transport.is_aborted


async def test_an_answer_on_a_closing_connection_is_not_waited_for(rig: Rig) -> None:
    wire = rig.open()
    wire.data_received(REQUEST)
    wire.transport.close()
    wire.on_response_complete()
    assert wire.transport.is_closed
