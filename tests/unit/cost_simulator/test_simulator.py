"""The simulator's life: open, watch, lose the book, fail, close."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from frozen_books import BIDS, FrozenFeed

import trading_system
from trading_system.config.settings import Settings
from trading_system.cost_simulator.faults import (
    BookUnavailableError,
    UnknownInstrumentError,
    VolatilityUnknownError,
)
from trading_system.cost_simulator.simulator import CostSimulator
from trading_system.domain.errors import LifecycleError, ValidationError, VenueRejected
from trading_system.domain.errors import Outcome as VenueOutcome
from trading_system.runtime.clock import ManualClock

SYMBOL = "BTCUSDT"
TRADE: dict[str, Any] = {"side": "buy", "quantity": 1, "volatility_bps": 1}
HIGHER = [(price + 5, size) for price, size in BIDS], [(105.5, 5.0)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def feed(clock: ManualClock) -> FrozenFeed:
    feed = FrozenFeed("bybit", SYMBOL, clock=clock)
    feed.show(SYMBOL)
    return feed


@pytest.fixture
async def simulator(feed: FrozenFeed, clock: ManualClock) -> AsyncIterator[CostSimulator]:
    async with CostSimulator(Settings(), feeds=[feed], clock=clock) as simulator:
        yield simulator


def test_it_is_a_public_face() -> None:
    assert trading_system.CostSimulator is CostSimulator


def test_outside_its_context_it_says_so(feed: FrozenFeed) -> None:
    simulator = CostSimulator(Settings(), feeds=[feed])
    with pytest.raises(LifecycleError, match="async with"):
        simulator.estimate(**TRADE)
    status = simulator.status()
    assert (status["state"], status["markets"], status["is_healthy"]) == ("NEW", [], False)


@pytest.mark.parametrize(
    ("exchange", "more"), [("kraken", []), ("bybit", [("okx", f"X{i}") for i in range(20)])]
)
def test_what_cannot_be_opened_is_refused_at_once(
    exchange: str, more: list[tuple[str, str]]
) -> None:
    with pytest.raises(UnknownInstrumentError, match=r"bybit|1 to 20"):
        CostSimulator(Settings(), exchange, markets=more)


async def test_a_watcher_gets_an_estimate_on_every_tick(
    simulator: CostSimulator, feed: FrozenFeed
) -> None:
    async with aclosing(simulator.watch(**TRADE)) as estimates:
        first = await anext(estimates)
        waiting = asyncio.ensure_future(anext(estimates))  # noqa: TID251 - joined below
        await asyncio.sleep(0)
        feed.show(SYMBOL, *HIGHER)
        second = await waiting
    assert second["mid_price_quote"] > first["mid_price_quote"]
    assert second["latency"]["tick_to_estimate_us"] == 0.0
    assert simulator.status()["markets"][0]["watchers"] == 0


async def test_a_slow_watcher_gets_the_newest_book_only(
    simulator: CostSimulator, feed: FrozenFeed
) -> None:
    async with aclosing(simulator.watch(**TRADE)) as estimates:
        await anext(estimates)
        for size in (1.0, 2.0, 3.0):
            feed.show(SYMBOL, BIDS, [(100.1, size)])
        newest = await anext(estimates)
        assert newest["book"]["sequence"] == 1004
        assert newest["latency"]["tick_to_estimate_us"] is None


async def test_a_watcher_is_told_of_a_lost_book_and_of_its_return(
    simulator: CostSimulator, feed: FrozenFeed
) -> None:
    async with aclosing(simulator.updates(simulator.request(TRADE))) as updates:
        assert isinstance(await anext(updates), dict)
        feed.lose(SYMBOL)
        assert isinstance(await anext(updates), BookUnavailableError)
        feed.show(SYMBOL)
        assert isinstance(await anext(updates), dict)


@pytest.mark.parametrize(
    "more",
    [{"quantity": 1e9}, {"order_type": "limit", "price": 900}, {"quantity": 1e12, "unit": "usd"}],
)
async def test_a_watcher_outlives_what_the_present_book_cannot_price(
    simulator: CostSimulator, feed: FrozenFeed, more: dict[str, Any]
) -> None:
    async with aclosing(simulator.updates(simulator.request({**TRADE, **more}))) as updates:
        assert isinstance(await anext(updates), ValidationError)
        feed.show(SYMBOL, [(800.0, 1e10)], [(801.0, 1e10)])
        assert isinstance(await anext(updates), dict)


@pytest.mark.parametrize(
    "more", [{"tier": "nobody"}, {"volatility_bps": 10_000}, {"quantity": 5e-324, "unit": "usd"}]
)
async def test_a_request_that_no_book_makes_right_ends_its_updates(
    simulator: CostSimulator, more: dict[str, Any]
) -> None:
    async with aclosing(simulator.updates(simulator.request({**TRADE, **more}))) as updates:
        with pytest.raises(ValidationError):
            await anext(updates)


async def test_what_the_present_book_cannot_price_is_not_waited_for(
    simulator: CostSimulator,
) -> None:
    asked = simulator.request({**TRADE, "quantity": 1e9})
    with pytest.raises(ValidationError, match="cannot be priced"):
        await simulator.wait_until_priceable(asked, deadline_s=60)


async def test_entering_waits_as_long_as_it_is_told(clock: ManualClock) -> None:
    feed = FrozenFeed("bybit", SYMBOL, clock=clock)
    with pytest.raises(BookUnavailableError, match=r"within 0\.02 s"):
        async with CostSimulator(Settings(), feeds=[feed], clock=clock, patience_s=0.02):
            pass


async def test_watch_raises_where_there_is_nothing_to_show(
    simulator: CostSimulator, feed: FrozenFeed
) -> None:
    async with aclosing(simulator.watch(**TRADE, min_interval_s=0.001)) as estimates:
        await anext(estimates)
        feed.lose(SYMBOL)
        with pytest.raises(BookUnavailableError):
            await anext(estimates)


async def test_waiting_for_an_estimate_ends_with_the_reason_why_there_is_none(
    simulator: CostSimulator,
) -> None:
    asked = simulator.request(side="buy", quantity=1)
    with pytest.raises(VolatilityUnknownError):
        await simulator.wait_until_priceable(asked, deadline_s=0.02)
    await simulator.wait_until_priceable(simulator.request(TRADE), deadline_s=0.02)


async def test_the_start_waits_for_every_book(clock: ManualClock) -> None:
    feed = FrozenFeed("bybit", SYMBOL, clock=clock)
    simulator = CostSimulator(Settings(), feeds=[feed], clock=clock, must_have_books=False)
    async with simulator:
        with pytest.raises(BookUnavailableError, match="bybit BTCUSDT within"):
            await simulator.wait_for_books(0.02)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(simulator.wait_for_books(5))
            await asyncio.sleep(0)
            feed.show(SYMBOL)
        assert waiting.done()
        assert simulator.is_healthy


async def test_several_books_are_priced_at_once(clock: ManualClock) -> None:
    bybit = FrozenFeed("bybit", SYMBOL, "ETHUSDT", clock=clock)
    okx = FrozenFeed("okx", "BTC-USDT-SWAP", clock=clock)
    bybit.show(SYMBOL)
    bybit.show("ETHUSDT")
    okx.show("BTC-USDT-SWAP")
    async with CostSimulator(Settings(), feeds=[bybit, okx], clock=clock) as simulator:
        named = simulator.estimate(**TRADE, exchange="okx", instrument="BTC-USDT-SWAP")
        assert named["exchange"] == "okx"
        assert simulator.estimate(**TRADE, instrument="ETHUSDT")["instrument"] == "ETHUSDT"
        assert len(simulator.status()["markets"]) == 3
        assert simulator.estimate(**TRADE, exchange="OKX")["instrument"] == "BTC-USDT-SWAP"


async def test_a_feed_that_fails_ends_the_estimates_with_its_reason(
    simulator: CostSimulator, feed: FrozenFeed
) -> None:
    refusal = VenueRejected(
        "no", venue="bybit", operation="stream.subscribe", outcome=VenueOutcome.REJECTED
    )
    feed.fail(refusal)
    with pytest.raises(VenueRejected):
        await simulator.serve_until(asyncio.Event())
    with pytest.raises(BookUnavailableError, match="has ended"):
        simulator.estimate(**TRADE)
    with pytest.raises(BookUnavailableError, match="has ended"):
        await anext(simulator.watch(**TRADE))
    assert simulator.status()["state"] == "FAILED"


async def test_closing_ends_the_feeds(feed: FrozenFeed, clock: ManualClock) -> None:
    async with CostSimulator(Settings(), feeds=[feed], clock=clock):
        await asyncio.sleep(0)
        assert not feed.is_closed
    assert feed.is_closed


async def test_serving_ends_when_it_is_told_to(simulator: CostSimulator) -> None:
    stop = asyncio.Event()
    stop.set()
    await simulator.serve_until(stop)
    assert simulator.is_healthy
