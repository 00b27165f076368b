"""Batches leave full or in time, measured on a loop whose time jumps instead of passing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from paper_client import PaperClient
from virtual_time import in_virtual_time

from optimizers.execution.batching import Batcher
from optimizers.performance_optimizer import PerformanceOptimizer
from trading_system.runtime.clock import ManualClock


def run(main: Coroutine[Any, Any, None]) -> None:
    in_virtual_time(lambda _loop: main)


class Post:
    """Remembers when which batch left."""

    def __init__(self, *, size: int = 5, timeout_s: float = 0.1) -> None:
        self.left: list[tuple[float, list[int]]] = []
        self.batcher = Batcher(self._send, size=size, timeout_s=timeout_s)

    async def _send(self, items: list[int]) -> list[int]:
        self.left.append((round(asyncio.get_running_loop().time(), 6), list(items)))
        return [item * 10 for item in items]

    async def add_at(self, seconds: float, item: int) -> int:
        await asyncio.sleep(seconds)
        return await self.batcher.add(item)


def test_seven_orders_leave_as_five_at_once_and_two_after_the_timeout() -> None:
    post = Post()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(post.batcher.add(item)) for item in range(7)]
        assert [task.result() for task in tasks] == [item * 10 for item in range(7)]

    run(main())
    assert post.left == [(0.0, [0, 1, 2, 3, 4]), (0.1, [5, 6])]
    assert post.batcher.sizes == [0, 0, 1, 0, 0, 1]


def test_the_timeout_counts_from_the_first_order_of_a_batch() -> None:
    post = Post()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds, item in ((0.0, 1), (0.09, 2), (0.11, 3), (0.2, 4)):
                group.create_task(post.add_at(seconds, item))

    run(main())
    assert post.left == [(0.1, [1, 2]), (0.21, [3, 4])]


def test_no_timeout_waits_for_nobody() -> None:
    post = Post(timeout_s=0.0)

    async def main() -> None:
        assert await post.add_at(0.0, 1) == 10
        assert await post.add_at(0.0, 2) == 20

    run(main())
    assert post.left == [(0.0, [1]), (0.0, [2])]


@pytest.mark.parametrize(
    ("values", "sizes", "seconds"),
    [
        ({}, [0, 0, 1, 0, 0, 1], 0.1),
        ({"batch_timeout": 0.3}, [0, 0, 1, 0, 0, 1], 0.3),
        ({"batch_size": 7}, [0, 0, 0, 0, 0, 0, 0, 1], 0.0),
    ],
)
def test_the_optimizers_batches_follow_the_guides_values(
    values: dict[str, Any], sizes: list[int], seconds: float
) -> None:
    optimizer = PerformanceOptimizer(
        PaperClient(clock=ManualClock()), clock=ManualClock(), **values
    )

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for index in range(7):
                group.create_task(
                    optimizer.queue_order_execution("ETHUSDT", "Buy", f"{index + 1}.00")
                )
        assert asyncio.get_running_loop().time() == pytest.approx(seconds)

    run(main())
    sent = sum(sizes)
    assert optimizer.get_performance_stats()["batches"] == {
        "sent": sent,
        "orders": 7,
        "fill_pct": 100.0 * 7 / (sent * optimizer.batch_size),
    }
