"""Ends TLS in front of a plain server on loopback, and can change the answers that pass."""

import asyncio
from contextlib import asynccontextmanager, suppress

_CHUNK = 1 << 20


class TlsRelay:
    """Relays connections to ``port``; ``swaps`` replaces bytes in answers by as many others.

    ``on_asked`` calls back, once, when bytes were asked.
    """

    def __init__(self, port, *, swaps=None):
        self._target = port
        self.swaps = swaps or {}
        self.port = 0
        self.writers = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self.asked_bytes = 0
        self.on_asked = {}

    async def relay(self, reader, writer):
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pair = {writer, back_writer}
        self.writers |= pair
        self.idle.clear()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(reader, back_writer))
                group.create_task(self._answer(back_reader, writer))
        finally:
            for each in pair:
                each.close()
            with suppress(OSError):
                await writer.wait_closed()
                await back_writer.wait_closed()
            self.writers -= pair
            if not self.writers:
                self.idle.set()

    async def _ask(self, reader, writer):
        async for content in _chunks(reader, writer):
            self.asked_bytes += len(content)
            for text in [text for text in self.on_asked if text in content]:
                self.on_asked.pop(text)()
            writer.write(content)

    async def _answer(self, reader, writer):
        async for content in _chunks(reader, writer):
            writer.write(self._swapped(content))

    def _swapped(self, content):
        for old, new in self.swaps.items():
            assert len(old) == len(new)
            content = content.replace(old, new)
        return content


# Ends when either side has gone; the other one is closed then.
async def _chunks(reader, writer):
    with suppress(OSError):
        while content := await reader.read(_CHUNK):
            yield content
            await writer.drain()
    writer.close()


@asynccontextmanager
async def tls_in_front_of(port, context, *, address="127.0.0.1", **how):
    """Yield a relay that listens with ``context`` and speaks plainly to ``port``."""
    relay = TlsRelay(port, **how)
    server = await asyncio.start_server(relay.relay, address, 0, ssl=context)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for each in list(relay.writers):
            each.close()
        await server.wait_closed()
        await relay.idle.wait()
