"""Full books that a third party passes on: one JSON object per update, the path says of what.

The stream has no sequence, no checksum and no heartbeat, and its time stamps have whole seconds:
each message replaces the book, age is judged by the receive clock, and 5 s of silence open the
connection anew.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from trading_system.domain.errors import CorruptDataError
from trading_system.domain.ports import Clock
from trading_system.venues.link import Heartbeat, Link, LinkTiming
from trading_system.venues.okx.book import RELAY, OkxBook
from trading_system.venues.okx.hosts import VENUE
from trading_system.venues.okx.instruments import OkxInstrument
from trading_system.venues.okx.surface import OkxBookView
from trading_system.venues.okx.wire import REFUSALS, BookRow, Level

_PATH = "/ws/l2-orderbook/okx/"
_HEARTBEAT = Heartbeat(venue=f"{VENUE} relay", ping=None)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

RELAY_TIMING = LinkTiming(ping_s=5.0)
"""A connection that is silent for 5 s is opened anew."""


class _RelayFrame(msgspec.Struct, gc=False):
    timestamp: datetime
    symbol: str
    asks: list[tuple[str, str]]
    bids: list[tuple[str, str]]


class RelayFeed(OkxBookView):
    """The book of one instrument from a relay.

    Parameters
    ----------
    url_base : str
        Address of the relay without a path, for example ``wss://relay.test``.
    instrument : OkxInstrument
        What to read; supplies the contract value.
    clock : Clock
        Source of receive stamps.
    jitter : random.Random
        Source of the back-off's jitter.
    on_change : Callable[[str], None]
        Told the ``inst_id`` after each message that changed the book, also when it was emptied.
    timing : LinkTiming or None
        Patience of the connection; None: :data:`RELAY_TIMING`.
    """

    def __init__(
        self,
        url_base: str,
        instrument: OkxInstrument,
        *,
        clock: Clock,
        jitter: random.Random,
        on_change: Callable[[str], None] = lambda _inst_id: None,
        timing: LinkTiming | None = None,
    ) -> None:
        self._inst_id = instrument.inst_id
        self._book = OkxBook(self._inst_id, channel=RELAY)
        self._books = {self._inst_id: self._book}
        self._instruments = {self._inst_id: instrument}
        self._on_change = on_change
        self._decode = msgspec.json.Decoder(_RelayFrame).decode
        self.resyncs = 0
        self.rejected = 0
        self._link = Link(
            f"{url_base.rstrip('/')}{_PATH}{self._inst_id}",
            self,
            clock=clock,
            jitter=jitter,
            heartbeat=_HEARTBEAT,
            timing=timing or RELAY_TIMING,
        )

    async def run(self) -> None:
        """Keep the connection and the book alive until cancelled.

        Raises
        ------
        VenueUnavailable
            When the back-off has run out of attempts.
        """
        await self._link.run()

    # --- called by the link -------------------------------------------------------------------

    def opened(self) -> None:
        """Send nothing: the relay starts by itself."""

    def received(self, frame: bytes, received_ns: int) -> None:
        """Replace the book; a book that is crossed in itself empties it."""
        try:
            message = self._decode(frame)
        except REFUSALS as e:
            raise CorruptDataError(f"relay: {str(e)[:200]}") from e
        if message.symbol != self._inst_id:
            raise CorruptDataError(f"relay: a book of {message.symbol[:40]!r}")
        row = BookRow(
            asks=_levels(message.asks), bids=_levels(message.bids), ts=_stamp(message.timestamp)
        )
        version = self._book.version
        try:
            self._book.apply(row, received_ns, is_snapshot=True)
        except CorruptDataError:
            self.rejected += 1  # the next message is a whole book again
        if not self.is_up:
            self._link.prepared()
        if self._book.version != version:
            self._on_change(self._inst_id)

    def closed(self, reason: str) -> None:
        """Empty the book."""
        del reason
        if self._book.is_ready:
            self._book.reset()
            self._on_change(self._inst_id)


def _levels(rows: list[tuple[str, str]]) -> list[Level]:
    return [(price, size, "0", "0") for price, size in rows if size.strip("0.")]


def _stamp(moment: datetime) -> str:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return str(max(0, round((aware - _EPOCH).total_seconds() * 1000)))
