"""The control API on a real socket, under what no honest client would send.

One server for all: after every attack nothing was commanded, and it still answers.
"""

import base64
import contextlib
import itertools
import json
import os
import socket
import struct
import time
from pathlib import Path

import pytest
from api_thread import ApiThread
from control_desk import FakeControl
from inspection import FakeInspection, full_status

pytestmark = pytest.mark.browser

CLOSE, TEXT, BINARY, PING = 8, 1, 2, 9
NO_ANSWER = 0
"""Status of a connection that was closed without a word."""

KILL = b'{"confirm":"KILL"}'
XSS = "<script>fetch('//evil')</script>\"'\u2028"


class Control(FakeControl):
    def get_system_status(self):
        return full_status()


class Target(ApiThread):
    """The server in a thread of its own, and sockets that speak to it as badly as asked."""

    def __init__(self, folder):
        super().__init__(folder, Control(), FakeInspection())

    def connect(self, *, receive_buffer=None):
        link = socket.socket()
        link.settimeout(5)
        if receive_buffer:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        link.connect(("127.0.0.1", self.port))
        return link

    def raw(self, data):
        """Send bytes; return the status and everything that came back."""
        with self.connect() as link:
            with contextlib.suppress(ConnectionError):
                link.sendall(data)
            answer = read_all(link)
        return status_of(answer), answer

    def head(self, method, path, *headers, host=True, token=True):
        lines = [f"{method} {path} HTTP/1.1".encode()]
        if host:
            lines.append(f"Host: {self.host}".encode())
        if token:
            lines.append(f"Authorization: Bearer {self.token}".encode())
        lines += [h if isinstance(h, bytes) else h.encode("latin-1") for h in headers]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def get(self, path, *headers, **options):
        return self.raw(self.head("GET", path, "Connection: close", *headers, **options))

    def post(self, path, body=KILL, *headers, kind="application/json", **options):
        more = [f"Content-Type: {kind}"] if kind else []
        more += [f"Content-Length: {len(body)}", "Connection: close", *headers]
        return self.raw(self.head("POST", path, *more, **options) + body)

    def stream(self, *headers, receive_buffer=None, **options):
        """Open the WebSocket; return the link and the answer's head."""
        link = self.connect(receive_buffer=receive_buffer)
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = (
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        link.sendall(self.head("GET", "/stream", *upgrade, *headers, **options))
        answer = b""
        while b"\r\n\r\n" not in answer:
            chunk = link.recv(1)
            if not chunk:
                break
            answer += chunk
        return link, answer

    def is_well(self):
        status, answer = self.get(
            "/whoami", f"Authorization: Bearer {self.read_token}", token=False
        )
        return status == 200 and answer.endswith(b'{"role":"read"}')


def read_all(link):
    data = b""
    try:
        while chunk := link.recv(65536):
            data += chunk
    except (ConnectionError, TimeoutError):
        pass
    return data


def status_of(answer):
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else NO_ANSWER


def frame(payload, opcode=TEXT, *, masked=True, final=True, length=None):
    """Return one WebSocket frame; ``length`` announces another than is sent."""
    size = len(payload) if length is None else length
    head = bytes([(0x80 if final else 0) | opcode])
    bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def close_code(link):
    """Read frames until the server closes; return its code, None without one."""
    data = read_all(link)
    while len(data) >= 2:
        size, start = data[1] & 0x7F, 2
        if size == 126:
            size, start = struct.unpack("!H", data[2:4])[0], 4
        elif size == 127:
            size, start = struct.unpack("!Q", data[2:10])[0], 10
        if data[0] & 0x0F == CLOSE:
            return struct.unpack("!H", data[start : start + 2])[0]
        data = data[start + size :]
    return None


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    target = Target(tmp_path_factory.mktemp("api"))
    target.start()
    yield target
    assert target.stop() < 3


@pytest.fixture
def target(running):
    """Give the server; afterwards nothing may have been commanded, and it must answer."""
    yield running
    assert running.control.calls == []
    assert running.inspection.noted == []
    for _ in range(20):
        if running.is_well():
            return
        time.sleep(0.1)  # a budget that an attack used up flows back
    raise AssertionError("the server does not answer any more")


COMMANDS = {
    "/stop": b"{}",
    "/pause": b"{}",
    "/resume": b"{}",
    "/reduce-only": b"{}",
    "/kill": KILL,
    "/execute": b'{"symbol":"BTCUSDT","side":"Buy","quantity":"1"}',
    "/alerts/a3f1c2/acknowledge": b'{"note":"x"}',
}
WRONG = {
    "no token": (),
    "an empty token": ("Authorization: Bearer ",),
    "another scheme": ("Authorization: Basic {token}",),
    "the token alone": ("Authorization: {token}",),
    "the token in a cookie": ("Cookie: token={token}; Authorization=Bearer {token}",),
    "the token in other headers": ("X-Api-Key: {token}", "Proxy-Authorization: Bearer {token}"),
    "the token twice": ("Authorization: Bearer {token}", "Authorization: Bearer {token}"),
}


@pytest.mark.parametrize("path", COMMANDS)
def test_the_read_token_commands_nothing(target, path):
    header = f"Authorization: Bearer {target.read_token}"
    status, answer = target.post(path, COMMANDS[path], header, token=False)
    assert status == 403
    assert b"needs the control token" in answer


@pytest.mark.parametrize("way", WRONG)
def test_without_exactly_one_right_token_nothing_is_done(target, way):
    headers = [header.format(token=target.token) for header in WRONG[way]]
    assert target.post("/kill", KILL, *headers, token=False)[0] in {401, 429}
    assert target.get("/status", *headers, token=False)[0] in {401, 429}


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "Authorization"])
def test_a_token_in_the_query_is_none(target, name):
    path = f"/kill?{name}=Bearer%20{target.token}"
    assert target.post(path, KILL, token=False)[0] == 401


