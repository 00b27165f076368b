"""The control API's routes and guards."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from trading_system.domain.ports import Control, StatusSource

_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?")
_MAX_BODY_BYTES = 64 * 1024


class StopRequest(BaseModel):
    """Body of ``POST /stop``."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=1, max_length=200)] = "requested by operator"


class Accepted(BaseModel):
    """Answer to an accepted command."""

    accepted: bool
    reason: str


def create_app(source: StatusSource, control: Control, *, token: str) -> FastAPI:
    """Return the API over ``source`` and ``control``.

    Every request needs ``Authorization: Bearer <token>``, a loopback ``Host`` and, for commands,
    a JSON body of at most 64 KiB; a request with an ``Origin`` (from a web page) is refused.
    """
    app = FastAPI(title="trading-system control API", docs_url=None, redoc_url=None)

    @app.middleware("http")
    async def guard(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        refusal = _refusal(request, token)
        return refusal if refusal is not None else await call_next(request)

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
    async def stop(body: StopRequest) -> Accepted:
        control.request_stop(body.reason)
        return Accepted(accepted=True, reason=body.reason)

    return app


def _refusal(request: Request, token: str) -> Response | None:
    if not _HOST.fullmatch(request.headers.get("host", "")):
        return JSONResponse({"error": "unknown Host"}, status_code=403)
    if "origin" in request.headers:
        return JSONResponse({"error": "web pages may not call this API"}, status_code=403)
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return JSONResponse({"error": "missing or wrong token"}, status_code=401)
    if request.method == "POST":
        return _body_refusal(request)
    return None


def _body_refusal(request: Request) -> Response | None:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return JSONResponse({"error": "the body must be application/json"}, status_code=415)
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        return JSONResponse({"error": "Content-Length is required"}, status_code=411)
    if int(length) > _MAX_BODY_BYTES:
        return JSONResponse({"error": "the body is too large"}, status_code=413)
    return None
