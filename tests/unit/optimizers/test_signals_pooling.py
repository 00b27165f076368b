from __future__ import annotations

import math

import pytest
from stub_agents import BTC, SECOND, opinion

from optimizers.signals.pooling import (
    ABSTAINED,
    Ballot,
    PoolingRules,
    agreement,
    fault_of,
    has_quorum,
    linear_pool,
    log_pool,
    pool,
    shares,
)

RULES = PoolingRules()
NOW = 100 * SECOND


def ballot(agent: str, p_up: float | None = 0.6, *, weight: float = 0.25, **more) -> Ballot:
    family = more.pop("family", agent)
    note = more.pop("note", "" if p_up is not None else ABSTAINED)
    said = None if p_up is None else opinion(agent, p_up, **more)
    return Ballot(agent, family, weight, said, note)


def pooled(*ballots: Ballot, rules: PoolingRules = RULES):
    return pool(ballots, symbol=BTC, now_ns=NOW, rules=rules)


def test_the_pools_match_their_worked_examples() -> None:
    p, w = (0.6, 0.55, 0.7), (0.5, 0.3, 0.2)
    assert linear_pool(p, w) == pytest.approx(0.605)
    assert log_pool(p, w) == pytest.approx(0.606445, abs=1e-6)
    assert log_pool(p, w, sharpness=1.5) == pytest.approx(0.656693, abs=1e-6)


def test_the_log_pool_survives_certainty() -> None:
    assert log_pool((1.0, 0.0), (0.5, 0.5)) == pytest.approx(0.5)
    rules = PoolingRules(method="log")
    found = pooled(ballot("a", 1.0), ballot("b", 1.0), rules=rules)
    assert found is not None
    assert found.p_up == pytest.approx(0.99)


def test_agreement_is_one_for_one_direction_and_zero_for_an_even_split() -> None:
    assert agreement((0.6, 0.9), (0.5, 0.5)) == 1.0
    assert agreement((0.1, 0.4), (0.5, 0.5)) == 1.0
    assert agreement((0.6, 0.4), (0.5, 0.5)) == pytest.approx(0.0)
    assert agreement((0.5,), (1.0,)) == pytest.approx(0.0)
    three_to_one = agreement((0.6, 0.4), (0.75, 0.25))
    assert three_to_one == pytest.approx(1 - 0.562335 / math.log(2), abs=1e-6)


def test_disagreement_widens_the_uncertainty() -> None:
    same = pooled(ballot("a", 0.6), ballot("b", 0.6))
    split = pooled(ballot("a", 0.7), ballot("b", 0.5))
    assert same is not None
    assert split is not None
    assert same.expected_move_bps == pytest.approx(split.expected_move_bps) == pytest.approx(10.0)
    assert same.uncertainty_bps == pytest.approx(1.0)
    assert split.uncertainty_bps == pytest.approx(math.sqrt(1.0 + 100.0))


def test_nobody_voting_is_no_consensus() -> None:
    assert pooled() is None
    assert pooled(ballot("a", None), ballot("b", None)) is None


@pytest.mark.parametrize(
    ("ballots", "expected"),
    [
        ((ballot("a"), ballot("b")), True),
        ((ballot("a"),), False),
        ((ballot("a", family="x"), ballot("b", family="x")), False),
        ((ballot("a"), ballot("b"), *(ballot(n, None) for n in "cdefgh")), True),
        ((ballot("a"), ballot("b"), *(ballot(n, None, note="late") for n in "cd")), True),
        ((ballot("a"), ballot("b"), *(ballot(n, None, note="late") for n in "cde")), False),
    ],
)
def test_a_quorum_needs_two_families_and_half_the_weight_of_those_who_did_not_abstain(
    ballots, expected
) -> None:
    assert has_quorum(ballots, rules=RULES) is expected


def test_the_llm_family_is_capped_at_a_fifth() -> None:
    many = [ballot(n, family="llm") for n in "abc"] + [ballot("d"), ballot("e")]
    weights = shares(many, rules=RULES)
    assert math.fsum(weights[:3]) == pytest.approx(0.2)
    assert math.fsum(weights) == pytest.approx(1.0)
    small = [ballot("a", family="llm", weight=0.1), ballot("b", weight=0.9)]
    assert shares(small, rules=RULES) == pytest.approx([0.1, 0.9])
    assert shares([ballot("a", family="llm")], rules=RULES) == [1.0]


def test_votes_without_any_weight_count_alike() -> None:
    assert shares([ballot("a", weight=0.0), ballot("b", weight=0.0)], rules=RULES) == [0.5, 0.5]


def test_every_agent_is_in_the_votes_in_order() -> None:
    found = pooled(ballot("c", 0.7), ballot("a", None), ballot("b", 0.6))
    assert found is not None
    assert [(v.agent, v.weight, v.note) for v in found.votes] == [
        ("a", 0.0, ABSTAINED),
        ("b", 0.5, ""),
        ("c", 0.5, ""),
    ]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, None),
        ({"p_up": math.nan}, "probability"),
        ({"p_up": 1.0001}, "probability"),
        ({"expected_move_bps": math.inf}, "move"),
        ({"expected_move_bps": 6000.0}, "move"),
        ({"uncertainty_bps": -1.0}, "uncertainty"),
        ({"uncertainty_bps": math.nan}, "uncertainty"),
        ({"horizon_s": 0.0}, "horizon"),
        ({"ts_ns": NOW + 1}, "future"),
        ({"ts_ns": NOW - SECOND - 1}, "stale"),
        ({"ts_ns": NOW - SECOND}, None),
        ({"symbol": "ETHUSDT"}, "speaks for"),
        ({"agent": "b"}, "speaks for"),
    ],
)
def test_an_unusable_opinion_is_named(values, fault) -> None:
    said = opinion("a", **values) if "agent" not in values else opinion(values["agent"])
    found = fault_of(said, agent="a", symbol=BTC, now_ns=NOW, validity_ns=SECOND)
    assert (found is None) if fault is None else (fault in (found or ""))


def test_something_else_than_an_opinion_is_invalid() -> None:
    found = fault_of({"p_up": 0.6}, agent="a", symbol=BTC, now_ns=NOW, validity_ns=1)
    assert found == "invalid: dict instead of an opinion"
