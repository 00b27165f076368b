"""All streams: who follows what, and what is pushed when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trading_system.simulation.okx_server.book_feed import BookFeed, RelayFeed, SmallBookFeed
from trading_system.simulation.okx_server.catalogue import Stream
from trading_system.simulation.okx_server.contracts import SwapContract
from trading_system.simulation.okx_server.market import OkxMarket, RowOf
from trading_system.simulation.okx_server.market_feeds import CandleFeed, RowFeed, TradeFeed
from trading_system.simulation.okx_server.rows import SWAP, Row
from trading_system.simulation.records import PublicTrade

RELAY = "relay"
"""Channel name of the relay's streams; no client can ask for it by a subscription."""

_BOOKS = "books"
_INSTRUMENTS_MS = 60_000


class Subscriber(Protocol):
    """Somebody who receives frames."""

    def push(self, payload: bytes) -> None:
        """Queue one frame."""
        ...


class Feed(Protocol):
    """A stream that knows what its subscribers hold."""

    @property
    def interval_ms(self) -> int:
        """Milliseconds between two pushes."""
        ...

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the messages that bring subscribers up to date."""
        ...

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the messages that bring a new subscriber to the same state."""
        ...


class OkxFeeds:
    """Streams are built when first wanted; frames are encoded once for all subscribers."""

    def __init__(self, market: OkxMarket, *, has_checksums: bool) -> None:
        self._market = market
        self._has_checksums = has_checksums
        self._feeds: dict[Stream, Feed] = {}
        self._subscribers: dict[Stream, dict[Subscriber, None]] = {}
        self._due_ms: dict[Stream, int] = {}
        self._row_feeds: dict[str, tuple[RowOf, int]] = {
            "tickers": (market.ticker, 100),
            "index-tickers": (market.index, 100),
            "mark-price": (market.mark_price, 200),
            "price-limit": (market.price_limit, 200),
            "open-interest": (market.open_interest, 3_000),
            "funding-rate": (market.funding_rate, 30_000),
        }

    def subscribe(self, subscriber: Subscriber, stream: Stream, *, now_ms: int) -> None:
        """Start pushing ``stream``, beginning with its snapshot; twice is the same as once."""
        subscribers = self._subscribers.setdefault(stream, {})
        if subscriber in subscribers:
            return
        feed = self._feed(stream)
        if not subscribers and isinstance(feed, TradeFeed):
            feed.refresh(now_ms)
        self._publish(stream, feed, now_ms)
        for frame in feed.snapshot(now_ms):
            subscriber.push(frame)
        subscribers[subscriber] = None
        self._due_ms.setdefault(stream, now_ms + feed.interval_ms)

    def unsubscribe(self, subscriber: Subscriber, stream: Stream) -> None:
        """Stop pushing ``stream``; unknown ones are ignored."""
        subscribers = self._subscribers.get(stream)
        if subscribers is None:
            return
        subscribers.pop(subscriber, None)
        if not subscribers:
            del self._subscribers[stream]
            self._due_ms.pop(stream, None)

    def add_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        """Keep the trades of one matching step, and hand them to their streams."""
        if symbol not in self._market.logs:
            return  # Spot pairs are not shown on this side.
        matches = self._market.logs[symbol].add(trades)
        name = self._market.by_symbol[symbol].inst_id
        for channel in ("trades", "trades-all"):
            stream = Stream(channel, name)
            feed = self._feeds.get(stream)
            if isinstance(feed, TradeFeed) and stream in self._subscribers:
                feed.add(matches)

    def pump(self, now_ms: int) -> None:
        """Push every stream whose interval is over."""
        for stream, due_ms in list(self._due_ms.items()):
            feed = self._feeds[stream]
            if due_ms > now_ms + feed.interval_ms:
                self._due_ms[stream] = now_ms  # The clock was set back.
            elif due_ms <= now_ms:
                late_ms = min(now_ms - due_ms, feed.interval_ms // 2)
                self._due_ms[stream] = now_ms + feed.interval_ms - late_ms
                self._publish(stream, feed, now_ms)

    def rest_book(self, contract: SwapContract, depth: int, *, now_ms: int) -> Row:
        """Return ``market/books``: the state of the ``books`` stream, brought up to date."""
        stream = Stream(_BOOKS, contract.inst_id)
        feed = self._feed(stream)
        assert isinstance(feed, BookFeed)
        self._publish(stream, feed, now_ms)
        return feed.rest_row(depth, now_ms)

    def _publish(self, stream: Stream, feed: Feed, now_ms: int) -> None:
        for frame in feed.refresh(now_ms):
            # A subscriber that overflows is dropped while it is being served.
            for subscriber in list(self._subscribers.get(stream, ())):
                subscriber.push(frame)

    def _feed(self, stream: Stream) -> Feed:
        feed = self._feeds.get(stream)
        if feed is None:
            feed = self._feeds[stream] = self._build(stream)
        return feed

    def _build(self, stream: Stream) -> Feed:
        channel, name = stream
        market = self._market
        if channel == "instruments":
            return RowFeed(stream, self._listed(name), interval_ms=_INSTRUMENTS_MS)
        contract = market.by_index[name] if channel == "index-tickers" else market.contracts[name]
        if channel in self._row_feeds:
            row_of, interval_ms = self._row_feeds[channel]
            return RowFeed(
                stream, lambda now_ms: [row_of(contract, now_ms)], interval_ms=interval_ms
            )
        if channel in {"trades", "trades-all"}:
            return TradeFeed(stream, contract)
        if channel.startswith("candle"):
            return CandleFeed(stream, contract, market.venue.statistics)
        book = market.venue.exchange.book(contract.symbol)
        if channel == _BOOKS:
            return BookFeed(book, contract, has_checksums=self._has_checksums)
        if channel == RELAY:
            return RelayFeed(book, contract)
        return SmallBookFeed(book, contract, channel=channel)

    def _listed(self, instrument_type: str) -> Callable[[int], list[Row]]:
        contracts = list(self._market.contracts.values()) if instrument_type == SWAP else []
        return lambda now_ms: [self._market.instrument(each, now_ms) for each in contracts]
