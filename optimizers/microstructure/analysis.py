"""From checked levels and a symbol's history to one :class:`OrderBookAnalysis`."""

from __future__ import annotations

from dataclasses import dataclass, field

from optimizers.microstructure.advice import BookFacts, execution_advice
from optimizers.microstructure.history import SymbolHistory, trend
from optimizers.microstructure.impact import (
    cost_of_value,
    impact_curve,
    optimal_quantity,
    value_within,
)
from optimizers.microstructure.levels import BookLevels, SideDepth
from optimizers.microstructure.measures import (
    SCORE_BAND_BPS,
    concentration,
    liquidity_score,
    microprice,
    weighted_imbalance,
)
from optimizers.microstructure.results import (
    LiquidityAnalysis,
    MarketImpactModel,
    OrderBookAnalysis,
)

_BPS = 10_000.0
_TREND_SAMPLES = 10
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactParameters:
    """Constants of the impact model beyond what the book shows.

    Parameters
    ----------
    alpha : float
        Power of size with which impact grows beyond the displayed book.
    beta : float
        Share added to the impact beyond the displayed book, as a margin.
    gamma : float
        Share of the walked impact that is taken to be permanent.
    decay_rate : float
        Rate at which the temporary part fades, per second.
    """

    alpha: float = 0.5
    beta: float = 0.1
    gamma: float = 0.05
    decay_rate: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRules:
    """What an analysis looks at.

    Parameters
    ----------
    depth_levels : int
        Levels per side of volumes, imbalance and shown depth.
    impact_threshold : float
        Largest average cost against the mid of an optimal size, as a fraction (0.001 = 10 bps).
    liquidity_threshold : float
        Reference order value and scale of the liquidity score, quote currency.
    """

    depth_levels: int = 20
    impact_threshold: float = 0.001
    liquidity_threshold: float = 10_000.0
    impact: ImpactParameters = field(default_factory=ImpactParameters)

    @property
    def impact_threshold_bps(self) -> float:
        """The impact threshold in basis points."""
        return self.impact_threshold * _BPS


def analyse(
    levels: BookLevels,
    history: SymbolHistory,
    *,
    rules: AnalysisRules,
    urgency: str,
    now_ns: int,
    utc_ns: int,
) -> OrderBookAnalysis:
    """Return the analysis of one book and add it to its symbol's history.

    Parameters
    ----------
    urgency : str
        ``LOW``, ``NORMAL`` or ``HIGH``.
    now_ns, utc_ns : int
        Monotonic and UTC nanoseconds of the book.
    """
    bids, asks, mid = levels.bids, levels.asks, levels.mid
    bid_volume, bid_value = _top(bids, rules.depth_levels)
    ask_volume, ask_value = _top(asks, rules.depth_levels)
    spread_pct = levels.spread / mid * 100.0
    rho = (bid_volume - ask_volume) / (bid_volume + ask_volume)
    score = liquidity_score(levels, threshold=rules.liquidity_threshold)
    depth = value_within(bids, mid, bps=SCORE_BAND_BPS) + value_within(
        asks, mid, bps=SCORE_BAND_BPS
    )
    _remember(history, spread_pct=spread_pct, rho=rho, score=score, depth=depth)
    history.volumes.add(bid_volume + ask_volume)
    history.volatility.add(mid, now_ns)
    model, impact_bps = _impact(asks, mid, rules=rules, history=history)
    size = min(
        optimal_quantity(asks, mid, budget_bps=rules.impact_threshold_bps),
        optimal_quantity(bids, mid, budget_bps=rules.impact_threshold_bps),
    )
    liquidity = _liquidity(
        levels,
        history,
        count=rules.depth_levels,
        value=bid_value + ask_value,
        depth=depth,
        size=size,
        impact_bps=impact_bps,
    )
    advice = execution_advice(
        BookFacts(
            mid=mid,
            spread=levels.spread,
            spread_pct=spread_pct,
            imbalance=rho,
            score=score,
            optimal_size=size,
            impact_bps=impact_bps,
            impact_threshold_bps=rules.impact_threshold_bps,
        ),
        history,
        urgency=urgency,
        liquidity_trend=liquidity.liquidity_trend,
    )
    beyond = {"exponent": rules.impact.alpha, "margin": rules.impact.beta}
    buy_curve, buy_from = impact_curve(asks, mid, **beyond)
    sell_curve, sell_from = impact_curve(bids, mid, **beyond)
    return OrderBookAnalysis(
        symbol=levels.symbol,
        timestamp=utc_ns / _NS_PER_S,
        best_bid=bids.prices[0],
        best_ask=asks.prices[0],
        spread=levels.spread,
        spread_pct=spread_pct,
        bid_volume=bid_volume,
        ask_volume=ask_volume,
        total_volume=bid_volume + ask_volume,
        order_book_imbalance=rho,
        weighted_imbalance=weighted_imbalance(levels),
        microprice=microprice(levels),
        liquidity_score=score,
        market_depth={
            "bids": _pairs(bids, rules.depth_levels),
            "asks": _pairs(asks, rules.depth_levels),
        },
        price_impact_curve=buy_curve,
        sell_impact_curve=sell_curve,
        extrapolated_from_usd={"buy": buy_from, "sell": sell_from},
        execution_optimization=advice,
        liquidity=liquidity,
        impact_model=model,
        volatility_1min=history.volatility.percent_per_minute(),
    )


