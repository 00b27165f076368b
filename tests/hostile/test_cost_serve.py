"""``trading-system cost serve`` as a child process, under requests no honest client would send."""

import asyncio
import gzip
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from trading_system.config.settings import load_settings
from trading_system.cost_simulator.feeds import BookView, Tick
from trading_system.cost_simulator.simulator import CostSimulator
from trading_system.domain.errors import TradingSystemError
from trading_system.runtime.clock import SystemClock

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
NOWHERE = Path("/nowhere")
READY_S = 90.0
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)
ASKED = "side=buy&quantity=1&volatility_bps=1"
JSON_TYPE = "Content-Type: application/json"
NUMBERS = (0, -1, 5e-324, 1e-300, 1e308, 10**400, float("nan"), float("inf"), 1, 0.5, 64_000)
TEXTS = (
    "",
    "nan",
    "1e999",
    "0x1",
    "x" * 70,
    "\ud800",
    "\x00",
    "buy",
    "sell",
    "limit",
    "usd",
    "okx",
)
STRANGE = (*NUMBERS, *TEXTS, 1e-9, 604_800, True, None, [], {}, "BTCUSDT", "BTC-USDT-SWAP")
KEYS = ("exchange", "instrument", "side", "quantity", "unit", "order_type", "price")
KEYS += ("volatility_bps", "tier", "horizon_s", "no such key")


class CostChild:
    """One running ``cost serve``; ended by its process id."""

    def __init__(self, folder):
        self.errors = folder / "serve.log"
        with self.errors.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trading_system", "cost", "serve", "--port", "0", "--json"],
                cwd=ROOT,
                env={**os.environ, "TRADING_DATA_DIR": str(folder / "data")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert select.select([self.process.stdout], [], [], READY_S)[0], "no ready line"
        self.ready = json.loads(self.process.stdout.readline())
        host, _, port = self.ready["url"].removeprefix("http://").partition(":")
        self.address = (host, int(port))

    def connect(self):
        link = socket.create_connection(self.address, timeout=5.0)
        link.settimeout(5.0)
        return link

    def raw(self, data):
        with self.connect() as link:
            link.sendall(data)
            return _read_all(link)

    def ask(self, path, *, method="GET", body=b"", headers=(), host="127.0.0.1"):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        lines += [f"Content-Length: {len(body)}"] if body else []
        answer = self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head, _, text = answer.partition(b"\r\n\r\n")
        return int(head[9:12]), json.loads(text)

    def post(self, body, *headers):
        return self.ask("/estimate", method="POST", body=body, headers=headers or (JSON_TYPE,))

    def watch(self, path, *, more="", host="127.0.0.1"):
        link = self.connect()
        link.sendall(UPGRADE.format(path=path, more=more, host=host).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += link.recv(1)
        return link, int(head[9:12])

    def venue_pid(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


def _read_all(link):
    data = b""
    while chunk := link.recv(1 << 16):
        data += chunk
    return data


def _until(condition, *, deadline_s, what):
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {deadline_s:.0f} s: {what}"
        select.select([], [], [], 0.05)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    child = CostChild(tmp_path_factory.mktemp("cost"))
    try:
        _until(lambda: child.ask("/health")[0] == 200, deadline_s=15, what="books")
        yield child
    finally:
        child.close()


def test_random_requests_never_break_the_server(served):
    chance = random.Random(4)
    statuses = set()
    for _ in range(400):
        asked = {key: chance.choice(STRANGE) for key in chance.sample(KEYS, chance.randint(0, 6))}
        asked |= (
            {"side": "buy", "quantity": 1.5, "volatility_bps": 1} if chance.random() < 0.3 else {}
        )
        status, answer = served.post(json.dumps(asked).encode())
        statuses.add(status)
        assert status in {200, 404, 422}, (asked, answer)
        assert status == 200 or {"error", "message", "remedy"} == set(answer)
    assert 422 in statuses


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"null", b"[]", b"[" * 60_000, b'{"a":1' + b"0" * 5000]
)
def test_body_that_is_no_object_is_refused(served, body):
    assert served.post(body)[0] == 422


def test_body_that_is_too_long_is_refused(served):
    assert served.post(b" " * 70_000)[0] == 413
    headers = (JSON_TYPE, "Content-Encoding: gzip")
    assert served.post(gzip.compress(b" " * 10_000_000), *headers)[0] == 413


@pytest.mark.parametrize(
    "charset",
    [
        "undefined",
        "idna",
        "punycode",
        "hex",
        "no-such",
    ],
)
def test_charset_that_decodes_nothing_is_the_callers_fault(served, charset):
    status, _ = served.post(b'{"a":"\xff"}', f"{JSON_TYPE}; charset={charset}")
    assert status == 422


def test_body_that_is_not_compressed_as_it_says_is_the_callers_fault(served):
    status, _ = served.post(b"not gzip", JSON_TYPE, "Content-Encoding: gzip")
    assert 400 <= status < 500


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "0.0.0.0", "localhost."]
)
def test_foreign_host_is_refused_on_both_ways_in(served, host):
    assert served.ask("/health", host=host)[0] == 403
    link, status = served.watch("/ws", host=host)
    link.close()
    assert status == 403


