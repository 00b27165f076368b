"""A thousand hostile requests and twenty clients that never read: the venue shrugs."""

import json
import random
import select
import socket
import time
from contextlib import suppress

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("hostile")]

MIB = 1 << 20
HTTP_ROUNDS = 10
SOCKET_ROUNDS = 5
DEAF_CLIENTS = 20
CREATE = "/v5/order/create"
TIMEOUT_S = 110
SYMBOLS = "BTCUSDT,ETHUSDT,SOLUSDT"

ORDER = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": "0.01",
    "price": "60000",
}
BAD_VALUES = [
    None,
    True,
    -1,
    0,
    10**400,
    1e308,
    [],
    {},
    [["0.01"]],
    "",
    " ",
    "NaN",
    "Infinity",
    "-Infinity",
    "-0.01",
    "1e999999",
    "1e-999999",
    "0x10",
    "١٢",
    "9" * 5000,
    "\u0000",
    "\ud800",
]
BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"12",
    b'"text"',
    b"NaN",
    b'{"qty": NaN}',
    b'{"qty": Infinity}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"category":"linear","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b"\xff\xfe\x00",
    b'{"category":"\xc3\x28"}',
    b'{"category":"linear","category":"spot"}',
    b'{"category":"linear",}',
    b"\x00" * 1000,
    b'{"category":"linear","request":' + b"[{}]" + b"}",
    json.dumps({"category": "linear", "request": [ORDER] * 2000}).encode(),
]
BAD_QUERIES = [
    b"category=linear&symbol=BTCUSDT&limit=-1",
    b"category=linear&symbol=BTCUSDT&limit=99999999999999999999",
    b"category=linear&symbol=BTCUSDT&limit=1e3",
    b"category=linear&symbol=%00%ff%fe",
    b"category=linear&symbol=BTCUSDT&startTime=abc&endTime=NaN",
    b"category=linear&symbol=BTCUSDT&startTime=9999999999999999&endTime=-1",
    b"category=linear&cursor=%25%25%25",
    b"category=linear&cursor=" + b"A" * 4000,
    b"category=nope",
    b"&&&===&",
    b"category=linear&category=spot&category=",
    b"symbol",
]
SIGNED_READS = [
    "/v5/order/realtime",
    "/v5/order/history",
    "/v5/execution/list",
    "/v5/position/list",
]
PUBLIC_READS = [
    "/v5/market/kline",
    "/v5/market/orderbook",
    "/v5/market/tickers",
    "/v5/market/recent-trade",
    "/v5/market/instruments-info",
]
WRITES = ["/v5/order/create-batch", "/v5/order/amend", "/v5/order/cancel", "/v5/order/cancel-all"]


