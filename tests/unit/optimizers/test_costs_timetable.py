"""A plan as rows: bounded, summing to the order, in whole lots, with a line on why."""

import math

import pytest

from optimizers.costs.figures import CostInputs, FeeRates
from optimizers.costs.timetable import timetable
from optimizers.costs.working import plan
from optimizers.microstructure.levels import read_levels
from trading_system.domain.orders import OrderType, Side

FEES = FeeRates(maker=0.0, taker=5e-4, tier="a", source="test", as_of="undated")
BOOK = read_levels(
    "X",
    {
        "bids": [(100 - 0.01 * (i + 1), 2.0) for i in range(400)],
        "asks": [(100 + 0.01 * (i + 1), 2.0) for i in range(400)],
    },
)


def shown(quantity: float, **changes):
    inputs = CostInputs(
        levels=BOOK, side=Side.BUY, order_type=OrderType.MARKET, quantity=quantity,
        volatility=1e-4, fees=FEES, **changes,
    )  # fmt: skip
    best = plan(
        BOOK, Side.BUY, quantity=quantity, volatility=1e-4, taker_rate=5e-4,
        horizon_s=inputs.horizon_s, risk_aversion=inputs.risk_aversion,
    )  # fmt: skip
    return best, *timetable(best, inputs)


@pytest.mark.parametrize("horizon", [5.0, 60.0, 3_600.0, 604_800.0])
def test_the_rows_are_few_and_sum_to_the_order(horizon) -> None:
    best, rows, note = shown(3_000.0, horizon_s=horizon, risk_aversion=1e-4)
    assert 1 <= len(rows) <= 100
    assert math.fsum(row.quantity for row in rows) == pytest.approx(3_000.0, rel=1e-12)
    assert rows[0].remaining == pytest.approx(3_000.0 - rows[0].quantity)
    assert rows[-1].remaining == 0.0
    assert rows[0].start_s == 0.0
    assert ("100 rows sum them up" in note) is (len(best.trades) > 100)
    assert ("8192 steps" in note) is (horizon > 40_960.0)


def test_a_row_of_several_steps_begins_with_the_first_of_them() -> None:
    best, rows, _ = shown(3_000.0, horizon_s=3_600.0, risk_aversion=1e-4)
    steps = len(best.trades)
    first = [row * steps // 100 for row in range(100)]
    assert [row.start_s for row in rows] == [5.0 * step for step in first]
    assert rows[0].quantity == pytest.approx(float(best.trades[: first[1]].sum()))


def test_rows_are_whole_lots_above_the_smallest_order() -> None:
    _, rows, note = shown(96.0, lot=0.5, min_notional=300.0, risk_aversion=1.0)
    assert all(row.quantity % 0.5 == 0.0 and row.quantity * 100 >= 300.0 for row in rows)
    assert math.fsum(row.quantity for row in rows) == 96.0
    assert rows[-1].remaining == 0.0
    assert "lots" not in note


def test_an_order_of_no_whole_lots_is_shown_as_it_is() -> None:
    _, rows, note = shown(96.3, lot=0.5)
    assert math.fsum(row.quantity for row in rows) == pytest.approx(96.3)
    assert "not in whole lots" in note


@pytest.mark.parametrize(
    ("quantity", "changes", "words"),
    [
        (1.5, {}, "fits into the best level"),
        (96.0, {"horizon_s": 7.0}, "no second step"),
        (96.0, {"risk_aversion": 1e9}, "waiting costs more"),
        (4.0, {"risk_aversion": 0.0}, "each fits into the best level"),
        (960.0, {"risk_aversion": 0.0}, "no urgency"),
        (96.0, {"risk_aversion": 1.0}, "half-life"),
    ],
)
def test_a_line_says_why(quantity, changes, words) -> None:
    assert words in shown(quantity, **changes)[2]
