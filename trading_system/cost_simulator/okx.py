"""OKX's public books as a book feed, in base currency, vouched for by level 1 while quiet."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from trading_system.cost_simulator.faults import UnknownInstrumentError
from trading_system.cost_simulator.feeds import BookView, Level, Listeners, Tick, not_offered
from trading_system.domain.errors import CorruptDataError, VenueRejected
from trading_system.domain.ports import Clock
from trading_system.venues.link import LinkTiming
from trading_system.venues.okx.book import OkxBook
from trading_system.venues.okx.feed import OkxExtras, OkxPublicFeed
from trading_system.venues.okx.hosts import OkxHosts
from trading_system.venues.okx.instruments import OkxInstrument, OkxInstType
from trading_system.venues.okx.rest import OkxPublicRest

DEPTH: Final = 400
_KEEP_ALIVE_NS: Final = 65_000_000_000
# A quiet stream is asked for a sign of life well before an estimate counts its book as stale.
_TIMING: Final = LinkTiming(ping_s=2.0, pong_s=2.0)
_PRODUCTS: Final = {OkxInstType.SPOT: "spot"}


class OkxBookFeed:
    """Books of several instruments over one connection.

    Parameters
    ----------
    hosts : OkxHosts
        Where the public stream is.
    instruments : Mapping[str, OkxInstrument]
        By OKX's name; supplies contract values.
    channel : str
        ``books`` or ``books5``.
    clock : Clock
        Receive stamps and stage times.
    jitter : random.Random
        Source of the back-off's jitter.
    """

    def __init__(
        self,
        hosts: OkxHosts,
        instruments: Mapping[str, OkxInstrument],
        *,
        channel: str,
        clock: Clock,
        jitter: random.Random,
    ) -> None:
        self._clock = clock
        self._instruments = dict(instruments)
        self._listeners: Listeners | None = None
        self._sides: dict[str, tuple[int, list[Level], list[Level]]] = {}
        self._feed = OkxPublicFeed(
            hosts.public,
            instruments,
            channel=channel,
            clock=clock,
            jitter=jitter,
            on_change=self._on_change,
            extras=OkxExtras(on_top=_nothing),
            timing=_TIMING,
        )

    @property
    def exchange(self) -> str:
        """``okx``."""
        return "okx"

    @property
    def products(self) -> dict[str, str]:
        """Kind of each instrument; futures are charged like perpetuals."""
        return {
            name: _PRODUCTS.get(rules.inst_type, "perpetual")
            for name, rules in self._instruments.items()
        }

    def listen(self, listeners: Listeners) -> None:
        """Tell ``listeners`` from now on."""
        self._listeners = listeners

    async def run(self) -> None:
        """Keep the connection alive until cancelled."""
        await self._feed.run()

    def view(self, instrument: str) -> BookView | None:
        """Return the book, None while there is no trusted two-sided one."""
        book = self._feed.book(instrument)
        received_ns = book.received_ns
        sides = self._sides_of(instrument, book.version) if book.is_ready else None
        if sides is None or received_ns is None:
            return None
        bids, asks = sides
        return BookView(
            bids=bids,
            asks=asks,
            version=book.version,
            sequence=book.seq_id,
            ts_exchange_ns=book.ts_exchange_ns,
            received_ns=received_ns,
            confirmed_ns=confirmed_ns(received_ns, heard_ns=self._heard_ns(instrument, book)),
        )

    def figures(self) -> dict[str, Any]:
        """Return counters of the connection and its books."""
        feed = self._feed
        books = [feed.book(name) for name in self._instruments]
        return {
            "is_up": feed.is_up,
            "frames": feed.frames,
            "resyncs": feed.resyncs,
            "connects": feed.connects,
            "gaps": sum(book.gaps for book in books),
            "crossed": sum(book.crossed for book in books),
            "rejected": sum(book.rejected for book in books),
            "checksum_failures": sum(book.checksum_failures for book in books),
        }

    # A connection can live on after OKX has stopped sending one channel. Then level 1 moves away.
    def _heard_ns(self, instrument: str, book: OkxBook) -> int | None:
        top = self._feed.top(instrument)
        if top is None or not (self._feed.is_up and top.is_ready):
            return None
        is_same = (top.best_bid, top.best_ask) == (book.best_bid, book.best_ask)
        return self._feed.last_frame_ns if is_same else None

    def _sides_of(self, instrument: str, version: int) -> tuple[list[Level], list[Level]] | None:
        known = self._sides.get(instrument)
        if known is not None and known[0] == version:
            return known[1], known[2]
        sides = self._feed.depth(instrument, DEPTH)
        if sides is None or not all(sides):
            return None
        self._sides[instrument] = (version, *sides)
        return sides

    def _on_change(self, instrument: str) -> None:
        listeners, book = self._listeners, self._feed.book(instrument)
        if listeners is None:
            return
        if not book.is_ready:
            listeners.on_lost(instrument)
            return
        mid, received_ns = book.get_mid_price(), book.received_ns
        if mid is None or received_ns is None:
            return
        listeners.on_tick(
            Tick(
                instrument=instrument,
                mid=mid,
                received_ns=received_ns,
                decoded_ns=None,
                applied_ns=self._clock.monotonic_ns(),
            )
        )


def confirmed_ns(received_ns: int, *, heard_ns: int | None) -> int:
    """Return when a book was last known to be right.

    OKX repeats nothing, so anything heard on the connection vouches for a quiet book, but only
    while level 1, a channel of its own, shows the same best levels; and since OKX confirms each
    book once a minute, silence beyond that counts.

    Parameters
    ----------
    received_ns : int
        Newest message of the book, monotonic nanoseconds.
    heard_ns : int or None
        Newest frame of the connection, None while it is down or level 1 says something else.
    """
    if heard_ns is None or heard_ns - received_ns > _KEEP_ALIVE_NS:
        return received_ns
    return max(received_ns, heard_ns)


async def read_instruments(
    hosts: OkxHosts, wanted: Sequence[str], *, clock: Clock
) -> dict[str, OkxInstrument]:
    """Return the wanted instruments as OKX describes them.

    Raises
    ------
    UnknownInstrumentError
        If OKX does not offer one, or it does not trade now; the message names some that do.
    VenueError
        If OKX cannot be reached.
    """
    found: dict[str, OkxInstrument] = {}
    async with OkxPublicRest(hosts, clock=clock) as rest:
        for name in wanted:
            try:
                found[name] = await rest.instrument(name)
            except (VenueRejected, CorruptDataError) as e:
                raise await _unknown(rest, name) from e
            if not found[name].is_live:
                raise await _unknown(rest, name)
    return found


async def _unknown(rest: OkxPublicRest, name: str) -> UnknownInstrumentError:
    listed = await rest.instruments(OkxInstType.SWAP)
    return not_offered("okx", name, [each for each, rules in listed.items() if rules.is_live])


def _nothing(_top: OkxBook) -> None:
    return
