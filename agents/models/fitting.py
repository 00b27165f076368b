"""Fits the logistic and the boosted model; both end as text that is no code.

Same samples, same text: one thread, fixed seeds, LightGBM's deterministic mode.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # no stubs

from agents.logistic import CLIP
from trading_system.domain.signals import FEATURE_NAMES

Array = npt.NDArray[np.float64]

_DIGITS = 10
_STRENGTH = 1.0
_LARGEST_LOGIT = 700.0
_ROUNDS = 120
_BOOSTING: dict[str, object] = {
    "objective": "regression",
    "num_leaves": 4,
    "learning_rate": 0.06,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "seed": 1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedModel:
    """One fitted model.

    Parameters
    ----------
    file, text : str
        Name and content of its file.
    score_bps : Callable
        Predicted moves, shape (n,), of inputs, shape (n, len(FEATURE_NAMES)).
    p_up : Callable
        Probabilities of a higher mid, shape (n,), of inputs.
    """

    name: str
    file: str
    text: str
    score_bps: Callable[[Array], Array]
    p_up: Callable[[Array], Array]


def fit_logistic(inputs: Array, moves_bps: Array) -> FittedModel:
    """Fit log odds of a higher mid.

    Parameters
    ----------
    inputs : float64, shape (n, len(FEATURE_NAMES))
        Samples together with their mirror images, so that no direction is preferred.
    moves_bps : float64, shape (n,)
        Moves over the horizon; samples without a move are left out of the fit.
    """
    centres = inputs.mean(axis=0)
    scales = inputs.std(axis=0)
    scales = np.where(scales > 0, scales, 1.0)

    def standardised(values: Array) -> Array:
        clipped = np.clip((values - centres) / scales, -CLIP, CLIP)
        return np.asarray(clipped, dtype=np.float64)

    moved = moves_bps != 0
    learner = LogisticRegression(C=_STRENGTH, max_iter=1_000)
    learner.fit(standardised(inputs[moved]), moves_bps[moved] > 0)
    weights = np.asarray(learner.coef_[0], dtype=np.float64)
    intercept = float(learner.intercept_[0])

    def logit(values: Array) -> Array:
        return np.asarray(standardised(values) @ weights + intercept, dtype=np.float64)

    fitted = logit(inputs)
    bps_per_logit = float(fitted @ moves_bps) / max(float(fitted @ fitted), 1e-12)
    document = {
        "centres": _rounded(centres),
        "scales": _rounded(scales),
        "weights": _rounded(weights),
        "intercept": round(intercept, _DIGITS),
        "bps_per_logit": round(bps_per_logit, _DIGITS),
    }
    return FittedModel(
        name="logistic",
        file="logistic.json",
        text=json.dumps(document, indent=1, allow_nan=False) + "\n",
        score_bps=lambda values: bps_per_logit * logit(values),
        p_up=lambda values: _sigmoid(logit(values)),
    )


def fit_boosting(inputs: Array, moves_bps: Array) -> FittedModel:
    """Fit regression trees to the move; parameters as for :func:`fit_logistic`."""
    data = lightgbm.Dataset(inputs, moves_bps, feature_name=list(FEATURE_NAMES), free_raw_data=True)
    booster = lightgbm.train(dict(_BOOSTING), data, _ROUNDS)

    def score_bps(values: Array) -> Array:
        return np.asarray(booster.predict(values, num_threads=1), dtype=np.float64)

    error = max(float(np.std(moves_bps - score_bps(inputs))), 1e-9)
    return FittedModel(
        name="gradient_boosting",
        file="gradient_boosting.txt",
        text=booster.model_to_string(),
        score_bps=score_bps,
        p_up=lambda values: normal_probability(score_bps(values) / error),
    )


def normal_probability(values: Array) -> Array:
    """Return the standard normal distribution function, element by element."""
    return np.array([0.5 * (1.0 + math.erf(value / math.sqrt(2.0))) for value in values])


def _sigmoid(values: Array) -> Array:
    clipped = np.clip(values, -_LARGEST_LOGIT, _LARGEST_LOGIT)
    return np.asarray(1.0 / (1.0 + np.exp(-clipped)), dtype=np.float64)


def _rounded(values: Array) -> list[float]:
    return [round(float(value), _DIGITS) for value in values]
