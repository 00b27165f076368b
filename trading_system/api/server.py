"""Runs the control API inside the trading process's loop and tells clients where it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import uvicorn
from typing_extensions import override

from trading_system.api.address import ApiAddress, remove_address, write_address
from trading_system.api.app import ControlApi, create_app
from trading_system.api.tokens import Tokens
from trading_system.api.wires import RequestWire, StreamWire
from trading_system.domain.errors import ConfigurationError
from trading_system.domain.ports import Clock, Control, Inspection, StatusSource

_START_S: Final = 5.0
_POLL_S: Final = 0.01
_GRACE_S: Final = 1
_MAX_HEAD_BYTES: Final = 16 * 1024
_MAX_MESSAGE_BYTES: Final = 4 * 1024
_PING_S: Final = 20.0


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling: the command line owns the signals."""

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def control_api(
    source: StatusSource,
    control: Control,
    inspection: Inspection,
    *,
    host: str,
    port: int,
    data_dir: Path,
    clock: Clock | None = None,
) -> AsyncIterator[str]:
    """Serve the control API for the length of the context and yield its address.

    While it runs, ``api.json`` in ``data_dir`` (mode 0600) holds url, both tokens and pid, and
    ``read.token`` the read token alone. It ends within 2 s, whatever its clients do. ``clock``
    measures the budgets of its clients; the system's clock by default.

    Raises
    ------
    ConfigurationError
        If the address cannot be listened on; port 0 takes a free one.
    """
    tokens = Tokens.fresh()
    app = create_app(source, control, inspection, tokens=tokens, clock=clock)
    server = _Server(_configured(app, host, port))
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(_serve(server), name="control-api")
        streaming = group.create_task(app.stream.run(), name="control-api-stream")
        try:
            async with asyncio.timeout(_START_S):
                # uvicorn sets a flag and no event when it listens.
                while not server.started and not serving.done():  # noqa: ASYNC110 - see above
                    await asyncio.sleep(_POLL_S)
            if not server.started:
                failure = _cannot_listen(host, port)
            else:
                url = _url(host, server)
                write_address(data_dir, ApiAddress(url, tokens.control, tokens.read))
                yield url
        except Exception as e:  # carried out of the group, which would wrap it
            failure = e
        finally:
            if server.started:
                remove_address(data_dir)
            server.should_exit = True
            streaming.cancel()
    if failure is not None:
        raise failure


def _configured(app: ControlApi, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=RequestWire,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        ws=StreamWire,
        ws_max_size=_MAX_MESSAGE_BYTES,
        ws_ping_interval=_PING_S,
        ws_ping_timeout=_PING_S,
        ws_per_message_deflate=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="critical",
        timeout_graceful_shutdown=_GRACE_S,
    )


def _cannot_listen(host: str, port: int) -> ConfigurationError:
    return ConfigurationError(
        f"control API cannot listen on {host}:{port}; "
        "set TRADING_API__PORT to a free port, or to 0 for any"
    )


def _url(host: str, server: uvicorn.Server) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{server.servers[0].sockets[0].getsockname()[1]}"


async def _serve(server: _Server) -> None:
    try:
        with contextlib.suppress(SystemExit):  # uvicorn's way to say that it cannot listen
            await server.serve()
    finally:
        # Those who never read what they were sent: their buffers would hold the sockets open.
        for wire in list(server.server_state.connections):
            wire.transport.abort()
