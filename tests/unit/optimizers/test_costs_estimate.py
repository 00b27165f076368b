import dataclasses
import itertools
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from optimizers.costs import documents
from optimizers.costs.documents import UntrainedModelError
from optimizers.costs.estimate import estimate, touch_probability
from optimizers.costs.figures import CostEstimate, CostInputs, FeeRates
from optimizers.costs.maker_taker import FEATURES as MAKER_FEATURES
from optimizers.costs.maker_taker import MakerTakerModel
from optimizers.costs.slippage import FEATURES, SlippageModel
from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import OrderType, Side

FEES = FeeRates(maker=0.0002, taker=0.00055, tier="VIP 0", source="test", as_of="2026-01-01")


def book(scale: float = 1.0) -> BookLevels:
    return read_levels(
        "X",
        {
            "bids": [(99.9, 5 * scale), (99.8, 10 * scale)],
            "asks": [(100.1, 2 * scale), (100.2, 3 * scale), (100.5, 10 * scale)],
        },
    )


def inputs(**changes: object) -> CostInputs:
    plain = {
        "levels": book(), "side": Side.BUY, "order_type": OrderType.MARKET, "quantity": 6.0,
        "volatility": 1e-4, "fees": FEES,
    }  # fmt: skip
    if "limit_price" in changes:
        plain["order_type"] = OrderType.LIMIT
    return CostInputs(**{**plain, **changes})


def certain(probability: float, folder: Path, *, horizon_s: float = 60.0) -> MakerTakerModel:
    four = [0.0] * 4
    content = {"features": list(MAKER_FEATURES), "intercept": 0.0, "weights": four, "lows": four,
               "highs": four, "constant": probability, "horizon_s": horizon_s}  # fmt: skip
    documents.write_model(folder, "maker_taker", content, facts={})
    return MakerTakerModel.load(folder)


def fitted() -> SlippageModel:
    source = np.random.default_rng(1)
    x = source.uniform(-2, 60, (500, len(FEATURES)))
    model = SlippageModel()
    model.fit(x, x[:, 0] + source.normal(1.0, 2.0, 500))
    return model


def test_a_market_order_costs_what_hand_and_paper_say() -> None:
    found = estimate(inputs())
    price = (2 * 100.1 + 3 * 100.2 + 1 * 100.5) / 6
    assert found.mid == 100.0
    assert found.notional == 600.0
    assert found.fill_price == pytest.approx(price, abs=1e-9)
    assert found.slippage_bps == pytest.approx((price - 100) / 100 * 1e4, abs=1e-9)
    assert found.fees_bps == pytest.approx(0.00055 * price * 6 / 600 * 1e4, abs=1e-9)
    assert found.market_impact_bps == 0.0
    assert found.maker_probability == 0.0


def test_a_sell_is_walked_on_the_other_side() -> None:
    found = estimate(inputs(side=Side.SELL))
    price = (5 * 99.9 + 1 * 99.8) / 6
    assert found.fill_price == pytest.approx(price, abs=1e-9)
    assert found.slippage_bps == pytest.approx((100 - price) / 100 * 1e4, abs=1e-9)
    assert found.fees_bps == pytest.approx(5.5 * price / 100, abs=1e-9)


@pytest.mark.parametrize("quantity", [0.5, 6.0, 15.0, 80.0])
@pytest.mark.parametrize("limit", [None, 99.0, 99.9, 100.15, 101.0])
def test_net_is_its_components_exactly(quantity, limit) -> None:
    changes = {} if limit is None else {"limit_price": limit}
    found = estimate(inputs(quantity=quantity, **changes))
    assert found.net_cost_bps == found.slippage_bps + found.fees_bps + found.market_impact_bps
    assert found.naive_sum_bps == (
        found.net_cost_bps + found.temporary_impact_bps + found.permanent_impact_bps
    )


def test_beyond_the_book_impact_is_added_and_flagged() -> None:
    found = estimate(inputs(quantity=60.0))
    assert found.is_extrapolated
    assert found.market_impact_bps > 0.0
    assert found.slippage_bps == pytest.approx(estimate(inputs(quantity=15.0)).slippage_bps)
    assert not estimate(inputs(quantity=15.0)).is_extrapolated


