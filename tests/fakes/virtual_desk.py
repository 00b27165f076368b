"""The real decision path on the synthetic market, in virtual time and without sockets.

Frames of the venue's encoder go through the live feed, the panels with the registered agents, the
signal trader, the gated engine and the executor. Orders are placed in the same matching venue, so
they take what rests there and move its price; their reports come one step of 20 ms later. Only
sockets and protocol are left out. Time is the clock's: no wait takes any of the machine's.
"""

from __future__ import annotations

import asyncio
import json
import math
import statistics
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from agents.scored import ScoredAgent
from optimizers.ai_signal_optimizer import AISignalOptimizer
from trading_system.config.sections import RiskSettings, StrategySettings
from trading_system.domain.errors import Outcome, VenueRejected
from trading_system.domain.orders import (
    BatchOutcome,
    Fill,
    OrderAck,
    OrderIntent,
    OrderReport,
    OrderStatus,
    PriceChange,
    Side,
)
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.signals import (
    FEATURE_NAMES,
    UNSIGNED_FEATURES,
    Consensus,
    MarketFeatures,
)
from trading_system.evaluation.sessions import START_MS, SyntheticPlan
from trading_system.execution.engine import RECOVERY, ExecutionEngine
from trading_system.execution.executor import Executor
from trading_system.execution.journal.store import IN_MEMORY, Journal
from trading_system.live.feed import MarketFeed
from trading_system.live.symbol_state import Panel
from trading_system.market.book_view import BookWalk
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import RiskLimits
from trading_system.risk.losses import LossGuard
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.clock import ManualClock
from trading_system.runtime.limiter import SlidingWindow
from trading_system.simulation.bybit_server.public_feeds import PublicFeeds
from trading_system.simulation.conditions import StopChange, StopKind, TriggerBy
from trading_system.simulation.records import (
    ExecutionRecord,
    OrderRecord,
    OrderRequest,
    OrderState,
    PublicTrade,
    VenueReject,
)
from trading_system.simulation.venue import SimulatedVenue
from trading_system.strategies.signals import Costs, judged_move_bps, round_trip_cost_bps
from trading_system.strategies.trader import SignalTrader

ACCOUNT = 1
STEP_MS = 20
MARK_EVERY_MS = 500
RUN_ID = "0badcafe"
BPS = 10_000.0
NS_PER_S = 1_000_000_000
TIMEOUT_S = 5.0
IDLE_TURNS = 3
MOST_ORDERS = 10
BUSY_TURNS = 20

STATES = {
    OrderState.NEW: OrderStatus.NEW,
    OrderState.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
    OrderState.FILLED: OrderStatus.FILLED,
    OrderState.CANCELLED: OrderStatus.CANCELLED,
}
DIRECTED = tuple(name for name in FEATURE_NAMES if name not in UNSIGNED_FEATURES)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers follow a clock that is moved by hand."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_S


class MirroredPanel:
    """Shows agents every directed feature with the opposite sign, while prices stay.

    Whatever the market's order flow used to mean, to the agents it now means the opposite.
    """

    def __init__(self, panel: Panel, *, from_s: float) -> None:
        self._panel = panel
        self._from_ns = from_s * NS_PER_S

    def decide(self, features: MarketFeatures) -> Consensus | None:
        if features.ts_ns >= self._from_ns:
            turned = {name: -getattr(features, name) for name in DIRECTED}
            features = features._replace(**turned)
        return self._panel.decide(features)

    def reset(self) -> None:
        self._panel.reset()


