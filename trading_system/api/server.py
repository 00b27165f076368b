"""Runs the control API inside the trading process's loop and tells clients where it is."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from typing_extensions import override

from trading_system.api.address import API_FILE, ApiAddress, write_address
from trading_system.api.app import create_app
from trading_system.domain.errors import ConfigurationError
from trading_system.domain.ports import Control, StatusSource

_START_S = 5.0
_POLL_S = 0.01


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling: the command line owns the signals."""

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def control_api(
    source: StatusSource, control: Control, *, host: str, port: int, data_dir: Path
) -> AsyncIterator[str]:
    """Serve the control API for the length of the context and yield its address.

    While it runs, ``api.json`` in ``data_dir`` (mode 0600) holds url, token and pid.

    Raises
    ------
    ConfigurationError
        If the address cannot be listened on; port 0 takes a free one.
    """
    token = secrets.token_urlsafe(32)
    server = _Server(
        uvicorn.Config(
            create_app(source, control, token=token),
            host=host,
            port=port,
            lifespan="off",
            access_log=False,
            log_level="critical",
            timeout_graceful_shutdown=2,
        )
    )
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(_serve(server), name="control-api")
        async with asyncio.timeout(_START_S):
            # uvicorn sets a flag and no event when it listens.
            while not server.started and not serving.done():  # noqa: ASYNC110 - see above
                await asyncio.sleep(_POLL_S)
        if server.started:
            shown = f"[{host}]" if ":" in host else host
            url = f"http://{shown}:{server.servers[0].sockets[0].getsockname()[1]}"
            try:
                write_address(data_dir, ApiAddress(url, token))
                yield url
            except Exception as e:  # carried out of the group, which would wrap it
                failure = e
            finally:
                (data_dir / API_FILE).unlink(missing_ok=True)
                server.should_exit = True
        else:
            failure = ConfigurationError(
                f"control API cannot listen on {host}:{port}; "
                "set TRADING_API__PORT to a free port, or to 0 for any"
            )
    if failure is not None:
        raise failure


async def _serve(server: _Server) -> None:
    with contextlib.suppress(SystemExit):  # uvicorn's way to say that it cannot listen
        await server.serve()
