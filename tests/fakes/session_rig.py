"""A real trading session whose venue, streams and time are a test's, without sockets."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from engine_rig import BTC, FakeVenue, fill, report
from live_rig import live_settings
from virtual_time import VirtualLoop, in_virtual_time

from optimizers.transport.pool import PooledTransport
from trading_system.config.settings import Settings
from trading_system.domain.events import WalletReport
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import (
    BatchOutcome,
    Fill,
    Funding,
    OrderAck,
    OrderIntent,
    OrderReport,
    OrderStatus,
    PositionReport,
    PriceChange,
    Side,
)
from trading_system.domain.ports import Clock
from trading_system.domain.signals import Consensus, MarketFeatures, Opinion
from trading_system.execution.journal.store import IN_MEMORY, Journal
from trading_system.live.connection import Account, Traffic, VenueConnection
from trading_system.live.desk import TradingDesk
from trading_system.live.evidence import health_of
from trading_system.live.session import TradingSession
from trading_system.monitoring.health import Health
from trading_system.monitoring.latency import StageLatency
from trading_system.strategies.signals import Costs
from trading_system.venues.bybit.clock_offset import VenueClock
from trading_system.venues.bybit.drift import SchemaDrift
from trading_system.venues.bybit.market_rows import Candle
from trading_system.venues.bybit.order_ways import Way, WayFigures, WaysView
from trading_system.venues.bybit.streams import StreamCallbacks

SYMBOL = BTC.symbol
PRICE = Decimal(50_000)
MS = 1_000_000
FRAME_S = 0.1


class AccountVenue(FakeVenue):
    """A :class:`FakeVenue` with an account: its positions follow from its fills."""

    def __init__(self) -> None:
        self.drift = SchemaDrift()
        super().__init__()
        self.auto_fill = True
        self.fill_price = PRICE
        self.held = Decimal(0)
        self.stop: Decimal | None = None
        self.fails: Exception | None = None
        self.cancel_failure: Exception | None = None
        self.offset_ms = 0.0
        self.past: Sequence[Fill | Funding] = []
        self.ack_s = 0.001
        self.sent_by_stream = self.sent_by_rest = 0
        self.clock_readings = 0
        self.tells_time = asyncio.Event()
        self.tells_time.set()
        self.resting: dict[str, OrderIntent] = {}
        self.filled: dict[str, Decimal] = {}

    def check(self) -> None:
        if self.fails is not None:
            raise self.fails

    @property
    def order_ways(self) -> WaysView:
        idle = WayFigures(sent=0, failures=0, median_ms=None)
        return WaysView(
            preferred=Way.STREAM,
            reason="",
            changes=0,
            stream=replace(idle, sent=self.sent_by_stream),
            rest=replace(idle, sent=self.sent_by_rest),
        )

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        await asyncio.sleep(self.ack_s)
        self.sent_by_stream += 1
        ack = await super().submit(intent, timeout_s=timeout_s)
        if self.auto_fill:
            self.held += intent.quantity * self.fill_share * intent.side.sign
            self.stop = self.stop if self.held else None
        return ack

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        if self.cancel_failure is not None:
            raise self.cancel_failure
        await super().cancel(symbol, link_id, timeout_s=timeout_s)

    async def find_order(self, link_id: str) -> OrderReport | None:
        intent = self.resting.get(link_id)
        if intent is not None:
            return report(intent, OrderStatus.NEW, Decimal(0))
        return await super().find_order(link_id)

    async def cancel_all(self, symbol: str | None, *, timeout_s: float) -> None:
        self.resting.clear()
        await super().cancel_all(symbol, timeout_s=timeout_s)
        assert self.listener is not None
        for order in self.listener.live_orders:
            self.listener.on_report(report(order.intent, OrderStatus.CANCELLED, Decimal(0)))

    async def submit_batch(
        self, intents: Sequence[OrderIntent], *, timeout_s: float
    ) -> list[BatchOutcome]:
        await asyncio.sleep(self.ack_s)
        self.check()
        self.sent_by_stream += 1
        self.sent += intents
        for intent in intents:
            self.resting[intent.link_id] = intent
            self.tell(intent, OrderStatus.NEW)
        return [BatchOutcome(link_id=i.link_id, order_id=f"v-{i.link_id}") for i in intents]

    async def amend_batch(
        self, changes: Sequence[PriceChange], *, timeout_s: float
    ) -> list[BatchOutcome]:
        await asyncio.sleep(self.ack_s)
        self.check()
        self.amended += changes
        for change in changes:
            intent = replace(self.resting[change.link_id], price=change.price)
            self.resting[change.link_id] = intent
            self.tell(intent, OrderStatus.NEW)
        return [BatchOutcome(link_id=c.link_id, order_id=f"v-{c.link_id}") for c in changes]

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        await asyncio.sleep(self.ack_s)
        if self.cancel_failure is not None:
            raise self.cancel_failure
        for _, link_id in orders:
            self.cancelled.append(link_id)
            sent = next((i for i in self.sent if i.link_id == link_id), None)
            intent = self.resting.pop(link_id, sent)
            if intent is not None:
                self.tell(intent, OrderStatus.CANCELLED)
        return [BatchOutcome(link_id=link_id) for _, link_id in orders]

    def tell(self, intent: OrderIntent, status: OrderStatus) -> None:
        assert self.listener is not None
        filled = self.filled.get(intent.link_id, Decimal(0))
        self.listener.on_report(report(intent, status, filled))

    def take(self, side: Side) -> Fill:
        """Let somebody trade against the best quote of ``side``."""
        quotes = [i for i in self.resting.values() if i.side is side and i.price is not None]
        intent = max(quotes, key=lambda i: (i.price or Decimal(0)) * side.sign)
        del self.resting[intent.link_id]
        assert intent.price is not None
        value = intent.quantity * intent.price
        made = replace(
            fill(intent, intent.quantity, intent.price),
            is_maker=True,
            fee=value * Decimal("0.0002"),
        )
        self.filled[intent.link_id] = intent.quantity
        before = self.held
        self.held += intent.quantity * side.sign
        if before * self.held <= 0:
            self.stop = None
        assert self.listener is not None
        self.listener.on_fill(made)
        self.tell(intent, OrderStatus.FILLED)
        return made

    async def klines(self, symbol: str, **_asked: object) -> list[Candle]:
        self.check()
        return [
            Candle(
                start_ms=60_000 * minute,
                open=PRICE,
                high=PRICE + 20,
                low=PRICE - 20,
                close=PRICE,
                volume=Decimal(1),
                turnover=PRICE,
            )
            for minute in range(200, 0, -1)
        ]

    async def protect(
        self, symbol: str, stop_price: Decimal | None, *, timeout_s: float, position_idx: int = 0
    ) -> None:
        self.check()
        await super().protect(symbol, stop_price, timeout_s=timeout_s)
        self.stop = stop_price

    async def positions(self) -> list[PositionReport]:
        self.check()
        return [
            PositionReport(
                symbol=SYMBOL,
                quantity=self.held,
                entry_price=PRICE,
                ts_exchange_ns=0,
                stop_price=self.stop,
            )
        ]

    async def executions_since(self, start_ms: int) -> Sequence[Fill | Funding]:
        self.check()
        return self.past

    async def synchronise_clock(self) -> float:
        self.clock_readings += 1
        await self.tells_time.wait()
        self.check()
        return self.offset_ms

    async def instrument(self, symbol: str) -> Instrument:
        assert symbol == SYMBOL
        return BTC


class Stream:
    """A stream or order socket that is up as long as the test says so."""

    bytes_received = 0
    bytes_sent = 0
    silent_s = 0.0

    def __init__(self, callbacks: StreamCallbacks | None = None) -> None:
        self.callbacks = callbacks
        self.is_up = True
        self.connects = 1
        self.runs = 0
        self.resyncs = 0
        self.renewed: list[str | None] = []

    async def resync(self, topic: str | None = None) -> bool:
        self.renewed.append(topic)
        return True

    async def run(self) -> None:
        self.runs += 1
        await asyncio.Event().wait()

    def goes_down(self, reason: str) -> None:
        assert self.callbacks is not None
        self.is_up = False
        self.callbacks.on_down(reason)

    def comes_up(self) -> None:
        assert self.callbacks is not None
        self.is_up = True
        self.callbacks.on_up()


class Requests:
    """What evidence and session need of the request path."""

    base_url = "http://venue.test"
    banned_for_s = 0.0

    def __init__(self, clock: Clock) -> None:
        self.recent = (0, 20)
        self.venue_clock = VenueClock(clock)

    @property
    def offset_ns(self) -> int:
        return self.venue_clock.offset_ns

    def auth_headers(self, payload: bytes) -> dict[str, str]:
        return {"X-BAPI-SIGN": str(len(payload))}


class Crowded(PooledTransport):
    """A pool of which a test says how many requests wait."""

    queued = 0

    @property
    def waiting(self) -> int:
        return self.queued


class Connection:
    """Stands for the :class:`VenueConnection` of a session."""

    def __init__(self, settings: Settings, loop: VirtualLoop, *, has_trade: bool) -> None:
        self._streams: list[Stream] = []
        self.latency = StageLatency(clock=loop)
        self.budgets = None
        self.gateway = AccountVenue()
        self.rest = Requests(loop)
        self.gateway.rest = self.rest
        self.trade = Stream() if has_trade else None
        self.transport = Crowded(connections=1, queue_size=100, clock=loop)

    def traffic(self) -> Traffic:
        return VenueConnection.traffic(cast("VenueConnection", self))

    def private_stream(self, callbacks: StreamCallbacks) -> Stream:
        return Stream(callbacks)

    def public_stream(self, topics: object, callbacks: StreamCallbacks) -> Stream:
        return Stream(callbacks)


class SessionRig:
    """A running session, its desk, and a market of one symbol that ticks in virtual time."""

    def __init__(
        self,
        settings: Settings,
        loop: VirtualLoop,
        spawn: Callable[[str, Coroutine[Any, Any, None]], object],
        *,
        has_trade: bool = True,
        journal: Journal | None = None,
    ) -> None:
        self.loop = loop
        self.connection = Connection(settings, loop, has_trade=has_trade)
        self.venue = self.connection.gateway
        self.journal = journal or Journal.open(IN_MEMORY, clock=loop)
        self.desk = TradingDesk(settings, clock=loop)
        balance = Decimal(100_000)
        self.session = TradingSession(
            settings,
            connection=cast("VenueConnection", self.connection),
            account=Account(
                instruments={SYMBOL: BTC},
                costs={SYMBOL: Costs(taker=0.00055, maker=0.0002)},
                wallet=WalletReport(
                    equity=balance,
                    wallet_balance=balance,
                    available_balance=balance,
                    ts_exchange_ns=0,
                ),
                clock_offset_ms=0.0,
            ),
            journal=self.journal,
            run_id=self.desk.run_id,
            clock=loop,
            spawn=spawn,
        )
        self.venue.listener = self.session.engine
        self.private = cast("Stream", self.session.private)
        self.public = cast("Stream", self.session.public)
        self.is_ticking = True
        self.update_id = 0

    def health(self) -> Health:
        self.desk.session = self.session
        return health_of(self.desk)

    def tick(self) -> None:
        """Push one frame of each book."""
        self.update_id += 1
        now_ms = self.loop.utc_ns() // MS
        kind = "snapshot" if self.update_id == 1 else "delta"
        size = 2.0 + math.sin(self.update_id)
        bids = [[str(PRICE - Decimal("0.1") * (i + 1)), f"{size + i:.3f}"] for i in range(20)]
        asks = [[str(PRICE + Decimal("0.1") * (i + 1)), f"{2.0 + i:.3f}"] for i in range(20)]
        for depth in (50, 1):
            rows = {"b": bids[:depth], "a": asks[:depth]}
            frame = {
                "topic": f"orderbook.{depth}.{SYMBOL}",
                "type": "snapshot" if depth == 1 else kind,
                "ts": now_ms,
                "data": {"s": SYMBOL, **rows, "u": self.update_id, "seq": self.update_id},
                "cts": now_ms,
            }
            self.session.feed.on_frame(json.dumps(frame).encode(), self.loop.monotonic_ns())

    async def market(self) -> None:
        while True:
            if self.is_ticking:
                self.tick()
            await asyncio.sleep(FRAME_S)

    def features(self) -> MarketFeatures:
        found = self.session.feed.symbols[SYMBOL].features
        assert found is not None
        return found

    def consensus(self, move_bps: float) -> Consensus:
        return Consensus(
            symbol=SYMBOL,
            p_up=0.95 if move_bps > 0 else 0.05,
            expected_move_bps=move_bps,
            uncertainty_bps=1.0,
            agreement=1.0,
            horizon_s=10.0,
            has_quorum=True,
            votes=(),
            ts_ns=self.features().ts_ns,
        )

    async def enter(self, move_bps: float = 200.0) -> None:
        """Let the trader enter on a strong consensus and wait for the parent's end."""
        trader = self.session.trader
        trader.is_accepting = True
        trader.consider(self.features(), self.consensus(move_bps))
        trader.is_accepting = False
        await self.settled()

    async def settled(self) -> None:
        while self.session.trader.busy_symbols:
            await asyncio.sleep(FRAME_S)


