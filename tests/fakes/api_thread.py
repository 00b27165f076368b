"""The real control API over fakes, in a thread of its own, for tests that speak raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

from trading_system.api.address import read_address
from trading_system.api.server import control_api
from trading_system.runtime.clock import SystemClock


class HoldableClock(SystemClock):
    """The system's clock, which stands still while it is held: no budget flows back then."""

    def __init__(self):
        self._held_ns = None

    def monotonic_ns(self):
        return super().monotonic_ns() if self._held_ns is None else self._held_ns

    @contextlib.contextmanager
    def held(self):
        self._held_ns = super().monotonic_ns()
        try:
            yield
        finally:
            self._held_ns = None


class ApiThread:
    """Serves ``control`` and ``inspection`` from :meth:`start` to :meth:`stop`.

    Attributes
    ----------
    token, read_token, host, port
        How to reach it, known after :meth:`start`; ``host`` has the port.
    clock
        What its clients' budgets are measured by.
    """

    def __init__(self, folder, control, inspection):
        self.control, self.inspection = control, inspection
        self.clock = HoldableClock()
        self._folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))

    async def _serve(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with control_api(
            self.control,
            self.control,
            self.inspection,
            host="127.0.0.1",
            port=0,
            data_dir=self._folder,
            clock=self.clock,
        ):
            address = read_address(self._folder)
            self.token, self.read_token = address.token, address.read_token
            self.host = address.url.removeprefix("http://")
            self.port = int(self.host.rpartition(":")[2])
            self._ready.set()
            await self._end.wait()

    def start(self):
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self):
        """End it; return how long that took, seconds."""
        began = time.monotonic()
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        return time.monotonic() - began