def test_thin_and_deep_books_and_both_sides_differ() -> None:
    thin, deep = (estimate(inputs(levels=book(scale))) for scale in (0.5, 50.0))
    assert thin.net_cost_bps > deep.net_cost_bps
    assert estimate(inputs(side=Side.SELL)).net_cost_bps != estimate(inputs()).net_cost_bps


def test_a_limit_order_that_crosses_whole_costs_what_a_market_order_does() -> None:
    market, limit = estimate(inputs()), estimate(inputs(limit_price=100.5))
    assert (limit.net_cost_bps, limit.fill_price) == (market.net_cost_bps, market.fill_price)
    assert limit.interval_bps == market.interval_bps
    assert limit.maker_probability == 0.0


def test_a_sure_maker_fill_costs_its_distance_and_the_maker_fee(tmp_path: Path) -> None:
    found = estimate(inputs(limit_price=99.9), maker=certain(1.0, tmp_path))
    assert found.maker_probability == 1.0
    assert found.slippage_bps == pytest.approx(-10.0, abs=1e-9)
    assert found.fees_bps == pytest.approx(2.0 * 0.999, abs=1e-9)
    assert found.fill_price == pytest.approx(99.9, abs=1e-9)


def test_fees_are_weighted_by_the_maker_share(tmp_path: Path) -> None:
    quiet = inputs(limit_price=99.9, volatility=1e-9)
    found = estimate(quiet, maker=certain(0.25, tmp_path))
    taker = estimate(inputs(volatility=1e-9))
    assert found.maker_probability == 0.25
    assert found.fees_bps == pytest.approx(0.25 * 1.998 + 0.75 * taker.fees_bps, abs=1e-9)
    assert found.slippage_bps == pytest.approx(-2.5 + 0.75 * taker.slippage_bps, abs=1e-9)


def test_an_order_that_never_fills_is_completed_as_a_taker(tmp_path: Path) -> None:
    quiet = inputs(limit_price=99.0, volatility=1e-9)
    for model in (None, certain(0.9, tmp_path)):
        found = estimate(quiet, maker=model)
        assert found.maker_probability == 0.0
        assert found.net_cost_bps == pytest.approx(estimate(inputs(volatility=1e-9)).net_cost_bps)


def test_without_a_horizon_nothing_can_rest(tmp_path: Path) -> None:
    for model in (None, certain(0.9, tmp_path)):
        assert estimate(inputs(limit_price=99.9, horizon_s=0.0), maker=model).maker_probability == 0


def test_a_partly_crossing_order_takes_first_and_rests_then() -> None:
    found = estimate(inputs(limit_price=100.15, horizon_s=1e6))
    assert 0.0 < found.maker_probability < 4.0 / 6.0
    assert found.interval_bps[0] <= found.interval_bps[1] <= found.interval_bps[2]


def test_a_limit_beyond_the_book_rests_with_what_the_book_lacks() -> None:
    found = estimate(inputs(quantity=20.0, limit_price=100.6))
    assert 0.0 < found.maker_probability < 0.25


def test_a_driftless_price_rewards_waiting_by_fees_and_impact_only() -> None:
    # Optional stopping: what touched fills win against the mid is what the others lose.
    one = read_levels("X", {"bids": [(99.0, 1e6)], "asks": [(101.0, 1e6)]})
    free = dataclasses.replace(FEES, maker=0.0, taker=0.0)
    found = estimate(inputs(levels=one, limit_price=98.0, volatility=1e-2, fees=free))
    assert 0.1 < found.maker_probability < 0.9
    assert found.net_cost_bps == pytest.approx(100.0, abs=1e-9)


def test_a_nearer_price_fills_more_often(tmp_path: Path) -> None:
    model = certain(0.4, tmp_path)
    for chosen in (None, model):
        shares = [
            estimate(inputs(limit_price=price), maker=chosen).maker_probability
            for price in (99.7, 99.8, 99.9, 100.0, 100.05)
        ]
        assert shares == sorted(shares)
        assert shares[0] < shares[-1] <= 1.0


def test_touch_probability_has_its_known_values() -> None:
    assert touch_probability(2.0, sigma=1.0, horizon_s=4.0) == pytest.approx(0.31731, abs=5e-6)
    assert touch_probability(0.0, sigma=1.0, horizon_s=0.0) == 1.0
    assert touch_probability(1.0, sigma=1.0, horizon_s=0.0) == 0.0


