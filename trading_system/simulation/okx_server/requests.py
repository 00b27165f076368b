"""Strict reading of a client's WebSocket requests."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from trading_system.simulation.okx_server.catalogue import BAD_REQUEST, Refusal

MAX_ARGS_BYTES = 64 * 1024
"""Total length of the args of one request, as compact JSON."""

_MAX_FRAME = 2 * MAX_ARGS_BYTES
_MAX_ID = 32
_MAX_KEYS = 8
_MAX_TEXT = 64
_OPERATIONS = frozenset({"subscribe", "unsubscribe", "login"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A well-formed request; ``request_id`` is None when the client sent none."""

    operation: str
    args: tuple[dict[str, str], ...]
    request_id: str | None


def read(text: str) -> Request | Refusal:
    """Return the request in a frame, or how it is refused."""
    try:
        if len(text) > _MAX_FRAME:
            return Refusal(BAD_REQUEST, f"Invalid request: larger than {MAX_ARGS_BYTES} bytes.")
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Refusal(BAD_REQUEST, "Invalid request: not JSON.")
    if not isinstance(value, dict):
        return Refusal(BAD_REQUEST, "Invalid request: not a JSON object.")
    operation = value.get("op")
    if not isinstance(operation, str) or operation not in _OPERATIONS:
        return Refusal(BAD_REQUEST, "Invalid request: op must be subscribe, unsubscribe or login.")
    request_id = value.get("id")
    if request_id is not None and not _is_id(request_id):
        return Refusal(BAD_REQUEST, "Invalid request: id must be 1 to 32 letters and digits.")
    if operation == "login":
        return Request(operation=operation, args=(), request_id=request_id)
    args = _args(value.get("args"))
    if args is None:
        return Refusal(
            BAD_REQUEST, "Invalid request: args must be a list of channels, at most 64 KB in all."
        )
    return Request(operation=operation, args=args, request_id=request_id)


def _is_id(value: object) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value) <= _MAX_ID
        and value.isascii()
        and value.isalnum()
    )


def _args(value: object) -> tuple[dict[str, str], ...] | None:
    if not isinstance(value, list) or not value or not all(map(_is_arg, value)):
        return None
    total = sum(len(msgspec.json.encode(arg)) for arg in value)
    return tuple(value) if total <= MAX_ARGS_BYTES else None


def _is_arg(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= _MAX_KEYS
        and all(
            isinstance(part, str) and len(part) <= _MAX_TEXT and part.isprintable()
            for item in value.items()
            for part in item
        )
    )
