from __future__ import annotations

import pytest
from stub_agents import BTC, SECOND, features

from optimizers.signals.reading import quantised, read


def told(data, *, latest=None, now_s: float = 100.0):
    return read(BTC, data, latest=latest, now_ns=round(now_s * SECOND))


def test_a_book_tells_price_spread_imbalance_and_micro_price() -> None:
    book = {"bids": [["99.0", "3"], ["98", "1"]], "asks": [["101.0", "1"], ["102", "3"]]}
    for data in (book, {"order_book": book}):
        reading = told(data)
        assert reading.features is not None
        assert reading.features.mid == 100.0
        assert reading.features.spread_bps == pytest.approx(200.0)
        assert reading.features.imbalance == 0.0
        assert reading.features.imbalance_1 == pytest.approx(0.5)
        assert reading.features.micro_deviation_bps == pytest.approx(50.0)
        assert "order_flow" in reading.missing
        assert "imbalance" not in reading.missing


def test_rows_may_be_mappings_in_any_order_and_bad_rows_are_skipped() -> None:
    data = {
        "bids": [{"price": 98, "size": 1}, {"price": 99, "size": 3}, ["x", 1], [97], 5],
        "asks": [[102.0, 3.0], [101.0, 1.0], [100.0, 0.0]],
    }
    reading = told(data)
    assert reading.features is not None
    assert reading.features.spread_bps == pytest.approx(200.0)


@pytest.mark.parametrize("key", ["price", "lastPrice", "mid", "current_price"])
def test_a_price_alone_is_a_mid_without_a_spread(key) -> None:
    reading = told({key: "123.5", "volume": 5})
    assert reading.features is not None
    assert reading.features.mid == 123.5
    assert "spread_bps" in reading.missing


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"price": -1}, "no price"),
        ({"price": True}, "no price"),
        ({"price": "inf"}, "no price"),
        ({"price": [1]}, "no price"),
        ({"bids": "text", "asks": None}, "no price"),
        ({"bid": 2, "ask": 2}, "crossed"),
        ({"orderbook": 3}, "no mapping"),
    ],
)
def test_what_cannot_be_used_is_named(data, reason) -> None:
    reading = told(data)
    assert reading.features is None
    assert reason in reading.reason


def test_feature_names_are_taken_as_they_are() -> None:
    reading = told({"mid": 100.0, "order_flow": "0.25", "trade_flow": None})
    assert reading.features is not None
    assert reading.features.order_flow == 0.25
    assert "order_flow" not in reading.missing
    assert "trade_flow" in reading.missing


def test_fresh_live_features_fill_the_rest_and_stale_ones_do_not() -> None:
    live = features(98.0, order_flow=0.4)
    fresh = told({"price": 50_001.0}, latest=live)
    assert fresh.missing == frozenset()
    assert fresh.features is not None
    assert (fresh.features.order_flow, fresh.features.mid) == (0.4, 50_001.0)
    assert told({"price": 50_001.0}, latest=live, now_s=102.0).missing != frozenset()


def test_complete_features_pass_unchanged_unless_unusable() -> None:
    sound = features()
    assert told(sound).features is sound
    assert told(features(order_flow=float("inf"))).reason == "order_flow is no usable number"
    assert told(features(mid=0.0)).reason == "mid is no usable number"


def test_the_key_ignores_noise_and_time_but_not_change() -> None:
    key = quantised(features(1.0, imbalance=0.1))
    assert quantised(features(2.0, imbalance=0.104)) == key
    assert quantised(features(2.0, imbalance=0.3)) != key
    assert quantised(features(2.0, mid=50_010.0)) != key