class VenueDoor:
    """Gateway, look-up and private stream of one account of a venue in this process."""

    def __init__(self, venue: SimulatedVenue) -> None:
        self._venue = venue
        self._exchange = venue.exchange
        self._reports: deque[Fill | OrderReport] = deque()
        self.orders: list[OrderIntent] = []
        self.stops: dict[str, Decimal | None] = {}
        self.calls: list[tuple[str, int]] = []

    def deliver(self, engine: ExecutionEngine) -> None:
        """Hand over what happened since the last time, oldest first."""
        while self._reports:
            report = self._reports.popleft()
            if isinstance(report, Fill):
                engine.on_fill(report)
            else:
                engine.on_report(report)

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        self.orders.append(intent)
        request = OrderRequest(
            symbol=intent.symbol,
            side=intent.side,
            order_type=intent.order_type,
            quantity=intent.quantity,
            price=intent.price,
            time_in_force=intent.time_in_force,
            link_id=intent.link_id,
            reduce_only=intent.reduce_only,
        )
        try:
            placed = self._exchange.place(ACCOUNT, request, now_ms=self._venue.now_ms)
        except VenueReject as e:
            raise rejection(e, "create") from e
        return OrderAck(order_id=placed.order_id, link_id=intent.link_id)

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        try:
            self._exchange.cancel(ACCOUNT, symbol, link_id=link_id, now_ms=self._venue.now_ms)
        except VenueReject as e:
            raise rejection(e, "cancel") from e

    async def cancel_all(self, symbol: str, *, timeout_s: float) -> None:
        self._exchange.cancel_all(ACCOUNT, symbol=symbol, now_ms=self._venue.now_ms)

    async def protect(
        self, symbol: str, stop_price: Decimal | None, *, timeout_s: float, position_idx: int = 0
    ) -> None:
        change = StopChange(
            kind=StopKind.STOP_LOSS, price=stop_price or Decimal(0), by=TriggerBy.MARK
        )
        try:
            self._exchange.set_stops(ACCOUNT, symbol, [change], now_ms=self._venue.now_ms)
        except VenueReject as e:
            raise rejection(e, "protect") from e
        self.stops[symbol] = stop_price

    async def submit_batch(
        self, intents: Sequence[OrderIntent], *, timeout_s: float
    ) -> list[BatchOutcome]:
        assert len(intents) <= MOST_ORDERS
        self.calls.append(("create", len(intents)))
        outcomes = []
        for intent in intents:
            try:
                ack = await self.submit(intent, timeout_s=timeout_s)
            except VenueRejected as e:
                outcomes.append(BatchOutcome(link_id=intent.link_id, error=e))
            else:
                outcomes.append(BatchOutcome(link_id=intent.link_id, order_id=ack.order_id))
        return outcomes

    async def amend_batch(
        self, changes: Sequence[PriceChange], *, timeout_s: float
    ) -> list[BatchOutcome]:
        assert len(changes) <= MOST_ORDERS
        self.calls.append(("amend", len(changes)))
        outcomes = []
        for change in changes:
            try:
                amended = self._exchange.amend(
                    ACCOUNT,
                    change.symbol,
                    link_id=change.link_id,
                    price=change.price,
                    now_ms=self._venue.now_ms,
                )
            except VenueReject as e:
                error = rejection(e, "amend")
                outcomes.append(BatchOutcome(link_id=change.link_id, error=error))
            else:
                outcomes.append(BatchOutcome(link_id=change.link_id, order_id=amended.order_id))
        return outcomes

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        assert len(orders) <= MOST_ORDERS
        self.calls.append(("cancel", len(orders)))
        outcomes = []
        for symbol, link_id in orders:
            try:
                await self.cancel(symbol, link_id, timeout_s=timeout_s)
            except VenueRejected as e:
                outcomes.append(BatchOutcome(link_id=link_id, error=e))
            else:
                outcomes.append(BatchOutcome(link_id=link_id))
        return outcomes

    async def find_order(self, link_id: str) -> OrderReport | None:
        found = self._exchange.find_order(ACCOUNT, link_id=link_id)
        return None if found is None else self._report(found)

    async def executions(self, link_id: str) -> list[Fill]:
        made = self._exchange.executions(ACCOUNT)
        return [self._fill(each) for each in made if each.link_id == link_id]

    async def open_orders(self) -> list[OrderReport]:
        return [self._report(each) for each in self._exchange.open_orders(ACCOUNT)]

    def on_order(self, order: OrderRecord) -> None:
        if order.account_id == ACCOUNT and order.state in STATES and order.trigger is None:
            self._reports.append(self._report(order))

    def on_executions(self, executions: list[ExecutionRecord]) -> None:
        for each in executions:
            if each.account_id == ACCOUNT and each.exec_type == "Trade":
                self._reports.append(self._fill(each))

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None: ...
    def on_wallet(self, account_id: int) -> None: ...
    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None: ...

    def _report(self, order: OrderRecord) -> OrderReport:
        instrument = self._exchange.instruments[order.symbol]
        return OrderReport(
            order_id=order.order_id,
            link_id=order.link_id,
            symbol=order.symbol,
            side=order.side,
            status=STATES[order.state],
            quantity=instrument.lots_to_qty(order.lots),
            filled_quantity=instrument.lots_to_qty(order.cum_lots),
            average_price=None,
            price=instrument.ticks_to_price(order.price_ticks) if order.price_ticks else None,
            reason="" if order.reject_reason == "EC_NoError" else order.reject_reason,
            ts_exchange_ns=order.updated_ms * 1_000_000,
        )

    def _fill(self, execution: ExecutionRecord) -> Fill:
        instrument = self._exchange.instruments[execution.symbol]
        return Fill(
            exec_id=execution.exec_id,
            order_id=execution.order_id,
            link_id=execution.link_id,
            symbol=execution.symbol,
            side=execution.side,
            price=execution.price,
            quantity=instrument.lots_to_qty(execution.lots),
            fee=execution.fee,
            is_maker=execution.is_maker,
            ts_exchange_ns=execution.time_ms * 1_000_000,
        )


