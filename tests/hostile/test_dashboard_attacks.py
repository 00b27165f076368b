"""The real dashboard process under what no honest browser would send.

One process, before a control API that remembers what it was asked: after every attack it still
answers and nothing was commanded. What pages do with hostile texts in a real browser is the
browser suite's part; here the messages that would reach the browser are looked at.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from api_thread import ApiThread
from control_desk import FakeControl
from inspection import FakeInspection, full_status
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from trading_system.api.address import read_address

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.xdist_group("processes")]

ROOT = Path(__file__).parents[2]
CLOSED = 0
"""Status of a connection that was closed without a word."""

XSS = "<img src=x onerror=fetch('//evil')><script>alert(1)</script>{{constructor}}\u2028"
PAGES = ("/", "/market", "/risk", "/alerts", "/cost", "/market-maker")
SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport="
IMPLICIT = "implicit_handshake=true&document_id=x&tab_id=x&next_message_id=0"
FORM = "Content-Type: application/x-www-form-urlencoded"


class Control(FakeControl):
    def get_system_status(self):
        status = full_status()
        return {**status, "holds": {"state": "ACTIVE", "reasons": [XSS]}}


class Inspection(FakeInspection):
    """Every text that others may write is hostile."""

    def alerts(self):
        content = super().alerts()
        for row in content["alerts"]:
            row |= {"message": XSS, "remedy": XSS, "note": XSS, "subject": XSS}
        content["delivery"]["last_error"] = XSS
        return content

    def log(self, *, after, limit):
        content = super().log(after=after, limit=limit)
        for line in content["lines"]:
            line |= {"event": XSS, "fields": {XSS: XSS}}
        return content

    def signals(self, *, symbol, limit):
        content = super().signals(symbol=symbol, limit=limit)
        for row in content["current"]:
            row["verdict"] = XSS
            for vote in row["votes"]:
                vote |= {"note": XSS, "reasons": [XSS]}
        return content


class Dashboard:
    """The process, a login of it, and sockets that speak to it as badly as asked."""

    def __init__(self, folder, **settings):
        self._folder = folder
        self.pages = {}
        self.errors = folder / "dashboard.err"
        with self.errors.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trading_system.dashboard"],
                cwd=ROOT,
                env={**os.environ, "TRADING_DATA_DIR": str(folder), **settings},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def started(self):
        self.ready = json.loads(self.process.stdout.readline() or b"null")
        assert self.ready, self.errors.read_text()
        self.url = self.ready["url"]
        self.host = self.url.removeprefix("http://")
        self.port = int(self.host.rpartition(":")[2])
        content = json.loads((self._folder / "dashboard.json").read_text())
        self.link_token = content["link_token"]
        self.link_code = code_of(self.ready["login"])
        self.cookie = self.log_in(self.link_code)

    def stop(self):
        self.process.terminate()
        try:
            assert self.process.wait(timeout=10) in {0, -15}
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def raw(self, data, *, timeout=5.0):
        """Send bytes; return the status and everything that came back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as link:
            with contextlib.suppress(ConnectionError):
                link.sendall(data)
            answer = b""
            with contextlib.suppress(ConnectionError, TimeoutError):
                while chunk := link.recv(65536):
                    answer += chunk
        return (int(answer[9:12]) if answer.startswith(b"HTTP/1.") else CLOSED), answer

    def head(self, method, path, *headers, cookie=None, host=None, version="1.1"):
        cookie = self.cookie if cookie is None else cookie
        lines = [f"{method} {path} HTTP/{version}"]
        lines += [f"Host: {self.host}"] if host is None else [f"Host: {host}"] if host else []
        lines += [f"Cookie: {cookie}"] if cookie else []
        text = "\r\n".join([*lines, *headers, "Connection: close", "", ""])
        return text.encode("utf-8", "surrogateescape")

    def get(self, path, *headers, **options):
        return self.raw(self.head("GET", path, *headers, **options))

    def post(self, path, *headers, body=b"", **options):
        length = f"Content-Length: {len(body)}"
        return self.raw(self.head("POST", path, length, *headers, **options) + body)

    def log_in(self, code, *headers, cookie=""):
        """Use a code up; return the cookie, None if it was refused."""
        form = f"code={code}".encode()
        origin = f"Origin: {self.url}"
        status, answer = self.post("/login", FORM, origin, *headers, body=form, cookie=cookie)
        return cookie_of(answer) if status == 303 else None

    def new_code(self):
        status, answer = self.post(
            "/login-links", f"Authorization: Bearer {self.link_token}", cookie=""
        )
        assert status == 200, answer
        return code_of(json.loads(answer.partition(b"\r\n\r\n")[2])["login"])

    def new_session(self):
        return self.log_in(self.new_code())

    def page(self, path="/alerts", cookie=None):
        """Open a page; return the id of its client, under which :attr:`pages` keeps its text."""
        status, answer = self.get(path, cookie=cookie)
        assert status == 200
        client_id = re.search(rb"client_id['\": \\]+([0-9a-f-]{36})", answer)[1].decode()
        self.pages[client_id] = answer.decode()
        return client_id

    def socket(self, *, cookie=None, origin=True, query="", host=None):
        headers = {"Cookie": self.cookie if cookie is None else cookie}
        return connect(
            f"ws://{host or self.host}{SOCKET}websocket{query}",
            sock=socket.create_connection(("127.0.0.1", self.port)),
            origin=self.url if origin is True else origin,
            additional_headers={k: v for k, v in headers.items() if v},
            proxy=None,
            open_timeout=5,
            close_timeout=1,
            max_size=None,
        )

    @contextlib.contextmanager
    def talk(self, **options):
        """Open a socket.io connection as a page does."""
        with self.socket(**options) as link:
            assert link.recv(timeout=5).startswith("0{")
            link.send("40")
            assert link.recv(timeout=5).startswith("40")
            yield link

    def is_well(self):
        status, answer = self.get("/risk")
        return status == 200 and b"client_id" in answer


