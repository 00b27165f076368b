"""Works parent orders through the gated engine, one child at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

import structlog

from trading_system.domain.errors import (
    DeadlineExceeded,
    OrderDenied,
    Outcome,
    VenueError,
    VenueRejected,
)
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading_system.domain.ports import Clock
from trading_system.execution.engine import ExecutionEngine
from trading_system.domain.parents import ExecutionStyle, ParentOrder, ParentResult
from trading_system.execution.tracking import TrackedOrder

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_SETTLE_S = 15.0
_MAX_CHILDREN = 8


class Quote(Protocol):
    """The part of a book the executor prices from."""

    @property
    def bid(self) -> Decimal | None:
        """Best bid, None when there is none."""
        ...

    @property
    def ask(self) -> Decimal | None:
        """Best ask, None when there is none."""
        ...


class Executor:
    """Turns parents into gated child orders and measures what they cost.

    Parameters
    ----------
    engine : ExecutionEngine
        The gated engine.
    instruments : Mapping[str, Instrument]
        Tradable symbols.
    quote : Callable[[str], Quote]
        Newest best prices of a symbol.
    clock : Clock
        Durations.
    request_timeout_s : float
        Deadline of one order request, seconds.
    """

    def __init__(
        self,
        *,
        engine: ExecutionEngine,
        instruments: Mapping[str, Instrument],
        quote: Callable[[str], Quote],
        clock: Clock,
        request_timeout_s: float,
    ) -> None:
        self._engine = engine
        self._instruments = instruments
        self._quote = quote
        self._clock = clock
        self._request_timeout_s = request_timeout_s

    async def execute(self, parent: ParentOrder) -> ParentResult | None:
        """Work ``parent`` to its end; None if there was no quote to start from.

        Returns only when every child's outcome is known, however long the venue is silent: a
        parent that was given up with an order at work could be traded a second time.
        """
        mid = self._mid(parent.symbol)
        if mid is None:
            return None
        result = ParentResult(parent=parent, arrival_mid=mid)
        started_ns = self._clock.monotonic_ns()
        if parent.style is ExecutionStyle.PASSIVE:
            await self._rest(result)
        while self._may_cross(result, started_ns):
            before = result.filled_quantity
            is_alive = await self._cross(result)
            if not is_alive or result.filled_quantity == before:
                break
        result.duration_ms = (self._clock.monotonic_ns() - started_ns) / _NS_PER_MS
        return result

    def own_quantity(self, symbol: str) -> Decimal:
        """Return the part of the position that this run's orders opened, signed."""
        return self._engine.own_quantity(symbol)

    def _may_cross(self, result: ParentResult, started_ns: int) -> bool:
        parent = result.parent
        spent_s = (self._clock.monotonic_ns() - started_ns) / _NS_PER_S
        return (
            result.filled_quantity < parent.quantity
            and len(result.children) < _MAX_CHILDREN
            and spent_s < parent.time_limit_s
        )

    async def _rest(self, result: ParentResult) -> None:
        parent, quote = result.parent, self._quote(result.parent.symbol)
        price = quote.bid if parent.side is Side.BUY else quote.ask
        if price is None:
            return
        link_id = await self._send(
            result, price=price, time_in_force=TimeInForce.POST_ONLY, quantity=parent.quantity
        )
        if link_id is None:
            return
        order = self._engine.order(link_id)
        assert order is not None
        try:
            async with asyncio.timeout(parent.passive_s):
                await order.settled.wait()
        except TimeoutError:
            await self._cancel(parent.symbol, link_id)
        await self._collect(result, link_id)

    async def _cancel(self, symbol: str, link_id: str) -> None:
        try:
            await self._engine.cancel(symbol, link_id, timeout_s=self._request_timeout_s)
        except VenueRejected:
            pass  # already final: its last report settles it
        except VenueError as e:
            _LOG.warning("cancel failed", link_id=link_id, error=str(e))

    async def _cross(self, result: ParentResult) -> bool:
        parent = result.parent
        left = parent.quantity - result.filled_quantity
        price = None
        if not parent.reduce_only:
            price = self._limit_price(parent, result.arrival_mid)
            if price is None:
                result.reason = "market moved beyond the slippage limit"
                return False
        link_id = await self._send(
            result, price=price, time_in_force=TimeInForce.IOC, quantity=left
        )
        if link_id is None:
            return False
        await self._collect(result, link_id)
        return True

    def _limit_price(self, parent: ParentOrder, arrival_mid: Decimal) -> Decimal | None:
        """Return an entry's worst acceptable price, None when the market is beyond it already."""
        instrument, quote = self._instruments[parent.symbol], self._quote(parent.symbol)
        band = arrival_mid * Decimal(str(parent.max_slippage_bps)) / 10_000
        if parent.side is Side.BUY:
            worst = instrument.ticks_to_price(instrument.floor_ticks(arrival_mid + band))
            return worst if quote.ask is not None and quote.ask <= worst else None
        worst = instrument.ticks_to_price(instrument.ceil_ticks(arrival_mid - band))
        return worst if quote.bid is not None and quote.bid >= worst else None

    async def _send(
        self,
        result: ParentResult,
        *,
        price: Decimal | None,
        time_in_force: TimeInForce,
        quantity: Decimal,
    ) -> str | None:
        # An exit must complete: without a price it follows the market inside the gate's collar.
        parent = result.parent
        intent = OrderIntent(
            symbol=parent.symbol,
            side=parent.side,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=quantity,
            price=price,
            time_in_force=time_in_force,
            reduce_only=parent.reduce_only,
            link_id=self._engine.next_link_id(),
        )
        try:
            await self._engine.submit(intent, timeout_s=self._request_timeout_s)
        except OrderDenied as e:
            result.reason = str(e)
            return None
        except VenueError as e:
            result.reason = str(e)
            if e.outcome is not Outcome.UNKNOWN and self._is_final(intent.link_id):
                result.children.append(intent.link_id)
                return None
            await self._engine.resolve(intent.link_id)
        result.children.append(intent.link_id)
        return intent.link_id

    def _is_final(self, link_id: str) -> bool:
        order = self._engine.order(link_id)
        return order is None or order.status.is_final

    async def _collect(self, result: ParentResult, link_id: str) -> None:
        order = await self._settled(result.parent.symbol, link_id)
        result.filled_quantity += order.booked_quantity
        result.filled_value += order.booked_value
        result.fees += order.booked_fees
        if order.reason:
            result.reason = order.reason

    async def _settled(self, symbol: str, link_id: str) -> TrackedOrder:
        while True:
            try:
                return await self._engine.settle(link_id, timeout_s=_SETTLE_S)
            except DeadlineExceeded as e:
                _LOG.warning("order not settled", link_id=link_id, error=str(e))
                await self._cancel(symbol, link_id)  # the earlier request may have been lost

    def _mid(self, symbol: str) -> Decimal | None:
        quote = self._quote(symbol)
        if quote.bid is None or quote.ask is None:
            return None
        return (quote.bid + quote.ask) / 2
