"""The control API's routes and guards."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response

from trading_system.api.bodies import (
    Accepted,
    ExecuteRequest,
    KillRequest,
    ReasonRequest,
    ResumeRequest,
)
from trading_system.api.faults import NotReadyError, install_handlers, refusal
from trading_system.domain.ports import Control, StatusSource

_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?")
_MAX_BODY_BYTES = 64 * 1024
_NOT_READY = frozenset({"NEW", "STARTING"})
_READING = frozenset({"GET", "HEAD"})


def create_app(source: StatusSource, control: Control, *, token: str) -> FastAPI:
    """Return the API over ``source`` and ``control``.

    Every request needs ``Authorization: Bearer <token>``, a loopback ``Host`` and, for commands,
    a JSON body of at most 64 KiB; a request with an ``Origin`` (from a web page) is refused.
    Commands other than stop answer 503 until the system has started. Errors are
    ``{"error": message}``; a refused order also names its ``reason``.
    """
    app = FastAPI(title="trading-system control API", docs_url=None, redoc_url=None)
    install_handlers(app)

    @app.middleware("http")
    async def guard(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        refused = _refusal(request, token)
        return refused if refused is not None else await call_next(request)

    @app.get("/status")
    async def status() -> dict[str, Any]:
        return source.get_system_status()

    @app.get("/compliance")
    async def compliance() -> dict[str, Any]:
        status = source.get_system_status()
        return {
            "performance_compliance": status["performance_compliance"],
            "targets": status["compliance_targets"],
        }

    @app.post("/stop", status_code=202)
    async def stop(body: ReasonRequest) -> Accepted:
        control.request_stop(body.reason)
        return Accepted(accepted=True, reason=body.reason)

    _add_commands(app, source, control)
    return app


def _add_commands(app: FastAPI, source: StatusSource, control: Control) -> None:
    @app.post("/pause")
    async def pause(body: ReasonRequest) -> dict[str, Any]:
        _require_started(source)
        return await control.pause(body.reason)

    @app.post("/resume")
    async def resume(body: ResumeRequest) -> dict[str, Any]:
        _require_started(source)
        return await control.resume(reset_limits=body.reset_limits)

    @app.post("/reduce-only")
    async def reduce_only(body: ReasonRequest) -> dict[str, Any]:
        _require_started(source)
        return await control.reduce_only(body.reason)

    @app.post("/kill")
    async def kill(body: KillRequest) -> dict[str, Any]:
        _require_started(source)
        return await control.kill(body.reason, flatten=body.flatten)

    @app.post("/execute")
    async def execute(body: ExecuteRequest) -> dict[str, Any]:
        _require_started(source)
        return await control.execute(
            body.symbol,
            body.side,
            body.quantity,
            algorithm=None if body.algorithm == "auto" else body.algorithm,
            urgency=body.urgency,
        )


def _require_started(source: StatusSource) -> None:
    if source.get_system_status()["state"] in _NOT_READY:
        raise NotReadyError("the system is still starting; try again in a moment")


def _refusal(request: Request, token: str) -> Response | None:
    if not _HOST.fullmatch(request.headers.get("host", "")):
        return refusal(403, "unknown Host")
    if "origin" in request.headers:
        return refusal(403, "web pages may not call this API")
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return refusal(401, "missing or wrong token")
    return None if request.method in _READING else _body_refusal(request)


def _body_refusal(request: Request) -> Response | None:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return refusal(415, "the body must be application/json")
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        return refusal(411, "Content-Length is required")
    # A number of more digits than this is never converted: that alone would cost time.
    if len(length) > 9 or int(length) > _MAX_BODY_BYTES:
        return refusal(413, "the body is too large")
    return None
