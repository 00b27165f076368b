"""The price cache: fresh or nothing, bounded, with true counters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.execution.prices import PriceCache
from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.runtime.clock import ManualClock


def cache(capacity: int = 3, ttl_s: float = 0.1) -> tuple[PriceCache, ManualClock]:
    clock = ManualClock()
    return PriceCache(capacity, ttl_s=ttl_s, clock=clock), clock


def test_a_price_lives_exactly_its_time() -> None:
    prices, clock = cache()
    prices.note("BTCUSDT", 99.0, 101.0, ts=5.0)
    expected = {"symbol": "BTCUSDT", "bid": 99.0, "ask": 101.0, "mid": 100.0, "ts": 5.0}
    clock.advance(0.099)
    assert prices.get("BTCUSDT") == expected
    assert "BTCUSDT" in prices
    clock.advance(0.001)
    assert prices.get("BTCUSDT") is None
    assert "BTCUSDT" not in prices
    assert len(prices) == 0
    figures = prices.statistics
    assert (figures.hits, figures.misses, figures.expirations) == (1, 1, 1)


def test_a_jump_of_the_wall_clock_changes_no_life() -> None:
    prices, clock = cache()
    prices.note("BTCUSDT", 99.0, 101.0)
    clock.set_utc_ns(0)
    assert prices.get("BTCUSDT") is not None
    clock.advance(0.1)
    assert prices.get("BTCUSDT") is None


def test_a_push_renews_price_and_life() -> None:
    prices, clock = cache()
    prices.note("BTCUSDT", 99.0, 101.0)
    clock.advance(0.09)
    prices.note("BTCUSDT", 100.0, 102.0)
    clock.advance(0.09)
    found = prices.get("BTCUSDT")
    assert found is not None
    assert (found["mid"], len(prices)) == (101.0, 1)


def test_a_caller_cannot_change_what_is_held() -> None:
    prices, _ = cache()
    prices.note("BTCUSDT", 99.0, 101.0)
    found = prices.get("BTCUSDT")
    assert found is not None
    found["bid"] = 0.0
    assert prices.get("BTCUSDT") != found


def test_the_symbol_written_longest_ago_makes_room() -> None:
    prices, clock = cache()
    for symbol in "ABC":
        prices.note(symbol, 1.0, 2.0)
    prices.note("A", 1.0, 2.0)
    prices.note("D", 1.0, 2.0)
    assert [symbol in prices for symbol in "ABCD"] == [True, False, True, True]
    assert prices.statistics.evictions == 1
    clock.advance(1.0)
    prices.note("E", 1.0, 2.0)
    assert (prices.statistics.evictions, prices.statistics.expirations) == (1, 3)
    assert (prices.clear(), len(prices), prices.statistics.invalidations) == (1, 0, 1)


@pytest.mark.parametrize(
    ("bid", "ask"),
    [
        (0.0, 1.0),
        (-1.0, 1.0),
        (2.0, 1.0),
        (1.0, 1.0),
        (math.nan, 1.0),
        (1.0, math.nan),
        (1.0, math.inf),
        (-math.inf, 1.0),
    ],
)
def test_corrupt_prices_are_refused_and_take_the_old_along(bid: float, ask: float) -> None:
    prices, _ = cache()
    assert prices.note("BTCUSDT", 99.0, 101.0)
    assert not prices.note("BTCUSDT", bid, ask)
    assert not prices.note("ETHUSDT", bid, ask)
    assert prices.get("BTCUSDT") is None
    assert prices.statistics.invalidations == 1
    with pytest.raises(CorruptDataError, match="BTCUSDT prices are not positive or crossed"):
        prices.describe("BTCUSDT", bid, ask)


@pytest.mark.parametrize(("capacity", "ttl_s"), [(0, 1.0), (1, 0.0), (1, math.nan)])
def test_a_cache_needs_room_and_time(capacity: int, ttl_s: float) -> None:
    with pytest.raises(ValidationError):
        cache(capacity, ttl_s)


STEPS = st.lists(st.tuples(st.sampled_from("ABCDE"), st.booleans(), st.integers(0, 60)))


@given(STEPS)
def test_it_behaves_as_an_obvious_model(steps: list[tuple[str, bool, int]]) -> None:
    prices, clock = cache(capacity=5)
    written: dict[str, int] = {}
    for symbol, is_write, pause_ms in steps:
        clock.advance(pause_ms / 1000)
        now_ns = clock.monotonic_ns()
        if is_write:
            prices.note(symbol, 1.0, 2.0)
            written[symbol] = now_ns
        is_live = symbol in written and now_ns - written[symbol] < 100_000_000
        assert (prices.get(symbol) is not None) is is_live
        assert len(prices) == sum(now_ns - at < 100_000_000 for at in written.values())
