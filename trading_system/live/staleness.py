"""What is done about books that are stale or in doubt.

Trading is held while books are stale, and it is said; the gate refuses orders on them anyway.
Topics that owe a message are subscribed anew, a stream on which nothing is heard is reconnected.
"""

from __future__ import annotations

from typing import Protocol

import structlog

from trading_system.domain.errors import VenueError
from trading_system.live.feed import MarketFeed
from trading_system.risk.holds import Holds
from trading_system.risk.limits import TradingState

_LOG = structlog.get_logger(__name__)
_STALE = "stale-book"


class Renewable(Protocol):
    """A stream whose topics can be subscribed anew."""

    @property
    def is_up(self) -> bool:
        """Whether the connection is subscribed."""
        ...

    async def resync(self, topic: str | None = None) -> bool:
        """Subscribe ``topic`` anew, or reconnect without one; return whether it was asked for."""
        ...


def hold_while_stale(feed: MarketFeed, holds: Holds, *, limit_s: float) -> None:
    """Hold trading while a book is older than ``limit_s`` seconds; all stale ones halt it."""
    expected, fresh = len(feed.symbols), feed.fresh_books(limit_s)
    if fresh == expected:
        holds.clear(_STALE)
        return
    state, held = TradingState.REDUCING if fresh else TradingState.HALTED, holds.get(_STALE)
    if held is None or held.state is not state:
        why = f"{expected - fresh} of {expected} books are older than {limit_s:g} s"
        _LOG.error("trading held", reason=why)
        holds.set(_STALE, state, why)


async def renew_doubtful(feed: MarketFeed, stream: Renewable) -> None:
    """Have every topic renewed that owes a message; call it twice a second."""
    if not stream.is_up:
        return
    try:
        if feed.is_mute():
            _LOG.error("market data fell silent; the stream is opened anew")
            await stream.resync()
            return
        for topic, reason in feed.overdue().items():
            _LOG.warning("topic in doubt is subscribed anew", topic=topic, reason=reason)
            await stream.resync(topic)
    except VenueError as e:  # the connection was lost meanwhile; the next one starts afresh
        _LOG.warning("a topic in doubt could not be renewed", error=str(e))
