from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.simulation.candles import (
    MINUTE_MS,
    RETAINED_MINUTES,
    Candle,
    CandleSeries,
    interval_end,
    interval_start,
)

T0 = 1_700_000_040_000  # a full minute


def series(*trades: tuple[int, str, str]) -> CandleSeries:
    made = CandleSeries()
    for offset_ms, price, qty in trades:
        made.add(Decimal(price), Decimal(qty), T0 + offset_ms)
    return made


def all_candles(made: CandleSeries, interval: str = "1", *, now_ms: int = T0) -> list[Candle]:
    return made.candles(interval, now_ms=now_ms, start_ms=None, end_ms=None, limit=10_000)


def test_a_minute_collects_its_trades() -> None:
    (candle,) = all_candles(series((0, "10", "1"), (1, "12", "2"), (2, "9", "1"), (3, "11", "1")))
    assert (candle.open, candle.high, candle.low, candle.close) == (10, 12, 9, 11)
    assert (candle.volume, candle.turnover) == (5, 54)


def test_a_minute_without_trades_repeats_the_last_close() -> None:
    made = series((0, "10", "1"), (3 * MINUTE_MS, "12", "1"))
    quiet = all_candles(made)[1:3]
    assert [(c.open, c.high, c.low, c.close, c.volume) for c in quiet] == [(10, 10, 10, 10, 0)] * 2


def test_the_first_trade_of_a_begun_minute_opens_it() -> None:
    made = series((0, "10", "1"))
    made.roll(T0 + MINUTE_MS)
    made.add(Decimal(15), Decimal(1), T0 + MINUTE_MS + 5)
    newest = all_candles(made)[-1]
    assert (newest.open, newest.low) == (15, 15)


def test_a_candle_is_closed_exactly_at_its_end() -> None:
    made = series((0, "10", "1"))
    (before,) = all_candles(made, now_ms=T0 + MINUTE_MS - 1)
    (after,) = all_candles(made, now_ms=T0 + MINUTE_MS)
    assert (before.is_closed, after.is_closed) == (False, True)


def test_history_is_bounded_even_after_a_long_silence() -> None:
    made = series((0, "10", "1"))
    made.roll(T0 + 10 * RETAINED_MINUTES * MINUTE_MS)
    assert len(made.bars) == RETAINED_MINUTES
    assert made.bars[-1].start_ms == T0 + 10 * RETAINED_MINUTES * MINUTE_MS


def test_the_newest_are_kept_unless_only_a_start_is_given() -> None:
    made = series(*((minute * MINUTE_MS, "10", "1") for minute in range(10)))
    newest = made.candles("1", now_ms=T0, start_ms=None, end_ms=None, limit=2)
    forward = made.candles("1", now_ms=T0, start_ms=T0 + MINUTE_MS, end_ms=None, limit=2)
    window = made.candles("1", now_ms=T0, start_ms=T0, end_ms=T0 + 5 * MINUTE_MS, limit=2)
    assert [(c.start_ms - T0) // MINUTE_MS for c in newest] == [8, 9]
    assert [(c.start_ms - T0) // MINUTE_MS for c in forward] == [1, 2]
    assert [(c.start_ms - T0) // MINUTE_MS for c in window] == [4, 5]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 50), st.integers(1, 9)), min_size=1),
    st.sampled_from(["3", "5", "15", "60"]),
)
def test_wide_candles_equal_a_plain_fold_over_trades(
    trades: list[tuple[int, int, int]], interval: str
) -> None:
    trades.sort(key=lambda trade: trade[0])
    made = series(*((minute * MINUTE_MS, str(price), str(qty)) for minute, price, qty in trades))
    slow: dict[int, list[tuple[int, int]]] = {}
    for minute, price, qty in trades:
        start = interval_start(interval, T0 + minute * MINUTE_MS)
        slow.setdefault(start, []).append((price, qty))
    for candle in all_candles(made, interval):
        traded = slow.get(candle.start_ms, [])
        assert candle.volume == sum(qty for _, qty in traded)
        if traded:
            assert candle.high >= max(price for price, _ in traded)
            assert candle.close == traded[-1][0]


@pytest.mark.parametrize(
    ("interval", "time", "start"),
    [
        ("D", 1_700_000_000_000, 1_699_920_000_000),
        ("W", 1_700_000_000_000, 1_699_833_600_000),  # Monday 2023-11-13
        ("M", 1_700_000_000_000, 1_698_796_800_000),  # 2023-11-01
        ("240", 1_700_000_000_000, 1_699_992_000_000),
    ],
)
def test_intervals_start_on_the_utc_calendar(interval: str, time: int, start: int) -> None:
    assert interval_start(interval, time) == start
    assert start <= time < interval_end(interval, start)
