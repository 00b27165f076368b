"""What one request to a panel brought, in the form in which it is cached and handed out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optimizers.signals.asking import Round
from optimizers.signals.member import Answer
from optimizers.signals.panel import AgentPanel
from optimizers.signals.pooling import ABSTAINED
from optimizers.signals.selection import STRATEGIES
from optimizers.signals.verdict import (
    ConsensusResult,
    OptimizedConsensusResult,
    VerdictRules,
    judged,
    no_signal,
)
from trading_system.domain.signals import Consensus

_NS_PER_S = 1_000_000_000
_POOLED = ("p_up", "expected_move_bps", "uncertainty_bps", "agreement", "horizon_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A result and what belongs to it.

    Parameters
    ----------
    validity_s : float
        How long it may be used again, seconds; 0 when nobody voted.
    opinion_hits : int
        Opinions taken from the cache.
    succeeded : bool
        Whether at least one agent answered, be it by abstaining.
    """

    result: ConsensusResult
    metadata: dict[str, Any]
    models: tuple[str, ...]
    load: dict[str, Any]
    validity_s: float
    opinion_hits: int
    succeeded: bool

    def handed_out(self, *, time_ms: float, is_hit: bool) -> OptimizedConsensusResult:
        """Return a result of the caller's own: changing it does not touch what is cached."""
        result = self.result
        return OptimizedConsensusResult(
            consensus_result=ConsensusResult(
                final_signal=result.final_signal,
                signal_type=result.signal_type,
                confidence_avg=result.confidence_avg,
                thesis_combined=result.thesis_combined,
                consensus_votes=dict(result.consensus_votes),
                recommended_params=dict(result.recommended_params),
                disagreement_details=dict(result.disagreement_details),
            ),
            optimization_metadata=self.metadata | {"from_cache": is_hit},
            processing_time_ms=time_ms,
            cache_hits=1 if is_hit else self.opinion_hits,
            models_used=list(self.models),
            load_balancing_info=dict(self.load),
        )


def refused(reason: str, *, priority: int, timeout_s: float) -> Outcome:
    """Return the outcome of market data that cannot be used."""
    return Outcome(
        result=no_signal(reason),
        metadata=_metadata(None, (), priority=priority, timeout_s=timeout_s, missing=()),
        models=(),
        load={
            "model_weights": {},
            "optimization_strategy": STRATEGIES[priority],
            "selected": [],
        },
        validity_s=0.0,
        opinion_hits=0,
        succeeded=False,
    )


def concluded(
    panel: AgentPanel,
    request: Round,
    answers: Sequence[Answer | None],
    *,
    priority: int,
    opinion_hits: int,
    rules: VerdictRules,
) -> Outcome:
    """Pool ``answers`` and return what they amount to."""
    features = request.features
    consensus = panel.conclude(features, answers)
    asked = [
        seat.name for seat, is_asked in zip(panel.seats, request.chosen, strict=True) if is_asked
    ]
    given = [
        (seat, answer.opinion)
        for seat, answer in zip(panel.seats, answers, strict=True)
        if answer is not None and answer.opinion is not None
    ]
    left_s = [
        seat.validity_s(opinion) - max(0, features.ts_ns - opinion.ts_ns) / _NS_PER_S
        for seat, opinion in given
    ]
    if consensus is None:
        result = no_signal(_silence(panel, priority), panel.votes)
    else:
        result = judged(consensus, features, rules=rules)
    return Outcome(
        result=result,
        metadata=_metadata(
            consensus,
            asked,
            priority=priority,
            timeout_s=request.timeout_s,
            missing=sorted(request.reading.missing),
        ),
        models=tuple(seat.name for seat, _ in given),
        load={
            "model_weights": dict(panel.weights),
            "optimization_strategy": STRATEGIES[priority],
            "selected": asked,
        },
        validity_s=min(left_s, default=0.0),
        opinion_hits=opinion_hits,
        succeeded=any(
            answer.opinion is not None or answer.note.startswith(ABSTAINED)
            for answer in answers
            if answer is not None
        ),
    )


def _silence(panel: AgentPanel, priority: int) -> str:
    if not panel.votes:
        return f"no agent is fit for priority {priority}"
    said = "; ".join(f"{vote.agent} {vote.note}" for vote in panel.votes)
    return f"no agent has a view ({said})"


def _metadata(
    consensus: Consensus | None,
    asked: Sequence[str],
    *,
    priority: int,
    timeout_s: float,
    missing: Sequence[str],
) -> dict[str, Any]:
    return {
        "priority": priority,
        "agents_asked": list(asked),
        "agent_deadline_s": timeout_s,
        "missing_features": list(missing),
        "has_quorum": consensus is not None and consensus.has_quorum,
        **{name: getattr(consensus, name, None) for name in _POOLED},
    }
