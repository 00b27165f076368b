"""Holds trading while books are stale, and says so: the gate refuses orders on them anyway."""

from __future__ import annotations

import structlog

from trading_system.live.feed import MarketFeed
from trading_system.risk.holds import Holds
from trading_system.risk.limits import TradingState

_LOG = structlog.get_logger(__name__)
_STALE = "stale-book"


def hold_while_stale(feed: MarketFeed, holds: Holds, *, limit_s: float) -> None:
    """Hold trading while a book is older than ``limit_s`` seconds; all stale ones halt it."""
    expected, fresh = len(feed.symbols), feed.fresh_books(limit_s)
    if fresh == expected:
        holds.clear(_STALE)
    elif holds.get(_STALE) is None:
        state = TradingState.REDUCING if fresh else TradingState.HALTED
        why = f"{expected - fresh} of {expected} books are older than {limit_s:g} s"
        _LOG.error("trading held", reason=why)
        holds.set(_STALE, state, why)
