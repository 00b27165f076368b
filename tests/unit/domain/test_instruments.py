from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import OffGridError, ValidationError
from trading_system.domain.instruments import (
    Instrument,
    decimal_places,
    parse_decimal,
    plain,
)


def instrument(**changes: object) -> Instrument:
    values: dict[str, object] = {
        "symbol": "BTCUSDT",
        "base_coin": "BTC",
        "quote_coin": "USDT",
        "tick_size": Decimal("0.10"),
        "qty_step": Decimal("0.001"),
        "min_price": Decimal("0.10"),
        "max_price": Decimal("1999999.80"),
        "min_qty": Decimal("0.001"),
        "max_qty": Decimal(1190),
        "max_market_qty": Decimal(500),
        "min_notional": Decimal(5),
    }
    return Instrument(**{**values, **changes})  # type: ignore[arg-type]  # test data


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_ticks_survive_the_round_trip_exactly(ticks: int) -> None:
    btc = instrument()
    assert btc.price_to_ticks(btc.ticks_to_price(ticks)) == ticks
    assert btc.price_to_ticks(Decimal(btc.price_text(ticks))) == ticks


@given(st.integers(min_value=0, max_value=10**12))
def test_lots_survive_the_round_trip_exactly(lots: int) -> None:
    btc = instrument()
    assert btc.qty_to_lots(btc.lots_to_qty(lots)) == lots


@given(st.decimals(min_value=0, max_value=10**7, places=6))
def test_flooring_never_gives_more_than_asked(value: Decimal) -> None:
    btc = instrument()
    assert btc.lots_to_qty(btc.floor_lots(value)) <= value
    assert btc.ticks_to_price(btc.floor_ticks(value)) <= value
    assert btc.ticks_to_price(btc.ceil_ticks(value)) >= value


def test_texts_have_exactly_the_decimals_of_the_grid() -> None:
    btc = instrument()
    assert btc.price_text(650_000) == "65000.0"


@pytest.mark.parametrize("price", ["65000.05", "NaN", "Infinity", "-Infinity", "sNaN", "1E+40"])
def test_a_price_off_the_grid_is_refused(price: str) -> None:
    with pytest.raises(OffGridError, match="BTCUSDT price"):
        instrument().price_to_ticks(Decimal(price))


@pytest.mark.parametrize("name", ["tick_size", "qty_step", "min_qty", "max_qty", "max_price"])
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity"])
def test_an_impossible_rule_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        instrument(**{name: Decimal(value)})


@pytest.mark.parametrize(("name", "value"), [("min_price", "-1"), ("min_notional", "-0.1")])
def test_a_negative_floor_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        instrument(**{name: Decimal(value)})


@pytest.mark.parametrize(
    "text",
    ["", "-", ".", "1e5", "1_000", "+1", " 1", "1 ", "NaN", "inf", "--1", "1.2.3", "١٢", "1" * 41],
)
def test_text_that_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="not a plain decimal"):
        parse_decimal(text)


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("-0.5", -0.5), ("0.10", 0.1), ("5.", 5)])
def test_plain_numbers_are_read(text: str, value: float) -> None:
    assert float(parse_decimal(text)) == value


def test_decimal_places_ignore_trailing_zeros() -> None:
    assert decimal_places(Decimal("0.10")) == 1
    assert decimal_places(Decimal(10)) == 0
    assert decimal_places(Decimal("1E+2")) == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [("1.500", "1.5"), ("0.000", "0"), ("100", "100"), ("-0.0", "0"), ("1E+2", "100")],
)
def test_plain_writes_no_exponent_and_no_padding(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text
