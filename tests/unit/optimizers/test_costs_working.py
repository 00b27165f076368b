"""Working an order: what the book says of each child, and never worse for having more time."""

import itertools
import math

import numpy as np
import pytest

from optimizers.costs.almgren_chriss import ImpactFitError
from optimizers.costs.calibration import REFILL_S, book_slope
from optimizers.costs.walk import taker_cost
from optimizers.costs.working import LONGEST_STEPS, STEP_COUNTS, WorkingPlan, plan
from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.domain.orders import Side

FEE = 5e-4


def linear_book(count: int = 400, size: float = 2.0) -> BookLevels:
    return read_levels(
        "X",
        {
            "bids": [(100 - 0.01 * (i + 1), size) for i in range(count)],
            "asks": [(100 + 0.01 * (i + 1), size) for i in range(count)],
        },
    )


def two_levels() -> BookLevels:
    return read_levels("X", {"bids": [(99.99, 1_000)], "asks": [(100.01, 1_000), (101, 1_000)]})


def worked(levels: BookLevels, quantity: float, *, side: Side = Side.BUY, **changes: float):
    options = {
        "volatility": 1e-4, "taker_rate": FEE, "horizon_s": 60.0, "risk_aversion": 1e-6, **changes,
    }  # fmt: skip
    return plan(levels, side, quantity=quantity, **options)


def walked(levels: BookLevels, child: float) -> float:
    """Return what buying ``child`` costs against the mid, fee included, quote currency."""
    price = levels.mid * (1 + taker_cost(levels, Side.BUY, quantity=child).total_bps / 1e4)
    return child * (price * (1 + FEE) - levels.mid)


def objective(found: WorkingPlan, aversion: float) -> float:
    return found.cost + aversion * found.variance


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("quantity", [1.0, 2.0, 45.0, 800.0, 1_200.0])
def test_one_step_costs_what_a_market_order_costs(side, quantity) -> None:
    levels = linear_book()
    found = worked(levels, quantity, side=side, horizon_s=4.0)
    cost = taker_cost(levels, side, quantity=quantity).total_bps
    net = cost + FEE * (1e4 + side.sign * cost)
    assert found.trades.tolist() == [quantity]
    assert found.cost / (quantity * levels.mid) * 1e4 == pytest.approx(net, rel=1e-9)
    assert (found.variance, found.parameters) == (0.0, None)


def test_inside_the_best_level_only_the_spread_and_the_fee_are_paid() -> None:
    found = worked(two_levels(), 500.0)
    assert found.trades.tolist() == [500.0]
    assert found.cost == pytest.approx(500 * (0.01 * (1 + FEE) + 100 * FEE), rel=1e-12)
    assert found.variance == 0.0


def test_equal_steps_cost_the_walk_of_their_child_and_what_stays() -> None:
    levels = linear_book()
    found = worked(levels, 96.0, risk_aversion=0.0)
    assert found.parameters is None
    steps = len(found.trades)
    stays = 0.1 * book_slope(levels.asks) * 96.0**2 * (1 - 1 / steps)
    assert found.cost == pytest.approx(steps * walked(levels, 96.0 / steps) + stays, rel=1e-9)
    # sigma^2 tau times the squares of what is left, added up one by one.
    left = [96.0 * (1 - (i + 1) / steps) for i in range(steps)]
    assert found.variance == pytest.approx(0.01**2 * 5.0 * sum(x * x for x in left), rel=1e-9)


def test_urgency_trades_early_at_the_slope_of_its_own_children() -> None:
    levels = linear_book()
    found = worked(levels, 96.0, risk_aversion=1.0)
    assert found.parameters is not None
    trades = found.trades
    assert (np.diff(trades) < 0).all()
    child = float(trades @ trades) / 96.0
    slope = (walked(levels, child) / child - walked(levels, 1e-9) / 1e-9) / child
    assert found.parameters.eta / REFILL_S == pytest.approx(slope, rel=0.02)
    assert sum(walked(levels, size) for size in trades) == pytest.approx(
        found.cost - 0.1 * book_slope(levels.asks) * (96.0**2 - float(trades @ trades)), rel=0.01
    )


@pytest.mark.parametrize("aversion", [0.0, 1e-6, 1e-3, 1.0, 100.0])
@pytest.mark.parametrize("quantity", [1.5, 96.0, 3_000.0])
@pytest.mark.parametrize("levels", [linear_book(), two_levels()], ids=["linear", "two levels"])
def test_cost_and_risk_never_rise_with_the_horizon(levels, quantity, aversion) -> None:
    horizons = [1, 5, 9.9, 10, 14, 20, 60, 300, 500, 501, 1e3, 3_600, 14_400, 86_400, 604_800]
    values = [
        objective(worked(levels, quantity, horizon_s=t, risk_aversion=aversion), aversion)
        for t in horizons
    ]
    for short, long in itertools.pairwise(values):
        assert long <= short * (1 + 1e-9)


def test_boundless_urgency_trades_at_once() -> None:
    assert worked(linear_book(), 96.0, risk_aversion=1e12).trades.tolist() == [96.0]


def test_a_book_that_waiting_cannot_refill_is_traded_at_once() -> None:
    # Behind a gap the price hardly changes: splitting saves nothing and risks something.
    levels = read_levels("X", {"bids": [(99.99, 1)], "asks": [(100.01, 1), (100.1, 1e6)]})
    assert worked(levels, 1e4, risk_aversion=1e-2).trades.tolist() == [1e4]


def test_longer_horizons_are_cut_and_steps_bounded() -> None:
    levels = linear_book()
    long = worked(levels, 790.0, horizon_s=604_800.0, risk_aversion=0.0)
    assert long.is_cut
    assert len(long.trades) <= LONGEST_STEPS == STEP_COUNTS[-1] == 8_192
    assert not worked(levels, 790.0, horizon_s=LONGEST_STEPS * REFILL_S).is_cut


@pytest.mark.parametrize("horizon", [0.0, -1.0, math.nan, math.inf])
def test_without_time_there_is_no_plan(horizon) -> None:
    with pytest.raises(ImpactFitError, match="horizon"):
        worked(linear_book(), 1.0, horizon_s=horizon)


def test_what_is_beyond_all_range_is_refused() -> None:
    asks = [(1.01e220, 1e100), (1.02e220, 1e100)]
    vast = read_levels("X", {"bids": [(1e220, 1e100)], "asks": asks})
    with pytest.raises(ImpactFitError, match="too large"):
        worked(vast, 1.5e100)
