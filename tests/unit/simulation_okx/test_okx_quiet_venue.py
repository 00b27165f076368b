"""What the OKX side says before anybody has traded, and when something of its own fails."""

import json

import pytest
from server_rig import ABC, TRADER, QuietMarket

from trading_system.domain.errors import ConfigurationError
from trading_system.runtime.clock import ManualClock
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.okx_server.side import OkxSide
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.venue import SimulatedVenue

ABC_SWAP = {"channel": "trades", "instId": "ABC-USDT-SWAP"}


@pytest.fixture
def side():
    clock = ManualClock()
    exchange = Exchange([ABC], [TRADER], seed=1)
    venue = SimulatedVenue(exchange, MarketStatistics(exchange), QuietMarket(exchange))
    venue.prepare(clock.utc_ns() // 1_000_000)
    return OkxSide(venue, clock=clock, is_limited=True, has_checksums=False)


def get(side, path):
    return json.loads(side.answer("GET", f"/api/v5/{path}").body)


def test_figures_of_an_untraded_instrument_are_its_reference_prices(side):
    (row,) = get(side, "market/ticker?instId=ABC-USDT-SWAP")["data"]
    assert (row["last"], row["lastSz"], row["vol24h"]) == ("10.01", "0", "0")
    assert (row["sodUtc0"], row["sodUtc8"], row["open24h"]) == ("10.01", "10.01", "10.01")
    (index,) = get(side, "market/index-tickers?instId=ABC-USDT")["data"]
    assert {index[key] for key in ("idxPx", "high24h", "low24h", "sodUtc8")} == {"10.01"}
    assert get(side, "market/candles?instId=ABC-USDT-SWAP")["data"] == []
    assert get(side, "market/candles?instId=ABC-USDT-SWAP&bar=1D")["data"] == []
    assert get(side, "market/trades?instId=ABC-USDT-SWAP")["data"] == []


def test_a_fault_of_the_venue_is_an_answer_and_a_log_line(side, caplog):
    side._market.venue.statistics._symbols.clear()
    answer = get(side, "market/ticker?instId=ABC-USDT-SWAP")
    assert (answer["code"], answer["data"]) == ("50000", [])
    assert "market/ticker failed" in caplog.text


def test_checksum_option_is_zero_or_real():
    assert ServerOptions().okx_checksums == "zero"
    with pytest.raises(ConfigurationError, match="okx_checksums"):
        ServerOptions(okx_checksums="none")