def test_without_a_model_the_interval_is_the_move_during_the_latency() -> None:
    low, median, high = estimate(inputs()).interval_bps
    assert median == estimate(inputs()).net_cost_bps
    assert high - median == pytest.approx(1.2815515655 * math.sqrt(0.1), abs=1e-8)
    assert median - low == pytest.approx(high - median)


def test_a_fitted_model_gives_the_interval() -> None:
    found = estimate(inputs(), slippage=fitted())
    low, median, high = (value - found.fees_bps for value in found.interval_bps)
    assert median == pytest.approx(found.slippage_bps + 1.0, abs=1.0)
    assert low < median < high


def test_the_interval_of_a_limit_order_is_that_of_both_outcomes(tmp_path: Path) -> None:
    sure = estimate(inputs(limit_price=99.9), maker=certain(1.0, tmp_path))
    low, median, high = sure.interval_bps
    assert median == pytest.approx(sure.net_cost_bps, abs=1e-6)
    assert high - low == pytest.approx(2 * 1.2815515655 * math.sqrt(0.1), abs=1e-6)
    mixed = estimate(inputs(limit_price=99.9, volatility=1e-9), maker=certain(0.5, tmp_path))
    assert mixed.interval_bps[0] < 0.0 < mixed.interval_bps[2]


def test_both_outcomes_of_a_resting_order_are_spread_as_far_as_their_price_moves(
    tmp_path: Path,
) -> None:
    quarter = certain(0.25, tmp_path)
    # One tick of spread, 0.2; sigma 0.01 a root second; a minute moves the price by 0.0775.
    found = estimate(inputs(limit_price=99.9), maker=quarter)
    touched = math.erfc(0.2 / (0.01 * math.sqrt(60)) / math.sqrt(2))
    assert touched < 0.25 == found.maker_probability
    ran_away = touched / (1 - touched) * 0.2
    taken = 601.3 / 6 - 100.0
    narrow, wide = math.sqrt(0.1), math.sqrt(60)
    filled = -10.0 + 2.0 * 0.999
    completed = (taken + ran_away) * 100 + 5.5 * (100.0 + taken + ran_away) / 100
    for level, value in zip((0.1, 0.5, 0.9), found.interval_bps, strict=True):
        below = 0.25 * NormalDist(filled, narrow).cdf(value)
        below += 0.75 * NormalDist(completed, wide).cdf(value)
        assert below == pytest.approx(level, abs=1e-9)
    assert found.net_cost_bps == pytest.approx(0.25 * filled + 0.75 * completed, abs=1e-9)
    assert found.interval_source == "outcomes"


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("volatility", [1e-9, 1e-4, 1e-3])
def test_the_fitted_share_grows_with_the_time_to_wait(
    probability, volatility, tmp_path: Path
) -> None:
    model = certain(probability, tmp_path)
    horizons = [0.0, 1e-3, 0.1, 1.0, 10.0, 60.0, 600.0, 1e5]
    shares = [
        estimate(
            inputs(limit_price=99.9, horizon_s=horizon, volatility=volatility), maker=model
        ).maker_probability
        for horizon in horizons
    ]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[1] < 1e-3
    assert shares[5] == pytest.approx(probability)
    assert shares[6] > probability


def test_a_model_that_was_fitted_for_another_time_is_scaled_from_it(tmp_path: Path) -> None:
    model = certain(0.2, tmp_path, horizon_s=600.0)
    shares = [
        estimate(inputs(limit_price=99.9, horizon_s=horizon), maker=model).maker_probability
        for horizon in (60.0, 600.0)
    ]
    touched = [touch_probability(0.2, sigma=0.01, horizon_s=horizon) for horizon in (60.0, 600.0)]
    assert shares == pytest.approx([0.2 * touched[0] / touched[1], 0.2])


def test_no_more_rests_as_maker_than_its_own_side_displays(tmp_path: Path) -> None:
    for model in (None, certain(0.5, tmp_path)):
        shown, twice = (
            estimate(inputs(quantity=quantity, limit_price=99.9, horizon_s=6e3), maker=model)
            for quantity in (15.0, 30.0)
        )
        assert twice.maker_probability == pytest.approx(shown.maker_probability / 2)
        assert twice.is_extrapolated
        assert not shown.is_extrapolated
    # What rests can be larger than its own side where the other side could complete it.
    rest = estimate(inputs(side=Side.SELL, quantity=14.0, limit_price=100.1, levels=uneven()))
    assert rest.is_extrapolated


