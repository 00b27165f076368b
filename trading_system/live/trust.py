"""Whether the books of one symbol can be trusted now, and which topics must be renewed.

Level 1 is the second witness: it is sent after every change of the best prices, and again after
three seconds without one. It refutes a book that shows other prices for too long, and its own
rhythm tells when the market fell silent. Of the deeper levels it says nothing, so a suspect book
is renewed whatever level 1 shows.
"""

from __future__ import annotations

from trading_system.market.book import OrderBook

_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000

DIFFER_NS = 1_500 * _NS_PER_MS
"""How long level 1 may show other best prices before the book counts as lost, nanoseconds."""
TOP_SILENT_NS = 3_500 * _NS_PER_MS
"""Silence of level 1 after which it vouches for nothing, nanoseconds."""
SILENT_NS = 5 * _NS_PER_S
"""Silence, or time without a snapshot, after which a topic is renewed, nanoseconds."""

_LEAST_GAPS = 1_000
_MOST_GAPS = 20_000
_TAIL = 1_000  # one gap in a thousand is longer
_MARGIN = 8
_FLOOR_NS = 1_500 * _NS_PER_MS
_BUCKETS = 64
_EVERY = 256


class Rhythm:
    """Learns how long a stream is silent at most, in powers of two of a nanosecond.

    The limit is eight times the 99.9th percentile of the gaps seen, within 1.5 and 3.5 seconds;
    none before a thousand gaps. Old gaps count less and less.
    """

    __slots__ = ("_counts", "_last_ns", "_total", "limit_ns")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._total = 0
        self._last_ns: int | None = None
        self.limit_ns: int | None = None

    def beat(self, now_ns: int) -> None:
        """Note one message."""
        if self._last_ns is not None:
            self._counts[max(now_ns - self._last_ns, 0).bit_length()] += 1
            self._total += 1
            if self._total % _EVERY == 0:
                self._learn()
        self._last_ns = now_ns

    def pause(self) -> None:
        """Note that the stream was cut: the time until the next message is no gap."""
        self._last_ns = None

    def _learn(self) -> None:
        if self._total < _LEAST_GAPS:
            return
        left, bucket = self._total // _TAIL, _BUCKETS - 1
        while self._counts[bucket] <= left:
            left -= self._counts[bucket]
            bucket -= 1
        self.limit_ns = min(max(_MARGIN << bucket, _FLOOR_NS), TOP_SILENT_NS)
        if self._total >= _MOST_GAPS:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)


class BookTrust:
    """Compares the books of one symbol and remembers what must be renewed.

    Parameters
    ----------
    book, top : OrderBook
        Decision book and level 1.
    context : OrderBook or None
        Deeper book beside them.

    Attributes
    ----------
    refuted, silences : int
        Books that level 1 proved wrong, and topics that fell silent.
    """

    __slots__ = (
        "_asked_ns",
        "_books",
        "_context",
        "_differ_ns",
        "_heard_ns",
        "_is_refuted",
        "book",
        "refuted",
        "rhythm",
        "silences",
        "top",
    )

    def __init__(self, book: OrderBook, top: OrderBook, context: OrderBook | None = None) -> None:
        self.book = book
        self.top = top
        self._context = context
        self._books = [book, top] if context is None else [book, top, context]
        self.rhythm = Rhythm()
        self.refuted = self.silences = 0
        self._differ_ns: int | None = None
        self._heard_ns: int | None = None
        self._is_refuted = False
        self._asked_ns: dict[str, int] = {}

    def on_connected(self, now_ns: int) -> None:
        """Note that the stream was subscribed: silence counts from now."""
        self._heard_ns = now_ns
        self._asked_ns.clear()

    def on_lost(self) -> None:
        """Note that the stream was lost: nobody expects a message until it is back."""
        self._heard_ns = None
        self.forget()

    def forget(self) -> None:
        """Forget doubts of a book that is empty now."""
        self._differ_ns = None
        self._is_refuted = False
        self.rhythm.pause()

    def on_book(self) -> None:
        """Compare after a message of the decision book: one that lags behind is not wrong."""
        if self._differ_ns is not None and self.book.shows_best_of(self.top):
            self._differ_ns = None

    def on_top(self, now_ns: int) -> str | None:
        """Compare after a level-1 message; return why the book was emptied, if it was."""
        self.rhythm.beat(now_ns)
        book = self.book
        book.learn_from(self.top)
        agrees = book.agrees_with(self.top)
        if agrees:
            self._differ_ns = None
        elif agrees is False and (book.is_ready or book.is_suspect):
            if self._differ_ns is None:
                self._differ_ns = now_ns
            elif now_ns - self._differ_ns >= DIFFER_NS:
                return self._refute("level 1 shows other prices")
        return None

    def is_silent(self, now_ns: int) -> bool:
        """Return whether level 1 owes a message by its learned rhythm or by its fixed one."""
        heard_ns = self.top.received_ns
        if heard_ns is None:
            return False
        limit_ns = self.rhythm.limit_ns
        return limit_ns is not None and now_ns - heard_ns > limit_ns

    def is_mute(self, now_ns: int) -> bool:
        """Return whether no book of the symbol was heard for so long that the stream is dead."""
        return all(self._silence_ns(book, now_ns) >= SILENT_NS for book in self._books)

    def overdue(self, now_ns: int) -> dict[str, str]:
        """Return the topics that must be renewed now, with the reason; each at most every 5 s."""
        doubts = {book.topic: text for book in self._books if (text := self._doubt(book, now_ns))}
        due = {
            topic: text
            for topic, text in doubts.items()
            if now_ns - self._asked_ns.get(topic, now_ns - SILENT_NS) >= SILENT_NS
        }
        self._asked_ns.update(dict.fromkeys(due, now_ns))
        return due

    def _refute(self, reason: str) -> str:
        self.refuted += 1
        self.forget()
        self._is_refuted = True
        return str(self.book.distrust(reason))

    def _doubt(self, book: OrderBook, now_ns: int) -> str | None:
        if self._heard_ns is None:
            return None
        if book is self.book and self._is_refuted:
            return "level 1 showed other prices"
        if not (book.is_ready or book.is_suspect):
            waits = now_ns - max(self._heard_ns, book.received_ns or 0) >= SILENT_NS
            return "no snapshot came" if waits else None
        if book.is_suspect:
            return "its update id jumped"
        # A quiet deep book is in order; level 1 is sent every three seconds at least.
        if book is self.top and self._silence_ns(book, now_ns) >= SILENT_NS:
            self.silences += 1
            return "level 1 fell silent"
        return None

    def _silence_ns(self, book: OrderBook, now_ns: int) -> int:
        if self._heard_ns is None:
            return 0
        return now_ns - max(self._heard_ns, book.received_ns or 0)
