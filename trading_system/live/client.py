"""What users and optimizers hold of a running session: reads, and orders through the risk gate."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from trading_system.domain.errors import (
    DeadlineExceeded,
    Outcome,
    ValidationError,
    VenueError,
)
from trading_system.domain.instruments import Instrument, parse_decimal, plain
from trading_system.domain.orders import OrderIntent, OrderType, Side, TrailingStop
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.signals import MarketFeatures
from trading_system.execution.engine import ExecutionEngine
from trading_system.execution.executor import Executor
from trading_system.execution.tracking import TrackedOrder, TrackedStatus
from trading_system.live.feed import MarketFeed
from trading_system.live.order_requests import RESTING, OrderRequest, order_request
from trading_system.live.quoting import QuotingDesk
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.reading import BybitReads

_NS_PER_MS = 1_000_000


class GatedClient:
    """Reads of one session, and its only way for users and optimizers to send an order.

    Parameters
    ----------
    gateway : BybitGateway
        Used for queries only; orders go through ``engine``.
    engine : ExecutionEngine
        The gate.
    executor : Executor
        Works parent orders through the engine.
    feed : MarketFeed
        Live books and features.
    timeout_s : float
        Deadline of one order request, seconds.
    after_fill : Callable
        Awaited with the symbol after an order that traded: rests a protective stop.
    quoting : QuotingDesk
        Views and batches of a market maker, through the same gate.
    """

    def __init__(
        self,
        gateway: BybitGateway,
        *,
        engine: ExecutionEngine,
        executor: Executor,
        feed: MarketFeed,
        timeout_s: float,
        after_fill: Callable[[str], Awaitable[None]],
        quoting: QuotingDesk,
    ) -> None:
        self.quoting = quoting
        self._after_fill = after_fill
        self._gateway = gateway
        self._engine = engine
        self._executor = executor
        self._feed = feed
        self._timeout_s = timeout_s
        self.reads = BybitReads(gateway, book=self._live_book, timeout_s=timeout_s)

    async def ensure_ready(self) -> None:
        """Do nothing: a session's client is ready."""

    @property
    def rest_url(self) -> str:
        """Base address of the venue's REST host, without a trailing slash."""
        return self._gateway.rest.base_url

    def auth_headers(self, payload: bytes) -> dict[str, str]:
        """Return the headers that sign ``payload`` (a GET's query or a POST's body)."""
        return self._gateway.rest.auth_headers(payload)

    async def instrument(self, symbol: str) -> Instrument:
        """Return the trading rules of one symbol."""
        state = self._feed.symbols.get(symbol)
        return state.instrument if state else await self._gateway.instrument(symbol)

    async def get_order_book_data(self, symbol: str, limit: int = 50) -> dict[str, Any]:
        """Return ``symbol``, ``bids``, ``asks`` as [price, size] text pairs and ``ts``."""
        return await self.reads.get_order_book_data(symbol, limit)

    def features(self, symbol: str) -> MarketFeatures | None:
        """Return the newest features of the live book, None without one."""
        state = self._feed.symbols.get(symbol)
        return state.features if state is not None else None

    async def execute_parent(self, parent: ParentOrder) -> ParentResult | None:
        """Work one parent order through the risk gate; None without a quote to start from."""
        result = await self._executor.execute(parent)
        if result is not None and result.filled_quantity:
            await self._after_fill(parent.symbol)
        return result

    async def place_order(self, symbol: str, side: str, **parameters: object) -> dict[str, Any]:
        """Send one order through the risk gate and return what became of it.

        Parameters
        ----------
        side : str
            ``Buy`` or ``Sell``.
        **parameters
            ``quantity`` (base currency), ``order_type`` (``Market`` or ``Limit``), ``price``,
            ``time_in_force`` (``GTC``, ``IOC``, ``FOK``, ``PostOnly``), ``reduce_only``;
            ``stop_loss`` and ``take_profit`` (prices), each with ``..._limit_price`` to close by a
            limit order, and ``exit_trigger_by`` (``Mark``, ``Last``, ``Index``);
            ``trigger_price`` makes the order conditional, with ``trigger_by`` (``Last``, ``Mark``,
            ``Index``) and ``trigger_direction`` (``Rise``, ``Fall``; else told by the market).
            A ``stop_loss`` alone of an order that trades at once is set for the whole position
            after the trade; any other exits go with the order, and the venue sets them when it
            fills.

        Returns
        -------
        dict
            ``symbol``, ``side``, ``order_id``, ``link_id``, ``status``, ``quantity``,
            ``filled_quantity``, ``average_price``, ``fees``, ``stop_loss`` (the stop that rests
            now because of this order, else None) and ``reason``. A resting order is ``open``, a
            conditional one ``untriggered``; any other is waited for. One of which the venue says
            nothing for 15 s is ``unknown``: it may be at work, and is looked up further. If it
            traded and the venue refused the stop, ``reason`` says so.

        Raises
        ------
        ValidationError
            If the request makes no sense; nothing was sent.
        OrderDenied
            If the risk gate refused it; nothing was sent.
        VenueError
            If the venue refused it.
        """
        request = order_request(symbol, side, **parameters)
        intent = request.intent(self._engine.next_link_id(), mid=self._feed.market_view(symbol).mid)
        state = self._feed.symbols.get(symbol)
        if request.stop_loss is not None and state is not None:
            _ = state.instrument.price_to_ticks(request.stop_loss)  # raises when it is off the grid
            self._check_side(request.stop_loss, request)
        order = await self._send(intent)
        if not order.booked_quantity:
            return _outcome(order)
        if request.stop_loss is None:
            if intent.stop_loss is not None:  # the venue has set the stop that the order brought
                return {**_outcome(order), "stop_loss": float(intent.stop_loss.price)}
            await self._after_fill(symbol)
            return _outcome(order)
        # From here on the order has traded: a stop that fails must not look like its refusal.
        try:
            await self._engine.protect(symbol, request.stop_loss, timeout_s=self._timeout_s)
        except VenueError as e:
            await self._after_fill(symbol)
            return {**_outcome(order), "reason": f"traded, but without the stop: {e}"}
        return {**_outcome(order), "stop_loss": float(request.stop_loss)}

    async def set_trailing_stop(
        self, symbol: str, distance: object, active_price: object = None
    ) -> dict[str, Any]:
        """Let a trailing stop for the whole position rest at the venue; it can only close.

        Parameters
        ----------
        distance : object
            From the best price, quote currency; None or 0 removes the stop.
        active_price : object
            Price from which on it follows, quote currency; None follows at once.

        Returns
        -------
        dict
            ``symbol``, ``distance`` and ``active_price``, both None when there is no such stop.

        Raises
        ------
        ValidationError
            If a value is no positive number or is off the grid; nothing was sent.
        """
        offset = parse_decimal(str(distance)) if distance is not None else Decimal(0)
        start = parse_decimal(str(active_price)) if active_price is not None else None
        stop = TrailingStop(distance=offset, active_price=start) if offset else None
        await self._engine.trail(symbol, stop, timeout_s=self._timeout_s)
        return {
            "symbol": symbol,
            "distance": float(offset) if stop is not None else None,
            "active_price": float(start) if stop is not None and start is not None else None,
        }

    async def cancel_all_orders(self, symbol: str | None = None) -> None:
        """Ask for the cancellation of all orders of ``symbol``, or of the whole account.

        Conditional orders are cancelled as well; stops of positions stay.
        """
        await self._engine.cancel_all(symbol, timeout_s=self._timeout_s)

    def _check_side(self, stop: Decimal, request: OrderRequest) -> None:
        """Refuse a stop that would trigger at once, before anything is sent."""
        mid = self._feed.market_view(request.symbol).mid
        if mid is not None and (stop - mid) * request.side.sign >= 0:
            losing = "below" if request.side is Side.BUY else "above"
            raise ValidationError(f"stop_loss {plain(stop)} must be {losing} the market at {mid}")

    async def _send(self, intent: OrderIntent) -> TrackedOrder:
        try:
            await self._engine.submit(intent, timeout_s=self._timeout_s)
        except VenueError as e:
            if e.outcome is not Outcome.UNKNOWN:
                raise
            with contextlib.suppress(DeadlineExceeded):
                return await self._engine.resolve(intent.link_id)
        order = self._engine.order(intent.link_id)
        assert order is not None
        if order.status is TrackedStatus.UNKNOWN:
            return order
        if intent.trigger is not None:
            return order
        if intent.time_in_force in RESTING and intent.order_type is OrderType.LIMIT:
            return order
        try:
            return await self._engine.settle(intent.link_id, timeout_s=self._timeout_s)
        except DeadlineExceeded:
            return order

    def _live_book(self, symbol: str, limit: int) -> dict[str, Any] | None:
        state = self._feed.symbols.get(symbol)
        if state is None or not state.book.is_ready or state.book.ts_exchange_ns is None:
            return None
        grid = state.instrument
        sides = {
            name: [
                [plain(grid.ticks_to_price(ticks)), plain(grid.lots_to_qty(lots))]
                for ticks, lots in state.book.levels(side, limit)
            ]
            for name, side in (("bids", Side.BUY), ("asks", Side.SELL))
        }
        return {"symbol": symbol, **sides, "ts": state.book.ts_exchange_ns // _NS_PER_MS}


def _outcome(order: TrackedOrder) -> dict[str, Any]:
    average = order.average_price
    return {
        "symbol": order.intent.symbol,
        "side": order.intent.side.name.capitalize(),
        "order_id": order.order_id,
        "link_id": order.intent.link_id,
        "status": order.status.value,
        "quantity": float(order.intent.quantity),
        "filled_quantity": float(order.booked_quantity),
        "average_price": float(average) if average is not None else None,
        "fees": float(order.booked_fees),
        "stop_loss": None,
        "reason": order.reason,
    }