def uneven() -> BookLevels:
    return read_levels("X", {"bids": [(99.9, 50)], "asks": [(100.1, 2), (100.2, 3)]})


def test_the_interval_always_holds_the_net_cost() -> None:
    model = fitted()
    for quantity in (0.01, 1.0, 6.0, 15.0, 40.0, 80.0):
        for volatility in (1e-6, 1e-4, 5e-3, 0.1):
            found = estimate(inputs(quantity=quantity, volatility=volatility), slippage=model)
            low, median, high = found.interval_bps
            assert low <= found.net_cost_bps <= high
            assert low <= median <= high


def test_outside_what_was_fitted_on_the_interval_is_that_of_volatility() -> None:
    inside = estimate(inputs(), slippage=fitted())
    assert inside.interval_source == "model"
    # The walk of 80 units is far above the 60 bps of the samples.
    outside = estimate(inputs(quantity=80.0), slippage=fitted())
    assert outside.slippage_bps + outside.market_impact_bps > 60.0
    assert outside.interval_source == "volatility"
    low, median, high = outside.interval_bps
    assert median == outside.net_cost_bps
    # No narrower than the model at the edge of its range, and half of what nobody displays beside.
    assert high - low >= interval_width(inside) + outside.market_impact_bps
    assert high - low > interval_width(estimate(inputs(quantity=80.0)))


def interval_width(found: CostEstimate) -> float:
    return found.interval_bps[2] - found.interval_bps[0]


@pytest.mark.parametrize("limit", [None, 99.9])
def test_half_of_what_is_extrapolated_widens_the_interval(limit) -> None:
    more = {} if limit is None else {"limit_price": limit}
    shown, beyond = (estimate(inputs(quantity=q, **more)) for q in (15.0, 60.0))
    assert beyond.market_impact_bps > 0.0
    wider = interval_width(beyond) - interval_width(shown)
    assert wider >= beyond.market_impact_bps * (1.0 if limit is None else 0.5)
    if limit is None:
        assert wider == pytest.approx(beyond.market_impact_bps, abs=1e-9)


def test_larger_market_orders_never_have_a_narrower_interval() -> None:
    for model in (None, fitted()):
        found = [estimate(inputs(quantity=1.2**i), slippage=model) for i in range(26)]
        sources = [each.interval_source for each in found]
        start = 0 if model is None else sources.index("volatility")
        widths = [interval_width(each) for each in found[start:]]
        assert all(b >= a - 1e-9 for a, b in itertools.pairwise(widths))


@pytest.mark.parametrize("side", list(Side))
def test_without_a_model_the_median_of_a_market_order_is_not_below_half_spread_and_fee(
    side,
) -> None:
    for quantity in (0.1, 6.0, 60.0):
        found = estimate(inputs(side=side, quantity=quantity))
        assert found.interval_source == "volatility"
        fee = 5.5 * (1.0 + side.sign * 0.001)
        assert found.interval_bps[1] >= 10.0 + fee - 1e-9


def test_a_limit_order_says_both_prices_and_the_mean_is_of_both() -> None:
    found = estimate(inputs(limit_price=99.9))
    ends = found.limit
    assert ends is not None
    assert (ends.maker_fill_price, ends.at_once_share) == (99.9, 0.0)
    assert ends.fill_probability == found.maker_probability
    assert found.maker_source == "touch"
    p = ends.fill_probability
    mean = p * 99.9 + (1.0 - p) * ends.completion_price
    assert found.fill_price == pytest.approx(mean, abs=1e-9)
    # A price that ran away is completed above the walk of the present book.
    assert ends.completion_price > 601.3 / 6


def test_where_nothing_rests_no_maker_share_is_claimed(tmp_path: Path) -> None:
    market = estimate(inputs(), maker=certain(0.5, tmp_path))
    assert (market.maker_source, market.limit) == ("none", None)
    crossing = estimate(inputs(limit_price=100.5), maker=certain(0.5, tmp_path))
    assert crossing.maker_source == "none"
    assert crossing.limit is not None
    assert (crossing.limit.at_once_share, crossing.limit.maker_fill_price) == (1.0, None)
    resting = estimate(inputs(limit_price=99.9), maker=certain(0.5, tmp_path))
    assert resting.maker_source == "model"


