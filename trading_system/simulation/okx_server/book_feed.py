"""Order book streams: snapshot and increments, full small books, and the relay's full book."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import NamedTuple
from zlib import crc32

from trading_system.domain.orders import Side
from trading_system.simulation.matching.book import MatchingBook
from trading_system.simulation.okx_server.contracts import SwapContract

FULL_DEPTH = 400
"""Levels a side of ``books`` and of the relay."""

KEEP_ALIVE_MS = 60_000
"""Quiet time after which ``books`` repeats its sequence number with empty sides."""

_CHECKED_LEVELS = 25
_SMALL_BOOKS = {"books5": (5, 100), "bbo-tbt": (1, 10)}


class Level(NamedTuple):
    """One price: ticks, lots, and how many orders wait there."""

    ticks: int
    lots: int
    orders: int


def levels_of(book: MatchingBook, side: Side, depth: int) -> list[Level]:
    """Return at most ``depth`` levels of a side, best first."""
    found: list[Level] = []
    ticks = lots = orders = 0
    for order in book.priority(side):
        if order.price_ticks != ticks:
            if orders:
                found.append(Level(ticks, lots, orders))
            if len(found) == depth:
                return found
            ticks, lots, orders = order.price_ticks, 0, 0
        lots += order.lots
        orders += 1
    if orders:
        found.append(Level(ticks, lots, orders))
    return found


class _Watched:
    # Both sides of a book down to a depth, as subscribers hold them.
    def __init__(self, book: MatchingBook, depth: int) -> None:
        self.bids: list[Level] = []
        self.asks: list[Level] = []
        self._book = book
        self._depth = depth
        self._seen = -1
        self.sequence = book.sequence

    def has_changed(self) -> bool:
        """Take over the book; ``sequence`` moves only when something visible changed."""
        if self._book.sequence == self._seen:
            return False
        self._seen = self._book.sequence
        bids = levels_of(self._book, Side.BUY, self._depth)
        asks = levels_of(self._book, Side.SELL, self._depth)
        if bids == self.bids and asks == self.asks:
            return False
        self.bids, self.asks = bids, asks
        self.sequence = self._seen
        return True


class BookFeed:
    """``books``: what its subscribers hold, 400 levels a side, every 100 ms.

    An update names exactly the levels that changed, size "0" for those that are gone or have left
    the window. ``seqId`` is the matching book's own sequence, so it may jump.

    Parameters
    ----------
    has_checksums : bool
        Send the CRC-32 of the best 25 levels instead of today's constant 0.
    """

    interval_ms = 100

    def __init__(
        self, book: MatchingBook, contract: SwapContract, *, has_checksums: bool = False
    ) -> None:
        self._contract = contract
        self._has_checksums = has_checksums
        self._watched = _Watched(book, FULL_DEPTH)
        self._sent_ms: int | None = None

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the message that brings subscribers up to date, or the keep-alive."""
        watched = self._watched
        old_bids, old_asks, previous = watched.bids, watched.asks, watched.sequence
        is_changed = watched.has_changed()
        if self._sent_ms is None or now_ms < self._sent_ms:
            self._sent_ms = now_ms
        if not is_changed and now_ms - self._sent_ms < KEEP_ALIVE_MS:
            return []
        self._sent_ms = now_ms
        bids, asks = _changes(old_bids, watched.bids), _changes(old_asks, watched.asks)
        return [self._message("update", bids, asks, previous=previous, now_ms=now_ms)]

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the snapshot of what subscribers hold."""
        bids, asks = self._watched.bids, self._watched.asks
        return [self._message("snapshot", bids, asks, previous=-1, now_ms=now_ms)]

    def rest_row(self, depth: int, now_ms: int) -> dict[str, object]:
        """Return the element of ``market/books`` with the state of this stream."""
        return {
            "asks": [_row(self._contract, level) for level in self._watched.asks[:depth]],
            "bids": [_row(self._contract, level) for level in self._watched.bids[:depth]],
            "ts": str(now_ms),
            "seqId": self._watched.sequence,
        }

    def _message(
        self, action: str, bids: list[Level], asks: list[Level], *, previous: int, now_ms: int
    ) -> bytes:
        contract, watched = self._contract, self._watched
        total = checksum(contract, watched.bids, watched.asks) if self._has_checksums else 0
        return (
            f'{{"arg":{{"channel":"books","instId":"{contract.inst_id}"}},"action":"{action}",'
            f'"data":[{{"asks":[{_texts(contract, asks)}],"bids":[{_texts(contract, bids)}],'
            f'"ts":"{now_ms}","checksum":{total},"prevSeqId":{previous},'
            f'"seqId":{watched.sequence}}}]}}'
        ).encode()


class SmallBookFeed:
    """``books5`` (100 ms) and ``bbo-tbt`` (10 ms): the whole small book after each change."""

    def __init__(self, book: MatchingBook, contract: SwapContract, *, channel: str) -> None:
        depth, self.interval_ms = _SMALL_BOOKS[channel]
        self._contract = contract
        self._channel = channel
        self._watched = _Watched(book, depth)

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the book if it changed."""
        return self.snapshot(now_ms) if self._watched.has_changed() else []

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the book."""
        contract, watched = self._contract, self._watched
        name = f'"instId":"{contract.inst_id}",' if self._channel == "books5" else ""
        return [
            (
                f'{{"arg":{{"channel":"{self._channel}","instId":"{contract.inst_id}"}},'
                f'"data":[{{"asks":[{_texts(contract, watched.asks)}],'
                f'"bids":[{_texts(contract, watched.bids)}],{name}'
                f'"ts":"{now_ms}","seqId":{watched.sequence}}}]}}'
            ).encode()
        ]


class RelayFeed:
    """The relay's format: the full book of price and size after each change, every 100 ms."""

    interval_ms = 100

    def __init__(self, book: MatchingBook, contract: SwapContract) -> None:
        self._contract = contract
        self._watched = _Watched(book, FULL_DEPTH)

    def refresh(self, now_ms: int) -> list[bytes]:
        """Return the book if it changed."""
        return self.snapshot(now_ms) if self._watched.has_changed() else []

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the book; its time has whole seconds only, as the relay sends it."""
        stamp = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        asks, bids = self._pairs(self._watched.asks), self._pairs(self._watched.bids)
        return [
            (
                f'{{"timestamp":"{stamp}","exchange":"OKX","symbol":"{self._contract.inst_id}",'
                f'"asks":[{asks}],"bids":[{bids}]}}'
            ).encode()
        ]

    def _pairs(self, levels: Sequence[Level]) -> str:
        price, size = self._contract.price, self._contract.size
        return ",".join([f'["{price(each.ticks)}","{size(each.lots)}"]' for each in levels])


def checksum(contract: SwapContract, bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Return OKX's signed CRC-32 of the best 25 levels of both sides, best first."""
    parts: list[str] = []
    for pair in zip_longest(bids[:_CHECKED_LEVELS], asks[:_CHECKED_LEVELS]):
        for level in pair:
            if level is not None:
                parts += (contract.price(level.ticks), contract.size(level.lots))
    unsigned = crc32(":".join(parts).encode())
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned


def _changes(old: Sequence[Level], new: Sequence[Level]) -> list[Level]:
    held = {level.ticks: level for level in old}
    changed = [level for level in new if held.pop(level.ticks, None) != level]
    return [Level(ticks, 0, 0) for ticks in held] + changed


def _row(contract: SwapContract, level: Level) -> list[str]:
    return [contract.price(level.ticks), contract.size(level.lots), "0", str(level.orders)]


def _texts(contract: SwapContract, levels: Sequence[Level]) -> str:
    price, size = contract.price, contract.size
    return ",".join(
        [f'["{price(each.ticks)}","{size(each.lots)}","0","{each.orders}"]' for each in levels]
    )
