from __future__ import annotations

from dataclasses import replace

import pytest
from stub_agents import BTC, SECOND, features, opinion

from optimizers.signals.pooling import Ballot, PoolingRules, pool
from optimizers.signals.verdict import (
    PARAMETER_NAMES,
    VerdictRules,
    judged,
    no_signal,
    recommendation,
    volatility_bps,
)

RULES = VerdictRules()


def consensus(*p_ups: float, families=("x", "y", "z", "w"), **values):
    ballots = [
        Ballot(f"agent {i}", families[i], 0.25, opinion(f"agent {i}", p, **values))
        for i, p in enumerate(p_ups)
    ]
    found = pool(ballots, symbol=BTC, now_ns=100 * SECOND, rules=PoolingRules())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("p_ups", "signal", "votes"),
    [
        ((0.7, 0.7, 0.7), "BUY", {"BUY": 3, "SELL": 0, "NONE": 0}),
        ((0.3, 0.3), "SELL", {"BUY": 0, "SELL": 2, "NONE": 0}),
        ((0.9, 0.9, 0.9, 0.4), "BUY", {"BUY": 3, "SELL": 1, "NONE": 0}),
        ((0.51, 0.51), "NONE", {"BUY": 2, "SELL": 0, "NONE": 0}),
        ((0.5, 0.5), "NONE", {"BUY": 0, "SELL": 0, "NONE": 2}),
        ((0.9,), "NONE", {"BUY": 1, "SELL": 0, "NONE": 0}),
    ],
)
def test_a_table_of_votes(p_ups, signal, votes) -> None:
    found = judged(consensus(*p_ups), features(), rules=RULES)
    assert (found.final_signal, found.consensus_votes) == (signal, votes)
    assert tuple(found.recommended_params) == PARAMETER_NAMES


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"expected_move_bps": -5.0}, "point different ways"),
        ({"expected_move_bps": 1.0, "uncertainty_bps": 9.0}, "within its uncertainty"),
    ],
)
def test_a_doubtful_consensus_says_why_it_is_no_signal(values, words) -> None:
    found = judged(consensus(0.7, 0.7, **values), features(), rules=RULES)
    assert found.final_signal == "NONE"
    assert words in found.thesis_combined
    assert found.confidence_avg == pytest.approx(0.7)


def test_a_signal_carried_by_mean_reversion_fades_the_range() -> None:
    fading = consensus(0.7, 0.7, families=("mean_reversion", "mean_reversion", "x", "y"))
    even = consensus(0.7, 0.7, families=("mean_reversion", "x", "y", "z"))
    assert judged(replace(fading, has_quorum=True), features(), rules=RULES).signal_type == (
        "RANGE_FADE"
    )
    assert judged(even, features(), rules=RULES).signal_type == "MAIN_STRATEGY"


@pytest.mark.parametrize("p_up", [0.7, 0.3])
def test_exits_lie_on_the_right_sides_of_the_entry(p_up) -> None:
    found = recommendation(consensus(p_up, p_up), features(), rules=RULES)
    sign = 1 if p_up > 0.5 else -1
    entry = found["entry_price"]
    assert entry == pytest.approx(50_000.0 * (1 + sign * 0.25e-4))
    assert sign * (found["activation_price"] - entry) > 0
    assert sign * (entry - found["invalidation_level"]) > 0
    assert found["quantity"] == pytest.approx(1000.0 / entry)


def test_the_formulas_of_the_recommendation() -> None:
    market = features(volatility_bps=4.0, spread_bps=1.0)
    agreed = consensus(0.7, 0.7)
    assert volatility_bps(agreed, market) == pytest.approx(4.0 * 10.0**0.5)
    found = recommendation(agreed, market, rules=RULES)
    stop_bps = 1.5 * 4.0 * 10.0**0.5
    assert found["trailing_stop_pct"] == pytest.approx(0.1264911)
    assert found["risk_reward_ratio"] == pytest.approx(20.0 / stop_bps)
    assert found["leverage"] == 10
    wild = recommendation(agreed, features(volatility_bps=400.0), rules=RULES)
    assert wild["leverage"] == 1
    assert wild["invalidation_level"] > 0


def test_without_measured_volatility_the_uncertainty_and_the_spread_stand_in() -> None:
    assert volatility_bps(consensus(0.7, 0.7), features()) == pytest.approx(2.0)
    assert volatility_bps(consensus(0.7, 0.7), features(spread_bps=9.0)) == pytest.approx(9.0)


def test_disagreement_shrinks_the_quantity_and_is_named() -> None:
    split = consensus(0.9, 0.9, 0.9, 0.4)
    found = judged(split, features(), rules=RULES)
    assert found.recommended_params["quantity"] < 0.25 * 1000 / 50_000
    assert found.disagreement_details["dissenting"] == ["agent 3"]
    assert found.disagreement_details["probability_range"] == [0.4, 0.9]


def test_no_signal_has_every_key_and_a_reason() -> None:
    found = no_signal("nobody is there")
    assert found.thesis_combined == "no signal: nobody is there"
    assert set(found.recommended_params.values()) == {None}
    assert found.disagreement_details["probability_range"] is None


def test_reasons_of_agents_are_part_of_the_thesis() -> None:
    found = judged(consensus(0.7, 0.7, reasons=("flow", "book")), features(), rules=RULES)
    assert found.thesis_combined.startswith("agent 0 0.70 (+20.0 bps): flow, book; agent 1")
