"""Serves one simulator on loopback for the length of a context."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from trading_system.cost_simulator.routes import PACE, Pace, create_app
from trading_system.cost_simulator.simulator import CostSimulator
from trading_system.domain.errors import ConfigurationError

_SHUTDOWN_S = 2.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@contextlib.asynccontextmanager
async def cost_server(
    simulator: CostSimulator,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    pace: Pace = PACE,
) -> AsyncIterator[str]:
    """Serve ``simulator`` and yield the base address; port 0 takes a free one.

    A watcher that does not take an update in time is cut off, see :class:`Pace`.

    Raises
    ------
    ConfigurationError
        If ``host`` is not loopback, or the address cannot be listened on.
    """
    if host not in _LOOPBACK:
        raise ConfigurationError(f"cost serve listens on loopback only, was {host}; unset it")
    runner = web.AppRunner(
        create_app(simulator, pace=pace),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_S,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as e:
            raise ConfigurationError(
                f"cost serve cannot listen on {host}:{port}; set TRADING_COST__PORT to a free "
                "port, or to 0 for any"
            ) from e
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