def code_of(login):
    return urlsplit(login).query.removeprefix("code=")


def cookie_of(answer):
    return re.search(rb"set-cookie: ([^;\s]*)", answer, re.IGNORECASE)[1].decode()


def frames(link, *, for_s):
    """Return what arrives within ``for_s``; pings are answered."""
    found, deadline = [], time.monotonic() + for_s
    with contextlib.suppress(TimeoutError, ConnectionClosed):
        while (left := deadline - time.monotonic()) > 0:
            text = link.recv(timeout=left)
            if text == "2":
                link.send("3")
            found.append(text)
    return found


def handshake(client_id, **more):
    content = {
        "client_id": client_id,
        "document_id": secrets.token_hex(8),
        "tab_id": secrets.token_hex(8),
        "old_tab_id": None,
        "next_message_id": 0,
        **more,
    }
    return "42" + json.dumps(["handshake", content])


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dashboard")
    api = ApiThread(folder, Control(), Inspection())
    dashboard = Dashboard(folder)
    api.start()
    try:
        dashboard.started()
        dashboard.api = api
        yield dashboard
        dashboard.stop()
    finally:
        dashboard.process.kill()
        dashboard.process.wait()
        api.stop()
    said = dashboard.errors.read_text()
    assert dashboard.link_token not in said
    assert dashboard.cookie.partition("=")[2] not in said


@pytest.fixture
def target(running):
    """Give the dashboard; afterwards nothing may have been commanded, and it must answer."""
    yield running
    assert running.process.poll() is None
    assert running.api.control.calls == []
    assert running.api.inspection.noted == []
    assert running.is_well()


HOSTS = {
    "another name": "evil.example",
    "another name with our port": "evil.example:{port}",
    "a name that starts as ours": "localhost.evil.example:{port}",
    "a name that resolves to us": "127.0.0.1.nip.io:{port}",
    "our name without the port": "127.0.0.1",
    "our name with another port": "127.0.0.1:1",
    "credentials before another name": "127.0.0.1:{port}@evil.example",
    "all interfaces": "0.0.0.0:{port}",
    "our address as a number": "2130706433:{port}",
    "our address mapped": "[::ffff:127.0.0.1]:{port}",
    "a trailing dot": "localhost.:{port}",
    "a comma list": "127.0.0.1:{port}, evil.example",
    "nothing": " ",
}


@pytest.mark.parametrize("way", HOSTS)
def test_a_page_is_shown_under_our_own_names_only(target, way):
    host = HOSTS[way].format(port=target.port)
    status, answer = target.get("/", host=host)
    assert status in {400, 403}
    assert b"client_id" not in answer
    with pytest.raises(InvalidStatus) as refused:
        target.socket(host=host.strip() if "," not in host and host.strip() else "evil.example")
    assert refused.value.response.status_code == 403


