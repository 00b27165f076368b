"""Order book streams: one tracker per symbol and depth, snapshots and exact deltas."""

from __future__ import annotations

from collections.abc import Sequence

from trading_system.domain.orders import Side
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.matching.book import MatchingBook

INTERVALS_MS = {1: 10, 50: 20, 200: 100, 1000: 200}
"""Push interval by depth."""

_RESEND_MS = 3_000
FIRST_UPDATE = 2
"""``u`` of a book's first message; 1 announces a restart of the service."""


Level = tuple[int, int]


class BookTopic:
    """What the subscribers of ``orderbook.DEPTH.SYMBOL`` hold.

    A delta deletes exactly the levels that subscribers hold and that are gone or have left the
    window; ``u`` grows by one per delta. Depth 1 is snapshots only, repeated with the same ``u``
    after three quiet seconds. ``first_update`` 1 announces a restart of the service.
    """

    def __init__(
        self,
        book: MatchingBook,
        texts: GridText,
        *,
        depth: int,
        first_update: int = FIRST_UPDATE,
    ) -> None:
        symbol = texts.instrument.symbol
        self.text = f"orderbook.{depth}.{symbol}"
        self.interval_ms = INTERVALS_MS[depth]
        self._symbol = symbol
        self._depth = depth
        self._book = book
        self._texts = texts
        self._bids: list[Level] = []
        self._asks: list[Level] = []
        self._first_update = first_update
        self._update = first_update - 1
        self._seen = -1
        self._changed_ms = 0
        self._sent_ms = 0

    def refresh(self, now_ms: int) -> list[bytes]:
        """Take over the book and return the messages that bring subscribers up to date."""
        sequence = self._book.sequence
        if sequence == self._seen:
            return self._resend(now_ms)
        bids = self._book.top(Side.BUY, self._depth)
        asks = self._book.top(Side.SELL, self._depth)
        self._seen = sequence
        if bids == self._bids and asks == self._asks:
            return self._resend(now_ms)
        bid_changes = self._changes(self._bids, bids)
        ask_changes = self._changes(self._asks, asks)
        self._bids, self._asks = bids, asks
        self._update += 1
        self._changed_ms = self._sent_ms = now_ms
        if self._depth == 1:
            return self.snapshot(now_ms)
        return [self._message("delta", bid_changes, ask_changes, now_ms)]

    def snapshot(self, now_ms: int) -> list[bytes]:
        """Return the snapshot of what subscribers hold."""
        return [
            self._message("snapshot", self._levels(self._bids), self._levels(self._asks), now_ms)
        ]

    def rest_row(self, limit: int, now_ms: int) -> Row:
        """Return the result of ``market/orderbook`` with the state of this stream."""
        return {
            "s": self._symbol,
            "b": [[self._texts.price(t), self._texts.qty(n)] for t, n in self._bids[:limit]],
            "a": [[self._texts.price(t), self._texts.qty(n)] for t, n in self._asks[:limit]],
            "ts": now_ms,
            "u": self._update,
            "seq": self._seen,
            "cts": self._changed_ms,
        }

    def _resend(self, now_ms: int) -> list[bytes]:
        is_new = self._update < self._first_update
        if is_new or self._depth != 1 or now_ms - self._sent_ms < _RESEND_MS:
            return []
        self._sent_ms = now_ms
        return self.snapshot(now_ms)

    def _changes(self, old: Sequence[Level], new: Sequence[Level]) -> str:
        if old == new:
            return ""
        held, price = dict(old), self._texts.price
        changed = [level for level in new if held.pop(level[0], 0) != level[1]]
        gone = [f'["{price(ticks)}","0"]' for ticks in held]
        return ",".join([*gone, self._levels(changed)] if changed else gone)

    def _levels(self, levels: Sequence[Level]) -> str:
        price, qty = self._texts.price, self._texts.qty
        return ",".join([f'["{price(ticks)}","{qty(lots)}"]' for ticks, lots in levels])

    def _message(self, kind: str, bids: str, asks: str, now_ms: int) -> bytes:
        return (
            f'{{"topic":"{self.text}","type":"{kind}","ts":{now_ms},"data":{{"s":"{self._symbol}",'
            f'"b":[{bids}],"a":[{asks}],"u":{self._update},"seq":{self._seen}}},'
            f'"cts":{self._changed_ms}}}'
        ).encode()
