"""What an optimized execution hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trading_system.domain.parents import ChildResult, ParentResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionMetrics:
    """How good one execution was.

    Parameters
    ----------
    latency_ms : float
        From the call to the end, without what was waited on purpose (resting orders, pauses
        between chunks).
    slippage_bps : float or None
        Signed cost against the arrival mid, positive = cost; None without a fill.
    fill_rate : float
        Filled over ordered quantity, in [0, 1].
    execution_quality_score : float
        0 to 100; see ``quality.quality_score``.
    timestamp : float
        UTC seconds since the epoch.
    """

    latency_ms: float
    slippage_bps: float | None
    fill_rate: float
    execution_quality_score: float
    timestamp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketMicrostructure:
    """The market that an execution met.

    Parameters
    ----------
    bid_ask_spread : float
        Percent of the mid.
    order_book_imbalance, liquidity_score : float
        In [-1, 1] and [0, 1].
    volatility_1min : float or None
        Percent of the price per minute; None while unknown.
    volume_profile : dict
        ``bid_levels`` and ``ask_levels`` counted; ``bid_liquidity``, ``ask_liquidity`` and
        ``total_liquidity`` in quote currency.
    optimal_execution_size : float
        Base currency the taken side bears inside the slippage limit.
    """

    bid_ask_spread: float
    order_book_imbalance: float
    liquidity_score: float
    volatility_1min: float | None
    volume_profile: dict[str, float]
    optimal_execution_size: float


def order_result(result: ParentResult) -> dict[str, Any]:
    """Return what was traded, JSON-safe."""
    average = result.average_price
    return {
        "symbol": result.parent.symbol,
        "side": result.parent.side.name.title(),
        "split_execution": len(result.child_results) > 1,
        "chunks_executed": sum(c.filled_quantity > 0 for c in result.child_results),
        "total_filled": float(result.filled_quantity),
        "total_quantity": float(result.parent.quantity),
        "fill_rate": result.fill_rate,
        "average_price": None if average is None else float(average),
        "arrival_mid": float(result.arrival_mid),
        "average_slippage_bps": result.slippage_bps,
        "fees": float(result.fees),
        "fees_bps": result.fees_bps,
        "duration_ms": result.duration_ms,
        "waited_ms": result.waited_ms,
        "is_complete": result.filled_quantity == result.parent.quantity,
        "is_inside_limits": result.is_success,
        "reason": result.reason,
        "chunk_results": [_chunk(child) for child in result.child_results],
    }


def _chunk(child: ChildResult) -> dict[str, Any]:
    return {
        "order_link_id": child.link_id,
        "status": child.status,
        "time_in_force": child.time_in_force.name,
        "quantity": float(child.quantity),
        "price": None if child.price is None else float(child.price),
        "filled": float(child.filled_quantity),
        "value": float(child.filled_value),
        "fees": float(child.fees),
        "slippage_bps": child.slippage_bps,
        "sent_after_ms": child.sent_after_ms,
        "duration_ms": child.duration_ms,
        "waited_ms": child.waited_ms,
        "reason": child.reason,
    }