def test_a_missing_or_doubled_host_is_refused(target):
    assert target.get("/", host="")[0] in {400, 403}
    assert target.get("/", host="", version="1.0")[0] in {400, 403}
    assert target.get("/", f"Host: {target.host}")[0] in {400, 403}
    assert target.get("/", "Host: evil.example")[0] in {400, 403}


def test_what_a_proxy_would_say_changes_nothing(target):
    headers = (
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Prefix: //evil.example/x",
        "Forwarded: host=evil.example",
        "X-Original-URL: /logout",
    )
    status, answer = target.get("/", *headers)
    assert status == 200
    assert b"evil.example" not in answer
    status, answer = target.get("http://evil.example/")
    assert b"evil.example" not in answer


ORIGINS = {
    "another site": "https://evil.example",
    "nobody": "null",
    "another port": "http://127.0.0.1:1",
    "another scheme": "https://{host}",
    "a name that starts as ours": "http://{host}.evil.example",
    "a name with ours as credentials": "http://{host}@evil.example",
    "a file": "file://",
    "an extension": "chrome-extension://abcdef",
    "two": "http://{host} https://evil.example",
}


@pytest.mark.parametrize("way", ORIGINS)
def test_another_site_can_neither_post_nor_open_a_socket(target, way):
    origin = ORIGINS[way].format(host=target.host)
    header = f"Origin: {origin}"
    bearer = f"Authorization: Bearer {target.link_token}"
    assert target.post("/logout", header)[0] == 403
    assert target.post("/login-links", bearer, header)[0] == 403
    assert target.post("/login", FORM, header, body=b"code=x")[0] == 403
    assert target.get("/", header)[0] == 403
    assert target.get(f"{SOCKET}polling", header)[0] == 403
    with pytest.raises(InvalidStatus) as refused:
        target.socket(origin=origin)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "anything"])
def test_a_form_of_another_site_is_refused_even_without_an_origin(target, site):
    assert target.post("/logout", f"Sec-Fetch-Site: {site}")[0] == 403


def test_two_origins_are_refused_though_one_is_ours(target):
    ours, theirs = f"Origin: {target.url}", "Origin: https://evil.example"
    assert target.post("/logout", ours, theirs)[0] == 403
    assert target.post("/logout", theirs, ours)[0] == 403
    with pytest.raises(InvalidStatus):
        target.socket(origin=None)


COOKIES = {
    "none": "",
    "an empty one": "{name}=",
    "a guess": "{name}=" + "A" * 43,
    "true": "{name}=true; logged_in=1; admin=true",
    "the login code": "{name}={code}",
    "the token of the link file": "{name}={link_token}",
    "the name of a TLS session": "__Host-trading_session={value}",
    "another port's": "trading_session_1={value}",
    "another case": "{upper}={value}",
    "a part of the right one": "{name}={part}",
    "the right one and more": "{name}={value}x",
    "the right one, quoted": '{name}="{value}"',
    "an injection": "{name}=' OR 1=1 --; {name}=%00; {name}=../../x",
    "bytes": "{name}=\udcff\udcfe",
}


@pytest.mark.parametrize("way", COOKIES)
def test_without_a_session_nothing_is_shown_and_no_socket_opens(target, way):
    name, _, value = target.cookie.partition("=")
    cookie = COOKIES[way].format(
        name=name,
        value=value,
        part=value[:-1],
        upper=name.upper(),
        code=target.link_code,
        link_token=target.link_token,
    )
    for path in (*PAGES, f"{SOCKET}polling", "/dashboard.css", "/_nicegui/x", "/nothing"):
        status, answer = target.get(path, cookie=cookie)
        assert status == 401, path
        assert b"client_id" not in answer
    assert target.post(f"{SOCKET}polling&sid=x", body=b"40", cookie=cookie)[0] == 401
    assert target.post("/logout", cookie=cookie)[0] == 401
    if way != "bytes":
        with pytest.raises(InvalidStatus) as refused:
            target.socket(cookie=cookie)
        assert refused.value.response.status_code in {401, 403}