def _remember(
    history: SymbolHistory,
    *,
    spread_pct: float,
    rho: float,
    score: float,
    depth: float,
) -> None:
    history.count += 1
    history.spreads_pct.add(spread_pct)
    history.imbalances.add(rho)
    history.depths.add(depth)
    history.scores.add(score)


def _liquidity(
    levels: BookLevels,
    history: SymbolHistory,
    *,
    count: int,
    value: float,
    depth: float,
    size: float,
    impact_bps: float,
) -> LiquidityAnalysis:
    return LiquidityAnalysis(
        available_liquidity=value,
        liquidity_depth=depth,
        liquidity_concentration=(
            concentration(levels.bids, count) + concentration(levels.asks, count)
        )
        / 2.0,
        liquidity_trend=trend(
            history.depths.newest(_TREND_SAMPLES), rising="IMPROVING", falling="DECLINING"
        ),
        optimal_execution_size=size,
        market_impact_estimate=impact_bps,
    )


def _top(side: SideDepth, count: int) -> tuple[float, float]:
    i = min(count, len(side.sizes)) - 1
    return side.quantities[i], side.values[i]


def _pairs(side: SideDepth, count: int) -> list[list[float]]:
    return list(map(list, zip(side.prices[:count], side.sizes[:count], strict=True)))


def _impact(
    asks: SideDepth, mid: float, *, rules: AnalysisRules, history: SymbolHistory
) -> tuple[MarketImpactModel, float]:
    total = asks.values[-1]
    half = (asks.prices[0] - mid) / mid * _BPS
    walked = (total / asks.quantities[-1] - mid) / mid * _BPS - half
    share = rules.liquidity_threshold / total
    cost = cost_of_value(asks, mid, rules.liquidity_threshold)
    root = walked * share**rules.impact.alpha
    if cost is None:
        cost = half + (1.0 + rules.impact.beta) * max(walked, half) * share**rules.impact.alpha
    history.impacts_bps.add(cost)
    low, high = history.impacts_bps.quantile(0.1), history.impacts_bps.quantile(0.9)
    permanent = rules.impact.gamma * (cost - half)
    model = MarketImpactModel(
        linear_impact=walked * share,
        square_root_impact=root,
        temporary_impact=cost - half - permanent,
        permanent_impact=permanent,
        decay_rate=rules.impact.decay_rate,
        confidence_interval=None if low is None or high is None else (low, high),
    )
    return model, cost
