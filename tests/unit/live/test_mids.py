"""A fill is measured against the mid that stood before it, by the venue's own stamps."""

from decimal import Decimal

from trading_system.live.mids import MidHistory


def test_the_mid_before_a_fill_is_older_than_it_even_when_newer_books_have_arrived() -> None:
    mids = MidHistory()
    for ts_ns, mid in ((10, "100"), (20, "100"), (30, "99"), (40, "98")):
        mids.note("BTCUSDT", ts_ns, Decimal(mid))
    assert mids.before("BTCUSDT", 30) == Decimal(100)
    assert mids.before("BTCUSDT", 31) == Decimal(99)
    assert mids.before("BTCUSDT", 1_000) == Decimal(98)


def test_nothing_is_invented_before_the_first_mid_or_for_another_symbol() -> None:
    mids = MidHistory()
    assert mids.before("BTCUSDT", 10) is None
    mids.note("BTCUSDT", 10, Decimal(100))
    assert mids.before("BTCUSDT", 10) is None
    assert mids.before("ETHUSDT", 99) is None


def test_only_the_newest_changes_are_kept() -> None:
    mids = MidHistory()
    for ts_ns in range(1, 1_001):
        mids.note("BTCUSDT", ts_ns, Decimal(ts_ns))
    assert mids.before("BTCUSDT", 489) is None
    assert mids.before("BTCUSDT", 490) == Decimal(489)