def test_an_order_that_is_cancelled_is_priced_as_it_fills() -> None:
    found = estimate(inputs(limit_price=99.9, unfilled="cancelled"))
    taken = estimate(inputs(limit_price=99.9))
    assert found.limit is not None
    assert found.limit.completion_price is None
    assert found.limit.fill_probability == taken.limit.fill_probability < 1.0
    assert found.fill_price == pytest.approx(99.9)
    assert found.net_cost_bps == pytest.approx(-10.0 + 2.0 * 0.999)
    assert found.interval_bps[1] == pytest.approx(found.net_cost_bps)
    part = estimate(inputs(limit_price=100.15, unfilled="cancelled"))
    assert part.limit.at_once_share == pytest.approx(2.0 / 6.0)
    assert part.fill_price == pytest.approx((2 * 100.1 + 4 * 100.15) / 6)


@pytest.mark.parametrize("side", list(Side))
def test_a_size_that_cannot_be_priced_is_refused_with_the_largest_that_can(side) -> None:
    with pytest.raises(ValidationError, match="at most") as caught:
        estimate(inputs(side=side, quantity=1e12))
    largest = float(str(caught.value).split("at most ")[1].split()[0])
    assert estimate(inputs(side=side, quantity=largest)).is_extrapolated
    with pytest.raises(ValidationError, match="at most"):
        estimate(inputs(side=side, quantity=largest * 1.02))


def test_a_volatility_that_is_too_large_is_refused_in_its_unit() -> None:
    with pytest.raises(ValidationError, match="less than 10000 bps"):
        estimate(inputs(volatility=1.5))


def test_quantiles_that_miss_the_net_cost_are_not_used() -> None:
    source = np.random.default_rng(1)
    x = source.uniform(-2, 60, (500, len(FEATURES)))
    model = SlippageModel()
    model.fit(x, x[:, 0] + source.normal(100.0, 2.0, 500))
    assert estimate(inputs(), slippage=model).interval_source == "volatility"


def test_untrained_or_other_models_are_refused() -> None:
    with pytest.raises(UntrainedModelError):
        estimate(inputs(), slippage=SlippageModel())
    with pytest.raises(UntrainedModelError):
        estimate(inputs(limit_price=99.9), maker=MakerTakerModel())
    other = SlippageModel()
    other.fit(np.arange(100.0)[:, None], np.arange(100.0), names=["x"])
    with pytest.raises(ValidationError, match="not fitted on"):
        estimate(inputs(), slippage=other)


def ladder(count: int = 400) -> BookLevels:
    return read_levels(
        "X",
        {
            "bids": [(100 - 0.01 * (i + 1), 2.0) for i in range(count)],
            "asks": [(100 + 0.01 * (i + 1), 2.0) for i in range(count)],
        },
    )


def test_the_schedule_trades_the_whole_order() -> None:
    found = estimate(inputs(levels=ladder(), quantity=96.0, risk_aversion=1.0))
    assert len(found.schedule) == 12
    assert [step.start_s for step in found.schedule] == [5.0 * i for i in range(12)]
    assert math.fsum(step.quantity for step in found.schedule) == pytest.approx(96.0, rel=1e-12)
    assert found.schedule[-1].remaining == 0.0
    assert "half-life" in found.schedule_note


def test_cost_and_risk_of_the_schedule_are_those_of_its_rows_by_hand() -> None:
    found = estimate(inputs(levels=ladder(), quantity=96.0, risk_aversion=1.0))
    sizes = [step.quantity for step in found.schedule]
    squares = sum(size * size for size in sizes)
    # The mean child by size takes whole levels of two at 0.01 more each, and a part of the next.
    child = squares / 96.0
    full, rest = divmod(child, 2.0)
    paid = sum(2.0 * 0.01 * i for i in range(int(full))) + rest * 0.01 * full
    slope = paid / child / child * 1.00055
    epsilon = 0.01 * 1.00055 + 0.055
    stays = found.permanent_impact_bps / 1e4 * 100.0 / 96.0
    cost = epsilon * 96.0 + slope * squares + stays * (96.0**2 - squares)
    assert found.schedule_cost_bps == pytest.approx(cost / 9_600 * 1e4, rel=1e-3)
    variance = 0.01**2 * 5.0 * sum(step.remaining**2 for step in found.schedule)
    assert found.schedule_risk_bps == pytest.approx(math.sqrt(variance) / 9_600 * 1e4, rel=1e-9)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("quantity", [1.0, 6.0, 15.0, 30.0])
