"""The control API: its routes behind its guard, and the live stream beside them."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from typing_extensions import override

from trading_system.api.answers import ERROR_NAME, encoded
from trading_system.api.commands import commanding_routes
from trading_system.api.documents import ErrorAnswer
from trading_system.api.faults import install_handlers
from trading_system.api.guard import Guard, Message, Receive, Send
from trading_system.api.reads import reading_routes
from trading_system.api.stream import Stream
from trading_system.api.stream_socket import stream_route
from trading_system.api.tokens import Tokens
from trading_system.domain.ports import Clock, Control, Inspection, StatusSource
from trading_system.runtime.clock import SystemClock

_DESCRIPTION = (
    "Money and quantities are texts, times milliseconds since 1970 UTC, null means not measured. "
    "GET takes the read or the control token, POST the control token."
)


class ControlApi(FastAPI):
    """The application; nothing reaches a route but through the guard.

    Parameters
    ----------
    stream : Stream
        The live stream; whoever serves the application lets its ``run`` run.
    """

    def __init__(self, stream: Stream, *, tokens: Tokens, clock: Clock) -> None:
        super().__init__(
            title="trading-system control API",
            description=_DESCRIPTION,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        self.stream = stream
        self.guard = Guard(super().__call__, tokens=tokens, clock=clock)
        self._document: bytes | None = None
        self.add_api_route("/openapi.json", self._describe, include_in_schema=False)

    @override
    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with what the guard asks of every request."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self.routes,
            )
            document["components"]["schemas"][ERROR_NAME] = ErrorAnswer.model_json_schema()
            document["components"]["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer"}
            }
            document["security"] = [{"token": []}]
            self.openapi_schema = document
        return self.openapi_schema

    async def _describe(self) -> Response:
        # Some 200 ms of work, once: in a thread, because trading shares this loop.
        if self._document is None:
            self._document = encoded(await asyncio.to_thread(self.openapi))
        return Response(self._document, media_type="application/json")

    @override
    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await self.guard(scope, receive, send)


def create_app(
    source: StatusSource,
    control: Control,
    inspection: Inspection,
    *,
    tokens: Tokens,
    clock: Clock | None = None,
) -> ControlApi:
    """Return the API over a running system.

    Every request needs ``Authorization: Bearer <token>`` and a loopback ``Host`` with the own
    port; commands need the control token and a JSON body of at most 64 KiB; a request with an
    ``Origin`` (from a web page) is refused. Commands other than stop answer 503 until the system
    has started. Errors are ``{"error": message}``; a refused order also names its ``reason``.
    """
    clock = SystemClock() if clock is None else clock
    stream = Stream(source, inspection, clock=clock)
    app = ControlApi(stream, tokens=tokens, clock=clock)
    install_handlers(app)
    app.include_router(reading_routes(source, inspection, clock=clock))
    app.include_router(commanding_routes(source, control, inspection))
    app.include_router(stream_route(stream, clock=clock))
    return app
