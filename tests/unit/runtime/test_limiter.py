from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import DeadlineExceeded, ValidationError
from trading_system.runtime.clock import ManualClock, SystemClock
from trading_system.runtime.limiter import SlidingWindow, TokenBucket

STEPS = st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 5)), max_size=80)


def test_bucket_starts_full_and_refills_steadily():
    clock = ManualClock()
    bucket = TokenBucket(5, per_second=10, clock=clock)
    assert [bucket.try_acquire() for _ in range(6)] == [True] * 5 + [False]
    clock.advance(0.1)
    assert [bucket.try_acquire(), bucket.try_acquire()] == [True, False]
    assert (bucket.granted, bucket.refused) == (6, 2)


def test_bucket_never_holds_more_than_its_capacity():
    clock = ManualClock()
    bucket = TokenBucket(3, per_second=10, clock=clock)
    clock.advance(1000)
    assert bucket.available == 3


def test_bucket_waits_exactly_until_the_permit_is_there():
    clock = ManualClock()
    bucket = TokenBucket(2, per_second=3, clock=clock)
    assert bucket.wait_s(2) == 0.0
    assert bucket.try_acquire(2)
    assert bucket.wait_s() == 0.333_333_334
    clock.advance(0.333_333_333)
    assert not bucket.try_acquire()
    clock.advance(0.000_000_001)
    assert bucket.try_acquire()


def test_window_frees_a_permit_one_window_after_it_was_taken():
    clock = ManualClock()
    window = SlidingWindow(2, window_s=1.0, clock=clock)
    assert window.try_acquire()
    clock.advance(0.4)
    assert window.try_acquire()
    assert not window.try_acquire()
    assert window.wait_s() == pytest.approx(0.6)
    assert window.wait_s(2) == pytest.approx(1.0)
    clock.advance(0.6)
    assert window.available == 1
    assert [window.try_acquire(), window.try_acquire()] == [True, False]
    assert (window.granted, window.refused) == (3, 2)


def test_a_caller_with_a_share_leaves_the_rest_to_others():
    window = SlidingWindow(5, window_s=1.0, clock=ManualClock())
    assert [window.try_acquire(share=0.5) for _ in range(3)] == [True, True, False]
    assert window.try_acquire(3)
    assert (window.granted, window.refused) == (5, 1)


def test_kept_permits_are_left_to_others_but_for_the_only_one():
    window = SlidingWindow(3, window_s=1.0, clock=ManualClock())
    assert [window.try_acquire(kept=1) for _ in range(3)] == [True, True, False]
    assert window.try_acquire()
    only = SlidingWindow(1, window_s=1.0, clock=ManualClock())
    assert only.try_acquire(kept=1)


def test_a_share_is_never_less_than_one_permit_and_never_out_of_range():
    window = SlidingWindow(3, window_s=1.0, clock=ManualClock())
    for share in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(ValidationError, match="share"):
            window.try_acquire(share=share)
    assert [window.try_acquire(share=0.01) for _ in range(2)] == [True, False]


@given(STEPS)
def test_no_rolling_window_ever_holds_more_than_its_permits(steps):
    clock = ManualClock()
    window = SlidingWindow(5, window_s=1.0, clock=clock)
    taken: list[int] = []
    for pause_ms, cost in steps:
        clock.advance(pause_ms / 1000)
        now = clock.monotonic_ns()
        recent = sum(1 for at in taken if now - at < 1_000_000_000)
        assert window.try_acquire(cost) is (recent + cost <= 5)
        if recent + cost <= 5:
            taken.extend([now] * cost)


@given(STEPS, st.sampled_from([SlidingWindow, TokenBucket]))
def test_after_the_announced_wait_the_permits_are_there(steps, kind):
    clock = ManualClock()
    options = {"window_s": 0.7} if kind is SlidingWindow else {"per_second": 7}
    limiter = kind(5, **options, clock=clock)
    for pause_ms, cost in steps:
        clock.advance(pause_ms / 1000)
        clock.advance(limiter.wait_s(cost))
        assert limiter.try_acquire(cost)


@given(STEPS)
def test_bucket_grants_at_most_its_capacity_and_what_flowed_in(steps):
    clock = ManualClock()
    bucket = TokenBucket(5, per_second=7, clock=clock)
    for pause_ms, cost in steps:
        clock.advance(pause_ms / 1000)
        bucket.try_acquire(cost)
        assert bucket.granted * 10**9 <= 5 * 10**9 + 7 * clock.monotonic_ns()


@pytest.mark.parametrize("cost", [0, -1, 6])
def test_costs_that_can_never_be_paid_are_refused(cost):
    for limiter in (
        TokenBucket(5, per_second=1, clock=ManualClock()),
        SlidingWindow(5, window_s=1, clock=ManualClock()),
    ):
        with pytest.raises(ValidationError, match=r"cost must be 1\.\.5"):
            limiter.try_acquire(cost)
        with pytest.raises(ValidationError):
            limiter.wait_s(cost)


def test_senseless_limiters_are_refused():
    clock = ManualClock()
    with pytest.raises(ValidationError):
        TokenBucket(0, per_second=1, clock=clock)
    with pytest.raises(ValidationError):
        TokenBucket(1, per_second=0, clock=clock)
    with pytest.raises(ValidationError):
        SlidingWindow(0, window_s=1, clock=clock)
    with pytest.raises(ValidationError):
        SlidingWindow(1, window_s=0, clock=clock)


@pytest.mark.parametrize("kind", ["bucket", "window"])
async def test_acquire_spaces_concurrent_callers(kind):
    clock = SystemClock()
    limiter = (
        TokenBucket(1, per_second=100, clock=clock)
        if kind == "bucket"
        else SlidingWindow(1, window_s=0.01, clock=clock)
    )
    started_ns = clock.monotonic_ns()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(limiter.acquire(deadline_s=5))
    assert clock.monotonic_ns() - started_ns >= 30_000_000
    assert limiter.granted == 4


@pytest.mark.parametrize("kind", ["bucket", "window"])
async def test_acquire_refuses_at_once_what_comes_too_late(kind):
    clock = ManualClock()
    limiter = (
        TokenBucket(1, per_second=1, clock=clock)
        if kind == "bucket"
        else SlidingWindow(1, window_s=1, clock=clock)
    )
    await limiter.acquire(deadline_s=0)
    with pytest.raises(DeadlineExceeded, match=r"1 permits need 1.000 s, deadline 0.5 s"):
        await limiter.acquire(deadline_s=0.5)
