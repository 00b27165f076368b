"""A venue at the gateway seam: it answers as scripted and remembers what it was sent."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from decimal import Decimal

from trading_system.domain.errors import Outcome, VenueError, VenueRejected, VenueUnavailable
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import (
    BatchOutcome,
    Fill,
    OrderAck,
    OrderIntent,
    OrderReport,
    OrderStatus,
    PriceChange,
    TrailingStop,
)
from trading_system.execution.engine import RECOVERY, ExecutionEngine
from trading_system.execution.journal.store import IN_MEMORY, Journal
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import MarketView, RiskLimits
from trading_system.risk.losses import LossGuard
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.clock import ManualClock
from trading_system.runtime.limiter import SlidingWindow

BTC = Instrument(
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_price=Decimal("0.1"),
    max_price=Decimal(2_000_000),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(1000),
    max_market_qty=Decimal(100),
    min_notional=Decimal(5),
)


def rejected(code: int) -> VenueRejected:
    return VenueRejected(
        "no", venue="fake", operation="create", outcome=Outcome.REJECTED, code=code
    )


def unavailable(outcome: Outcome) -> VenueUnavailable:
    return VenueUnavailable("gone", venue="fake", operation="create", outcome=outcome)


class FakeVenue:
    """Accepts orders; ``failures`` are raised in turn, by a batch as verdicts of its items.

    ``batch_failures`` are raised by whole batches in turn.
    """

    def __init__(self) -> None:
        self.sent: list[OrderIntent] = []
        self.cancelled: list[str] = []
        self.open: list[OrderReport] = []
        self.stops: list[tuple[str, Decimal | None]] = []
        self.stop_indices: list[int] = []
        self.trails: list[tuple[str, TrailingStop | None, int]] = []
        self.moved: list[tuple[str, Decimal | None, Decimal | None]] = []
        self.amended: list[PriceChange] = []
        self.batches: list[int] = []
        self.failures: deque[Exception | None] = deque()
        self.batch_failures: deque[Exception | None] = deque()
        self.on_accept: list[object] = []
        self.known: dict[str, OrderReport] = {}
        self.fills: dict[str, list[Fill]] = {}
        self.lookups = 0
        self.listener: ExecutionEngine | None = None
        self.auto_fill = False
        self.fill_price = Decimal(50_000)
        self.fill_share = Decimal(1)

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        self.sent.append(intent)
        failure = self.failures.popleft() if self.failures else None
        if failure is not None:
            raise failure
        if self.auto_fill:
            self.fill(intent)
        return OrderAck(order_id=f"v-{intent.link_id}", link_id=intent.link_id)

    async def submit_batch(
        self, intents: Sequence[OrderIntent], *, timeout_s: float
    ) -> list[BatchOutcome]:
        self.sent += intents
        self.begin_batch(intents)
        return [self.verdict(intent.link_id) for intent in intents]

    async def amend_batch(
        self, changes: Sequence[PriceChange], *, timeout_s: float
    ) -> list[BatchOutcome]:
        self.amended += changes
        self.begin_batch(changes)
        return [self.verdict(change.link_id) for change in changes]

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        self.cancelled += [link_id for _, link_id in orders]
        self.begin_batch(orders)
        return [self.verdict(link_id) for _, link_id in orders]

    def begin_batch(self, items: Sequence[object]) -> None:
        self.batches.append(len(items))
        failure = self.batch_failures.popleft() if self.batch_failures else None
        if failure is not None:
            raise failure

    def verdict(self, link_id: str) -> BatchOutcome:
        failure = self.failures.popleft() if self.failures else None
        if failure is None:
            return BatchOutcome(link_id=link_id, order_id=f"v-{link_id}")
        assert isinstance(failure, VenueError)
        return BatchOutcome(link_id=link_id, error=failure)

    def fill(self, intent: OrderIntent) -> None:
        assert self.listener is not None
        quantity = intent.quantity * self.fill_share
        if quantity:
            self.listener.on_fill(fill(intent, quantity, self.fill_price))
        full = quantity == intent.quantity
        status = OrderStatus.FILLED if full else OrderStatus.CANCELLED
        self.listener.on_report(report(intent, status, quantity))

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        self.cancelled.append(link_id)
        intent = next(i for i in self.sent if i.link_id == link_id)
        assert self.listener is not None
        self.listener.on_report(report(intent, OrderStatus.CANCELLED, Decimal(0)))

    async def cancel_all(self, symbol: str | None, *, timeout_s: float) -> None:
        self.cancelled.append(symbol or "everything")

    async def protect(
        self, symbol: str, stop_price: Decimal | None, *, timeout_s: float, position_idx: int = 0
    ) -> None:
        self.stops.append((symbol, stop_price))
        self.stop_indices.append(position_idx)

    async def trail(
        self, symbol: str, stop: TrailingStop | None, *, timeout_s: float, position_idx: int = 0
    ) -> None:
        self.trails.append((symbol, stop, position_idx))

    async def amend(
        self,
        symbol: str,
        link_id: str,
        *,
        timeout_s: float,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        trigger_price: Decimal | None = None,
    ) -> OrderAck:
        self.moved.append((link_id, price, trigger_price))
        failure = self.failures.popleft() if self.failures else None
        if failure is not None:
            raise failure
        return OrderAck(order_id=f"v-{link_id}", link_id=link_id)

    async def open_orders(self) -> list[OrderReport]:
        return list(self.open)

    async def find_order(self, link_id: str) -> OrderReport | None:
        self.lookups += 1
        return self.known.get(link_id)

    async def executions(self, link_id: str) -> list[Fill]:
        return self.fills.get(link_id, [])


def report(intent: OrderIntent, status: OrderStatus, filled: Decimal) -> OrderReport:
    return OrderReport(
        order_id=f"v-{intent.link_id}",
        link_id=intent.link_id,
        symbol=intent.symbol,
        side=intent.side,
        status=status,
        quantity=intent.quantity,
        filled_quantity=filled,
        average_price=None,
        price=intent.price,
        reason="",
        ts_exchange_ns=0,
    )


def fill(intent: OrderIntent, quantity: Decimal, price: Decimal, *, number: int = 1) -> Fill:
    return Fill(
        exec_id=f"{intent.link_id}-{number}",
        order_id=f"v-{intent.link_id}",
        link_id=intent.link_id,
        symbol=intent.symbol,
        side=intent.side,
        price=price,
        quantity=quantity,
        fee=quantity * price * Decimal("0.00055"),
        is_maker=False,
        ts_exchange_ns=0,
    )


class Rig:
    """Engine, fake venue, portfolio and a manual clock, wired as in the system.

    With a ``journal`` of an earlier rig it is a restart that still has to recover.
    """

    def __init__(
        self,
        *,
        rate: int = 5,
        amend_rate: int = 1_000,
        journal: Journal | None = None,
        run_id: str = "0badcafe",
        venue: FakeVenue | None = None,
        clock: ManualClock | None = None,
        hedged: Sequence[str] = (),
    ) -> None:
        self.clock = clock if clock is not None else ManualClock()
        self.venue = venue if venue is not None else FakeVenue()
        self.journal = journal or Journal.open(IN_MEMORY, clock=self.clock)
        self.losses = LossGuard(max_daily_loss_pct=Decimal(2), max_drawdown_pct=Decimal(5))
        self.clock_offset_ms: float | None = None
        self.order_rate = SlidingWindow(rate, window_s=1.0, clock=self.clock)
        self.amend_rate = SlidingWindow(amend_rate, window_s=1.0, clock=self.clock)
        self.booked: list[Fill] = []
        self.funded: list[tuple[str, Decimal]] = []
        self.portfolio = Portfolio(Decimal(100_000), hedged=hedged)
        self.view = MarketView(mid=Decimal(50_000), age_s=0.1)
        self.random = random.Random(1)
        self.engine = ExecutionEngine(
            gateway=self.venue,
            lookup=self.venue,
            instruments={"BTCUSDT": BTC},
            limits=RiskLimits(
                collar_bps=Decimal(50),
                max_order_notional=Decimal(10_000),
                max_position_notional=Decimal(40_000),
                max_gross_notional=Decimal(50_000),
                max_book_age_s=3.5,
            ),
            order_rate=self.order_rate,
            portfolio=self.portfolio,
            journal=self.journal,
            losses=self.losses,
            market=lambda _symbol: self.view,
            clock=self.clock,
            latency=StageLatency(),
            run_id=run_id,
            clock_offset_ms=lambda: self.clock_offset_ms,
            amend_rate=self.amend_rate,
            on_booked=self.booked.append,
            on_funded=lambda symbol, amount: self.funded.append((symbol, amount)),
        )
        if journal is None:
            self.engine.holds.clear(RECOVERY)  # a first run has nothing to conclude
        self.venue.listener = self.engine
