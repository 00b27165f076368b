"""The embedded venue behind TLS in a thread of its own, for commands that take the main thread."""

import asyncio
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

from loopback_tls import server_context
from tls_relay import tls_in_front_of

from trading_system.cli.live_check.run import embedded_reference
from trading_system.runtime.clock import SystemClock

_PATIENCE_S = 20


@contextmanager
def live_host(folder):
    """Yield the relay in front of a synthetic BTCUSDT market."""
    ready, found = threading.Event(), {}

    async def serve():
        found["loop"], found["stop"] = asyncio.get_running_loop(), asyncio.Event()
        async with embedded_reference("BTCUSDT", SystemClock()) as (endpoints, _):
            port = urlsplit(endpoints.rest).port
            async with tls_in_front_of(port, server_context(folder)) as relay:
                found["relay"] = relay
                ready.set()
                await found["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(_PATIENCE_S)
    try:
        yield found["relay"]
    finally:
        found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join(_PATIENCE_S)
