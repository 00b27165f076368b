"""The venue as one market maker sees it: among the resting orders, its own quotes only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import BatchOutcome, OrderIntent, PriceChange, RestingOrder
from trading_system.domain.ports import QuoteView, QuotingVenue

_MOST_LINKS: Final = 20_000


class OwnQuotes:
    """Passes everything on, and remembers which link ids were given to this maker.

    An order that somebody else rests through the same client, such as a passive child of an
    ``execute``, is neither moved nor cancelled by the maker.

    Parameters
    ----------
    exchange : QuotingVenue
        The gated client.
    """

    def __init__(self, exchange: QuotingVenue) -> None:
        self._exchange = exchange
        self._links: dict[str, None] = {}  # the newest 20,000, many times what can rest

    async def ensure_ready(self) -> None:
        """Connect on first use; afterwards return at once."""
        await self._exchange.ensure_ready()

    async def instrument(self, symbol: str) -> Instrument:
        """Return the trading rules of one symbol."""
        return await self._exchange.instrument(symbol)

    def maker_fee(self, symbol: str) -> float:
        """Return the account's maker fee as a fraction of value, negative for a rebate."""
        return self._exchange.maker_fee(symbol)

    def quote_view(self, symbol: str) -> QuoteView | None:
        """Return the newest view, None without a trusted two-sided book."""
        return self._exchange.quote_view(symbol)

    def may_open(self) -> bool:
        """Return whether the gate lets orders through that open positions."""
        return self._exchange.may_open()

    def resting_orders(self, symbol: str) -> tuple[RestingOrder, ...]:
        """Return this maker's quotes of ``symbol`` without a settled outcome, oldest first."""
        orders = self._exchange.resting_orders(symbol)
        return tuple(order for order in orders if order.link_id in self._links)

    def next_link_id(self) -> str:
        """Return a link id that was never used."""
        link_id = self._exchange.next_link_id()
        self._links[link_id] = None
        if len(self._links) > _MOST_LINKS:
            del self._links[next(iter(self._links))]
        return link_id

    async def get_kline_data(
        self, symbol: str, interval: str = "1", limit: int = 200
    ) -> list[dict[str, Any]]:
        """Return candles, oldest first; the last one may still be open."""
        return await self._exchange.get_kline_data(symbol, interval, limit)

    async def place_orders(self, intents: Sequence[OrderIntent]) -> list[BatchOutcome]:
        """Send orders through the gate, up to ten in one request."""
        return await self._exchange.place_orders(intents)

    async def amend_orders(self, changes: Sequence[PriceChange]) -> list[BatchOutcome]:
        """Move resting orders through the gate, up to ten in one request."""
        return await self._exchange.amend_orders(changes)

    async def cancel_orders(self, orders: Sequence[tuple[str, str]]) -> list[BatchOutcome]:
        """Cancel (symbol, link id) pairs, up to ten in one request; always passes the gate."""
        return await self._exchange.cancel_orders(orders)
