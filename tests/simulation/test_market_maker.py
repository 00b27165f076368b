"""The market maker on the synthetic market, in virtual time and with the session's own parts.

Frames of the venue's encoder feed the live books; quotes pass the gated engine into the same
matching venue. What is claimed here is read from the venue's own records, instant by instant.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from live_rig import eventually, live_settings, reader_of, running
from virtual_desk import ACCOUNT, RUN_ID, STEP_MS, TIMEOUT_S, VenueDoor, VirtualLoop

from agents.market_maker.maker import MarketMaker
from optimizers.ai_signal_optimizer import AISignalOptimizer
from trading_system.bybit_client import BybitClient
from trading_system.config.sections import RiskSettings
from trading_system.config.settings import Settings
from trading_system.domain.orders import Fill, OrderIntent, PriceChange, Side, TimeInForce
from trading_system.enhanced_trading_system import EnhancedTradingSystem
from trading_system.evaluation.sessions import START_MS, SyntheticPlan
from trading_system.execution.engine import RECOVERY, ExecutionEngine
from trading_system.execution.journal.store import IN_MEMORY, Journal
from trading_system.live.feed import MarketFeed
from trading_system.live.market_making import MarketMaking, market_making_of
from trading_system.live.quoting import QuotingDesk
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import RiskLimits, TradingState
from trading_system.risk.losses import LossGuard
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.clock import ManualClock
from trading_system.runtime.limiter import SlidingWindow
from trading_system.simulation.bybit_server.public_feeds import PublicFeeds
from trading_system.simulation.records import ExecutionRecord, OrderRecord, PublicTrade
from trading_system.strategies.signals import Costs

BPS = Decimal(10_000)
CENT = Decimal("0.01")
MARK_EVERY_MS = 500
TURNS = 40
HOLD = "test"


@dataclass(slots=True)
class Seen:
    """What the venue saw of the maker."""

    prices: int = 0
    through_touch: list[str] = field(default_factory=list)
    not_post_only: list[str] = field(default_factory=list)
    below_floor: list[str] = field(default_factory=list)
    over_limit: list[str] = field(default_factory=list)
    most_inventory: Decimal = Decimal(0)
    both_sides: dict[str, int] = field(default_factory=dict)
    steps: int = 0


class WatchedDoor(VenueDoor):
    """Looks at the venue's book at the moment an order or a new price arrives there."""

    def __init__(self, venue: Any, seen: Seen) -> None:
        super().__init__(venue)
        self.seen = seen

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> Any:
        if intent.price is not None and not intent.reduce_only:
            self.look(intent.symbol, intent.side, intent.price)
            if intent.time_in_force is not TimeInForce.POST_ONLY:
                self.seen.not_post_only.append(intent.link_id)
        return await super().submit(intent, timeout_s=timeout_s)

    async def amend_batch(self, changes: Any, *, timeout_s: float) -> Any:
        for change in changes:
            assert isinstance(change, PriceChange)
            order = self._exchange.find_order(ACCOUNT, link_id=change.link_id)
            if order is not None:
                self.look(change.symbol, order.side, change.price)
        return await super().amend_batch(changes, timeout_s=timeout_s)

    def look(self, symbol: str, side: Side, price: Decimal) -> None:
        book, grid = self._exchange.book(symbol), self._exchange.instruments[symbol]
        touch = book.best_ask() if side is Side.BUY else book.best_bid()
        self.seen.prices += 1
        if touch is not None and (price - grid.ticks_to_price(touch)) * side.sign >= 0:
            self.seen.through_touch.append(f"{symbol} {side.name} {price} at {touch}")


