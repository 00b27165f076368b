"""The trusted order book of one OKX instrument on one channel.

A message is applied whole or refused whole. What a refusal means:

* malformed or impossible (not a plain number, a price twice, a zero in a snapshot, more levels than
  replacing all of them takes): nothing changed; a lost update shows up as a gap with the next one;
* a gap in ``prevSeqId``, a wrong checksum, bid at or above ask: the book can no longer be right. It
  is emptied and ``is_ready`` is false until a snapshot comes.

Prices are keyed by their float value, so ``95448`` and ``95448.0`` are one level; the original
text is kept beside it, because OKX's checksum is taken over the text. Sizes are as sent: contracts,
or base currency for SPOT. One side is a sorted list of prices and two dictionaries: a change costs
one bisection.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from itertools import zip_longest

from trading_system.domain.errors import CorruptDataError, SequenceGapError, ValidationError
from trading_system.domain.orders import Side
from trading_system.venues.okx.instruments import Levels
from trading_system.venues.okx.wire import BookRow, Frame, Level, read_books, stamp_ns

DEPTHS = {"books": 400, "books-l2-tbt": 400, "books50-l2-tbt": 50, "books5": 5, "bbo-tbt": 1}
"""Levels per side of each book channel."""

RELAY = "relay"
"""Not a channel of OKX: the books that third parties pass on whole, see ``relay``."""

FULL_CHANNELS = frozenset({"books5", "bbo-tbt", RELAY})
"""Channels whose every message is the whole book."""

_CHECKED_LEVELS = 25
_MARGIN = 100
_MAX_PRICE = 1e12
_MAX_SIZE = 1e18
_NUMBER_BYTES = b"0123456789."
_SNAPSHOT_SEQ = -1


class _Half:
    # One side: prices ascending, so that the best bid is the last one and the best ask the first.
    __slots__ = ("prices", "rows", "sizes")

    def __init__(self) -> None:
        self.prices: list[float] = []
        self.sizes: dict[float, float] = {}
        self.rows: dict[float, Level] = {}

    def clear(self) -> None:
        self.prices.clear()
        self.sizes.clear()
        self.rows.clear()

    def replace(self, ordered: list[float], sizes: dict[float, float], rows: list[Level]) -> None:
        self.prices = ordered
        self.sizes = sizes
        self.rows = dict(zip(sizes, rows, strict=True))

    def update(self, changes: dict[float, float], rows: list[Level]) -> None:
        mine, known, texts = self.prices, self.sizes, self.rows
        for (price, size), row in zip(changes.items(), rows, strict=True):
            if size:
                if price not in known:
                    insort(mine, price)
                known[price] = size
                texts[price] = row
            elif price in known:
                del known[price], texts[price], mine[bisect_left(mine, price)]

    def drop(self, prices: list[float]) -> None:
        for price in prices:
            del self.sizes[price], self.rows[price]


class OkxBook:
    """One instrument's book, kept from one book channel.

    Parameters
    ----------
    inst_id : str
        OKX's name of the instrument.
    channel : str
        One of :data:`DEPTHS`, or :data:`RELAY`; levels beyond the channel's depth are dropped.

    Attributes
    ----------
    messages : int
        Messages handed in, refused ones included.
    gaps : int
        Times messages were found to be lost, wrong checksums included.
    checksum_failures, checksums : int
        Wrong checksums, and all that were provided (0 and none are not).
    crossed : int
        Messages refused because bid would have been at or above ask.
    rejected : int
        Messages refused as malformed or impossible, gaps and crossings not included.
    ignored : int
        Updates passed over while waiting for a snapshot.
    keep_alives : int
        Messages that said that nothing had changed.
    version : int
        Grows by one with each change of the book, also when it is emptied.

    Raises
    ------
    ValidationError
        If ``channel`` is not a book channel.
    """

    __slots__ = (
        "_asks",
        "_bids",
        "_is_full",
        "_ready",
        "_received_ns",
        "_seq_id",
        "_ts_exchange_ns",
        "channel",
        "checksum_failures",
        "checksums",
        "crossed",
        "depth",
        "gaps",
        "ignored",
        "inst_id",
        "keep_alives",
        "messages",
        "rejected",
        "version",
    )

    def __init__(self, inst_id: str, *, channel: str = "books") -> None:
        if channel not in DEPTHS and channel != RELAY:
            raise ValidationError(f"not a book channel: {channel!r}; there are {sorted(DEPTHS)}")
        self.inst_id = inst_id
        self.channel = channel
        self.depth = DEPTHS.get(channel, DEPTHS["books"])
        self.messages = self.gaps = self.crossed = self.rejected = self.ignored = 0
        self.checksums = self.checksum_failures = self.keep_alives = self.version = 0
        self._is_full = channel in FULL_CHANNELS
        self._bids, self._asks = _Half(), _Half()
        self._ready = False
        self._seq_id: int | None = None
        self._ts_exchange_ns: int | None = None
        self._received_ns: int | None = None

    # --- changes ------------------------------------------------------------------------------

    def apply_frame(self, frame: Frame, received_ns: int) -> bool:
        """Decode ``frame`` and apply its elements in order; see :meth:`apply`.

        Raises
        ------
        CorruptDataError
            If the frame is malformed or another book's; nothing changed.
        """
        try:
            message = read_books(frame)
        except CorruptDataError:
            self.messages += 1
            self.rejected += 1
            raise
        if message.arg.channel != self.channel or message.arg.instId != self.inst_id:
            self.messages += 1
            raise self._refusal(f"a frame of {message.arg.channel[:40]} {message.arg.instId[:40]}")
        has_changed = False
        for row in message.data:
            has_changed |= self.apply(row, received_ns, is_snapshot=message.action == "snapshot")
        return has_changed

    def apply(self, row: BookRow, received_ns: int, *, is_snapshot: bool) -> bool:
        """Apply one element of a book frame.

        Parameters
        ----------
        row : BookRow
            A snapshot (``is_snapshot``, or ``prevSeqId`` -1, or any row of a full channel)
            replaces the book; an update must follow the newest ``seqId``.
        received_ns : int
            Monotonic nanoseconds of receipt.
        is_snapshot : bool
            Whether the frame's ``action`` says so.

        Returns
        -------
        bool
            Whether the book was brought to a new state: False for a keep-alive, and for an update
            while the book waits for its snapshot.

        Raises
        ------
        SequenceGapError
            If messages were lost, the checksum is wrong, or an update crosses the book; it is
            empty until a snapshot.
        CorruptDataError
            If the row is impossible; nothing changed, but a snapshot that is crossed in itself
            empties the book.
        """
        self.messages += 1
        ts_exchange_ns = self._stamp(row)
        replaces = is_snapshot or self._is_full or row.prev_seq_id == _SNAPSHOT_SEQ
        if not replaces:
            if not self._ready:
                self.ignored += 1
                return False
            self._check_order(row)
        is_quiet = not (replaces or row.bids or row.asks) and row.seq_id == row.prev_seq_id
        if not is_quiet:
            self._write(row, replaces=replaces)
        if row.checksum:
            self._check(row.checksum)
        self._seq_id = row.seq_id
        self._ts_exchange_ns = ts_exchange_ns
        self._received_ns = received_ns
        if is_quiet:
            self.keep_alives += 1
            return False
        self._ready = True
        self.version += 1
        return True

    def reset(self) -> None:
        """Empty the book, as after a lost connection; the next snapshot makes it ready again."""
        self._ready = False
        self._seq_id = None
        self._bids.clear()
        self._asks.clear()
        self.version += 1

    # --- readings -----------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether the book is known to equal the venue's as of :attr:`seq_id`."""
        return self._ready

    @property
    def seq_id(self) -> int | None:
        """``seqId`` of the newest applied message; None without one."""
        return self._seq_id

    @property
    def ts_exchange_ns(self) -> int | None:
        """Exchange's time of the newest applied message, UTC nanoseconds; None before it."""
        return self._ts_exchange_ns

    @property
    def received_ns(self) -> int | None:
        """Monotonic receive time of the newest applied message or keep-alive, nanoseconds."""
        return self._received_ns

    @property
    def best_bid(self) -> tuple[float, float] | None:
        """(price, size) of the highest bid, None without one."""
        prices = self._bids.prices
        return (prices[-1], self._bids.sizes[prices[-1]]) if prices else None

    @property
    def best_ask(self) -> tuple[float, float] | None:
        """(price, size) of the lowest ask, None without one."""
        prices = self._asks.prices
        return (prices[0], self._asks.sizes[prices[0]]) if prices else None

    def levels(self, side: Side, count: int) -> Levels:
        """Return up to ``count`` (price, size) of the bids (BUY) or asks (SELL), best first."""
        half, prices = self._top(side, count)
        sizes = half.sizes
        return [(price, sizes[price]) for price in prices]

    def texts(self, side: Side, count: int) -> list[tuple[str, str]]:
        """Return up to ``count`` (price, size) in the venue's own spelling, best first."""
        half, prices = self._top(side, count)
        return [half.rows[price][:2] for price in prices]

    def get_mid_price(self) -> float | None:
        """Return the middle of best bid and ask, None when a side is empty."""
        bids, asks = self._bids.prices, self._asks.prices
        return (bids[-1] + asks[0]) / 2 if bids and asks else None

    def get_spread(self) -> float | None:
        """Return best ask minus best bid, positive; None when a side is empty."""
        bids, asks = self._bids.prices, self._asks.prices
        return asks[0] - bids[-1] if bids and asks else None

    def get_depth(self, levels: int = 10) -> dict[str, Levels]:
        """Return the best ``levels`` of ``bids`` and ``asks`` as (price, size), best first."""
        return {"bids": self.levels(Side.BUY, levels), "asks": self.levels(Side.SELL, levels)}

    def checksum(self) -> int:
        """Return OKX's checksum of the book: CRC-32 of the best 25 levels' text, signed."""
        bids = self.texts(Side.BUY, _CHECKED_LEVELS)
        asks = self.texts(Side.SELL, _CHECKED_LEVELS)
        both = zip_longest(bids, asks, fillvalue=())
        text = ":".join(part for bid, ask in both for part in (*bid, *ask))
        unsigned = zlib.crc32(text.encode())
        return unsigned - (1 << 32) if unsigned >> 31 else unsigned

    # --- private ------------------------------------------------------------------------------

    def _top(self, side: Side, count: int) -> tuple[_Half, list[float]]:
        if count <= 0:
            return self._bids, []
        if side is Side.BUY:
            return self._bids, self._bids.prices[: -count - 1 : -1]
        return self._asks, self._asks.prices[:count]

    def _stamp(self, row: BookRow) -> int:
        try:
            return stamp_ns(row.ts)
        except CorruptDataError as e:
            raise self._refusal(str(e)) from e

    def _check_order(self, row: BookRow) -> None:
        if row.prev_seq_id != self._seq_id:
            raise self._gap(f"prevSeqId {row.prev_seq_id} came after seqId {self._seq_id}")
        if row.prev_seq_id is None and not row.checksum:
            raise self._gap("an update with neither prevSeqId nor checksum cannot be verified")

    def _write(self, row: BookRow, *, replaces: bool) -> None:
        if max(len(row.bids), len(row.asks)) > 2 * self.depth + _MARGIN:
            raise self._refusal(f"too many levels for a book of {self.depth}")
        try:
            bid_prices, bid_sizes = _numbers(row.bids)
            ask_prices, ask_sizes = _numbers(row.asks)
        except CorruptDataError as e:
            raise self._refusal(str(e)) from e
        if replaces and (0.0 in bid_sizes.values() or 0.0 in ask_sizes.values()):
            raise self._refusal("a size of zero in a snapshot")
        bids, asks = self._bids, self._asks
        if replaces:
            bids.replace(bid_prices, bid_sizes, row.bids)
            asks.replace(ask_prices, ask_sizes, row.asks)
        else:
            bids.update(bid_sizes, row.bids)
            asks.update(ask_sizes, row.asks)
        if bids.prices and asks.prices and bids.prices[-1] >= asks.prices[0]:
            raise self._crossing(replaces=replaces)
        if len(bids.prices) > self.depth:
            self._bound(bids, slice(None, len(bids.prices) - self.depth))
        if len(asks.prices) > self.depth:
            self._bound(asks, slice(self.depth, None))

    @staticmethod
    def _bound(half: _Half, worst: slice) -> None:
        half.drop(half.prices[worst])
        del half.prices[worst]

    def _check(self, expected: int) -> None:
        self.checksums += 1
        found = self.checksum()
        if found != expected:
            self.checksum_failures += 1
            raise self._gap(f"the checksum is {found}, not {expected}")

    def _crossing(self, *, replaces: bool) -> CorruptDataError:
        bid, ask = self._bids.prices[-1], self._asks.prices[0]
        self.crossed += 1
        self.reset()
        kind = CorruptDataError if replaces else SequenceGapError
        return kind(f"{self.channel} {self.inst_id}: bid {bid:g} at or above ask {ask:g}")

    def _gap(self, reason: str) -> SequenceGapError:
        self.gaps += 1
        self.reset()
        return SequenceGapError(f"{self.channel} {self.inst_id}: {reason}")

    def _refusal(self, reason: str) -> CorruptDataError:
        self.rejected += 1
        return CorruptDataError(f"{self.channel} {self.inst_id}: {reason}")


def _numbers(rows: list[Level]) -> tuple[list[float], dict[float, float]]:
    """Return the prices of ``rows`` in ascending order, and size by price in the order given.

    Raises
    ------
    CorruptDataError
        If a number is not plain or too large, a price is not positive, or given twice.
    """
    if not rows:
        return [], {}
    price_texts, size_texts, _, _ = zip(*rows, strict=True)
    try:
        prices = list(map(float, price_texts))
        sizes = dict(zip(prices, map(float, size_texts), strict=True))
        text = "".join(price_texts + size_texts).encode("ascii")
    except ValueError as e:  # also UnicodeEncodeError
        raise CorruptDataError("a level is not a plain number") from e
    if text.translate(None, _NUMBER_BYTES):
        raise CorruptDataError("a level is not a plain number")
    if len(sizes) != len(prices):
        raise CorruptDataError("the same price twice on one side")
    prices.sort()
    if not (prices[0] > 0.0 and prices[-1] <= _MAX_PRICE and max(sizes.values()) <= _MAX_SIZE):
        raise CorruptDataError("a price or size is out of range")
    return prices, sizes
