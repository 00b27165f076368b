"""The market maker while answers, reports and executions are lost or late, in virtual time.

The world is that of ``test_market_maker``; what is claimed is read from the venue's own records.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from live_rig import live_settings
from virtual_desk import ACCOUNT, VirtualLoop

from trading_system.domain.errors import Outcome, VenueUnavailable
from trading_system.domain.orders import (
    BatchOutcome,
    Fill,
    OrderReport,
    OrderType,
    PriceChange,
    Side,
    TimeInForce,
)
from trading_system.live.settling import cancel_and_settle, settle_silent
from trading_system.risk.limits import TradingState
from trading_system.runtime.clock import ManualClock
from trading_system.simulation.records import OrderRequest

CENT = Decimal("0.01")
NS_PER_S = 1_000_000_000
GONE_WITHIN_S = 1.5
TIMEOUT_S = 5.0
LATEST_S = 2.0
TIGHT = {
    "market_maker__max_inventory_notional": 1100,
    "market_maker__quote_notional": 500,
    "market_maker__tiers": 2,
}


def _world() -> ModuleType:
    # Test modules are no packages: the world of the neighbour is loaded from its file.
    name = "market_maker_world"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, Path(__file__).with_name("test_market_maker.py")
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


base = _world()


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How the way to the venue fails; delays in seconds, shares between 0 and 1.

    ``lost_before`` and ``lost_after``: requests that time out, without and with their effect.
    ``doubtful``: amends of ``side`` that are answered as unknown at once and not done.
    """

    fill_delay_s: float = 0.0
    latency_s: float = 0.0
    lost_before: float = 0.0
    lost_after: float = 0.0
    lost_reports: float = 0.0
    doubtful: float = 0.0
    side: Side = Side.SELL


def unknown(operation: str) -> VenueUnavailable:
    return VenueUnavailable("lost", venue="test", operation=operation, outcome=Outcome.UNKNOWN)


class FaultyDoor(base.WatchedDoor):
    """A door to the venue with the faults of ``faults``."""

    def __init__(self, venue: Any, seen: Any, faults: Faults, *, seed: int) -> None:
        super().__init__(venue, seen)
        self.faults = faults
        self.unanswered: str | None = None
        self.hanging = 0
        self._chance = random.Random(seed)
        self._held: list[tuple[float, Fill | OrderReport]] = []

    def deliver(self, engine: Any) -> None:
        now_ms = self._venue.now_ms
        while self._reports:
            report = self._reports.popleft()
            is_fill = isinstance(report, Fill)
            if not is_fill and self._chance.random() < self.faults.lost_reports:
                continue
            delay_ms = self.faults.fill_delay_s * 1_000 if is_fill else 0.0
            self._held.append((now_ms + delay_ms, report))
        due = [report for due_ms, report in self._held if due_ms <= now_ms]
        self._held = [entry for entry in self._held if entry[0] > now_ms]
        for report in due:
            if isinstance(report, Fill):
                engine.on_fill(report)
            else:
                engine.on_report(report)

    async def submit_batch(self, intents: Any, *, timeout_s: float) -> Any:
        work = super().submit_batch
        return await self._around("create", work, intents, timeout_s=timeout_s)

    async def amend_batch(self, changes: Any, *, timeout_s: float) -> Any:
        doubtful = {change.link_id for change in changes if self._is_doubtful(change)}
        sure = [change for change in changes if change.link_id not in doubtful]
        work = super().amend_batch
        done = await self._around("amend", work, sure, timeout_s=timeout_s) if sure else []
        answers = {answer.link_id: answer for answer in done}
        for link_id in doubtful:
            answers[link_id] = BatchOutcome(link_id=link_id, error=unknown("amend"))
        return [answers[change.link_id] for change in changes]

    async def cancel_batch(self, orders: Any, *, timeout_s: float) -> Any:
        return await self._around("cancel", super().cancel_batch, orders, timeout_s=timeout_s)

    def _is_doubtful(self, change: PriceChange) -> bool:
        order = self._exchange.find_order(ACCOUNT, link_id=change.link_id)
        is_meant = order is not None and order.side is self.faults.side
        return is_meant and self._chance.random() < self.faults.doubtful

    async def _around(
        self,
        operation: str,
        work: Callable[..., Awaitable[list[BatchOutcome]]],
        items: Sequence[Any],
        *,
        timeout_s: float,
    ) -> list[BatchOutcome]:
        chance, faults = self._chance.random(), self.faults
        if operation == self.unanswered and not self.hanging:
            self.hanging += 1  # this one request, no other
            await asyncio.sleep(timeout_s)
            raise unknown(operation)
        if chance < faults.lost_before + faults.lost_after:
            if chance >= faults.lost_before:
                await work(items, timeout_s=timeout_s)
            await asyncio.sleep(timeout_s)
            raise unknown(operation)
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s / 2)
        answers = await work(items, timeout_s=timeout_s)
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s / 2)
        return answers


