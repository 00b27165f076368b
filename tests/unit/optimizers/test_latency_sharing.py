from __future__ import annotations

import asyncio

import pytest
from delay_server import Answer, DelayServer
from signing_client import SigningClient

from optimizers.latency.sharing import SharedReads
from optimizers.latency_optimizer import LatencyOptimizer

BOOK = "/v5/market/orderbook"


@pytest.fixture
async def server():
    async with DelayServer() as running:
        running.usual = Answer(body={"retCode": 0, "result": {"b": []}})
        yield running


@pytest.fixture
async def optimizer(server):
    async with LatencyOptimizer(SigningClient(server.url)) as running:
        yield running


async def together(optimizer: LatencyOptimizer, server: DelayServer, *asks):
    """Ask at the same time, answer when all have asked; return the results."""
    server.gate.clear()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for options in asks:
            given = {"method": "GET", "url": BOOK, "params": {"symbol": "X"}, **options}
            tasks.append(group.create_task(optimizer.execute_priority_request(**given)))
            await asyncio.sleep(0.005)
        server.gate.set()
    return [task.result() for task in tasks]


async def test_equal_public_reads_that_overlap_are_sent_once_and_counted_each(optimizer, server):
    results = await together(optimizer, server, *[{}] * 5)
    metrics = optimizer.get_latency_metrics()
    assert results == [{"retCode": 0, "result": {"b": []}}] * 5
    assert len(server.seen) == 1
    assert (metrics["total_requests"], metrics["shared_requests"]) == (5, 4)


async def test_each_caller_gets_a_value_of_his_own(optimizer, server):
    first, second = await together(optimizer, server, {}, {})
    first["result"]["b"].append("mine")
    assert second["result"]["b"] == []


@pytest.mark.parametrize(
    "other",
    [
        {"priority": 1},
        {"timeout": 4.9},
        {"params": {"symbol": "Y"}},
        {"headers": {"X-Own": "1"}},
    ],
)
async def test_nobody_joins_a_less_urgent_less_patient_or_different_read(optimizer, server, other):
    first = {"priority": 2, "timeout": 4.9} if other == {"priority": 1} else {"timeout": 4.8}
    await together(optimizer, server, first, other)
    assert len(server.seen) == 2


@pytest.mark.parametrize("url", ["/v5/order/realtime", "/v5/market/time"])
async def test_account_data_and_the_venues_time_are_never_shared(optimizer, server, url):
    await together(optimizer, server, {"url": url}, {"url": url})
    assert len(server.seen) == 2


async def test_failure_of_a_shared_read_reaches_all_and_is_counted_each(optimizer, server):
    server.usual = Answer(status=400, body=b"no")
    results = await together(optimizer, server, {}, {})
    assert [result["status"] for result in results] == [400, 400]
    assert len(server.seen) == 1
    assert optimizer.get_latency_metrics()["failed_requests"] == 2


async def test_impatient_joiner_stops_waiting_at_his_own_deadline(optimizer, server):
    server.gate.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(optimizer.execute_priority_request("GET", BOOK))
        await server.until(1)
        late = await optimizer.execute_priority_request("GET", BOOK, timeout=0.02)
        server.gate.set()
    assert late["error"] == "no answer within 0.02 s"
    assert len(server.seen) == 1


async def test_joiners_read_themselves_when_the_one_they_wait_for_is_cancelled():
    shared: SharedReads[str] = SharedReads()
    never = asyncio.Event()

    async def read() -> str:
        await never.wait()
        return "never"

    async def joiner() -> str | None:
        return await shared.join("k", priority=2, patience_s=5)

    async with asyncio.TaskGroup() as group:
        leader = group.create_task(shared.lead("k", read, priority=1, patience_s=5))
        await asyncio.sleep(0)
        waiting = group.create_task(joiner())
        await asyncio.sleep(0)
        leader.cancel()
    assert waiting.result() is None
    assert shared.joined == 0
