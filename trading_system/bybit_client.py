"""The Bybit client of the users' guides: reads the venue, and orders only through the risk gate."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from optimizers.performance_optimizer import PerformanceOptimizer
from trading_system.config.settings import Settings, load_settings
from trading_system.domain.errors import LifecycleError, Outcome, VenueError, VenueUnavailable
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import BatchOutcome, OrderIntent, PriceChange, RestingOrder
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.ports import Clock, QuoteView
from trading_system.domain.signals import MarketFeatures
from trading_system.live.client import GatedClient
from trading_system.live.desk import TradingDesk
from trading_system.runtime.clock import SystemClock
from trading_system.runtime.lifecycle import State

_LOG = structlog.get_logger(__name__)

Method = TypeVar("Method", bound=Callable[..., Coroutine[Any, Any, Any]])


def _timed(method: Method) -> Method:
    """Connect on first use, then measure the call by the optimizer; connecting is not measured."""
    name = method.__name__

    @functools.wraps(method)
    async def measured(self: BybitClient, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the method
        await self.ensure_ready()
        with self.performance_optimizer.time_operation(name):
            return await method(self, *args, **kwargs)

    return measured  # type: ignore[return-value] # the wrapper has the method's signature


class BybitClient:
    """Bybit by the settings' environment, with live books and a risk gate of its own.

    It connects on first use: in the ``simulated`` environment it starts the embedded venue.
    It runs no strategy. :meth:`close`, or leaving ``async with``, ends everything it started.

    Parameters
    ----------
    settings : Settings or None
        None loads them from environment, ``.env`` and ``config.json``.
    clock : Clock or None
        None uses the machine's clocks.
    desk : TradingDesk or None
        A desk that somebody else starts and stops; the client is then a view of it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        desk: TradingDesk | None = None,
    ) -> None:
        self._is_owner = desk is None
        self._is_closed = False
        self._clock = clock or SystemClock()
        self._settings = settings
        self._desk = desk if desk is not None else self._own_desk()
        self._opening = asyncio.Lock()

    def _own_desk(self) -> TradingDesk:
        if self._settings is None:
            self._settings = load_settings({})
        quiet = self._settings.strategy.model_copy(update={"name": "none"})
        return TradingDesk(self._settings.model_copy(update={"strategy": quiet}), clock=self._clock)

    async def __aenter__(self) -> Self:
        await self.ensure_ready()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except VenueError:
            if exc is None:
                raise  # else the caller's own error is the one to tell; what is left was logged

    async def ensure_ready(self) -> None:
        """Connect on first use; afterwards return at once.

        Raises
        ------
        TradingSystemError
            If the venue cannot be reached, a setting is wrong, or the client was closed.
        """
        if self._desk.is_live:
            return
        if not self._is_owner:
            raise LifecycleError("the trading system is not running; call start_system() first")
        if self._is_closed:
            raise LifecycleError("the client was closed; make a new one")
        async with self._opening:
            if self._desk.is_ended:  # a first call that was cancelled or failed undid its start
                self._desk = self._own_desk()
            if self._desk.state is State.NEW:
                await self._desk.start()
        self._client()

    async def close(self) -> None:
        """Cancel resting orders, disconnect and end the embedded venue if it was started.

        Leaving ``async with`` by an error of its own raises that error instead of these.

        Raises
        ------
        VenueUnavailable
            If own orders are left at the venue, or it could not be asked: look there.
        """
        if not self._is_owner:
            return
        self._is_closed = True
        await self._desk.stop("the client was closed")
        if (left := self._desk.left_behind) is not None:
            _LOG.error("the client was closed, but not clean", left=left)
            raise VenueUnavailable(left, venue="bybit", operation="close", outcome=Outcome.UNKNOWN)

    def _client(self) -> GatedClient:
        return self._desk.live_session().client

    async def _ready(self) -> GatedClient:
        await self.ensure_ready()
        return self._client()

    @property
    def rest_url(self) -> str:
        """Base address of the venue's REST host, without a trailing slash."""
        return self._client().rest_url

    def auth_headers(self, payload: bytes) -> dict[str, str]:
        """Return the headers that sign ``payload`` (a GET's query or a POST's body)."""
        return self._client().auth_headers(payload)

    async def instrument(self, symbol: str) -> Instrument:
        """Return the trading rules of one symbol."""
        return await (await self._ready()).instrument(symbol)

    def features(self, symbol: str) -> MarketFeatures | None:
        """Return the newest features of the live book, None without one."""
        return self._client().features(symbol)

    async def execute_parent(self, parent: ParentOrder) -> ParentResult | None:
        """Work one parent order through the risk gate; None without a quote to start from."""
        return await (await self._ready()).execute_parent(parent)

    @_timed
    async def place_order(self, symbol: str, side: str, **parameters: object) -> dict[str, Any]:
        """Send one order through the risk gate; see ``GatedClient.place_order``."""
        return await self._client().place_order(symbol, side, **parameters)

    @_timed
    async def set_trailing_stop(
        self, symbol: str, distance: float | str | None, active_price: float | str | None = None
    ) -> dict[str, Any]:
        """Let a trailing stop for the whole position rest at the venue; see ``GatedClient``."""
        return await self._client().set_trailing_stop(symbol, distance, active_price)

    @_timed
    async def cancel_all_orders(self, symbol: str | None = None) -> None:
        """Cancel all orders of ``symbol``, or of the whole account; stops of positions stay."""
        await self._client().cancel_all_orders(symbol)

    # --- what a market maker needs (domain.ports.QuotingVenue) ---------------------------------

    def maker_fee(self, symbol: str) -> float:
        """Return the account's maker fee as a fraction of value, negative for a rebate."""
        return self._client().quoting.maker_fee(symbol)

    def quote_view(self, symbol: str) -> QuoteView | None:
        """Return the newest view, None without a trusted two-sided book."""
        return self._client().quoting.quote_view(symbol)

    def may_open(self) -> bool:
        """Return whether the gate lets orders through that open positions."""
        return self._desk.is_live and self._client().quoting.may_open()

    def resting_orders(self, symbol: str) -> tuple[RestingOrder, ...]:
        """Return the own orders of ``symbol`` without a settled outcome, oldest first."""
        return self._client().quoting.resting_orders(symbol)

    def next_link_id(self) -> str:
        """Return a link id that was never used."""
        return self._client().quoting.next_link_id()

    @_timed
    async def place_orders(self, intents: Sequence[OrderIntent]) -> list[BatchOutcome]:
        """Send orders through the gate, up to ten in one request; each ends for itself."""
        return await self._client().quoting.place_orders(intents)

    @_timed
    async def amend_orders(self, changes: Sequence[PriceChange]) -> list[BatchOutcome]:
        """Move resting orders through the gate, up to ten in one request; each ends for itself."""
        return await self._client().quoting.amend_orders(changes)

    @_timed
    async def cancel_orders(self, orders: Sequence[tuple[str, str]]) -> list[BatchOutcome]:
        """Cancel (symbol, link id) pairs, up to ten in one request; always passes the gate."""
        return await self._client().quoting.cancel_orders(orders)

    # --- how it performs -----------------------------------------------------------------------

    @property
    def performance_optimizer(self) -> PerformanceOptimizer:
        """The optimizer that measures this client's calls; needs a connected client."""
        return self._desk.live_session().optimizers.performance

    def get_performance_stats(self) -> dict[str, Any]:
        """Return call counts, slow operations, hit rates and averages; see the optimizer."""
        return self.performance_optimizer.get_performance_stats()

    # --- reads ---------------------------------------------------------------------------------

    @_timed
    async def test_connection(self) -> dict[str, Any]:
        """Ask for the server's time; return whether it answered and how far the clocks differ."""
        return await self._client().reads.test_connection()

    @_timed
    async def get_account_balance(self) -> dict[str, Any]:
        """Return the unified account's totals, USD."""
        return await self._client().reads.get_account_balance()

    @_timed
    async def get_market_data(self, symbol: str) -> dict[str, Any]:
        """Return the ticker of one perpetual."""
        return await self._client().reads.get_market_data(symbol)

    @_timed
    async def get_enhanced_market_data(self, symbol: str) -> dict[str, Any]:
        """Return the ticker with spread, basis, long/short ratio, trade flow and changes."""
        return await self._client().reads.get_enhanced_market_data(symbol)

    @_timed
    async def get_order_book_data(self, symbol: str, limit: int = 50) -> dict[str, Any]:
        """Return ``symbol``, ``bids``, ``asks`` as [price, size] text pairs and ``ts``."""
        return await self._client().reads.get_order_book_data(symbol, limit)

    @_timed
    async def get_kline_data(
        self, symbol: str, interval: str = "1", limit: int = 200
    ) -> list[dict[str, Any]]:
        """Return candles, oldest first; the last one may still be open."""
        return await self._client().reads.get_kline_data(symbol, interval, limit)

    @_timed
    async def get_funding_rate(self, symbol: str) -> dict[str, Any]:
        """Return the coming funding rate (a fraction) and its time, epoch milliseconds."""
        return await self._client().reads.get_funding_rate(symbol)

    @_timed
    async def get_funding_rate_history(self, symbol: str, limit: int = 200) -> list[dict[str, Any]]:
        """Return settled funding rates, oldest first."""
        return await self._client().reads.get_funding_rate_history(symbol, limit)

    @_timed
    async def get_open_interest(self, symbol: str) -> dict[str, Any]:
        """Return the open interest, base currency, and its value, USDT."""
        return await self._client().reads.get_open_interest(symbol)

    @_timed
    async def get_open_interest_history(
        self, symbol: str, period: str = "5min", limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return samples of the open interest, base currency, oldest first."""
        return await self._client().reads.get_open_interest_history(symbol, period, limit)

    @_timed
    async def get_liquidation_data(self, symbol: str) -> dict[str, Any]:
        """Return liquidations seen on the stream; ``note`` says if none is followed."""
        return await self._client().reads.get_liquidation_data(symbol)

    @_timed
    async def get_instrument_info(self, symbol: str) -> dict[str, Any]:
        """Return the trading rules of one perpetual; grids and limits as texts."""
        return await self._client().reads.get_instrument_info(symbol)

    @_timed
    async def get_position_info(self, symbol: str | None = None) -> list[dict[str, Any]]:
        """Return open positions, or the one of ``symbol`` even when it is flat."""
        return await self._client().reads.get_position_info(symbol)

    @_timed
    async def set_leverage(self, symbol: str, leverage: float | str) -> dict[str, Any]:
        """Set the leverage of one perpetual; an unchanged one is no error."""
        return await self._client().reads.set_leverage(symbol, leverage)
