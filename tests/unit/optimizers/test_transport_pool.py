from __future__ import annotations

import asyncio
import json
import socket

import pytest
from delay_server import Answer, DelayServer
from loopback_tls import server_context, trusting_context

from optimizers.transport.pool import PooledTransport
from optimizers.transport.queue import RequestRefused
from trading_system.domain.errors import (
    LifecycleError,
    Outcome,
    ValidationError,
    VenueUnavailable,
)
from trading_system.domain.ports import HttpReply, HttpRequest
from trading_system.runtime.clock import ManualClock


@pytest.fixture
async def server():
    async with DelayServer() as running:
        yield running


def get(server: DelayServer, path: str = "/v5/market/time") -> HttpRequest:
    return HttpRequest(method="GET", url=f"{server.url}{path}")


def cancel(server: DelayServer, link_id: str) -> HttpRequest:
    body = json.dumps({"category": "linear", "symbol": "BTCUSDT", "orderLinkId": link_id}).encode()
    return HttpRequest(method="POST", url=f"{server.url}/v5/order/cancel", body=body)


async def send(
    pool: PooledTransport, request: HttpRequest, *, priority: int = 1, timeout_s: float = 5.0
) -> HttpReply:
    return await pool.request(request, priority=priority, timeout_s=timeout_s)


async def failure(pool: PooledTransport, request: HttpRequest, **options) -> VenueUnavailable:
    with pytest.raises(VenueUnavailable) as caught:
        await send(pool, request, **options)
    return caught.value


async def test_answer_is_returned_whole_with_all_phases(server):
    async with PooledTransport() as pool:
        first, second = await send(pool, get(server)), await send(pool, get(server))
    timing = first.timing
    assert json.loads(first.body)["retCode"] == 0
    assert timing.connect_ms > 0
    assert second.timing.connect_ms is None
    parts = timing.queue_ms + timing.connect_ms + timing.send_ms + timing.response_ms
    assert 0 < parts <= timing.total_ms + 1e-6


async def test_pre_warm_opens_and_verifies_all_connections_and_orders_reuse_them(server):
    async with PooledTransport(connections=4) as pool:
        reports = await pool.pre_warm(server.url)
        order = await send(
            pool, HttpRequest(method="POST", url=f"{server.url}/v5/order/create", body=b"{}")
        )
        assert pool.open_connections == 4
    assert len(reports) == 4
    assert all(report.is_ready and report.connect_ms > 0 for report in reports)
    assert len(server.peers) == 4
    assert order.timing.connect_ms is None


async def test_pre_warm_reports_a_host_that_answers_wrongly(server):
    server.usual = Answer(status=503)
    async with PooledTransport(connections=2) as pool:
        reports = await pool.pre_warm(server.url)
    assert [(report.is_ready, report.reason) for report in reports] == [(False, "HTTP 503")] * 2


async def test_pre_warm_reports_a_host_that_is_not_there():
    async with PooledTransport(connections=2) as pool:
        reports = await pool.pre_warm("http://127.0.0.1:1")
    assert not any(report.is_ready for report in reports)
    assert all("failed" in report.reason for report in reports)


async def test_idle_connections_are_used_again_before_anybody_closes_them(server):
    async with PooledTransport(connections=3, rewarm_s=0.02) as pool:
        await pool.pre_warm(server.url)
        await server.until(3 + 2)
        assert pool.counts["rewarms"] >= 1


async def test_host_in_use_is_not_warmed(server):
    clock = ManualClock()
    async with PooledTransport(connections=2, rewarm_s=0.01, clock=clock) as pool:
        await pool.pre_warm(server.url)
        clock.advance(0.005)
        for _ in range(3):
            await asyncio.sleep(0.01)
        assert pool.counts["rewarms"] == 0


async def test_without_keep_alive_each_request_opens_a_connection(server):
    async with PooledTransport(keep_alive=False) as pool:
        for _ in range(3):
            await send(pool, get(server))
    assert len(server.peers) == 3


async def test_no_more_requests_are_under_way_than_connections(server):
    async with PooledTransport(connections=2) as pool, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(send(pool, get(server)))
    assert server.most_active <= 2
    assert len(server.peers) == 2


async def test_twelve_queued_requests_reach_the_server_in_priority_order(server):
    server.gate.clear()
    async with PooledTransport(connections=1) as pool, asyncio.TaskGroup() as group:
        group.create_task(send(pool, get(server, "/first")))
        await server.until(1)
        for number in range(12):
            priority = 4 - number % 4
            group.create_task(send(pool, get(server, f"/{priority}"), priority=priority))
        while pool.waiting < 12:
            await asyncio.sleep(0)
        server.gate.set()
    assert server.paths == ["/first"] + [f"/{p}" for p in (1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4)]


