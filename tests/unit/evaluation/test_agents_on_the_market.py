"""The shipped models on the synthetic market, in virtual time: first entry, noise, mirror."""

from collections.abc import Iterator

import pytest

from agents.gradient_boosting import GradientBoostingAgent
from agents.logistic import LogisticAgent
from agents.scored import ScoredAgent
from trading_system.domain.signals import MarketFeatures, Opinion
from trading_system.evaluation.sessions import SyntheticPlan, decisions

# Heavy work on code that its unit tests cover: measuring it here would only double the time.
pytestmark = pytest.mark.no_cover

FEES_BPS = 11.0
CONFIDENCE = 0.5
SECOND = 1_000_000_000

Pair = tuple[Opinion, Opinion]


def opinions(
    edge_bps: float, *, seed: int, seconds: float, symbols: tuple[str, ...] = ("BTCUSDT",)
) -> Iterator[tuple[MarketFeatures, Pair]]:
    """Yield what both models say, once they speak."""
    agents: dict[str, tuple[ScoredAgent, ScoredAgent]] = {
        symbol: (LogisticAgent(symbol), GradientBoostingAgent(symbol)) for symbol in symbols
    }
    venue = SyntheticPlan(symbols=symbols, edge_bps=edge_bps).venue(seed)
    for features in decisions(venue, seconds=seconds):
        pair = agents[features.symbol]
        for agent in pair:
            agent.observe(features)
        logistic, boosting = (agent.opinion(features) for agent in pair)
        if logistic is not None and boosting is not None:
            yield features, (logistic, boosting)


def judged_bps(pair: Pair) -> float:
    """Return the signed mean of both expectations, shrunk as the strategy does."""
    expected = sum(each.expected_move_bps for each in pair) / 2
    doubt = CONFIDENCE * sum(each.uncertainty_bps for each in pair) / 2
    return max(0.0, abs(expected) - doubt) * (1 if expected > 0 else -1)


def pays(features: MarketFeatures, pair: Pair) -> bool:
    return abs(judged_bps(pair)) >= FEES_BPS + features.spread_bps


def first_entry_s(seed: int) -> float:
    """Return when the first opinion pays its costs on the default market, at most 30 s."""
    symbols = ("BTCUSDT", "ETHUSDT")
    for features, pair in opinions(25.0, seed=seed, seconds=30, symbols=symbols):
        if pays(features, pair):
            return features.ts_ns / SECOND
    return 30.0


def test_with_the_default_edge_the_first_paying_opinion_comes_within_seconds() -> None:
    firsts = sorted(first_entry_s(seed) for seed in range(1, 13))
    assert firsts[0] > 1.5  # some evidence must have matured
    assert firsts[len(firsts) // 2] <= 12.0  # the price of a sceptical prior; see docs/models.md
    assert sum(each <= 20.0 for each in firsts) >= 10


@pytest.mark.parametrize("seed", range(11, 16))
def test_without_edge_no_opinion_pays(seed: int) -> None:
    # Belief comes from the first seconds; test_edges.py runs the whole system for longer.
    paying = [
        features.ts_ns / SECOND
        for features, pair in opinions(0.0, seed=seed, seconds=90)
        if pays(features, pair)
    ]
    assert paying == []


@pytest.mark.parametrize("seed", range(1, 4))
def test_with_the_flipped_edge_opinions_and_entries_are_mirrored(seed: int) -> None:
    def at_times(edge_bps: float) -> dict[int, float]:
        seen: dict[int, float] = {}
        for features, pair in opinions(edge_bps, seed=seed, seconds=40):
            seen[features.ts_ns // SECOND] = judged_bps(pair)
        return seen

    plain, mirrored = at_times(25.0), at_times(-25.0)
    strong = [second for second, value in plain.items() if abs(value) > FEES_BPS]
    assert strong
    agreed = [plain[second] * mirrored[second] < 0 for second in strong if second in mirrored]
    assert sum(agreed) >= 0.95 * len(agreed)


def test_stated_probabilities_and_moves_come_true() -> None:
    said: list[tuple[int, float, float, float]] = []
    mids: dict[int, float] = {}
    for seed in (31, 32):
        base = seed * 10_000
        for features, (logistic, _) in opinions(25.0, seed=seed, seconds=290):
            tick = base + features.ts_ns // SECOND
            if tick not in mids:
                mids[tick] = features.mid
                said.append((tick, features.mid, logistic.p_up, logistic.expected_move_bps))
    known = [
        (p_up, expected, (mids[tick + 10] / mid - 1) * 10_000)
        for tick, mid, p_up, expected in said
        if tick + 10 in mids
    ]
    assert len(known) > 500
    brier = sum((p - (moved > 0)) ** 2 for p, _, moved in known) / len(known)
    assert brier < 0.20
    slope = sum(e * m for _, e, m in known) / sum(e * e for _, e, _ in known)
    assert slope == pytest.approx(1.0, abs=0.3)
