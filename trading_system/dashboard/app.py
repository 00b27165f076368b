"""The dashboard's web application and the server it runs on."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI, Response
from nicegui import app as nicegui_app
from nicegui import ui
from typing_extensions import override

from trading_system.config.operations import DashboardSettings
from trading_system.dashboard.address import announced
from trading_system.dashboard.context import PageContext
from trading_system.dashboard.door import SESSION, Door
from trading_system.dashboard.fence import fence_sockets
from trading_system.dashboard.guard import Guard
from trading_system.dashboard.layout import frame
from trading_system.dashboard.link import ApiLink
from trading_system.dashboard.routes import Page
from trading_system.dashboard.sessions import Sessions
from trading_system.dashboard.theme import style_sheet
from trading_system.domain.errors import ConfigurationError
from trading_system.domain.ports import Clock

_START_S: Final = 10.0
_POLL_S: Final = 0.01
_RECONNECT_S: Final = 5.0
_HISTORY: Final = 50
_MAX_MESSAGE_BYTES: Final = 256 * 1024
_STYLE_PATH: Final = "/dashboard.css"
_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<path d="M2 12l4-5 3 3 5-7" fill="none" stroke="#3b8fe6" stroke-width="2"/></svg>'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A dashboard that listens.

    Parameters
    ----------
    url : str
        Its address.
    login : str
        A one-time login address, valid for ten minutes.
    """

    url: str
    login: str


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling: the process's main module owns the signals."""

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


def create_app(
    link: ApiLink,
    *,
    sessions: Sessions,
    pages: Sequence[Page],
    settings: DashboardSettings,
    clock: Clock,
) -> FastAPI:
    """Return the web application, still without guard and door."""
    style = style_sheet().encode()
    version = hashlib.sha256(style).hexdigest()[:12]

    @nicegui_app.get(_STYLE_PATH)
    def style_file() -> Response:
        return Response(style, media_type="text/css")

    ui.add_head_html(
        f'<link rel="stylesheet" href="{_STYLE_PATH}?{version}">'
        '<meta name="theme-color" content="#0d1015">',
        shared=True,
    )

    def opened(page: Page) -> Callable[[], None]:
        def build() -> None:
            client = ui.context.client
            assert client.request is not None
            context = PageContext(
                link,
                sessions=sessions,
                session=client.request.scope[SESSION],
                client=client,
                updates_per_second=settings.updates_per_second,
            )
            with frame(context, pages=pages, current=page, clock=clock):
                page.build(context)

        return build

    for page in pages:
        ui.page(page.path, title=f"{page.title} · trading system")(opened(page))
    fence_sockets()
    nicegui_app.config.socket_io_js_transports = ["websocket"]
    whole = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        whole,
        title="trading system",
        favicon=_ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=_RECONNECT_S,
        message_history_length=_HISTORY,
        show_welcome_message=False,
    )
    return whole


@contextlib.asynccontextmanager
async def dashboard(
    settings: DashboardSettings,
    *,
    data_dir: Path,
    link: ApiLink,
    pages: Sequence[Page],
    clock: Clock,
) -> AsyncIterator[Serving]:
    """Serve the dashboard for the length of the context.

    While it runs, ``dashboard.json`` in ``data_dir`` (mode 0600) holds url, link_token and pid:
    ``POST /login-links`` with that token as bearer answers a fresh one-time login address.

    Raises
    ------
    ConfigurationError
        If the address cannot be listened on.
    """
    listener = _listening(settings.host, settings.port)
    port = listener.getsockname()[1]
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{shown}:{port}"
    sessions = Sessions(clock=clock, session_s=settings.session_s, control_s=settings.control_s)
    link_token = secrets.token_urlsafe(32)
    whole = create_app(link, sessions=sessions, pages=pages, settings=settings, clock=clock)
    door = Door(whole, sessions=sessions, port=port, link_token=link_token, url=url)
    server = _Server(
        uvicorn.Config(
            Guard(door, port=port, public_host=settings.public_host),
            access_log=False,
            log_level="warning",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            ws="websockets-sansio",
            ws_max_size=_MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
    )
    async with asyncio.TaskGroup() as group:
        following = group.create_task(link.run(), name="api-link")
        serving = group.create_task(server.serve(sockets=[listener]), name="dashboard-server")
        try:
            async with asyncio.timeout(_START_S):
                # uvicorn sets a flag and no event when it listens.
                while not server.started and not serving.done():  # noqa: ASYNC110 - see above
                    await asyncio.sleep(_POLL_S)
            with announced(data_dir, url=url, link_token=link_token):
                yield Serving(url=url, login=door.new_login())
        finally:
            server.should_exit = True
            following.cancel()


def _listening(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        return socket.create_server(address, family=family)
    except OSError as e:
        raise ConfigurationError(
            f"the dashboard cannot listen on {host}:{port}; "
            "set TRADING_DASHBOARD__PORT to a free port, or to 0 for any"
        ) from e
