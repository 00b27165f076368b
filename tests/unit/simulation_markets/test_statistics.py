from decimal import Decimal

import pytest

from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.instruments import INSTRUMENTS
from trading_system.simulation.statistics import MarketStatistics

T0 = 1_700_000_040_000
MINUTE = 60_000


def statistics() -> tuple[Exchange, MarketStatistics]:
    exchange = Exchange([INSTRUMENTS["BTCUSDT"]], [], seed=1)
    exchange.set_reference("BTCUSDT", index_price=Decimal(65001), mark_price=Decimal(65002))
    return exchange, MarketStatistics(exchange)


def test_ticker_without_any_trade_stands_on_the_mark_price() -> None:
    _, kept = statistics()
    ticker = kept.ticker("BTCUSDT")
    assert (ticker.last_price, ticker.high_24h, ticker.volume_24h) == (65002, 65002, 0)
    assert (ticker.bid_price, ticker.ask_price) == (None, None)


def test_ticker_sums_the_retained_day() -> None:
    _, kept = statistics()
    for minute, price in enumerate([100, 90, 120, 110]):
        kept.add_trade("BTCUSDT", Decimal(price), Decimal(2), T0 + minute * MINUTE)
    ticker = kept.ticker("BTCUSDT")
    assert (ticker.high_24h, ticker.low_24h, ticker.prev_price_24h) == (120, 90, 100)
    assert (ticker.volume_24h, ticker.turnover_24h) == (8, 840)


def test_ticker_forgets_what_is_older_than_a_day() -> None:
    _, kept = statistics()
    kept.add_trade("BTCUSDT", Decimal(500), Decimal(1), T0)
    kept.add_trade("BTCUSDT", Decimal(100), Decimal(1), T0 + MINUTE)
    kept.roll(T0 + 1_441 * MINUTE)
    assert kept.ticker("BTCUSDT").high_24h == 100
    assert kept.ticker("BTCUSDT").volume_24h == 0


def test_ticker_shows_the_touch_of_the_book() -> None:
    exchange, kept = statistics()
    exchange.house_limit("BTCUSDT", Side.BUY, 650_000, 1_500, now_ms=T0)
    exchange.house_limit("BTCUSDT", Side.SELL, 650_010, 2, now_ms=T0)
    ticker = kept.ticker("BTCUSDT")
    assert (ticker.bid_price, ticker.bid_qty) == (Decimal(65000), Decimal("1.5"))
    assert (ticker.ask_price, ticker.ask_qty) == (Decimal(65001), Decimal("0.002"))


def test_the_hour_old_price_is_an_hour_old() -> None:
    _, kept = statistics()
    for minute in range(121):
        kept.add_trade("BTCUSDT", Decimal(minute + 1), Decimal(1), T0 + minute * MINUTE)
    assert kept.ticker("BTCUSDT").prev_price_1h == 61


def test_open_interest_is_sampled_every_five_minutes_newest_first() -> None:
    _, kept = statistics()
    start = T0 - T0 % (15 * MINUTE)
    for minute in range(31):
        kept.set_open_interest("BTCUSDT", Decimal(minute), start + minute * MINUTE)
    history = kept.open_interest_history("BTCUSDT", "5min", 3)
    assert history == [(start + m * MINUTE, Decimal(m)) for m in (30, 25, 20)]
    assert len(kept.open_interest_history("BTCUSDT", "15min", 50)) == 3


def test_mark_and_index_have_candles_of_their_own() -> None:
    _, kept = statistics()
    kept.add_reference("BTCUSDT", mark=Decimal(10), index=Decimal(20), time_ms=T0)
    kept.add_reference("BTCUSDT", mark=Decimal(11), index=Decimal(19), time_ms=T0 + 1_000)
    (mark,) = kept.mark_klines("BTCUSDT", "1", start_ms=None, end_ms=None, limit=5)
    (index,) = kept.index_klines("BTCUSDT", "1", start_ms=None, end_ms=None, limit=5)
    assert (mark.open, mark.close, index.high, index.low) == (10, 11, 20, 19)
    assert kept.klines("BTCUSDT", "1", start_ms=None, end_ms=None, limit=5) == []


def test_settled_funding_is_listed_newest_first() -> None:
    _, kept = statistics()
    kept.add_settlement("BTCUSDT", Decimal("0.0001"), T0)
    kept.add_settlement("BTCUSDT", Decimal("0.0002"), T0 + 1)
    assert kept.funding_history("BTCUSDT", 1) == [(T0 + 1, Decimal("0.0002"))]


def test_unknown_intervals_periods_and_shares_are_refused() -> None:
    _, kept = statistics()
    with pytest.raises(ValidationError):
        kept.klines("BTCUSDT", "2", start_ms=None, end_ms=None, limit=1)
    with pytest.raises(ValidationError):
        kept.open_interest_history("BTCUSDT", "7min", 1)
    with pytest.raises(ValidationError):
        kept.set_long_ratio("BTCUSDT", Decimal(2))
