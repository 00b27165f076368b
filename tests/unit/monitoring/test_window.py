from hypothesis import given
from hypothesis import strategies as st

from trading_system.monitoring.window import RecentGrowth
from trading_system.runtime.clock import ManualClock


def test_growth_is_forgotten_after_the_window() -> None:
    clock = ManualClock()
    recent = RecentGrowth(30.0, clock=clock)
    assert recent.update(4) == 4
    clock.advance(20.0)
    assert recent.update(5) == 5
    clock.advance(15.0)
    assert recent.update(5) == 1
    clock.advance(60.0)
    assert recent.update(5) == 0


def test_a_counter_that_began_anew_counts_from_zero() -> None:
    recent = RecentGrowth(30.0, clock=ManualClock())
    recent.update(10)
    assert recent.update(3) == 13


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 20)), max_size=60))
def test_recent_growth_lies_between_nothing_and_everything(
    steps: list[tuple[int, float]],
) -> None:
    clock, total = ManualClock(), 0
    recent = RecentGrowth(30.0, clock=clock, buckets=5)
    for growth, pause_s in steps:
        total += growth
        clock.advance(pause_s)
        assert growth <= recent.update(total) <= total
