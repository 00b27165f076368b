"""What an analysis says; plain Python numbers throughout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityAnalysis:
    """How much can be traded and how that has changed.

    Parameters
    ----------
    available_liquidity : float
        Value of the looked-at levels of both sides, quote currency.
    liquidity_depth : float
        Value within 10 bps of the mid, both sides, quote currency.
    liquidity_concentration : float
        Mean over the sides of the scaled Herfindahl index of level sizes: 0 spread evenly, 1 all
        on one level.
    liquidity_trend : str
        ``IMPROVING``, ``DECLINING``, ``STABLE`` or ``INSUFFICIENT_DATA``.
    optimal_execution_size : float
        Base currency that stays inside the impact threshold on the thinner side.
    market_impact_estimate : float
        Cost of buying the liquidity threshold's value now, bps of the mid.
    """

    available_liquidity: float
    liquidity_depth: float
    liquidity_concentration: float
    liquidity_trend: str
    optimal_execution_size: float
    market_impact_estimate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketImpactModel:
    """Impact of buying the liquidity threshold's value, bps of the mid, half the spread left out.

    Parameters
    ----------
    linear_impact, square_root_impact : float
        Impact of the whole displayed side, scaled to the size linearly and by the power ``alpha``.
    temporary_impact : float
        Exact book walk beyond half the spread, less the permanent part.
    permanent_impact : float
        The share ``gamma`` of that walk.
    decay_rate : float
        Rate at which the temporary part is taken to fade, per second.
    confidence_interval : tuple of (float, float) or None
        10 % and 90 % quantiles of this symbol's newest estimates, half the spread included; None
        before there are twenty.
    """

    linear_impact: float
    square_root_impact: float
    temporary_impact: float
    permanent_impact: float
    decay_rate: float
    confidence_interval: tuple[float, float] | None

    def impact_after(self, seconds: float) -> float:
        """Return what is left of the walk's impact ``seconds`` after it, bps of the mid."""
        return self.permanent_impact + self.temporary_impact * math.exp(-self.decay_rate * seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBookAnalysis:
    """One order book, measured.

    Parameters
    ----------
    timestamp : float
        UTC seconds since the epoch.
    spread : float
        Quote currency.
    spread_pct : float
        Percent of the mid.
    bid_volume, ask_volume, total_volume : float
        Sizes of the looked-at levels, base currency.
    order_book_imbalance : float
        (bids - asks) / (bids + asks) of those sizes, in [-1, 1].
    weighted_imbalance : float
        The same with each level counting half as much as the one before.
    microprice : float
        Size-weighted mid of the best levels, quote currency.
    liquidity_score : float
        0 to 1; see ``measures.liquidity_score``.
    market_depth : dict
        ``bids`` and ``asks`` as [price, size] pairs, best first.
    price_impact_curve : list of (float, float)
        Order value in quote currency and cost of **buying** it at once, bps of the mid, half the
        spread included: an exact walk of the displayed book.
    sell_impact_curve : list of (float, float)
        The same for selling.
    extrapolated_from_usd : dict
        ``buy`` and ``sell``: displayed value beyond which a curve is a guess by the square-root
        law, None where every point is exact.
    execution_optimization : dict
        Advice; see ``advice.execution_advice``.
    volatility_1min : float or None
        Realised volatility, percent of the price per minute; None while unknown.
    """

    symbol: str
    timestamp: float
    best_bid: float
    best_ask: float
    spread: float
    spread_pct: float
    bid_volume: float
    ask_volume: float
    total_volume: float
    order_book_imbalance: float
    weighted_imbalance: float
    microprice: float
    liquidity_score: float
    market_depth: dict[str, list[list[float]]]
    price_impact_curve: list[tuple[float, float]]
    sell_impact_curve: list[tuple[float, float]]
    extrapolated_from_usd: dict[str, float | None]
    execution_optimization: dict[str, Any]
    liquidity: LiquidityAnalysis
    impact_model: MarketImpactModel
    volatility_1min: float | None

    @property
    def mid(self) -> float:
        """Middle of the best prices, quote currency."""
        return (self.best_bid + self.best_ask) / 2.0
