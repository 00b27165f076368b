"""How far this machine's clock is from the venue's, measured again while a session runs."""

from __future__ import annotations

import structlog

from trading_system.domain.errors import CorruptDataError, VenueError
from trading_system.live.connection import VenueConnection
from trading_system.live.feed import MarketFeed

_LOG = structlog.get_logger(__name__)
_NS_PER_MS = 1_000_000


class VenueTime:
    """Follows the venue's clock: a drift beyond the receive window refuses every request.

    Parameters
    ----------
    connection : VenueConnection
        Measures the offset and signs with it.
    feed : MarketFeed
        Told of every new offset, for the age of its messages.
    offset_ms : float
        What the connection measured when the account was loaded, milliseconds.

    Attributes
    ----------
    offset_ms : float
        The venue's clock minus ours as last measured, milliseconds.
    """

    def __init__(self, connection: VenueConnection, feed: MarketFeed, *, offset_ms: float) -> None:
        self._gateway = connection.gateway
        self._rest = connection.rest
        self._feed = feed
        self.offset_ms = offset_ms
        feed.offset_ns = self.offset_ns()

    def offset_ns(self) -> int:
        """Return the venue's clock minus ours as requests are stamped with it, nanoseconds."""
        return self._rest.offset_ns

    async def synchronise(self) -> None:
        """Measure the offset; where the venue does not answer, the old one stays."""
        try:
            self.offset_ms = await self._gateway.synchronise_clock()
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("the venue's clock could not be read", error=str(e))
        self._feed.offset_ns = self.offset_ns()

    async def follow(self) -> None:
        """Measure again when somebody set this machine's clock or a stamp was refused."""
        if self._rest.venue_clock.has_moved:
            self.offset_ms = self.offset_ns() / _NS_PER_MS
            _LOG.error("this machine's clock was set", clock_offset_ms=self.offset_ms)
            await self.synchronise()
        elif self._rest.venue_clock.is_in_doubt and not self._rest.banned_for_s:
            await self.synchronise()
