from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest
from okx_server import INVERSE, SPOT, SWAP

from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.venues.okx.instruments import OkxContract, OkxInstType
from trading_system.venues.okx.rest import kind_of
from trading_system.venues.okx.wire import (
    InstrumentRow,
    TickerRow,
    instrument_of,
    stamp_ns,
    ticker_of,
)

ROW = {
    "instId": "BTC-USDT-SWAP", "instType": "SWAP", "instFamily": "BTC-USDT", "uly": "BTC-USDT",
    "baseCcy": "", "quoteCcy": "", "settleCcy": "USDT", "ctVal": "0.01", "ctMult": "1",
    "ctValCcy": "BTC", "ctType": "linear", "tickSz": "0.1", "lotSz": "0.01", "minSz": "0.01",
    "state": "live", "instIdCode": 10459, "futureSettlement": False, "tradeQuoteCcyList": [],
}  # fmt: skip
INVERSE_ROW = ROW | {
    "instId": "BTC-USD-SWAP", "instFamily": "BTC-USD", "ctVal": "100", "ctValCcy": "USD",
    "ctType": "inverse", "settleCcy": "BTC",
}  # fmt: skip
SPOT_ROW = ROW | {
    "instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT",
    "instFamily": "", "uly": "", "ctVal": "", "ctMult": "", "ctValCcy": "", "ctType": "",
}  # fmt: skip


def read(row):
    return instrument_of(msgspec.convert(row, InstrumentRow))


def test_rows_of_all_three_kinds_are_read():
    swap, inverse, spot = read(ROW), read(INVERSE_ROW), read(SPOT_ROW)
    assert (swap.base, swap.quote, swap.contract) == ("BTC", "USDT", OkxContract.LINEAR)
    assert (inverse.base, inverse.quote, inverse.contract_value) == ("BTC", "USD", 100)
    assert (spot.base, spot.contract, spot.contract_unit) == ("BTC", OkxContract.NONE, 1)
    assert (swap.tick, swap.lot, swap.min_size) == (Decimal("0.1"), *[Decimal("0.01")] * 2)
    assert swap.is_live
    assert not read(ROW | {"state": "suspend"}).is_live
    assert read(ROW | {"ctMult": ""}).contract_unit == Decimal("0.01")
    assert read(ROW | {"ctMult": "10"}).contract_unit == Decimal("0.1")
    assert read(ROW | {"instFamily": "", "uly": ""}).base == "BTC"


@pytest.mark.parametrize(
    "change",
    [
        {"instType": "OPTION"}, {"ctType": ""}, {"ctType": "odd"}, {"ctVal": ""}, {"ctVal": "0"},
        {"ctVal": "nan"}, {"tickSz": "0"}, {"lotSz": "-1"}, {"minSz": ""}, {"ctValCcy": "USD"},
        {"ctType": "inverse"}, {"instFamily": "", "uly": "", "instId": "BTC"},
    ],
)  # fmt: skip
def test_contradicting_rows_are_refused(change):
    with pytest.raises(CorruptDataError, match="instrument 'BTC"):
        read(ROW | change)


def test_a_linear_contract_is_a_piece_of_base_currency():
    swap, price = read(ROW), Decimal(50_000)
    assert swap.base_quantity(Decimal(250), price) == Decimal("2.5")
    assert swap.quote_notional(Decimal(250), price) == 125_000
    assert swap.contracts_for(Decimal("2.5"), price) == 250
    assert swap.contracts_for_quote(Decimal(125_000), price) == 250


def test_an_inverse_contract_is_a_piece_of_quote_currency():
    inverse, price = read(INVERSE_ROW), Decimal(50_000)
    assert inverse.base_quantity(Decimal(250), price) == Decimal("0.5")
    assert inverse.quote_notional(Decimal(250), price) == 25_000
    assert inverse.contracts_for(Decimal("0.5"), price) == 250
    assert inverse.contracts_for_quote(Decimal(25_000), price) == 250


