"""One WebSocket client: bounded outbox, delayed answers, one reader and one writer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aiohttp import WSMsgType, web

from trading_system.simulation.bybit_server.options import ServerOptions

_MAX_DELAYED = 10_000


class Session:
    """What the streams know of a connected client.

    Everything that leaves goes through an outbox; a client that lets it grow beyond
    ``options.max_outbox_bytes`` is disconnected. Delayed work keeps its order.

    Parameters
    ----------
    connection_id : str
        Shown to the client as ``conn_id``.
    abort : callable
        Cuts the connection at once.
    """

    def __init__(
        self, connection_id: str, *, options: ServerOptions, abort: Callable[[], None]
    ) -> None:
        self.connection_id = connection_id
        self.is_closed = False
        self._options = options
        self._abort = abort
        self._outbox: deque[tuple[WSMsgType, bytes]] = deque()
        self._outbox_bytes = 0
        self._wakeup = asyncio.Event()
        self._delayed: deque[tuple[float, Callable[[], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_finishing = False

    def push(self, payload: bytes, *, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Queue one frame."""
        if self.is_closed or self._is_finishing:
            return
        self._outbox.append((kind, payload))
        self._outbox_bytes += len(payload)
        if self._outbox_bytes > self._options.max_outbox_bytes:
            self.cut()
            return
        self._wakeup.set()

    def later(self, action: Callable[[], None]) -> None:
        """Run ``action`` after the acknowledgement delay, behind everything delayed before."""
        if self.is_closed:
            return
        if len(self._delayed) >= _MAX_DELAYED:
            self.cut()
            return
        loop = asyncio.get_running_loop()
        self._delayed.append((loop.time() + self._options.ack_delay_ms / 1000, action))
        if self._timer is None:
            self._arm()

    def later_push(self, payload: bytes) -> None:
        """Queue one frame after the acknowledgement delay."""
        self.later(lambda: self.push(payload))

    def finish(self) -> None:
        """Close the connection once everything queued so far is sent."""
        self._is_finishing = True
        self._wakeup.set()

    def cut(self) -> None:
        """Drop the connection and everything queued, now."""
        if self.is_closed:
            return
        self.is_closed = True
        self._outbox.clear()
        self._delayed.clear()
        self._outbox_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
        self._wakeup.set()
        self._abort()

    async def write(self, socket: web.WebSocketResponse) -> None:
        """Send the outbox until the session ends."""
        while not self.is_closed:
            await self._wakeup.wait()
            self._wakeup.clear()
            while self._outbox:
                kind, payload = self._outbox.popleft()
                try:
                    await socket.send_frame(payload, kind)
                except ConnectionError:
                    self.cut()
                    return
                self._outbox_bytes -= len(payload)
            if self._is_finishing and not self.is_closed:
                await socket.close()
                self.cut()

    def _arm(self) -> None:
        due, _ = self._delayed[0]
        self._timer = asyncio.get_running_loop().call_at(due, self._run_due)

    def _run_due(self) -> None:
        now = asyncio.get_running_loop().time()
        # The loop may fire a timer one clock tick early: the head is due whatever it reads.
        is_head = True
        while self._delayed and (is_head or self._delayed[0][0] <= now):
            is_head = False
            _, action = self._delayed.popleft()
            action()
        # Only now: work delayed by an action must not start a second timer.
        self._timer = None
        if self._delayed:
            self._arm()
