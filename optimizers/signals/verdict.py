"""From a consensus to a signal with recommended parameters; pure functions.

The recommendation knows no fees and no account: the strategy judges costs, the risk gate limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optimizers.signals.pooling import ABSTAINED
from trading_system.domain.signals import Consensus, MarketFeatures, Vote

_BPS = 10_000.0
_FADING_FAMILIES = frozenset({"mean_reversion"})
PARAMETER_NAMES = (
    "entry_price",
    "activation_price",
    "trailing_stop_pct",
    "invalidation_level",
    "leverage",
    "quantity",
    "risk_reward_ratio",
)
"""Keys of ``recommended_params``, always present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRules:
    """When a consensus is a signal and how it is sized.

    Parameters
    ----------
    min_lean : float
        Smallest distance of the pooled probability from one half.
    confidence : float
        Standard errors by which the expected move must differ from zero.
    reference_notional : float
        Value of a position when all agents agree, quote currency.
    max_leverage : int
        Bound of the recommended leverage.
    risk_bps : float
        Loss at the invalidation level, basis points of the margin.
    """

    min_lean: float = 0.02
    confidence: float = 0.5
    reference_notional: float = 1_000.0
    max_leverage: int = 10
    risk_bps: float = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusResult:
    """What the agents recommend.

    Parameters
    ----------
    final_signal : str
        ``BUY``, ``SELL`` or ``NONE``.
    signal_type : str
        ``RANGE_FADE`` when mean reversion carries most of the supporting weight, otherwise
        ``MAIN_STRATEGY``.
    consensus_votes : dict
        How many agents said ``BUY``, ``SELL`` and ``NONE`` (abstentions and failures included).
    confidence_avg : float
        Pooled probability of the signalled direction (for NONE of the likelier one), 0 to 1; 0
        without any vote.
    thesis_combined : str
        One line for people: who said what, or why there is no signal.
    recommended_params : dict
        :data:`PARAMETER_NAMES`; every value None when there is no signal.
    disagreement_details : dict
        ``agreement``, ``probability_range``, ``dissenting``, ``abstained``, ``failed``.
    """

    final_signal: str
    signal_type: str
    consensus_votes: dict[str, int]
    confidence_avg: float
    thesis_combined: str
    recommended_params: dict[str, float | int | None]
    disagreement_details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizedConsensusResult:
    """A consensus and how it came about.

    Parameters
    ----------
    processing_time_ms : float
        From the call to the result, milliseconds.
    cache_hits : int
        Cached values used: the consensus itself or single opinions.
    models_used : list of str
        Agents whose opinion is in the consensus.
    """

    consensus_result: ConsensusResult
    optimization_metadata: dict[str, Any] = field(default_factory=dict)
    processing_time_ms: float = 0.0
    cache_hits: int = 0
    models_used: list[str] = field(default_factory=list)
    load_balancing_info: dict[str, Any] = field(default_factory=dict)


def no_signal(reason: str, votes: Sequence[Vote] = ()) -> ConsensusResult:
    """Return the result that says why there is no signal."""
    return ConsensusResult(
        final_signal="NONE",
        signal_type="MAIN_STRATEGY",
        consensus_votes=_count(votes),
        confidence_avg=0.0,
        thesis_combined=f"no signal: {reason}",
        recommended_params=dict.fromkeys(PARAMETER_NAMES),
        disagreement_details=_details(votes, "NONE", agreement=None),
    )


def judged(
    consensus: Consensus, features: MarketFeatures, *, rules: VerdictRules
) -> ConsensusResult:
    """Return what ``consensus`` amounts to.

    A signal needs a quorum, a probability at least ``min_lean`` away from one half and an
    expected move in the same direction beyond ``confidence`` standard errors.
    """
    doubt = _doubt(consensus, rules)
    signal = "NONE" if doubt else "BUY" if consensus.p_up > 0.5 else "SELL"
    likelier = max(consensus.p_up, 1.0 - consensus.p_up)
    return ConsensusResult(
        final_signal=signal,
        signal_type=_signal_type(consensus.votes, signal),
        consensus_votes=_count(consensus.votes),
        confidence_avg=likelier,
        thesis_combined=_thesis(consensus, doubt),
        recommended_params=dict.fromkeys(PARAMETER_NAMES)
        if doubt
        else recommendation(consensus, features, rules=rules),
        disagreement_details=_details(consensus.votes, signal, agreement=consensus.agreement),
    )


def volatility_bps(consensus: Consensus, features: MarketFeatures) -> float:
    """Return the standard deviation of the mid over the horizon, basis points.

    The measured volatility (per square root of a second) times the root of the horizon; while
    none was measured, twice the pooled uncertainty. At least the spread and 1 bps.
    """
    measured = features.volatility_bps * math.sqrt(consensus.horizon_s)
    guess = measured if measured > 0.0 else 2.0 * consensus.uncertainty_bps
    return max(guess, features.spread_bps, 1.0)


