"""The models of the consensus row: same data and seeds in both processes, so the same models."""

from __future__ import annotations

import random
from typing import Any

import lightgbm
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

WIDTH = 17
NAMES = ("boosting_a", "boosting_b", "linear")
_ROWS = 3_000
_TREES = 300


def rows(count: int, seed: int) -> list[list[float]]:
    """Return inputs of plausible size."""
    rng = random.Random(seed)
    return [[rng.gauss(0.0, 1.0) for _ in range(WIDTH)] for _ in range(count)]


def fitted() -> dict[str, Any]:
    """Return two boosted models of 300 trees and a logistic one, as scikit-learn has them."""
    inputs = np.array(rows(_ROWS, seed=1))
    rng = random.Random(2)
    labels = np.array([row[2] + row[7] * row[3] + rng.gauss(0.0, 1.0) > 0 for row in inputs])
    boosted = {
        name: lightgbm.LGBMClassifier(
            n_estimators=_TREES,
            num_leaves=leaves,
            random_state=1,
            deterministic=True,
            force_row_wise=True,
            n_jobs=1,
            verbose=-1,
        ).fit(inputs, labels)
        for name, leaves in (("boosting_a", 15), ("boosting_b", 31))
    }
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, labels)
    return {**boosted, "linear": linear}
