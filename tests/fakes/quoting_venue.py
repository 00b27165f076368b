"""A quoting venue in memory: resting orders, fills on demand, refusals, unknown outcomes, latency.

It checks what must never happen while it works: an own bid at or above an own ask, a post-only
order at the opposite touch, more than the inventory limit within reach of one side's orders.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from trading_system.domain.errors import (
    OffGridError,
    OrderDenied,
    Outcome,
    TradingSystemError,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import BatchOutcome, OrderIntent, PriceChange, RestingOrder, Side
from trading_system.domain.ports import QuoteView
from trading_system.runtime.clock import ManualClock

IDLE_TURNS = 20
Script = Callable[[str, str], TradingSystemError | None]


def instrument(symbol: str = "BTCUSDT", **changes: Decimal) -> Instrument:
    fields = {
        "tick_size": Decimal("0.1"),
        "qty_step": Decimal("0.001"),
        "min_price": Decimal("0.1"),
        "max_price": Decimal(10_000_000),
        "min_qty": Decimal("0.001"),
        "max_qty": Decimal(1_000),
        "max_market_qty": Decimal(100),
        "min_notional": Decimal(5),
    } | changes
    return Instrument(
        symbol=symbol, base_coin=symbol.removesuffix("USDT"), quote_coin="USDT", **fields
    )


def refusal(reason: str = "halted") -> OrderDenied:
    return OrderDenied(reason, "as scripted")


def rejection(operation: str = "order.create") -> VenueRejected:
    return VenueRejected("as scripted", venue="fake", operation=operation, outcome=Outcome.REJECTED)


def silence(operation: str = "order.create") -> VenueUnavailable:
    return VenueUnavailable(
        "as scripted", venue="fake", operation=operation, outcome=Outcome.UNKNOWN
    )


class VirtualTime:
    """Waits on a manual clock: it jumps to the next due waiter whenever all tasks are idle."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        due_ns = self.clock.monotonic_ns() + round(seconds * 1e9)
        heapq.heappush(self._waiting, (due_ns, self._count, future))
        await future

    async def until_done(self, work: Coroutine[Any, Any, Any], *, limit_s: float = 3_600.0) -> Any:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work)
            await self._drive(task, limit_s)
        return None if task.cancelled() else task.result()

    async def _drive(self, task: asyncio.Task[Any], limit_s: float) -> None:
        ends_ns = self.clock.monotonic_ns() + round(limit_s * 1e9)
        while True:
            for _ in range(IDLE_TURNS):
                await asyncio.sleep(0)
            if task.done():
                return
            if not self._waiting or self._waiting[0][0] > ends_ns:
                task.cancel()
                return
            due_ns, _, future = heapq.heappop(self._waiting)
            if not future.done():
                self.clock.advance(max(0, due_ns - self.clock.monotonic_ns()) / 1e9)
                future.set_result(None)


@dataclass
class FakeBook:
    bid: Decimal
    ask: Decimal
    updated_ns: int
    position: Decimal = Decimal(0)
    is_trusted: bool = True


