import itertools
import math

import pytest

from optimizers import MarketImpactModel, OptimizedMarketImpact
from optimizers.costs.calibration import book_slope
from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side


def book(scale: float = 1.0) -> BookLevels:
    return read_levels(
        "X",
        {
            "bids": [(99.9, 5 * scale), (99.8, 10 * scale)],
            "asks": [(100.1, 2 * scale), (100.2, 3 * scale), (100.5, 10 * scale)],
        },
    )


def fed(levels: BookLevels | None = None) -> MarketImpactModel:
    model = MarketImpactModel()
    model.update_book(levels or book())
    model.update_volatility(1e-4)
    return model


def test_the_alias_of_the_guide_is_the_model() -> None:
    assert OptimizedMarketImpact is MarketImpactModel


def test_the_live_book_gives_the_walk_beyond_the_touch() -> None:
    found = fed().calculate_impact(6.0, 100.0)
    assert found["temporary_impact"] == pytest.approx((100.21666666666667 - 100.1) * 6, abs=1e-9)
    permanent = 0.1 * book_slope(book().asks) * 6.0 * 6.0
    assert found["permanent_impact"] == pytest.approx(permanent, abs=1e-12)
    assert found["total_impact"] == found["temporary_impact"] + found["permanent_impact"]
    assert found["impact_bps"] == pytest.approx(found["total_impact"] / 600 * 1e4, rel=1e-12)


def test_amounts_from_the_book_do_not_depend_on_the_price_they_are_compared_with() -> None:
    at_mid, above = (fed().calculate_impact(6.0, price) for price in (100.0, 125.0))
    for name in ("temporary_impact", "permanent_impact", "total_impact"):
        assert above[name] == pytest.approx(at_mid[name], rel=1e-12)
    assert above["impact_bps"] == pytest.approx(at_mid["impact_bps"] / 1.25, rel=1e-12)


def test_given_depth_and_volatility_follow_the_square_root_law() -> None:
    found = MarketImpactModel().calculate_impact(1.0, 50.0, 0.02, 100.0)
    # 2 % a second is 2 % x sqrt(5) while a displayed book refills.
    assert found["temporary_impact"] == pytest.approx(50.0 * 0.02 * math.sqrt(5.0) * 0.1)
    assert found["permanent_impact"] == pytest.approx(0.1 * found["temporary_impact"])
    four = MarketImpactModel().calculate_impact(4.0, 50.0, 0.02, 100.0)
    assert four["impact_bps"] == pytest.approx(2.0 * found["impact_bps"])


def test_a_fed_volatility_stands_in_for_a_missing_one() -> None:
    explicit = fed().calculate_impact(1.0, 50.0, 1e-4, 100.0)
    assert fed().calculate_impact(1.0, 50.0, None, 100.0) == explicit


def test_a_given_volatility_scales_the_live_figures() -> None:
    double = fed().calculate_impact(6.0, 100.0, 2e-4)
    assert double["impact_bps"] == pytest.approx(
        2 * fed().calculate_impact(6.0, 100.0)["impact_bps"]
    )
    unfed = MarketImpactModel()
    unfed.update_book(book())
    assert unfed.calculate_impact(6.0, 100.0, 2e-4) == fed().calculate_impact(6.0, 100.0)


def test_bps_never_fall_with_size_and_grow_past_the_book() -> None:
    sizes = [0.1 * 1.3**i for i in range(30)]
    for arguments in ((), (1e-3, 50.0)):
        costs = [fed().calculate_impact(q, 100.0, *arguments)["impact_bps"] for q in sizes]
        assert all(a <= b + 1e-9 for a, b in itertools.pairwise(costs))
        assert costs[-1] > costs[0]


def test_sides_and_depths_differ() -> None:
    buy = fed().calculate_impact(6.0, 100.0)
    assert fed().calculate_impact(6.0, 100.0, side=Side.SELL) != buy
    assert fed(book(10.0)).calculate_impact(6.0, 100.0)["impact_bps"] < buy["impact_bps"]


def test_a_new_book_or_volatility_empties_the_caches() -> None:
    model = fed()
    old = model.calculate_impact(6.0, 100.0)
    model.calculate_impact(6.0, 101.0)
    assert (len(model.impact_cache), len(model.volume_cache)) == (2, 1)
    model.update_book(book(0.5))
    assert (len(model.impact_cache), len(model.volume_cache)) == (0, 0)
    assert model.calculate_impact(6.0, 100.0) != old
    model.update_volatility(2e-4)
    assert not model.impact_cache


def test_a_lost_book_is_an_error_and_never_an_old_number() -> None:
    model = fed()
    model.calculate_impact(6.0, 100.0)
    model.update_book(None)
    with pytest.raises(ValidationError, match=r"market_depth=.*update_book"):
        model.calculate_impact(6.0, 100.0)


def test_a_result_in_the_callers_hands_does_not_change_the_cache() -> None:
    model = fed()
    model.calculate_impact(6.0, 100.0).clear()
    assert model.calculate_impact(6.0, 100.0)["impact_bps"] > 0


def test_caches_are_bounded() -> None:
    model = fed()
    for i in range(1_100):
        model.calculate_impact(1.0 + i * 1e-3, 100.0)
    assert len(model.impact_cache) == len(model.volume_cache) == 1_024


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, "x", [], True])
def test_hostile_arguments_are_refused(bad) -> None:
    good = [1.0, 100.0, 1e-4, 10.0]
    for position in range(4):
        arguments = [*good[:position], bad, *good[position + 1 :]]
        with pytest.raises(ValidationError):
            fed().calculate_impact(*arguments)


def test_what_is_too_large_or_unknown_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        fed().calculate_impact(1e308, 1e10)
    with pytest.raises(ValidationError, match="too large"):
        fed().calculate_impact(1e200, 1e100, 1e100, 1e-100)
    with pytest.raises(ValidationError, match="volatility is needed"):
        MarketImpactModel().calculate_impact(1.0, 100.0, None, 10.0)
    with pytest.raises(ValidationError, match="volatility"):
        fed().update_volatility(math.nan)
