"""What a market maker holds of a running session: views, and quotes through the risk gate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import BatchOutcome, OrderIntent, PriceChange, RestingOrder
from trading_system.domain.ports import Clock, QuoteView
from trading_system.execution.engine import ExecutionEngine
from trading_system.live.feed import MarketFeed
from trading_system.risk.portfolio import Portfolio
from trading_system.strategies.signals import Costs

_NS_PER_S = 1_000_000_000

Candles = Callable[[str, str, int], Awaitable[list[dict[str, Any]]]]
"""Reads candles of (symbol, interval, limit), oldest first."""


class QuotingDesk:
    """The :class:`~trading_system.domain.ports.QuotingVenue` of one session.

    Parameters
    ----------
    engine : ExecutionEngine
        The gate; the only way of a quote to the venue.
    feed : MarketFeed
        Live books.
    portfolio : Portfolio
        Positions.
    costs : Mapping[str, Costs]
        The account's own fee rates by symbol.
    candles : Candles
        Where candles are read.
    may_open : Callable[[], bool]
        Whether the session lets positions be opened now.
    clock : Clock
        Ages of books.
    timeout_s : float
        Deadline of one request, seconds.
    """

    def __init__(
        self,
        *,
        engine: ExecutionEngine,
        feed: MarketFeed,
        portfolio: Portfolio,
        costs: Mapping[str, Costs],
        candles: Candles,
        may_open: Callable[[], bool],
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self._engine = engine
        self._feed = feed
        self._portfolio = portfolio
        self._costs = costs
        self._candles = candles
        self._may_open = may_open
        self._clock = clock
        self._timeout_s = timeout_s

    async def ensure_ready(self) -> None:
        """Do nothing: a session's desk is ready."""

    async def instrument(self, symbol: str) -> Instrument:
        """Return the trading rules of one traded symbol.

        Raises
        ------
        ValidationError
            If the session does not trade it.
        ConfigurationError
            If it is in hedge mode.
        """
        state = self._feed.symbols.get(symbol)
        if state is None:
            raise _not_traded(symbol)
        check_one_way([symbol] if symbol in self._portfolio.hedged else [])
        return state.instrument

    def maker_fee(self, symbol: str) -> float:
        """Return the account's maker fee as a fraction of value, negative for a rebate.

        Raises
        ------
        ValidationError
            If the session does not trade the symbol.
        """
        costs = self._costs.get(symbol)
        if costs is None:
            raise _not_traded(symbol)
        return costs.maker

    def quote_view(self, symbol: str) -> QuoteView | None:
        """Return the newest view of the decision book, None without a trusted two-sided one.

        A quiet book stays young as long as level 1 vouches for it. There is none either while the
        position is not this system's alone: quotes would trade away what somebody else holds.
        """
        state = self._feed.symbols.get(symbol)
        if state is None:
            return None
        stamp_ns, prices, book = state.last_message_ns(), state.best_prices(), state.book
        if prices.bid is None or prices.ask is None or stamp_ns is None:
            return None
        position = self._portfolio.position(symbol).quantity
        if position != self._engine.own_quantity(symbol):
            return None
        mid, microprice = book.mid, book.microprice()
        assert mid is not None  # both sides are there
        assert microprice is not None
        return QuoteView(
            symbol=symbol,
            bid=prices.bid,
            ask=prices.ask,
            mid=mid,
            microprice=microprice,
            age_s=max(0.0, (self._clock.monotonic_ns() - stamp_ns) / _NS_PER_S),
            position=position,
        )

    def may_open(self) -> bool:
        """Return whether positions may be opened: nothing holds, pauses or ends the session."""
        return self._may_open()

    def resting_orders(self, symbol: str) -> tuple[RestingOrder, ...]:
        """Return the own opening orders of ``symbol`` without a settled outcome, oldest first."""
        return self._engine.resting(symbol)

    def next_link_id(self) -> str:
        """Return a link id that was never used."""
        return self._engine.next_link_id()

    async def get_kline_data(
        self, symbol: str, interval: str = "1", limit: int = 200
    ) -> list[dict[str, Any]]:
        """Return candles, oldest first; the last one may still be open."""
        return await self._candles(symbol, interval, limit)

    async def place_orders(self, intents: Sequence[OrderIntent]) -> list[BatchOutcome]:
        """Send orders through the gate, up to ten in one request; each ends for itself."""
        return await self._engine.submit_batch(intents, timeout_s=self._timeout_s)

    async def amend_orders(self, changes: Sequence[PriceChange]) -> list[BatchOutcome]:
        """Move resting orders through the gate, up to ten in one request; each ends for itself."""
        return await self._engine.amend_batch(changes, timeout_s=self._timeout_s)

    async def cancel_orders(self, orders: Sequence[tuple[str, str]]) -> list[BatchOutcome]:
        """Cancel (symbol, link id) pairs, up to ten in one request; always passes the gate."""
        return await self._engine.cancel_batch(orders, timeout_s=self._timeout_s)


def check_one_way(hedged: Sequence[str]) -> None:
    """Refuse to quote symbols in hedge mode.

    Raises
    ------
    ConfigurationError
        If there are any.
    """
    if hedged:
        raise ConfigurationError(
            f"the market maker needs one-way mode, and {', '.join(hedged)} is in hedge mode, where "
            "its bids and asks would enlarge both sides; switch it to one-way mode at the venue, "
            "or use another TRADING_STRATEGY__NAME"
        )


def _not_traded(symbol: str) -> ValidationError:
    return ValidationError(f"{symbol[:40]!r} is not traded here; TRADING_SYMBOLS names the symbols")