def raw_requests():
    """Return requests that break HTTP itself, as (bytes, drop the connection at once)."""
    host = b"Host: venue\r\n"
    post = b"POST " + CREATE.encode() + b" HTTP/1.1\r\n" + host
    get = b"GET /v5/market/time HTTP/1.1\r\n" + host
    garbage = random.Random(7).randbytes(4096)
    return [
        (garbage, False),
        (b"\r\n" * 500, False),
        (b"GET\r\n\r\n", False),
        (b"GET / HTTP/9.9\r\n\r\n", False),
        (b"BREW /v5/market/time HTTP/1.1\r\n" + host + b"\r\n", False),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + host + b"\r\n", False),
        (b"GET /%zz%00/../../etc/passwd HTTP/1.1\r\n" + host + b"\r\n", False),
        (b"GET /v5/market/time\xff\xfe HTTP/1.1\r\n" + host + b"\r\n", False),
        (get + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n", False),
        (get + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n", False),
        (get + b"X-Bad\x00Name: y\r\n\r\n", False),
        (post + b"Content-Length: -5\r\n\r\n{}", False),
        (post + b"Content-Length: 99999999999999999999\r\n\r\n{}", False),
        (post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", False),
        (post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", False),
        (post + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n{}\r\n0\r\n\r\n", False),
        (post + b"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n{}", False),
        (post + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", False),
        (post + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", False),
        (post + b"Content-Length: 1000\r\n\r\n{", True),
        (b"POST " + CREATE.encode() + b" HT", True),
        (get, True),
        (get + b"\r\n" + garbage, False),
        ((get + b"\r\n") * 50 + b"\x16\x03\x01\x02", False),
        (b"GET /v5/public/linear HTTP/1.1\r\n" + host + b"Upgrade: websocket\r\n\r\n", False),
    ]


def judge(status, answer):
    """Every decoded answer is a refusal or an ordinary answer, never a fault of the venue."""
    assert 200 <= status < 500, (status, answer)
    if status == 200:
        assert answer["retCode"] != 10016, answer


def hostile_http(venue):
    """Send the HTTP part; return how many requests that were."""
    sent = 0
    for _ in range(HTTP_ROUNDS):
        for data, half in raw_requests():
            venue.send_raw(data, half=half)
            sent += 1
        for body in BAD_BODIES:
            judge(*venue.signed("POST", random.Random(sent).choice([CREATE, *WRITES]), body))
            sent += 1
        for number, query in enumerate(BAD_QUERIES):
            path = SIGNED_READS[(sent + number) % len(SIGNED_READS)]
            judge(*venue.signed("GET", path, query))
            public = PUBLIC_READS[(sent + number) % len(PUBLIC_READS)]
            judge(*venue.send("GET", f"{public}?{query.decode('ascii')}"))
            sent += 2
    return sent + hostile_orders(venue) + unknown_routes(venue)


def hostile_orders(venue):
    """Send signed orders in which one field is nonsense; none may be accepted as it is."""
    sent = 0
    for key in ("category", "symbol", "side", "orderType", "qty", "price"):
        for value in BAD_VALUES:
            body = json.dumps(ORDER | {key: value}).encode()
            status, answer = venue.signed("POST", CREATE, body)
            judge(status, answer)
            assert answer["retCode"] != 0, (key, value, answer)
            sent += 1
    return sent


def unknown_routes(venue):
    """Ask for what is not there, and with methods that do not fit."""
    wanted = [
        ("GET", "/", 404),
        ("GET", "/v5/market/nothing", 404),
        ("POST", "/v5/market/time", 400),
        ("GET", CREATE, 400),
        ("DELETE", CREATE, 400),
        ("POST", CREATE, 401),
    ]
    for method, path, status in wanted:
        assert venue.send(method, path)[0] == status, (method, path)
    return len(wanted)


def bad_frames():
    """Return hostile frames: (payload, opcode, further options of ``send_frame``)."""
    topics = [f"orderbook.50.NOSUCH{number}USDT" for number in range(3000)]
    texts = [
        "",
        "not json",
        "[" * 100_000,
        "null",
        "[]",
        "{}",
        '{"op":1}',
        '{"op":null,"args":null}',
        '{"op":"dance"}',
        '{"op":"subscribe"}',
        '{"op":"subscribe","args":"orderbook.50.BTCUSDT"}',
        '{"op":"subscribe","args":[1,null,{},[]]}',
        '{"op":"subscribe","args":["orderbook.7.BTCUSDT","","\\u0000"]}',
        '{"op":"subscribe","req_id":{"a":[1]},"args":["kline.1.BTCUSDT"]}',
        '{"op":"unsubscribe","args":["never.subscribed"]}',
        '{"op":"auth","args":["k",NaN,"s"]}',
        '{"op":"auth","args":[1e999,{},[]]}',
        '{"op":"auth","args":["\\ud800","1","\\u0000"]}',
        '{"op":"order.create","reqId":1,"header":[],"args":{}}',
        '{"op":"order.create","reqId":"x","header":{},"args":[{"category":[]}]}',
        json.dumps({"op": "subscribe", "args": topics}),
        json.dumps({"op": "ping", "req_id": "p" * 200_000}),
    ]
    return [(text, 1, {}) for text in texts] + [
        (b"\xff\xfe\xc3\x28", 1, {}),
        (b"\x00\x01binary", 2, {}),
        (b"x" * 10, 3, {}),
        (b"x" * 10, 0, {}),
        (b"x" * 200, 9, {}),
        (b"\x03\xe7why", 8, {}),
        (b"x" * 10, 1, {"masked": False}),
        (b'{"op":"ping"', 1, {"final": False}),
        (b"{}", 1, {"size": 5 * MIB}),
        (b"{}", 1, {"size": (1 << 63) - 1}),
        (b"x" * (5 * MIB), 1, {}),
        (b"x" * (5 * MIB), 2, {}),
    ]


def hostile_frames(venue):
    """Send the WebSocket part; return how many frames that were."""
    sent = 0
    for number in range(SOCKET_ROUNDS):
        for payload, opcode, options in bad_frames():
            paths = ("/v5/public/linear", "/v5/private", "/v5/trade")
            client = venue.websocket(paths[(number + sent) % len(paths)])
            with suppress(ConnectionError, TimeoutError):
                client.send_frame(payload, opcode, **options)
                client.read(deadline_s=0.02)
            client.close()
            sent += 1
        sent += subscription_flood(venue)
    return sent


def subscription_flood(venue):
    """Subscribe and unsubscribe the deepest book a hundred times without waiting."""
    client = venue.websocket("/v5/public/linear")
    with suppress(ConnectionError, TimeoutError):
        for number in range(50):
            for op in ("subscribe", "unsubscribe"):
                topic = f"orderbook.{(50, 200)[number % 2]}.BTCUSDT"
                client.send_frame(json.dumps({"op": op, "req_id": number, "args": [topic]}))
        client.read(deadline_s=0.05)
    client.close()
    return 100


class DeafClient:
    """Subscribes to everything and never reads a byte."""

    def __init__(self, venue, symbols):
        self.socket = venue.websocket("/v5/public/linear", receive_buffer=4096)
        topics = [
            f"{name}.{symbol}"
            for symbol in symbols
            for name in (
                "orderbook.1",
                "orderbook.50",
                "orderbook.200",
                "orderbook.1000",
                "publicTrade",
                "tickers",
                "kline.1",
            )
        ]
        self.socket.send_frame(json.dumps({"op": "subscribe", "args": topics}))
        self.socket.link.setblocking(False)

    def is_cut(self):
        """Whether the venue has closed this connection: then it refuses what is sent to it."""
        poll = select.poll()
        poll.register(self.socket.link, select.POLLHUP | select.POLLERR)
        try:
            self.socket.send_frame('{"op":"nothing"}')
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        return bool(poll.poll(0))


def slow_requests(venue):
    """Open requests that stay unfinished."""
    links = [venue.connect() for _ in range(40)]
    for number, link in enumerate(links):
        head = b"POST /v5/order/create HTTP/1.1\r\nHost: venue\r\nContent-Length: 100\r\n"
        link.sendall(head if number % 2 else head + b"\r\n{")
    return links


def answer_time_s(venue):
    started = time.monotonic()
    venue.now_ms()
    return time.monotonic() - started


@pytest.mark.timeout(TIMEOUT_S)
def test_hostile_requests_and_deaf_clients_leave_the_venue_as_it_was(start_venue, wait_until):
    venue = start_venue("--limits", "off", "--activity", "25", "--symbols", SYMBOLS)
    for _ in range(20):
        venue.now_ms()
    files, before = venue.open_files(), venue.rss_bytes()
    slow = slow_requests(venue)
    sent = hostile_http(venue) + hostile_frames(venue)
    assert sent >= 1000
    deaf = [DeafClient(venue, venue.ready["symbols"]) for _ in range(DEAF_CLIENTS)]
    left = set(deaf)

    def all_are_cut():
        assert answer_time_s(venue) < 2.0
        left.difference_update([client for client in left if client.is_cut()])
        return not left

    wait_until(all_are_cut, deadline_s=40, what="never-reading clients are closed")
    assert venue.rss_bytes() - before < 50 * MIB
    for link in [*slow, *(client.socket.link for client in deaf)]:
        link.close()
    wait_until(lambda: venue.open_files() <= files, deadline_s=15, what="sockets are released")
    assert "Traceback" not in venue.errors()
    assert venue.stop() == 0


def order_body(size):
    return json.dumps(ORDER | {"orderLinkId": "x" * size}).encode()


@pytest.mark.parametrize("is_signed", [True, False], ids=["signed", "unsigned"])
def test_body_over_one_mebibyte_gets_413(start_venue, is_signed):
    venue = start_venue()
    send = venue.signed if is_signed else venue.send
    assert send("POST", CREATE, order_body(5 * MIB))[0] == 413
    assert send("POST", CREATE, order_body(MIB // 2))[0] != 413


def test_chunked_body_over_one_mebibyte_gets_413(start_venue):
    venue = start_venue()
    head = (
        f"POST {CREATE} HTTP/1.1\r\nHost: venue\r\nX-BAPI-API-KEY: k\r\nX-BAPI-SIGN: s\r\n"
        "X-BAPI-TIMESTAMP: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with venue.connect() as link:
        link.sendall(head.encode())
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with suppress(ConnectionError):
            for _ in range(80):
                link.sendall(chunk)
        link.settimeout(5)
        assert link.recv(64).startswith(b"HTTP/1.1 413 ")


def test_message_over_one_mebibyte_closes_only_its_connection(start_venue):
    venue = start_venue()
    bystander = venue.websocket("/v5/public/linear")
    giant = venue.websocket("/v5/public/linear")
    with suppress(ConnectionError):
        giant.send_frame(b"x" * (5 * MIB))
    giant.link.settimeout(5)
    with suppress(ConnectionError):
        while giant.link.recv(1 << 16):
            pass
    bystander.send_frame('{"op":"ping"}')
    assert b"pong" in bystander.link.recv(1 << 16)
    for client in (bystander, giant):
        client.close()


def test_sigterm_with_open_connections_exits_zero(start_venue):
    venue = start_venue()
    clients = [DeafClient(venue, venue.ready["symbols"]) for _ in range(3)]
    half = venue.connect()
    half.sendall(b"GET /v5/market/time HTT")
    assert venue.stop() == 0
    assert "Traceback" not in venue.errors()
    half.close()
    for client in clients:
        with suppress(OSError):
            client.socket.link.shutdown(socket.SHUT_RDWR)
        client.socket.close()
