import math

import pytest

from optimizers.costs.shortfall import shortfall
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side

ORDER = {
    "quantity": 1000.0, "filled": 800.0, "decision_price": 50.0, "arrival_price": 50.10,
    "fill_price": 50.25, "close_price": 50.60, "fees": 8.0,
}  # fmt: skip


def test_the_published_example_is_reproduced() -> None:
    found = shortfall(Side.BUY, **ORDER)
    parts = (found.delay, found.trading, found.opportunity, found.fees)
    assert parts == pytest.approx((80.0, 120.0, 120.0, 8.0), abs=1e-9)
    assert found.total == pytest.approx(328.0, abs=1e-9)
    assert found.total_bps == pytest.approx(65.60, abs=1e-9)


def test_a_sell_mirrors_everything_but_the_fees() -> None:
    found = shortfall(Side.SELL, **ORDER)
    assert found.total == pytest.approx(-320.0 + 8.0, abs=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        {"filled": 1001.0}, {"filled": -1.0}, {"filled": math.nan}, {"quantity": 0.0},
        {"fill_price": math.inf}, {"close_price": -1.0}, {"fees": math.nan},
        {"close_price": 1e308, "filled": 0.0},
    ],
)  # fmt: skip
def test_hostile_numbers_are_refused(change) -> None:
    with pytest.raises(ValidationError):
        shortfall(Side.BUY, **{**ORDER, **change})