def test_a_schedule_of_one_step_costs_what_the_market_order_costs(side, quantity) -> None:
    found = estimate(inputs(side=side, quantity=quantity, horizon_s=4.0))
    assert len(found.schedule) == 1
    assert found.schedule_cost_bps == pytest.approx(found.net_cost_bps, abs=1e-9)
    assert found.schedule_risk_bps == 0.0


def test_an_order_within_the_best_level_costs_the_same_either_way() -> None:
    two = read_levels("X", {"bids": [(99.99, 1000)], "asks": [(100.01, 1000), (101, 1000)]})
    found = estimate(inputs(levels=two, quantity=500.0))
    assert found.schedule_cost_bps == pytest.approx(found.net_cost_bps, abs=1e-9)
    assert "best level" in found.schedule_note


def test_the_impact_shown_for_information_is_that_of_paper() -> None:
    found = estimate(inputs())
    # Mean price of 2, 5 and 15 units: 0, 0.06 and 0.28666... above the best; through the origin.
    slope = (5 * 0.06 + 15 * (1505.8 / 15 - 100.1)) / (4 + 25 + 225)
    assert found.permanent_impact_bps == pytest.approx(0.1 * slope * 6.0 / 100 * 1e4, abs=1e-9)
    assert found.temporary_impact_bps == pytest.approx((601.3 / 6 - 100.1) * 100, abs=1e-9)
    assert found.naive_sum_bps == pytest.approx(
        found.net_cost_bps + found.temporary_impact_bps + found.permanent_impact_bps
    )


def test_without_urgency_the_note_says_so() -> None:
    assert "equal steps" in estimate(inputs(risk_aversion=0.0)).schedule_note


def test_a_schedule_in_lots_has_whole_lots() -> None:
    found = estimate(inputs(lot=0.5, min_notional=150.0, risk_aversion=0.0))
    assert all(step.quantity in (1.5, 2.0, 2.5) for step in found.schedule)
    assert math.fsum(step.quantity for step in found.schedule) == 6.0


def test_a_schedule_that_is_not_valid_is_left_out_with_the_reason() -> None:
    asks = [(1.01e200, 1e10), (1.02e200, 1e10)]
    vast = read_levels("X", {"bids": [(1e200, 1e10)], "asks": asks})
    for found, reason in (
        (estimate(inputs(horizon_s=0.0)), "horizon"),
        (estimate(inputs(levels=vast, risk_aversion=0.0, quantity=1.5e10)), "too large"),
    ):
        assert found.schedule == ()
        assert reason in found.schedule_note
        assert found.schedule_cost_bps is found.schedule_risk_bps is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize(
    "name", ["quantity", "volatility", "horizon_s", "risk_aversion", "lot", "min_notional"]
)
def test_hostile_numbers_are_refused(name, bad) -> None:
    with pytest.raises(ValidationError, match=name):
        estimate(inputs(**{name: bad}))


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": 0.0}, {"quantity": 1e308}, {"quantity": 1e9}, {"volatility": 0.0},
        {"volatility": 1.0}, {"unfilled": "kept"},
        {"limit_price": 0.0}, {"limit_price": math.nan}, {"limit_price": 1e308},
        {"limit_price": None}, {"order_type": OrderType.MARKET, "limit_price": 99.0},
        {"fees": dataclasses.replace(FEES, maker=math.nan)},
        {"fees": dataclasses.replace(FEES, taker=0.5)},
    ],
)  # fmt: skip
def test_contradictory_or_impossible_inputs_are_refused(change) -> None:
    with pytest.raises(ValidationError):
        estimate(dataclasses.replace(inputs(), **{"order_type": OrderType.LIMIT, **change})
                 if "limit_price" in change else inputs(**change))  # fmt: skip


def test_every_figure_is_a_plain_finite_number() -> None:
    found: CostEstimate = estimate(inputs(quantity=60.0), slippage=fitted())
    plain = dataclasses.asdict(found)
    values = [*plain["interval_bps"], *(v for v in plain.values() if isinstance(v, float))]
    values += [number for step in plain["schedule"] for number in step.values()]
    assert {type(value) for value in values} == {float}
    assert all(map(math.isfinite, values))
