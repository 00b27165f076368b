import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.simulation.bybit_server.market_feeds import (
    KlineTopic,
    TradeTopic,
    interval_end_ms,
)
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.records import PublicTrade
from trading_system.simulation.statistics import Candle

TEXTS = GridText(
    Instrument(
        symbol="ABCUSDT",
        base_coin="ABC",
        quote_coin="USDT",
        tick_size=Decimal("0.01"),
        qty_step=Decimal("0.1"),
        min_price=Decimal("0.01"),
        max_price=Decimal(1000),
        min_qty=Decimal("0.1"),
        max_qty=Decimal(5000),
        max_market_qty=Decimal(1000),
    )
)


def trade(number):
    return PublicTrade(
        trade_id=str(number),
        symbol="ABCUSDT",
        price_ticks=1000,
        lots=1,
        taker_side=Side.BUY,
        time_ms=number,
        sequence=number,
        tick_direction="PlusTick",
    )


def candle(start_ms, close):
    price = Decimal(close)
    return Candle(
        start_ms=start_ms,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
        turnover=price,
        is_closed=False,
    )


class FakeStatistics:
    def __init__(self, *candles):
        self.candles = list(candles)

    def klines(self, symbol, interval, *, start_ms, end_ms, limit):
        return self.candles[-limit:]


def test_many_trades_are_split_in_order():
    topic = TradeTopic(TEXTS)
    topic.add([trade(n) for n in range(2500)])
    messages = [json.loads(frame)["data"] for frame in topic.refresh(1)]
    assert [len(rows) for rows in messages] == [1024, 1024, 452]
    assert [row["seq"] for rows in messages for row in rows] == list(range(2500))
    assert topic.refresh(2) == []


def test_unfetched_trades_are_bounded():
    topic = TradeTopic(TEXTS)
    for first in range(0, 40_000, 1000):
        topic.add([trade(n) for n in range(first, first + 1000)])
    rows = [row for frame in topic.refresh(1) for row in json.loads(frame)["data"]]
    assert len(rows) == 16 * 1024
    assert rows[-1]["seq"] == 39_999


def test_candle_is_confirmed_once_when_it_closes():
    statistics = FakeStatistics(candle(0, 10))
    topic = KlineTopic(statistics, TEXTS, interval="1")
    topic.refresh(0)
    assert topic.refresh(1000) == []
    statistics.candles.append(candle(60_000, 11))
    rows = [json.loads(frame)["data"][0] for frame in topic.refresh(60_000)]
    assert [(row["start"], row["confirm"]) for row in rows] == [(0, True), (60_000, False)]
    assert rows[0]["end"] == 59_999
    assert topic.refresh(61_000) == []


def test_every_candle_that_closed_during_a_pause_is_confirmed():
    statistics = FakeStatistics(candle(0, 10))
    topic = KlineTopic(statistics, TEXTS, interval="1")
    topic.refresh(0)
    statistics.candles += [candle(minute * 60_000, 10 + minute) for minute in range(1, 8)]
    rows = [json.loads(frame)["data"][0] for frame in topic.refresh(420_000)]
    assert [row["start"] // 60_000 for row in rows if row["confirm"]] == list(range(7))


@pytest.mark.parametrize("months", [0, 13, 25, 361, 600, 649, 900, 1562])
def test_month_ends_with_its_last_millisecond(months):
    year, month = 1970 + months // 12, months % 12 + 1
    first = datetime(year, month, 1, tzinfo=UTC)
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    start_ms = int(first.timestamp() * 1000)
    end_ms = int((after - timedelta(milliseconds=1)).timestamp() * 1000)
    assert interval_end_ms(start_ms, "M") == end_ms


@pytest.mark.parametrize(
    ("interval", "minutes"), [("1", 1), ("720", 720), ("D", 1440), ("W", 10_080)]
)
def test_other_intervals_have_a_fixed_length(interval, minutes):
    assert interval_end_ms(0, interval) == minutes * 60_000 - 1
