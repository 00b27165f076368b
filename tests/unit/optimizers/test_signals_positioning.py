from __future__ import annotations

import pytest
from stub_agents import BTC, SECOND, features

from optimizers.signals.positioning import (
    Positioning,
    PositioningAgent,
    crowding,
    number_of,
    positioning_of,
)


def test_only_finite_numbers_are_taken() -> None:
    data = {"funding_rate": "0.001", "long_short_ratio": float("nan"), "basis_bps": object()}
    assert positioning_of(data) == Positioning(funding_rate=0.001)
    assert positioning_of(None) == Positioning()
    assert [number_of(v) for v in (True, None, "x", "1.5", 2)] == [None, None, None, 1.5, 2.0]


@pytest.mark.parametrize(
    ("known", "score"),
    [
        (Positioning(), 0.0),
        (Positioning(funding_rate=0.0004, long_short_ratio=1.5, basis_bps=-20.0), 0.0),
        (Positioning(funding_rate=0.0005), 0.5),
        (Positioning(funding_rate=-0.01), -1.0),
        (Positioning(long_short_ratio=0.1), -1.0),
        (Positioning(long_short_ratio=-3.0), 0.0),
        (Positioning(funding_rate=0.0005, open_interest_change=8.0), 0.75),
        (Positioning(0.01, 9.0, 9.0, 90.0), 2.0),
    ],
)
def test_only_extremes_count(known, score) -> None:
    assert crowding(known) == pytest.approx(score)


def test_it_leans_against_the_crowd_and_is_silent_otherwise() -> None:
    agent = PositioningAgent(BTC)
    agent.observe(features())
    assert agent.opinion(features()) is None
    agent.inform(Positioning(funding_rate=0.01), ts_ns=100 * SECOND)
    said = agent.opinion(features())
    assert said is not None
    assert (said.p_up, said.expected_move_bps) == (0.49, -0.5)
    assert said.reasons == ("longs are crowded",)
    agent.inform(Positioning(basis_bps=-90.0), ts_ns=100 * SECOND)
    said = agent.opinion(features())
    assert said is not None
    assert said.p_up > 0.5


def test_old_figures_are_not_used_and_a_gap_in_the_stream_changes_nothing() -> None:
    agent = PositioningAgent(BTC)
    agent.inform(Positioning(funding_rate=0.01), ts_ns=0)
    agent.reset()
    assert agent.opinion(features(300.0)) is not None
    assert agent.opinion(features(301.0)) is None