async def test_full_queue_refuses_with_nothing_sent(server):
    server.gate.clear()
    async with PooledTransport(connections=1, queue_size=1) as pool, asyncio.TaskGroup() as group:
        group.create_task(send(pool, get(server)))
        await server.until(1)
        group.create_task(send(pool, get(server)))
        await asyncio.sleep(0)
        error = await failure(pool, get(server), priority=3)
        server.gate.set()
    assert isinstance(error, RequestRefused)
    assert error.outcome is Outcome.NOT_SENT
    assert len(server.seen) == 2


async def test_deadline_that_passes_in_the_queue_means_not_sent(server):
    server.gate.clear()
    async with PooledTransport(connections=1) as pool, asyncio.TaskGroup() as group:
        group.create_task(send(pool, get(server)))
        await server.until(1)
        error = await failure(pool, get(server, "/late"), timeout_s=0.02)
        assert pool.waiting == 0
        server.gate.set()
    assert error.outcome is Outcome.NOT_SENT
    assert "/late" not in server.paths


async def test_deadline_that_passes_on_the_wire_means_unknown_and_frees_the_connection(server):
    server.gate.clear()
    async with PooledTransport(connections=1) as pool:
        error = await failure(pool, get(server), timeout_s=0.05)
        server.gate.set()
        assert error.outcome is Outcome.UNKNOWN
        assert (await send(pool, get(server))).status == 200


async def test_cancelled_caller_is_taken_out_of_the_queue(server):
    server.gate.clear()
    async with PooledTransport(connections=1) as pool, asyncio.TaskGroup() as group:
        group.create_task(send(pool, get(server)))
        await server.until(1)
        gone = group.create_task(send(pool, get(server, "/gone")))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert pool.waiting == 0
        server.gate.set()
    assert "/gone" not in server.paths


async def test_cancellation_passes_a_pool_that_is_busy(server):
    server.gate.clear()
    async with PooledTransport(connections=1, queue_size=1) as pool, asyncio.TaskGroup() as group:
        group.create_task(send(pool, get(server)))
        await server.until(1)
        group.create_task(send(pool, get(server)))
        await asyncio.sleep(0)
        group.create_task(send(pool, cancel(server, "x-1"), priority=4))
        await server.until(2)
        server.gate.set()
    assert server.paths[1] == "/v5/order/cancel"


async def test_waiting_cancellations_are_never_refused_and_sent_once_per_order(server):
    server.gate.clear()
    async with PooledTransport(connections=1, queue_size=1) as pool, asyncio.TaskGroup() as group:
        for link_id in ("a", "b"):
            group.create_task(send(pool, cancel(server, link_id)))
        await server.until(2)
        for number in range(60):
            group.create_task(send(pool, cancel(server, f"order-{number % 20}")))
        await asyncio.sleep(0)
        assert pool.waiting == 20
        server.gate.set()
    assert len(server.seen) == 22
    assert pool.counts["coalesced_cancels"] == 40


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_request_on_a_connection_that_breaks_is_sent_once(server, method):
    server.usual = Answer(drop=True)
    async with PooledTransport(connections=1) as pool:
        request = HttpRequest(method=method, url=f"{server.url}/v5/x", body=b"{}")
        error = await failure(pool, request)
    assert error.outcome is Outcome.UNKNOWN
    assert len(server.seen) == 1


async def test_get_on_a_warm_connection_that_breaks_is_sent_once(server):
    async with PooledTransport(connections=1) as pool:
        await send(pool, get(server))
        server.usual = Answer(drop=True)
        await failure(pool, get(server))
    assert len(server.seen) == 2


async def test_server_error_is_an_answer_and_not_repeated(server):
    server.usual = Answer(status=500, body=b"broken")
    async with PooledTransport() as pool:
        reply = await send(pool, get(server))
    assert (reply.status, reply.body, len(server.seen)) == (500, b"broken", 1)


async def test_redirect_is_an_answer_and_not_followed(server):
    server.usual = Answer(status=307, headers={"Location": f"{server.url}/elsewhere"})
    async with PooledTransport() as pool:
        reply = await send(pool, HttpRequest(method="POST", url=f"{server.url}/a", body=b"{}"))
    assert reply.status == 307
    assert server.paths == ["/a"]


