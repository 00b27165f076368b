"""A synthetic venue whose OKX side is pumped by hand, and clients that keep every frame."""

import json
from urllib.parse import urlencode

import pytest

from trading_system.runtime.clock import ManualClock
from trading_system.simulation.okx_server.side import OkxSide
from trading_system.simulation.venue import build_synthetic_venue, default_accounts

ALL = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class KeptClient:
    """Runs delayed work at once and decodes what is pushed."""

    def __init__(self, name="c1"):
        self.connection_id = name
        self.is_closed = False
        self.raw = []
        self.ends = []

    def push(self, payload):
        self.raw.append(payload)

    def later(self, action):
        action()

    def end(self, code, reason):
        self.ends.append(code)

    def take(self):
        frames = [json.loads(raw) for raw in self.raw if raw != b"pong"]
        self.raw.clear()
        return frames


class OkxRig:
    """The venue, its OKX side and its clock."""

    def __init__(self, symbols=("BTCUSDT",), **options):
        self.clock = ManualClock()
        self.venue = build_synthetic_venue(
            symbols=symbols,
            accounts=default_accounts(seed=1),
            seed=1,
            edge_bps=0.0,
            activity=1.0,
        )
        self.venue.prepare(self.now_ms)
        wanted = {"is_limited": True, "has_checksums": False} | options
        self.side = OkxSide(self.venue, clock=self.clock, **wanted)
        self.clients = 0

    @property
    def now_ms(self):
        return self.clock.utc_ns() // 1_000_000

    def open(self, path="/ws/v5/public"):
        self.clients += 1
        client = KeptClient(f"c{self.clients}")
        channel = self.side.channel_of(path)(client, client.end)
        return client, channel

    def ask(self, channel, operation, *args, **more):
        channel.receive(json.dumps({"op": operation, "args": args} | more))

    def follow(self, channel, name, inst="BTC-USDT-SWAP", key="instId"):
        self.ask(channel, "subscribe", {"channel": name, key: inst})

    def step(self, ms=10, *, market=True):
        self.clock.advance(ms / 1000)
        if market:
            self.venue.advance(self.now_ms)
        self.side.pump()

    def get(self, path, method="GET", **query):
        text = f"/api/v5/{path}" + (f"?{urlencode(query)}" if query else "")
        return json.loads(self.side.answer(method, text).body)

    def data(self, path, **query):
        answer = self.get(path, **query)
        assert answer["code"] == "0", answer
        assert answer["msg"] == ""
        return answer["data"]


@pytest.fixture
def rig():
    return OkxRig()


@pytest.fixture
def trio():
    """A rig with every instrument of the synthetic venue."""
    return OkxRig(ALL)


@pytest.fixture(scope="module")
def still():
    """A rig with every instrument for tests that leave it as it is."""
    return OkxRig(ALL)


@pytest.fixture
def make_rig():
    return OkxRig
