"""Fits the quantile and the maker/taker coefficients: the only place here that imports a learner.

Same samples, same coefficients: deterministic solvers, no random split. Samples are in the order of
time; what is calibrated or scored later is never fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import (  # type: ignore[import-untyped]  # no stubs
    LogisticRegression,
    QuantileRegressor,
)

Array = npt.NDArray[np.float64]

QUANTILE_ROWS = 5_000
"""Most rows of one quantile fit, a linear program; more are thinned evenly."""

_FIT_SHARE = 0.6
_CALIBRATION_SHARE = 0.2
_BINS = 10
_CLIP = 1e-15
_FLATTEST = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One linear form: intercept + weights @ row."""

    intercept: float
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticFit:
    """Coefficients of the log odds after calibration, or a constant, and held-out scores.

    Parameters
    ----------
    constant : float or None
        Base rate before the last fold, where the first fold held one class only; then the line
        is all zero.
    scores : dict
        ``brier``, ``log_loss``, ``ece``, ``calibration_slope``, ``calibration_intercept`` of the
        last fold (the two last None where one class only is in it), ``base_rate`` of the folds
        before it, ``samples``.
    """

    line: Line
    constant: float | None
    scores: dict[str, float | None]


def fit_mean(x: Array, y: Array) -> Line:
    """Return the least-squares line; x of shape (n, k), y of shape (n,)."""
    centre, scale = _standard(x)
    design = np.column_stack([np.ones(len(x)), (x - centre) / scale])
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    return _unscaled(float(solution[0]), solution[1:].astype(np.float64), centre, scale)


def fit_quantile(x: Array, y: Array, *, level: float) -> Line:
    """Return the line that minimises the pinball loss at ``level`` (Koenker and Bassett, 1978)."""
    if len(x) > QUANTILE_ROWS:
        chosen = np.linspace(0, len(x) - 1, QUANTILE_ROWS).astype(np.intp)
        x, y = x[chosen], y[chosen]
    centre, scale = _standard(x)
    model = QuantileRegressor(quantile=level, alpha=0.0, solver="highs")
    model.fit((x - centre) / scale, y)
    return _unscaled(float(model.intercept_), np.asarray(model.coef_), centre, scale)


def fit_logistic(x: Array, y: Array, *, not_rising: Sequence[int] = ()) -> LogisticFit:
    """Return a logistic model fitted on the first fold and calibrated (Platt) on a later one.

    Parameters
    ----------
    x : array of shape (n, k)
        In the order of time.
    y : array of shape (n,)
        0 or 1.
    not_rising : sequence of int
        Columns with which the probability cannot grow: one whose weight would be positive says
        nothing that can be believed, and is left out.
    """
    first, second = int(len(x) * _FIT_SHARE), int(len(x) * (_FIT_SHARE + _CALIBRATION_SHARE))
    rate = float(y[:second].mean())
    zero = Line(intercept=0.0, weights=(0.0,) * x.shape[1])
    if len(set(y[:first].tolist())) < 2:
        held = np.full(len(y) - second, rate)
        return LogisticFit(line=zero, constant=rate, scores=_scores(held, y[second:], rate, len(y)))
    centre, scale = _standard(x[:first])
    weights, intercept = _restrained((x[:first] - centre) / scale, y[:first], not_rising)
    line = _unscaled(intercept, weights, centre, scale)
    line = _platt(line, x[first:second], y[first:second])
    held = _probability(_logits(line, x[second:]))
    return LogisticFit(line=line, constant=None, scores=_scores(held, y[second:], rate, len(y)))


def _platt(line: Line, x: Array, y: Array) -> Line:
    # A fold of one class cannot calibrate; one that the model ranks wrongly leaves the base rate.
    if len(set(y.tolist())) < 2:
        return line
    weights, intercept = _regression(_logits(line, x)[:, None], y)
    slope = float(weights[0])
    if slope < _FLATTEST:
        rate = float(y.mean())
        return Line(intercept=math.log(rate / (1.0 - rate)), weights=(0.0,) * len(line.weights))
    return Line(
        intercept=slope * line.intercept + intercept,
        weights=tuple(slope * weight for weight in line.weights),
    )


def _regression(x: Array, y: Array) -> tuple[Array, float]:
    # A very weak penalty: classes that separate perfectly must not send weights to infinity.
    model = LogisticRegression(C=1e6, tol=1e-8, max_iter=1_000)
    model.fit(x, y)
    return np.asarray(model.coef_[0]), float(model.intercept_[0])


def _restrained(x: Array, y: Array, not_rising: Sequence[int]) -> tuple[Array, float]:
    kept = list(range(x.shape[1]))
    while True:
        weights, intercept = _regression(x[:, kept], y)
        wrong = [c for c, w in zip(kept, weights, strict=True) if c in not_rising and w > 0.0]
        if not wrong:
            break
        kept = [column for column in kept if column not in wrong]
    restrained = np.zeros(x.shape[1])
    restrained[kept] = weights
    return restrained, intercept


def _standard(x: Array) -> tuple[Array, Array]:
    scale = x.std(axis=0)
    scale[scale <= 0.0] = 1.0
    return x.mean(axis=0), scale


def _unscaled(intercept: float, weights: Array, centre: Array, scale: Array) -> Line:
    plain = weights / scale
    return Line(intercept=intercept - float(plain @ centre), weights=tuple(plain.tolist()))


def _logits(line: Line, x: Array) -> Array:
    logits: Array = line.intercept + x @ np.array(line.weights)
    return logits


def _probability(logits: Array) -> Array:
    odds: Array = 1.0 / (1.0 + np.exp(-np.clip(logits, -700.0, 700.0)))
    return odds


def _scores(p: Array, y: Array, rate: float, samples: int) -> dict[str, float | None]:
    clipped = np.clip(p, _CLIP, 1.0 - _CLIP)
    slope, intercept = _calibration(clipped, y)
    return {
        "brier": float(np.mean((p - y) ** 2)),
        "log_loss": float(-np.mean(y * np.log(clipped) + (1.0 - y) * np.log1p(-clipped))),
        "ece": expected_calibration_error(p, y),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "base_rate": rate,
        "samples": float(samples),
    }


def expected_calibration_error(p: Array, y: Array) -> float:
    """Return the mean gap of probability and frequency over ten equal bins, weighted by count."""
    bins = np.minimum((p * _BINS).astype(np.intp), _BINS - 1)
    gaps = np.bincount(bins, weights=p - y, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(p))


def _calibration(p: Array, y: Array) -> tuple[float | None, float | None]:
    # Slope and intercept of a regression of the outcome on the log odds; 1 and 0 are perfect.
    logits = np.log(p / (1.0 - p))
    if len(set(y.tolist())) < 2 or math.isclose(float(np.ptp(logits)), 0.0):
        return None, None
    weights, intercept = _regression(logits[:, None], y)
    return float(weights[0]), intercept
