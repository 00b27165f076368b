"""How good the cost models are on markets they have not seen; plain numbers, never NaN."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from trading_system.evaluation.scores import brier, calibration_error, log_loss

Array = npt.NDArray[np.float64]

_DIGITS = 6
_CLIP = 1e-6
_STEPS = 50
_CLOSE = 1e-10
_STEEPEST = 1e3


class FillScores(TypedDict):
    """Scores of fill probabilities.

    ``brier_skill`` is the share of the Brier score of ``reference_rate``, a constant known before,
    that the model saves. Slope 1 and intercept 0 of the outcome on the log odds are perfect; None
    where they cannot be told, as for a constant probability.
    """

    samples: int
    fill_rate: float
    mean_probability: float
    brier: float
    reference_rate: float
    reference_brier: float
    brier_skill: float
    log_loss: float
    calibration_error: float
    calibration_slope: float | None
    calibration_intercept: float | None


class IntervalScores(TypedDict):
    """Scores of a 10 % to 90 % interval; bps, and shares in [0, 1].

    ``pinball_bps`` is the mean loss of both ends: smaller is better, wide and wrong cost alike.
    """

    samples: int
    coverage: float
    below: float
    above: float
    mean_width_bps: float
    pinball_bps: float


def fill_scores(p: Array, is_filled: Array, *, reference_rate: float) -> FillScores:
    """Return the scores of ``p`` against outcomes of 0 or 1, both of shape (n,), n at least 1."""
    loss = brier(p, is_filled)
    constant = np.full(len(p), reference_rate)
    reference = brier(constant, is_filled)
    line = calibration_line(p, is_filled)
    slope, intercept = (None, None) if line is None else line
    return FillScores(
        samples=len(p),
        fill_rate=_rounded(is_filled.mean()),
        mean_probability=_rounded(p.mean()),
        brier=_rounded(loss),
        reference_rate=_rounded(reference_rate),
        reference_brier=_rounded(reference),
        brier_skill=_rounded(1.0 - loss / reference if reference > 0.0 else 0.0),
        log_loss=_rounded(log_loss(p, is_filled)),
        calibration_error=_rounded(calibration_error(p, is_filled)),
        calibration_slope=None if slope is None else _rounded(slope),
        calibration_intercept=None if intercept is None else _rounded(intercept),
    )


def calibration_line(p: Array, is_filled: Array) -> tuple[float, float] | None:
    """Return slope and intercept of a logistic regression of the outcome on the log odds.

    Newton's method on the log likelihood; None where outcomes or probabilities do not vary, or
    separate so well that there is no finite answer.
    """
    clipped = np.clip(p, _CLIP, 1.0 - _CLIP)
    logits = np.log(clipped / (1.0 - clipped))
    if float(np.ptp(logits)) <= _CLOSE or float(np.ptp(is_filled)) <= 0.0:
        return None
    design = np.column_stack([logits, np.ones(len(logits))])
    line = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        fitted = 1.0 / (1.0 + np.exp(-np.clip(design @ line, -700.0, 700.0)))
        curvature = design.T @ (design * (fitted * (1.0 - fitted))[:, None])
        if not np.linalg.cond(curvature) < 1.0 / _CLOSE:
            return None
        step = np.linalg.solve(curvature, design.T @ (is_filled - fitted))
        line = line + step
        if float(np.abs(line).max()) > _STEEPEST:
            return None
        if float(np.abs(step).max()) < _CLOSE:
            return float(line[0]), float(line[1])
    return None


def interval_scores(low: Array, high: Array, paid_bps: Array) -> IntervalScores:
    """Return the scores of an interval against what was paid; all of shape (n,), n at least 1."""
    losses = _pinball(paid_bps - low, 0.1) + _pinball(paid_bps - high, 0.9)
    is_below, is_above = paid_bps < low, paid_bps > high
    return IntervalScores(
        samples=len(paid_bps),
        coverage=_rounded(1.0 - is_below.mean() - is_above.mean()),
        below=_rounded(is_below.mean()),
        above=_rounded(is_above.mean()),
        mean_width_bps=_rounded((high - low).mean()),
        pinball_bps=_rounded(losses.mean() / 2.0),
    )


def _pinball(error: Array, level: float) -> Array:
    loss: Array = np.maximum(level * error, (level - 1.0) * error)
    return loss


def _rounded(value: float | np.floating[npt.NBitBase]) -> float:
    return round(float(value), _DIGITS)