async def test_host_that_refuses_connections_means_not_sent():
    async with PooledTransport() as pool:
        error = await failure(pool, HttpRequest(method="GET", url="http://127.0.0.1:1/"))
    assert error.outcome is Outcome.NOT_SENT
    assert pool.counts["failures"] == 1


async def test_answer_above_the_cap_is_not_read(server):
    server.usual = Answer(body=b"x" * 1001)
    async with PooledTransport(max_answer_bytes=1000) as pool:
        error = await failure(pool, get(server))
    assert error.outcome is Outcome.UNKNOWN
    assert "larger than 1000" in str(error)


async def test_bytes_of_address_and_body_are_sent_as_given(server):
    async with PooledTransport() as pool:
        url = f"{server.url}/v5/order/create?a=%2Fx%20y&b=1"
        await send(pool, HttpRequest(method="POST", url=url, body=b'{"qty":"0.10"}'))
    assert (server.seen[0].query, server.seen[0].body) == ("a=%2Fx%20y&b=1", b'{"qty":"0.10"}')


async def test_sockets_do_not_wait_to_fill_a_packet(server):
    async with PooledTransport(connections=1) as pool:
        await send(pool, get(server))
        (host,) = pool._hosts.values()
        (opened,) = host._sockets
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert pool.open_connections == 0


async def test_venue_cookies_are_not_sent_back(server):
    server.usual = Answer(headers={"Set-Cookie": "session=1"})
    async with PooledTransport() as pool:
        for _ in range(2):
            await send(pool, get(server))
    assert "Cookie" not in server.seen[1].headers


async def test_closed_transport_sends_nothing(server):
    pool = PooledTransport()
    before = await failure(pool, get(server))
    async with pool:
        pass
    after = await failure(pool, get(server))
    assert {before.outcome, after.outcome} == {Outcome.NOT_SENT}
    assert not pool.is_open
    with pytest.raises(LifecycleError):
        await pool.__aenter__()


async def test_closing_refuses_waiting_requests_as_not_sent(server):
    server.gate.clear()
    pool = PooledTransport(connections=1)
    await pool.__aenter__()
    loop = asyncio.get_running_loop()
    sent = loop.create_task(failure(pool, get(server)))
    await server.until(1)
    waiting = loop.create_task(failure(pool, get(server)))
    await asyncio.sleep(0)
    await pool.__aexit__(None, None, None)
    assert (await waiting).outcome is Outcome.NOT_SENT
    assert (await sent).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "url",
    [
        "/v5/market/time",
        "ftp://host/",
        "http://",
        "http://a:b@host/",
        "http://h/a b",
        "http://h:99999/",
        "http://h/\u00e9",
    ],
)
async def test_other_addresses_are_refused(url):
    async with PooledTransport() as pool:
        with pytest.raises(ValidationError):
            await send(pool, HttpRequest(method="GET", url=url))


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
async def test_other_deadlines_are_refused(server, timeout_s):
    async with PooledTransport() as pool:
        with pytest.raises(ValidationError):
            await send(pool, get(server), timeout_s=timeout_s)


@pytest.mark.parametrize("options", [{"connections": 0}, {"queue_size": 0}, {"rewarm_s": 0.0}])
async def test_impossible_pool_is_refused(options):
    with pytest.raises(ValidationError):
        PooledTransport(**options)


async def test_number_of_remembered_hosts_is_bounded(server):
    async with PooledTransport() as pool:
        for port in range(1, 60):
            await failure(pool, HttpRequest(method="GET", url=f"http://127.0.0.1:{port}/"))
        assert len(pool._hosts) == 32


async def test_certificate_nobody_vouches_for_is_refused_with_nothing_sent(tmp_path):
    async with DelayServer(tls=server_context(tmp_path)) as server, PooledTransport() as pool:
        error = await failure(pool, get(server))
        assert error.outcome is Outcome.NOT_SENT
        assert server.seen == []


async def test_private_certificate_is_accepted_when_trusted(tmp_path):
    pool = PooledTransport(tls=trusting_context(), connections=2)
    async with DelayServer(tls=server_context(tmp_path)) as server, pool:
        reports = await pool.pre_warm(server.url)
        reply = await send(pool, get(server))
    assert [report.is_ready for report in reports] == [True, True]
    assert reply.timing.connect_ms is None


async def test_all_host_places_in_use_refuse_another_host(server):
    async with PooledTransport() as pool:
        for port in range(1, 33):
            await pool.pre_warm(f"http://127.0.0.1:{port}")
        error = await failure(pool, get(server))
    assert isinstance(error, RequestRefused)
    assert pool.in_flight == 0
