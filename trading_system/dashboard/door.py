"""Who may come in: login page, session cookie, log-out, and fresh links for the command line.

A login link opens a page with one button; only pressing it uses the link up, so that a mail or
chat program that looks at links in advance does not. The session id is new at every login.
"""

from __future__ import annotations

import hmac
import json
import re
from html import escape
from typing import Final
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trading_system.dashboard.guard import answer, header, refuse
from trading_system.dashboard.sessions import Session, Sessions

SESSION: Final = "trading_session"
"""Key of the scope under which the application finds the :class:`Session`."""

_CODE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_FORM_BYTES: Final = 4096
_TOO_MANY: Final = "too many failed logins; try again in a minute"
_HOW: Final = (
    "Open the link that <code>trading-system start</code> printed, or ask for a fresh one with "
    "<code>trading-system dashboard</code>."
)

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title><style>
:root{{color-scheme:light dark;--ink:#14181f;--muted:#535e6d;--ground:#f5f6f8;--accent:#0a5cb8;
--on:#ffffff;--line:#d8dde4}}
@media (prefers-color-scheme:dark){{:root{{--ink:#e7eaef;--muted:#9ba6b5;--ground:#0d1015;
--accent:#6cb0ff;--on:#0d1015;--line:#29313c}}}}
body{{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--ground);
color:var(--ink);font:16px/1.5 system-ui,sans-serif}}
main{{max-width:26rem;padding:1.5rem}}h1{{font-size:1.25rem;margin:0 0 .5rem}}
p{{margin:0 0 1.25rem;color:var(--muted)}}code{{font-size:.9em;color:var(--ink)}}
button{{font:inherit;font-weight:600;padding:.6rem 1.25rem;border:0;border-radius:6px;
background:var(--accent);color:var(--on);cursor:pointer}}
button:focus-visible{{outline:3px solid var(--ink);outline-offset:2px}}
</style></head><body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>
"""
_FORM: Final = (
    '<form method="post" action="/login"><input type="hidden" name="code" value="{code}">'
    "<button autofocus>Log in</button></form>"
)


class Door:
    """Lets sessions in, answers ``/login`` and ``/login-links``, and sends all others away.

    Parameters
    ----------
    app : ASGIApp
        What only sessions see; the scope carries theirs as :data:`SESSION`.
    sessions : Sessions
        Links and logins.
    port : int
        Own port; cookies know no ports, so it is part of the cookie's name.
    link_token : str
        Bearer token of ``POST /login-links``, known to the owner of the data directory.
    url : str
        Own address, for login links.
    """

    def __init__(
        self, app: ASGIApp, *, sessions: Sessions, port: int, link_token: str, url: str
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._port = port
        self._link_token = link_token
        self._url = url

    def new_login(self) -> str:
        """Return a fresh one-time login address."""
        return f"{self._url}/login?code={self._sessions.new_link()}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request or socket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if scope["type"] == "http" and path == "/login":
            await self._login(scope, receive, send)
            return
        if scope["type"] == "http" and path == "/login-links":
            await self._link(scope, send)
            return
        session = self._session(scope)
        if session is None:
            await _send_away(scope, send)
        elif scope["type"] == "http" and path == "/logout":
            await self._logout(scope, send, session=session)
        elif scope["type"] == "websocket":
            watched = _Watched(self._sessions, session, receive, send)
            await self._app({**scope, SESSION: session}, watched.receive, watched.send)
        else:
            await self._app({**scope, SESSION: session}, receive, send)

    def _cookie_name(self, scope: Scope) -> str:
        # "__Host-" promises Secure and no Domain; it exists behind TLS only.
        return "__Host-trading_session" if scope["is_public"] else f"trading_session_{self._port}"

    def _session(self, scope: Scope) -> Session | None:
        # Parsed by hand: one odd cookie of another service must not hide ours.
        name = self._cookie_name(scope)
        for part in header(scope, b"cookie").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name and (session := self._sessions.find(value)) is not None:
                return session
        return None

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._sessions.is_locked:
            await _page(scope, send, status=429, title="Please wait", text=f"{_TOO_MANY}.")
            return
        if scope["method"] != "POST":
            code = _only(parse_qs(scope["query_string"].decode("latin-1")).get("code"))
            if not code:
                await _page(scope, send, status=200, title="Not logged in", text=_HOW)
                return
            if not _CODE.fullmatch(code):
                await _send_away(scope, send)
                return
            await _page(
                scope,
                send,
                status=200,
                title="Trading dashboard",
                text="This link logs this browser in, once.",
                form=_FORM.format(code=escape(code)),
            )
            return
        form = parse_qs((await _body(receive)).decode("latin-1"))
        session_id = self._sessions.log_in(_only(form.get("code")))
        if session_id is None:
            text = f"This link is used up, too old or wrong. {_HOW}"
            await _page(scope, send, status=401, title="Not logged in", text=text)
            return
        former = self._session(scope)
        if former is not None:
            self._sessions.log_out(former)
        cookie = self._cookie(scope, session_id)
        await answer(
            scope,
            send,
            status=303,
            body=b"",
            headers=((b"location", b"/"), (b"set-cookie", cookie)),
        )

    async def _logout(self, scope: Scope, send: Send, *, session: Session) -> None:
        if scope["method"] != "POST":
            await refuse(scope, send, status=405, reason="log out with POST")
            return
        self._sessions.log_out(session)
        cookie = self._cookie(scope, "") + b"; Max-Age=0"
        await answer(scope, send, status=204, body=b"", headers=((b"set-cookie", cookie),))

    def _cookie(self, scope: Scope, value: str) -> bytes:
        secure = "; Secure" if scope["is_public"] else ""
        name = self._cookie_name(scope)
        return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}".encode()

    async def _link(self, scope: Scope, send: Send) -> None:
        given = header(scope, b"authorization").encode("latin-1")
        if scope["method"] != "POST" or scope["is_public"]:
            await refuse(scope, send, status=405, reason="POST from this machine only")
        elif self._sessions.is_locked:
            await refuse(scope, send, status=429, reason=_TOO_MANY)
        elif not hmac.compare_digest(given, f"Bearer {self._link_token}".encode()):
            self._sessions.failed()
            await refuse(scope, send, status=401, reason="this is not the token of the link file")
        else:
            await answer(
                scope,
                send,
                status=200,
                body=json.dumps({"login": self.new_login()}).encode(),
                headers=((b"content-type", b"application/json"),),
            )


class _Watched:
    # A socket that ends with its session, whoever would speak next.

    def __init__(self, sessions: Sessions, session: Session, receive: Receive, send: Send) -> None:
        self._sessions = sessions
        self._session = session
        self._receive = receive
        self._send = send
        self._is_closed = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.receive" and not self._is_alive():
            await self._close()
            return {"type": "websocket.disconnect", "code": 1008}
        return message

    async def send(self, message: Message) -> None:
        if self._is_closed:
            return
        if message["type"] == "websocket.send" and not self._is_alive():
            await self._close()
            return
        self._is_closed = message["type"] == "websocket.close"
        await self._send(message)

    def _is_alive(self) -> bool:
        return not self._is_closed and self._sessions.is_alive(self._session)

    async def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._send({"type": "websocket.close", "code": 1008, "reason": "logged out"})


def _only(values: list[str] | None) -> str:
    return values[0] if values is not None and len(values) == 1 else ""


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= _MAX_FORM_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body
    return b""


async def _send_away(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await refuse(scope, send, status=401, reason="not logged in")
        return
    await _page(scope, send, status=401, title="Not logged in", text=_HOW)


async def _page(
    scope: Scope, send: Send, *, status: int, title: str, text: str, form: str = ""
) -> None:
    # The browser must name its origin when the form is sent, hence the referrer policy.
    await answer(
        scope,
        send,
        status=status,
        body=_PAGE.format(title=title, text=text, form=form).encode(),
        headers=(
            (b"content-type", b"text/html; charset=utf-8"),
            (b"referrer-policy", b"same-origin"),
        ),
    )
