"""Errors as answers: one JSON object with one clear message, never a traceback or an input."""

from __future__ import annotations

import traceback
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from trading_system.domain.errors import (
    ConfigurationError,
    DeadlineExceeded,
    LifecycleError,
    OrderDenied,
    QueueFullError,
    TradingSystemError,
    ValidationError,
    VenueError,
    VenueRateLimited,
)

_LOG = structlog.get_logger(__name__)
# The first class that fits decides.
_STATUS: tuple[tuple[type[TradingSystemError], int], ...] = (
    (OrderDenied, 409),
    (LifecycleError, 409),
    (ValidationError, 422),
    (ConfigurationError, 422),
    (QueueFullError, 429),
    (DeadlineExceeded, 504),
    (VenueRateLimited, 429),
    (VenueError, 502),
    (TradingSystemError, 500),
)
_PLACES = frozenset({"body", "query", "path"})


class NotReadyError(TradingSystemError):
    """The system is still starting. Consequence: nothing was done; try again."""


def install_handlers(app: FastAPI) -> None:
    """Let ``app`` answer every expected error with ``{"error": message}``."""
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(NotReadyError, _not_ready)
    app.add_exception_handler(TradingSystemError, _failed)
    app.add_exception_handler(Exception, _broken)


def refusal(status: int, message: str, **more: object) -> JSONResponse:
    """Return an error answer."""
    return JSONResponse({"error": message, **more}, status_code=status)


async def _malformed(_request: Request, e: Exception) -> JSONResponse:
    assert isinstance(e, RequestValidationError)
    return refusal(422, described(e.errors()))


async def _refused(_request: Request, e: Exception) -> JSONResponse:
    assert isinstance(e, HTTPException)
    return refusal(e.status_code, str(e.detail))


async def _not_ready(_request: Request, e: Exception) -> JSONResponse:
    answer = refusal(503, str(e))
    answer.headers["Retry-After"] = "1"
    return answer


async def _failed(_request: Request, e: Exception) -> JSONResponse:
    assert isinstance(e, TradingSystemError)
    status = next(status for kind, status in _STATUS if isinstance(e, kind))
    if isinstance(e, OrderDenied):
        return refusal(status, str(e), reason=e.reason, detail=e.detail)
    if isinstance(e, VenueError):
        return refusal(status, str(e), outcome=e.outcome.value)
    return refusal(status, str(e))


async def _broken(request: Request, e: Exception) -> JSONResponse:
    # The server is told to keep quiet, so a bug is logged here; its text is not for the answer.
    text = "".join(traceback.format_exception(e))
    _LOG.error("a control command broke", path=request.url.path, traceback=text)
    return refusal(500, f"an unexpected {type(e).__name__}; see the running system's log")


def described(errors: Any) -> str:  # noqa: ANN401 - pydantic's own list of dictionaries
    """Return the first of pydantic's errors as one line that names the key."""
    first = errors[0]
    location = [str(part) for part in first["loc"] if part not in _PLACES]
    if first["type"] == "json_invalid":
        return "the body is not valid JSON"
    name = ".".join(location) or "the body"
    return f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]}"
