"""What the pool counts as sent and received."""

import pytest
from delay_server import Answer, DelayServer

from optimizers.transport.pool import PooledTransport
from trading_system.domain.errors import VenueUnavailable
from trading_system.domain.ports import HttpRequest


@pytest.fixture
async def server():
    async with DelayServer() as running:
        yield running


async def send(pool, request, timeout_s=5.0):
    return await pool.request(request, priority=1, timeout_s=timeout_s)


async def test_a_request_counts_its_line_its_headers_and_its_body(server):
    request = HttpRequest(
        method="POST", url=f"{server.url}/v5/order/create?a=b", headers={"X-A": "123"}, body=b"{}"
    )
    async with PooledTransport() as pool:
        assert (pool.bytes_sent, pool.bytes_received) == (0, 0)
        await send(pool, request)
        line = len("POST /v5/order/create?a=b HTTP/1.1\r\n")
        assert pool.bytes_sent == line + len("X-A: 123\r\n") + len("\r\n") + len("{}")


async def test_an_answer_counts_its_line_its_headers_and_its_body(server):
    async with PooledTransport() as pool:
        reply = await send(pool, HttpRequest(method="GET", url=f"{server.url}/x"))
        headers = sum(len(f"{name}: {value}\r\n") for name, value in reply.headers.items())
        line = len("HTTP/1.1 200 OK\r\n")
        assert pool.bytes_received == line + headers + len("\r\n") + len(reply.body)
        once = pool.bytes_received
        await send(pool, HttpRequest(method="GET", url=f"{server.url}/x"))
        assert pool.bytes_received == 2 * once


async def test_a_request_that_never_left_counts_nothing_and_a_lost_answer_only_what_was_sent(
    server,
):
    request = HttpRequest(method="GET", url=f"{server.url}/x")
    async with PooledTransport() as pool:
        with pytest.raises(VenueUnavailable):
            await send(pool, HttpRequest(method="GET", url="http://127.0.0.1:1/x"))
        assert (pool.bytes_sent, pool.bytes_received) == (0, 0)
        server.gate.clear()
        with pytest.raises(VenueUnavailable):
            await send(pool, request, timeout_s=0.2)
        assert (pool.bytes_sent, pool.bytes_received) == (len("GET /x HTTP/1.1\r\n\r\n"), 0)


async def test_an_answer_that_is_too_large_counts_as_far_as_it_was_read(server):
    server.usual = Answer(body=b"x" * 50_000)
    async with PooledTransport(max_answer_bytes=1_000) as pool:
        with pytest.raises(VenueUnavailable, match="larger"):
            await send(pool, HttpRequest(method="GET", url=f"{server.url}/x"))
        assert pool.bytes_received > 1_000
