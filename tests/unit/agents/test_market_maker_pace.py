"""The interval follows the duration of the cycles."""

from __future__ import annotations

import math

import pytest

from agents.market_maker.pace import Pace
from trading_system.domain.errors import ValidationError


@pytest.mark.parametrize(
    ("interval_s", "mean_s", "expected_s"),
    [
        (2.0, 0.1, 1.6),
        (2.0, 0.59, 1.6),
        (2.0, 0.6, 2.0),
        (2.0, 1.6, 2.0),
        (2.0, 1.7, 2.4),
        (1.1, 0.0, 1.0),  # not below half the base
        (5.5, 9.0, 6.0),  # not above three times the base
        (100.0, 50.0, 6.0),
        (0.01, 0.005, 1.0),
    ],
)
def test_interval_follows_the_rule_table(interval_s, mean_s, expected_s):
    assert Pace(2.0).interval(interval_s, mean_s) == pytest.approx(expected_s)


def test_own_cycles_are_taken_when_no_mean_is_given():
    pace = Pace(2.0)
    assert pace.interval(2.0) == 2.0
    for _ in range(20):
        pace.record(1.9)
    assert pace.interval(2.0) == pytest.approx(2.4)
    for _ in range(20):
        pace.record(0.01)  # the newest twenty count
    assert pace.interval(2.0) == pytest.approx(1.6)


@pytest.mark.parametrize("interval_s", [0.0, -1.0, math.nan, math.inf])
def test_interval_that_is_none_is_refused(interval_s):
    with pytest.raises(ValidationError, match="interval"):
        Pace(2.0).interval(interval_s)


@pytest.mark.parametrize("mean_s", [-1.0, math.nan, math.inf])
def test_duration_that_is_none_is_refused(mean_s):
    with pytest.raises(ValidationError, match="cycle time"):
        Pace(2.0).interval(2.0, mean_s)


def test_summary_gives_exact_figures():
    pace = Pace(2.0)
    for n in range(1, 101):
        pace.record(n / 100)
    figures = pace.summary()
    assert figures["avg"] == pytest.approx(0.505)
    assert (figures["p95"], figures["min"], figures["max"]) == (0.95, 0.01, 1.0)
    assert figures["count"] == 100
