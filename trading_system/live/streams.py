"""The session's two streams: where their frames go, and what follows when one is lost."""

from __future__ import annotations

from trading_system.live.account_side import AccountSide
from trading_system.live.connection import VenueConnection
from trading_system.live.feed import MarketFeed
from trading_system.live.outage import OutageWatch
from trading_system.live.venue_time import VenueTime
from trading_system.runtime.lifecycle import Spawn
from trading_system.venues.bybit.streams import StreamCallbacks

_PRIVATE = "private stream"
_PUBLIC = "market data"
_VENUE = "venue process"


class SessionStreams:
    """Public and private stream of one session, and the outages of both.

    Parameters
    ----------
    connection : VenueConnection
        Makes the streams.
    feed : MarketFeed
        Takes the public frames.
    account : AccountSide
        Takes the private frames, holds trading during an outage, learns what happened meanwhile.
    venue_time : VenueTime
        Measured anew after an outage.
    spawn : Callable
        Starts a supervised task from a name and a coroutine.
    """

    def __init__(
        self,
        connection: VenueConnection,
        *,
        feed: MarketFeed,
        account: AccountSide,
        venue_time: VenueTime,
        spawn: Spawn,
    ) -> None:
        self._feed = feed
        self._engine = account.engine
        self._reconciler = account.reconciler
        self._venue_time = venue_time
        self._spawn = spawn
        self._trade = connection.trade
        self.outage = OutageWatch(
            account.engine.holds,
            recover=self._catch_up,
            poll=self._poll_account,
            spawn=spawn,
            venue_ns=account.reconciler.venue_ns,
        )
        self.private = connection.private_stream(
            StreamCallbacks(
                on_frame=account.reports.on_frame,
                on_up=lambda: self.outage.up(_PRIVATE),
                on_down=self._on_private_down,
            )
        )
        self.public = connection.public_stream(
            feed.topics(),
            StreamCallbacks(
                on_frame=feed.on_frame,
                on_up=self._on_public_up,
                on_down=self._on_public_down,
                on_resync=feed.reset_topic,
            ),
        )

    def start(self) -> None:
        """Connect the streams, and the order socket where there is one, in supervised tasks."""
        if self._trade is not None:
            self._spawn("trade-stream", self._trade.run())
        self._spawn("private-stream", self.private.run())
        self._spawn("public-stream", self.public.run())

    def note_venue(self, *, is_up: bool) -> None:
        """Note that the embedded venue's process died or came back."""
        if is_up:
            self.outage.up(_VENUE)
        else:
            self.outage.down(_VENUE, "the embedded venue died")

    def _on_private_down(self, reason: str) -> None:
        self.outage.down(_PRIVATE, reason, silent_s=self.private.silent_s)

    def _on_public_up(self) -> None:
        self._feed.connected()
        self.outage.up(_PUBLIC)

    def _on_public_down(self, reason: str) -> None:
        self._feed.reset()
        self.outage.down(_PUBLIC, reason)

    async def _catch_up(self) -> bool:
        """Learn what happened during an outage; return whether both sides are known to agree."""
        await self._venue_time.synchronise()
        if not await self._reconciler.catch_up(self.outage.since_ns):
            return False
        # What agreed before the outage proves nothing now.
        return await self._reconciler.agrees_now() and not self._engine.unknown_orders

    async def _poll_account(self) -> None:
        await self._reconciler.catch_up(self.outage.since_ns)