HOSTS = (
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.0.0.1:{port}.evil.example",
    "127.0.0.1.nip.io:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "0177.0.0.1:{port}",
    "0.0.0.0:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "localhost.:{port}",
    "user@127.0.0.1:{port}",
    "127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port},evil.example",
    "127.0.0.1:0{port}",
    "",
)


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_name_commands_nothing(target, host):
    header = f"Host: {host.format(port=target.port)}"
    assert target.post("/kill", KILL, header, host=False)[0] in {400, 403}


def test_a_forwarded_host_does_not_count(target):
    headers = (f"X-Forwarded-Host: {target.host}", f"Forwarded: host={target.host}", "Host: evil")
    assert target.post("/kill", KILL, *headers, host=False)[0] == 403


def test_no_host_and_two_hosts_are_refused(target):
    assert target.post("/kill", KILL, host=False)[0] in {400, 403}
    assert target.post("/kill", KILL, "Host: evil.example")[0] in {400, 403}
    old = f"POST /kill HTTP/1.0\r\nAuthorization: Bearer {target.token}\r\n".encode()
    more = b"Content-Type: application/json\r\nContent-Length: 18\r\n\r\n" + KILL
    assert target.raw(old + more)[0] in {400, 403}


@pytest.mark.parametrize("form", ["http://evil.example/kill", "http://{host}/kill", "//evil/kill"])
def test_an_absolute_target_commands_nothing(target, form):
    assert target.post(form.format(host=target.host))[0] in {400, 404}


