"""The public stream, with its books judged by the rules of trading."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from trading_system.cli.live_check.link import Heard, HostLink, HostStream
from trading_system.cli.live_check.streaming import greet, judge, note_push
from trading_system.domain.errors import CorruptDataError, SequenceGapError
from trading_system.domain.instruments import Instrument
from trading_system.live.trust import BookTrust
from trading_system.market.book import OrderBook
from trading_system.market.contiguity import Contiguity

_PING_S: Final = 20.0


class WatchedBooks:
    """The books of one contract, judged by the rules of trading.

    Level 1 is the second witness of the 50 levels that decide; 200 levels are the context.
    """

    def __init__(self, contract: Instrument) -> None:
        self.top = OrderBook(contract, depth=1)
        self.book = OrderBook(contract, depth=50, contiguity=Contiguity())
        self.context = OrderBook(contract, depth=200, contiguity=Contiguity())
        self.by_topic = {each.topic: each for each in (self.top, self.book, self.context)}
        self.trust = BookTrust(self.book, self.top, self.context)
        self.overdue: dict[str, str] = {}
        self._heard_ns: dict[str, int] = {}
        self._silence_ns = dict.fromkeys(self.by_topic, 0)

    def on_frame(self, raw: bytes, topic: str, now_ns: int) -> None:
        """Apply one frame, if it is of a book."""
        book = self.by_topic.get(topic)
        if book is None:
            return
        last_ns = self._heard_ns.get(topic, now_ns)
        self._silence_ns[topic] = max(self._silence_ns[topic], now_ns - last_ns)
        self._heard_ns[topic] = now_ns
        # A refused message is counted by the book itself.
        with suppress(CorruptDataError, SequenceGapError):
            book.apply_frame(raw, now_ns)
        if book is self.book:
            self.trust.on_book()
        if book is self.top:
            self.trust.on_top(now_ns)
        self.settle(now_ns)

    def are_ready(self) -> bool:
        """Return whether every book can be trusted now."""
        return all(book.is_ready for book in self.by_topic.values())

    def settle(self, now_ns: int) -> None:
        """Note what is overdue, also where nothing came at all."""
        self.overdue.update(self.trust.overdue(now_ns))

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return counts by topic; silence in milliseconds."""
        return {
            topic: {
                "messages": book.messages,
                "is_ready": book.is_ready,
                "gaps": book.gaps,
                "crossed": book.crossed,
                "rejected": book.rejected,
                "suspicions": book.suspicions,
                "confirmed_jumps": book.confirmed_jumps,
                "longest_silence_ms": self._silence_ns[topic] // 1_000_000,
            }
            for topic, book in self.by_topic.items()
        }

    def problems(self) -> list[str]:
        """Return what a person must look at."""
        found = [f"{topic}: {reason}" for topic, reason in self.overdue.items()]
        for topic, book in self.by_topic.items():
            if not book.is_ready:
                found.append(f"{topic}: no book that can be trusted at the end")
            for name, count in (("crossed", book.crossed), ("rejected", book.rejected)):
                if count:
                    found.append(f"{topic}: {count} messages {name}")
            if book.gaps:
                found.append(f"{topic}: {book.gaps} gaps")
        if self.trust.refuted:
            found.append(f"level 1 refuted the book {self.trust.refuted} times")
        return found


async def watch_public(link: HostLink, contract: Instrument, *, seconds: float) -> None:
    """Subscribe the public topics and judge the books for ``seconds``.

    Raises
    ------
    VenueUnavailable
        If the host closes the stream; what was seen until then is kept.
    VenueRejected
        If it refuses the topics.
    """
    books, clock, symbol = WatchedBooks(contract), link.clock, contract.symbol
    topics = [*books.by_topic, f"publicTrade.{symbol}", f"tickers.{symbol}", f"kline.1.{symbol}"]

    def take(heard: Heard) -> None:
        raw, row = heard
        note_push(link, "public", row)
        books.on_frame(raw, str(row.get("topic", "")), clock.monotonic_ns())

    async with link.stream("public", link.endpoints.public_linear) as stream:
        await greet(stream)
        books.trust.on_connected(clock.monotonic_ns())
        try:
            reply = await stream.ask("subscribe", {"args": topics}, id_key="req_id", also=take)
            judge(link, "public subscribe", reply)
            # The time counts from when every book is there.
            await _listen(stream, take, seconds=link.timeout_s, until=books.are_ready)
            await _listen(stream, take, seconds=seconds)
        finally:
            books.settle(clock.monotonic_ns())
            link.seen.books = books.figures()
            link.seen.problems += books.problems()


# Every 20 s a ping, as the venue wants it; its answer is one of the frames.
async def _listen(
    stream: HostStream,
    take: Callable[[Heard], None],
    *,
    seconds: float,
    until: Callable[[], bool] = lambda: False,
) -> None:
    clock = stream.link.clock
    end_ns = clock.monotonic_ns() + round(seconds * 1e9)
    ping_ns = clock.monotonic_ns() + round(_PING_S * 1e9)
    while (now_ns := clock.monotonic_ns()) < end_ns and not until():
        if now_ns >= ping_ns:
            await stream.say({"op": "ping", "req_id": "keep"})
            ping_ns = now_ns + round(_PING_S * 1e9)
        heard = await stream.hear((min(end_ns, ping_ns) - now_ns) / 1e9)
        if heard is not None:
            take(heard)