def test_a_session_ends_with_its_logout_and_so_do_its_sockets(target):
    stolen = target.new_session()
    client_id = target.page(cookie=stolen)
    with target.talk(cookie=stolen, query=f"&client_id={client_id}") as link:
        link.send(handshake(client_id))
        assert frames(link, for_s=0.5)
        assert target.post("/logout", f"Origin: {target.url}", cookie=stolen)[0] == 204
        with contextlib.suppress(ConnectionClosed):
            link.send("42" + json.dumps(["event", {"client_id": client_id}]))
        frames(link, for_s=2.0)
        with pytest.raises(ConnectionClosed):
            link.recv(timeout=1)
    assert target.get("/", cookie=stolen)[0] == 401
    with pytest.raises(InvalidStatus):
        target.socket(cookie=stolen)


def test_a_socket_cannot_speak_for_a_page_of_another_session(target):
    theirs = target.new_session()
    client_id = target.page("/alerts", cookie=theirs)
    with target.talk(cookie=theirs, query=f"&client_id={client_id}") as owner:
        owner.send(handshake(client_id))
        updates = "".join(frames(owner, for_s=1.5))
        pages = target.pages[client_id] + updates
        picked = re.search(r'"listener_id":"([0-9a-f-]+)","type":"pick"', pages)
        button = re.findall(r'"(\d+)":\{"tag":"nicegui-grid"', pages[: picked.start()])[-1]
        listener = picked[1]
        args = [json.dumps({"key": "a3f1c2"})]
        event = {"id": int(button), "client_id": client_id, "listener_id": listener, "args": args}
        press = "42" + json.dumps(["event", event])
        for query in ("", f"&client_id={client_id}", f"&client_id={client_id}&{IMPLICIT}"):
            seen = ""
            with contextlib.suppress(ConnectionClosed), target.socket(query=query) as thief:
                for text in ("40", handshake(client_id), press):
                    thief.send(text)
                seen = "".join(frames(thief, for_s=0.5))
            assert '"update"' not in seen
            assert XSS[:8] not in seen
        assert "Acknowledge the alert?" not in "".join(frames(owner, for_s=0.7))
        owner.send(press)
        assert "Acknowledge the alert?" in "".join(frames(owner, for_s=1.5))


def test_a_guessed_client_gives_nothing(target):
    with target.talk(query="&client_id=0") as link:
        for client_id in ("0", "", None, {}, [], "../x", target.page()[:-1] + "!"):
            link.send(handshake(client_id))
        assert not [text for text in frames(link, for_s=0.5) if "update" in text]


def test_a_code_works_once(target):
    code = target.new_code()
    assert target.get(f"/login?code={code}", cookie="")[0] == 200
    assert target.get(f"/login?code={code}", cookie="")[0] == 200
    assert target.log_in(code) is not None
    assert target.log_in(code) is None
    # One failure is counted, of five within a minute; see the brute force below.


def test_a_session_chosen_by_somebody_else_is_not_taken_over(target):
    name = target.cookie.partition("=")[0]
    chosen = f"{name}={'B' * 43}"
    given = target.log_in(target.new_code(), cookie=chosen)
    assert given not in {None, chosen}
    assert target.get("/", cookie=chosen)[0] == 401
    again = target.log_in(target.new_code(), cookie=given)
    assert again != given
    assert target.get("/", cookie=given)[0] == 401


def test_cookies_are_for_the_browser_alone_and_codes_do_not_travel_on(target):
    code = target.new_code()
    status, shown = target.get(f"/login?code={code}", cookie="")
    assert status == 200
    assert b"referrer-policy: same-origin" in shown.lower()
    assert shown.count(code.encode()) == 1  # in the form alone
    assert b"<script" not in shown
    form = f"code={code}".encode()
    _, answer = target.post("/login", FORM, f"Origin: {target.url}", body=form, cookie="")
    head = answer.decode().lower()
    assert re.search(r"set-cookie: [^\n]*; path=/; httponly; samesite=strict", head)
    assert "domain=" not in head
    assert re.search(r"location: /\r", head)
    assert code.lower() not in head
    _, page = target.get("/", f"Referer: {target.url}/login?code={code}")
    assert code.encode() not in page
    assert b"referrer-policy: no-referrer" in page.lower()


