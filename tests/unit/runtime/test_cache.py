from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import ValidationError
from trading_system.runtime.cache import TtlCache
from trading_system.runtime.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock) -> TtlCache[str, int]:
    return TtlCache(2, ttl_s=1.0, clock=clock)


class Source:
    """Computes only when it is let go, and counts how often it was asked."""

    def __init__(self, value: int = 7, error: Exception | None = None) -> None:
        self.gate = asyncio.Event()
        self.calls = 0
        self.value = value
        self.error = error

    async def __call__(self) -> int:
        self.calls += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.value


def test_value_lives_exactly_its_time(cache, clock):
    cache.put("a", 1)
    clock.advance(0.999_999_999)
    assert cache.get("a") == 1
    clock.advance(0.000_000_001)
    assert cache.get("a") is None
    assert cache.statistics.expirations == 1


def test_value_may_have_a_time_of_its_own(cache, clock):
    cache.put("a", 1, ttl_s=5)
    clock.advance(4)
    assert cache.get("a") == 1


def test_least_recently_used_is_evicted(cache):
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    assert cache.statistics.evictions == 1


def test_replacing_a_value_evicts_nothing(cache):
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    assert (len(cache), cache.get("a"), cache.statistics.evictions) == (2, 3, 0)


def test_expired_values_make_room_without_eviction(cache, clock):
    cache.put("a", 1)
    cache.put("b", 2)
    clock.advance(1)
    cache.put("c", 3)
    assert (cache.statistics.evictions, cache.statistics.expirations) == (0, 2)


def test_hit_rate_is_counted_and_none_before_the_first_look_up(cache):
    assert cache.statistics.hit_rate is None
    cache.get("a")
    cache.put("a", 1)
    for _ in range(3):
        cache.get("a")
    assert (cache.statistics.hits, cache.statistics.misses) == (3, 1)
    assert cache.statistics.hit_rate == 0.75


def test_invalidation_removes_by_key_and_by_predicate(clock):
    cache = TtlCache[tuple[str, int], int](10, ttl_s=1, clock=clock)
    for n in range(4):
        cache.put(("even" if n % 2 == 0 else "odd", n), n)
    assert cache.invalidate(("odd", 1)) is True
    assert cache.invalidate(("odd", 1)) is False
    assert cache.invalidate_where(lambda key: key[0] == "even") == 2
    assert cache.clear() == 1
    assert (len(cache), cache.statistics.invalidations) == (0, 4)


@pytest.mark.parametrize("ttl_s", [0, -1, math.nan, math.inf, 1e-12])
def test_senseless_times_are_refused(clock, cache, ttl_s):
    with pytest.raises(ValidationError):
        TtlCache(1, ttl_s=ttl_s, clock=clock)
    with pytest.raises(ValidationError):
        cache.put("a", 1, ttl_s=ttl_s)


def test_cache_without_room_is_refused(clock):
    with pytest.raises(ValidationError, match="capacity was 0"):
        TtlCache(0, ttl_s=1, clock=clock)


async def test_concurrent_callers_share_one_computation(cache):
    source = Source()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cache.get_or_compute("a", source)) for _ in range(10)]
        await asyncio.sleep(0)
        source.gate.set()
    assert [task.result() for task in tasks] == [7] * 10
    assert source.calls == 1
    assert await cache.get_or_compute("a", source) == 7
    assert (cache.statistics.shared, cache.statistics.misses, cache.statistics.hits) == (9, 10, 1)


async def test_different_keys_are_computed_apart(cache):
    source = Source()
    source.gate.set()
    assert await cache.get_or_compute("a", source) == await cache.get_or_compute("b", source)
    assert source.calls == 2


async def test_failure_reaches_everybody_and_is_not_cached(cache):
    source = Source(error=OSError("down"))

    async def ask() -> str:
        with pytest.raises(OSError, match="down"):
            await cache.get_or_compute("a", source)
        return "told"

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask()) for _ in range(3)]
        await asyncio.sleep(0)
        source.gate.set()
    assert [task.result() for task in tasks] == ["told"] * 3
    assert source.calls == 1
    source.error = None
    assert await cache.get_or_compute("a", source) == 7


async def test_cancelled_leader_does_not_take_its_followers_along(cache):
    source = Source()
    async with asyncio.TaskGroup() as group:
        leader = group.create_task(cache.get_or_compute("a", source))
        followers = [group.create_task(cache.get_or_compute("a", source)) for _ in range(3)]
        await asyncio.sleep(0)
        leader.cancel()
        await asyncio.wait([leader])
        source.gate.set()
    assert leader.cancelled()
    assert [task.result() for task in followers] == [7] * 3
    assert source.calls == 2


async def test_cancelled_follower_does_not_disturb_the_leader(cache):
    source = Source()
    async with asyncio.TaskGroup() as group:
        leader = group.create_task(cache.get_or_compute("a", source))
        follower = group.create_task(cache.get_or_compute("a", source))
        await asyncio.sleep(0)
        follower.cancel()
        await asyncio.wait([follower])
        source.gate.set()
    assert (leader.result(), source.calls) == (7, 1)


@pytest.mark.parametrize("forget", ["invalidate", "clear"])
async def test_value_invalidated_while_computed_is_delivered_but_not_stored(cache, forget):
    source = Source()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(cache.get_or_compute("a", source))
        await asyncio.sleep(0)
        cache.clear() if forget == "clear" else cache.invalidate("a")
        source.gate.set()
    assert task.result() == 7
    assert cache.get("a") is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "get", "wait", "drop"]), st.integers(0, 4)), max_size=60
    )
)
def test_cache_never_returns_what_a_dict_with_times_would_not(steps):
    clock = ManualClock()
    cache = TtlCache[int, int](3, ttl_s=1.0, clock=clock)
    model: dict[int, tuple[int, int]] = {}
    for number, (action, key) in enumerate(steps):
        if action == "put":
            cache.put(key, number)
            model[key] = (number, clock.monotonic_ns() + 1_000_000_000)
        elif action == "wait":
            clock.advance(key / 4)
        elif action == "drop":
            cache.invalidate(key)
            model.pop(key, None)
        else:
            value, ends = model.get(key, (None, 0))
            allowed = {None, value} if ends > clock.monotonic_ns() else {None}
            assert cache.get(key) in allowed
        assert len(cache) <= 3
