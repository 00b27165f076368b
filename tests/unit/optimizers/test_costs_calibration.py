import pytest

from optimizers.costs.almgren_chriss import ExecutionParameters, ImpactFitError
from optimizers.costs.calibration import PERMANENT_SHARE, book_slope, concession, fit_parameters
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


def fit(levels: BookLevels, **changes: float) -> ExecutionParameters:
    options = {
        "child": 4.0, "steps": 12, "volatility": 1e-4, "taker_rate": 5e-4, "risk_aversion": 1e-6,
    }  # fmt: skip
    return fit_parameters(levels, Side.BUY, **{**options, **changes})


def test_the_slope_of_an_even_book_is_half_a_tick_per_level_size() -> None:
    assert book_slope(linear_book().asks) == pytest.approx(0.1 / 2.0 / 2.0, rel=0.01)
    assert book_slope(linear_book().bids) == pytest.approx(0.1 / 2.0 / 2.0, rel=0.01)


def test_a_concession_is_the_walk_beyond_the_best_price() -> None:
    for side in (linear_book().asks, linear_book().bids):
        assert concession(side, 100.0, 2.0) == 0.0
        assert concession(side, 100.0, 4.0) == pytest.approx(0.05, abs=1e-12)
        shown = side.quantities[-1]
        inside, outside = (concession(side, 100.0, shown * part) for part in (1.0, 1.0 + 1e-9))
        assert outside == pytest.approx(inside, rel=1e-6)
        assert concession(side, 100.0, shown * 2) > inside


def test_parameters_have_the_units_of_the_model() -> None:
    fitted = fit(linear_book())
    # Four units take two levels of a tick: 0.05 more than the best price, 0.0125 per unit; the
    # fee of 5 bps is paid on it.
    slope = 0.05 / 4.0 * 1.0005
    assert (fitted.steps, fitted.tau, fitted.horizon) == (12, 5.0, 60.0)
    assert fitted.sigma == pytest.approx(1e-4 * 100.0)
    assert fitted.eta == pytest.approx(slope * 5.0)
    permanent = PERMANENT_SHARE * book_slope(linear_book().asks)
    assert fitted.gamma == pytest.approx(2.0 * permanent)
    assert fitted.eta_tilde == pytest.approx((slope - permanent) * 5.0)
    assert fitted.epsilon == pytest.approx(0.1 * 1.0005 + 0.05)


def test_the_permanent_impact_does_not_follow_the_size_of_the_child() -> None:
    assert fit(linear_book(), child=40.0).gamma == fit(linear_book(), child=4.0).gamma


def test_a_measured_permanent_impact_is_taken_and_refused_when_it_outweighs() -> None:
    assert fit(linear_book(), gamma=0.0).gamma == 0.0
    with pytest.raises(ImpactFitError, match="outweighs"):
        fit(linear_book(), gamma=1.0)


def test_a_rebate_does_not_make_epsilon_negative() -> None:
    assert fit(linear_book(), taker_rate=-0.01).epsilon == pytest.approx(0.1)


def test_a_child_inside_the_best_level_has_no_slope_to_fit() -> None:
    with pytest.raises(ImpactFitError, match="eta"):
        fit(linear_book(), child=2.0)
