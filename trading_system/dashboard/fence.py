"""Lets a socket speak only for pages of its own login.

NiceGUI takes the word of a message for the page it is about, so that whoever is logged in and knows
the id of another's page could press its buttons, with the control token that was typed there. Here
a socket can join a page only if both belong to one session, and is heard only about pages it has
joined. What is malformed is dropped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from urllib.parse import parse_qs

import structlog
from nicegui import Client, core

from trading_system.dashboard.door import SESSION

_LOG = structlog.get_logger(__name__)
_MESSAGES: Final = ("event", "javascript_response", "ack", "log")
_FENCED: Final = "is_fenced"

Handler = Callable[..., Any]


def fence_sockets() -> None:
    """Put the fence around NiceGUI's handlers, once in a process."""
    handlers = core.sio.handlers["/"]
    if getattr(handlers["handshake"], _FENCED, False):
        return
    for name in _MESSAGES:
        core.sio.on(name, _fenced(handlers[name], _has_joined))
    core.sio.on("handshake", _fenced(handlers["handshake"], _may_join))
    core.sio.on("connect", _connecting(handlers["connect"]))


def _fenced(handler: Handler, is_allowed: Callable[[str, str], bool]) -> Handler:
    @wraps(handler)
    async def fenced(sid: str, message: object = None, *_: object) -> object:
        client_id = message.get("client_id") if isinstance(message, dict) else None
        if not isinstance(client_id, str) or not is_allowed(sid, client_id):
            return False
        try:
            result = handler(sid, message)
            return await result if inspect.isawaitable(result) else result
        except Exception as e:  # whatever a forged message breaks in NiceGUI is the sender's loss
            _LOG.debug("a malformed message of a page was dropped", error=type(e).__name__)
            return False

    setattr(fenced, _FENCED, True)
    return fenced


def _connecting(handler: Handler) -> Handler:
    @wraps(handler)
    async def connecting(sid: str, environ: dict[str, Any], auth: object = None) -> object:
        # The address may carry a handshake, which NiceGUI then does by itself.
        for client_id in parse_qs(environ.get("QUERY_STRING", "")).get("client_id", ()):
            if client_id in Client.instances and not _may_join(sid, client_id):
                return False
        return await handler(sid, environ, auth)

    return connecting


def _has_joined(sid: str, client_id: str) -> bool:
    return client_id in core.sio.rooms(sid)


def _may_join(sid: str, client_id: str) -> bool:
    client = Client.instances.get(client_id)
    if client is None or client.request is None:
        return False
    environ = core.sio.get_environ(sid) or {}
    own = environ.get("asgi.scope", {}).get(SESSION)
    return own is not None and client.request.scope.get(SESSION) is own
