"""Brings the frames of a host's public stream to a live market."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.instruments import Instrument
from trading_system.domain.ports import Clock
from trading_system.runtime.backoff import Backoff
from trading_system.simulation.live_market.hosts import PublicHost
from trading_system.simulation.live_market.market import LiveMarket
from trading_system.simulation.live_market.stream import PublicStream
from trading_system.simulation.replay.bybit import SymbolFrames
from trading_system.simulation.replay.messages import Findings, Snapshot

BOOK_DEPTH = 50
"""Levels of the followed book: the fastest incremental stream, every 20 ms."""

_FIRST_BOOKS_S = 20.0
_SILENCE_S = 6.0
_BACKOFF = Backoff(first_s=0.5, max_s=15.0, attempts=8)


class LiveFeed:
    """Decodes frames for a market; a stream's listener.

    Parameters
    ----------
    market : LiveMarket
        Receives the messages.
    instruments : Mapping of str to Instrument
        By listing key, all of one category.
    """

    def __init__(self, market: LiveMarket, instruments: Mapping[str, Instrument]) -> None:
        self._market = market
        self._keys = {instrument.symbol: key for key, instrument in instruments.items()}
        # A missing update raises: the stream is opened again, which brings a snapshot.
        self._frames = {
            instrument.symbol: SymbolFrames(instrument, depth=BOOK_DEPTH, findings=Findings())
            for instrument in instruments.values()
        }
        self._without_book = set(self._frames)
        self.has_all_books = asyncio.Event()
        self.last_failure = ""

    def on_connected(self) -> None:
        """Expect snapshots."""
        for frames in self._frames.values():
            frames.interrupt()

    def on_frame(self, topic: str, frame: bytes, received_ns: int) -> None:
        """Decode one frame into messages of the market."""
        symbol = topic.rpartition(".")[2]
        if symbol not in self._frames:
            return
        messages = self._frames[symbol].decode(topic, frame, stamp_ns=received_ns)
        if not messages:
            return
        self._market.receive(self._keys[symbol], messages)
        if self._without_book and isinstance(messages[0], Snapshot):
            self._without_book.discard(symbol)
            if not self._without_book:
                self.has_all_books.set()

    def on_lost(self, reason: str) -> None:
        """Tell the market that it knows nothing any more."""
        self.last_failure = reason
        self._market.lose(list(self._keys.values()))


@asynccontextmanager
async def following(
    market: LiveMarket,
    host: PublicHost,
    instruments: Mapping[str, Instrument],
    *,
    clock: Clock,
    first_books_s: float = _FIRST_BOOKS_S,
    silence_s: float = _SILENCE_S,
    backoff: Backoff = _BACKOFF,
) -> AsyncIterator[None]:
    """Let ``market`` follow ``host`` while the block runs, which begins with all books known.

    Raises
    ------
    ConfigurationError
        If the first books have not come after ``first_books_s`` seconds.
    """
    feed = LiveFeed(market, instruments)
    stream = PublicStream(
        f"{host.ws}/v5/public/linear",
        [instrument.symbol for instrument in instruments.values()],
        [f"orderbook.{BOOK_DEPTH}", "publicTrade", "tickers"],
        listener=feed,
        clock=clock,
        silence_s=silence_s,
        backoff=backoff,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stream.run(), name="live market")
        try:
            try:
                async with asyncio.timeout(first_books_s):
                    await feed.has_all_books.wait()
            except TimeoutError as e:
                why = feed.last_failure or "no snapshot of every symbol"
                raise ConfigurationError(
                    f"no live market from {host.name} within {first_books_s:g} s: {why}"
                ) from e
            yield
        finally:
            running.cancel()
