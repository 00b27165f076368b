"""How likely a limit order is to fill as maker: a calibrated logistic model, plain coefficients."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizers.costs import documents
from optimizers.costs.documents import CostModelError, UntrainedModelError
from optimizers.costs.quantity import positive
from optimizers.microstructure.levels import BookLevels
from trading_system.domain.errors import ValidationError

FEATURES = ("norm_spread", "norm_depth", "volatility", "norm_size")
"""Inputs in order: spread / price, log(1 + depth), volatility, order size / depth."""
NAME = "maker_taker"
"""Name of the model's file."""
HORIZON_S = 60.0
"""Patience of the orders that a fit learns from, unless it says otherwise, seconds."""
MIN_SAMPLES = 50
"""Fewest samples of a fit."""

_Array = npt.NDArray[np.float64]
_LARGEST_LOGIT = 700.0
_MAX = sys.float_info.max


class MakerTakerModel:
    """Probability that a limit order resting at its own best price fills as maker within a time.

    Valid for the time it was fitted for, :attr:`horizon_s`, and for orders like those it was fitted
    on: inputs are cut off at the range it has seen. A market order never rests; for it the maker
    share is 0 and no model is asked.
    """

    def __init__(self) -> None:
        self._intercept = 0.0
        self._weights: tuple[float, ...] = ()
        self._lows: tuple[float, ...] = ()
        self._highs: tuple[float, ...] = ()
        self._constant: float | None = None
        self._mid: float | None = None
        self._horizon_s = HORIZON_S

    @property
    def horizon_s(self) -> float:
        """Time within which a fill counts, seconds, positive."""
        return self._horizon_s

    @property
    def is_trained(self) -> bool:
        """Whether the model has coefficients."""
        return bool(self._weights)

    def update_book(self, levels: BookLevels | None) -> None:
        """Take the live book, whose mid stands in for a missing price; None forgets it."""
        self._mid = None if levels is None else levels.mid

    def predict_maker_probability(
        self,
        spread: float,
        market_depth: float,
        volatility: float,
        order_size: float,
        price: float | None = None,
    ) -> float:
        """Return the probability of a maker fill, in [0, 1].

        Parameters
        ----------
        spread : float
            Quote currency, not negative.
        market_depth : float
            Displayed on both sides together, base currency, positive.
        volatility : float
            Relative, over one second, a fraction, not negative.
        order_size : float
            Base currency, positive.
        price : float or None
            Quote currency, positive; the mid of the live book if missing.

        Raises
        ------
        UntrainedModelError
            If there are no coefficients.
        ValidationError
            If a value is not finite or out of range, or no price is known.
        """
        if not self._weights:
            raise UntrainedModelError("maker/taker model", "MakerTakerModel")
        at = self._mid if price is None else price
        if at is None:
            raise ValidationError(
                "a price is needed: give price=, or a live book with update_book(...)"
            )
        row = _row(spread, market_depth, volatility, order_size, at)
        if self._constant is not None:
            return self._constant
        logit = self._intercept
        for value, weight, low, high in zip(
            row, self._weights, self._lows, self._highs, strict=True
        ):
            logit += weight * (low if value < low else min(value, high))
        if logit < -_LARGEST_LOGIT:
            return 0.0
        return 1.0 / (1.0 + math.exp(-logit))

    def predict_batch(self, rows: npt.ArrayLike) -> _Array:
        """Return the probabilities of many rows of :data:`FEATURES`, shape (n, 4) -> (n,).

        Raises
        ------
        UntrainedModelError
            If there are no coefficients.
        ValidationError
            If the shape is wrong or a value is not finite.
        """
        if not self._weights:
            raise UntrainedModelError("maker/taker model", "MakerTakerModel")
        x = _matrix(rows, columns=len(FEATURES))
        if self._constant is not None:
            return np.full(len(x), self._constant)
        x = np.minimum(np.maximum(x, self._lows), self._highs)
        logits = x @ np.array(self._weights) + self._intercept
        probabilities: _Array = 1.0 / (1.0 + np.exp(np.minimum(-logits, _LARGEST_LOGIT)))
        return probabilities

    def fit(
        self, x: npt.ArrayLike, y: npt.ArrayLike, *, horizon_s: float = HORIZON_S
    ) -> dict[str, float | None]:
        """Fit on samples in the order of time and return held-out scores.

        The first 60 % fit, the next 20 % calibrate (Platt), the last 20 % score. Where only one
        class was seen the model answers with the base rate.

        Parameters
        ----------
        x : array-like of shape (n, 4)
            Rows of :data:`FEATURES`, see :func:`feature_row`.
        y : array-like of shape (n,)
            1 for a maker fill within the horizon, 0 otherwise.
        horizon_s : float
            That horizon, seconds, positive; saved with the coefficients.

        Returns
        -------
        dict
            ``brier``, ``log_loss``, ``ece``, ``calibration_slope``, ``calibration_intercept``,
            ``base_rate`` (of what was fitted and calibrated on), ``samples``.

        Raises
        ------
        ValidationError
            If shapes differ, a value is not finite, a label is not 0 or 1, or samples are few.
        """
        patience = positive(horizon_s, "horizon_s")
        rows = _matrix(x, columns=len(FEATURES))
        labels = _labels(y, count=len(rows))
        fitting = import_module("optimizers.costs.fitting")
        fit = fitting.fit_logistic(rows, labels, not_rising=(FEATURES.index("norm_size"),))
        self._set(
            intercept=fit.line.intercept,
            weights=fit.line.weights,
            lows=tuple(rows.min(axis=0).tolist()),
            highs=tuple(rows.max(axis=0).tolist()),
            constant=fit.constant,
            horizon_s=patience,
        )
        scores: dict[str, float | None] = fit.scores
        return scores

    def save(self, folder: Path, *, facts: Mapping[str, Any] | None = None) -> None:
        """Write the coefficients to ``maker_taker.json`` of ``folder`` and list them there.

        Raises
        ------
        UntrainedModelError
            If there are none.
        ConfigurationError
            If the folder cannot be written.
        """
        if not self._weights:
            raise UntrainedModelError("maker/taker model", "MakerTakerModel")
        content = {
            "features": list(FEATURES),
            "intercept": self._intercept,
            "weights": list(self._weights),
            "lows": list(self._lows),
            "highs": list(self._highs),
            "constant": self._constant,
            "horizon_s": self._horizon_s,
        }
        documents.write_model(folder, NAME, content, facts=facts or {})

    @classmethod
    def load(cls, folder: Path) -> MakerTakerModel:
        """Return the model of a folder.

        Raises
        ------
        CostModelError
            If its file is missing, changed or not understood.
        """
        content = documents.read_model(folder, NAME)
        if content.get("features") != list(FEATURES):
            raise CostModelError(f"{NAME} was made for other features: train again")
        rows = {
            key: documents.numbers(content.get(key), f"{NAME} {key}", count=len(FEATURES))
            for key in ("weights", "lows", "highs")
        }
        constant = content.get("constant")
        if constant is not None:
            constant = documents.number(constant, f"{NAME} constant")
            if not 0.0 <= constant <= 1.0:
                raise CostModelError(f"{NAME} constant must be in [0, 1]")
        # Files of the first format have no horizon: theirs was the default.
        horizon_s = documents.number(content.get("horizon_s", HORIZON_S), f"{NAME} horizon_s")
        if horizon_s <= 0.0:
            raise CostModelError(f"{NAME} horizon_s must be positive")
        model = cls()
        model._set(
            intercept=documents.number(content.get("intercept"), f"{NAME} intercept"),
            constant=constant,
            horizon_s=horizon_s,
            **rows,
        )
        return model

    @classmethod
    def load_shipped(cls) -> MakerTakerModel | None:
        """Return the model that comes with the project, None if there is none.

        Raises
        ------
        CostModelError
            If it is there and changed or not understood.
        """
        return cls.load(documents.SHIPPED) if documents.has_model(documents.SHIPPED, NAME) else None

    def _set(
        self,
        *,
        intercept: float,
        weights: tuple[float, ...],
        lows: tuple[float, ...],
        highs: tuple[float, ...],
        constant: float | None,
        horizon_s: float,
    ) -> None:
        self._intercept = intercept
        self._weights = weights
        self._lows = lows
        self._highs = highs
        self._constant = constant
        self._horizon_s = horizon_s


