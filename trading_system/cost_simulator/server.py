"""Serves one simulator on loopback for the length of a context."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from trading_system.cost_simulator.routes import PACE, Pace, create_app
from trading_system.cost_simulator.simulator import CostSimulator
from trading_system.domain.errors import ConfigurationError

_SHUTDOWN_S = 2.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def listening(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Return a socket that listens on ``host``; port 0 takes a free one.

    Raises
    ------
    ConfigurationError
        If ``host`` is not loopback, or the address cannot be listened on.
    """
    if host not in _LOOPBACK:
        raise ConfigurationError(f"cost serve listens on loopback only, was {host}; unset it")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address, family=family)
    except OSError as e:
        raise ConfigurationError(
            f"cost serve cannot listen on {host}:{port}; set TRADING_COST__PORT to a free "
            "port, or to 0 for any"
        ) from e


@contextlib.asynccontextmanager
async def cost_server(
    simulator: CostSimulator,
    *,
    listener: socket.socket | None = None,
    pace: Pace = PACE,
) -> AsyncIterator[str]:
    """Serve ``simulator`` and yield the base address.

    A watcher that does not take an update in time is cut off, see :class:`Pace`.

    Parameters
    ----------
    listener : socket or None
        One of :func:`listening`, closed at the end; None takes a free port of 127.0.0.1.
    """
    own = listening() if listener is None else listener
    host, port = own.getsockname()[:2]
    runner = web.AppRunner(
        create_app(simulator, pace=pace),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_S,
    )
    try:
        await runner.setup()
        await web.SockSite(runner, own).start()
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()
        own.close()
