"""One parent at work: its children are sent, waited for, cancelled and counted here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import structlog

from trading_system.domain.errors import (
    DeadlineExceeded,
    InvariantViolated,
    OrderDenied,
    Outcome,
    VenueError,
    VenueRateLimited,
    VenueRejected,
)
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading_system.domain.parents import ChildResult, ParentOrder, ParentResult
from trading_system.domain.ports import Clock
from trading_system.execution.engine import ExecutionEngine
from trading_system.execution.tracking import TrackedOrder
from trading_system.market.book_view import BookWalk
from trading_system.risk.limits import DenyReason

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_SETTLE_S = 15.0
_RESTING = frozenset({TimeInForce.GTC, TimeInForce.POST_ONLY})


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


Walk = Callable[[str, Side, float], BookWalk | None]
"""What an immediate order of (symbol, side, quantity) would get from the visible book now."""


class Patience:
    """Waiting on purpose, which a stop ends at once."""

    def __init__(self) -> None:
        self._scopes: set[asyncio.Timeout] = set()
        self.ended = asyncio.Event()

    async def until(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for ``event`` for at most ``seconds``; return whether it happened."""
        scope = asyncio.timeout(0.0 if self.ended.is_set() else max(0.0, seconds))
        self._scopes.add(scope)
        try:
            async with scope:
                await event.wait()
        except TimeoutError:
            return event.is_set()
        finally:
            self._scopes.discard(scope)
        return True

    def end(self) -> None:
        """End all waiting now and from now on."""
        self.ended.set()
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every parent needs; see :class:`~trading_system.execution.executor.Executor`."""

    engine: ExecutionEngine
    instruments: Mapping[str, Instrument]
    quote: Callable[[str], Quote]
    walk: Walk | None
    clock: Clock
    patience: Patience
    request_timeout_s: float

    def mid(self, symbol: str) -> Decimal | None:
        """Return the middle of the best prices now, None without both."""
        quote = self.quote(symbol)
        if quote.bid is None or quote.ask is None:
            return None
        return (quote.bid + quote.ask) / 2


@dataclass(slots=True, eq=False)
class ParentWork:
    """The children of one parent, one at a time.

    Parameters
    ----------
    may_retry : bool
        Whether the newest child was held back only by a rate limit.
    """

    desk: Desk
    result: ParentResult
    instrument: Instrument
    started_ns: int
    may_retry: bool = False
    _unsettled: OrderIntent | None = field(default=None, init=False)

    @property
    def parent(self) -> ParentOrder:
        """The order at work."""
        return self.result.parent

    @property
    def left_s(self) -> float:
        """Seconds until the time limit, negative when it is over."""
        return self.parent.time_limit_s - self.spent_s

    @property
    def spent_s(self) -> float:
        """Seconds since the start."""
        return (self.desk.clock.monotonic_ns() - self.started_ns) / _NS_PER_S

    @property
    def left_lots(self) -> int:
        """Whole lots that have not been filled."""
        return self.instrument.floor_lots(self.result.remaining_quantity)

    def min_lots(self) -> int:
        """Return the smallest order the venue takes, in lots."""
        rules = self.instrument
        least = rules.min_qty
        if not self.parent.reduce_only:
            least = max(least, rules.min_notional / self.result.arrival_mid)
        return max(1, -rules.floor_lots(-least))

    def limit_price(self) -> Decimal | None:
        """Return the worst acceptable price, None when the market is beyond it already."""
        worst, quote = self.worst_price(), self.desk.quote(self.parent.symbol)
        if self.parent.side is Side.BUY:
            return worst if quote.ask is not None and quote.ask <= worst else None
        return worst if quote.bid is not None and quote.bid >= worst else None

    def worst_price(self) -> Decimal:
        """Return the price at which the slippage limit is reached, rounded inside it."""
        mid, rules = self.result.arrival_mid, self.instrument
        band = mid * Decimal(str(self.parent.max_slippage_bps)) / 10_000
        if self.parent.side is Side.BUY:
            return rules.ticks_to_price(rules.floor_ticks(mid + band))
        return rules.ticks_to_price(rules.ceil_ticks(mid - band))

    def finish(self) -> ParentResult:
        """Return the result with its final duration."""
        self.result.duration_ms = self._since_ms(self.started_ns)
        return self.result

    async def pause_until(self, at_s: float) -> bool:
        """Wait until ``at_s`` seconds after the start; False when a stop was asked for."""
        began_ns = self.desk.clock.monotonic_ns()
        is_stopped = await self.desk.patience.until(self.desk.patience.ended, at_s - self.spent_s)
        self.result.waited_ms += self._since_ms(began_ns)
        return not is_stopped

    async def rest(
        self, *, price: Decimal, time_in_force: TimeInForce, quantity: Decimal, seconds: float
    ) -> bool:
        """Let a child rest for ``seconds``, then cancel it; False when it was not accepted."""
        link_id = await self.send(price=price, time_in_force=time_in_force, quantity=quantity)
        if link_id is None:
            return False
        order = self.desk.engine.order(link_id)
        assert order is not None
        began_ns = self.desk.clock.monotonic_ns()
        is_settled = await self.desk.patience.until(order.settled, seconds)
        waited_ms = self._since_ms(began_ns)
        self.result.waited_ms += waited_ms
        if not is_settled:
            await self._cancel(link_id)
        await self._collect(link_id, waited_ms=waited_ms)
        return True

    async def cross(self, quantity: Decimal, *, time_in_force: TimeInForce) -> bool:
        """Take ``quantity`` from the market inside the slippage limit; False when nothing was sent.

        An exit must complete: unless it is fill-or-kill it has no price of its own and follows the
        market inside the gate's collar.
        """
        price = None
        if not self.parent.reduce_only or time_in_force is TimeInForce.FOK:
            price = self.limit_price()
            if price is None:
                self.result.reason = "market moved beyond the slippage limit"
                return False
        link_id = await self.send(price=price, time_in_force=time_in_force, quantity=quantity)
        if link_id is None:
            return False
        await self._collect(link_id)
        return True

    async def send(
        self, *, price: Decimal | None, time_in_force: TimeInForce, quantity: Decimal
    ) -> str | None:
        """Send one child; return its link id unless it is known that it cannot have an effect.

        Raises
        ------
        InvariantViolated
            If the children could trade more than the parent.
        """
        if quantity > self.result.remaining_quantity or self._unsettled is not None:
            raise InvariantViolated(f"child of {quantity} would exceed its parent {self.parent}")
        engine, parent = self.desk.engine, self.parent
        intent = OrderIntent(
            symbol=parent.symbol,
            side=parent.side,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=quantity,
            price=price,
            time_in_force=time_in_force,
            reduce_only=parent.reduce_only,
            link_id=engine.next_link_id(),
        )
        self.may_retry = False
        self._unsettled = intent
        try:
            await engine.submit(intent, timeout_s=self.desk.request_timeout_s)
        except OrderDenied as e:
            self._unsettled = None
            self.result.reason = str(e)
            self.may_retry = e.reason == DenyReason.ORDER_RATE.value
            return None
        except VenueError as e:
            self.result.reason = str(e)
            order = engine.order(intent.link_id)
            assert order is not None
            if e.outcome is not Outcome.UNKNOWN and order.status.is_final:
                self.may_retry = isinstance(e, VenueRateLimited)
                self._count(intent.link_id, order, waited_ms=0.0)
                return None
            try:
                await engine.resolve(intent.link_id)
            except DeadlineExceeded as e:  # it may be at work: it is waited for, and cancelled
                _LOG.warning("order still unknown", link_id=intent.link_id, error=str(e))
        return intent.link_id

    async def withdraw(self) -> None:
        """Ask once for the cancellation of a child that may rest; for a parent that is cut off."""
        intent = self._unsettled
        if intent is not None and intent.time_in_force in _RESTING:
            await self._cancel(intent.link_id)

    async def _cancel(self, link_id: str) -> None:
        engine, timeout_s = self.desk.engine, self.desk.request_timeout_s
        try:
            await engine.cancel(self.parent.symbol, link_id, timeout_s=timeout_s)
        except VenueRejected:
            pass  # already final: its last report settles it
        except VenueError as e:
            _LOG.warning("cancel failed", link_id=link_id, error=str(e))

    async def _collect(self, link_id: str, *, waited_ms: float = 0.0) -> None:
        order = await self._settled(link_id)
        if order.reason:
            self.result.reason = order.reason
        self._count(link_id, order, waited_ms=waited_ms)

    async def _settled(self, link_id: str) -> TrackedOrder:
        while True:
            try:
                return await self.desk.engine.settle(link_id, timeout_s=_SETTLE_S)
            except DeadlineExceeded as e:
                _LOG.warning("order not settled", link_id=link_id, error=str(e))
                await self._cancel(link_id)  # the earlier request may have been lost

    def _count(self, link_id: str, order: TrackedOrder, *, waited_ms: float) -> None:
        self._unsettled = None
        result = self.result
        result.children.append(link_id)
        result.filled_quantity += order.booked_quantity
        result.filled_value += order.booked_value
        result.fees += order.booked_fees
        result.child_results.append(
            ChildResult(
                link_id=link_id,
                quantity=order.intent.quantity,
                price=order.intent.price,
                time_in_force=order.intent.time_in_force,
                filled_quantity=order.booked_quantity,
                filled_value=order.booked_value,
                fees=order.booked_fees,
                status=order.status.value,
                reason=order.reason,
                sent_after_ms=(order.sent_ns - self.started_ns) / _NS_PER_MS,
                duration_ms=self._since_ms(order.sent_ns),
                waited_ms=waited_ms,
                slippage_bps=result.cost_bps(order.booked_quantity, order.booked_value),
            )
        )

    def _since_ms(self, began_ns: int) -> float:
        return (self.desk.clock.monotonic_ns() - began_ns) / _NS_PER_MS
