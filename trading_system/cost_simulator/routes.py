"""HTTP and WebSocket routes of ``cost serve``, and what they refuse.

Public data for programs of this machine: there is no token and nothing to command, but a foreign
``Host`` and any ``Origin`` (a web page) are refused.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any, Final

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from trading_system.cost_simulator import faults
from trading_system.cost_simulator.exposition import CONTENT_TYPE, exposition
from trading_system.cost_simulator.faults import (
    BookUnavailableError,
    UnknownInstrumentError,
    VolatilityUnknownError,
)
from trading_system.cost_simulator.requests import EstimateRequest
from trading_system.cost_simulator.simulator import CostSimulator
from trading_system.domain.errors import TradingSystemError, ValidationError

_LOG = structlog.get_logger(__name__)
_HOST: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?")
_MAX_BODY_BYTES: Final = 64 * 1024
_MAX_MESSAGE_BYTES: Final = 4 * 1024
_MAX_WATCHERS: Final = 32
_SEND_BUFFER_BYTES: Final = 32 * 1024
_HEARTBEAT_S: Final = 20.0
_TRY_AGAIN: Final = "1"
_NO_REMEDY: Final = "see docs/cost_simulator.md"
_CHARSETS: Final = ("utf-8", "utf8", "us-ascii")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How watchers are served.

    Parameters
    ----------
    update_s : float
        Smallest time between two updates, seconds.
    patience_s : float
        Seconds in which a watcher must take an update; else it is cut off.
    """

    update_s: float = 0.1
    patience_s: float = 2.0


PACE: Final = Pace()
"""At most ten updates a second."""


def create_app(simulator: CostSimulator, *, pace: Pace = PACE) -> web.Application:
    """Return the application over ``simulator``, its watchers served at ``pace``.

    ``GET /health`` 200 or 503, ``GET /status``, ``GET /metrics``, ``GET`` or ``POST /estimate``,
    WebSocket ``/ws``. Errors are ``{"error": code, "message": text, "remedy": text}``.
    """
    app = web.Application(middlewares=[_guard], client_max_size=_MAX_BODY_BYTES)
    routes = _Routes(simulator, pace)
    app.router.add_get("/health", routes.health)
    app.router.add_get("/status", routes.status)
    app.router.add_get("/metrics", routes.metrics)
    app.router.add_get("/estimate", routes.estimate)
    app.router.add_post("/estimate", routes.estimate)
    app.router.add_get("/ws", routes.watch)
    app.on_shutdown.append(routes.close)
    return app


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not _HOST.fullmatch(request.headers.get("Host", "")):
        return _refusal(403, "foreign_host", "unknown Host", "use the address that serve prints")
    if "Origin" in request.headers:
        return _refusal(403, "web_page", "web pages may not call this", "use a program")
    try:
        return await handler(request)
    except TradingSystemError as e:
        return _failed(e)
    except ConnectionError as e:
        _LOG.debug("a client left before its answer", path=request.path, reason=repr(e))
        return _refusal(400, "refused", "the connection is gone", _NO_REMEDY)  # nobody reads it
    except web.HTTPException as e:
        return _refusal(e.status, "refused", e.reason, _NO_REMEDY)
    except Exception as e:  # the boundary of requests: a bug is logged, its text is not shown
        _LOG.exception("a request broke", path=request.path)
        return _refusal(500, "broken", f"an unexpected {type(e).__name__}", "see the log")


class _Client:
    # One watcher. Little is buffered for it, so that what it reads is new; it is cut off when it
    # does not read.

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        patience_s: float,
    ) -> None:
        self.socket = socket
        self._transport = transport
        self._patience_s = patience_s
        if transport is not None:
            transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
            with suppress(OSError):  # the client has gone already
                own = transport.get_extra_info("socket")
                own.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER_BYTES)

    async def send(self, body: Mapping[str, Any]) -> bool:
        try:
            async with asyncio.timeout(self._patience_s):
                await self.socket.send_str(_text(body))
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
            return False
        except ConnectionError:
            return False
        return True