def test_login_links_are_for_the_owner_of_the_data_directory(target):
    bearer = f"Authorization: Bearer {target.link_token}"
    for method in ("GET", "HEAD"):
        assert target.raw(target.head(method, "/login-links", bearer))[0] == 405
    assert target.post("/login-links/", bearer, cookie="")[0] == 401
    assert target.post("/login-links", f"X-Token: {target.link_token}", cookie="")[0] == 401


METHODS = ("TRACE", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT", "PROPFIND", "KILL", "get")


@pytest.mark.parametrize("method", METHODS)
def test_no_other_method_is_in_use(target, method):
    for path in ("/", "/login", "/logout", "/login-links", f"{SOCKET}polling"):
        status, answer = target.raw(target.head(method, path, "X-Canary: c4n4ry"))
        assert status in {400, 405}
        assert b"c4n4ry" not in answer
        assert b"access-control-allow" not in answer.lower()


COMMANDS = ("/kill", "/pause", "/resume", "/reduce-only", "/stop", "/execute", "/status", "/stream")


@pytest.mark.parametrize("path", COMMANDS)
def test_the_api_is_not_reached_through_the_dashboard(target, path):
    bearer = f"Authorization: Bearer {read_address(target._folder).token}"
    body = b'{"confirm":"KILL"}'
    kind = "Content-Type: application/json"
    assert target.post(path, bearer, kind, f"Origin: {target.url}", body=body)[0] in {404, 405}
    assert target.post(path, FORM, body=b"confirm=KILL")[0] in {404, 405}
    assert target.get(path, bearer)[0] == 404


TRAVERSALS = (
    "/_nicegui/{version}/static/../../../../../../../../etc/passwd",
    "/_nicegui/{version}/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/_nicegui/{version}/static/%252e%252e%252f%252e%252e%252fetc/passwd",
    "/_nicegui/{version}/static//etc/passwd",
    "/_nicegui/{version}/static/..%5c..%5c..%5cetc%5cpasswd",
    "/_nicegui/{version}/static/%00/etc/passwd",
    "/_nicegui/{version}/components//etc/passwd",
    "/_nicegui/{version}/libraries/..%2f..%2f..%2fetc%2fpasswd",
    "/_nicegui/{version}/resources/x/../../../../../etc/passwd",
    "/_nicegui/{version}/esm/nicegui/%2e%2e/%2e%2e/nicegui.py",
    "/_nicegui/{version}/esm/nicegui//etc/passwd",
    "/_nicegui/{version}/dynamic_resources/..%2f..%2fx",
    "/_nicegui/{version}/static/..;/..;/etc/passwd",
    "/_nicegui/client/1/upload/1",
    "/_nicegui/auto/static/x/../../../etc/passwd",
    "/dashboard.css/../dashboard.json",
    "/dashboard.json",
    "/api.json",
    "/read.token",
    "/.env",
    "/.git/config",
    "/docs",
    "/redoc",
    "/openapi.json",
    "//evil.example/%2f..",
    "/%0d%0aSet-Cookie:%20x=1",
    "/login/../../etc/passwd",
)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_file_comes_out_but_the_pages_own(target, path):
    import nicegui  # noqa: PLC0415 - only its version, and it is slow

    path = path.format(version=nicegui.__version__)
    for method in (target.get, target.post):
        status, answer = method(path)
        assert status in {400, 403, 404, 405}, answer[:300]
        assert b"root:" not in answer
        assert b"link_token" not in answer
        assert b"set-cookie" not in answer.lower()
        assert b"Traceback" not in answer
    assert target.get(path, cookie="")[0] in {400, 401, 403}


LARGE = 70_000
BODIES = {
    "too large": ("Content-Length: {large}",),
    "a million terabytes": ("Content-Length: 1000000000000000000",),
    "negative": ("Content-Length: -1",),
    "no number": ("Content-Length: 1e3",),
    "a sign": ("Content-Length: +5",),
    "two lengths": ("Content-Length: 5", "Content-Length: 6"),
    "length and chunks": ("Content-Length: 4", "Transfer-Encoding: chunked"),
    "odd chunks": ("Transfer-Encoding: xchunked",),
    "chunks twice": ("Transfer-Encoding: chunked, identity",),
    "hidden chunks": ("Transfer-Encoding : chunked",),
}


@pytest.mark.parametrize("way", BODIES)
def test_a_body_of_unclear_or_great_length_is_refused(target, way):
    headers = [header.format(large=LARGE) for header in BODIES[way]]
    inner = b"0\r\n\r\nPOST /logout HTTP/1.1\r\nHost: " + target.host.encode() + b"\r\n"
    inner += f"Cookie: {target.cookie}\r\nContent-Length: 0\r\n\r\n".encode()
    head = target.head("POST", "/login", FORM, *headers, cookie="")
    status, answer = target.raw(head + inner, timeout=2)
    assert status in {400, 401, 411, 413, 429, 501}
    assert answer.count(b"HTTP/1.1 ") == 1  # what was smuggled in is not answered


def test_an_endless_chunked_body_is_cut_off(target):
    head = target.head("POST", "/login", FORM, "Transfer-Encoding: chunked", cookie="")
    status, _ = target.raw(head + b"1000\r\n" + b"a" * 4096 + b"\r\n" + b"" * 100, timeout=1)
    assert status in {CLOSED, 400, 401, 408, 413}
    chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    status, _ = target.raw(head + chunk * 40 + b"0\r\n\r\n", timeout=3)
    assert status in {CLOSED, 400, 401, 413}


RAW = {
    "nothing": b"",
    "noise": bytes(range(256)) * 8,
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a line without a colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: evil\r\n .example\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: evil.example\n\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n",
    "an endless address": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "an endless header": b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
    "an endless cookie": b"GET / HTTP/1.1\r\nCookie: " + b"a=b; " * 40_000 + b"\r\n\r\n",
    "very many headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "an absolute address": b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a tunnel": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
}


@pytest.mark.parametrize("way", RAW)
def test_bytes_that_are_no_proper_request_are_refused(target, way):
    status, answer = target.raw(RAW[way], timeout=0.4)
    assert status in {CLOSED, 400, 403, 405, 413, 414, 431}
    assert b"Traceback" not in answer


def test_slow_and_silent_connections_keep_nobody_out(target):
    idle = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(150)]
    for number, link in enumerate(idle):
        link.sendall(b"GET / HTTP/1.1\r\nHost: x" if number % 2 else b"G")
    began = time.monotonic()
    assert target.is_well()
    assert time.monotonic() - began < 3
    for link in idle:
        link.close()


