"""Pools the opinions of a panel into one consensus; pure functions of their arguments.

The linear pool is the weighted mean of the probabilities (Stone, 1961); the log pool is the
logistic function of ``a`` times the weighted mean of the logits (Satopaa et al., "Combining
multiple probability predictions using a simple logit model", 2014). Agents that abstain are left
out and the other weights renormalised ("sleeping experts"); an agent that failed, was late or
gave an invalid opinion does not vote either, but its weight counts against the quorum.

The pooled expectation is the weighted mean of the expected moves; its variance is that of the
mixture, sum of w (s^2 + (m - mean)^2), so that disagreement widens it. Moves are taken as they
are: the agents of one panel should look about equally far ahead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trading_system.domain.signals import Consensus, Opinion, Vote

_LN2 = math.log(2.0)
_MAX_MOVE_BPS = 5_000.0
_P_CLIP = 0.01

ABSTAINED = "abstained"
"""How the note of an agent begins that had no view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingRules:
    """How opinions become a consensus.

    Parameters
    ----------
    method : {"linear", "log"}
        Pool of the probabilities.
    sharpness : float
        ``a`` of the log pool; above 1 corrects under-confidence.
    min_families : int
        Independent kinds of evidence that must vote for a quorum.
    min_weight_share : float
        Share of weight that must vote for a quorum; those who abstained are not counted.
    capped_families : tuple of (str, float)
        Largest share of a whole family in the pool.
    """

    method: Literal["linear", "log"] = "linear"
    sharpness: float = 1.0
    min_families: int = 2
    min_weight_share: float = 0.5
    capped_families: tuple[tuple[str, float], ...] = (("llm", 0.2),)


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one agent of the panel brought to one decision.

    Parameters
    ----------
    weight : float
        Its weight before renormalisation, not negative.
    note : str
        Empty for a vote; begins with :data:`ABSTAINED`; anything else says why it failed.
    """

    agent: str
    family: str
    weight: float
    opinion: Opinion | None
    note: str = ""


def fault_of(
    opinion: object, *, agent: str, symbol: str, now_ns: int, validity_ns: float
) -> str | None:
    """Return why ``opinion`` must not be used, None if it may.

    Parameters
    ----------
    now_ns : int
        Time of the decision on the opinion's time axis.
    validity_ns : float
        Age from which the opinion is stale.
    """
    if not isinstance(opinion, Opinion):
        return f"invalid: {type(opinion).__name__} instead of an opinion"
    if opinion.agent != agent or opinion.symbol != symbol:
        return f"invalid: speaks for {opinion.agent} on {opinion.symbol}"
    # A comparison with NaN is false, so each range also refuses what is not a number.
    if not 0.0 <= opinion.p_up <= 1.0:
        return "invalid: probability outside [0, 1]"
    if not -_MAX_MOVE_BPS <= opinion.expected_move_bps <= _MAX_MOVE_BPS:
        return "invalid: expected move out of range"
    if not 0.0 <= opinion.uncertainty_bps <= _MAX_MOVE_BPS:
        return "invalid: uncertainty out of range"
    if not 0.0 < opinion.horizon_s < math.inf:
        return "invalid: horizon out of range"
    age_ns = now_ns - opinion.ts_ns
    if age_ns < 0:
        return "invalid: from the future"
    return None if age_ns <= validity_ns else "stale"


def linear_pool(probabilities: Sequence[float], weights: Sequence[float]) -> float:
    """Return the weighted mean of ``probabilities``, inside their range.

    Parameters
    ----------
    weights : sequence of float
        As many as probabilities, not negative, their sum 1.
    """
    mean = math.fsum(w * p for w, p in zip(weights, probabilities, strict=True))
    return min(max(mean, min(probabilities)), max(probabilities))


def log_pool(
    probabilities: Sequence[float], weights: Sequence[float], *, sharpness: float = 1.0
) -> float:
    """Return the logistic function of the scaled weighted mean of the logits.

    Probabilities are clipped to [0.01, 0.99] first.
    """
    logits = [math.log(p / (1.0 - p)) for p in map(_clipped, probabilities)]
    mean = math.fsum(w * x for w, x in zip(weights, logits, strict=True))
    return 1.0 / (1.0 + math.exp(-sharpness * mean))


def agreement(probabilities: Sequence[float], weights: Sequence[float]) -> float:
    """Return 1 - H / ln 2 of the weighted vote on the direction, in [0, 1].

    A probability of exactly one half votes half for each direction.
    """
    up = math.fsum(
        w * (1.0 if p > 0.5 else 0.5 if p == 0.5 else 0.0)
        for w, p in zip(weights, probabilities, strict=True)
    )
    if not 0.0 < up < 1.0:
        return 1.0
    entropy = -(up * math.log(up) + (1.0 - up) * math.log1p(-up))
    return min(1.0, max(0.0, 1.0 - entropy / _LN2))


def shares(ballots: Sequence[Ballot], *, rules: PoolingRules) -> list[float]:
    """Return the normalised weights of voting ``ballots``, family caps applied.

    A cap cannot hold when nobody outside the family votes; then there is no quorum either.
    """
    weights = [ballot.weight for ballot in ballots]
    if math.fsum(weights) <= 0.0:
        weights = [1.0] * len(ballots)
    for family, cap in rules.capped_families:
        if any(ballot.family == family for ballot in ballots):
            weights = _capped(ballots, weights, family=family, cap=cap)
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def pool(
    ballots: Iterable[Ballot], *, symbol: str, now_ns: int, rules: PoolingRules
) -> Consensus | None:
    """Return the consensus of ``ballots``, None when nobody voted.

    The result does not depend on the order of ``ballots``: votes are sorted by agent.
    """
    seats = sorted(ballots, key=_by_name)
    voters = [seat for seat in seats if seat.opinion is not None]
    opinions = [seat.opinion for seat in voters if seat.opinion is not None]
    if not opinions:
        return None
    weights = shares(voters, rules=rules)
    probabilities = [opinion.p_up for opinion in opinions]
    if rules.method == "linear":
        p_up = linear_pool(probabilities, weights)
    else:
        p_up = log_pool(probabilities, weights, sharpness=rules.sharpness)
    move_bps, uncertainty_bps = pooled_move(opinions, weights)
    return Consensus(
        symbol=symbol,
        p_up=float(p_up),
        expected_move_bps=move_bps,
        uncertainty_bps=uncertainty_bps,
        agreement=agreement(probabilities, weights),
        horizon_s=math.fsum(w * o.horizon_s for w, o in zip(weights, opinions, strict=True)),
        has_quorum=has_quorum(seats, rules=rules),
        votes=votes_of(seats, weights),
        ts_ns=now_ns,
    )


def pooled_move(opinions: Sequence[Opinion], weights: Sequence[float]) -> tuple[float, float]:
    """Return expected move and its standard error, both in basis points."""
    mean = math.fsum(w * o.expected_move_bps for w, o in zip(weights, opinions, strict=True))
    variance = math.fsum(
        w * (o.uncertainty_bps**2 + (o.expected_move_bps - mean) ** 2)
        for w, o in zip(weights, opinions, strict=True)
    )
    return float(mean), math.sqrt(variance)


def has_quorum(ballots: Sequence[Ballot], *, rules: PoolingRules) -> bool:
    """Return whether enough independent agents voted to act on it.

    Agents that abstained are not asked for; those that failed, were late, stale or invalid
    count with their weight against the quorum.
    """
    voting = [ballot for ballot in ballots if ballot.opinion is not None]
    if len({ballot.family for ballot in voting}) < rules.min_families:
        return False
    counted = math.fsum(
        ballot.weight for ballot in ballots if not ballot.note.startswith(ABSTAINED)
    )
    return math.fsum(ballot.weight for ballot in voting) >= rules.min_weight_share * counted


def votes_of(ballots: Sequence[Ballot], weights: Sequence[float]) -> tuple[Vote, ...]:
    """Return every ballot as a vote; ``weights`` belong to those with an opinion, in order."""
    share = iter(weights)
    return tuple(
        Vote(
            agent=ballot.agent,
            family=ballot.family,
            weight=next(share) if ballot.opinion is not None else 0.0,
            opinion=ballot.opinion,
            note=ballot.note,
        )
        for ballot in ballots
    )


def _by_name(ballot: Ballot) -> str:
    return ballot.agent


def _clipped(probability: float) -> float:
    return min(1.0 - _P_CLIP, max(_P_CLIP, probability))


def _capped(
    ballots: Sequence[Ballot], weights: list[float], *, family: str, cap: float
) -> list[float]:
    inside = math.fsum(w for b, w in zip(ballots, weights, strict=True) if b.family == family)
    outside = math.fsum(w for b, w in zip(ballots, weights, strict=True) if b.family != family)
    if outside <= 0.0 or inside <= cap * (inside + outside):
        return weights
    factor = cap / (1.0 - cap) * outside / inside
    return [w * factor if b.family == family else w for b, w in zip(ballots, weights, strict=True)]
