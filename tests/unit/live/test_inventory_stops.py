"""Stops behind a market maker's inventory, over a desk that remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest
from engine_rig import BTC, unavailable

from trading_system.config.sections import StrategySettings
from trading_system.domain.errors import Outcome, TradingSystemError
from trading_system.domain.orders import Fill, Side
from trading_system.live.inventory_stops import InventoryStops
from trading_system.risk.limits import MarketView
from trading_system.risk.portfolio import Portfolio

SYMBOL = BTC.symbol
Asked = tuple[str, Decimal | None]


class Bench:
    """Inventory stops over a portfolio whose fills are the test's."""

    def __init__(self) -> None:
        self.portfolio = Portfolio(Decimal(100_000))
        self.own = Decimal(0)
        self.asked: list[Asked] = []
        self.failure: TradingSystemError | None = None
        self.meanwhile: Callable[[], object] = lambda: None
        self.mid: Decimal | None = Decimal(50_000)
        self.rounds = 0
        self.stops = InventoryStops(
            self,
            portfolio=self.portfolio,
            market=lambda _symbol: MarketView(mid=self.mid, age_s=0.1),
            instruments={SYMBOL: BTC},
            rules=StrategySettings(),
            timeout_s=1.0,
            pause=self.pause,
        )

    async def pause(self, _seconds: float) -> None:
        self.rounds += 1
        await asyncio.sleep(0)

    def own_quantity(self, symbol: str) -> Decimal:
        return self.own

    async def protect(self, symbol: str, stop_price: Decimal | None, *, timeout_s: float) -> None:
        self.asked.append((symbol, stop_price))
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        if self.failure is not None:
            raise self.failure

    def fill(self, quantity: str, price: str = "50000", *, is_own: bool = True) -> None:
        signed = Decimal(quantity)
        number = self.portfolio.fills
        self.portfolio.book_fill(
            Fill(
                exec_id=str(number),
                order_id="o",
                link_id="l",
                symbol=SYMBOL,
                side=Side.BUY if signed > 0 else Side.SELL,
                price=Decimal(price),
                quantity=abs(signed),
                fee=Decimal(0),
                is_maker=True,
                ts_exchange_ns=0,
            )
        )
        if is_own:
            self.own += signed
        if not self.portfolio.position(SYMBOL).quantity:
            self.own = Decimal(0)
        self.stops.note(SYMBOL)

    async def kept(self) -> list[Decimal | None]:
        await self.stops.keep(SYMBOL)
        return [price for _, price in self.asked]


async def test_a_new_inventory_gets_a_stop_behind_its_entry() -> None:
    bench = Bench()
    bench.fill("0.01", "49990")
    assert await bench.kept() == [Decimal("49490.1")]
    bench.fill("0.02", "49980")  # the venue's stop follows the size by itself
    assert len(await bench.kept()) == 1


async def test_a_short_inventory_is_stopped_above() -> None:
    bench = Bench()
    bench.fill("-0.01", "50010")
    assert await bench.kept() == [Decimal("50510.1")]


async def test_an_inventory_that_turns_gets_the_stop_of_its_new_side() -> None:
    bench = Bench()
    bench.fill("0.01")
    await bench.kept()
    bench.fill("-0.03")
    assert await bench.kept() == [Decimal(49_500), Decimal(50_500)]


async def test_an_inventory_that_was_flat_in_between_gets_its_stop_anew() -> None:
    bench = Bench()
    bench.fill("0.01")
    await bench.kept()
    bench.fill("-0.01")
    assert len(await bench.kept()) == 1
    bench.fill("0.01")
    assert len(await bench.kept()) == 2


async def test_a_position_that_was_flat_during_the_request_is_not_taken_for_stopped() -> None:
    bench = Bench()

    def back_and_forth() -> None:
        bench.fill("-0.01")
        bench.fill("0.01")

    bench.fill("0.01")
    bench.meanwhile = back_and_forth
    await bench.kept()
    assert len(await bench.kept()) == 2


async def test_a_position_that_turned_and_turned_back_during_the_request_is_not_stopped() -> None:
    bench = Bench()

    def there_and_back() -> None:
        bench.fill("-0.03")
        bench.fill("0.03")

    bench.fill("0.01")
    bench.meanwhile = there_and_back  # the venue dropped the stop at the first turn
    await bench.kept()
    assert len(await bench.kept()) == 2
    assert len(await bench.kept()) == 2


async def test_an_entry_that_moved_far_moves_the_stop() -> None:
    bench = Bench()
    bench.fill("0.01", "50000")
    await bench.kept()
    bench.fill("0.03", "49960")
    assert len(await bench.kept()) == 1  # by less than a tenth of the distance
    bench.fill("0.2", "49900")
    assert len(await bench.kept()) == 2


async def test_a_stop_is_never_drawn_away_from_a_market_that_fell_past_the_entry() -> None:
    bench = Bench()
    bench.fill("0.01", "50000")
    await bench.kept()
    bench.mid = Decimal(49_000)
    bench.fill("0.001", "50000")
    assert len(await bench.kept()) == 1


async def test_an_inventory_whose_stop_is_passed_already_is_stopped_behind_the_mid() -> None:
    bench = Bench()
    bench.mid = Decimal(49_000)
    bench.fill("0.01", "50000")
    assert await bench.kept() == [Decimal(48_510)]


async def test_without_a_mid_nothing_is_asked() -> None:
    bench = Bench()
    bench.mid = None
    bench.fill("0.01")
    assert await bench.kept() == []
    assert bench.stops.missing({}) == {}


async def test_a_position_of_somebody_else_gets_no_stop() -> None:
    bench = Bench()
    bench.fill("0.01", is_own=False)
    assert await bench.kept() == []
    assert bench.stops.missing({}) == {}


async def test_a_stop_that_failed_is_found_missing_and_tried_again() -> None:
    bench = Bench()
    bench.failure = unavailable(Outcome.UNKNOWN)
    bench.fill("0.01")
    assert len(await bench.kept()) == 1
    assert bench.stops.missing({SYMBOL: None}) == {SYMBOL: Decimal(49_500)}
    bench.failure = None
    assert len(await bench.kept()) == 2
    assert bench.stops.missing({SYMBOL: Decimal(49_500)}) == {}


async def test_a_burst_of_fills_costs_one_request() -> None:
    bench = Bench()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(bench.stops.serve(), name="stops")
        for _ in range(5):
            bench.fill("0.01")
        while not bench.rounds:
            await asyncio.sleep(0)
        serving.cancel()
    assert bench.asked == [(SYMBOL, Decimal(49_500))]
    assert bench.stops.requests == 1


@pytest.mark.parametrize("side", [1, -1])
async def test_the_stop_lies_on_the_losing_side_of_the_market(side: int) -> None:
    bench = Bench()
    bench.fill(str(side * Decimal("0.01")), "50000")
    (price,) = await bench.kept()
    assert price is not None
    assert bench.mid is not None
    assert (bench.mid - price) * side > 0