class FaultyWorld(base.MakingWorld):
    """The market maker's world behind a faulty door, with the session's settling task."""

    def __init__(self, settings: Any, *, faults: Faults, seed: int, **parts: Any) -> None:
        self._faults = faults
        self._seed = seed
        super().__init__(settings, seed=seed, **parts)

    def _engine(self, risk: Any) -> Any:
        self.door = FaultyDoor(self.venue, self.seen, self._faults, seed=self._seed)
        self.venue.add_listener(self.door)
        return super()._engine(risk)

    def begin(self) -> None:
        super().begin()
        self._spawn("settling", settle_silent(self.engine))

    async def settled(self) -> None:
        """Cancel and settle as the session does at its end."""
        await cancel_and_settle(self.engine, timeout_s=TIMEOUT_S)

    async def until(self, is_so: Callable[[], bool], *, within_s: float) -> float:
        """Live until ``is_so``; return how many seconds it took."""
        began_ns = self.clock.monotonic_ns()
        while not is_so():
            await self.live(0.02)
            waited_s = (self.clock.monotonic_ns() - began_ns) / NS_PER_S
            assert waited_s < within_s, waited_s
        return (self.clock.monotonic_ns() - began_ns) / NS_PER_S


Work = Callable[[FaultyWorld], Coroutine[Any, Any, None]]


def behind_faults(
    work: Work, folder: Path, *, faults: Faults | None = None, seed: int = 1, **values: object
) -> FaultyWorld:
    clock = ManualClock()
    near = {"market_maker__atr_multiple": 0.03, "market_maker__requote_bps": 3.0}
    given = {"venue__edge": 25.0, **near, **values}
    settings = live_settings(folder, strategy__name="market-maker", **given)
    worlds: list[FaultyWorld] = []

    async def life() -> None:
        async with asyncio.TaskGroup() as group:
            world = FaultyWorld(
                settings, faults=faults or Faults(), seed=seed, group=group, clock=clock
            )
            worlds.append(world)
            world.begin()
            await work(world)
            await world.during(world.making.wind_down())
            await world.during(world.settled())
            await world.live(LATEST_S)
            await world.end()

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(life())
    return worlds[0]


def assert_inside(world: FaultyWorld) -> None:
    """What holds whatever fails: floor, limit, nothing left, and books that agree."""
    assert not world.seen.below_floor, world.seen.below_floor[:3]
    assert not world.seen.over_limit, world.seen.over_limit[:3]
    assert not world.seen.not_post_only
    assert world.open_quotes() == 0
    assert world.engine.live_orders == ()
    # Fills that a look-up books before older ones come split otherwise into cash and entry price.
    cash, wallet = world.portfolio.cash, world.exchange.wallet(ACCOUNT).wallet_balance
    for symbol, grid in world.exchange.instruments.items():
        ours, theirs = world.portfolio.position(symbol), world.exchange.position(ACCOUNT, symbol)
        held = grid.lots_to_qty(theirs.lots)
        assert ours.quantity == held
        cash -= held * (ours.entry_price or 0)
        wallet -= held * (theirs.entry_price or 0)
    assert abs(cash - wallet) < CENT


