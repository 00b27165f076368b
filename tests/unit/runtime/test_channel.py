from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import DeadlineExceeded, QueueFullError, ValidationError
from trading_system.runtime.channel import BoundedQueue, LatestValue, WhenFull


async def test_latest_value_overwrites_and_counts():
    slot = LatestValue[int]()
    for n in range(5):
        slot.put(n)
    assert await slot.get(deadline_s=1) == 4
    assert (slot.published, slot.overwritten, slot.take()) == (5, 4, None)


async def test_taken_value_is_not_counted_as_overwritten():
    slot = LatestValue[int]()
    slot.put(1)
    assert slot.take() == 1
    slot.put(2)
    assert slot.overwritten == 0


async def test_full_queue_drops_its_oldest_and_counts():
    queue = BoundedQueue[int](3, when_full=WhenFull.DROP_OLDEST)
    for n in range(5):
        queue.put(n)
    assert [queue.take() for _ in range(4)] == [2, 3, 4, None]
    assert (queue.accepted, queue.dropped, queue.refused) == (5, 2, 0)


async def test_full_queue_refuses_and_counts():
    queue = BoundedQueue[int](2, when_full=WhenFull.REFUSE)
    queue.put(1)
    queue.put(2)
    with pytest.raises(QueueFullError, match="holds 2 values"):
        queue.put(3)
    assert (len(queue), queue.capacity, queue.accepted, queue.refused) == (2, 2, 2, 1)
    assert queue.take() == 1


def test_queue_without_room_is_refused():
    with pytest.raises(ValidationError, match="capacity was 0"):
        BoundedQueue(0, when_full=WhenFull.REFUSE)


@pytest.mark.parametrize(
    "channel", [LatestValue(), BoundedQueue(1, when_full=WhenFull.REFUSE)], ids=["slot", "queue"]
)
async def test_get_gives_up_at_its_deadline(channel):
    with pytest.raises(DeadlineExceeded):
        await channel.get(deadline_s=0.01)


@pytest.mark.parametrize("make", [LatestValue, lambda: BoundedQueue(5, when_full=WhenFull.REFUSE)])
async def test_waiting_getter_receives_the_value(make):
    channel = make()
    async with asyncio.TaskGroup() as group:
        getter = group.create_task(channel.get(deadline_s=5))
        await asyncio.sleep(0)
        channel.put("x")
    assert getter.result() == "x"


async def test_each_value_goes_to_one_getter_in_order():
    queue = BoundedQueue[int](5, when_full=WhenFull.REFUSE)
    async with asyncio.TaskGroup() as group:
        getters = [group.create_task(queue.get(deadline_s=5)) for _ in range(3)]
        await asyncio.sleep(0)
        for n in range(3):
            queue.put(n)
    assert [getter.result() for getter in getters] == [0, 1, 2]


async def test_wake_of_a_cancelled_getter_is_passed_on():
    queue = BoundedQueue[int](5, when_full=WhenFull.REFUSE)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(queue.get(deadline_s=5))
        second = group.create_task(queue.get(deadline_s=5))
        await asyncio.sleep(0)
        queue.put(1)
        first.cancel()
    assert first.cancelled()
    assert second.result() == 1


async def test_getter_whose_value_was_taken_waits_on():
    queue = BoundedQueue[int](5, when_full=WhenFull.REFUSE)
    async with asyncio.TaskGroup() as group:
        getter = group.create_task(queue.get(deadline_s=5))
        await asyncio.sleep(0)
        queue.put(1)
        assert queue.take() == 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not getter.done()
        queue.put(2)
    assert getter.result() == 2


@given(st.lists(st.one_of(st.integers(), st.none()), max_size=60), st.integers(1, 5))
def test_queue_that_drops_keeps_the_newest(steps, capacity):
    queue = BoundedQueue[int](capacity, when_full=WhenFull.DROP_OLDEST)
    model: list[int] = []
    for step in steps:
        if step is None:
            assert queue.take() == (model.pop(0) if model else None)
        else:
            queue.put(step)
            model = [*model, step][-capacity:]
        assert len(queue) == len(model)
