"""Linear mean and quantiles of an outcome, as plain coefficients that cannot cross."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizers.costs import documents
from optimizers.costs.documents import CostModelError
from trading_system.domain.errors import ValidationError

LEVELS = (0.1, 0.5, 0.9)
"""Levels of the quantiles."""
MIN_SAMPLES = 50
"""Fewest samples of a fit."""

_ROWS = ("mean", "q10", "q50", "q90")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileLines:
    """Four linear forms of the same inputs; inputs are cut off at the range that was fitted on.

    Parameters
    ----------
    names : tuple of str
        Inputs, in the order of the weights.
    intercepts : tuple of float
        Of the mean and the 0.1, 0.5 and 0.9 quantile.
    weights : tuple of tuple of float
        One row per form, one number per input.
    lows, highs : tuple of float
        Range of each input in the samples.
    """

    names: tuple[str, ...]
    intercepts: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    def predict(self, row: Sequence[float]) -> tuple[float, float, float, float]:
        """Return mean, 0.1, 0.5 and 0.9 quantile for finite inputs; the quantiles do not cross.

        Lines of different slope cross somewhere; there the quantiles are put in order
        (Chernozhukov, Fernandez-Val and Galichon, 2010).
        """
        inside = [
            low if value < low else min(value, high)
            for value, low, high in zip(row, self.lows, self.highs, strict=True)
        ]
        mean, *quantiles = (
            intercept + math.fsum(map(_product, weights, inside))
            for intercept, weights in zip(self.intercepts, self.weights, strict=True)
        )
        low, middle, high = sorted(quantiles)
        return mean, low, middle, high

    def covers(self, row: Sequence[float]) -> bool:
        """Return whether every input is within the range that was fitted on."""
        return all(
            low <= value <= high
            for value, low, high in zip(row, self.lows, self.highs, strict=True)
        )

    def content(self) -> dict[str, Any]:
        """Return the coefficients as a JSON object."""
        return {
            "names": list(self.names),
            "lows": list(self.lows),
            "highs": list(self.highs),
            **{
                key: {"intercept": intercept, "weights": list(weights)}
                for key, intercept, weights in zip(
                    _ROWS, self.intercepts, self.weights, strict=True
                )
            },
        }


def parse(content: Mapping[str, Any]) -> QuantileLines:
    """Return the coefficients that a JSON object spells.

    Raises
    ------
    CostModelError
        If a key is missing, unknown or not as many finite numbers as there are names.
    """
    if set(content) != {"names", "lows", "highs", *_ROWS}:
        raise CostModelError("quantile model: missing or unknown keys")
    names = documents.names(content["names"], "names")
    rows = [content[key] if isinstance(content[key], dict) else {} for key in _ROWS]
    return QuantileLines(
        names=names,
        intercepts=tuple(documents.number(row.get("intercept"), "intercept") for row in rows),
        weights=tuple(
            documents.numbers(row.get("weights"), "weights", count=len(names)) for row in rows
        ),
        lows=documents.numbers(content["lows"], "lows", count=len(names)),
        highs=documents.numbers(content["highs"], "highs", count=len(names)),
    )


def fit(x: npt.ArrayLike, y: npt.ArrayLike, *, names: Sequence[str]) -> QuantileLines:
    """Return the lines of samples; x of shape (n, len(names)), y of shape (n,), both finite.

    Raises
    ------
    ValidationError
        If shapes differ, a value is not finite or samples are few.
    """
    try:
        rows, outcomes = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as e:
        raise ValidationError("samples must be numbers") from e
    if rows.ndim != 2 or rows.shape[1] != len(names) or outcomes.shape != (len(rows),):
        raise ValidationError(
            f"samples must be rows of {len(names)} numbers and one outcome each, "
            f"shapes were {rows.shape} and {outcomes.shape}"
        )
    if len(rows) < MIN_SAMPLES:
        raise ValidationError(f"a fit needs at least {MIN_SAMPLES} samples, there were {len(rows)}")
    if not (np.isfinite(rows).all() and np.isfinite(outcomes).all()):
        raise ValidationError("samples must be finite")
    fitting = import_module("optimizers.costs.fitting")
    lines = [fitting.fit_mean(rows, outcomes)]
    lines += [fitting.fit_quantile(rows, outcomes, level=level) for level in LEVELS]
    return QuantileLines(
        names=tuple(names),
        intercepts=tuple(line.intercept for line in lines),
        weights=tuple(line.weights for line in lines),
        lows=tuple(rows.min(axis=0).tolist()),
        highs=tuple(rows.max(axis=0).tolist()),
    )


def _product(a: float, b: float) -> float:
    return a * b