def in_session(
    work: Callable[[SessionRig], Awaitable[None]],
    folder: Path,
    *,
    has_trade: bool = True,
    journal: Journal | None = None,
    prepare: Callable[[SessionRig], None] = lambda _rig: None,
    **values: object,
) -> None:
    """Run ``work`` on a started session in virtual time."""
    given = {
        "symbols": SYMBOL,
        "strategy__name": "none",
        "strategy__signal": "session_rig:TimedAgent",
        **values,
    }
    settings = live_settings(folder, **given)

    async def scenario(loop: VirtualLoop) -> None:
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []

            def spawn(name: str, coroutine: Coroutine[Any, Any, None]) -> object:
                tasks.append(group.create_task(coroutine, name=name))
                return tasks[-1]

            rig = SessionRig(settings, loop, spawn, has_trade=has_trade, journal=journal)
            prepare(rig)
            spawn("market", rig.market())
            await rig.session.start(is_fresh_account=journal is None)
            await asyncio.sleep(3.0)
            await work(rig)
            for task in tasks:
                task.cancel()
            await rig.session.signals.cleanup()

    in_virtual_time(scenario)


class TimedAgent:
    """A user's signal agent that abstains after a known time of the loop's."""

    name = "timed"
    family = "timed"
    seconds = 0.001

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol

    def observe(self, features: MarketFeatures) -> None:
        """See nothing."""

    def opinion(self, features: MarketFeatures) -> Opinion | None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.elapsed_s += self.seconds
        return None

    def reset(self) -> None:
        """Forget nothing."""


class SwitchedAgent(TimedAgent):
    """Fails for as long as a test says so."""

    is_broken = False

    def opinion(self, features: MarketFeatures) -> Opinion | None:
        if SwitchedAgent.is_broken:
            raise RuntimeError("this agent is broken")
        return super().opinion(features)


class SlowAgent(TimedAgent):
    """Takes longer than a consensus may."""

    seconds = 2.5


class BrokenAgent(TimedAgent):
    """Fails whenever it is asked."""

    def opinion(self, features: MarketFeatures) -> Opinion | None:
        raise RuntimeError("this agent is broken")
