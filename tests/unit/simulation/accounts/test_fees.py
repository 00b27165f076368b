from decimal import Decimal

import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.accounts.fees import linear_rates


@pytest.mark.parametrize(
    ("level", "taker", "maker"),
    [(0, "0.00055", "0.0002"), (2, "0.000375", "0.00016"), (6, "0.0003", "0")],
)
def test_rates_follow_the_level(level, taker, maker):
    assert linear_rates(level) == (Decimal(taker), Decimal(maker))


@pytest.mark.parametrize("level", [-1, 7])
def test_unknown_level_is_refused(level):
    with pytest.raises(ConfigurationError, match="VIP level"):
        linear_rates(level)
