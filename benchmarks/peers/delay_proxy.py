"""Passes TCP connections on to a venue, half of a fixed delay late in each direction."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import cast

import engine_kit
import protocol


class Pipe(asyncio.Protocol):
    """One end of a connection: what comes in goes out at the other end, late, in order."""

    def __init__(self, late_s: float) -> None:
        self._late_s = late_s
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[bytes | None] = deque()
        self._held: list[bytes] = []
        self._transport: asyncio.WriteTransport | None = None
        self.other: Pipe | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        for data in self._held:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._later(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._later(None)

    def write(self, data: bytes | None) -> None:
        if self._transport is None:
            self._held += [data] if data else []
        elif data is None:
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write(data)

    def _later(self, data: bytes | None) -> None:
        self._waiting.append(data)
        self._loop.call_later(self._late_s, self._pass_on)

    def _pass_on(self) -> None:
        data = self._waiting.popleft()
        if self.other is not None:
            self.other.write(data)


class Entry(Pipe):
    """The client's end, which opens the venue's."""

    def __init__(self, late_s: float, host: str, port: int) -> None:
        super().__init__(late_s)
        self._opening = self._loop.create_task(self._open(late_s, host, port))

    async def _open(self, late_s: float, host: str, port: int) -> None:
        end = Pipe(late_s)
        end.other, self.other = self, end
        await self._loop.create_connection(lambda: end, host, port)


async def main(delay_ms: float, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    late_s = delay_ms / 2_000
    server = await loop.create_server(lambda: Entry(late_s, host, port), "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    protocol.say({"ready": True, "version": "", "host": f"127.0.0.1:{own}"})
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=engine_kit.loop_factory()) as runner:
        runner.run(main(float(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
