"""Random books and orders against rules that hold for every one of them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers.costs.almgren_chriss import (
    ExecutionParameters,
    cost_variance,
    expected_cost,
    rounded,
    schedule,
)
from optimizers.costs.estimate import estimate
from optimizers.costs.figures import CostInputs, FeeRates
from optimizers.costs.shortfall import shortfall
from optimizers.costs.walk import walk
from optimizers.costs.working import plan
from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.domain.orders import OrderType, Side

FEES = FeeRates(maker=0.0002, taker=0.00055, tier="VIP 0", source="test", as_of="2026-01-01")
PRICE = st.floats(1e-6, 1e6)
SIDE = st.sampled_from(list(Side))
ROUNDING_BPS = 1e-8


@st.composite
def books(draw: st.DrawFn) -> BookLevels:
    mid = draw(st.floats(0.01, 100_000.0))
    level = st.tuples(st.floats(1e-5, 1e-3), st.floats(1e-3, 1e3))

    def side(sign: int) -> list[tuple[float, float]]:
        price, rows = mid, []
        for gap, size in draw(st.lists(level, min_size=1, max_size=12)):
            price *= 1 + sign * gap
            rows.append((price, size))
        return rows

    return read_levels("X", {"bids": side(-1), "asks": side(1)})


def priced(levels: BookLevels, side: Side, quantity: float, limit: float | None = None):
    return estimate(
        CostInputs(
            levels=levels,
            side=side,
            order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
            quantity=quantity,
            volatility=1e-4,
            fees=FEES,
            limit_price=limit,
        )
    )


@settings(max_examples=150)
@given(books(), SIDE, st.lists(st.floats(1e-3, 5.0), min_size=2, max_size=6))
def test_the_cost_of_a_market_order_in_bps_never_falls_with_its_size(levels, side, shares):
    shown = levels.consumed_by(side).quantities[-1]
    found = [priced(levels, side, share * shown) for share in sorted(shares)]
    for small, large in itertools.pairwise(found):
        assert large.net_cost_bps >= small.net_cost_bps - ROUNDING_BPS
        assert large.slippage_bps >= small.slippage_bps - ROUNDING_BPS
        assert large.market_impact_bps >= small.market_impact_bps


@settings(max_examples=150)
@given(books(), SIDE, st.floats(1e-3, 3.0), st.floats(-0.02, 0.02) | st.none())
def test_net_is_the_sum_of_its_parts_and_the_interval_is_in_order(levels, side, share, away):
    quantity = share * levels.consumed_by(side).quantities[-1]
    found = priced(levels, side, quantity, None if away is None else levels.mid * (1 + away))
    assert found.net_cost_bps == found.slippage_bps + found.fees_bps + found.market_impact_bps
    low, median, high = found.interval_bps
    assert low <= median <= high
    assert 0.0 <= found.maker_probability <= 1.0
    assert found.naive_sum_bps >= found.net_cost_bps - ROUNDING_BPS


@settings(max_examples=100)
@given(books(), SIDE, st.floats(1e-3, 3.0), st.floats(0.0, 0.02))
def test_the_cost_of_a_passive_order_never_falls_with_its_size(levels, side, share, away):
    own = levels.bids if side is Side.BUY else levels.asks
    limit = own.prices[0] * (1 - side.sign * away)
    quantity = share * levels.consumed_by(side).quantities[-1]
    small, large = (priced(levels, side, quantity * times, limit) for times in (1.0, 1.7))
    assert large.net_cost_bps >= small.net_cost_bps - ROUNDING_BPS


@settings(max_examples=150)
@given(books(), SIDE, st.floats(1e-3, 3.0))
def test_the_walk_equals_level_by_level_bookkeeping(levels, side, share):
    depth = levels.consumed_by(side)
    quantity = share * depth.quantities[-1]
    left, value = quantity, 0.0
    for price, size in zip(depth.prices, depth.sizes, strict=True):
        part = min(left, size)
        value, left = value + part * price, left - part
    found = walk(levels, side, quantity=quantity)
    assert found.unfilled == pytest.approx(left, abs=1e-9 * quantity)
    assert found.filled + found.unfilled == pytest.approx(quantity, rel=1e-12)
    assert found.average_price == pytest.approx(value / (quantity - left), rel=1e-9)


@settings(max_examples=100)
@given(books(), SIDE, st.floats(0.01, 3.0), st.floats(0.01, 100.0))
def test_costs_do_not_depend_on_the_units_of_price(levels, side, share, scale):
    quantity = share * levels.consumed_by(side).quantities[-1]
    scaled = read_levels(
        "X",
        {
            name: [(p * scale, q) for p, q in zip(rows.prices, rows.sizes, strict=True)]
            for name, rows in (("bids", levels.bids), ("asks", levels.asks))
        },
    )
    one, other = priced(levels, side, quantity), priced(scaled, side, quantity)
    assert other.net_cost_bps == pytest.approx(one.net_cost_bps, abs=1e-6)


@settings(max_examples=100)
@given(
    SIDE, st.floats(1e-3, 1e6), st.floats(0, 1), PRICE, PRICE, PRICE, PRICE, st.floats(-1e3, 1e3)
)
def test_the_shortfall_is_paper_minus_real(side, quantity, share, p0, p1, p2, p3, fees):
    filled = share * quantity
    found = shortfall(
        side, quantity=quantity, filled=filled, decision_price=p0, arrival_price=p1,
        fill_price=p2, close_price=p3, fees=fees,
    )  # fmt: skip
    assert found.total == found.delay + found.trading + found.opportunity + found.fees
    paper = side.sign * quantity * (p3 - p0)
    real = side.sign * filled * (p3 - p2) - fees
    largest = quantity * max(p0, p1, p2, p3) + abs(fees)
    assert found.total == pytest.approx(paper - real, abs=1e-12 * largest)


@settings(max_examples=100)
@given(
    st.floats(1e-9, 10.0), st.floats(0.0, 0.9), st.integers(1, 50), st.floats(0.0, 1e3), st.data()
)
def test_no_other_schedule_is_better_than_the_optimal_one(eta, share, steps, aversion, data):
    horizon, quantity = 60.0, 10.0
    parameters = ExecutionParameters(
        sigma=0.1, gamma=share * 2 * eta * steps / horizon, eta=eta, epsilon=0.01,
        horizon=horizon, steps=steps, risk_aversion=aversion,
    )  # fmt: skip
    best = schedule(parameters, quantity=quantity)
    assert best.sum() == pytest.approx(quantity, rel=1e-9)
    assert (best >= 0.0).all()
    moved = np.array(data.draw(st.lists(st.floats(0, 1), min_size=steps, max_size=steps)))
    other = best + moved - moved.mean() if steps > 1 else best
    objective = [
        expected_cost(parameters, trades) + aversion * cost_variance(parameters, trades)
        for trades in (best, other)
    ]
    assert objective[0] <= objective[1] * (1 + 1e-9) + 1e-9


@settings(max_examples=60)
@given(
    books(),
    SIDE,
    st.floats(1e-3, 3.0),
    st.floats(-9, 3),
    st.lists(st.floats(0, 6), min_size=2, max_size=6),
)
def test_more_time_never_makes_cost_and_risk_worse(levels, side, share, power, times):
    quantity, aversion = share * levels.consumed_by(side).quantities[-1], 10.0**power
    found = [
        plan(
            levels, side, quantity=quantity, volatility=1e-4, taker_rate=FEES.taker,
            horizon_s=10.0**time, risk_aversion=aversion,
        )
        for time in sorted(times)
    ]  # fmt: skip
    for short, long in itertools.pairwise(found):
        before, after = (each.cost + aversion * each.variance for each in (short, long))
        assert after <= before * (1 + 1e-9)
        assert long.trades.sum() == pytest.approx(quantity, rel=1e-9)


@settings(max_examples=100)
@given(books(), SIDE, st.floats(1e-3, 3.0))
def test_one_step_of_a_schedule_costs_what_the_market_order_costs(levels, side, share):
    quantity = share * levels.consumed_by(side).quantities[-1]
    found = estimate(
        CostInputs(
            levels=levels, side=side, order_type=OrderType.MARKET, quantity=quantity,
            volatility=1e-4, fees=FEES, horizon_s=1.0,
        )
    )  # fmt: skip
    assert found.schedule_cost_bps == pytest.approx(found.net_cost_bps, abs=1e-6)


@settings(max_examples=100)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.integers(1, 10))
def test_rounded_children_sum_to_the_order_and_keep_the_minimum(sizes, minimum):
    total = max(math.ceil(sum(sizes)), minimum)
    sizes[-1] += total - math.fsum(sizes)
    lots = rounded(sizes, lot=1.0, minimum=float(minimum))
    assert sum(lots) == total
    assert all(size == 0 or size >= minimum for size in lots)
