import numpy as np
import pytest

from trading_system.evaluation.scores import brier, calibration_error, correlation, log_loss, scored

P = np.array([0.1, 0.1, 0.9, 0.9])
Y = np.array([0.0, 1.0, 1.0, 1.0])


def test_the_worked_example_has_its_published_scores() -> None:
    assert brier(P, Y) == pytest.approx(0.21)
    assert log_loss(P, Y) == pytest.approx(0.654667, abs=1e-6)
    assert calibration_error(P, Y) == pytest.approx(0.25)


def test_certainty_is_scored_without_infinities() -> None:
    assert log_loss(np.array([1.0, 0.0]), np.array([0.0, 1.0])) < 40
    assert calibration_error(np.array([1.0]), np.array([1.0])) == 0.0


def test_correlation_with_what_does_not_vary_is_zero() -> None:
    assert correlation(np.zeros(5), np.arange(5.0)) == 0.0
    assert correlation(np.arange(1.0), np.arange(1.0)) == 0.0
    assert correlation(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1.0)


def test_doing_nothing_scores_zero_and_knowing_scores_one() -> None:
    moves = np.array([3.0, -1.0, 2.0, -4.0])
    flat = scored(np.full(4, 0.5), np.zeros(4), moves, independent=1)
    sure = scored((moves > 0).astype(float), moves, moves, independent=1)
    assert (flat["brier_skill"], flat["skill"], flat["correlation"]) == (0.0, 0.0, 0.0)
    assert flat["log_loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert (sure["brier_skill"], sure["skill"], sure["correlation"]) == (1.0, 1.0, 1.0)


def test_a_market_without_any_move_has_scores_too() -> None:
    still = scored(np.full(3, 0.7), np.zeros(3), np.zeros(3), independent=0)
    assert (still["brier"], still["skill"], still["samples"]) == (0.25, 0.0, 3)