def feature_row(
    *, spread: float, market_depth: float, volatility: float, order_size: float, price: float
) -> tuple[float, float, float, float]:
    """Return one row of :data:`FEATURES`; units as in ``predict_maker_probability``.

    Raises
    ------
    ValidationError
        If a value is not finite or out of range.
    """
    return _row(spread, market_depth, volatility, order_size, price)


def _row(
    spread: float, depth: float, volatility: float, size: float, price: float
) -> tuple[float, float, float, float]:
    try:
        is_sane = (
            0.0 <= spread <= _MAX
            and 0.0 < depth <= _MAX
            and 0.0 <= volatility <= _MAX
            and 0.0 < size <= _MAX
            and 0.0 < price <= _MAX
        )
        row = (spread / price, math.log1p(depth), volatility, size / depth) if is_sane else None
    except (TypeError, ArithmeticError) as e:
        raise ValidationError("maker/taker features must be numbers") from e
    if row is None or row[0] == math.inf or row[3] == math.inf:
        raise ValidationError(
            "maker/taker features must be finite; depth, size and price positive: "
            f"spread {spread!r}, depth {depth!r}, volatility {volatility!r}, size {size!r}, "
            f"price {price!r}"
        )
    return row


def _matrix(rows: npt.ArrayLike, *, columns: int) -> _Array:
    try:
        x = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as e:
        raise ValidationError("samples must be numbers") from e
    if x.ndim != 2 or x.shape[1] != columns or not len(x):
        raise ValidationError(f"samples must be rows of {columns} numbers, shape was {x.shape}")
    if not math.isfinite(float(np.abs(x).max())):
        raise ValidationError("samples must be finite")
    return x


def _labels(y: npt.ArrayLike, *, count: int) -> _Array:
    try:
        labels = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as e:
        raise ValidationError("labels must be 0 or 1") from e
    if labels.shape != (count,) or not bool(np.isin(labels, (0.0, 1.0)).all()):
        raise ValidationError(f"labels must be {count} values of 0 or 1")
    if count < MIN_SAMPLES:
        raise ValidationError(f"a fit needs at least {MIN_SAMPLES} samples, there were {count}")
    return labels