HEADERS = {
    "content-security-policy": r"default-src 'none'.*frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer|same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "permissions-policy": r"camera=\(\)",
}


@pytest.mark.parametrize("path", [*PAGES, "/login", "/nothing", "/logout", "/dashboard.css"])
@pytest.mark.parametrize("inside", [True, False])
def test_every_answer_says_what_a_browser_must_not_do(target, path, inside):
    _, answer = target.get(path, cookie=None if inside else "")
    head = answer.partition(b"\r\n\r\n")[0].decode()
    for name, value in HEADERS.items():
        assert re.search(rf"(?im)^{name}: .*{value}", head), (name, head)
    assert not re.search(r"(?im)^(server|x-powered-by|access-control-allow-origin):", head)
    policy = re.search(r"(?im)^content-security-policy: (.*)", head)[1]
    assert "http:" not in policy
    assert "*" not in policy


def test_a_login_page_repeats_nothing_it_was_given(target):
    for given in ("%22%3E%3Cscript%3E", "%0d%0aSet-Cookie:%20x=1", "a%00b", "A" * 44):
        status, answer = target.get(f"/login?code={given}", cookie="")
        assert status in {200, 401, 429}
        assert b"<script>" not in answer
        assert b"set-cookie" not in answer.lower()
        assert b"AAAA" not in answer


MESSAGES = {
    "nothing": "",
    "an unknown packet": "9",
    "a binary announcement": '45555-["event",{"_placeholder":true,"num":0}]',
    "no JSON": "42{",
    "no event": "42[]",
    "a number as event": "42[1,2]",
    "an unknown event": '42["__class__",{}]',
    "an event of nobody": '42["event",{}]',
    "an event without arguments": '42["event"]',
    "an event with too many": '42["event",1,2,3,4]',
    "an event of a wrong type": '42["event",[[[]]]]',
    "an answer to nothing": '42["javascript_response",{"request_id":"x","result":1}]',
    "an ack of nothing": '42["ack",{"client_id":"x","next_message_id":-1}]',
    "a log line": '42["log",{"client_id":"x","level":"error","message":"forged"}]',
    "a deep message": '42["event",' + "[" * 5000 + "]" * 5000 + "]",
    "another namespace": "40/admin,",
    "an acknowledgement": '43999["x"]',
    "a disconnection": "41",
    "a close": "1",
    "bytes": b"\x00\x01\xff",
}