class FakeQuotingVenue:
    def __init__(
        self,
        *symbols: str,
        clock: ManualClock | None = None,
        limit: Decimal = Decimal(3_000),
        mid: Decimal = Decimal(60_000),
        atr: Decimal = Decimal(60),
        latency: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.clock = clock or ManualClock()
        self.limit = limit
        self.fee = 0.0002
        self.atr = atr
        self.is_open = True
        self.latency = latency
        self.instruments = {symbol: instrument(symbol) for symbol in symbols or ("BTCUSDT",)}
        self.books = {s: FakeBook(mid, mid, 0) for s in self.instruments}
        for symbol in self.instruments:
            self.move(symbol, mid)
        self.orders: dict[str, RestingOrder] = {}
        self.script: Script = lambda _operation, _symbol: None
        self.whole_call_error: TradingSystemError | None = None
        self.candle_error: TradingSystemError | None = None
        self.ready_error: TradingSystemError | None = None
        self.broken_symbol: str | None = None
        self.calls: list[tuple[str, int]] = []
        self.running = 0
        self.most_running = 0
        self.crossed = 0
        self.under_floor = 0
        self.least_ratio = 1.0
        self.worst_reach = Decimal(0)
        self.rejected_as_taker = 0
        self._numbers = 0
        self.on_call: deque[Callable[[], None]] = deque()

    # --- the market

    def move(self, symbol: str, mid: Decimal, *, half: Decimal = Decimal("0.5")) -> None:
        book = self.books[symbol]
        book.bid, book.ask = mid - half, mid + half
        book.updated_ns = self.clock.monotonic_ns()

    def refresh(self) -> None:
        for book in self.books.values():
            book.updated_ns = self.clock.monotonic_ns()

    def fill(self, link_id: str, share: Decimal = Decimal(1)) -> None:
        order = self.orders[link_id]
        quantity = (order.open_quantity * share).quantize(Decimal("0.001"))
        self.books[order.symbol].position += quantity * order.side.sign
        left = order.open_quantity - quantity
        if left > 0:
            self.orders[link_id] = replace(order, open_quantity=left)
        else:
            del self.orders[link_id]
        self._check(order.symbol)

    def side(self, side: Side, symbol: str = "BTCUSDT") -> list[RestingOrder]:
        held = [o for o in self.orders.values() if o.symbol == symbol and o.side is side]
        return sorted(held, key=lambda o: -o.price * side.sign)

    # --- the port

    async def ensure_ready(self) -> None:
        if self.ready_error is not None:
            raise self.ready_error

    async def instrument(self, symbol: str) -> Instrument:
        return self.instruments[symbol]

    def maker_fee(self, symbol: str) -> float:
        return self.fee

    def quote_view(self, symbol: str) -> QuoteView | None:
        book = self.books[symbol]
        if not book.is_trusted:
            return None
        mid = float(book.bid + book.ask) / 2
        return QuoteView(
            symbol=symbol,
            bid=book.bid,
            ask=book.ask,
            mid=mid,
            microprice=mid,
            age_s=(self.clock.monotonic_ns() - book.updated_ns) / 1e9,
            position=book.position,
        )

    def may_open(self) -> bool:
        return self.is_open

    def resting_orders(self, symbol: str) -> tuple[RestingOrder, ...]:
        if symbol == self.broken_symbol:
            raise OffGridError(f"{symbol} has an order off its grid")
        return tuple(order for order in self.orders.values() if order.symbol == symbol)

    def next_link_id(self) -> str:
        self._numbers += 1
        return f"q{self._numbers}"

    async def get_kline_data(
        self, symbol: str, interval: str = "1", limit: int = 200
    ) -> list[dict[str, Any]]:
        if self.candle_error is not None:
            raise self.candle_error
        mid = float(self.books[symbol].bid)
        half = float(self.atr) / 2
        return [
            {
                "timestamp": 60_000 * n,
                "open": mid,
                "high": mid + half,
                "low": mid - half,
                "close": mid + (half / 2 if n % 2 else -half / 2),
            }
            for n in range(limit)
        ]

    async def place_orders(self, intents: Sequence[OrderIntent]) -> list[BatchOutcome]:
        await self._begin("create", len(intents))
        return [self._place(intent) for intent in intents]

    async def amend_orders(self, changes: Sequence[PriceChange]) -> list[BatchOutcome]:
        await self._begin("amend", len(changes))
        return [self._amend(change) for change in changes]

    async def cancel_orders(self, orders: Sequence[tuple[str, str]]) -> list[BatchOutcome]:
        await self._begin("cancel", len(orders))
        return [self._cancel(symbol, link_id) for symbol, link_id in orders]

    # --- inside

    async def _begin(self, operation: str, size: int) -> None:
        assert 1 <= size <= 10
        self.calls.append((operation, size))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.latency is not None:
                await self.latency()
        finally:
            self.running -= 1
        if self.on_call:
            self.on_call.popleft()()
        if self.whole_call_error is not None:
            raise self.whole_call_error

    def _place(self, intent: OrderIntent) -> BatchOutcome:
        error = self.script("create", intent.symbol)
        assert intent.price is not None
        is_unknown = getattr(error, "outcome", None) is Outcome.UNKNOWN
        if error is not None and not is_unknown:
            return BatchOutcome(link_id=intent.link_id, error=error)
        if self._takes(intent.symbol, intent.side, intent.price):
            self.rejected_as_taker += 1
            return BatchOutcome(link_id=intent.link_id, error=rejection())
        self.orders[intent.link_id] = RestingOrder(
            link_id=intent.link_id,
            symbol=intent.symbol,
            side=intent.side,
            price=intent.price,
            open_quantity=intent.quantity,
            is_settled_in=not is_unknown,
        )
        self._check(intent.symbol)
        return BatchOutcome(link_id=intent.link_id, order_id="o" + intent.link_id, error=error)

    def _amend(self, change: PriceChange) -> BatchOutcome:
        error = self.script("amend", change.symbol)
        order = self.orders.get(change.link_id)
        if error is None and order is None:
            error = rejection("order.amend")
        if error is None and self._takes(change.symbol, order.side, change.price):
            self.rejected_as_taker += 1
            del self.orders[change.link_id]
            error = rejection("order.amend")
        if error is None:
            assert order.is_settled_in
            self.orders[change.link_id] = replace(order, price=change.price)
            self._check(change.symbol)
        return BatchOutcome(link_id=change.link_id, error=error)

    def _cancel(self, symbol: str, link_id: str) -> BatchOutcome:
        error = self.script("cancel", symbol)
        if error is None and self.orders.pop(link_id, None) is None:
            error = rejection("order.cancel")
        return BatchOutcome(link_id=link_id, error=error)

    def _takes(self, symbol: str, side: Side, price: Decimal) -> bool:
        book = self.books[symbol]
        return price >= book.ask if side is Side.BUY else price <= book.bid

    def _check(self, symbol: str) -> None:
        bids, asks = self.side(Side.BUY, symbol), self.side(Side.SELL, symbol)
        if bids and asks:
            self.crossed += bids[0].price >= asks[0].price
            width = asks[0].price - bids[0].price
            ratio = float(width / ((asks[0].price + bids[0].price) / 2))
            self.least_ratio = min(self.least_ratio, ratio)
        book = self.books[symbol]
        for orders, sign in ((bids, 1), (asks, -1)):
            reach = book.position * sign + _total(orders)
            self.worst_reach = max(self.worst_reach, reach * book.bid if orders else Decimal(0))


def _total(orders: Iterable[RestingOrder]) -> Decimal:
    return sum((order.open_quantity for order in orders), Decimal(0))