def rejection(error: VenueReject, operation: str) -> VenueRejected:
    return VenueRejected(
        error.message,
        venue="virtual",
        operation=operation,
        outcome=Outcome.REJECTED,
        code=error.code,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One parent order as it was decided.

    Parameters
    ----------
    move_bps : float
        What the panel expected then.
    raw_bps : float
        Mean of the trained models' raw scores, before this market had a say.
    """

    at_s: float
    parent: ParentOrder
    move_bps: float
    raw_bps: float

    @property
    def is_entry(self) -> bool:
        return not self.parent.reduce_only

    def line(self) -> str:
        """Return the decision as one line of the journal of decisions."""
        parent = self.parent
        return json.dumps(
            [
                round(self.at_s, 3),
                parent.symbol,
                parent.side.name,
                str(parent.quantity),
                parent.style.name,
                parent.purpose,
                self.move_bps,
                self.raw_bps,
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One position from its entry to flat; basis points of the entry, before and after fees."""

    symbol: str
    side: Side
    gross_bps: float
    net_bps: float


@dataclass(slots=True, kw_only=True)
class Record:
    """What a virtual run has done."""

    decisions: list[Decision] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    orders: int = 0
    opinions: int = 0
    best_edge_bps: float = -math.inf
    first_data_s: float | None = None
    mids: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    slopes: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    local: dict[str, Decimal] = field(default_factory=dict)
    at_venue: dict[str, Decimal] = field(default_factory=dict)
    open_orders: int = 0

    @property
    def entries(self) -> list[Decision]:
        return [each for each in self.decisions if each.is_entry]

    @property
    def first_order_s(self) -> float | None:
        """Seconds from the first data to the first order, None without one."""
        if not self.decisions or self.first_data_s is None:
            return None
        return self.decisions[0].at_s - self.first_data_s

    def journal(self) -> bytes:
        """Return every decision, one line each."""
        return "\n".join(each.line() for each in self.decisions).encode()

    def mid_after(self, decision: Decision, seconds: float) -> float | None:
        """Return the move of the mid after a decision in its direction, bps."""
        seen = self.mids[decision.parent.symbol]
        before = [mid for at_s, mid in seen if at_s <= decision.at_s]
        after = [mid for at_s, mid in seen if at_s >= decision.at_s + seconds]
        if not before or not after:
            return None
        return (after[0] / before[-1] - 1.0) * BPS * decision.parent.side.sign


class VirtualSystem:
    """Feed, panels, trader, gate, engine and executor around one venue, as the session wires them.

    Parameters
    ----------
    mirrored_from_s : float or None
        From when on agents see every directed feature turned round; None for never.
    """

    def __init__(
        self,
        plan: SyntheticPlan,
        *,
        seed: int,
        group: asyncio.TaskGroup,
        clock: ManualClock,
        mirrored_from_s: float | None = None,
    ) -> None:
        self.clock = clock
        self.record = Record()
        self._group = group
        self._mirrored_from_s = mirrored_from_s
        self._latency = StageLatency()
        self._venue = plan.venue(seed)
        self._door = VenueDoor(self._venue)
        self._publisher = PublicFeeds(self._venue)
        self._venue.add_listener(self._door)
        self._venue.add_listener(self)
        self._venue.prepare(START_MS)
        instruments = self._venue.exchange.instruments
        self.signals = AISignalOptimizer(clock=clock)
        self.portfolio = Portfolio(self._venue.exchange.wallet(ACCOUNT).wallet_balance)
        self.feed = MarketFeed(
            instruments,
            clock=clock,
            latency=self._latency,
            decide=self._decide,
            call_soon=asyncio.get_running_loop().call_soon,
            panel_of=self._panel,
        )
        self.engine = self._engine(RiskSettings())
        self._executor = Executor(
            engine=self.engine,
            instruments=instruments,
            quote=self.feed.best_prices,
            clock=clock,
            request_timeout_s=TIMEOUT_S,
            walk=self._walk,
        )
        self._rules = StrategySettings()
        self._moves: dict[str, float] = {}
        rates = {s: self._venue.exchange.fee_rates(ACCOUNT, s) for s in instruments}
        self._costs = {s: Costs(taker=float(t), maker=float(m)) for s, (t, m) in rates.items()}
        self.trader = SignalTrader(
            desk=self,
            portfolio=self.portfolio,
            instruments=instruments,
            costs=self._costs,
            rules=self._rules,
            clock=clock,
            spawn=self._spawn,
        )

    async def run(self, seconds: float) -> None:
        """Live through ``seconds`` of virtual time, then close the books."""
        for topic in self.feed.topics():
            self._publisher.subscribe(self, topic, now_ms=START_MS)
        for now_ms in range(START_MS + STEP_MS, START_MS + round(seconds * 1_000) + 1, STEP_MS):
            self.clock.advance(STEP_MS / 1_000)
            self._venue.advance(now_ms)
            self._door.deliver(self.engine)
            self._publisher.pump(now_ms)
            if now_ms % MARK_EVERY_MS == 0:
                self._mark()
            await self._turns()
        self.trader.stop_accepting()
        self._executor.request_stop()
        while self.trader.busy_symbols:
            self.clock.advance(STEP_MS / 1_000)
            self._door.deliver(self.engine)
            await self._turns()
        await self.signals.cleanup()
        self._close()

    # --- market data ---------------------------------------------------------------------------

    def push(self, payload: bytes) -> None:
        self.feed.on_frame(payload, self.clock.monotonic_ns())

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        self._publisher.add_trades(symbol, trades)

    def on_order(self, order: OrderRecord) -> None: ...
    def on_executions(self, executions: list[ExecutionRecord]) -> None: ...
    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None: ...
    def on_wallet(self, account_id: int) -> None: ...

    # --- the trader's desk ---------------------------------------------------------------------

    async def execute(self, parent: ParentOrder) -> ParentResult | None:
        self.record.decisions.append(
            Decision(
                at_s=self.clock.monotonic_ns() / NS_PER_S,
                parent=parent,
                move_bps=self._moves[parent.symbol],
                raw_bps=self._raw_bps(parent.symbol),
            )
        )
        return await self._executor.execute(parent)

    async def protect(self, symbol: str, stop_price: Decimal) -> None:
        try:
            await self.engine.protect(symbol, stop_price, timeout_s=TIMEOUT_S)
        except VenueRejected:
            assert not self._venue.exchange.position(ACCOUNT, symbol).lots

    def own_quantity(self, symbol: str) -> Decimal:
        return self.engine.own_quantity(symbol)

    # --- wiring --------------------------------------------------------------------------------

    def _panel(self, symbol: str) -> Panel:
        panel = self.signals.panel(symbol)
        if self._mirrored_from_s is None:
            return panel
        return MirroredPanel(panel, from_s=self._mirrored_from_s)

    def _engine(self, risk: RiskSettings) -> ExecutionEngine:
        engine = ExecutionEngine(
            gateway=self._door,
            lookup=self._door,
            instruments=self._venue.exchange.instruments,
            limits=RiskLimits(
                collar_bps=risk.collar_bps,
                max_order_notional=risk.max_order_notional,
                max_position_notional=risk.max_position_notional,
                max_gross_notional=risk.max_gross_notional,
                max_book_age_s=risk.stale_book_s,
            ),
            order_rate=SlidingWindow(risk.max_orders_per_second, window_s=1.0, clock=self.clock),
            portfolio=self.portfolio,
            journal=Journal.open(IN_MEMORY, clock=self.clock),
            losses=LossGuard(
                max_daily_loss_pct=risk.max_daily_loss_pct, max_drawdown_pct=risk.max_drawdown_pct
            ),
            market=self.feed.market_view,
            clock=self.clock,
            latency=self._latency,
            run_id=RUN_ID,
        )
        engine.holds.clear(RECOVERY)  # a new account has nothing to conclude
        return engine

    def _decide(self, features: MarketFeatures, consensus: Consensus | None) -> None:
        record, at_s = self.record, features.ts_ns / NS_PER_S
        if record.first_data_s is None:
            record.first_data_s = at_s
        record.mids.setdefault(features.symbol, []).append((at_s, features.mid))
        if consensus is not None:
            record.opinions += 1
            self._moves[features.symbol] = consensus.expected_move_bps
            pays = abs(judged_move_bps(consensus, self._rules)) - round_trip_cost_bps(
                features, self._costs[features.symbol]
            )
            record.best_edge_bps = max(record.best_edge_bps, pays)
        if not record.slopes or int(at_s) > int(record.slopes[-1][0]):
            record.slopes.append((at_s, self._slopes()))
        self.trader.consider(features, consensus)

    def _raw_bps(self, symbol: str) -> float:
        panel = self.signals.panel(symbol)
        assert panel.latest is not None
        agents = [seat.agent for seat in panel.seats if isinstance(seat.agent, ScoredAgent)]
        return statistics.mean(agent.score(panel.latest) or 0.0 for agent in agents)

    def _slopes(self) -> dict[str, float]:
        """Return what each calibrated agent believes of its score, by symbol and agent."""
        return {
            f"{symbol} {seat.name}": seat.agent.calibration.slope.mean
            for symbol in self.feed.symbols
            for seat in self.signals.panel(symbol).seats
            if isinstance(seat.agent, ScoredAgent)
        }

    def _spawn(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        self._group.create_task(coroutine, name=name)

    def _walk(self, symbol: str, side: Side, quantity: float) -> BookWalk | None:
        return self.feed.symbols[symbol].book.walk(side, quantity)

    async def _turns(self) -> None:
        # Enough turns of the loop for everything that is ready at this instant.
        await asyncio.sleep(0)
        for _ in range(BUSY_TURNS if self.trader.busy_symbols else IDLE_TURNS):
            await asyncio.sleep(0)

    def _mark(self) -> None:
        for symbol, state in self.feed.symbols.items():
            if state.ticker is not None and state.ticker.mark_price is not None:
                self.portfolio.mark(symbol, state.ticker.mark_price)
        self.engine.check_losses()

    def _close(self) -> None:
        record, exchange = self.record, self._venue.exchange
        record.orders = len(self._door.orders)
        record.trades = list(trades_of(exchange.executions(ACCOUNT)))
        record.open_orders = len(exchange.open_orders(ACCOUNT))
        for symbol in exchange.instruments:
            held = exchange.position(ACCOUNT, symbol).lots
            record.at_venue[symbol] = exchange.instruments[symbol].lots_to_qty(held)
            record.local[symbol] = self.portfolio.position(symbol).quantity


def trades_of(executions: Iterable[ExecutionRecord]) -> Iterator[Trade]:
    """Yield every position that went from flat to flat."""
    lots: dict[str, int] = {}
    legs: dict[str, list[ExecutionRecord]] = {}
    for each in executions:
        if each.exec_type != "Trade":
            continue
        legs.setdefault(each.symbol, []).append(each)
        lots[each.symbol] = lots.get(each.symbol, 0) + each.lots * each.side.sign
        if not lots[each.symbol]:
            yield trade_of(legs.pop(each.symbol))


def trade_of(legs: Sequence[ExecutionRecord]) -> Trade:
    side = legs[0].side
    entered = sum(leg.value for leg in legs if leg.side is side)
    profit = -sum(leg.value * leg.side.sign for leg in legs)
    fees = sum(leg.fee for leg in legs)
    return Trade(
        symbol=legs[0].symbol,
        side=side,
        gross_bps=float(profit / entered) * BPS,
        net_bps=float((profit - fees) / entered) * BPS,
    )


def virtual_run(
    *,
    seed: int,
    edge_bps: float,
    seconds: float,
    mirrored_from_s: float | None = None,
) -> Record:
    """Return what the default system does on the default symbols of one synthetic market."""
    clock = ManualClock()

    async def live() -> Record:
        async with asyncio.TaskGroup() as group:
            system = VirtualSystem(
                SyntheticPlan(edge_bps=edge_bps),
                seed=seed,
                group=group,
                clock=clock,
                mirrored_from_s=mirrored_from_s,
            )
            await system.run(seconds)
        return system.record

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(live())
