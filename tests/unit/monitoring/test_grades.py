from hypothesis import given
from hypothesis import strategies as st

from trading_system.monitoring.grades import full, lost, share_below, within


@given(st.none() | st.floats(-1e6, 1e6), st.floats(0.1, 1e4))
def test_whatever_was_lost_has_a_reason(measured: float | None, target: float) -> None:
    grade = within(measured, target, what="lag", unit="ms")
    assert 0.0 <= grade.share <= 1.0
    assert grade.reason or grade.share == 1.0


def test_points_fall_linearly_from_the_target_to_twice_the_target() -> None:
    shares = [within(x, 100.0, what="lag", unit="ms").share for x in (100.0, 150.0, 200.0, 900.0)]
    assert shares == [1.0, 0.5, 0.0, 0.0]


def test_what_was_not_measured_earned_nothing() -> None:
    assert within(None, 1.0, what="lag", unit="ms") == lost("lag not measured yet")


def test_no_badness_is_no_loss() -> None:
    assert share_below(0.0, "x") == full()
    assert share_below(0.25, "x").share == 0.75