def test_a_spot_size_is_base_currency():
    spot, price = read(SPOT_ROW), Decimal(50_000)
    assert spot.base_quantity(Decimal("2.5"), price) == Decimal("2.5")
    assert spot.quote_notional(Decimal("2.5"), price) == 125_000
    assert spot.contracts_for(Decimal("2.5"), price) == Decimal("2.5")


def test_the_sizes_of_a_swap_book_are_not_base_units():
    levels = [(50_000.0, 250.0)]
    assert read(ROW).base_levels(levels) == [(50_000.0, 2.5)]
    assert read(INVERSE_ROW).base_levels(levels) == [(50_000.0, 0.5)]
    assert read(SPOT_ROW).base_levels(levels) == levels
    assert read(ROW).base_size(250.0, 50_000.0) == 2.5
    assert read(INVERSE_ROW).base_size(250.0, 50_000.0) == 0.5


def test_base_sizes_are_rounded_once():
    assert read(ROW).base_levels([(2.0, 30.1)]) == [(2.0, 0.301)]  # 30.1 * 0.01 is above it
    assert read(ROW).base_size(30.1, 1.0) == 0.301


def test_the_two_volumes_of_a_ticker_mean_different_things():
    volumes = {"vol24h": Decimal(7), "vol_ccy24h": Decimal(9)}
    assert read(SPOT_ROW).base_volume(**volumes) == 7  # the other one is quote currency
    assert read(ROW).base_volume(**volumes) == 9  # the other one is contracts
    assert read(INVERSE_ROW).base_volume(**volumes) == 9


def test_sizes_are_floored_to_the_grid():
    assert SWAP.floor_to_lot(Decimal("1.29")) == Decimal("1.2")
    assert INVERSE.floor_to_lot(Decimal("3.99")) == 3
    for size in ("0.05", "0", "-3", "nan"):
        with pytest.raises(ValidationError, match=r"smallest order|finite"):
            SWAP.floor_to_lot(Decimal(size))


@pytest.mark.parametrize("convert", ["base_quantity", "quote_notional", "contracts_for"])
@pytest.mark.parametrize("bad", [("nan", "1"), ("1", "0"), ("1", "-1"), ("1", "inf")])
def test_impossible_amounts_and_prices_are_refused(convert, bad):
    with pytest.raises(ValidationError):
        getattr(INVERSE, convert)(*map(Decimal, bad))


def test_contract_types_and_kinds_must_fit():
    with pytest.raises(ValidationError, match="cannot be"):
        replace(SWAP, contract=OkxContract.NONE)
    with pytest.raises(ValidationError, match="cannot be"):
        replace(SPOT, contract=OkxContract.LINEAR)
    with pytest.raises(ValidationError, match="no contract value"):
        replace(SPOT, multiplier=Decimal(2))


def test_the_kind_follows_from_the_name():
    assert kind_of("BTC-USDT") is OkxInstType.SPOT
    assert kind_of("BTC-USDT-SWAP") is OkxInstType.SWAP
    assert kind_of("BTC-USD-220527") is OkxInstType.FUTURES


def test_a_ticker_may_leave_things_out():
    row = TickerRow(inst_id=SWAP.inst_id, ts="5", vol24h="300", vol_ccy24h="3")
    ticker = ticker_of(row, SWAP, 9)
    assert (ticker.last_price, ticker.bid_qty, ticker.volume_24h_qty) == (None, None, 3)
    assert (ticker.ts_exchange_ns, ticker.ts_received_ns) == (5_000_000, 9)
    with pytest.raises(CorruptDataError, match="came for ABC-USDT"):
        ticker_of(row, SPOT, 9)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "1" * 16, "٣"])
def test_a_time_is_a_plain_number_of_milliseconds(text):
    with pytest.raises(CorruptDataError, match="milliseconds"):
        stamp_ns(text)
