from __future__ import annotations

from typing import cast

import pytest

from trading_system.live.feed import MarketFeed
from trading_system.live.staleness import hold_while_stale
from trading_system.risk.holds import Holds
from trading_system.risk.limits import TradingState


class Books:
    """A feed of two symbols of which a test says how many are fresh."""

    def __init__(self) -> None:
        self.symbols = ("A", "B")
        self.fresh = 2

    def fresh_books(self, max_age_s: float) -> int:
        assert max_age_s == 3.5
        return self.fresh


@pytest.mark.parametrize(("fresh", "state"), [(1, TradingState.REDUCING), (0, TradingState.HALTED)])
def test_stale_books_hold_trading_until_all_are_fresh(fresh: int, state: TradingState) -> None:
    books, holds = Books(), Holds()
    feed = cast("MarketFeed", books)
    hold_while_stale(feed, holds, limit_s=3.5)
    assert holds.state is TradingState.ACTIVE
    books.fresh = fresh
    hold_while_stale(feed, holds, limit_s=3.5)
    hold_while_stale(feed, holds, limit_s=3.5)
    assert holds.state is state
    assert f"{2 - fresh} of 2" in holds.reasons["stale-book"]
    books.fresh = 2
    hold_while_stale(feed, holds, limit_s=3.5)
    assert holds.state is TradingState.ACTIVE
