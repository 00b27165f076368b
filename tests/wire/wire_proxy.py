"""A TCP proxy on loopback that does to a connection what networks do.

Its lasting conditions, and the two things that happen once, have the names of
:class:`~trading_system.simulation.faults.names.Fault`. Bytes taken by a black hole are lost, as in
a network: the connections that lost some are reset when the condition ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from dataclasses import dataclass, field
from enum import Enum

from trading_system.simulation.faults.names import Fault

_CHUNK = 64 * 1024
_QUEUED = 256
_TICK_S = 0.02
_SPACE_S = 0.0002
_HALF_S = 0.02


class Way(Enum):
    """Direction of bytes."""

    UP = "to the venue"
    DOWN = "to the client"


BOTH = frozenset(Way)
LASTING = frozenset(
    {
        Fault.LATENCY,
        Fault.BLACKHOLE,
        Fault.SLICE,
        Fault.CORRUPT,
        Fault.REFUSE,
        Fault.THROTTLE,
    }
)
"""Conditions that hold until :meth:`WireProxy.heal`; the others happen once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """A lasting condition.

    Parameters
    ----------
    ways : frozenset of Way
        Directions that it touches.
    delay_s : float
        Of ``latency``: added to every chunk, seconds; order is kept.
    piece_bytes : int
        Of ``slice``: largest part that is sent at once.
    bytes_per_s : float
        Of ``throttle``: pace of each connection.
    chunks : int
        Of ``corrupt``: how many chunks are spoiled.
    spares_new : bool
        Whether connections opened later are whole, as when a router forgot only the old ones.
    """

    fault: Fault
    ways: frozenset[Way] = BOTH
    delay_s: float = 0.1
    piece_bytes: int = 7
    bytes_per_s: float = 2_000.0
    chunks: int = 1
    spares_new: bool = False


@dataclass(slots=True, eq=False)
class _Pair:
    client: asyncio.StreamWriter
    venue: asyncio.StreamWriter
    is_spared: bool = False
    has_lost: bool = False
    cut_after: int | None = None
    queues: dict[Way, asyncio.Queue[tuple[float, bytes]]] = field(
        default_factory=lambda: {way: asyncio.Queue(_QUEUED) for way in Way}
    )


