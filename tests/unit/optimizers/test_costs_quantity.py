from decimal import Decimal

import pytest

from optimizers.costs.quantity import base_quantity, finite, positive
from trading_system.domain.errors import ValidationError


def test_units_are_turned_into_base_currency_at_the_mid() -> None:
    assert base_quantity(2.5, "base", mid=100.0) == 2.5
    assert base_quantity("250", "quote", mid=100.0) == 2.5
    assert base_quantity(Decimal(250), " USD ", mid=100.0) == 2.5


@pytest.mark.parametrize(
    "amount",
    [float("nan"), float("inf"), -1.0, 0, 0.0, "x", "NaN", "", None, True, [], Decimal("Infinity")],
)
def test_an_amount_that_is_no_positive_number_is_refused(amount) -> None:
    with pytest.raises(ValidationError, match="quantity must be"):
        base_quantity(amount, "base", mid=100.0)


@pytest.mark.parametrize("unit", ["lots", "", None, 3])
def test_an_unknown_unit_is_refused_and_the_known_ones_are_named(unit) -> None:
    with pytest.raises(ValidationError, match="base, quote, usd"):
        base_quantity(1.0, unit, mid=100.0)


@pytest.mark.parametrize("mid", [0.0, -1.0, float("nan"), float("inf")])
def test_a_mid_that_is_no_price_is_refused(mid) -> None:
    with pytest.raises(ValidationError, match="mid price"):
        base_quantity(1.0, "quote", mid=mid)


def test_a_quantity_that_overflows_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        base_quantity(1e308, "quote", mid=1e-10)
    with pytest.raises(ValidationError, match="finite"):
        finite(10**400, "size")


def test_numbers_of_every_plain_kind_are_read() -> None:
    assert positive(3, "x") == 3.0
    assert finite("-2.5", "x") == -2.5


@pytest.mark.parametrize("text", ["1_000", "\uff11\uff10", "\u0661"])
def test_digits_that_nobody_types_on_purpose_are_refused(text) -> None:
    with pytest.raises(ValidationError, match="plain digits"):
        base_quantity(text, "base", mid=100.0)


def test_a_dollar_is_one_unit_of_a_dollar_stablecoin_only() -> None:
    assert base_quantity(500, "usd", mid=100.0, quote_currency="USDT") == 5.0
    assert base_quantity(500, "quote", mid=100.0, quote_currency="BTC") == 5.0
    with pytest.raises(ValidationError, match=r"BTC.*unit quote or base"):
        base_quantity(500, "usd", mid=0.05, quote_currency="BTC")
