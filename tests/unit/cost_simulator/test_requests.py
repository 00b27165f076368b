"""Requests are read alike from Python, HTTP and options, and refused with a remedy."""

from decimal import Decimal
from typing import Any

import pytest

from trading_system.cost_simulator.requests import EstimateRequest, read_request
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import OrderType, Side

GOOD: dict[str, Any] = {
    "exchange": "okx",
    "instrument": "BTC-USDT-SWAP",
    "side": "buy",
    "quantity": 2,
}


def test_what_is_left_out_has_its_documented_meaning() -> None:
    assert read_request(GOOD) == EstimateRequest(
        exchange="okx",
        instrument="BTC-USDT-SWAP",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=2.0,
    )


def test_texts_as_an_url_or_an_option_gives_them_mean_the_same_as_numbers() -> None:
    as_text = read_request({**GOOD, "quantity": "2", "volatility_bps": "1.5", "horizon_s": "30"})
    as_numbers = read_request(
        {**GOOD, "quantity": Decimal(2), "volatility_bps": 1.5, "horizon_s": 30}
    )
    assert as_text == as_numbers


def test_names_are_brought_into_the_spelling_of_the_exchange() -> None:
    request = read_request(
        {**GOOD, "exchange": " OKX ", "instrument": "btc-usdt-swap", "side": "BUY", "unit": "USD"}
    )
    assert (request.exchange, request.instrument, request.unit) == ("okx", "BTC-USDT-SWAP", "usd")


def test_the_instrument_that_is_meant_follows_the_exchange() -> None:
    for exchange, meant in (("Bybit", "BTCUSDT"), ("okx", "BTC-USDT-SWAP")):
        request = read_request({**GOOD, "exchange": exchange, "instrument": None})
        assert request.instrument == meant
    with pytest.raises(ValidationError, match=r"instrument is missing; .*bybit or okx"):
        read_request({**GOOD, "exchange": "kraken", "instrument": None})


def test_own_fees_may_be_rebates_and_need_not_come_in_pairs() -> None:
    request = read_request({**GOOD, "maker_bps": "-0.5"})
    assert (request.maker_bps, request.taker_bps) == (-0.5, None)


def test_what_becomes_of_the_unfilled_part_is_one_of_two() -> None:
    limit = {**GOOD, "order_type": "limit", "price": 1}
    assert read_request(limit).unfilled == "taken"
    assert read_request({**limit, "unfilled": "Cancelled"}).unfilled == "cancelled"
    with pytest.raises(ValidationError, match="taken or cancelled"):
        read_request({**limit, "unfilled": "kept"})


def test_a_limit_order_keeps_its_price() -> None:
    request = read_request({**GOOD, "order_type": "limit", "price": "99.5"})
    assert (request.order_type, request.price) == (OrderType.LIMIT, 99.5)


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("side", "hold", "buy or sell"),
        ("side", None, "missing"),
        ("side", 1, "buy or sell"),
        ("quantity", None, "missing"),
        ("quantity", 0, "positive"),
        ("quantity", -1, "positive"),
        ("quantity", float("nan"), "positive"),
        ("quantity", "inf", "positive"),
        ("quantity", "1" * 50, "positive"),
        ("quantity", True, "positive"),
        ("quantity", [1], "list"),
        ("quantity", "two", "'two'"),
        ("quantity", "1_000", "'1_000'"),
        ("quantity", "\uff11\uff10", "positive"),
        ("quantity", "\x1b[31m", "positive"),
        ("quantity", 10**400, "positive"),
        ("unit", "shares", "base or quote or usd"),
        ("order_type", "stop", "market or limit"),
        ("order_type", "limit", "has no price"),
        ("price", 100, "market order has no price"),
        ("volatility_bps", 0, "positive"),
        ("horizon_s", 1e9, "at most"),
        ("tier", "", "tier"),
        ("tier", "x" * 100, "tier"),
        ("unfilled", "taken", "market order leaves nothing"),
        ("maker_bps", -101, "bps from -100 to 1000"),
        ("taker_bps", 1001, "negative for a rebate"),
        ("taker_bps", "nan", "bps from"),
        ("taker_bps", "x", "bps from"),
        ("exchange", 5, "short text"),
        ("lever", 5, "'lever' is not a key"),
    ],
)
def test_what_cannot_be_priced_is_refused_with_its_key(key: str, value: Any, word: str) -> None:
    with pytest.raises(ValidationError, match=word) as caught:
        read_request({**GOOD, key: value})
    assert ";" in str(caught.value)
    assert str(caught.value).isprintable()
