"""The newest analyses of one symbol in figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from optimizers.microstructure.advice import STRONG_IMBALANCE, WIDE_SPREAD_PCT
from optimizers.microstructure.history import trend
from optimizers.microstructure.results import OrderBookAnalysis

_GOOD_SCORE = 0.7
_FAIR_SCORE = 0.4


def empty_summary(symbol: str) -> dict[str, Any]:
    """Return every key of :func:`summary` with zero counts and None, and a ``status``."""
    return {
        "status": "no analysis yet",
        "symbol": symbol,
        "analysis_count": 0,
        "latest_analysis": None,
        "spread_metrics": dict.fromkeys(("current_pct", "avg_pct", "min_pct", "max_pct", "trend")),
        "volume_metrics": dict.fromkeys(("current", "avg", "trend")),
        "liquidity_metrics": dict.fromkeys(("current_score", "avg_score", "quality")),
        "market_balance": dict.fromkeys(("current_imbalance", "avg_imbalance", "balance_state")),
        "execution_recommendations": [],
    }


def summary(symbol: str, newest: Sequence[OrderBookAnalysis], count: int) -> dict[str, Any]:
    """Return the figures of ``newest`` (oldest first, at least one), JSON-safe.

    Parameters
    ----------
    count : int
        Analyses made since the start.
    """
    last = newest[-1]
    spreads = [a.spread_pct for a in newest]
    volumes = [a.total_volume for a in newest]
    scores = [a.liquidity_score for a in newest]
    balances = [a.order_book_imbalance for a in newest]
    return {
        "status": "ok",
        "symbol": symbol,
        "analysis_count": count,
        "latest_analysis": latest(last),
        "spread_metrics": {
            "current_pct": last.spread_pct,
            "avg_pct": sum(spreads) / len(spreads),
            "min_pct": min(spreads),
            "max_pct": max(spreads),
            "trend": trend(spreads, rising="WIDENING", falling="TIGHTENING"),
        },
        "volume_metrics": {
            "current": last.total_volume,
            "avg": sum(volumes) / len(volumes),
            "trend": trend(volumes, rising="RISING", falling="FALLING"),
        },
        "liquidity_metrics": {
            "current_score": last.liquidity_score,
            "avg_score": sum(scores) / len(scores),
            "quality": _quality(last.liquidity_score),
        },
        "market_balance": {
            "current_imbalance": last.order_book_imbalance,
            "avg_imbalance": sum(balances) / len(balances),
            "balance_state": _balance(last.order_book_imbalance),
        },
        "execution_recommendations": recommendations(last),
    }


def latest(analysis: OrderBookAnalysis) -> dict[str, Any]:
    """Return the scalar figures of one analysis."""
    return {
        "timestamp": analysis.timestamp,
        "best_bid": analysis.best_bid,
        "best_ask": analysis.best_ask,
        "spread": analysis.spread,
        "spread_pct": analysis.spread_pct,
        "bid_volume": analysis.bid_volume,
        "ask_volume": analysis.ask_volume,
        "total_volume": analysis.total_volume,
        "order_book_imbalance": analysis.order_book_imbalance,
        "microprice": analysis.microprice,
        "liquidity_score": analysis.liquidity_score,
        "volatility_1min": analysis.volatility_1min,
        "optimal_execution_size": analysis.liquidity.optimal_execution_size,
    }


def recommendations(analysis: OrderBookAnalysis) -> list[str]:
    """Return what the figures of one analysis advise, as sentences."""
    advice = analysis.execution_optimization
    rules: tuple[tuple[bool, Callable[[], str]], ...] = (
        (
            analysis.spread_pct > WIDE_SPREAD_PCT,
            lambda: f"use limit orders: the spread is {analysis.spread_pct:.3f} % of the price",
        ),
        (
            advice["size_splitting"],
            lambda: f"split orders above {advice['max_chunk_size']:.6g} in base currency",
        ),
        (
            advice["timing_optimization"] == "WAIT",
            lambda: "wait: the spread is in the widest quarter of its recent range",
        ),
        (
            analysis.liquidity_score < _FAIR_SCORE,
            lambda: f"trade small: the liquidity score is {analysis.liquidity_score:.2f}",
        ),
        (
            abs(analysis.order_book_imbalance) > STRONG_IMBALANCE,
            lambda: f"expect pressure: the imbalance is {analysis.order_book_imbalance:+.2f}",
        ),
    )
    return [sentence() for is_triggered, sentence in rules if is_triggered]


def _quality(score: float) -> str:
    if score >= _GOOD_SCORE:
        return "GOOD"
    return "FAIR" if score >= _FAIR_SCORE else "POOR"


def _balance(imbalance: float) -> str:
    if imbalance > STRONG_IMBALANCE:
        return "BID_HEAVY"
    return "ASK_HEAVY" if imbalance < -STRONG_IMBALANCE else "BALANCED"
