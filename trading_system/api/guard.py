"""Stands before the control API: who asks, from where, how much and how often.

A plain ASGI wrapper around everything else, so that it sees WebSockets as well as requests and no
answer leaves without its headers. What it refuses never reaches a route.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from trading_system.api.tokens import Role, Tokens
from trading_system.domain.ports import Clock
from trading_system.runtime.limiter import SlidingWindow, TokenBucket

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 64 * 1024
MAX_CONCURRENT: Final = 32
READS_PER_SECOND: Final = 100
READ_BURST: Final = 200
WRONG_TOKENS: Final = 5
WRONG_TOKENS_S: Final = 60.0
MAX_HEAD_BYTES: Final = 16 * 1024
MAX_HEADERS: Final = 64
BODY_S: Final = 5.0
STREAM_PATH: Final = "/stream"
ROLE_KEY: Final = "trading_system.role"
"""Key of the ASGI scope that tells a route which role asks."""

_LOG = structlog.get_logger(__name__)
_HOST = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::([1-9][0-9]{0,4}))?")
_HTTP_PORT = 80
_METHODS = frozenset({"GET", "POST"})
_ALWAYS_SERVED = frozenset({"/kill", "/pause", "/reduce-only", "/stop", "/status"})
_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further, and what is answered.

    Parameters
    ----------
    retry_after_s : int or None
        After how many whole seconds it may succeed, None if never.
    """

    status: int
    message: str
    retry_after_s: int | None = None
    allow: str = ""


class Guard:
    """ASGI application that refuses what must not reach ``app``.

    Wrong tokens are counted: the sixth within 60 s and all after it get 429 instead of 401. Only
    wrong tokens are slowed down, a right one always passes: otherwise any program on this machine
    could lock the operator out of ``/kill`` by guessing, and a token of 256 random bits cannot be
    guessed at any rate.

    Reads have a budget of 100 per second (bursts of 200) for each of the two tokens, so that they
    cannot starve trading, and a reader not the operator; commands are exempt. At most 32 requests
    run at once; the commands that make trading safer, and ``/status``, are exempt.

    Parameters
    ----------
    tokens : Tokens
        Who may ask what.
    clock : Clock
        For the two budgets.
    """

    def __init__(self, app: App, *, tokens: Tokens, clock: Clock) -> None:
        self._app = app
        self._tokens = tokens
        self._wrong = SlidingWindow(WRONG_TOKENS, window_s=WRONG_TOKENS_S, clock=clock)
        self._warned = SlidingWindow(1, window_s=60.0, clock=clock)
        self._reads = {
            role: TokenBucket(READ_BURST, per_second=READS_PER_SECOND, clock=clock) for role in Role
        }
        self._running = 0
        self._wrong_count = 0

    @property
    def wrong_tokens(self) -> int:
        """Wrong tokens seen since the start."""
        return self._wrong_count

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        kind = scope["type"]
        if kind == "http":
            await self._request(scope, receive, _hardened(send))
        elif kind == "websocket":
            refusal = self._stream_refusal(scope)
            if refusal is None:
                await self._app(scope, receive, _hardened(send))
            else:
                await _deny(scope, _hardened(send), refusal)
        else:
            await self._app(scope, receive, send)

    def _stream_refusal(self, scope: Message) -> Refusal | None:
        headers = _Headers(scope)
        refusal = _foreign(scope, headers) or self._unknown(scope, headers)
        if refusal is None and scope["path"] != STREAM_PATH:
            return Refusal(404, "Not Found")
        return refusal or self._over_budget(scope)

    async def _request(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = _Headers(scope)
        is_command = scope["method"] == "POST"
        refusal = (
            _foreign(scope, headers)
            or _method_refusal(scope)
            or self._unknown(scope, headers)
            or _role_refusal(scope, is_command=is_command)
            or (None if is_command else self._over_budget(scope))
            or (_body_refusal(headers) if is_command else None)
        )
        if refusal is not None:
            await _answer(send, refusal)
            return
        is_exempt = scope["path"] in _ALWAYS_SERVED
        if self._running >= MAX_CONCURRENT and not is_exempt:
            await _answer(send, Refusal(503, "too many requests run at once", retry_after_s=1))
            return
        self._running += not is_exempt
        try:
            await self._serve(scope, receive, send, is_command=is_command)
        finally:
            self._running -= not is_exempt

    async def _serve(
        self, scope: Message, receive: Receive, send: Send, *, is_command: bool
    ) -> None:
        if not is_command:
            await self._app(scope, receive, send)
            return
        body = await _whole_body(receive)
        refusal = body if isinstance(body, Refusal) else _json_refusal(body)
        if refusal is not None:
            await _answer(send, refusal)
        elif isinstance(body, bytes):
            await self._app(scope, _replayed(body, receive), send)

    def _unknown(self, scope: Message, headers: _Headers) -> Refusal | None:
        given = headers.all(b"authorization")
        role = self._tokens.role_of(given[0]) if len(given) == 1 else None
        if role is not None:
            scope[ROLE_KEY] = role
            return None
        if not given:
            return Refusal(401, "missing token: send Authorization: Bearer TOKEN")
        self._wrong_count += 1
        if self._warned.try_acquire():
            _LOG.warning("wrong token for the control API", since_start=self._wrong_count)
        wait_s = math.ceil(self._wrong.wait_s())
        if self._wrong.try_acquire():
            return Refusal(401, "wrong token")
        return Refusal(429, "too many wrong tokens", retry_after_s=max(1, wait_s))

    def _over_budget(self, scope: Message) -> Refusal | None:
        if self._reads[scope[ROLE_KEY]].try_acquire():
            return None
        return Refusal(429, f"more than {READS_PER_SECOND} reads per second", retry_after_s=1)


class _Headers:
    """Headers of one request, by lower-case name."""

    def __init__(self, scope: Message) -> None:
        self._pairs: list[tuple[bytes, bytes]] = scope["headers"]

    @property
    def is_too_large(self) -> bool:
        size = sum(len(key) + len(value) for key, value in self._pairs[:MAX_HEADERS])
        return len(self._pairs) > MAX_HEADERS or size > MAX_HEAD_BYTES

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self._pairs if key == name]

    def only(self, name: bytes) -> bytes:
        """Return the value of a header that must not come twice, empty without one."""
        values = self.all(name)
        return values[0] if len(values) == 1 else b""


