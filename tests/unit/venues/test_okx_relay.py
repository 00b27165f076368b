import json
from dataclasses import replace

import pytest
from okx_server import FAST, SWAP, OkxServer, alive, becomes_true, jitter

from trading_system.runtime.clock import SystemClock
from trading_system.venues.okx.relay import RELAY_TIMING, RelayFeed

NAME = SWAP.inst_id


def frame(bids=(("10.04", "8"),), asks=(("10.05", "12"),), **extra):
    message = {
        "timestamp": "2025-01-02T03:04:05Z",
        "exchange": "OKX",
        "symbol": NAME,
        "asks": list(asks),
        "bids": list(bids),
    }
    return json.dumps(message | extra)


def feed(address, **options):
    settings = {"clock": SystemClock(), "jitter": jitter(), "timing": FAST} | options
    return RelayFeed(f"ws://{address}/", SWAP, **settings)


async def test_every_message_replaces_the_book():
    relay, seen = OkxServer(), []
    zero = (("10.04", "8"), ("10.03", "0"), ("10.02", "0.00"))
    relay.greeting = [frame(), frame(bids=zero, asks=(("10.06", "3.5"),), news={"a": [1]})]
    async with relay.running() as address:
        client = feed(address, on_change=seen.append)
        async with alive(client):
            await becomes_true(lambda: client.version(NAME) == 2)
            bids, asks = client.depth(NAME)
            assert (bids, asks) == (
                [(10.04, pytest.approx(0.08))],
                [(10.06, pytest.approx(0.035))],
            )
            assert client.book(NAME).ts_exchange_ns == 1_735_787_045_000_000_000
            assert (client.is_up, client.rejected) == (True, 0)
    assert relay.urls == [f"/ws/l2-orderbook/okx/{NAME}"]
    assert relay.requests == []
    assert seen == [NAME, NAME]


async def test_silence_opens_the_connection_anew():
    relay = OkxServer()
    relay.greeting = [frame()]
    async with relay.running() as address:
        client = feed(address, timing=replace(FAST, ping_s=0.05))
        async with alive(client):
            await becomes_true(lambda: client.reconnects >= 2)
        assert client.reason == "silent for 0.05 s"
    assert relay.pings == 0
    assert RELAY_TIMING.ping_s == 5.0


async def test_a_crossed_book_is_empty_until_the_next_message():
    relay, seen = OkxServer(), []
    relay.greeting = [frame(), frame(bids=(("11", "1"),)), frame(bids=(("x", "1"),)), frame()]
    async with relay.running() as address:
        client = feed(address, on_change=lambda name: seen.append(client.depth(name) is not None))
        async with alive(client):
            await becomes_true(lambda: len(seen) == 3)
        assert seen == [True, False, True]
        assert (client.rejected, client.reconnects) == (2, 0)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", "{", frame(symbol="OTHER"), frame(timestamp="soon"),
        frame(bids=((10, 1),)), frame(bids=(("1",),)), "[" * 5000,
    ],
)  # fmt: skip
async def test_garbage_opens_the_connection_anew_and_empties_the_book(text):
    relay = OkxServer()
    relay.greeting = [frame()]
    async with relay.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            await relay.push(text)
            await becomes_true(lambda: client.reconnects == 1 and client.depth(NAME))
        assert "relay: " in client.reason


async def test_a_time_without_a_zone_is_utc():
    relay = OkxServer()
    relay.greeting = [frame(timestamp="1970-01-01T00:00:02")]
    async with relay.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            assert client.book(NAME).ts_exchange_ns == 2_000_000_000