@pytest.mark.no_cover
@pytest.mark.parametrize("operation", ["amend", "create", "cancel"])
@pytest.mark.parametrize("trigger", ["halted", "stale"])
def test_one_unanswered_request_keeps_no_other_quote_in_the_book(
    operation: str, trigger: str, tmp_path: Path
) -> None:
    fills: list[int] = []

    async def work(world: FaultyWorld) -> None:
        await world.live(14.0)
        world.door.unanswered = operation
        if operation != "cancel":  # which comes with the pull
            await world.until(lambda: world.door.hanging > 0, within_s=30.0)
        assert world.open_quotes() > 6
        before, limit_s = len(world.trades()), GONE_WITHIN_S
        if trigger == "halted":
            world.engine.holds.set("test", TradingState.HALTED, "a test")
        else:
            world.is_fed = False
            limit_s += float(world.settings.market_maker.pull_after_s)
        await world.until(lambda: world.open_quotes() == 0, within_s=limit_s)
        assert world.door.hanging == 1
        fills.append(len(world.trades()) - before)

    world = behind_faults(work, tmp_path)
    assert_inside(world)
    assert fills[0] <= (2 if trigger == "halted" else 6)  # half a tier's distance in 2 s


@pytest.mark.no_cover
def test_a_stop_waits_for_no_unanswered_request(tmp_path: Path) -> None:
    async def work(world: FaultyWorld) -> None:
        await world.live(14.0)
        world.door.unanswered = "amend"
        await world.until(lambda: world.door.hanging > 0, within_s=30.0)
        world.making.maker.pause("a stop")
        await world.until(lambda: world.open_quotes() == 0, within_s=GONE_WITHIN_S)

    assert_inside(behind_faults(work, tmp_path))


async def _some_time(world: FaultyWorld) -> None:
    await world.live(45.0)


@pytest.mark.no_cover
@pytest.mark.parametrize(("seed", "delay_s"), [(1, 1.5), (2, 0.2)])
def test_executions_that_come_late_take_no_inventory_over_its_limit(
    seed: int, delay_s: float, tmp_path: Path
) -> None:
    faults = Faults(fill_delay_s=delay_s)
    world = behind_faults(_some_time, tmp_path, faults=faults, seed=seed, **TIGHT)
    assert_inside(world)
    assert len(world.trades()) > 5


@pytest.mark.no_cover
@pytest.mark.parametrize(("side", "share"), [(Side.SELL, 1.0), (Side.BUY, 0.3)])
def test_quotes_keep_the_fee_floor_while_amends_are_in_doubt(
    side: Side, share: float, tmp_path: Path
) -> None:
    world = behind_faults(_some_time, tmp_path, faults=Faults(doubtful=share, side=side), seed=3)
    assert_inside(world)
    assert world.making.maker.collect_performance_stats()["errors"]["failed"] > 0


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", [4, 5])
def test_a_lossy_way_to_the_venue_breaks_no_promise(seed: int, tmp_path: Path) -> None:
    faults = Faults(
        latency_s=0.1, lost_before=0.03, lost_after=0.03, lost_reports=0.05, fill_delay_s=0.3
    )
    world = behind_faults(_some_time, tmp_path, faults=faults, seed=seed)
    assert_inside(world)
    assert len(world.trades()) > 0


@pytest.mark.no_cover
def test_what_somebody_else_holds_is_neither_quoted_nor_traded_away(tmp_path: Path) -> None:
    async def work(world: FaultyWorld) -> None:
        bought = OrderRequest(
            symbol="BTCUSDT",
            side=Side.BUY,
            order_type=OrderType.MARKET,
            quantity=Decimal("0.1"),
            price=None,
            time_in_force=TimeInForce.IOC,
            link_id="manual-1",
            reduce_only=False,
        )
        world.exchange.place(ACCOUNT, bought, now_ms=world.venue.now_ms)
        await world.live(20.0)
        assert world.portfolio.position("BTCUSDT").quantity == Decimal("0.1")
        assert world.quotes("BTCUSDT") == []
        assert len(world.quotes("ETHUSDT")) > 0

    world = behind_faults(work, tmp_path)
    assert {e.link_id for e in world.trades() if e.symbol == "BTCUSDT"} == {"manual-1"}
    assert world.engine.live_orders == ()
