from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from trading_system.domain.errors import DeadlineExceeded, LifecycleError
from trading_system.runtime.lifecycle import (
    TRANSITIONS,
    Component,
    State,
    Supervisor,
    Trigger,
    next_state,
)


class Recorder:
    """Builds components that note their starts and stops."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def part(self, name, *, start=None, stop=None, **deadlines) -> Component:
        async def run(kind, action):
            self.events.append(f"{kind} {name}")
            if action is not None:
                await action()

        return Component(
            name=name,
            start=lambda: run("start", start),
            stop=lambda: run("stop", stop),
            **deadlines,
        )


async def forever() -> None:
    await asyncio.Event().wait()


async def boom() -> None:
    raise ValueError("boom")


@pytest.fixture(autouse=True)
async def nothing_left_behind():
    threads = threading.active_count()
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert threading.active_count() == threads


def test_every_state_has_a_way_to_end():
    for state in State:
        assert (state, Trigger.STOP) in TRANSITIONS


@pytest.mark.parametrize(
    ("state", "trigger"),
    [(s, t) for s in State for t in Trigger if (s, t) not in TRANSITIONS],
)
def test_illegal_trigger_names_state_and_trigger(state, trigger):
    with pytest.raises(LifecycleError, match=f"{trigger.name} is illegal in state {state.name}"):
        next_state(state, trigger)


def test_ended_states_cannot_run_again():
    ended = {State.STOPPED, State.FAILED}
    assert all(TRANSITIONS[key] in ended for key in TRANSITIONS if key[0] in ended)


async def test_components_start_in_order_and_stop_in_reverse():
    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a"), recorder.part("b")])
    await supervisor.start()
    assert supervisor.state is State.RUNNING
    await supervisor.stop("done")
    assert recorder.events == ["start a", "start b", "stop b", "stop a"]
    assert (supervisor.state, supervisor.reason, supervisor.is_ended) == (
        State.STOPPED,
        "done",
        True,
    )


async def test_context_managers_are_components():
    events = []

    @asynccontextmanager
    async def part():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(forever())
            events.append("in")
            yield
            task.cancel()
            events.append("out")

    supervisor = Supervisor([Component.of("part", part())])
    await supervisor.start()
    await supervisor.stop("done")
    assert events == ["in", "out"]
    assert supervisor.problems == ()


async def test_failing_start_rolls_back_in_reverse_and_raises():
    recorder = Recorder()
    parts = [recorder.part("a"), recorder.part("b"), recorder.part("c", start=boom)]
    supervisor = Supervisor([*parts, recorder.part("d")])
    with pytest.raises(ValueError, match="boom"):
        await supervisor.start()
    assert recorder.events == ["start a", "start b", "start c", "stop b", "stop a"]
    assert supervisor.state is State.FAILED


async def test_overrunning_start_is_cancelled_and_rolled_back():
    recorder = Recorder()
    slow = recorder.part("slow", start=forever, start_deadline_s=0.01)
    supervisor = Supervisor([recorder.part("a"), slow])
    with pytest.raises(DeadlineExceeded, match=r"slow did not start within 0.01 s"):
        await supervisor.start()
    assert recorder.events == ["start a", "start slow", "stop a"]


async def test_start_that_hides_its_cancellation_is_stopped_and_fails():
    async def stubborn():
        try:
            await forever()
        except asyncio.CancelledError:
            return

    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a", start=stubborn, start_deadline_s=0.01)])
    with pytest.raises(DeadlineExceeded):
        await supervisor.start()
    assert recorder.events == ["start a", "stop a"]


async def test_own_timeout_of_a_component_is_not_taken_for_an_overrun():
    async def times_out():
        raise TimeoutError("no answer")

    supervisor = Supervisor([Recorder().part("a", start=times_out)])
    with pytest.raises(TimeoutError, match="no answer"):
        await supervisor.start()


async def test_overrunning_stop_is_recorded_and_the_rest_still_stops():
    recorder = Recorder()
    slow = recorder.part("slow", stop=forever, stop_deadline_s=0.01)
    supervisor = Supervisor([recorder.part("a"), slow, recorder.part("c", stop=boom)])
    await supervisor.start()
    await supervisor.stop("done")
    assert recorder.events[3:] == ["stop c", "stop slow", "stop a"]
    assert [p.source for p in supervisor.problems] == ["c", "slow"]
    assert supervisor.state is State.STOPPED


async def test_stop_whose_clean_up_hangs_too_is_cancelled_again():
    async def hangs_twice():
        try:
            await forever()
        finally:
            await forever()

    recorder = Recorder()
    slow = recorder.part("slow", stop=hangs_twice, stop_deadline_s=0.01)
    supervisor = Supervisor([recorder.part("a"), slow])
    await supervisor.start()
    await supervisor.stop("done")
    assert recorder.events[-1] == "stop a"
    assert isinstance(supervisor.problems[0].error, DeadlineExceeded)


async def test_stop_is_idempotent_and_keeps_the_first_reason():
    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a")])
    await supervisor.start()
    async with asyncio.TaskGroup() as group:
        stops = [group.create_task(supervisor.stop(f"reason {n}")) for n in range(5)]
        waiter = group.create_task(supervisor.wait())
    await supervisor.stop("again")
    assert all(stop.done() for stop in [*stops, waiter])
    assert supervisor.reason == "reason 0"
    assert recorder.events == ["start a", "stop a"]


async def test_concurrent_stops_all_wait_for_the_end():
    gate = asyncio.Event()
    supervisor = Supervisor([Recorder().part("a", stop=gate.wait)])
    await supervisor.start()
    async with asyncio.TaskGroup() as group:
        stops = [group.create_task(supervisor.stop("x")) for _ in range(3)]
        done, _ = await asyncio.wait(stops, timeout=0.02)
        assert not done
        gate.set()
    assert supervisor.is_ended


async def test_stop_before_start_ends_and_forbids_the_start():
    supervisor = Supervisor([Recorder().part("a")])
    await supervisor.stop("never mind")
    assert supervisor.state is State.STOPPED
    with pytest.raises(LifecycleError, match="START is illegal in state STOPPED"):
        await supervisor.start()


async def test_second_start_is_refused():
    supervisor = Supervisor()
    await supervisor.start()
    with pytest.raises(LifecycleError, match="START is illegal in state RUNNING"):
        await supervisor.start()
    await supervisor.stop("done")


async def test_stop_interrupts_a_start():
    entered = asyncio.Event()

    async def enter():
        entered.set()
        await forever()

    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a"), recorder.part("b", start=enter)])

    async def change_my_mind():
        await entered.wait()
        await supervisor.stop("changed my mind")

    async with asyncio.TaskGroup() as group:
        group.create_task(change_my_mind())
        with pytest.raises(LifecycleError, match="stopped while starting: changed my mind"):
            await supervisor.start()
    assert recorder.events == ["start a", "start b", "stop a"]
    assert supervisor.state is State.STOPPED


async def test_cancelled_start_stops_everything_and_stays_cancelled():
    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a"), recorder.part("b", start=forever)])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await supervisor.start()
    assert recorder.events == ["start a", "start b", "stop a"]
    assert supervisor.is_ended


async def test_cancelled_stop_does_not_interrupt_the_stop():
    gate = asyncio.Event()
    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a"), recorder.part("b", stop=gate.wait)])
    await supervisor.start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await supervisor.stop("x")
    gate.set()
    await supervisor.wait()
    assert recorder.events[-1] == "stop a"


async def test_failing_task_fails_the_system_and_wait_raises_it():
    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a"), recorder.part("b")])
    await supervisor.start()
    supervisor.spawn("bad", boom())
    with pytest.raises(ValueError, match="boom"):
        await supervisor.wait()
    assert supervisor.state is State.FAILED
    assert supervisor.reason == "task bad failed: ValueError('boom')"
    assert recorder.events[2:] == ["stop b", "stop a"]


async def test_state_is_failed_while_the_ordered_stop_runs():
    seen = []
    holder: list[Supervisor] = []

    async def look():
        seen.append(holder[0].state)

    holder.append(Supervisor([Recorder().part("a", stop=look)]))
    await holder[0].start()
    holder[0].spawn("bad", boom())
    with pytest.raises(ValueError, match="boom"):
        await holder[0].wait()
    assert seen == [State.FAILED]


async def test_task_failing_during_the_start_aborts_the_start():
    recorder = Recorder()
    supervisor = Supervisor()

    async def spawns():
        supervisor.spawn("bad", boom())

    supervisor.add(recorder.part("a", start=spawns))
    supervisor.add(recorder.part("b", start=forever))
    with pytest.raises(ValueError, match="boom"):
        await supervisor.start()
    assert recorder.events == ["start a", "start b", "stop a"]


async def test_tasks_end_before_components_stop():
    events = []
    recorder = Recorder()
    recorder.events = events

    async def work():
        try:
            await forever()
        finally:
            events.append("task ended")

    supervisor = Supervisor([recorder.part("a")])
    await supervisor.start()
    supervisor.spawn("work", work())
    await asyncio.sleep(0)
    await supervisor.stop("done")
    assert events == ["start a", "task ended", "stop a"]


async def test_task_that_ignores_its_first_cancellation_is_recorded_and_cancelled_again():
    async def stubborn():
        try:
            await forever()
        except asyncio.CancelledError:
            await forever()

    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a")], task_deadline_s=0.01)
    await supervisor.start()
    supervisor.spawn("stubborn", stubborn())
    await asyncio.sleep(0)
    await supervisor.stop("done")
    assert [p.source for p in supervisor.problems] == ["task stubborn"]
    assert recorder.events[-1] == "stop a"


async def test_lost_task_counts_as_a_failure():
    async def lost():
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    supervisor = Supervisor()
    await supervisor.start()
    supervisor.spawn("reader", lost())
    with pytest.raises(LifecycleError, match="task 'reader' was lost"):
        await supervisor.wait()


async def test_task_that_is_cancelled_on_purpose_is_no_failure():
    supervisor = Supervisor()
    await supervisor.start()
    task = supervisor.spawn("work", forever())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert supervisor.state is State.RUNNING
    await supervisor.stop("done")


async def test_second_failure_is_recorded_beside_the_first():
    async def late():
        try:
            await forever()
        finally:
            raise KeyError("late")

    supervisor = Supervisor()
    await supervisor.start()
    supervisor.spawn("late", late())
    await asyncio.sleep(0)
    supervisor.spawn("bad", boom())
    with pytest.raises(ValueError, match="boom"):
        await supervisor.wait()
    assert [p.source for p in supervisor.problems] == ["task late"]


async def test_spawn_outside_of_life_closes_the_coroutine():
    supervisor = Supervisor()
    for state in (State.NEW, State.STOPPED):
        coroutine = forever()
        with pytest.raises(LifecycleError, match=f"cannot spawn 'x' in state {state.name}"):
            supervisor.spawn("x", coroutine)
        assert coroutine.cr_frame is None
        await supervisor.stop("done")


async def test_components_are_added_only_before_the_start():
    supervisor = Supervisor()
    await supervisor.start()
    with pytest.raises(LifecycleError, match="cannot add 'late' in state RUNNING"):
        supervisor.add(Recorder().part("late"))
    await supervisor.stop("done")


async def test_degraded_system_recovers_and_stops():
    supervisor = Supervisor()
    with pytest.raises(LifecycleError):
        supervisor.degrade("too early")
    await supervisor.start()
    supervisor.degrade("stream is silent")
    assert (supervisor.state, supervisor.degraded_reason) == (State.DEGRADED, "stream is silent")
    supervisor.recover()
    assert (supervisor.state, supervisor.degraded_reason) == (State.RUNNING, None)
    await supervisor.stop("done")


async def test_task_may_stop_its_own_supervisor():
    supervisor = Supervisor()
    await supervisor.start()

    async def limit():
        await supervisor.stop("duration is over")

    supervisor.spawn("duration", limit())
    await supervisor.wait()
    assert (supervisor.state, supervisor.reason) == (State.STOPPED, "duration is over")


async def test_component_waiting_for_its_own_supervisor_is_refused():
    supervisor = Supervisor()
    supervisor.add(Recorder().part("a", start=lambda: supervisor.stop("deadlock")))
    with pytest.raises(LifecycleError, match="its own supervisor"):
        await supervisor.start()


async def test_cancelled_supervisor_still_stops_in_order():
    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a"), recorder.part("b")], name="boss")
    await supervisor.start()
    boss = next(task for task in asyncio.all_tasks() if task.get_name() == "boss")
    boss.cancel()
    await supervisor.wait()
    assert boss.cancelled()
    assert recorder.events[2:] == ["stop b", "stop a"]
    assert (supervisor.state, supervisor.reason) == (State.STOPPED, "the supervisor was cancelled")


async def test_stop_request_needs_no_waiting():
    supervisor = Supervisor()
    await supervisor.start()
    asyncio.get_running_loop().call_soon(supervisor.request_stop, "SIGTERM")
    await supervisor.wait()
    assert supervisor.reason == "SIGTERM"


async def test_stop_before_the_first_component_enters_none():
    recorder = Recorder()
    supervisor = Supervisor([recorder.part("a")])
    asyncio.get_running_loop().call_soon(supervisor.request_stop, "at once")
    with pytest.raises(LifecycleError, match="stopped while starting: at once"):
        await supervisor.start()
    assert recorder.events == []


async def test_component_without_a_stop_needs_none():
    async def begin():
        return

    supervisor = Supervisor([Component(name="a", start=begin)])
    await supervisor.start()
    await supervisor.stop("done")
    assert supervisor.problems == ()


async def test_failure_is_told_by_the_part_that_sees_it():
    supervisor = Supervisor()
    await supervisor.start()
    error = OSError("disk full")
    supervisor.fail("journal", error)
    with pytest.raises(OSError, match="disk full"):
        await supervisor.wait()
    assert supervisor.error is error
    with pytest.raises(LifecycleError, match="DEGRADE is illegal in state FAILED"):
        supervisor.degrade("too late")


async def test_task_that_waits_for_the_end_is_ended_by_the_stop():
    supervisor = Supervisor()
    await supervisor.start()
    task = supervisor.spawn("waiter", supervisor.wait())
    await asyncio.sleep(0)
    await supervisor.stop("done")
    assert task.cancelled()