class _Routes:
    # The handlers; they hold the simulator and the open sockets.

    def __init__(self, simulator: CostSimulator, pace: Pace) -> None:
        self._simulator = simulator
        self._pace = pace
        self._sockets: set[web.WebSocketResponse] = set()

    async def health(self, _request: web.Request) -> web.Response:
        is_healthy = self._simulator.is_healthy
        return _json({"is_healthy": is_healthy}, status=200 if is_healthy else 503)

    async def status(self, _request: web.Request) -> web.Response:
        return _json({**self._simulator.status(), "sockets": len(self._sockets)})

    async def metrics(self, _request: web.Request) -> web.Response:
        text = exposition(self._simulator.status())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def estimate(self, request: web.Request) -> web.Response:
        values = await _posted(request) if request.method == "POST" else _queried(request)
        return _json(self._simulator.estimate(self._simulator.request(values)))

    async def watch(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= _MAX_WATCHERS:
            return _refusal(503, "too_many", f"{_MAX_WATCHERS} clients watch", "close one")
        asked = self._simulator.request(_queried(request)) if request.query else None
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=_MAX_MESSAGE_BYTES)
        self._sockets.add(socket)
        try:
            await socket.prepare(request)
            async with asyncio.TaskGroup() as group:
                client = _Client(socket, request.transport, self._pace.patience_s)
                await self._talk(client, group, asked)
        finally:
            self._sockets.discard(socket)
        return socket

    async def close(self, _app: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"the simulator stops")

    # Each message is a request that replaces the one before it.
    async def _talk(
        self, client: _Client, group: asyncio.TaskGroup, asked: EstimateRequest | None
    ) -> None:
        sending: asyncio.Task[None] | None = None
        if asked is not None:
            sending = group.create_task(self._send_updates(client, asked))
        async for message in client.socket:
            if message.type is not WSMsgType.TEXT:
                break
            try:
                asked = self._simulator.request(_object(message.data))
            except TradingSystemError as e:
                await client.send(_described(e))
                continue
            if sending is not None:
                sending.cancel()
            sending = group.create_task(self._send_updates(client, asked))
        if sending is not None:
            sending.cancel()

    async def _send_updates(self, client: _Client, asked: EstimateRequest) -> None:
        updates = self._simulator.updates(asked, min_interval_s=self._pace.update_s)
        try:
            async with aclosing(updates):
                async for update in updates:
                    is_sent = await client.send(
                        _described(update) if isinstance(update, TradingSystemError) else update
                    )
                    if not is_sent:
                        return
        except TradingSystemError as e:
            if await client.send(_described(e)):
                is_wrong = isinstance(e, ValidationError)
                code = WSCloseCode.POLICY_VIOLATION if is_wrong else WSCloseCode.GOING_AWAY
                await client.socket.close(code=code)


async def _posted(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise ValidationError(
            f"the body is {request.content_type[:60]}; send one JSON object as application/json"
        )
    if (request.charset or "utf-8").lower() not in _CHARSETS:
        raise ValidationError("the body is said to be no UTF-8 text; send one JSON object in UTF-8")
    try:
        text = (await request.read()).decode()
    except web.RequestPayloadError as e:
        raise web.HTTPBadRequest(reason="the body is not encoded as its header says") from e
    except UnicodeDecodeError as e:
        raise ValidationError("the body is not UTF-8 text; send one JSON object") from e
    return _object(text)


def _queried(request: web.Request) -> dict[str, Any]:
    values = dict(request.query)
    if len(values) != len(request.query):
        raise ValidationError("a key of the query is given twice; give each key once")
    return values


def _object(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ValidationError("the request is not valid JSON; send one JSON object") from e
    if not isinstance(content, dict):
        raise ValidationError("the request is not a JSON object; send one JSON object")
    return content


def _described(error: TradingSystemError) -> dict[str, str]:
    body = faults.described(error)
    return body if body["remedy"] else {**body, "remedy": _NO_REMEDY}


def _failed(error: TradingSystemError) -> web.Response:
    body = _described(error)
    if isinstance(error, BookUnavailableError | VolatilityUnknownError):
        return _json(body, status=503, headers={"Retry-After": _TRY_AGAIN})
    if isinstance(error, UnknownInstrumentError):
        return _json(body, status=404)
    return _json(body, status=422 if isinstance(error, ValidationError) else 500)


def _refusal(status: int, code: str, message: str, remedy: str) -> web.Response:
    return _json({"error": code, "message": message, "remedy": remedy}, status=status)


def _json(
    body: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.json_response(text=_text(body), status=status, headers=headers)


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, allow_nan=False)
