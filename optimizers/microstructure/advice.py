"""Advice on how and when to trade, from one book and the symbol's own past."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optimizers.microstructure.history import SymbolHistory
from trading_system.domain.errors import ValidationError

URGENCIES = ("LOW", "NORMAL", "HIGH")
"""How much a trader minds waiting, from least to most."""

WIDE_SPREAD_PCT = 0.1
"""Spread beyond which a limit order is advised, percent of the mid."""

STRONG_IMBALANCE = 0.3
"""Imbalance, either way, that counts as pressure."""

_STYLES = {"LOW": "PASSIVE", "NORMAL": "CONSERVATIVE", "HIGH": "AGGRESSIVE"}
_DELAYS_S = {"LOW": 5.0, "NORMAL": 1.0, "HIGH": 0.0}
_OFFSETS = {"LOW": 0.0, "NORMAL": 0.25, "HIGH": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFacts:
    """What the advice is based on.

    Parameters
    ----------
    spread : float
        Quote currency.
    optimal_size : float
        Base currency inside the impact threshold on the thinner side.
    impact_bps : float
        Cost of the reference value now.
    """

    mid: float
    spread: float
    spread_pct: float
    imbalance: float
    score: float
    optimal_size: float
    impact_bps: float
    impact_threshold_bps: float


def checked_urgency(urgency: str) -> str:
    """Return ``urgency``, one of ``LOW``, ``NORMAL`` and ``HIGH``.

    Raises
    ------
    ValidationError
        If it is none of them.
    """
    if urgency not in URGENCIES:
        raise ValidationError(f"urgency must be one of {', '.join(URGENCIES)}, was {urgency!r}")
    return urgency


def execution_advice(
    facts: BookFacts, history: SymbolHistory, *, urgency: str, liquidity_trend: str
) -> dict[str, Any]:
    """Return the advice, JSON-safe.

    Returns
    -------
    dict
        ``order_type`` ``Market`` or ``Limit``; ``execution_style`` ``PASSIVE``, ``CONSERVATIVE`` or
        ``AGGRESSIVE``; ``size_optimization`` ``SPLIT`` when the reference value costs more than the
        threshold, else ``FULL``, and ``size_splitting`` the same as a claim;
        ``timing_optimization`` ``WAIT`` or ``IMMEDIATE`` and ``timing_delay`` in seconds;
        ``use_limit_orders`` and ``limit_offset`` (quote currency inside the own best price);
        ``max_chunk_size`` (base) and ``size_limit`` (quote) inside the threshold; ``bias`` ``BUY``,
        ``SELL`` or ``NEUTRAL``; ``impact_estimate`` and ``impact_threshold`` in bps;
        ``optimal_timing``.
    """
    timing = optimal_timing(facts, history, liquidity_trend=liquidity_trend)
    is_wide = facts.spread_pct > WIDE_SPREAD_PCT
    is_waiting = timing["timing_bias"] == "WAIT" and urgency != "HIGH"
    is_split = facts.impact_bps > facts.impact_threshold_bps
    is_limit = is_wide or urgency == "LOW"
    return {
        "order_type": "Limit" if is_limit else "Market",
        "execution_style": _STYLES[urgency],
        "size_optimization": "SPLIT" if is_split else "FULL",
        "timing_optimization": "WAIT" if is_waiting else "IMMEDIATE",
        "size_splitting": is_split,
        "timing_delay": _DELAYS_S[urgency] if is_waiting else 0.0,
        "use_limit_orders": is_limit,
        "limit_offset": facts.spread * _OFFSETS[urgency] if is_limit else 0.0,
        "max_chunk_size": facts.optimal_size,
        "bias": _pressure(facts.imbalance, buy="BUY", sell="SELL", none="NEUTRAL"),
        "impact_estimate": facts.impact_bps,
        "impact_threshold": facts.impact_threshold_bps,
        "size_limit": facts.optimal_size * facts.mid,
        "optimal_timing": timing,
    }


def optimal_timing(
    facts: BookFacts, history: SymbolHistory, *, liquidity_trend: str
) -> dict[str, str]:
    """Return how this instant compares with the symbol's own newest ones.

    ``spread_condition`` is ``TIGHT`` or ``WIDE`` at the quartiles, else ``NORMAL``, and ``UNKNOWN``
    before twenty books; ``timing_bias`` is ``EXECUTE_NOW``, ``WAIT`` or ``NEUTRAL``.
    """
    condition = _compared(facts.spread_pct, history.spreads_pct.quantile, "TIGHT", "WIDE")
    liquidity = _compared(facts.score, history.scores.quantile, "THIN", "DEEP")
    bias = {"TIGHT": "EXECUTE_NOW", "WIDE": "WAIT"}.get(condition, "NEUTRAL")
    if bias == "NEUTRAL" and liquidity_trend == "DECLINING":
        bias = "EXECUTE_NOW"  # what is there now may be gone later
    return {
        "spread_condition": condition,
        "timing_bias": bias,
        "liquidity_trend": liquidity_trend,
        "liquidity_bias": liquidity,
        "imbalance_bias": _pressure(
            facts.imbalance, buy="BUY_PRESSURE", sell="SELL_PRESSURE", none="BALANCED"
        ),
    }


def _compared(
    value: float, quantile: Callable[[float], float | None], low_name: str, high_name: str
) -> str:
    low, high = quantile(0.25), quantile(0.75)
    if low is None or high is None:
        return "UNKNOWN"
    if low == high:
        return "NORMAL" if value == low else (low_name if value < low else high_name)
    if value <= low:
        return low_name
    return high_name if value >= high else "NORMAL"


def _pressure(imbalance: float, *, buy: str, sell: str, none: str) -> str:
    if imbalance > STRONG_IMBALANCE:
        return buy
    return sell if imbalance < -STRONG_IMBALANCE else none