def test_web_page_is_refused_on_both_ways_in(served):
    assert served.ask("/health", headers=("Origin: null",))[0] == 403
    link, status = served.watch("/ws", more="Origin: http://127.0.0.1\r\n")
    link.close()
    assert status == 403


def test_clients_that_vanish_in_the_handshake_leave_no_traceback(served):
    before = served.errors.read_text().count("Traceback")
    for _ in range(50):
        link = served.connect()
        link.sendall(UPGRADE.format(path=f"/ws?{ASKED}", more="", host="127.0.0.1").encode())
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.close()
    _until(lambda: served.ask("/status")[1]["sockets"] == 0, deadline_s=5, what="sockets gone")
    assert served.errors.read_text().count("Traceback") == before


def test_watchers_that_never_read_do_not_slow_others_down(served):
    links = [served.watch(f"/ws?{ASKED}")[0] for _ in range(16)]
    try:
        started = time.monotonic()
        for _ in range(20):
            assert served.ask(f"/estimate?{ASKED}")[0] == 200
        assert time.monotonic() - started < 5.0
    finally:
        for link in links:
            link.close()


def test_dead_venue_gives_an_error_and_never_an_old_number(served):
    os.kill(served.venue_pid(), signal.SIGKILL)
    is_healthy = lambda: served.ask("/health")[0] == 200  # noqa: E731 - used twice, here only
    _until(lambda: not is_healthy(), deadline_s=5, what="noticed")
    for name in ("bybit", "okx"):
        status, answer = served.ask(f"/estimate?{ASKED}&exchange={name}")
        assert status == 503 or answer["book"]["age_ms"] < 1_000
    _until(is_healthy, deadline_s=20, what="books of the new venue")


def test_stopped_venue_makes_books_stale_within_their_limit(served):
    pid = served.venue_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        for name in ("bybit", "okx"):
            path = f"/estimate?{ASKED}&exchange={name}"
            _until(lambda path=path: served.ask(path)[0] == 503, deadline_s=8, what=name)
    finally:
        os.kill(pid, signal.SIGCONT)
    _until(lambda: served.ask("/health")[0] == 200, deadline_s=20, what="fresh books")


def test_sigterm_ends_it_although_watchers_do_not_answer(served):
    links = [served.watch(f"/ws?{ASKED}")[0] for _ in range(5)]
    venue = served.venue_pid()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(timeout=15) == 0
    assert not Path(f"/proc/{venue}").exists()
    for link in links:
        link.close()


class ThinAndDeep:
    """A feed whose one book can be made too thin for an order and deep again."""

    exchange = "bybit"
    products = {"BTCUSDT": "perpetual"}  # noqa: RUF012 - never changed

    def __init__(self, clock):
        self._clock = clock
        self._version = 0
        self.size = 100.0

    def listen(self, listeners):
        self._listeners = listeners

    async def run(self):
        await asyncio.Event().wait()

    def view(self, _instrument):
        now_ns = self._clock.monotonic_ns()
        return BookView(
            bids=[(100.0, self.size)],
            asks=[(100.1, self.size)],
            version=self._version,
            sequence=self._version,
            ts_exchange_ns=None,
            received_ns=now_ns,
            confirmed_ns=now_ns,
        )

    def figures(self):
        return {}

    def show(self, size):
        self.size = size
        self._version += 1
        now_ns = self._clock.monotonic_ns()
        self._listeners.on_tick(
            Tick(
                instrument="BTCUSDT",
                mid=100.05,
                received_ns=now_ns,
                decoded_ns=now_ns,
                applied_ns=now_ns,
            )
        )


async def test_watcher_outlives_a_book_that_is_too_thin_for_a_moment():
    clock = SystemClock()
    feed = ThinAndDeep(clock)
    settings = load_settings({}, environ={}, dotenv_path=NOWHERE, config_path=NOWHERE)
    async with CostSimulator(settings, feeds=[feed], clock=clock) as simulator:
        asked = simulator.request(side="buy", quantity=50, volatility_bps=1)
        async with aclosing(simulator.updates(asked)) as updates:
            assert isinstance(await anext(updates), dict)
            feed.show(1e-9)
            assert isinstance(await anext(updates), TradingSystemError)
            feed.show(100.0)
            assert isinstance(await anext(updates), dict)
