import math

import pytest

from optimizers.costs.almgren_chriss import ImpactFitError
from optimizers.costs.calibration import PERMANENT_SHARE, book_slope, fit_parameters
from optimizers.microstructure.levels import BookLevels, read_levels
from trading_system.domain.orders import Side


def linear_book(tick: float = 0.1, size: float = 2.0, count: int = 200) -> BookLevels:
    return read_levels(
        "X",
        {
            "bids": [(100 - tick * (i + 1), size) for i in range(count)],
            "asks": [(100 + tick * (i + 1), size) for i in range(count)],
        },
    )


def fit(levels: BookLevels, **changes: float) -> object:
    options = {"volatility": 1e-4, "taker_rate": 5e-4, "horizon_s": 60.0, "risk_aversion": 1e-6}
    return fit_parameters(levels, Side.BUY, **{**options, **changes})


def test_the_slope_of_an_even_book_is_half_a_tick_per_level_size() -> None:
    assert book_slope(linear_book().asks) == pytest.approx(0.1 / 2.0 / 2.0, rel=0.01)
    assert book_slope(linear_book().bids) == pytest.approx(0.1 / 2.0 / 2.0, rel=0.01)


def test_parameters_have_the_units_of_the_model() -> None:
    fitted = fit(linear_book())
    slope = book_slope(linear_book().asks)
    assert (fitted.steps, fitted.tau) == (12, 5.0)
    assert fitted.sigma == pytest.approx(1e-4 * 100.0)
    assert fitted.eta == pytest.approx(slope * 5.0)
    assert fitted.eta_tilde == pytest.approx(slope * 5.0 * (1.0 - PERMANENT_SHARE))
    assert fitted.epsilon == pytest.approx(0.1 + 0.05)


def test_a_measured_permanent_impact_is_taken_and_refused_when_it_outweighs() -> None:
    assert fit(linear_book(), gamma=0.0).gamma == 0.0
    with pytest.raises(ImpactFitError, match="outweighs"):
        fit(linear_book(), gamma=1.0)


def test_a_rebate_does_not_make_epsilon_negative() -> None:
    assert fit(linear_book(), taker_rate=-0.01).epsilon == pytest.approx(0.1)


@pytest.mark.parametrize("horizon", [0.0, -1.0, math.nan, math.inf])
def test_without_time_there_is_no_fit(horizon) -> None:
    with pytest.raises(ImpactFitError, match="horizon"):
        fit(linear_book(), horizon_s=horizon)


def test_one_level_shows_no_slope() -> None:
    with pytest.raises(ImpactFitError, match="one price"):
        fit(linear_book(count=1))


def test_short_and_long_horizons_have_bounded_steps() -> None:
    assert fit(linear_book(), horizon_s=1.0).steps == 1
    assert fit(linear_book(), horizon_s=1e5).steps == 100
