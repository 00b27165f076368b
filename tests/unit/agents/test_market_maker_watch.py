"""Quotes that should not be there are asked out of the book, whatever is waited for meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from quoting_venue import FakeQuotingVenue, VirtualTime, silence
from structlog.testing import capture_logs

from agents import MarketMaker
from agents.market_maker.budget import Budget, Kind
from agents.market_maker.sending import Sender
from trading_system.config.sections import MarketMakerSettings, PerformanceSettings, RiskSettings
from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import RestingOrder, Side
from trading_system.runtime.clock import ManualClock

D = Decimal
HANG_S = 5.0
LIMITS = RiskSettings(max_orders_per_second=100, max_amends_per_second=100)


class Rig:
    """A running market maker of one symbol, two tiers, whose requests may hang."""

    def __init__(self, *symbols: str, tiers: int = 2, venue_rate: int = 100) -> None:
        self.time = VirtualTime()
        self.venue = FakeQuotingVenue(*symbols, clock=self.time.clock, latency=self._way)
        self.maker = MarketMaker(
            self.venue,
            symbols=tuple(self.venue.instruments),
            settings=MarketMakerSettings(atr_multiple=0.25, tiers=tiers),
            risk=LIMITS,
            venue_rate=venue_rate,
            clock=self.time.clock,
            pause=self.time.sleep,
        )
        self.hanging: str | None = None
        self.is_fed = True

    async def _way(self) -> None:
        if self.venue.calls[-1][0] == self.hanging:
            self.hanging = None  # this one request
            await self.time.sleep(HANG_S)
            self.venue.whole_call_error = silence()
            await asyncio.sleep(0)

    async def _market(self) -> None:
        while True:
            await self.time.sleep(0.05)
            self.venue.whole_call_error = None
            if self.is_fed:
                self.venue.refresh()

    def run(self, work: Callable[[], Awaitable[None]]) -> Awaitable[object]:
        async def session() -> None:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self.maker.run())
                market = group.create_task(self._market())
                await work()
                if not running.done():
                    await self.maker.wind_down()
                await running
                market.cancel()

        return self.time.until_done(session())

    async def hang(self, operation: str) -> None:
        self.hanging = operation
        for symbol in self.venue.instruments:
            self.venue.move(symbol, D(60_040))
        while self.hanging is not None:
            await self.time.sleep(0.01)


@pytest.mark.parametrize("reason", ["halted", "paused", "stale", "no view"])
async def test_a_hanging_request_does_not_keep_unwanted_quotes_in_the_book(reason: str) -> None:
    rig = Rig()

    async def work() -> None:
        await rig.time.sleep(3.0)
        assert len(rig.venue.orders) == 4
        await rig.hang("amend")
        if reason == "halted":
            rig.venue.is_open = False
        elif reason == "paused":
            rig.maker.pause("a test")
        elif reason == "no view":
            rig.venue.books["BTCUSDT"].is_trusted = False
        else:
            rig.is_fed = False
            await rig.time.sleep(2.0)
        await rig.time.sleep(0.2)
        assert rig.venue.orders == {}
        assert rig.maker.collect_performance_stats()["cycle_times"]["count"] < 5

    await rig.run(work)


async def test_orders_of_unknown_fate_are_recalled_too_at_growing_distances() -> None:
    rig = Rig(tiers=1)
    stamps: list[float] = []

    async def work() -> None:
        await rig.time.sleep(3.0)
        for link_id, order in rig.venue.orders.items():
            rig.venue.orders[link_id] = replace(order, is_settled_in=False)
        rig.venue.script = lambda operation, _: silence() if operation == "cancel" else None
        began, seen = rig.time.clock.monotonic_ns(), len(rig.venue.calls)
        rig.venue.is_open = False
        for _ in range(1_200):
            await rig.time.sleep(0.01)
            if len(rig.venue.calls) > seen:
                seen = len(rig.venue.calls)
                stamps.append((rig.time.clock.monotonic_ns() - began) / 1e9)
        rig.venue.script = lambda *_: None

    await rig.run(work)
    gaps = [b - a for a, b in itertools.pairwise(stamps)]
    assert stamps[0] <= 0.15
    assert gaps == pytest.approx([0.5, 1.0, 2.0, 4.0, 4.0], abs=0.15)
    assert rig.venue.orders == {}  # in the end


async def test_nothing_is_recalled_while_all_is_well_nor_twice_at_once() -> None:
    rig = Rig("BTCUSDT", "ETHUSDT")

    async def work() -> None:
        await rig.time.sleep(5.0)
        assert not [size for operation, size in rig.venue.calls if operation == "cancel"]
        rig.venue.is_open = False
        await rig.time.sleep(5.0)
        assert sum(size for operation, size in rig.venue.calls if operation == "cancel") == 8

    await rig.run(work)
    assert rig.maker.collect_performance_stats()["errors"]["failed"] == 0


async def test_a_recall_keeps_to_the_venues_quota_and_asks_the_nearest_first() -> None:
    rig = Rig(tiers=3, venue_rate=4)

    async def work() -> None:
        await rig.time.sleep(8.0)
        assert len(rig.venue.orders) == 6
        nearest = {rig.venue.side(side)[0].link_id for side in Side}
        await rig.hang("amend")
        rig.venue.is_open = False
        await rig.time.sleep(0.2)
        assert len(rig.venue.orders) == 2
        assert not nearest & set(rig.venue.orders)
        await rig.time.sleep(1.0)
        assert rig.venue.orders == {}

    await rig.run(work)


async def test_a_stop_does_not_wait_for_a_hanging_request() -> None:
    rig = Rig()

    async def work() -> None:
        await rig.time.sleep(3.0)
        await rig.hang("amend")
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(rig.maker.wind_down())
            await rig.time.sleep(0.1)
            assert rig.venue.orders == {}
            assert await ending

    await rig.run(work)


async def test_a_pull_by_hand_beside_a_hanging_cycle_asks_at_once() -> None:
    rig = Rig()
    mm, time = rig.maker, rig.time

    async def work() -> None:
        await mm.cycle()
        rig.venue.move("BTCUSDT", D(60_040))
        rig.hanging = "amend"
        async with asyncio.TaskGroup() as group:
            group.create_task(mm.cycle())
            await time.sleep(0.01)
            pulling = group.create_task(mm.pull("a test"))
            await time.sleep(0.01)
            assert rig.venue.orders == {}
            assert await pulling

    await time.until_done(work())


async def test_a_pull_asks_again_although_a_cancellation_is_not_answered() -> None:
    rig = Rig()
    mm, time = rig.maker, rig.time

    async def work() -> None:
        await mm.cycle()
        rig.hanging = "cancel"
        async with asyncio.TaskGroup() as group:
            pulling = group.create_task(mm.pull("a test"))
            await time.sleep(0.6)
            assert rig.venue.orders == {}
            assert await pulling

    await time.until_done(work())


async def test_a_threat_to_money_in_a_recall_ends_the_run() -> None:
    rig = Rig()

    async def work() -> None:
        await rig.time.sleep(3.0)
        rig.venue.on_call.append(lambda: _raise(InvariantViolated("books do not add up")))
        rig.maker.pause("a test")
        await rig.time.sleep(1.0)

    with pytest.raises(ExceptionGroup) as caught, capture_logs():
        await rig.run(work)
    assert caught.group_contains(InvariantViolated)


def _raise(error: Exception) -> None:
    raise error


def test_in_an_emergency_an_unanswered_request_counts_for_one_second() -> None:
    clock = ManualClock()
    budget = Budget(RiskSettings(), venue_rate=10, clock=clock)
    answered = budget.begin(Kind.CANCEL, 10)
    assert budget.free(Kind.CANCEL, is_emergency=True) == 0
    clock.advance(1.0)
    assert budget.free(Kind.CANCEL, is_emergency=True) == 10
    assert budget.free(Kind.CANCEL) == 0
    answered()
    assert budget.free(Kind.CANCEL, is_emergency=True) == 0
    clock.advance(1.0)
    assert budget.free(Kind.CANCEL) == 9


async def test_what_was_never_asked_for_goes_before_what_was_asked_longest_ago() -> None:
    venue = FakeQuotingVenue()
    budget = Budget(RiskSettings(), venue_rate=10, clock=venue.clock)
    sender = Sender(venue, settings=PerformanceSettings(), budget=budget, clock=venue.clock)
    orders = [
        RestingOrder(
            link_id=name,
            symbol="BTCUSDT",
            side=Side.BUY,
            price=D(100 - number),
            open_quantity=D(1),
            is_settled_in=True,
        )
        for number, name in enumerate(("a", "b", "c"))
    ]
    venue.clock.advance(1.0)
    for name in ("a", "b"):
        async with asyncio.TaskGroup() as group:
            sender.start_cancels(group, [("BTCUSDT", name)])
        venue.clock.advance(0.3)
    assert [link_id for _, link_id in sender.overdue([orders])] == ["c", "a"]
    venue.clock.advance(0.3)
    assert [link_id for _, link_id in sender.overdue([orders])] == ["c", "a", "b"]
