"""Scores of probabilities and expectations against what happened; plain numbers, never NaN."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_BINS = 10
_CLIP = 1e-15
_DIGITS = 6


class Scores(TypedDict):
    """How good predictions were.

    ``brier_skill`` is 1 for perfect, 0 for a coin; ``skill`` is the share of squared moves that
    the expectation explains; ``calibration_error`` is the mean distance of stated and observed
    frequency over ten bins; ``independent`` counts horizons, not overlapping samples.
    """

    samples: int
    independent: int
    brier: float
    brier_skill: float
    log_loss: float
    calibration_error: float
    correlation: float
    skill: float


def brier(p_up: Array, is_up: Array) -> float:
    """Return the mean squared distance of probability and outcome, in [0, 1]."""
    return float(np.mean((p_up - is_up) ** 2))


def log_loss(p_up: Array, is_up: Array) -> float:
    """Return the mean negative log likelihood, nats; probabilities are clipped at 1e-15."""
    p = np.clip(p_up, _CLIP, 1.0 - _CLIP)
    return float(-np.mean(is_up * np.log(p) + (1.0 - is_up) * np.log(1.0 - p)))


def calibration_error(p_up: Array, is_up: Array) -> float:
    """Return the expected calibration error over ten equal bins (Naeini et al., 2015)."""
    bins = np.minimum((p_up * _BINS).astype(np.int64), _BINS - 1)
    total = 0.0
    for number in range(_BINS):
        inside = bins == number
        if inside.any():
            total += float(inside.mean() * abs(p_up[inside].mean() - is_up[inside].mean()))
    return total


def correlation(left: Array, right: Array) -> float:
    """Return Pearson's correlation, 0 where one side does not vary."""
    if len(left) < 2 or left.std() <= 0 or right.std() <= 0:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def scored(p_up: Array, expected_bps: Array, moves_bps: Array, *, independent: int) -> Scores:
    """Return all scores of predictions of ``moves_bps``.

    Samples without a move are left out of the probabilities' scores: neither direction was right.
    All arrays have shape (n,), n at least 1.
    """
    moved = moves_bps != 0
    p, outcome = p_up[moved], (moves_bps[moved] > 0).astype(np.float64)
    coin = 0.25
    loss = brier(p, outcome) if len(p) else coin
    squares = float(np.sum(moves_bps**2))
    error = float(np.sum((moves_bps - expected_bps) ** 2))
    return Scores(
        samples=len(moves_bps),
        independent=independent,
        brier=round(loss, _DIGITS),
        brier_skill=round(1.0 - loss / coin, _DIGITS),
        log_loss=round(log_loss(p, outcome) if len(p) else float(np.log(2.0)), _DIGITS),
        calibration_error=round(calibration_error(p, outcome) if len(p) else 0.0, _DIGITS),
        correlation=round(correlation(expected_bps, moves_bps), _DIGITS),
        skill=round(1.0 - error / squares if squares > 0 else 0.0, _DIGITS),
    )