class WireProxy:
    """Forwards every connection to one address.

    Parameters
    ----------
    host, port : str, int
        Where to.

    Attributes
    ----------
    attempts_ns : list of int
        Monotonic time of each connection that a client opened, nanoseconds.
    resets : int
        Connections that the proxy has reset.
    passed : dict of Way to int
        Bytes handed on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._pairs: set[_Pair] = set()
        self._server: asyncio.Server | None = None
        self._weather: Weather | None = None
        self._healed = asyncio.Event()
        self._spoiled = 0
        self.attempts_ns: list[int] = []
        self.resets = 0
        self.passed = dict.fromkeys(Way, 0)

    @property
    def port(self) -> int:
        """The proxy's own port."""
        assert self._server is not None, "inside async with"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def open_connections(self) -> int:
        """Connections that stand now."""
        return len(self._pairs)

    async def __aenter__(self) -> WireProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        self.heal()
        self.reset()
        while self._pairs:
            await asyncio.sleep(_TICK_S)

    def begin(self, weather: Weather) -> None:
        """Put a lasting condition into force, instead of the one before."""
        if weather.fault not in LASTING:
            raise ValueError(f"{weather.fault} does not last: call reset() or cut()")
        self.heal()
        self._weather, self._spoiled = weather, 0
        self._healed = asyncio.Event()

    def heal(self) -> None:
        """End the condition; connections that lost bytes are reset."""
        self._weather = None
        self._healed.set()
        for pair in list(self._pairs):
            if pair.has_lost:
                self._reset(pair)

    def reset(self) -> int:
        """Reset every connection on both sides at once; return how many there were."""
        pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)
        return len(pairs)

    def cut(self, *, after_bytes: int = 0) -> int:
        """Reset every connection inside its next frame to the client.

        Parameters
        ----------
        after_bytes : int
            Bytes that pass before, at least; the chunk in which they end is halved.
        """
        for pair in self._pairs:
            pair.cut_after = after_bytes
        return len(self._pairs)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts_ns.append(time.monotonic_ns())
        if self._is_on(Fault.REFUSE):
            _reset(writer)
            return
        try:
            venue_reader, venue = await asyncio.open_connection(self._host, self._port)
        except OSError:
            _reset(writer)
            return
        weather = self._weather
        pair = _Pair(writer, venue, is_spared=weather is not None and weather.spares_new)
        self._pairs.add(pair)
        try:
            with contextlib.suppress(OSError, ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    for way, source, sink in (
                        (Way.UP, reader, venue),
                        (Way.DOWN, venue_reader, writer),
                    ):
                        group.create_task(self._read(pair, way, source))
                        group.create_task(self._write(pair, way, sink))
        finally:
            self._pairs.discard(pair)
            for each in (writer, venue):
                each.close()

    async def _read(self, pair: _Pair, way: Way, source: asyncio.StreamReader) -> None:
        while chunk := await source.read(_CHUNK):
            if self._is_on(Fault.BLACKHOLE, way) and not pair.is_spared:
                pair.has_lost = True
                continue
            weather = self._weather
            is_late = self._is_on(Fault.LATENCY, way)
            delay_s = weather.delay_s if weather is not None and is_late else 0.0
            await pair.queues[way].put((asyncio.get_running_loop().time() + delay_s, chunk))
        if (
            self._is_on(Fault.BLACKHOLE, way) and not pair.is_spared
        ):  # the end of a connection is lost as well
            await self._healed.wait()
        await pair.queues[way].put((0.0, b""))

    async def _write(self, pair: _Pair, way: Way, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, chunk = await pair.queues[way].get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not chunk:
                raise ConnectionError("the other side has closed")
            if way is Way.DOWN and pair.cut_after is not None:
                await self._tear(pair, sink, chunk)
            parts = [(chunk, 0.0)] if pair.is_spared else self._parts(chunk, way)
            for part, pause_s in parts:
                sink.write(part)
                await sink.drain()
                self.passed[way] += len(part)
                if pause_s:
                    await asyncio.sleep(pause_s)

    def _parts(self, chunk: bytes, way: Way) -> list[tuple[bytes, float]]:
        weather = self._weather
        if weather is None or way not in weather.ways:
            return [(chunk, 0.0)]
        if weather.fault is Fault.CORRUPT and self._spoiled < weather.chunks:
            self._spoiled += 1
            half = len(chunk) // 2  # what follows the first half is no UTF-8 any more
            return [(chunk[:half] + b"\xff" * (len(chunk) - half), 0.0)]
        if weather.fault is Fault.SLICE:
            return _pieces(chunk, weather.piece_bytes, _SPACE_S)
        if weather.fault is Fault.THROTTLE:
            return _pieces(chunk, max(1, round(weather.bytes_per_s * _TICK_S)), _TICK_S)
        return [(chunk, 0.0)]

    async def _tear(self, pair: _Pair, sink: asyncio.StreamWriter, chunk: bytes) -> None:
        assert pair.cut_after is not None
        pair.cut_after -= len(chunk)
        if pair.cut_after > 0:
            return
        sink.write(chunk[: max(1, len(chunk) // 2)])
        await sink.drain()
        await asyncio.sleep(_HALF_S)  # a reset would take unread bytes with it
        self._reset(pair)
        raise ConnectionError("cut")

    def _reset(self, pair: _Pair) -> None:
        self.resets += 1
        for writer in (pair.client, pair.venue):
            _reset(writer)

    def _is_on(self, fault: Fault, way: Way | None = None) -> bool:
        weather = self._weather
        return (
            weather is not None and weather.fault is fault and (way is None or way in weather.ways)
        )


def _pieces(chunk: bytes, size: int, pause_s: float) -> list[tuple[bytes, float]]:
    return [(chunk[at : at + size], pause_s) for at in range(0, len(chunk), size)]


def _reset(writer: asyncio.StreamWriter) -> None:
    own = writer.get_extra_info("socket")
    if own is not None and own.fileno() >= 0:  # a lingering of no time makes the close a reset
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
