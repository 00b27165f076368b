"""Connections of the control API: uvicorn's, with an end to those that only hold a place.

Uvicorn waits without limit for the head of a request and for a slow reader's buffer to drain. Here
a head must be complete within 10 s, a peer that takes nothing for 10 s loses its connection, and of
more than 128 connections without a running request the oldest is closed: idle
ones can neither use up the process's files nor keep the operator out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from asyncio.transports import BaseTransport, Transport
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HEAD_S: Final = 10.0
STALL_S: Final = 10.0
LINGER_S: Final = 2.0
MAX_IDLE: Final = 128
STREAM_BUFFER_BYTES: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)


class RequestWire(H11Protocol):
    """A connection that serves requests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request runs on it."""
        return self.cycle is None or self.cycle.response_complete

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._await_head()
        self._make_room()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(STALL_S, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    @override
    def data_received(self, data: bytes) -> None:
        if self.is_idle and self._head_timer is None:
            self._await_head()
        super().data_received(data)
        if not self.is_idle:
            self._stop_waiting()

    @override
    def handle_websocket_upgrade(self, event: Any) -> None:
        self._stop_waiting()
        super().handle_websocket_upgrade(event)

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            _abort_later(self.loop, self.transport)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _make_room(self) -> None:
        idle = [wire for wire in self.connections if isinstance(wire, RequestWire) and wire.is_idle]
        if len(idle) > MAX_IDLE:
            min(idle, key=RequestWire._worth).transport.abort()

    def _worth(self) -> tuple[bool, float]:
        # Worth least is who never sent a request, and of these whose time is over first.
        if self._head_timer is None:
            return True, 0.0
        return False, self._head_timer.when()


class StreamWire(WebSocketsSansIOProtocol):
    """A connection that carries the live stream; its buffers are small, so that lag shows early."""

    @override
    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER_BYTES)

    @override
    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        _abort_later(self.loop, self.transport)


def _abort_later(loop: asyncio.AbstractEventLoop, transport: Transport) -> None:
    # A closing transport waits for its buffer to drain, which a peer that never reads prevents.
    loop.call_later(LINGER_S, _cut, transport)


def _cut(transport: Transport) -> None:
    # With a reset: otherwise the kernel goes on to offer what is unsent to the peer.
    raw = transport.get_extra_info("socket")
    # It may be closed by now, as it should be; uvloop then says so with a ValueError.
    with contextlib.suppress(OSError, ValueError):
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
