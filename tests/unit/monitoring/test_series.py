import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.monitoring.series import Series


def test_points_closer_than_the_spacing_are_left_out_but_for_the_newest() -> None:
    series = Series(spacing_s=1.0)
    for utc_ms in (0, 400, 999, 1000, 1500):
        series.add(utc_ms, utc_ms / 10)
    assert series.points() == [(0, 0.0), (1000, 100.0), (1500, 150.0)]


def test_before_the_first_value_there_is_no_point() -> None:
    assert Series().points() == []


def test_a_full_series_drops_every_second_point_and_doubles_its_spacing() -> None:
    series = Series(capacity=4, spacing_s=1.0)
    for second in range(5):
        series.add(second * 1000, float(second))
    assert series.points() == [(0, 0.0), (2000, 2.0), (4000, 4.0)]
    assert series.spacing_s == 2.0


@given(
    steps=st.lists(st.integers(min_value=0, max_value=5000), min_size=1, max_size=400),
    capacity=st.integers(min_value=4, max_value=9),
)
def test_first_and_newest_stay_times_rise_and_memory_is_bounded(
    steps: list[int], capacity: int
) -> None:
    series, now = Series(capacity=capacity), 0
    for number, step in enumerate(steps):
        now += step
        series.add(now, float(number))
        times = [utc_ms for utc_ms, _ in series.points()]
        assert times == sorted(set(times))
        assert len(times) <= capacity
        assert times[0] == steps[0]
        assert series.points()[-1] == (now, float(number))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_out(value: float) -> None:
    series = Series()
    series.add(0, value)
    assert series.points() == []


def test_after_the_clock_was_set_back_times_still_rise() -> None:
    series = Series()
    for second in (10, 11, 12, 11, 13):
        series.add(second * 1000, float(second))
    assert [utc_ms for utc_ms, _ in series.points()] == [10_000, 11_000, 13_000]
    series.add(5_000, 1.0)
    assert series.points() == [(5_000, 1.0)]


@pytest.mark.parametrize(("capacity", "spacing_s"), [(3, 1.0), (10, 0.0), (10, math.nan)])
def test_a_series_without_room_or_spacing_is_refused(capacity: int, spacing_s: float) -> None:
    with pytest.raises(ValueError, match="series"):
        Series(capacity=capacity, spacing_s=spacing_s)
