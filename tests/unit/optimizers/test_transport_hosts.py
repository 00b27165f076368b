from __future__ import annotations

import asyncio
import random
import socket

import pytest
from delay_server import Answer, DelayServer

from optimizers.transport.hosts import Host, HostLimits
from optimizers.transport.pool import PooledTransport
from trading_system.domain.errors import Outcome, VenueRateLimited, VenueUnavailable
from trading_system.domain.ports import HttpRequest
from trading_system.runtime.clock import ManualClock


@pytest.fixture
async def server():
    async with DelayServer() as running:
        yield running


def host(clock: ManualClock, *, connections: int = 3, rewarm_s: float = 20.0) -> Host:
    limits = HostLimits(
        connections=connections, queue_size=10, keep_alive=True, rewarm_s=rewarm_s, tls=None
    )
    return Host(limits, clock=clock, rng=random.Random(1))


def kept(clock: ManualClock, **options) -> Host:
    found = host(clock, **options)
    found.warm_url = "http://venue.test/"
    return found


async def get(pool: PooledTransport, server: DelayServer, path: str = "/x", **options):
    request = HttpRequest(method="GET", url=f"{server.url}{path}")
    return await pool.request(request, priority=2, timeout_s=options.get("timeout_s", 5.0))


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def test_host_of_which_every_connection_was_used_needs_no_warmth():
    clock = ManualClock()
    busy, idle = kept(clock), kept(clock)
    for _ in range(3):
        busy.note_request()
    for _ in range(2):
        idle.note_request()
    clock.advance(20.0)
    assert (busy.is_due(), idle.is_due()) == (False, True)


def test_host_that_was_never_warmed_is_left_alone():
    clock = ManualClock()
    found = host(clock)
    clock.advance(100.0)
    assert not found.is_due()
    assert not found.is_lacking()


@pytest.mark.parametrize(
    ("header", "rewarm_s"),
    [("timeout=5, max=1000", 2.5), ("timeout=600", 20.0), ("timeout=0", 20.0), (None, 20.0)],
)
def test_connections_are_used_before_the_host_says_that_it_cuts_them(header, rewarm_s):
    found = kept(ManualClock())
    found.note_idle_cut(header)
    assert found.rewarm_s == rewarm_s


def test_host_that_does_not_answer_is_tried_ever_more_rarely_and_with_one_connection():
    clock = ManualClock()
    found = kept(clock)
    assert (found.is_lacking(), found.unproved()) == (True, 3)
    attempts = 0
    for _ in range(600):
        clock.advance(1.0)
        if found.is_lacking():
            attempts += 1
            found.note_round(has_answered=False)
            assert found.unproved() == 1
    assert 20 <= attempts <= 100
    found.note_round(has_answered=True)
    assert found.unproved() == 3


def test_silence_ends_by_itself():
    clock = ManualClock()
    found = kept(clock)
    found.silence(600.0)
    assert not found.is_lacking()
    clock.advance(599.0)
    assert found.silent_for_s == 1.0
    clock.advance(1.0)
    assert found.silent_for_s == 0.0


async def test_lost_connections_are_opened_again_without_a_request(server):
    async with PooledTransport(connections=3, rewarm_s=0.02) as pool:
        await pool.pre_warm(server.url)
        (found,) = pool._hosts.values()
        for opened in list(found._sockets):
            opened.shutdown(socket.SHUT_RDWR)
        await until(lambda: len(server.peers) == 6 and pool.open_connections == 3)
        assert pool.counts["replacements"] >= 1


async def test_request_without_an_answer_has_all_idle_connections_proved(server):
    async with PooledTransport(connections=3) as pool:
        await pool.pre_warm(server.url)
        server.by_path["/lost"] = Answer(drop=True)
        with pytest.raises(VenueUnavailable):
            await get(pool, server, "/lost")
        await until(lambda: pool.counts["verifications"] == 1)
        await until(lambda: pool.open_connections == 3)
        assert server.paths.count("/lost") == 1


async def test_proofs_do_not_take_the_places_of_requests(server):
    async with PooledTransport(connections=1) as pool:
        await pool.pre_warm(server.url)
        server.by_path["/lost"] = Answer(drop=True)
        with pytest.raises(VenueUnavailable):
            await get(pool, server, "/lost")
        server.gate.clear()
        await server.until(3)
        assert (pool.in_flight, pool.counts["verifications"]) == (0, 1)
        server.gate.set()


async def test_http_403_of_the_venue_silences_requests_and_probes(server):
    clock = ManualClock()
    async with PooledTransport(connections=2, rewarm_s=0.01, clock=clock) as pool:
        await pool.pre_warm(server.url)
        server.usual = Answer(status=403)
        assert (await get(pool, server)).status == 403
        seen = len(server.seen)
        with pytest.raises(VenueRateLimited) as caught:
            await get(pool, server)
        clock.advance(599.0)
        await asyncio.sleep(0.03)
        assert len(server.seen) == seen
        assert pool.silent_for_s == 1.0
        assert (caught.value.outcome, caught.value.retry_after_s) == (Outcome.NOT_SENT, 600.0)
        clock.advance(1.0)
        server.usual = Answer()
        assert (await get(pool, server)).status == 200


async def test_http_403_of_another_host_silences_nothing(server):
    server.usual = Answer(status=403)
    async with PooledTransport() as pool:
        assert [(await get(pool, server)).status for _ in range(2)] == [403, 403]


async def test_operating_system_looks_for_peers_that_are_gone(server):
    async with PooledTransport(connections=1) as pool:
        await get(pool, server)
        (found,) = pool._hosts.values()
        (opened,) = found._sockets
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000


async def test_first_byte_is_told_apart_from_the_whole_answer(server):
    server.usual = Answer(delay_s=0.02, body=b"x" * 300_000)
    async with PooledTransport() as pool:
        timing = (await get(pool, server)).timing
    assert 20.0 <= timing.first_byte_ms <= timing.response_ms


async def test_forgotten_host_is_closed(server):
    async with PooledTransport() as pool:
        await get(pool, server)
        (found,) = pool._hosts.values()
        for port in range(1, 33):
            request = HttpRequest(method="GET", url=f"http://127.0.0.1:{port}/")
            with pytest.raises(VenueUnavailable):
                await pool.request(request, priority=4, timeout_s=1.0)
        assert found.open_connections == 0
