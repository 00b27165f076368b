"""Ends TLS in front of a plain server on loopback, and can change what passes towards the client."""

import asyncio
from contextlib import asynccontextmanager, suppress

_CHUNK = 1 << 20


class TlsRelay:
    """Relays connections to ``port``; ``swaps`` replaces bytes by as many others in answers."""

    def __init__(self, port, *, swaps=None):
        self._target = port
        self._swaps = swaps or {}
        assert all(len(old) == len(new) for old, new in self._swaps.items())
        self.port = 0
        self.writers = set()
        self.asked_bytes = 0

    async def relay(self, reader, writer):
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pair = {writer, back_writer}
        self.writers |= pair
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(reader, back_writer))
                group.create_task(self._answer(back_reader, writer))
        finally:
            self.writers -= pair
            for each in pair:
                each.close()

    async def _ask(self, reader, writer):
        async for content in _chunks(reader, writer):
            self.asked_bytes += len(content)
            writer.write(content)

    async def _answer(self, reader, writer):
        async for content in _chunks(reader, writer):
            for old, new in self._swaps.items():
                content = content.replace(old, new)
            writer.write(content)


# Ends when either side has gone; the other one is closed then.
async def _chunks(reader, writer):
    with suppress(OSError):
        while content := await reader.read(_CHUNK):
            yield content
            await writer.drain()
    writer.close()


@asynccontextmanager
async def tls_in_front_of(port, context, **how):
    """Yield a relay that listens with ``context`` and speaks plainly to ``port``."""
    relay = TlsRelay(port, **how)
    server = await asyncio.start_server(relay.relay, "127.0.0.1", 0, ssl=context)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for each in list(relay.writers):
            each.close()
        await server.wait_closed()