def recommendation(
    consensus: Consensus, features: MarketFeatures, *, rules: VerdictRules
) -> dict[str, float | int | None]:
    """Return entry, exits and size of a signal.

    With s = +1 for BUY and -1 for SELL, v the volatility over the horizon and m the expected
    move, all in basis points:

    - ``entry_price``: the touch that is crossed, mid (1 + s spread / 2);
    - ``invalidation_level``: entry (1 - s stop), stop = max(1.5 v, 2 spread, 5);
    - ``activation_price`` of the trailing stop: entry (1 + s max(m / 2, v / 2));
    - ``trailing_stop_pct``: max(v, 2 spread) in percent;
    - ``risk_reward_ratio``: m / stop;
    - ``quantity``: reference notional times agreement over entry, base currency, not yet on the
      instrument's grid;
    - ``leverage``: the largest whole number with leverage times stop within ``risk_bps`` of the
      margin, between 1 and ``max_leverage``.
    """
    sign = 1.0 if consensus.p_up > 0.5 else -1.0
    move_bps = abs(consensus.expected_move_bps)
    spread_bps = features.spread_bps
    vol_bps = volatility_bps(consensus, features)
    stop_bps = max(1.5 * vol_bps, 2.0 * spread_bps, 5.0)
    entry = features.mid * (1.0 + sign * 0.5 * spread_bps / _BPS)
    activation_bps = max(0.5 * move_bps, 0.5 * vol_bps)
    return {
        "entry_price": entry,
        "activation_price": entry * (1.0 + sign * activation_bps / _BPS),
        "trailing_stop_pct": max(vol_bps, 2.0 * spread_bps) / 100.0,
        "invalidation_level": entry * (1.0 - sign * min(stop_bps, _BPS / 2) / _BPS),
        "leverage": max(1, min(rules.max_leverage, int(rules.risk_bps // stop_bps))),
        "quantity": rules.reference_notional * consensus.agreement / entry,
        "risk_reward_ratio": move_bps / stop_bps,
    }


def _doubt(consensus: Consensus, rules: VerdictRules) -> str:
    """Return why the consensus is no signal, empty if it is one."""
    lean = consensus.p_up - 0.5
    if not consensus.has_quorum:
        return "no quorum of independent agents"
    if abs(lean) < rules.min_lean:
        return f"probability {consensus.p_up:.3f} is too close to one half"
    if lean * consensus.expected_move_bps <= 0.0:
        return "probability and expected move point different ways"
    if abs(consensus.expected_move_bps) <= rules.confidence * consensus.uncertainty_bps:
        return (
            f"expected move {consensus.expected_move_bps:+.2f} bps is within its uncertainty of "
            f"{consensus.uncertainty_bps:.2f} bps"
        )
    return ""


def _side(vote: Vote) -> str:
    if vote.opinion is None or vote.opinion.p_up == 0.5:
        return "NONE"
    return "BUY" if vote.opinion.p_up > 0.5 else "SELL"


def _count(votes: Sequence[Vote]) -> dict[str, int]:
    sides = [_side(vote) for vote in votes]
    return {name: sides.count(name) for name in ("BUY", "SELL", "NONE")}


def _signal_type(votes: Sequence[Vote], signal: str) -> str:
    backing = [vote for vote in votes if signal != "NONE" and _side(vote) == signal]
    fading = math.fsum(vote.weight for vote in backing if vote.family in _FADING_FAMILIES)
    total = math.fsum(vote.weight for vote in backing)
    return "RANGE_FADE" if fading > 0.5 * total else "MAIN_STRATEGY"


def _thesis(consensus: Consensus, doubt: str) -> str:
    said = "; ".join(
        f"{vote.agent} {vote.opinion.p_up:.2f} ({vote.opinion.expected_move_bps:+.1f} bps)"
        + (f": {', '.join(vote.opinion.reasons[:2])}" if vote.opinion.reasons else "")
        for vote in consensus.votes
        if vote.opinion is not None
    )
    return f"no signal: {doubt} [{said}]" if doubt else said


def _details(votes: Sequence[Vote], signal: str, *, agreement: float | None) -> dict[str, Any]:
    probabilities = [vote.opinion.p_up for vote in votes if vote.opinion is not None]
    other = {"BUY": "SELL", "SELL": "BUY"}.get(signal)
    silent = [vote for vote in votes if vote.opinion is None]
    return {
        "agreement": agreement,
        "probability_range": [float(min(probabilities)), float(max(probabilities))]
        if probabilities
        else None,
        "dissenting": [vote.agent for vote in votes if _side(vote) == other],
        "abstained": [vote.agent for vote in silent if vote.note.startswith(ABSTAINED)],
        "failed": {v.agent: v.note for v in silent if not v.note.startswith(ABSTAINED)},
    }
