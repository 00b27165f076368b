"""The public topics: who subscribes to what, and what is pushed when."""

from __future__ import annotations

import re
from typing import Protocol

from trading_system.domain.instruments import SPOT_SUFFIX, Category, category_of
from trading_system.simulation.bybit_server.book_feed import FIRST_UPDATE, INTERVALS_MS, BookTopic
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.market_feeds import KlineTopic, TickerTopic, TradeTopic
from trading_system.simulation.bybit_server.market_queries import INTERVALS
from trading_system.simulation.bybit_server.parameters import LISTED
from trading_system.simulation.bybit_server.risk_feeds import LiquidationTopic, PriceLimitTopic
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.records import PublicTrade
from trading_system.simulation.venue import SimulatedVenue

_REST_DEPTH = 1000
_KNOWN_SHAPES = re.compile(
    r"(orderbook\.(1|50|200|1000|full|rpi)|publicTrade|tickers|kline\.(\d{1,3}|D|W|M)"
    r"|allLiquidation|priceLimit|insurance|adlAlert)\.[A-Z0-9-]{1,40}|system\.status"
)
_SILENT = ("orderbook.full", "orderbook.rpi")
_SILENT_WITHOUT_SYMBOL = ("insurance.", "adlAlert.", "system.status")


class Subscriber(Protocol):
    """Somebody who receives frames."""

    def push(self, payload: bytes) -> None:
        """Queue one frame."""
        ...


class Topic(Protocol):
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


class PublicFeeds:
    """All public topics of linear and spot; frames are encoded once for all subscribers.

    Inside, a stream is named by its topic text, of spot with the ending of spot keys.
    """

    def __init__(self, venue: SimulatedVenue) -> None:
        self._venue = venue
        self._exchange = venue.exchange
        instruments = self._exchange.instruments
        self._texts = {symbol: GridText(each) for symbol, each in instruments.items()}
        self._topics: dict[str, Topic] = {}
        self._first_update = FIRST_UPDATE
        self._subscribers: dict[str, dict[Subscriber, None]] = {}
        self._due_ms: dict[str, int] = {}

    def is_valid(self, text: str, *, category: str) -> bool:
        """Return whether ``text`` names a topic; where nothing is listed every symbol may be."""
        if not _KNOWN_SHAPES.fullmatch(text):
            return False
        if category not in LISTED or text.startswith(_SILENT_WITHOUT_SYMBOL):
            return True
        head, _, symbol = text.rpartition(".")
        if LISTED[category].key(symbol) not in self._texts:
            return False
        return not head.startswith("kline.") or head.removeprefix("kline.") in INTERVALS

    def subscribe(
        self,
        subscriber: Subscriber,
        topic_text: str,
        *,
        now_ms: int,
        category: Category = Category.LINEAR,
    ) -> None:
        """Start pushing a topic, beginning with its snapshot; twice is the same as once."""
        text = category.key(topic_text)
        subscribers = self._subscribers.setdefault(text, {})
        if subscriber in subscribers:
            return
        topic = self._topic(text)
        if topic is not None:
            self._publish(text, topic, now_ms)
            for frame in topic.snapshot(now_ms):
                subscriber.push(frame)
        subscribers[subscriber] = None
        self._due_ms.setdefault(text, now_ms)

    def unsubscribe(
        self, subscriber: Subscriber, topic_text: str, *, category: Category = Category.LINEAR
    ) -> None:
        """Stop pushing a topic; unknown ones are ignored."""
        text = category.key(topic_text)
        subscribers = self._subscribers.get(text)
        if subscribers is None:
            return
        subscribers.pop(subscriber, None)
        if not subscribers:
            del self._subscribers[text]
            self._due_ms.pop(text, None)

    def restart(self) -> None:
        """Forget what was published; books begin anew with ``u`` 1, as after a restart."""
        self._topics.clear()
        self._first_update = 1

    def add_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        """Hand trades to their stream, if anybody subscribes to it."""
        text = f"publicTrade.{symbol}"
        topic = self._topics.get(text)
        if isinstance(topic, TradeTopic) and text in self._subscribers:
            topic.add(trades)

    def pump(self, now_ms: int) -> None:
        """Push every topic whose interval is over."""
        for text, due_ms in list(self._due_ms.items()):
            topic = self._topics.get(text)
            if topic is None or due_ms > now_ms + topic.interval_ms:
                # Without a topic the stream is silent; a far due time means the clock was set back.
                self._due_ms[text] = now_ms
            elif due_ms <= now_ms:
                late_ms = now_ms - due_ms
                next_ms = now_ms + topic.interval_ms - min(late_ms, topic.interval_ms // 2)
                self._due_ms[text] = next_ms
                self._publish(text, topic, now_ms)

    def rest_book(self, symbol: str, *, limit: int, now_ms: int) -> Row:
        """Return ``market/orderbook``: the state of the 1000-level stream, brought up to date."""
        text = f"orderbook.{_REST_DEPTH}.{symbol}"
        topic = self._topic(text)
        assert isinstance(topic, BookTopic)
        self._publish(text, topic, now_ms)
        return topic.rest_row(limit, now_ms)

    def _publish(self, text: str, topic: Topic, now_ms: int) -> None:
        frames = topic.refresh(now_ms)
        for frame in frames:
            # A subscriber that overflows is dropped while it is being served.
            for subscriber in list(self._subscribers.get(text, ())):
                subscriber.push(frame)

    def _topic(self, text: str) -> Topic | None:
        topic = self._topics.get(text)
        if topic is None and not text.startswith((*_SILENT, *_SILENT_WITHOUT_SYMBOL)):
            topic = self._topics[text] = self._build(text)
        return topic

    def _build(self, text: str) -> Topic:
        category = category_of(text)
        head, _, symbol = text.removesuffix(SPOT_SUFFIX).rpartition(".")
        kind, _, detail = head.partition(".")
        key = category.key(symbol)
        texts, statistics = self._texts[key], self._venue.statistics
        book = self._exchange.book(key)
        if kind == "orderbook":
            assert int(detail) in INTERVALS_MS
            return BookTopic(book, texts, depth=int(detail), first_update=self._first_update)
        if kind == "publicTrade":
            return TradeTopic(texts)
        if kind == "allLiquidation":
            return LiquidationTopic(self._exchange, texts)
        if kind == "priceLimit":
            return PriceLimitTopic(self._exchange, texts)
        if kind == "tickers":
            return TickerTopic(statistics, texts, lambda: book.sequence)
        return KlineTopic(statistics, texts, interval=detail)
