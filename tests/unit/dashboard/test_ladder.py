import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.dashboard import ladder
from trading_system.dashboard.ladder import base_of, decimals_of, own_sizes, picture_of, quote_of


def book(**more):
    return {
        "symbol": "BTCUSDT",
        "is_ready": True,
        "bid": 100.0,
        "ask": 100.5,
        "tick_size": "0.5",
        "qty_step": "0.01",
        "bids": [[100.0, 2.0], [99.5, 1.0]],
        "asks": [[100.5, 1.0], [101.0, 4.0]],
        "own_orders": [],
        **more,
    }


def order(side, price, quantity="0.5"):
    return {"side": side, "price": price, "quantity": quantity, "link_id": "x"}


def test_levels_are_texts_with_the_instruments_decimals_and_a_share_of_the_largest():
    picture = picture_of(book(), rows=2)
    assert picture["bids"] == [
        ["100.0", "2.00", "2.00", "", 0.5],
        ["99.5", "1.00", "3.00", "", 0.25],
    ]
    assert picture["asks"][1] == ["101.0", "4.00", "5.00", "", 1.0]


def test_the_middle_names_mid_and_spread():
    assert picture_of(book(), rows=2)["mid"] == "100.25   spread 0.5 (49.9 bps)"


def test_own_orders_are_marked_at_their_price_and_summed_up():
    orders = [order("Buy", "100.0"), order("buy", "100", "0.25"), order("Sell", 101.0)]
    picture = picture_of(book(own_orders=orders), rows=2)
    assert picture["bids"][0][3] == "0.75"
    assert picture["asks"][1][3] == "0.50"
    assert picture["far_bids"] == []
    assert picture["far_asks"] == []


def test_own_orders_beyond_the_levels_shown_are_not_lost_and_the_nearest_come_first():
    far = [order("Sell", price) for price in (110, 103, 105, 120)]
    picture = picture_of(book(own_orders=[*far, order("Buy", 90)]), rows=2)
    assert [row[0] for row in picture["far_asks"]] == ["103.0", "105.0", "110.0"]
    assert picture["far_bids"] == [["90.0", "", "further out", "0.50", 0.0]]


def test_an_order_without_a_price_is_on_no_level():
    assert own_sizes([order("Buy", None)], "buy") == {}


@pytest.mark.parametrize("missing", [None, book(is_ready=False)])
def test_a_book_that_cannot_be_believed_is_empty_and_says_why(missing):
    picture = picture_of(missing, rows=2, note="the book is not ready")
    assert picture["asks"] == picture["bids"] == []
    assert picture["note"] == "the book is not ready"


def test_one_side_alone_has_no_middle():
    assert picture_of(book(ask=None, asks=[]), rows=2)["mid"] == ""


def test_levels_of_no_size_have_no_bar():
    picture = picture_of(book(bids=[[100.0, 0.0]], asks=[]), rows=2)
    assert picture["bids"][0][4] == 0.0


def test_no_more_rows_than_asked_for_are_sent():
    assert len(picture_of(book(), rows=1)["asks"]) == 1


@pytest.mark.parametrize(
    ("step", "decimals"),
    [("0.10", 1), (0.001, 3), ("1", 0), (10, 0), (None, 0), ("x", 0), ("NaN", 0), ("1e-12", 10)],
)
def test_the_decimals_of_a_step(step, decimals):
    assert decimals_of(step) == decimals


@pytest.mark.parametrize(
    ("symbol", "base", "quote"),
    [
        ("BTCUSDT", "BTC", "USDT"),
        ("ETHUSDC", "ETH", "USDC"),
        ("BTC-USDT-SWAP", "BTC", "USDT"),
        ("BTCUSD", "BTC", "USD"),
        ("BTCEUR", "BTCEUR", "quote"),
        ("", "base", "quote"),
    ],
)
def test_the_currencies_in_a_symbol(symbol, base, quote):
    assert (base_of(symbol), quote_of(symbol)) == (base, quote)


sizes = st.floats(min_value=0.0, max_value=1e6)
levels = st.lists(st.tuples(st.floats(min_value=0.5, max_value=1e6), sizes), max_size=30)


@given(bids=levels, asks=levels)
def test_every_picture_is_json_and_its_bars_are_between_zero_and_one(bids, asks):
    picture = picture_of(book(bids=bids, asks=asks), rows=12)
    json.dumps(picture, allow_nan=False)
    assert all(0.0 <= row[4] <= 1.0 for row in (*picture["bids"], *picture["asks"]))


def test_the_browser_part_sets_texts_only():
    script = Path(ladder.__file__).with_name("ladder.js").read_text()
    for risky in ("innerHTML", "insertAdjacentHTML", "outerHTML", "eval(", "http"):
        assert risky not in script
    assert "requestAnimationFrame" in script
