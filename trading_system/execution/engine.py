"""The gated order engine: the only holder of the raw venue gateway.

Every order passes the risk gate here, is tracked from before its first byte until its outcome is
known, and is never sent a second time: an answer that did not come is looked up by link id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

import structlog

from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    OrderDenied,
    Outcome,
    VenueAuthError,
    VenueError,
    VenueRejected,
)
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import (
    Fill,
    OrderAck,
    OrderIntent,
    OrderReport,
    OrderType,
    TimeInForce,
)
from trading_system.domain.ports import Clock, OrderGateway
from trading_system.execution.tracking import TrackedOrder, TrackedStatus
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import (
    DenyReason,
    ExposureView,
    MarketView,
    RiskLimits,
    TradingState,
    collar_price,
    decide,
)
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.limiter import SlidingWindow

LINK_PREFIX = "ts-"
"""How the link id of every order of this project begins."""

_LOG = structlog.get_logger(__name__)
_KEEP_FINAL = 10_000
_LOOKUP_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 4.0)
_LOOKUP_MARGIN_S = 1.0
_SILENCE_S = 2.0
_ALREADY_EXISTS = frozenset({110072, 170141, 10014})
_STALE_STAMP = 10002
_NS_PER_S = 1_000_000_000


class OrderLookup(Protocol):
    """Read side of the venue that settles unknown outcomes."""

    async def find_order(self, link_id: str) -> OrderReport | None:
        """Return the order of ``link_id``, None if the venue has none."""
        ...

    async def executions(self, link_id: str) -> list[Fill]:
        """Return the trade executions of one order."""
        ...


class ExecutionEngine:
    """An :class:`OrderGateway` that gates, tracks and settles.

    Parameters
    ----------
    gateway : OrderGateway
        The raw venue client; nothing else in the assembled system holds it.
    lookup : OrderLookup
        Read side of the same venue.
    instruments : Mapping[str, Instrument]
        Tradable symbols.
    limits : RiskLimits
        Hard caps.
    order_rate : SlidingWindow
        Limiter of new orders.
    portfolio : Portfolio
        Receives every fill once.
    market : Callable[[str], MarketView]
        Newest market view of a symbol.
    clock : Clock
        Monotonic stamps.
    latency : StageLatency
        Receives the stages ``gate``, ``send``, ``ack`` and ``fill``.
    run_id : str
        Eight hex digits that prefix every link id of this run.
    request_life_s : float
        Seconds after which a request that the venue has not seen can no longer take effect.
    """

    def __init__(
        self,
        *,
        gateway: OrderGateway,
        lookup: OrderLookup,
        instruments: Mapping[str, Instrument],
        limits: RiskLimits,
        order_rate: SlidingWindow,
        portfolio: Portfolio,
        market: Callable[[str], MarketView],
        clock: Clock,
        latency: StageLatency,
        run_id: str,
        request_life_s: float = 5.0,
    ) -> None:
        self._gateway = gateway
        self._lookup = lookup
        self._instruments = instruments
        self._limits = limits
        self._order_rate = order_rate
        self._portfolio = portfolio
        self._market = market
        self._clock = clock
        self._latency = latency
        self._run_id = run_id
        self._request_life_s = request_life_s
        self._live: dict[str, TrackedOrder] = {}
        self._final: deque[TrackedOrder] = deque(maxlen=_KEEP_FINAL)
        self._by_link: dict[str, TrackedOrder] = {}
        self._sequence = 0
        self._own: dict[str, Decimal] = {}
        self.state = TradingState.ACTIVE
        self.denied: dict[str, int] = {}
        self.outcomes = dict.fromkeys(TrackedStatus, 0)
        self.sent = 0
        self.fills = 0
        self.foreign_reports = 0

    def next_link_id(self) -> str:
        """Return a link id that this run has not used: ``ts-<run>-<sequence>``."""
        self._sequence += 1
        return f"{LINK_PREFIX}{self._run_id}-{self._sequence}"

    def order(self, link_id: str) -> TrackedOrder | None:
        """Return what is known of one own order."""
        return self._by_link.get(link_id)

    @property
    def live_orders(self) -> tuple[TrackedOrder, ...]:
        """Orders without a settled outcome."""
        return tuple(self._live.values())

    @property
    def unknown_orders(self) -> int:
        """Orders whose request may or may not have reached the venue."""
        return sum(o.status is TrackedStatus.UNKNOWN for o in self._live.values())

    def own_quantity(self, symbol: str) -> Decimal:
        """Return the part of the position that this run's orders opened, signed."""
        return self._own.get(symbol, Decimal(0))

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        """Gate and send ``intent``; a market order is sent as a collared immediate-or-cancel.

        Raises
        ------
        OrderDenied
            The gate refused; nothing was sent.
        VenueRejected
            The venue refused definitely; the order is final.
        VenueError
            The outcome is unknown; the order stays tracked until :meth:`resolve` settles it.
        """
        order = self._admit(intent)
        self.sent += 1
        try:
            ack = await self._gateway.submit(order.intent, timeout_s=timeout_s)
        except asyncio.CancelledError:
            self._mark_unknown(order, "cancelled while waiting for the answer")
            raise
        except VenueRejected as e:
            if e.code in _ALREADY_EXISTS:
                self._mark_unknown(order, str(e))
            else:
                self._conclude(order, TrackedStatus.REJECTED, str(e))
            raise
        except VenueError as e:
            if e.outcome is Outcome.UNKNOWN:
                # An answer that did not come took at least this long: leaving it out would flatter.
                self._latency.record("ack", self._clock.monotonic_ns() - order.sent_ns)
                self._mark_unknown(order, str(e))
            else:
                self._conclude(order, TrackedStatus.REJECTED, str(e))
            if isinstance(e, VenueAuthError) and e.code != _STALE_STAMP:
                _LOG.error("halted: the venue refuses the key", error=str(e))
                self.state = TradingState.HALTED
            raise
        self._latency.record("ack", self._clock.monotonic_ns() - order.sent_ns)
        order.order_id = order.order_id or ack.order_id
        if order.status is TrackedStatus.SUBMITTED:
            order.status = TrackedStatus.OPEN
        return ack

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of one order; cancels always pass the gate."""
        await self._gateway.cancel(symbol, link_id, timeout_s=timeout_s)

    async def cancel_all(self, symbol: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of all orders of ``symbol``; always passes the gate."""
        await self._gateway.cancel_all(symbol, timeout_s=timeout_s)

    async def settle(self, link_id: str, *, timeout_s: float) -> TrackedOrder:
        """Wait until the order's outcome is known, looking it up when the stream is silent.

        A look-up that fails is tried again: an outage is no outcome.

        Raises
        ------
        DeadlineExceeded
            If neither stream nor look-up settled it in time; it stays tracked.
        """
        order = self._by_link[link_id]
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * _NS_PER_S)
        while not order.settled.is_set():
            left_s = (deadline_ns - self._clock.monotonic_ns()) / _NS_PER_S
            if left_s <= 0:
                raise DeadlineExceeded(f"order {link_id} not settled within {timeout_s} s")
            try:
                async with asyncio.timeout(min(left_s, _SILENCE_S)):
                    await order.settled.wait()
            except TimeoutError:
                await self.look_up(order)
        return order

    async def look_up(self, order: TrackedOrder) -> None:
        """Ask the venue for one order; an absence past the request's life settles it.

        A request that the venue has not processed dies with its receive window, so "not found"
        is final only after that. An order that the venue had taken and knows no more (it lost its
        memory) can fill no more either. Failed requests settle nothing and are logged.
        """
        link_id = order.intent.link_id
        life_ns = round((self._request_life_s + _LOOKUP_MARGIN_S) * _NS_PER_S)
        is_past_life = self._clock.monotonic_ns() > order.sent_ns + life_ns
        try:
            is_found = await self.refresh(link_id)
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("look-up failed", link_id=link_id, error=str(e))
            return
        if is_found or not is_past_life or order.status.is_final:
            return  # a final order still owes the fills that were reported
        if order.status is TrackedStatus.OPEN:
            _LOG.error("the venue no longer knows an order", link_id=link_id)
            self._conclude(order, TrackedStatus.CANCELLED, "the venue no longer knows it")
        else:
            self._conclude(order, TrackedStatus.REJECTED, "never reached the venue")

    async def refresh(self, link_id: str) -> bool:
        """Look one order up and apply what the venue says; return whether it was found."""
        report = await self._lookup.find_order(link_id)
        # Executions prove an order too: a venue's order history may lag behind them.
        fills = await self._lookup.executions(link_id)
        for fill in fills:
            self.on_fill(fill)
        if report is not None:
            self.on_report(report)
        return report is not None or bool(fills)

    async def resolve(self, link_id: str) -> TrackedOrder:
        """Settle an order of unknown outcome by look-ups; it is never sent again."""
        order = self._by_link[link_id]
        attempt = 0
        while order.status is TrackedStatus.UNKNOWN:
            await asyncio.sleep(_LOOKUP_DELAYS_S[min(attempt, len(_LOOKUP_DELAYS_S) - 1)])
            attempt += 1
            await self.look_up(order)
        return order

    def on_report(self, report: OrderReport) -> None:
        """Apply an order report of the private stream or of a look-up."""
        order = self._by_link.get(report.link_id)
        if order is None:
            self.foreign_reports += 1
            return
        order.apply_report(report)
        self._retire(order)

    def on_fill(self, fill: Fill) -> None:
        """Book one fill, own or foreign, exactly once."""
        realised = self._portfolio.book_fill(fill)
        if realised is None:
            return
        order = self._by_link.get(fill.link_id)
        if order is None:
            self.foreign_reports += 1
            self._note_own(fill.symbol, Decimal(0))
            return
        self.fills += 1
        self._note_own(fill.symbol, fill.quantity * fill.side.sign)
        now_ns = self._clock.monotonic_ns()
        if order.first_fill_ns is None:
            self._latency.record("fill", now_ns - order.sent_ns)
        order.apply_fill(fill, now_ns=now_ns)
        self._retire(order)

    def _note_own(self, symbol: str, change: Decimal) -> None:
        is_flat = not self._portfolio.position(symbol).quantity
        self._own[symbol] = Decimal(0) if is_flat else self.own_quantity(symbol) + change

    def _admit(self, intent: OrderIntent) -> TrackedOrder:
        started_ns = self._clock.monotonic_ns()
        instrument = self._instruments.get(intent.symbol)
        market = self._market(intent.symbol)
        decision = decide(
            intent,
            state=self.state,
            limits=self._limits,
            instrument=instrument,
            market=market,
            exposure=self._exposure(intent.symbol),
        )
        if decision.reason is None and intent.link_id in self._by_link:
            self._deny(DenyReason.LINK_ID, f"link id {intent.link_id} was used before")
        if decision.reason is not None:
            self._deny(decision.reason, decision.detail)
        if not self._order_rate.try_acquire():
            self._deny(DenyReason.ORDER_RATE, "too many new orders in the last second")
        assert instrument is not None
        assert market.mid is not None
        if intent.order_type is OrderType.MARKET:
            intent = replace(
                intent,
                order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.IOC,
                price=collar_price(self._limits, instrument, side=intent.side, mid=market.mid),
            )
        now_ns = self._clock.monotonic_ns()
        self._latency.record("gate", now_ns - started_ns)
        order = TrackedOrder(intent=intent, sent_ns=now_ns)
        self._live[intent.link_id] = order
        self._by_link[intent.link_id] = order
        return order

    def _deny(self, reason: DenyReason, detail: str) -> None:
        self.denied[reason.value] = self.denied.get(reason.value, 0) + 1
        raise OrderDenied(reason.value, detail)

    def _exposure(self, symbol: str) -> ExposureView:
        resting, same_symbol = Decimal(0), Decimal(0)
        for order in self._live.values():
            if order.intent.reduce_only or order.intent.price is None:
                continue
            resting += order.open_quantity * order.intent.price
            if order.intent.symbol == symbol:
                same_symbol += order.open_quantity
        return ExposureView(
            position_quantity=self._portfolio.position(symbol).quantity,
            open_symbol_quantity=same_symbol,
            gross_notional=self._portfolio.gross_notional(),
            open_order_notional=resting,
        )

    def _mark_unknown(self, order: TrackedOrder, reason: str) -> None:
        if not order.status.is_final and order.status is not TrackedStatus.OPEN:
            order.status = TrackedStatus.UNKNOWN
            order.reason = reason
            _LOG.warning("order outcome unknown", link_id=order.intent.link_id, reason=reason)

    def _conclude(self, order: TrackedOrder, status: TrackedStatus, reason: str) -> None:
        order.conclude(status, reason)
        self._retire(order)

    def _retire(self, order: TrackedOrder) -> None:
        if not order.settled.is_set() or order.intent.link_id not in self._live:
            return
        del self._live[order.intent.link_id]
        self.outcomes[order.status] += 1
        if len(self._final) == _KEEP_FINAL:
            self._by_link.pop(self._final[0].intent.link_id, None)
        self._final.append(order)