@pytest.mark.parametrize("origin", ["http://{host}", "null", "", "https://evil.example", "file://"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PUT"])
def test_a_web_page_gets_nothing_and_no_permission(target, origin, method):
    header = f"Origin: {origin.format(host=target.host)}"
    path = "/status" if method == "GET" else "/kill"
    preflight = ("Access-Control-Request-Method: POST", "Content-Length: 0", "Connection: close")
    status, answer = target.raw(target.head(method, path, header, *preflight))
    assert status == 403
    assert b"access-control" not in answer.lower()


KINDS = (
    None,
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "application/json, text/plain",
    "application/jsonp",
    "text/json",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_or_a_text_is_no_command(target, kind):
    assert target.post("/kill", KILL, kind=kind)[0] == 415


def test_two_content_types_and_compression_are_refused(target):
    assert target.post("/kill", KILL, "Content-Type: text/plain")[0] == 415
    assert target.post("/kill", KILL, "Content-Encoding: gzip")[0] == 415


BODIES = {
    "nothing": b"",
    "no JSON": b"confirm=KILL",
    "deep nesting": b'{"confirm":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a deep object": b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
    "a huge integer": b'{"confirm":"KILL","flatten":' + b"9" * 10_000 + b"}",
    "a huge exponent": b'{"confirm":"KILL","flatten":1e999999999}',
    "NaN": b'{"confirm":"KILL","flatten":NaN}',
    "Infinity": b'{"confirm":"KILL","flatten":-Infinity}',
    "a key twice": b'{"confirm":"no","confirm":"KILL"}',
    "a key twice, escaped": b'{"confirm":"no","c\\u006fnfirm":"KILL"}',
    "an unknown key": b'{"confirm":"KILL","force":true}',
    "__proto__": b'{"confirm":"KILL","__proto__":{}}',
    "a number for a flag": b'{"confirm":"KILL","flatten":1}',
    "a list": b'["KILL"]',
    "a text": b'"KILL"',
    "null": b"null",
    "another case": b'{"confirm":"kill"}',
    "UTF-16": '{"confirm":"KILL"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + KILL,
    "broken UTF-8": b'{"confirm":"KILL","reason":"\xff"}',
    "a comment": b'{"confirm":"KILL"/**/}',
    "two documents": KILL + KILL,
    "a zero byte": KILL + b"\0",
    "a long reason": b'{"confirm":"KILL","reason":"' + b"x" * 201 + b'"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_not_what_it_should_be_commands_nothing(target, name):
    status, answer = target.post("/kill", BODIES[name])
    assert status == 422
    assert len(answer.partition(b"\r\n\r\n")[2]) < 400


ORDERS = (
    {"quantity": "-1"},
    {"quantity": "1e3"},
    {"quantity": "NaN"},
    {"quantity": 1},
    {"quantity": "0.0"},
    {"quantity": "9" * 40},
    {"symbol": "../BTCUSDT"},
    {"symbol": "BTCUSDT\n"},
    {"symbol": "BTC USDT"},
    {"side": "Buy "},
    {"urgency": "LOW; kill"},
    {"algorithm": None},
)


@pytest.mark.parametrize("change", ORDERS, ids=str)
def test_an_order_beyond_the_grammar_is_not_executed(target, change):
    order = {"symbol": "BTCUSDT", "side": "Buy", "quantity": "1", **change}
    assert target.post("/execute", json.dumps(order).encode())[0] == 422


def test_an_oversize_body_is_refused_unread(target):
    body = b'{"confirm":"KILL","reason":"' + b"x" * 70_000 + b'"}'
    assert target.post("/kill", body)[0] == 413
    claim = "Content-Length: 99999999999999999999"
    head = target.head("POST", "/kill", "Content-Type: application/json", claim)
    assert target.raw(head)[0] in {400, 413}


@pytest.mark.parametrize("length", ["-1", "+18", "0x12", "1_8", "18, 19", "18\t19", "²"])
def test_a_length_that_is_no_number_is_refused(target, length):
    head = target.head(
        "POST", "/kill", "Content-Type: application/json", f"Content-Length: {length}"
    )
    status, _ = target.raw(head + KILL)
    assert status in {400, 411, 413}


SMUGGLED = b"POST /stop HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"12\r\n" + KILL + b"\r\n0\r\n\r\n"
ENCODINGS = (
    ("Transfer-Encoding: chunked",),
    ("Transfer-Encoding: chunked", "Content-Length: 18"),
    ("Content-Length: 6", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: xchunked", "Content-Length: 18"),
    ("Transfer-Encoding: chunked, identity",),
    ("Transfer-Encoding: identity", "Content-Length: 18"),
    ("Transfer-Encoding : chunked", "Content-Length: 18"),
    ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ("Content-Length: 18", "Content-Length: 19"),
)


@pytest.mark.parametrize("headers", ENCODINGS, ids=str)
def test_a_body_of_two_lengths_smuggles_nothing(target, headers):
    head = target.head("POST", "/kill", "Content-Type: application/json", *headers)
    status, answer = target.raw(head + CHUNKED + SMUGGLED)
    assert status in {400, 411, 501}
    assert answer.count(b"HTTP/1.1 ") == 1


def test_what_follows_a_refused_request_is_not_served(target):
    first = target.head("POST", "/kill", "Content-Type: text/plain", "Content-Length: 0")
    second = target.head("GET", "/status", "Connection: close")
    status, answer = target.raw(first + second)
    assert status == 415
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "KILL"]
)
def test_other_methods_do_nothing(target, method):
    status, answer = target.raw(target.head(method, "/kill", "Connection: close"))
    assert status in {400, 405}
    assert target.token.encode() not in answer


def test_commands_are_not_followed_by_a_link(target):
    for path in COMMANDS:
        assert target.get(path)[0] in {404, 405}
    headers = ("X-HTTP-Method-Override: POST", "X-HTTP-Method: POST")
    assert target.get("/kill?_method=POST", *headers)[0] == 405


PATHS = (
    "/../kill",
    "/status/../../etc/passwd",
    "/market/..%2f..%2fetc%2fpasswd",
    "/market/%2e%2e/status",
    "/market/BTCUSDT%00",
    "/market/BTCUSDT%0d%0aX:1",
    "/market/%C0%AE%C0%AE",
    "/market/" + "A" * 5000,
    "/status;/kill",
    "/status/",
    "//status",
    "/STATUS",
    "/docs",
    "/redoc",
    "/static/../api.json",
    "/read.token",
    "/api.json",
    "/alerts/%3Cscript%3E/acknowledge",
)


@pytest.mark.parametrize("path", PATHS)
def test_a_strange_path_leads_nowhere(target, path):
    status, answer = target.get(path)
    assert status in {400, 404, 405, 422}
    assert b"<script>" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "query",
    ["limit=1&limit=500000", "symbol=%27;drop", "limit=", "limit=1.5", "limit=%EF%BC%91x", "x=1"],
)
def test_a_strange_query_is_refused(target, query):
    assert target.get(f"/fills?{query}")[0] == 422


INJECTED = (
    b"X-Test: a\r\n b",
    b"X-Test: a\x00b",
    b"X-Test: a\nHost: evil",
    b"X Test: a",
    b": a",
    b"X-Test\x0b: a",
    b"no colon at all",
)


@pytest.mark.parametrize("header", INJECTED)
def test_an_injected_header_changes_nothing(target, header):
    status, answer = target.raw(target.head("PUT", "/kill", header, "Connection: close"))
    assert status in {400, 403, 405}
    assert b"x-test" not in answer.lower()


def test_a_giant_head_is_cut_off(target):
    assert target.get("/status", "X-Test: " + "x" * 40_000)[0] in {NO_ANSWER, 400, 431}
    many = [f"X-{number}: x" for number in range(5000)]
    assert target.get("/status", *many)[0] in {NO_ANSWER, 400, 431}


def test_noise_and_other_protocols_are_no_requests(target):
    for noise in (os.urandom(3000), b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        assert target.raw(noise + b"\r\n\r\n")[0] in {NO_ANSWER, 400, 403}


def test_an_upgrade_of_a_command_does_nothing(target):
    upgrades = ("Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    body = ("Content-Type: text/plain", "Content-Length: 0")
    assert target.raw(target.head("POST", "/kill", *upgrades, *body))[0] in {400, 415}


def test_a_thousand_idle_connections_keep_nobody_out(target):
    links = []
    try:
        for _ in range(1000):
            links.append(target.connect())
        assert target.is_well()
        began = time.monotonic()
        assert target.get("/status")[0] == 200
        assert time.monotonic() - began < 1
    finally:
        for link in links:
            link.close()


def test_heads_that_never_end_are_dropped_for_newer_ones(target):
    slow = []
    try:
        for _ in range(300):
            link = target.connect()
            link.sendall(b"GET /status HTTP/1.1\r\nX-Slow: ")
            slow.append(link)
        assert target.is_well()
        slow[0].settimeout(2)
        with contextlib.suppress(ConnectionError):
            assert slow[0].recv(100) == b""
    finally:
        for link in slow:
            link.close()


def test_bodies_that_never_end_hold_no_command_up(target):
    links = []
    head = target.head("POST", "/kill", "Content-Type: application/json", "Content-Length: 18")
    try:
        for _ in range(50):
            link = target.connect()
            link.sendall(head + b'{"confirm":')
            links.append(link)
        assert target.is_well()
        links[0].settimeout(8)
        assert status_of(links[0].recv(1000)) == 408
    finally:
        for link in links:
            link.close()


def test_a_command_that_is_cut_short_is_not_done(target):
    head = target.head("POST", "/kill", "Content-Type: application/json", "Content-Length: 19")
    with target.connect() as link:
        link.sendall(head + KILL)
    with target.connect() as link:
        link.sendall(head + KILL)
        link.shutdown(socket.SHUT_WR)
        assert status_of(read_all(link)) in {NO_ANSWER, 400}


def test_answers_that_are_never_read_block_no_other(target):
    links = []
    try:
        for _ in range(10):
            link = target.connect(receive_buffer=4096)
            link.sendall(target.head("GET", "/journal?limit=500") * 5)
            links.append(link)
        assert target.is_well()
    finally:
        for link in links:
            link.close()


STREAM_REFUSALS = {
    "no token": ([], {"token": False}, 401),
    "token in the protocol": (["Sec-WebSocket-Protocol: bearer, {token}"], {"token": False}, 401),
    "a cookie": (["Cookie: token={token}"], {"token": False}, 401),
    "own Origin": (["Origin: http://{host}"], {}, 403),
    "null Origin": (["Origin: null"], {}, 403),
    "evil Origin": (["Origin: https://evil.example"], {}, 403),
    "another Host": (["Host: evil.example"], {"host": False}, 403),
    "another port": (["Host: 127.0.0.1:1"], {"host": False}, 403),
}


@pytest.mark.parametrize("name", STREAM_REFUSALS)
def test_a_stream_opens_for_nobody_else(target, name):
    headers, options, status = STREAM_REFUSALS[name]
    filled = [header.format(token=target.token, host=target.host) for header in headers]
    link, answer = target.stream(*filled, **options)
    link.close()
    assert status_of(answer) == status
    assert b"content-security-policy" in answer.lower()


MESSAGES = {
    "too large": (frame(b"x" * 5000), 1009),
    "announced too large": (frame(b"x", length=2**40), 1009),
    "binary": (frame(b"{}", BINARY), 1003),
    "not masked": (frame(b"{}", masked=False), 1002),
    "no UTF-8": (frame(b"\xff\xfe"), 1007),
    "an unknown opcode": (frame(b"", 5), 1002),
    "a large ping": (frame(b"x" * 200, PING), 1002),
    "a flood": (frame(b"{}") * 60, 1008),
    "a fragment without end": (frame(b"x" * 3000, final=False) + frame(b"x" * 3000, 0), 1009),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_bad_frame_ends_its_stream_only(target, name):
    data, code = MESSAGES[name]
    link, answer = target.stream()
    assert status_of(answer) == 101
    with link, target.clock.held():
        with contextlib.suppress(ConnectionError):
            link.sendall(data)
        assert close_code(link) in {code, None if name == "no UTF-8" else code}


def test_a_stream_commands_nothing(target):
    link, _ = target.stream()
    with link:
        for text in (b'{"kill":{"confirm":"KILL"}}', b'{"subscribe":["kill"]}', b"POST /kill"):
            link.sendall(frame(text))
            assert b"error" in link.recv(1000)


def test_only_16_streams_open(target):
    links = [target.stream() for _ in range(17)]
    try:
        statuses = [status_of(answer) for _, answer in links]
    finally:
        for link, _ in links:
            link.close()
    assert statuses == [101] * 16 + [503]


def test_a_stream_that_is_never_read_is_cut_off(target):
    link, _ = target.stream(receive_buffer=4096)
    topics = ["market:BTCUSDT", "market:ETHUSDT", "status", "fills", "orders", "positions"]
    with link:
        link.sendall(frame(json.dumps({"subscribe": topics}).encode()))
        ends = time.monotonic() + 15
        while time.monotonic() < ends and not is_reset(link):
            target.inspection.book_version += 1
            time.sleep(0.05)
        assert is_reset(link)


def is_reset(link):
    """Return whether the peer has given the connection up, without reading what it sent."""
    state = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != 1  # ESTABLISHED


def test_a_note_with_markup_is_data(running):
    body = json.dumps({"note": XSS}).encode()
    status, answer = running.post("/alerts/a3f1c2/acknowledge", body)
    head, _, content = answer.partition(b"\r\n\r\n")
    assert (status, running.inspection.noted) == (200, [("a3f1c2", XSS)])
    assert b"content-type: application/json" in head.lower()
    assert b"nosniff" in head
    assert json.loads(content)["note"] == XSS
    running.inspection.noted.clear()


def test_guessing_is_slowed_down_and_locks_nobody_out(target):
    guesses = [target.get("/status", f"Authorization: Bearer {n}", token=False) for n in range(12)]
    assert guesses[-1][0] == 429
    assert b"retry-after: " in guesses[-1][1].lower()
    assert {status for status, _ in guesses} <= {401, 429}
    assert target.get("/status")[0] == 200


def test_a_flood_of_reads_is_refused_and_a_kill_is_not(running):
    with running.clock.held():
        assert flooded(running, running.token)[-1] == 429
        assert running.post("/kill")[0] == 200
    assert running.control.calls == [("kill", "requested by operator", False)]
    running.control.calls.clear()


def test_whoever_may_only_read_cannot_keep_the_operator_from_reading(target):
    with target.clock.held():
        statuses = flooded(target, target.read_token)
        assert set(statuses[:-1]) == {200}
        assert statuses[-1] == 429
        assert target.get("/status")[0] == 200


def flooded(target, token):
    """Ask over one connection until it ends or 400 times; return the statuses.

    Each answer is read before the next request goes out: a connection that ends over unread
    requests is reset, and a reset may destroy the answers before it.
    """
    head = target.head("GET", "/whoami", f"Authorization: Bearer {token}", token=False)
    statuses = []
    with target.connect() as link, link.makefile("rb") as answers:
        while len(statuses) < 400:
            link.sendall(head)
            lines = list(itertools.takewhile(bytes.strip, iter(answers.readline, b"")))
            statuses.append(status_of(lines[0]))
            if statuses[-1] != 200:
                break
            length = next(line for line in lines if line.lower().startswith(b"content-length:"))
            answers.read(int(length.partition(b":")[2]))
    return statuses


def test_the_announced_files_are_private(running):
    folder = Path(running._folder)
    for name in ("api.json", "read.token"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
