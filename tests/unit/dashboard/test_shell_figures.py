from __future__ import annotations

import pytest

from trading_system.dashboard.figures import (
    clock_time,
    duration,
    exact,
    micros,
    number,
    plain,
    side_kind,
    sign_kind,
)
from trading_system.dashboard.theme import NOTHING


@pytest.mark.parametrize("value", [None, "", "x", True, [], float("nan"), "inf", {}])
def test_what_is_no_number_is_a_dash(value):
    assert number(value) is None
    assert plain(value) == NOTHING
    assert exact(value) == NOTHING
    assert duration(value) == NOTHING
    assert clock_time(value) == NOTHING
    assert micros(value) == NOTHING
    assert sign_kind(value) == ""


@pytest.mark.parametrize(
    ("value", "options", "shown"),
    [
        ("1234567.891", {}, "1,234,567.89"),
        (-0.001, {"digits": 2}, "0.00"),
        (12.5, {"is_signed": True}, "+12.50"),
        (-12.5, {"is_signed": True}, "-12.50"),
        (0, {"is_signed": True}, "0.00"),
        (5, {"digits": 0}, "5"),
    ],
)
def test_numbers_are_grouped_rounded_and_signed(value, options, shown):
    assert plain(value, **options) == shown


def test_prices_and_quantities_keep_their_decimals():
    assert exact("37000.10") == "37,000.10"
    assert exact("0.00001500") == "0.00001500"
    assert exact("1E-8") == "0.00000001"
    assert exact(0.015) == "0.015"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59, "59 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")],
)
def test_lengths_of_time_have_two_units(seconds, shown):
    assert duration(seconds) == shown


def test_days_are_counted():
    assert duration(90_000) == "1 d 01 h"
    assert duration(-1) == NOTHING


def test_times_are_utc():
    assert clock_time(1_700_000_000_123, has_millis=True) == "22:13:20.123"
    assert clock_time(0) == clock_time(1e18) == NOTHING


def test_latencies_pick_their_unit():
    assert [micros(value) for value in (12.3, 1500, 2_500_000)] == ["12 µs", "1.5 ms", "2.50 s"]


def test_gain_loss_and_sides_have_their_colours():
    assert [sign_kind(value) for value in ("1", "-1", "0")] == ["good", "bad", ""]
    assert [side_kind(side) for side in ("Buy", "Sell", None)] == ["buy", "sell", ""]
