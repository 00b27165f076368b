"""queue.order and queue.throughput: the priority queue against the embedded venue."""

from __future__ import annotations

import asyncio
import itertools
import random
import time

import structlog

from benchmarks.interleaved import venue
from benchmarks.rows import Row
from optimizers.transport.pool import PooledTransport
from optimizers.transport.queue import PriorityGate
from trading_system.domain.ports import HttpRequest
from trading_system.runtime.clock import SystemClock

_REQUESTS = 1_000
_ROUNDS = 5
_BAR_PER_S = 4_000.0


def run_order() -> list[Row]:
    """Return the row of order: 1,000 waiting requests in random order of arrival."""
    order = asyncio.run(_order_of_service())
    inversions = sum(a > b for a, b in itertools.pairwise(order))
    return [
        Row(
            id="queue.order",
            value=float(inversions),
            unit="inversions",
            samples=len(order),
            bar="no inversion",
            met=inversions == 0 and len(order) == _REQUESTS,
            note="one connection, priorities 1 to 4, ageing bound not reached",
        )
    ]


def run_throughput() -> list[Row]:
    """Return the row of throughput: 1,000 requests asked for at once."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with venue("--limits", "off") as ready:
        rates, times_ms = asyncio.run(_throughput(str(ready["rest"])))
    best = sorted(rates)[len(rates) // 2]
    times_ms.sort()
    p50, p95, p99 = (round(times_ms[int(len(times_ms) * p)], 3) for p in (0.50, 0.95, 0.99))
    return [
        Row(
            id="queue.throughput",
            value=round(best, 1),
            unit="requests/s",
            p50=p50,
            p95=p95,
            p99=p99,
            samples=len(times_ms),
            bar=f">= {_BAR_PER_S:g}/s",
            met=best >= _BAR_PER_S,
            note=f"embedded venue, 10 connections, median of {_ROUNDS}; percentiles in ms",
        )
    ]


async def _order_of_service() -> list[int]:
    gate = PriorityGate(1, capacity=_REQUESTS, clock=SystemClock())
    served: list[int] = []
    await gate.enter(1)

    async def request(priority: int) -> None:
        await gate.enter(priority)
        served.append(priority)
        gate.leave()

    rng = random.Random(1)
    async with asyncio.TaskGroup() as group:
        for _ in range(_REQUESTS):
            group.create_task(request(rng.randint(1, 4)))
        await asyncio.sleep(0)
        gate.leave()
    return served


async def _throughput(url: str) -> tuple[list[float], list[float]]:
    rates, times_ms = [], []
    request = HttpRequest(method="GET", url=f"{url}/v5/market/time")
    async with PooledTransport(connections=10, queue_size=_REQUESTS) as pool:
        await pool.pre_warm(url)
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(pool.request(request, priority=2, timeout_s=30.0))
                    for _ in range(_REQUESTS)
                ]
            rates.append(_REQUESTS / (time.perf_counter() - began))
            replies = [task.result() for task in tasks]
            assert all(reply.status == 200 for reply in replies)
            times_ms += [reply.timing.total_ms for reply in replies]
    return rates, times_ms
