"""One WebSocket client: bounded outbox, delayed answers, a simulated way there and back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aiohttp import WSMsgType, web

from trading_system.simulation.bybit_server.delay_line import DelayLine
from trading_system.simulation.bybit_server.line import Line
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.stream_faults import StreamFaults
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.latency import Latency

_MAX_DELAYED = 10_000
_JITTER_S = 0.25


class Session:
    """What the streams know of a connected client.

    Everything that leaves goes through an outbox; a client that lets it grow beyond
    ``options.max_outbox_bytes`` is disconnected. Delayed work keeps its order, and so do frames
    on their simulated way.

    Parameters
    ----------
    connection_id : str
        Shown to the client as ``conn_id``.
    line : Line
        The connection below.
    path : str
        What the client asked for, without its query.
    address : str
        The client's address.
    faults : FaultEngine
        Decides what happens to pushes.
    latency : Latency or None
        How long frames travel, either way half a round trip.
    """

    def __init__(
        self,
        connection_id: str,
        *,
        options: ServerOptions,
        line: Line,
        path: str,
        address: str,
        faults: FaultEngine,
        latency: Latency | None = None,
    ) -> None:
        self.connection_id = connection_id
        self.address = address
        self.is_closed = False
        self._options = options
        self._line = line
        self._faults = StreamFaults(
            faults, path=path, send=self._pass, tear=self._tear, freeze=self._freeze, cut=self.cut
        )
        # A frame without a type is sent by half, as the connection's last.
        self._outbox: deque[tuple[WSMsgType | None, bytes]] = deque()
        self._outbox_bytes = 0
        self._wakeup = asyncio.Event()
        self._delayed = DelayLine()
        self._inbound = DelayLine()
        self._outbound = DelayLine()
        self._latency = None if latency is None or latency.is_none else latency
        self._travel_s = 0.0
        self._travel_until_s = 0.0
        self._is_finishing = False
        self._is_frozen = False

    def arrive(self, action: Callable[[], None]) -> None:
        """Run ``action`` when a frame just received has travelled here, in order.

        What is sent in the next moments travels back as long, so that a request's round trip is
        one draw.
        """
        if self._is_frozen:
            return
        if self._latency is None:
            action()
        elif len(self._inbound) >= _MAX_DELAYED:
            self.cut()
        else:
            way_s = self._latency.one_way_s()
            self._inbound.put(lambda: self._arrived(action, way_s), delay_s=way_s)

    def arrive_all(self) -> None:
        """Let everything that is on its way here arrive now: its sender has gone."""
        self._inbound.run_all()

    def push(self, payload: bytes, *, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Queue one frame, unless a fault strikes it."""
        if self.is_closed or self._is_finishing:
            return
        if kind is WSMsgType.TEXT:
            self._faults.pass_on(payload)
        else:
            self._queue(payload, kind)

    def strike(self) -> None:
        """Let a fault of connections strike this one, if one is due."""
        if not (self.is_closed or self._is_finishing or self._is_frozen):
            self._faults.strike_connection()

    def later(self, action: Callable[[], None]) -> None:
        """Run ``action`` after the acknowledgement delay, behind everything delayed before."""
        if self.is_closed:
            return
        if len(self._delayed) >= _MAX_DELAYED:
            self.cut()
            return
        self._delayed.put(action, delay_s=self._options.ack_delay_ms / 1000)

    def later_push(self, payload: bytes) -> None:
        """Queue one frame after the acknowledgement delay."""
        self.later(lambda: self.push(payload))

    def finish(self) -> None:
        """Close the connection once everything queued so far is sent."""
        if self._is_frozen:
            self.cut()
            return
        self._is_finishing = True
        if len(self._outbound):
            self._outbound.put(self._wakeup.set, delay_s=0.0)
        else:
            self._wakeup.set()

    def cut(self) -> None:
        """Drop the connection and everything queued, now."""
        if self.is_closed:
            return
        self.is_closed = True
        self._outbox.clear()
        self._delayed.clear()
        self._inbound.clear()
        self._outbound.clear()
        self._faults.close()
        self._outbox_bytes = 0
        self._wakeup.set()
        self._line.abort()

    async def write(self, socket: web.WebSocketResponse) -> None:
        """Send the outbox until the session ends."""
        while not self.is_closed:
            await self._wakeup.wait()
            self._wakeup.clear()
            while self._outbox:
                kind, payload = self._outbox.popleft()
                if kind is None:
                    self._line.tear(payload)
                    self.cut()
                    return
                try:
                    await socket.send_frame(payload, kind)
                except ConnectionError:
                    self.cut()
                    return
                self._outbox_bytes -= len(payload)
            if self._is_finishing and not (self.is_closed or len(self._outbound)):
                await socket.close()
                self.cut()

    def _pass(self, payload: bytes) -> None:
        if not (self.is_closed or self._is_finishing):
            self._queue(payload, WSMsgType.TEXT)

    def _tear(self, payload: bytes) -> None:
        self._queue(payload, None)
        self._is_finishing = True

    def _freeze(self) -> None:
        self._is_frozen = True
        self._outbox.clear()
        self._outbox_bytes = 0
        self._line.freeze()

    def _queue(self, payload: bytes, kind: WSMsgType | None) -> None:
        if self._is_frozen:
            return
        self._outbox_bytes += len(payload)
        if self._outbox_bytes > self._options.max_outbox_bytes:
            self.cut()
        elif self._latency is None:
            self._send((kind, payload))
        else:
            self._outbound.put(lambda: self._send((kind, payload)), delay_s=self._travel())

    def _send(self, frame: tuple[WSMsgType | None, bytes]) -> None:
        if not self._is_frozen:
            self._outbox.append(frame)
            self._wakeup.set()

    def _arrived(self, action: Callable[[], None], way_s: float) -> None:
        self._travels(way_s)
        action()

    def _travels(self, way_s: float) -> None:
        self._travel_s = way_s
        self._travel_until_s = asyncio.get_running_loop().time() + _JITTER_S

    # Frames close to each other travel alike: with a fresh draw for each, order would make every
    # one of many as slow as the slowest.
    def _travel(self) -> float:
        assert self._latency is not None
        if asyncio.get_running_loop().time() >= self._travel_until_s:
            self._travels(self._latency.one_way_s())
        return self._travel_s