class MakingWorld:
    """Venue, feed, gate and market maker, wired as the session wires them."""

    def __init__(
        self, settings: Settings, *, seed: int, group: asyncio.TaskGroup, clock: ManualClock
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.seen = Seen()
        self._group = group
        self.tasks: list[asyncio.Task[None]] = []
        self.venue = SyntheticPlan(edge_bps=settings.venue.edge_bps).venue(seed)
        self.exchange = self.venue.exchange
        self.door = WatchedDoor(self.venue, self.seen)
        self._publisher = PublicFeeds(self.venue)
        self.venue.add_listener(self.door)
        self.venue.add_listener(self)
        self.venue.prepare(START_MS)
        self.is_fed = True
        self.has_stream = True
        instruments = self.exchange.instruments
        signals = AISignalOptimizer(clock=clock)
        self.portfolio = Portfolio(self.exchange.wallet(ACCOUNT).wallet_balance)
        self.feed = MarketFeed(
            instruments,
            clock=clock,
            latency=StageLatency(),
            decide=lambda features, _consensus: self.making.on_market(features.symbol),
            call_soon=asyncio.get_running_loop().call_soon,
            panel_of=signals.panel,
        )
        self.engine = self._engine(settings.risk)
        rates = {s: self.exchange.fee_rates(ACCOUNT, s) for s in instruments}
        self.fees = {s: maker for s, (_, maker) in rates.items()}
        self.desk = QuotingDesk(
            engine=self.engine,
            feed=self.feed,
            portfolio=self.portfolio,
            costs={s: Costs(taker=float(t), maker=float(m)) for s, (t, m) in rates.items()},
            candles=self._candles,
            may_open=lambda: self.engine.state is TradingState.ACTIVE and self.has_stream,
            clock=clock,
            timeout_s=TIMEOUT_S,
        )
        self.making: MarketMaking = market_making_of(
            self.desk,
            engine=self.engine,
            feed=self.feed,
            portfolio=self.portfolio,
            instruments=instruments,
            settings=settings,
            clock=clock,
        )

    def _engine(self, risk: RiskSettings) -> ExecutionEngine:
        engine = ExecutionEngine(
            gateway=self.door,
            lookup=self.door,
            instruments=self.exchange.instruments,
            limits=RiskLimits(
                collar_bps=risk.collar_bps,
                max_order_notional=risk.max_order_notional,
                max_position_notional=risk.max_position_notional,
                max_gross_notional=risk.max_gross_notional,
                max_book_age_s=risk.stale_book_s,
            ),
            order_rate=SlidingWindow(risk.max_orders_per_second, window_s=1.0, clock=self.clock),
            amend_rate=SlidingWindow(risk.max_amends_per_second, window_s=1.0, clock=self.clock),
            portfolio=self.portfolio,
            journal=Journal.open(IN_MEMORY, clock=self.clock),
            losses=LossGuard(
                max_daily_loss_pct=risk.max_daily_loss_pct, max_drawdown_pct=risk.max_drawdown_pct
            ),
            market=self.feed.market_view,
            clock=self.clock,
            latency=StageLatency(),
            run_id=RUN_ID,
            on_booked=self._on_booked,
            on_funded=self._on_funded,
        )
        engine.holds.clear(RECOVERY)
        return engine

    def _on_booked(self, fill: Fill) -> None:
        self.making.on_booked(fill)

    def _on_funded(self, symbol: str, amount: Decimal) -> None:
        self.making.on_funded(symbol, amount)

    async def _candles(self, symbol: str, interval: str, limit: int) -> list[dict[str, Any]]:
        found = self.venue.statistics.klines(
            symbol, interval, start_ms=None, end_ms=None, limit=limit
        )
        names = ("open", "high", "low", "close", "volume")
        return [
            {"timestamp": c.start_ms, **{name: float(getattr(c, name)) for name in names}}
            for c in found
        ]

    def begin(self) -> None:
        for topic in self.feed.topics():
            self._publisher.subscribe(self, topic, now_ms=START_MS)
        self.making.start(self._spawn)

    def _spawn(self, name: str, coroutine: Coroutine[Any, Any, None]) -> object:
        self.tasks.append(self._group.create_task(coroutine, name=name))
        return self.tasks[-1]

    async def live(self, seconds: float) -> None:
        """Let the market go on for so long."""
        first_ms = self.venue.now_ms + STEP_MS
        for now_ms in range(first_ms, first_ms + round(seconds * 1_000), STEP_MS):
            await self.step(now_ms)

    async def step(self, now_ms: int) -> None:
        self.clock.advance(STEP_MS / 1_000)
        self.venue.advance(now_ms)
        self.door.deliver(self.engine)
        if self.is_fed:
            self._publisher.pump(now_ms)
        if now_ms % MARK_EVERY_MS == 0:
            self.mark()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        self.judge()

    async def during(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the market go on until ``work`` is done."""
        task = self._group.create_task(work, name="work")
        while not task.done():
            await self.step(self.venue.now_ms + STEP_MS)
        await task

    def mark(self) -> None:
        for symbol, state in self.feed.symbols.items():
            if state.ticker is not None and state.ticker.mark_price is not None:
                self.portfolio.mark(symbol, state.ticker.mark_price)
                self.making.on_mark(symbol, state.ticker.mark_price)
        self.engine.check_losses()

    def judge(self) -> None:
        """Look at what rests at the venue now."""
        seen, settings = self.seen, self.settings.market_maker
        seen.steps += 1
        for symbol in self.exchange.instruments:
            grid, mid = self.exchange.instruments[symbol], self.mid(symbol)
            quotes = self.quotes(symbol)
            bids = [o for o in quotes if o.side is Side.BUY]
            asks = [o for o in quotes if o.side is Side.SELL]
            held = grid.lots_to_qty(self.exchange.position(ACCOUNT, symbol).lots)
            long = held + sum(grid.lots_to_qty(o.leaves_lots) for o in bids)
            short = -held + sum(grid.lots_to_qty(o.leaves_lots) for o in asks)
            worst = max(abs(held), long if bids else held, short if asks else -held) * mid
            seen.most_inventory = max(seen.most_inventory, abs(held) * mid)
            if worst > settings.max_inventory_notional * Decimal("1.01"):
                seen.over_limit.append(f"{symbol} {held}: {worst:.0f}")
            if not (bids and asks):
                continue
            seen.both_sides[symbol] = seen.both_sides.get(symbol, 0) + 1
            bid = grid.ticks_to_price(max(o.price_ticks for o in bids))
            ask = grid.ticks_to_price(min(o.price_ticks for o in asks))
            floor = 2 * self.fees[symbol] + Decimal(str(settings.min_edge_bps)) / BPS
            if (ask - bid) / ((ask + bid) / 2) < floor:
                seen.below_floor.append(f"{symbol} {bid} {ask}")

    def quotes(self, symbol: str) -> list[OrderRecord]:
        return [o for o in self.exchange.open_orders(ACCOUNT, symbol) if o.trigger is None]

    def mid(self, symbol: str) -> Decimal:
        book, grid = self.exchange.book(symbol), self.exchange.instruments[symbol]
        bid, ask = book.best_bid(), book.best_ask()
        assert bid is not None
        assert ask is not None
        return (grid.ticks_to_price(bid) + grid.ticks_to_price(ask)) / 2

    def open_quotes(self) -> int:
        return sum(len(self.quotes(symbol)) for symbol in self.exchange.instruments)

    def trades(self) -> list[ExecutionRecord]:
        return [e for e in self.exchange.executions(ACCOUNT) if e.exec_type == "Trade"]

    async def end(self) -> None:
        await self.during(self.making.wind_down())
        self.door.deliver(self.engine)
        self.mark()
        for task in self.tasks:
            task.cancel()

    # --- a listener and a subscriber of the venue ----------------------------------------------

    def push(self, payload: bytes) -> None:
        self.feed.on_frame(payload, self.clock.monotonic_ns())

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        self._publisher.add_trades(symbol, trades)

    def on_order(self, order: OrderRecord) -> None: ...
    def on_executions(self, executions: list[ExecutionRecord]) -> None: ...
    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None: ...
    def on_wallet(self, account_id: int) -> None: ...


Work = Callable[[MakingWorld], Coroutine[Any, Any, None]]


def in_market(work: Work, folder: Path, *, seed: int = 1, **values: object) -> MakingWorld:
    """Run ``work`` beside a market maker in virtual time."""
    clock = ManualClock()
    # Nearer to the market than the default, so that minutes are enough for many fills.
    near = {"market_maker__atr_multiple": 0.03, "market_maker__requote_bps": 3.0}
    given = {"venue__edge": 25.0, **near, **values}
    settings = live_settings(folder, strategy__name="market-maker", **given)
    worlds: list[MakingWorld] = []

    async def life() -> None:
        async with asyncio.TaskGroup() as group:
            world = MakingWorld(settings, seed=seed, group=group, clock=clock)
            worlds.append(world)
            world.begin()
            await work(world)
            await world.end()

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(life())
    return worlds[0]


def assert_honest(world: MakingWorld) -> None:
    """What must hold of every run, by the venue's own records."""
    seen = world.seen
    assert seen.prices > 0
    assert not seen.through_touch, seen.through_touch[:3]
    assert not seen.not_post_only
    assert not seen.below_floor, seen.below_floor[:3]
    assert not seen.over_limit, seen.over_limit[:3]
    stops = {e.order_id for e in world.trades() if e.stop_kind is not None}
    assert all(e.is_maker for e in world.trades() if e.order_id not in stops)
    assert world.open_quotes() == 0
    assert world.engine.live_orders == ()
    for symbol, grid in world.exchange.instruments.items():
        held = grid.lots_to_qty(world.exchange.position(ACCOUNT, symbol).lots)
        assert world.portfolio.position(symbol).quantity == held
    assert world.portfolio.cash == world.exchange.wallet(ACCOUNT).wallet_balance
    pnl = world.making.figures()["pnl"]
    parts = [Decimal(pnl[name]) for name in ("spread_capture", "inventory", "funding")]
    assert abs(sum(parts) - Decimal(pnl["fees"]) - Decimal(pnl["total"])) < CENT
    assert abs(Decimal(pnl["total"]) - world.portfolio.pnl) < CENT
    assert abs(Decimal(pnl["difference"])) < CENT


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("seed", "values"),
    [
        (1, {}),
        (2, {"venue__edge": 0.0}),
        (3, {"market_maker__tiers": 1, "market_maker__max_inventory_notional": 1100}),
        (4, {"market_maker__quoting": "avellaneda-stoikov"}),
        (7, {"market_maker__quoting": "avellaneda-stoikov"}),
        (5, {"market_maker__atr_multiple": 0.01, "market_maker__tier_spacing_bps": 1.0}),
    ],
)
@pytest.mark.timeout(120)
def test_minutes_of_quoting_stay_inside_every_promise(
    seed: int, values: dict[str, object], tmp_path: Path
) -> None:
    async def work(world: MakingWorld) -> None:
        await world.live(120.0)

    world = in_market(work, tmp_path, seed=seed, **values)
    assert_honest(world)
    assert len(world.trades()) > 0
    assert set(world.seen.both_sides) == {"BTCUSDT", "ETHUSDT"}
    assert min(world.seen.both_sides.values()) > world.seen.steps / 5
    figures = world.making.figures()
    json.dumps(figures, allow_nan=False)
    assert figures["cycles"] > 30
    if all(e.stop_kind is None for e in world.trades()):
        assert figures["maker_share_pct"] == 100.0


def test_a_book_that_goes_silent_pulls_every_quote_until_it_is_back(tmp_path: Path) -> None:
    async def work(world: MakingWorld) -> None:
        await world.live(12.0)
        assert world.open_quotes() > 0
        world.is_fed = False
        await world.live(3.5)
        assert world.open_quotes() == 0
        world.feed.reset()  # as the session does when it connects anew
        world._publisher = PublicFeeds(world.venue)
        for topic in world.feed.topics():
            world._publisher.subscribe(world, topic, now_ms=world.venue.now_ms)
        world.is_fed = True
        await world.live(12.0)
        assert world.open_quotes() > 0

    assert_honest(in_market(work, tmp_path))


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
def test_while_opening_is_not_allowed_nothing_rests(state: TradingState, tmp_path: Path) -> None:
    async def work(world: MakingWorld) -> None:
        await world.live(12.0)
        world.engine.holds.set(HOLD, state, "a test")
        await world.live(4.0)
        assert world.open_quotes() == 0
        sent = len(world.door.calls)
        await world.live(10.0)
        assert len(world.door.calls) == sent
        world.engine.holds.clear(HOLD)
        await world.live(12.0)
        assert world.open_quotes() > 0

    assert_honest(in_market(work, tmp_path))


def test_a_lost_private_stream_pulls_every_quote(tmp_path: Path) -> None:
    async def work(world: MakingWorld) -> None:
        await world.live(12.0)
        world.has_stream = False
        await world.live(4.0)
        assert world.open_quotes() == 0
        world.has_stream = True
        await world.live(12.0)
        assert world.open_quotes() > 0

    assert_honest(in_market(work, tmp_path))


def test_the_inventory_has_a_stop_at_the_venue_on_its_losing_side(tmp_path: Path) -> None:
    async def work(world: MakingWorld) -> None:
        without: dict[str, int] = {}
        guarded = 0
        for _ in range(240):
            await world.live(0.5)
            for symbol in world.exchange.instruments:
                position = world.exchange.position(ACCOUNT, symbol)
                if position.lots and position.stop_loss is None:
                    # It is asked for soon after the fill that began the position, not with it.
                    without[symbol] = without.get(symbol, 0) + 1
                    assert without[symbol] < 2, symbol
                    continue
                without[symbol] = 0
                if position.lots:
                    guarded += 1
                    side = 1 if position.lots > 0 else -1
                    assert position.stop_loss is not None
                    assert (position.entry_price - position.stop_loss) * side > 0, symbol
        assert guarded > 0

    assert_honest(in_market(work, tmp_path))


@pytest.mark.timeout(90)
@pytest.mark.xdist_group("processes")
async def test_a_users_own_market_maker_goes_through_the_same_gate(tmp_path: Path) -> None:
    settings = live_settings(tmp_path, performance__price_cache_ttl=0.3)
    async with BybitClient(settings) as client:
        maker = MarketMaker(client, symbols=["ETHUSDT"])
        async with asyncio.timeout(20.0):
            while len(client.resting_orders("ETHUSDT")) < 6:
                await maker.cycle()
                await asyncio.sleep(0.3)
        assert client.may_open()
        assert client.maker_fee("ETHUSDT") > 0
        stats = client.get_performance_stats()
        assert stats["api_call_count"] == sum(stats["api_calls"].values())
        assert {"place_orders", "get_kline_data"} <= set(stats["api_calls"])
        assert stats["operation_averages"]["place_orders"] > 0
        optimizer = client.performance_optimizer
        assert optimizer.price_cache_ttl == 0.3
        assert len(optimizer.price_cache) == 2  # the stream fills it
        assert await maker.wind_down() is True
        assert client.resting_orders("ETHUSDT") == ()
    assert client.may_open() is False


@pytest.mark.timeout(90)
@pytest.mark.xdist_group("processes")
async def test_after_the_venue_died_both_sides_are_quoted_again_and_agree(tmp_path: Path) -> None:
    settings = live_settings(tmp_path, strategy__name="market-maker", market_maker__tiers=1)
    async with running(settings) as system:
        session, venue = system.desk.live_session(), system.desk.venue
        assert venue is not None

        def is_quoting() -> bool:
            orders = [o for symbol in session.instruments for o in session.engine.resting(symbol)]
            return len(orders) == 4 and all(o.is_settled_in for o in orders)

        await eventually(is_quoting, what="quoting")
        assert venue.pid is not None
        os.kill(venue.pid, signal.SIGKILL)
        await eventually(lambda: not session.may_open(), what="the hold")
        await eventually(session.may_open, within_s=30.0, what="the end of the outage")
        await eventually(is_quoting, within_s=20.0, what="quoting again")
        rows = [row for s in session.instruments for row in await open_rows(system, s)]
        assert len([row for row in rows if not row["stopOrderType"]]) == 4
    status = system.get_system_status()
    assert status["position"]["local"] == status["position"]["venue"]
    assert (status["own_open_orders"], status["orders"]["unknown"]) == (0, 0)
    assert abs(Decimal(status["market_maker"]["pnl"]["difference"])) < CENT


async def open_rows(system: EnhancedTradingSystem, symbol: str) -> list[dict[str, Any]]:
    return await reader_of(system.desk).rows("/v5/order/realtime", symbol=symbol)


@pytest.mark.timeout(120)
@pytest.mark.xdist_group("processes")
def test_the_command_quotes_and_ends_with_nothing_open(tmp_path: Path) -> None:
    result = subprocess.run(
        [
            *(sys.executable, "-m", "trading_system", "start", "--strategy", "market-maker"),
            *("--duration", "15", "--no-dashboard", "--flatten-on-stop", "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "TRADING_DATA_DIR": str(tmp_path / "data")},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads(result.stdout)
    making = report["market_maker"]
    assert making["cycles"] > 0
    assert making["requests"]["creates"] >= 4
    assert (report["open_orders"], report["own_open_orders"], report["orders"]["unknown"]) == (
        0,
        0,
        0,
    )
    assert report["position"]["local"] == report["position"]["venue"] == {}
    assert abs(Decimal(making["pnl"]["difference"])) < CENT
    assert report["trading_state"] == "ACTIVE"
