"""Messages of one symbol in the order of the exchange's matching engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from heapq import heappop, heappush

from trading_system.simulation.replay.messages import Message, RecordedTrade, Snapshot

HOLD_NS = 20_000_000
"""How long messages wait for others: the interval of the fastest incremental book."""


class EngineOrder:
    """Holds messages for a moment and hands them out by engine time.

    Trades and book updates are pushed side by side, so an update may come before a trade that it
    already contains. Played like that the trade would be counted twice, once as cancellations,
    and own orders would fill too early. Here a trade comes before the update of the same time, and
    one that the newest snapshot contains is left out.
    """

    def __init__(self) -> None:
        self._held: list[tuple[int, int, int, Message]] = []
        self._count = 0
        self._last_ns = 0
        self._snapshot_ms = 0

    def add(self, message: Message) -> None:
        """Hold a message from its receive time on."""
        is_trade = isinstance(message, RecordedTrade)
        if is_trade and 0 < message.engine_ms <= self._snapshot_ms:
            return
        if isinstance(message, Snapshot):
            self._snapshot_ms = message.engine_ms
        at_ms = max(message.engine_ms, self._snapshot_ms)
        self._count += 1
        heappush(self._held, (at_ms, 0 if is_trade else 1, self._count, message))

    def due(self, now_ns: int) -> Iterator[Message]:
        """Yield what has been held long enough at ``now_ns``; receive times never fall."""
        while self._held and self._held[0][3].stamp_ns + HOLD_NS <= now_ns:
            yield self._next()

    def rest(self) -> Iterator[Message]:
        """Yield everything that is still held."""
        while self._held:
            yield self._next()

    def _next(self) -> Message:
        message = heappop(self._held)[3]
        if message.stamp_ns < self._last_ns:
            return replace(message, stamp_ns=self._last_ns)
        self._last_ns = message.stamp_ns
        return message