def _foreign(scope: Message, headers: _Headers) -> Refusal | None:
    # The server's own limit counts only heads that come in pieces.
    if headers.is_too_large:
        return Refusal(431, "the headers are too large")
    # The port is that of the socket the request came in by: a page that made its own name point
    # here (DNS rebinding) says that name, and one of another local server says another port.
    host = _HOST.fullmatch(headers.only(b"host"))
    server = scope.get("server")
    port = server[1] if server else None
    named = None if host is None else int(host[1] or _HTTP_PORT)
    if host is None or named != (_HTTP_PORT if port is None else port):
        return Refusal(403, "unknown Host")
    if headers.all(b"origin"):
        return Refusal(403, "web pages may not call this API")
    if not scope["path"].startswith("/"):
        return Refusal(400, "the target must be a path")
    return None


def _method_refusal(scope: Message) -> Refusal | None:
    if scope["method"] in _METHODS:
        return None
    return Refusal(405, "Method Not Allowed", allow="GET, POST")


def _role_refusal(scope: Message, *, is_command: bool) -> Refusal | None:
    if is_command and scope[ROLE_KEY] is not Role.CONTROL:
        return Refusal(403, f"POST {scope['path'][:80]} needs the control token")
    return None


def _body_refusal(headers: _Headers) -> Refusal | None:
    kind, _, options = headers.only(b"content-type").partition(b";")
    if kind.strip().lower() != b"application/json" or options.strip().lower() not in {
        b"",
        b"charset=utf-8",
    }:
        return Refusal(415, "the body must be application/json")
    if headers.all(b"content-encoding"):
        return Refusal(415, "the body must not be compressed")
    length = headers.only(b"content-length")
    if headers.all(b"transfer-encoding") or not length.isdigit():
        return Refusal(411, "Content-Length is required")
    # A number of more digits than this is never converted: that alone would cost time.
    if len(length) > 9 or int(length) > MAX_BODY_BYTES:
        return Refusal(413, "the body is too large")
    return None


async def _whole_body(receive: Receive) -> bytes | Refusal | None:
    """Return the body, a refusal, or None if the client left before it was complete."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    return Refusal(413, "the body is too large")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return Refusal(408, f"the body did not arrive within {BODY_S:g} s")


def _json_refusal(body: bytes | None) -> Refusal | None:
    # Stricter than the parser behind it: two readers of one text must not see two meanings.
    if not body:
        return None
    try:
        json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except _AmbiguousError as e:
        return Refusal(422, str(e))
    except (ValueError, RecursionError):
        return Refusal(422, "the body is not valid JSON")
    return None


class _AmbiguousError(Exception):
    """The text has no single meaning. Consequence: it is refused."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _AmbiguousError("the body is not valid JSON: a key comes twice")
    return content


def _no_constant(_name: str) -> None:
    raise _AmbiguousError("the body is not valid JSON: NaN and Infinity are no JSON numbers")


def _replayed(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _hardened(send: Send) -> Send:
    """Return ``send`` that adds the security headers to every answer."""

    async def hardened(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            present = {name.lower() for name, _ in message.get("headers", ())}
            missing = [pair for pair in _SECURITY_HEADERS if pair[0] not in present]
            message = {**message, "headers": [*message.get("headers", ()), *missing]}
        await send(message)

    return hardened


async def _answer(send: Send, refusal: Refusal, *, prefix: str = "http.response") -> None:
    body = json.dumps({"error": refusal.message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # Nothing of a refused request's body is read: the connection must not go on with it.
        (b"connection", b"close"),
    ]
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    if refusal.allow:
        headers.append((b"allow", refusal.allow.encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": f"{prefix}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": body})


async def _deny(scope: Message, send: Send, refusal: Refusal) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        await _answer(send, refusal, prefix="websocket.http.response")
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.message})
