"""Spacing of API calls: kept by a crowd, first come first served."""

from __future__ import annotations

import asyncio
import heapq
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.execution.spacing import CallSpacing
from trading_system.domain.errors import DeadlineExceeded, ValidationError
from trading_system.runtime.clock import ManualClock

MS = 1_000_000


class Sleepers:
    """Wakes those who pause in the order of their time, and moves the clock to it."""

    def __init__(self, clock: ManualClock, *, early_s: float = 0.0) -> None:
        self.clock = clock
        self.early_s = early_s
        self._heap: list[tuple[int, int, asyncio.Event]] = []
        self.pauses = 0

    async def pause(self, seconds: float) -> None:
        self.pauses += 1
        shortened = max(seconds - self.early_s, min(seconds, 0.001))
        wakes_ns = self.clock.monotonic_ns() + round(shortened * 1e9)
        event = asyncio.Event()
        heapq.heappush(self._heap, (wakes_ns, self.pauses, event))
        await event.wait()

    async def run(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        while self._heap:
            wakes_ns, _, event = heapq.heappop(self._heap)
            self.clock.advance(max(0, wakes_ns - self.clock.monotonic_ns()) / 1e9)
            event.set()
            for _ in range(4):
                await asyncio.sleep(0)


@pytest.mark.parametrize("early_s", [0.0, 0.001])
async def test_a_hundred_concurrent_callers_keep_their_spacing_and_order(early_s: float) -> None:
    clock = ManualClock()
    sleepers = Sleepers(clock, early_s=early_s)
    spacing = CallSpacing(0.05, clock=clock, pause=sleepers.pause)
    turns: list[tuple[int, int]] = []

    async def call(number: int) -> None:
        await spacing.acquire("get_ticker", deadline_s=10.0)
        turns.append((number, clock.monotonic_ns()))

    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(call(number))
        await sleepers.run()
    assert [number for number, _ in turns] == list(range(100))
    assert [at for _, at in turns] == [index * 50 * MS for index in range(100)]
    assert sleepers.pauses <= 2 * 99
    assert (spacing.granted, spacing.refused) == (100, 0)


async def test_a_turn_that_comes_too_late_is_refused_at_once_and_stays_free() -> None:
    clock = ManualClock()
    spacing = CallSpacing(0.05, clock=clock)
    assert spacing.try_acquire("get_ticker")
    with pytest.raises(DeadlineExceeded, match=r"get_ticker comes in 0.050 s, deadline 0.04 s"):
        await spacing.acquire("get_ticker", deadline_s=0.04)
    clock.advance(0.05)
    assert spacing.try_acquire("get_ticker")
    assert (spacing.granted, spacing.refused) == (2, 1)


async def test_those_who_ask_do_not_overtake_those_who_wait() -> None:
    clock = ManualClock()
    sleepers = Sleepers(clock)
    spacing = CallSpacing(0.05, clock=clock, pause=sleepers.pause)
    assert spacing.try_acquire("get_ticker")
    async with asyncio.TaskGroup() as group:
        group.create_task(spacing.acquire("get_ticker", deadline_s=1.0))
        await asyncio.sleep(0)
        clock.advance(0.05)
        assert not spacing.try_acquire("get_ticker")
        await sleepers.run()
    clock.advance(0.05)
    assert spacing.try_acquire("get_ticker")


@given(st.lists(st.integers(0, 120)))
def test_calls_are_never_closer_than_the_interval(pauses_ms: list[int]) -> None:
    clock = ManualClock()
    spacing = CallSpacing(0.05, clock=clock)
    granted: list[int] = []
    for pause_ms in pauses_ms:
        clock.advance(pause_ms / 1000)
        is_due = not granted or clock.monotonic_ns() - granted[-1] >= 50 * MS
        assert spacing.try_acquire("get_ticker") is is_due
        if is_due:
            granted.append(clock.monotonic_ns())


async def test_no_interval_lets_all_pass() -> None:
    spacing = CallSpacing(0.0, clock=ManualClock())
    assert all(spacing.try_acquire("get_ticker") for _ in range(5))
    await spacing.acquire("get_ticker", deadline_s=0.0)
    assert spacing.granted == 6


def test_operations_are_bounded_and_the_idlest_goes() -> None:
    clock = ManualClock()
    spacing = CallSpacing(0.05, clock=clock)
    for index in range(256):
        assert spacing.try_acquire(f"operation-{index}")
        clock.advance(0.0001)
    assert spacing.try_acquire("one more")
    assert spacing.try_acquire("operation-0")
    assert not spacing.try_acquire("operation-255")


@pytest.mark.parametrize("interval_s", [-0.1, math.nan, math.inf])
def test_a_senseless_interval_is_refused(interval_s: float) -> None:
    with pytest.raises(ValidationError):
        CallSpacing(interval_s, clock=ManualClock())
