"""Slippage of an order: the exact book walk, and linear and quantile figures around it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt

from optimizers.costs import documents, quantiles
from optimizers.costs.documents import UntrainedModelError
from optimizers.costs.quantiles import QuantileLines
from optimizers.costs.quantity import finite, positive
from optimizers.costs.walk import TakerCost, taker_cost
from optimizers.microstructure.levels import BookLevels
from optimizers.microstructure.measures import imbalance
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side

FEATURES = ("walk_bps", "spread_bps", "participation", "volatility_bps", "imbalance")
"""Inputs of a model for :func:`slippage_row`, in the order of its coefficients."""
NAME = "slippage"
"""Name of the model's file."""

_BPS = 10_000.0
_CACHED = 1_024
_IMBALANCE_LEVELS = 10

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SlippageModel:
    """Expected slippage and its quantiles, bps against the mid, positive = cost.

    With a live book the walk of it is exact and ``predict`` needs side and quantity; with fitted
    coefficients the 0.1, 0.5 and 0.9 quantile of the realised slippage come beside it. Both caches
    belong to one book and one set of coefficients and are emptied when either changes.

    Attributes
    ----------
    feature_cache, prediction_cache : dict
        Bounded; the oldest entry goes first.
    """

    def __init__(self) -> None:
        self.feature_cache: dict[tuple[Side, float], TakerCost] = {}
        self.prediction_cache: dict[Hashable, dict[str, float | bool | None]] = {}
        self._levels: BookLevels | None = None
        self._volatility: float | None = None
        self._lines: QuantileLines | None = None

    @property
    def is_trained(self) -> bool:
        """Whether the model has coefficients."""
        return self._lines is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Inputs of the fitted model; those of :data:`FEATURES` before a fit."""
        return FEATURES if self._lines is None else self._lines.names

    def update_book(self, levels: BookLevels | None) -> None:
        """Take a newer book, None if there is no trustworthy one; forgets every cached figure."""
        self._levels = levels
        self._forget()

    def update_volatility(self, volatility: float) -> None:
        """Take a newer relative volatility over one second, a fraction, positive.

        Raises
        ------
        ValidationError
            If it is not finite and positive.
        """
        self._volatility = positive(volatility, "volatility")
        self._forget()

    def predict(self, features: Mapping[str, Any]) -> dict[str, float | bool | None]:
        """Return the figures of one order.

        Parameters
        ----------
        features : Mapping
            With a live book: ``side`` (:class:`Side` or ``buy`` / ``sell``), ``quantity`` (base
            currency) and, unless fed, ``volatility`` (a fraction over one second). Without one:
            the inputs of the fitted model, see :attr:`names`.

        Returns
        -------
        dict
            ``slippage_bps`` (walk; without a book the fitted median), ``book_walk_bps``,
            ``linear_bps``, ``q10_bps``, ``q50_bps``, ``q90_bps`` (None where not known, with a book
            also outside the range that was fitted on) and
            ``is_extrapolated``, whether the order is larger than the displayed book.

        Raises
        ------
        UntrainedModelError
            If there is neither a book nor a fitted model.
        ValidationError
            If an input is missing, no finite number or out of range.
        """
        key = self._key(features)
        cached = self.prediction_cache.get(key)
        if cached is None:
            levels = self._levels
            prediction = (
                self._from_features(features)
                if levels is None
                else self._from_book(levels, features)
            )
            cached = remember(self.prediction_cache, key, prediction)
        return dict(cached)

    def quantiles(self, row: Sequence[float]) -> tuple[float, float, float]:
        """Return the 0.1, 0.5 and 0.9 quantile for one row of the fitted inputs, in order.

        Raises
        ------
        UntrainedModelError
            If there are no coefficients.
        """
        if self._lines is None:
            raise UntrainedModelError("slippage model", "SlippageModel")
        return self._lines.predict(row)[1:]

    def covers(self, row: Sequence[float]) -> bool:
        """Return whether a row is within what was fitted on; beyond it quantiles do not move.

        Raises
        ------
        UntrainedModelError
            If there are no coefficients.
        """
        if self._lines is None:
            raise UntrainedModelError("slippage model", "SlippageModel")
        return self._lines.covers(row)

    def fit(self, x: npt.ArrayLike, y: npt.ArrayLike, *, names: Sequence[str] = FEATURES) -> None:
        """Fit mean and quantiles of realised slippage.

        Parameters
        ----------
        x : array-like of shape (n, len(names))
            Inputs; for use in estimates rows of :func:`slippage_row`.
        y : array-like of shape (n,)
            Realised slippage against the arrival mid, bps, positive = cost.
        names : sequence of str
            Inputs in order.

        Raises
        ------
        ValidationError
            If shapes differ, a value is not finite or samples are few.
        """
        self._lines = quantiles.fit(x, y, names=names)
        self._forget()

    def save(self, folder: Path, *, facts: Mapping[str, Any] | None = None) -> None:
        """Write the coefficients to ``slippage.json`` of ``folder`` and list them there.

        Raises
        ------
        UntrainedModelError
            If there are none.
        ConfigurationError
            If the folder cannot be written.
        """
        if self._lines is None:
            raise UntrainedModelError("slippage model", "SlippageModel")
        documents.write_model(folder, NAME, self._lines.content(), facts=facts or {})

    @classmethod
    def load(cls, folder: Path) -> SlippageModel:
        """Return the model of a folder.

        Raises
        ------
        CostModelError
            If its file is missing, changed or not understood.
        """
        model = cls()
        model._lines = quantiles.parse(documents.read_model(folder, NAME))
        return model

    @classmethod
    def load_shipped(cls) -> SlippageModel | None:
        """Return the model that comes with the project, None if there is none.

        Raises
        ------
        CostModelError
            If it is there and changed or not understood.
        """
        return cls.load(documents.SHIPPED) if documents.has_model(documents.SHIPPED, NAME) else None

    def _key(self, features: Mapping[str, Any]) -> Hashable:
        try:
            key = tuple(sorted(features.items()))
            hash(key)
        except (TypeError, AttributeError) as e:
            raise ValidationError("features must map names to plain values") from e
        return key

    def _from_features(self, features: Mapping[str, Any]) -> dict[str, float | bool | None]:
        if self._lines is None:
            raise UntrainedModelError("slippage model", "SlippageModel")
        missing = [name for name in self._lines.names if name not in features]
        if missing:
            raise ValidationError(f"features lack {', '.join(missing)}, and there is no live book")
        row = [finite(features[name], name) for name in self._lines.names]
        mean, low, median, high = self._lines.predict(row)
        return _prediction(None, mean=mean, spread=(low, median, high))

    def _from_book(
        self, levels: BookLevels, features: Mapping[str, Any]
    ) -> dict[str, float | bool | None]:
        side = read_side(features.get("side"))
        quantity = positive(features.get("quantity"), "quantity")
        cost = self.feature_cache.get((side, quantity))
        if cost is None:
            cost = taker_cost(levels, side, quantity=quantity)
            remember(self.feature_cache, (side, quantity), cost)
        if self._lines is None or self._lines.names != FEATURES:
            return _prediction(cost)
        given = features.get("volatility", self._volatility)
        volatility = positive(given, "volatility")
        row = slippage_row(levels, side, quantity=quantity, volatility=volatility, cost=cost)
        if not self._lines.covers(row):
            return _prediction(cost)
        mean, low, median, high = self._lines.predict(row)
        return _prediction(cost, mean=mean, spread=(low, median, high))

    def _forget(self) -> None:
        self.feature_cache.clear()
        self.prediction_cache.clear()


def slippage_row(
    levels: BookLevels,
    side: Side,
    *,
    quantity: float,
    volatility: float,
    cost: TakerCost | None = None,
) -> tuple[float, float, float, float, float]:
    """Return one row of :data:`FEATURES` for an order that takes from a book.

    Parameters
    ----------
    quantity : float
        Base currency, finite and positive.
    volatility : float
        Relative, over one second, a fraction.
    cost : TakerCost or None
        Its walk, if it is known already.

    Returns
    -------
    tuple of float
        Mean cost of the order (bps), spread (bps), quantity over the displayed one, volatility
        (bps), and imbalance of the best ten levels, positive when the taken side is the thin one.

    Raises
    ------
    ValidationError
        If the quantity cannot be priced.
    """
    known = taker_cost(levels, side, quantity=quantity) if cost is None else cost
    depth = levels.consumed_by(side)
    lean = imbalance(levels, _IMBALANCE_LEVELS)
    return (
        known.total_bps,
        levels.spread / levels.mid * _BPS,
        quantity / depth.quantities[-1],
        volatility * _BPS,
        depth.sign * lean,
    )


def remember(cache: dict[K, V], key: K, value: V, *, capacity: int = _CACHED) -> V:
    """Put a value into a bounded cache, dropping the oldest one when it is full."""
    if len(cache) >= capacity:
        del cache[next(iter(cache))]
    cache[key] = value
    return value


def read_side(value: object) -> Side:
    """Return the side that ``value`` is or names (``buy`` or ``sell``, in any case).

    Raises
    ------
    ValidationError
        If it names none.
    """
    if isinstance(value, Side):
        return value
    if isinstance(value, str) and value.upper() in Side.__members__:
        return Side[value.upper()]
    raise ValidationError(f"side must be buy or sell, was {value!r}")


def _prediction(
    cost: TakerCost | None,
    *,
    mean: float | None = None,
    spread: tuple[float, float, float] | None = None,
) -> dict[str, float | bool | None]:
    low, median, high = spread or (None, None, None)
    return {
        "slippage_bps": median if cost is None else cost.total_bps,
        "book_walk_bps": None if cost is None else cost.total_bps,
        "linear_bps": mean,
        "q10_bps": low,
        "q50_bps": median,
        "q90_bps": high,
        "is_extrapolated": cost is not None and cost.is_extrapolated,
    }


OptimizedSlippageModel = SlippageModel
