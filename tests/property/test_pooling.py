from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_agents import BTC, SECOND, opinion

from optimizers.signals.pooling import ABSTAINED, Ballot, PoolingRules, pool
from optimizers.signals.weights import exponential, fixed_share, floored

NOW = 100 * SECOND
LINEAR = PoolingRules()
LOG = PoolingRules(method="log")
P = st.floats(min_value=0.0, max_value=1.0)
FAMILIES = st.sampled_from(("x", "y", "llm"))


@st.composite
def panels(draw):
    count = draw(st.integers(1, 6))
    return [
        Ballot(
            f"agent {i}",
            draw(FAMILIES),
            draw(st.floats(min_value=0.01, max_value=1.0)),
            opinion(
                f"agent {i}",
                draw(P),
                expected_move_bps=draw(st.floats(-50, 50)),
                uncertainty_bps=draw(st.floats(0, 50)),
            ),
        )
        for i in range(count)
    ]


def pooled(ballots, rules=LINEAR):
    found = pool(ballots, symbol=BTC, now_ns=NOW, rules=rules)
    assert found is not None
    return found


@given(panels(), st.randoms(use_true_random=False), st.sampled_from((LINEAR, LOG)))
def test_the_order_of_agents_does_not_matter(ballots, shuffler: random.Random, rules) -> None:
    shuffled = list(ballots)
    shuffler.shuffle(shuffled)
    assert repr(pooled(shuffled, rules)) == repr(pooled(ballots, rules))


@given(panels(), st.floats(min_value=0.0, max_value=10.0), st.sampled_from((LINEAR, LOG)))
def test_an_abstainer_changes_nothing(ballots, weight, rules) -> None:
    absent = Ballot("zzz", "z", weight, None, ABSTAINED)
    more, less = pooled([*ballots, absent], rules), pooled(ballots, rules)
    assert replace(more, votes=()) == replace(less, votes=())
    assert more.votes[:-1] == less.votes


@given(panels(), P, st.integers(0, 5), st.sampled_from((LINEAR, LOG)))
def test_the_pool_rises_with_each_probability(ballots, p_up, position, rules) -> None:
    seat = ballots[position % len(ballots)]
    assert seat.opinion is not None
    higher = replace(seat, opinion=replace(seat.opinion, p_up=max(p_up, seat.opinion.p_up)))
    raised = [higher if b is seat else b for b in ballots]
    assert pooled(raised, rules).p_up >= pooled(ballots, rules).p_up - 1e-15


@given(panels(), P)
def test_unanimous_agents_are_believed_exactly(ballots, p_up) -> None:
    same = [replace(b, opinion=replace(b.opinion, p_up=p_up)) for b in ballots]
    assert pooled(same).p_up == p_up


@given(panels(), st.sampled_from((LINEAR, LOG)))
def test_a_consensus_is_always_in_range(ballots, rules) -> None:
    found = pooled(ballots, rules)
    assert 0.0 <= found.p_up <= 1.0
    assert 0.0 <= found.agreement <= 1.0
    assert found.uncertainty_bps >= 0.0
    assert sum(vote.weight for vote in found.votes) == pytest.approx(1.0)
    llm = sum(vote.weight for vote in found.votes if vote.family == "llm")
    assert llm <= 0.2 + 1e-9 or all(vote.family == "llm" for vote in found.votes)


@given(
    st.lists(st.floats(0.0, 20.0), min_size=1, max_size=8),
    st.floats(0.0, 1.0),
    st.floats(0.0, 0.2),
)
def test_weights_stay_a_distribution_above_the_floor(losses, share, floor) -> None:
    even = [1.0 / len(losses)] * len(losses)
    weights = floored(fixed_share(exponential(even, losses, rate=0.5), share=share), floor=floor)
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) >= min(floor, 1.0 / len(losses)) - 1e-12
    order = sorted(range(len(losses)), key=lambda i: losses[i])
    assert [weights[i] for i in order] == sorted(weights, reverse=True) or share > 0 or floor > 0
