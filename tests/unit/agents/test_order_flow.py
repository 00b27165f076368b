import random

import pytest

from agents.order_flow import OrderFlowAgent, OrderFlowParameters
from trading_system.domain.signals import MarketFeatures

SECOND = 1_000_000_000


def features(ts_ns: int, mid: float, imbalance: float) -> MarketFeatures:
    return MarketFeatures(
        symbol="BTCUSDT",
        mid=mid,
        spread_bps=0.1,
        imbalance=imbalance,
        micro_deviation_bps=0.0,
        order_flow=0.0,
        trade_flow=0.0,
        ts_ns=ts_ns,
    )


def train(slope_bps: float, *, noise_bps: float, seed: int, steps: int = 1200) -> OrderFlowAgent:
    """Feed five minutes in which imbalance drives the mid by ``slope_bps`` per ten seconds."""
    rng = random.Random(seed)
    agent = OrderFlowAgent("BTCUSDT")
    mid, imbalance = 50_000.0, 0.0
    for step in range(steps):
        imbalance += -0.02 * imbalance + 0.1 * rng.gauss(0, 1)
        shown = max(-1.0, min(1.0, imbalance))
        agent.observe(features(step * SECOND // 4, mid, shown))
        mid *= 1 + (slope_bps * shown / 40 + noise_bps * rng.gauss(0, 1) / 40**0.5) / 10_000
    return agent


def test_it_abstains_until_enough_outcomes_have_matured() -> None:
    agent = OrderFlowAgent("BTCUSDT")
    for step in range(31):
        agent.observe(features(step * SECOND // 4, 50_000.0, 0.5))
        assert agent.opinion(features(step * SECOND // 4, 50_000.0, 0.5)) is None
    assert agent.matured == 23


@pytest.mark.parametrize("seed", range(3))
def test_it_learns_a_real_relation_and_its_sign(seed: int) -> None:
    agent = train(25.0, noise_bps=4.0, seed=seed)
    opinion = agent.opinion(features(10**12, 50_000.0, 0.8))
    mirrored = agent.opinion(features(10**12, 50_000.0, -0.8))
    assert opinion is not None
    assert mirrored is not None
    assert 8 < opinion.expected_move_bps < 30
    assert mirrored.expected_move_bps == pytest.approx(-opinion.expected_move_bps)
    inverse = train(-25.0, noise_bps=4.0, seed=seed).opinion(features(10**12, 50_000.0, 0.8))
    assert inverse is not None
    assert inverse.expected_move_bps < -8


@pytest.mark.parametrize("seed", range(5))
def test_noise_earns_no_confident_expectation(seed: int) -> None:
    agent = train(0.0, noise_bps=4.0, seed=seed)
    opinion = agent.opinion(features(10**12, 50_000.0, 0.8))
    assert opinion is not None
    assert abs(opinion.expected_move_bps) - opinion.uncertainty_bps < 5


def test_same_inputs_give_the_same_opinion() -> None:
    first = train(25.0, noise_bps=4.0, seed=1).opinion(features(10**12, 50_000.0, 0.3))
    second = train(25.0, noise_bps=4.0, seed=1).opinion(features(10**12, 50_000.0, 0.3))
    assert first == second


def test_a_gap_in_the_data_drops_waiting_samples_but_keeps_what_was_learned() -> None:
    agent = train(25.0, noise_bps=4.0, seed=1)
    before = agent.matured
    agent.reset()
    agent.observe(features(10**13, 90_000.0, 0.0))
    assert agent.matured == before


def test_parameters_change_the_horizon() -> None:
    agent = OrderFlowAgent("BTCUSDT", OrderFlowParameters(horizon_s=1.0, min_matured=2))
    for step in range(20):
        agent.observe(features(step * SECOND // 4, 50_000.0, 0.5))
    opinion = agent.opinion(features(20 * SECOND // 4, 50_000.0, 0.5))
    assert opinion is not None
    assert opinion.horizon_s == 1.0


def test_an_outcome_that_comes_after_a_silence_teaches_nothing() -> None:
    agent = OrderFlowAgent("BTCUSDT")
    for step in range(8):
        agent.observe(features(step * SECOND // 4, 50_000.0, 0.5))
    agent.observe(features(20 * SECOND, 51_000.0, 0.5))
    assert agent.matured == 0
