from __future__ import annotations

import asyncio

import pytest

from optimizers.transport.queue import CancelLane, PriorityGate, RequestRefused, checked_priority
from trading_system.domain.errors import Outcome, QueueFullError, ValidationError, VenueUnavailable
from trading_system.domain.ports import HttpReply, HttpTiming
from trading_system.runtime.clock import ManualClock


def reply(number: int) -> HttpReply:
    timing = HttpTiming(queue_ms=0, connect_ms=None, send_ms=0, response_ms=0, total_ms=0)
    return HttpReply(status=number, headers={}, body=b"", timing=timing)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Requests that enter a gate and note their turn; each leaves when told."""

    def __init__(self, gate: PriorityGate, group: asyncio.TaskGroup) -> None:
        self.gate = gate
        self.group = group
        self.order: list[str] = []

    def join(self, name: str, priority: int) -> asyncio.Task[None]:
        return self.group.create_task(self._enter(name, priority))

    async def _enter(self, name: str, priority: int) -> None:
        await self.gate.enter(priority)
        self.order.append(name)

    async def serve(self, count: int) -> None:
        for _ in range(count):
            self.gate.leave()
            await settle()


def gate(*, slots: int = 1, capacity: int | None = 100, clock: ManualClock | None = None):
    return PriorityGate(slots, capacity=capacity, clock=clock or ManualClock(), ageing_s=2.0)


async def test_free_connection_is_taken_without_a_queue():
    door = gate(slots=2)
    await door.enter(4)
    await door.enter(4)
    assert (door.busy, door.waiting, door.entered) == (2, 0, 2)


async def test_twelve_waiting_requests_leave_in_strict_priority_order():
    door = gate()
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        for number in range(12):
            crowd.join(f"{4 - number % 4}", 4 - number % 4)
        await settle()
        await crowd.serve(12)
    assert crowd.order == ["1"] * 3 + ["2"] * 3 + ["3"] * 3 + ["4"] * 3


async def test_requests_of_one_priority_leave_in_order_of_arrival():
    door = gate()
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        for number in range(5):
            crowd.join(str(number), 3)
        await settle()
        await crowd.serve(5)
    assert crowd.order == ["0", "1", "2", "3", "4"]


async def test_aged_request_overtakes_priority_two_but_never_one():
    clock = ManualClock()
    door = gate(clock=clock)
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        crowd.join("old 4", 4)
        await settle()
        clock.advance(2.0)
        for name, priority in (("new 2", 2), ("new 1", 1)):
            crowd.join(name, priority)
        await settle()
        await crowd.serve(3)
    assert crowd.order == ["new 1", "old 4", "new 2"]


async def test_request_just_below_the_ageing_bound_waits_for_its_priority():
    clock = ManualClock()
    door = gate(clock=clock)
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        crowd.join("4", 4)
        await settle()
        clock.advance(1.999)
        crowd.join("2", 2)
        await settle()
        await crowd.serve(2)
    assert crowd.order == ["2", "4"]


async def test_aged_requests_leave_oldest_first():
    clock = ManualClock()
    door = gate(clock=clock)
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        for name, priority in (("first", 4), ("second", 3), ("third", 2)):
            crowd.join(name, priority)
            await settle()
            clock.advance(3.0)
        await crowd.serve(3)
    assert crowd.order == ["first", "second", "third"]


async def test_full_queue_refuses_with_nothing_sent():
    door = gate(capacity=1)
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        crowd.join("kept", 3)
        await settle()
        with pytest.raises(RequestRefused) as caught:
            await door.enter(2)
        await crowd.serve(1)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert isinstance(caught.value, VenueUnavailable)
    assert isinstance(caught.value, QueueFullError)
    assert door.refused == 1


async def test_priority_one_takes_the_place_of_the_newest_worst_request():
    door = gate(capacity=2)
    await door.enter(1)
    waiting = [asyncio.Event(), asyncio.Event()]

    async def outlive(event: asyncio.Event) -> str:
        event.set()
        try:
            await door.enter(4)
        except RequestRefused:
            return "refused"
        return "served"

    async with asyncio.TaskGroup() as group:
        old, new = (group.create_task(outlive(event)) for event in waiting)
        await settle()
        urgent = group.create_task(door.enter(1))
        await settle()
        door.leave()
        await urgent
        door.leave()
    assert (old.result(), new.result()) == ("served", "refused")


async def test_priority_one_never_displaces_priority_one():
    door = gate(capacity=1)
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        crowd.join("first", 1)
        await settle()
        with pytest.raises(RequestRefused):
            await door.enter(1)
        await crowd.serve(1)
    assert crowd.order == ["first"]


async def test_cancelled_caller_is_taken_out_of_the_queue():
    door = gate()
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        gone = crowd.join("gone", 1)
        crowd.join("kept", 2)
        await settle()
        gone.cancel()
        await settle()
        assert door.waiting == 1
        await crowd.serve(1)
    assert crowd.order == ["kept"]


async def test_turn_of_a_caller_cancelled_in_the_same_moment_goes_to_the_next():
    door = gate()
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        gone = crowd.join("gone", 1)
        crowd.join("kept", 2)
        await settle()
        door.leave()
        gone.cancel()
        await settle()
    assert crowd.order == ["kept"]
    assert door.busy == 1


async def test_turn_is_not_given_to_a_caller_already_cancelled():
    door = gate()
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        gone = crowd.join("gone", 1)
        crowd.join("kept", 2)
        await settle()
        gone.cancel()
        door.leave()
        await settle()
    assert crowd.order == ["kept"]


async def test_closing_refuses_those_who_wait_and_those_who_come():
    door = gate()
    await door.enter(1)
    waiting = asyncio.get_running_loop().create_task(door.enter(2))
    await settle()
    door.close()
    with pytest.raises(VenueUnavailable) as caught:
        await waiting
    with pytest.raises(VenueUnavailable):
        await door.enter(1)
    assert caught.value.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize("priority", [0, 5, -1, 1.5, True, "1"])
def test_other_priorities_are_refused(priority):
    with pytest.raises(ValidationError):
        checked_priority(priority)


@pytest.mark.parametrize(("slots", "capacity"), [(0, 1), (1, 0)])
def test_impossible_gate_is_refused(slots, capacity):
    with pytest.raises(ValidationError):
        PriorityGate(slots, capacity=capacity, clock=ManualClock())


class Wire:
    """Cancellations on their way; each is answered when told."""

    def __init__(self) -> None:
        self.sent = 0
        self.open = asyncio.Event()
        self.failure: Exception | None = None

    async def exchange(self) -> HttpReply:
        self.sent += 1
        number = self.sent
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return reply(number)


async def test_waiting_cancellations_of_one_order_are_sent_once():
    lane, wire = CancelLane(1, clock=ManualClock()), Wire()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(lane.send("a", wire.exchange))
        await settle()
        same = [group.create_task(lane.send("b", wire.exchange)) for _ in range(3)]
        await settle()
        assert (lane.busy, lane.waiting) == (1, 1)
        wire.open.set()
    assert first.result().status == 1
    assert [task.result().status for task in same] == [2, 2, 2]
    assert (wire.sent, lane.coalesced) == (2, 2)


async def test_cancellation_already_sent_is_not_shared():
    lane, wire = CancelLane(2, clock=ManualClock()), Wire()
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(lane.send("a", wire.exchange))
            await settle()
        assert wire.sent == 2
        wire.open.set()


async def test_failure_of_a_shared_cancellation_reaches_all():
    lane, wire, broken = CancelLane(1, clock=ManualClock()), Wire(), Wire()
    broken.failure = OSError("broken")
    broken.open.set()

    async def outcome() -> str:
        try:
            await lane.send("b", broken.exchange)
        except OSError as e:
            return str(e)
        return "answered"

    async with asyncio.TaskGroup() as group:
        group.create_task(lane.send("a", wire.exchange))
        await settle()
        same = [group.create_task(outcome()) for _ in range(2)]
        await settle()
        wire.open.set()
    assert ([task.result() for task in same], broken.sent) == (["broken"] * 2, 1)


async def test_shared_cancellation_outlives_the_caller_who_led_it():
    lane, wire = CancelLane(1, clock=ManualClock()), Wire()
    async with asyncio.TaskGroup() as group:
        group.create_task(lane.send("a", wire.exchange))
        await settle()
        leader = group.create_task(lane.send("b", wire.exchange))
        follower = group.create_task(lane.send("b", wire.exchange))
        await settle()
        leader.cancel()
        await settle()
        wire.open.set()
    assert follower.result().status == 2


async def test_closed_lane_refuses():
    lane = CancelLane(1, clock=ManualClock())
    lane.close()
    with pytest.raises(VenueUnavailable):
        await lane.send("a", Wire().exchange)


async def test_exits_pass_before_everything_and_are_never_refused():
    clock = ManualClock()
    door = gate(capacity=2, clock=clock)
    await door.enter(1)

    async def query() -> str:
        try:
            await door.enter(1)
        except RequestRefused:
            return "refused"
        return "served"

    async with asyncio.TaskGroup() as group:
        queries = [group.create_task(query()) for _ in range(2)]
        await settle()
        clock.advance(100.0)
        exits = [group.create_task(door.enter(1, is_exit=True)) for _ in range(50)]
        await settle()
        assert (door.waiting, door.most_waiting) == (50, 50)
        for _ in exits:
            door.leave()
            await settle()
        assert all(one.done() for one in exits)
    assert [one.result() for one in queries] == ["refused", "refused"]


async def test_request_that_waited_twice_the_ageing_time_overtakes_priority_one():
    clock = ManualClock()
    door = gate(clock=clock)
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        crowd.join("old 4", 4)
        await settle()
        clock.advance(4.0)
        crowd.join("new 1", 1)
        await settle()
        await crowd.serve(2)
    assert crowd.order == ["old 4", "new 1"]


async def test_stream_of_priority_one_starves_nobody():
    clock = ManualClock()
    door = gate(clock=clock)
    await door.enter(1)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(door, group)
        for priority in (2, 3, 4):
            crowd.join(f"patient {priority}", priority)
        await settle()
        for number in range(12):
            crowd.join(f"{number}", 1)
            await settle()
            clock.advance(0.5)
            await crowd.serve(1)
        await crowd.serve(3)
    assert crowd.order[7:11] == ["patient 2", "patient 3", "patient 4", "7"]
