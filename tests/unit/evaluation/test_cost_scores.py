import numpy as np
import pytest

from trading_system.evaluation.cost_scores import calibration_line, fill_scores, interval_scores


def drawn(*, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    # Probabilities, and outcomes whose log odds are a line of theirs.
    rng = np.random.default_rng(7)
    logits = rng.normal(size=20_000)
    truth = 1 / (1 + np.exp(-(slope * logits + intercept)))
    return 1 / (1 + np.exp(-logits)), (rng.random(20_000) < truth).astype(np.float64)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.7)])
def test_the_calibration_line_finds_slope_and_intercept(slope: float, intercept: float) -> None:
    line = calibration_line(*drawn(slope=slope, intercept=intercept))
    assert line == pytest.approx((slope, intercept), abs=0.06)


@pytest.mark.parametrize(
    ("p", "is_filled"),
    [
        ([0.4, 0.4, 0.4, 0.4], [0, 1, 0, 1]),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 1, 1]),
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]),
    ],
    ids=["constant", "one class", "separated"],
)
def test_there_is_no_line_where_none_can_be_told(p: list[float], is_filled: list[int]) -> None:
    assert calibration_line(np.array(p), np.array(is_filled, dtype=np.float64)) is None


def test_fill_scores_are_the_hand_computed_ones() -> None:
    scores = fill_scores(
        np.array([0.5, 1.0, 0.0, 0.5]), np.array([1.0, 1.0, 0.0, 0.0]), reference_rate=0.5
    )
    assert scores["brier"] == 0.125
    assert scores["reference_brier"] == 0.25
    assert scores["brier_skill"] == 0.5
    assert scores["fill_rate"] == scores["mean_probability"] == 0.5
    assert scores["samples"] == 4


def test_a_perfect_reference_leaves_no_skill_to_show() -> None:
    scores = fill_scores(np.array([0.5, 0.9]), np.array([1.0, 1.0]), reference_rate=1.0)
    assert scores["brier_skill"] == 0.0
    assert scores["calibration_slope"] is None
    assert scores["calibration_intercept"] is None


def test_interval_scores_are_the_hand_computed_ones() -> None:
    low, high = np.zeros(4), np.full(4, 2.0)
    scores = interval_scores(low, high, np.array([-1.0, 0.0, 2.0, 3.0]))
    assert (scores["below"], scores["coverage"], scores["above"]) == (0.25, 0.5, 0.25)
    assert scores["mean_width_bps"] == 2.0
    # Low end: .9, 0, .2, .3; high end: .3, .2, 0, .9.
    assert scores["pinball_bps"] == pytest.approx(2.8 / 4 / 2)
