"""The read side of a venue that settles what requests and streams left open."""

from __future__ import annotations

from typing import Protocol

from trading_system.domain.orders import Fill, OrderReport


class OrderLookup(Protocol):
    """Queries of own orders; each failure is a ``VenueError`` or ``CorruptDataError``."""

    async def find_order(self, link_id: str) -> OrderReport | None:
        """Return the order of ``link_id``, None if the venue has none."""
        ...

    async def executions(self, link_id: str) -> list[Fill]:
        """Return the trade executions of one order."""
        ...

    async def open_orders(self) -> list[OrderReport]:
        """Return every open order of the account, protective stops marked as such."""
        ...
