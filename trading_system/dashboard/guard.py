"""What every request and socket passes first: where it comes from, and what answers may do.

Pure ASGI and outermost, for ``http`` and ``websocket`` alike. Host and Origin are compared with
allow-lists before anything else looks at the request, which ends DNS rebinding and cross-site
sockets. NiceGUI builds its pages from inline scripts and compiles Vue templates in the browser, so
the content security policy needs ``'unsafe-inline'`` and ``'unsafe-eval'`` for scripts and
``'unsafe-inline'`` for styles; everything else is closed: no other origin for anything, no frames,
no plug-ins, no foreign form targets. Values of the market, the log and the agents reach a page as
text only, so that the two words have nothing to work on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'"
)
"""Sent with every answer."""

PLAIN_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Sent with the pages that need no script: login and refusals."""

MAX_BODY_BYTES: Final = 64 * 1024
"""Largest body of any request; no page needs more."""

_HEADERS: Final = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"permissions-policy",
        b"camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
)
_IMMUTABLE: Final = "/_nicegui/"
_METHODS: Final = frozenset({"GET", "HEAD", "POST"})
_STRIPPED: Final = frozenset({b"x-forwarded-prefix"})
_SAFE_SITES: Final = frozenset({"", "same-origin", "none"})


class Guard:
    """Refuses what does not come from one of the dashboard's own addresses; adds headers.

    Parameters
    ----------
    app : ASGIApp
        What is guarded.
    port : int
        Own port on loopback.
    public_host : str
        Name, with a port if it is not 443, of a TLS reverse proxy; empty without one.
    """

    def __init__(self, app: ASGIApp, *, port: int, public_host: str = "") -> None:
        self._app = app
        local = tuple(f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]"))
        public = (public_host.lower(),) if public_host else ()
        self._hosts = frozenset((*local, *public))
        self._public = frozenset(public)
        self._origins = frozenset(
            (*(f"http://{host}" for host in local), *(f"https://{host}" for host in public))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let ``scope`` pass, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        status, reason = self._refusal(scope)
        if reason:
            await refuse(scope, send, status=status, reason=reason)
            return
        inner = {
            **scope,
            "headers": [(k, v) for k, v in scope["headers"] if k not in _STRIPPED],
            "is_public": header(scope, b"host").lower() in self._public,
        }
        if scope["type"] == "websocket":
            await self._app(inner, receive, send)
        else:
            await self._app(inner, _Bounded(receive), with_headers(send, path=scope["path"]))

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        host, origin = header(scope, b"host").lower(), header(scope, b"origin").lower()
        if count(scope, b"host") != 1 or host not in self._hosts:
            return 403, "this address is not one of the dashboard's own"
        if count(scope, b"origin") > 1 or (origin and origin not in self._origins):
            return 403, "this request comes from another site"
        if scope["type"] == "websocket":
            return (0, "") if origin else (403, "a socket must say where it comes from")
        if scope["method"] not in _METHODS:
            return 405, "this method is not in use"
        site = header(scope, b"sec-fetch-site").lower()
        if scope["method"] == "POST" and site not in _SAFE_SITES:
            return 403, "this request comes from another site"
        if _claimed_length(scope) > MAX_BODY_BYTES:
            return 413, "the body is too large"
        return 0, ""


class _Bounded:
    # A body that does not say its length is cut off at the bound.

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > MAX_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message


def _claimed_length(scope: Scope) -> int:
    text = header(scope, b"content-length") or "0"
    return int(text) if text.isdecimal() and len(text) < 12 else MAX_BODY_BYTES + 1


def header(scope: Scope, name: bytes) -> str:
    """Return the value of the first header ``name``, empty without one."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return ""


def count(scope: Scope, name: bytes) -> int:
    """Return how often the header ``name`` was sent."""
    return sum(key == name for key, _ in scope["headers"])


def with_headers(send: Send, *, path: str) -> Send:
    """Return a ``send`` that adds the security headers; an answer's own policy is kept."""
    is_immutable = path.startswith(_IMMUTABLE)

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", ()))
            names = {key.lower() for key, _ in own}
            if not is_immutable:
                own = [(k, v) for k, v in own if k.lower() != b"cache-control"]
                own.append((b"cache-control", b"no-store"))
            own = [(k, v) for k, v in own if k.lower() != b"server"]
            own.extend((key, value) for key, value in _HEADERS if key not in names)
            message = {**message, "headers": own}
        await send(message)

    return sending


async def refuse(
    scope: Scope,
    send: Send,
    *,
    status: int,
    reason: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Answer ``scope`` with ``status`` and one line of text; a socket is closed unopened."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    await answer(
        scope,
        send,
        status=status,
        body=f"{reason}\n".encode(),
        headers=((b"content-type", b"text/plain; charset=utf-8"), *headers),
    )


async def answer(
    scope: Scope,
    send: Send,
    *,
    status: int,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]],
) -> None:
    """Send one whole answer with the security headers."""
    sending = with_headers(send, path="/")
    own = [(b"content-length", str(len(body)).encode()), *headers]
    if b"content-security-policy" not in {key for key, _ in own}:
        own.append((b"content-security-policy", PLAIN_POLICY.encode()))
    await sending({"type": "http.response.start", "status": status, "headers": own})
    body = b"" if scope.get("method") == "HEAD" else body
    await sending({"type": "http.response.body", "body": body})
