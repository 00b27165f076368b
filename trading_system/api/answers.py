"""Answers of the control API: encoded once by msgspec, described by a model that never runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import Response
from pydantic import BaseModel

from trading_system.monitoring.redaction import REDACTOR

ERROR_NAME: Final = "ErrorAnswer"
"""Name under which the OpenAPI document has the shape of an error."""

_ENCODER: Final = msgspec.json.Encoder()
# By reference: a model here would be compiled once for every route and status.
_ERROR_CONTENT: Final = {
    "application/json": {"schema": {"$ref": f"#/components/schemas/{ERROR_NAME}"}}
}

_ERRORS: dict[int, str] = {
    400: "The request is malformed.",
    401: "The token is missing or wrong.",
    403: "Unknown Host, a web page's Origin, or the read token on a command.",
    404: "No such path.",
    405: "Wrong method.",
    422: "A value is refused; the message names it.",
    429: "Too many reads, or too many wrong tokens; see Retry-After.",
    500: "A bug; the running system's log has the details.",
    503: "Still starting, or too many requests at once; see Retry-After.",
}
_COMMAND_ERRORS: dict[int, str] = {
    408: "The body did not arrive in time.",
    409: "Refused in this state; nothing was done.",
    411: "Content-Length is missing.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not application/json.",
    502: "The venue failed; `outcome` says what is known.",
    504: "The venue did not answer in time.",
}


def encoded(content: Mapping[str, Any]) -> bytes:
    """Return ``content`` as JSON bytes; what is no finite number becomes null.

    A text of others, an agent's note for instance, may quote a secret: then it is masked.
    """
    text = _ENCODER.encode(content)
    if REDACTOR.is_told_by(text.decode()):
        return _ENCODER.encode(_masked(msgspec.json.decode(text)))
    return text


def _masked(value: object) -> object:
    if isinstance(value, dict):
        return {REDACTOR(key): _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return REDACTOR(value) if isinstance(value, str) else value


def answer(content: Mapping[str, Any], *, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(encoded(content), status_code=status, media_type="application/json")


def documented(
    model: type[BaseModel], *, status: int = 200, is_command: bool = False
) -> dict[str, Any]:
    """Return the keyword arguments that tell a route's shapes to OpenAPI and run none of them."""
    errors = {**_ERRORS, **(_COMMAND_ERRORS if is_command else {})}
    responses: dict[int | str, dict[str, Any]] = {
        code: {"description": text, "content": _ERROR_CONTENT} for code, text in errors.items()
    }
    return {
        "response_model": None,
        "status_code": status,
        "responses": {**responses, status: {"model": model, "description": "Done."}},
    }
