"""What an account remembers: closed orders, executions, closed profits and wallet changes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice

from trading_system.simulation.records import (
    ClosedPnlRecord,
    ExecutionRecord,
    LedgerEntry,
    OrderRecord,
)

HISTORY_LIMIT = 10_000
"""Newest entries kept of each kind, per account."""

LINK_ID_LIMIT = 100_000
"""Newest client order ids remembered per account."""


class OrderArchive:
    """Final orders, oldest first, found by id; bounded."""

    def __init__(self) -> None:
        self._orders: OrderedDict[str, OrderRecord] = OrderedDict()

    def add(self, order: OrderRecord) -> None:
        """Keep ``order``, dropping the oldest one beyond the limit."""
        self._orders[order.order_id] = order
        if len(self._orders) > HISTORY_LIMIT:
            self._orders.popitem(last=False)

    def get(self, order_id: str) -> OrderRecord | None:
        """Return the final order with that id, if it is still remembered."""
        return self._orders.get(order_id)

    def oldest_first(self) -> list[OrderRecord]:
        """Return all orders remembered."""
        return list(self._orders.values())


class LinkIds:
    """Client order ids in use or used before; bounded."""

    def __init__(self) -> None:
        self._order_ids: OrderedDict[str, str] = OrderedDict()

    def __contains__(self, link_id: str) -> bool:
        return link_id in self._order_ids

    def add(self, link_id: str, order_id: str) -> None:
        """Remember which order ``link_id`` names, dropping the oldest beyond the limit."""
        self._order_ids[link_id] = order_id
        if len(self._order_ids) > LINK_ID_LIMIT:
            self._order_ids.popitem(last=False)

    def pairs(self) -> list[tuple[str, str]]:
        """Return every id remembered with the order it names, oldest first."""
        return list(self._order_ids.items())

    def order_id(self, link_id: str) -> str:
        """Return the order that ``link_id`` names, an empty text when there is none."""
        return self._order_ids.get(link_id, "")


class Ledger:
    """Wallet changes, oldest first; bounded, but counted for good."""

    def __init__(self) -> None:
        self._entries: deque[LedgerEntry] = deque(maxlen=HISTORY_LIMIT)
        self.count = 0

    def __iter__(self) -> Iterator[LedgerEntry]:
        return iter(self._entries)

    def append(self, entry: LedgerEntry) -> None:
        """Keep a change, dropping the oldest beyond the limit."""
        self._entries.append(entry)
        self.count += 1

    def newest(self, number: int) -> list[LedgerEntry]:
        """Return at most ``number`` changes, oldest first."""
        start = max(0, len(self._entries) - number)
        return list(islice(self._entries, start, None))


class Histories:
    """All histories of one account.

    Attributes
    ----------
    executions : deque
        Oldest first, bounded.
    ledger : Ledger
        The same of wallet changes.
    """

    def __init__(self) -> None:
        self.orders = OrderArchive()
        self.links = LinkIds()
        self.executions: deque[ExecutionRecord] = deque(maxlen=HISTORY_LIMIT)
        self.ledger = Ledger()
        self._closed_pnls: OrderedDict[str, ClosedPnlRecord] = OrderedDict()

    def closed_pnl(self, order_id: str) -> ClosedPnlRecord | None:
        """Return what the order has closed so far."""
        return self._closed_pnls.get(order_id)

    def put_closed_pnl(self, record: ClosedPnlRecord) -> None:
        """Keep the order's record as the newest one, replacing an earlier state of it."""
        self._closed_pnls[record.order_id] = record
        self._closed_pnls.move_to_end(record.order_id)
        if len(self._closed_pnls) > HISTORY_LIMIT:
            self._closed_pnls.popitem(last=False)

    def closed_pnls(self) -> list[ClosedPnlRecord]:
        """Return all closed profits remembered, oldest first."""
        return list(self._closed_pnls.values())
