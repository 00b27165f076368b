from __future__ import annotations

import asyncio

import pytest

from trading_system.domain.errors import DeadlineExceeded
from trading_system.runtime.deadline import within


async def test_block_that_takes_too_long_is_named():
    with pytest.raises(DeadlineExceeded, match=r"the answer took longer than 0.01 s"):
        async with within(0.01, "the answer"):
            await asyncio.Event().wait()


async def test_block_in_time_passes():
    async with within(5, "nothing"):
        await asyncio.sleep(0)


async def test_timeout_of_the_block_itself_passes_unchanged():
    with pytest.raises(TimeoutError, match="mine") as e:
        async with within(5, "the answer"):
            raise TimeoutError("mine")
    assert not isinstance(e.value, DeadlineExceeded)


async def test_cancellation_from_outside_stays_a_cancellation():
    async def work():
        async with within(5, "the answer"):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