@pytest.mark.parametrize("way", MESSAGES)
def test_a_socket_that_speaks_nonsense_harms_nobody(target, way):
    with contextlib.suppress(ConnectionClosed), target.talk() as link:
        link.send(MESSAGES[way])
        frames(link, for_s=0.15)


def test_events_of_an_own_page_that_it_never_sends(target):
    client_id = target.page("/risk")
    with target.talk(query=f"&client_id={client_id}") as link:
        link.send(handshake(client_id))
        frames(link, for_s=0.5)
        for element in range(60):
            for args in ([], [{}], ["KILL"], [None] * 50, [XSS]):
                event = {"id": element, "client_id": client_id, "listener_id": "x", "args": args}
                link.send("42" + json.dumps(["event", event]))
        for method in ("run_method", "delete", "__init__", "post"):
            link.send("42" + json.dumps([method, {"client_id": client_id}]))
        frames(link, for_s=0.5)


def test_a_great_message_ends_its_socket(target):
    with target.talk() as link:
        with contextlib.suppress(ConnectionClosed):
            link.send('42["event",{"x":"' + "a" * 400_000 + '"}]')
        frames(link, for_s=2)
        with pytest.raises(ConnectionClosed):
            link.recv(timeout=1)


def test_many_sockets_keep_nobody_out(target):
    with contextlib.ExitStack() as opened:
        for _ in range(60):
            opened.enter_context(target.socket())
        assert target.is_well()
    assert target.is_well()


def test_hostile_texts_reach_the_browser_as_texts(target):
    client_id = target.page("/alerts")
    with target.talk(query=f"&client_id={client_id}") as link:
        link.send(handshake(client_id))
        sent = []
        deadline = time.monotonic() + 8
        while not any(XSS[:20] in text for text in sent) and time.monotonic() < deadline:
            sent += frames(link, for_s=0.3)
    found = [
        holder
        for text in sent
        if text.startswith("42")
        for holder in holders(json.loads(text[2:]), [])
    ]
    assert found
    for holder in found:
        assert holder[-1] in {"text", "title"}
        assert not {"innerHTML", "code", "href", "src", "template"} & set(holder)


def holders(value, keys):
    """Yield the keys above every text that holds the hostile one."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from holders(item, [*keys, key])
    elif isinstance(value, list):
        for item in value:
            yield from holders(item, keys)
    elif isinstance(value, str) and XSS[:8] in value:
        yield keys


def test_no_page_brings_hostile_texts_with_it(target):
    for path in PAGES:
        _, answer = target.get(path)
        assert b"<img src=x" not in answer
        assert b"onerror=fetch" not in answer


@pytest.fixture
def locked(tmp_path):
    """Give a dashboard of its own, without a system, whose logins last a second."""
    dashboard = Dashboard(tmp_path, TRADING_DASHBOARD__SESSION_S="1")
    try:
        dashboard.started()
        yield dashboard
    finally:
        dashboard.process.kill()
        dashboard.process.wait()
        dashboard.process.stdout.close()


def test_old_sessions_end_and_guessing_is_locked_out(locked):
    began = time.monotonic()
    assert locked.get("/")[0] == 200
    code = locked.new_code()
    statuses = [locked.post("/login", FORM, body=b"code=" + b"C" * 43, cookie="")[0]]
    for scheme in ("Bearer", "Bearer x", "Basic {0}", "{0}"):
        header = f"Authorization: {scheme.format(locked.link_token)}"
        statuses.append(locked.post("/login-links", header, cookie="")[0])
    assert statuses == [401] * 5
    for _ in range(20):
        assert locked.post("/login", FORM, body=b"code=" + b"C" * 43, cookie="")[0] == 429
    # The right code does not tell itself from a wrong one either.
    assert locked.log_in(code) is None
    bearer = f"Authorization: Bearer {locked.link_token}"
    assert locked.post("/login-links", bearer, cookie="")[0] == 429
    time.sleep(max(0.0, began + 1.1 - time.monotonic()))
    assert locked.get("/")[0] == 401
