"""The market maker against a venue in memory."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import pytest
from making_rig import maker, step
from quoting_venue import (
    FakeQuotingVenue,
    VirtualTime,
    instrument,
    silence,
)
from structlog.testing import capture_logs

from agents import MarketMaker
from agents.market_maker.quoting import Quoter, Scale
from trading_system.config.sections import MarketMakerSettings, PerformanceSettings
from trading_system.domain.errors import (
    ValidationError,
)
from trading_system.domain.orders import Side
from trading_system.domain.ports import QuoteView

D = Decimal


async def test_first_cycle_quotes_all_tiers_on_both_sides_of_all_symbols():
    venue = FakeQuotingVenue("BTCUSDT", "ETHUSDT")
    mm = maker(venue)
    await mm.cycle()
    for symbol in mm.symbols:
        assert len(venue.side(Side.BUY, symbol)) == len(venue.side(Side.SELL, symbol)) == 3
    assert sorted(size for _, size in venue.calls) == [2, 5, 5]
    assert venue.crossed == venue.rejected_as_taker == 0


async def test_nearest_tiers_are_sent_first():
    venue = FakeQuotingVenue("BTCUSDT", "ETHUSDT")
    await maker(venue).cycle()
    first = list(venue.orders.values())[:4]
    nearest = {venue.side(side, s)[0].link_id for s in venue.instruments for side in Side}
    assert {order.link_id for order in first} == nearest


async def test_quiet_market_costs_less_than_forty_requests_in_ten_cycles():
    venue = FakeQuotingVenue("BTCUSDT", "ETHUSDT")
    mm = maker(venue)
    jitter = random.Random(7)
    for _ in range(10):
        for symbol in mm.symbols:
            venue.move(symbol, D(60_000) + D(jitter.randint(-20, 20)) / 10)
        await step(venue, mm)
    stats = mm.collect_performance_stats()
    assert stats["requests"]["calls"] == len(venue.calls) < 40
    assert stats["requests"]["per_10_cycles"] == len(venue.calls)
    assert stats["requests"]["amends"] == stats["requests"]["cancels"] == 0


async def test_unchanged_market_skips_cycles_but_looks_again_regularly():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    for _ in range(14):
        await step(venue, mm)
    assert mm.collect_performance_stats()["skipped"] == 10
    venue.fill(venue.side(Side.BUY)[0].link_id)
    await step(venue, mm)
    assert len(venue.side(Side.BUY)) == 3  # a missing quote is never skipped


async def test_moved_market_amends_and_neither_cancels_nor_creates():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    link_ids = set(venue.orders)
    for mid in (60_030, 59_950, 60_200):
        venue.move("BTCUSDT", D(mid))
        await step(venue, mm)
    assert set(venue.orders) == link_ids
    assert venue.crossed == 0
    assert venue.least_ratio >= 0.0005
    assert mm.collect_performance_stats()["requests"]["cancels"] == 0


async def test_cycle_of_two_symbols_takes_two_round_trips_at_most():
    time = VirtualTime()
    venue = FakeQuotingVenue(
        "BTCUSDT", "ETHUSDT", clock=time.clock, latency=lambda: time.sleep(0.05)
    )
    mm = maker(venue, pause=time.sleep)
    await time.until_done(mm.cycle())
    for symbol in mm.symbols:
        venue.move(symbol, D(60_040))
    await time.until_done(mm.cycle())
    cycles = mm.collect_performance_stats()["cycle_times"]
    assert cycles["min"] == pytest.approx(0.05)
    assert cycles["max"] == pytest.approx(0.10)
    assert venue.most_running == 3


async def test_inventory_stays_within_its_limit_whatever_fills_when():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    source = random.Random(11)
    for _ in range(300):
        venue.move("BTCUSDT", D(60_000) + source.randint(-60, 60))
        side = source.choice([Side.BUY, Side.BUY, Side.BUY, Side.SELL])

        def adversary(side: Side = side) -> None:
            for order in venue.side(side)[: source.randint(0, 3)]:
                venue.fill(order.link_id, D(source.choice(["1", "0.5"])))

        venue.on_call.append(adversary)
        adversary()
        await step(venue, mm)
    assert venue.worst_reach <= D(3_006)  # the price moves by 0.2 %
    assert venue.books["BTCUSDT"].position * 60_000 > D(1_500)
    assert venue.crossed == 0


async def test_full_inventory_leaves_quotes_on_the_reducing_side_only():
    venue = FakeQuotingVenue()
    venue.books["BTCUSDT"].position = D("0.05")
    await maker(venue).cycle()
    assert venue.side(Side.BUY) == []
    assert len(venue.side(Side.SELL)) == 3


async def test_stale_book_pulls_everything_without_waiting_for_the_cycle():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    venue.clock.advance(1.9)
    assert await mm.guard() == ()
    venue.clock.advance(0.2)
    assert await mm.guard() == ("BTCUSDT",)
    assert venue.orders == {}
    stats = mm.collect_performance_stats()
    assert stats["inventory"]["BTCUSDT"]["silence"] == "the book is stale"


async def test_untrusted_book_pulls_everything():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    venue.books["BTCUSDT"].is_trusted = False
    assert await mm.guard() == ("BTCUSDT",)
    assert venue.orders == {}


async def test_jump_of_the_middle_moves_the_quotes_at_once_and_once():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    venue.move("BTCUSDT", D(60_012))  # 2 bps
    assert await mm.guard() == ("BTCUSDT",)
    amends = mm.collect_performance_stats()["requests"]["amends"]
    assert amends == 1  # outer tiers may be further off; what moves up behind it relies on it
    venue.move("BTCUSDT", D(60_030))
    assert await mm.guard() == ()  # not twice within half a second
    venue.clock.advance(0.5)
    venue.refresh()
    assert await mm.guard() == ("BTCUSDT",)


async def test_quote_that_the_opposite_price_has_reached_is_moved_at_once():
    venue = FakeQuotingVenue()
    mm = maker(venue, settings={"requote_bps": 400.0})
    await mm.cycle()
    bid = venue.side(Side.BUY)[0].price
    venue.books["BTCUSDT"].ask = bid
    venue.books["BTCUSDT"].bid = bid - 1
    assert await mm.guard() == ("BTCUSDT",)
    assert venue.side(Side.BUY)[0].price < bid
    assert venue.crossed == 0


async def test_guard_asks_for_nothing_while_all_is_well():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    calls = len(venue.calls)
    for _ in range(20):
        assert await mm.guard() == ()
    assert len(venue.calls) == calls


async def test_quotes_outlive_a_short_failure_of_the_volatility_but_not_a_long_one():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    venue.candle_error = silence("kline")
    await step(venue, mm, 90.0)
    assert len(venue.orders) == 6
    await step(venue, mm, 230.0)
    assert venue.orders == {}


async def test_nothing_is_quoted_before_there_is_a_volatility():
    venue = FakeQuotingVenue()
    venue.candle_error = silence("kline")
    mm = maker(venue)
    await mm.cycle()
    assert venue.calls == []
    inventory = mm.collect_performance_stats()["inventory"]["BTCUSDT"]
    assert inventory["silence"] == "no volatility yet"


async def test_pull_cancels_until_the_venue_has_confirmed():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    answers = iter([silence()] * 6)
    venue.script = lambda *_: next(answers, None)
    assert await mm.pull("test")
    assert venue.orders == {}
    venue.script = lambda *_: None
    await step(venue, mm)
    assert len(venue.orders) == 6  # a pull does not pause


async def test_pause_and_resume():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    mm.pause("operator")
    mm.pause("second reason")
    assert mm.paused_because == "operator"
    assert await mm.guard() == ("BTCUSDT",)
    assert venue.orders == {}
    mm.resume()
    await step(venue, mm)
    assert len(venue.orders) == 6


async def test_run_cycles_at_its_interval_until_wound_down():
    time = VirtualTime()
    venue = FakeQuotingVenue(clock=time.clock)
    mm = maker(venue, pause=time.sleep)

    async def market() -> None:
        for _ in range(100):
            await time.sleep(0.1)
            venue.refresh()
        assert len(venue.orders) == 6
        assert await mm.wind_down()

    async def session() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(mm.run())
            group.create_task(market())

    await time.until_done(session())
    assert venue.orders == {}
    stats = mm.collect_performance_stats()
    assert 7 <= stats["cycle_times"]["count"] <= 11
    assert stats["update_interval"] == 1.0
    assert stats["paused"] == "winding down"


async def test_changed_book_wakes_the_loop_between_its_looks():
    time = VirtualTime()
    venue = FakeQuotingVenue(clock=time.clock)
    mm = maker(venue, pause=time.sleep)
    moved_after = []

    async def market() -> None:
        await time.sleep(0.53)
        venue.move("BTCUSDT", D(60_050))
        mm.on_book_change("OTHER")
        mm.on_book_change("BTCUSDT")
        await time.sleep(0.001)
        moved_after.append(mm.collect_performance_stats()["requests"]["amends"])
        await mm.wind_down()

    async def session() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(mm.run())
            group.create_task(market())

    await time.until_done(session())
    assert moved_after == [3]  # away from the market; those that follow it rely on them


async def test_standing_aside_empties_one_symbol_and_leaves_the_others():
    venue = FakeQuotingVenue("BTCUSDT", "ETHUSDT")
    mm = maker(venue)
    await mm.cycle()
    async with mm.standing_aside("BTCUSDT", "a test") as is_clear:
        assert is_clear
        await step(venue, mm)
        assert venue.resting_orders("BTCUSDT") == ()
        assert len(venue.resting_orders("ETHUSDT")) == 6
        stats = mm.collect_performance_stats()["inventory"]
        assert "operator" in stats["BTCUSDT"]["silence"]
        assert stats["ETHUSDT"]["silence"] is None
        assert await mm.guard() == ()
    await step(venue, mm)
    assert len(venue.resting_orders("BTCUSDT")) == 6


async def test_standing_aside_for_two_orders_lasts_until_both_have_ended():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    async with mm.standing_aside("BTCUSDT", "one"):
        async with mm.standing_aside("BTCUSDT", "two"):
            pass
        await step(venue, mm)
        assert venue.resting_orders("BTCUSDT") == ()
    async with mm.standing_aside("OTHER", "not quoted") as is_clear:
        assert is_clear


async def test_the_quoted_half_spread_is_told_and_kept_while_nothing_is_quoted():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    assert mm.collect_performance_stats()["inventory"]["BTCUSDT"]["half_spread_bps"] is None
    await mm.cycle()
    bid, ask = (venue.side(side)[0].price for side in (Side.BUY, Side.SELL))
    half = float((ask - bid) / 2 / D(60_000)) * 10_000
    mm.pause("a test")
    await step(venue, mm)
    told = mm.collect_performance_stats()["inventory"]["BTCUSDT"]["half_spread_bps"]
    assert told == pytest.approx(half)


@pytest.mark.parametrize("quoting", ["atr", "avellaneda-stoikov"])
async def test_both_ways_of_quoting_stand_at_a_comparable_distance(quoting):
    # A minute of the embedded market: a range of 60 bps, a volatility of 13 bps in a second.
    quoter = Quoter(instrument(), MarketMakerSettings(quoting=quoting), maker_fee=0.0002)
    view = QuoteView(
        symbol="BTCUSDT",
        bid=D("59999.5"),
        ask=D("60000.5"),
        mid=60_000.0,
        microprice=60_000.0,
        age_s=0.1,
        position=D(0),
    )
    half = quoter.quotes(view, Scale(360.0, 13e-4)).half_spread_bps
    assert half is not None
    assert 2.5 <= half <= 3.6


async def test_statistics_have_every_key_from_the_start():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    before = mm.collect_performance_stats()
    assert f"{before['cycle_times']['avg']:.3f}" == "0.000"
    assert f"{before['volatility']['hit_rate']:.1f}" == "0.0"
    assert before["cycle_times"]["p95"] is None
    await mm.cycle()
    after = mm.collect_performance_stats()
    assert _keys(before) == _keys(after)
    assert after["quotes"]["wanted"] == after["quotes"]["resting"] == 6
    assert after["volatility"]["calculations"] == 1


def _keys(figures: dict) -> set:
    return set(figures) | {
        (k, inner) for k, v in figures.items() if isinstance(v, dict) for inner in v
    }


async def test_slow_requests_are_counted():
    time = VirtualTime()
    venue = FakeQuotingVenue(clock=time.clock, latency=lambda: time.sleep(1.5))
    mm = maker(venue, pause=time.sleep)
    await time.until_done(mm.cycle())
    assert mm.collect_performance_stats()["requests"]["slow"] == 2


async def test_avellaneda_stoikov_quotes_both_sides_too():
    venue = FakeQuotingVenue()
    mm = maker(venue, settings={"quoting": "avellaneda-stoikov"})
    await mm.cycle()
    assert len(venue.orders) == 6
    assert mm.collect_performance_stats()["volatility"]["calculations"] == 2


async def test_changed_fee_moves_the_quotes_to_the_new_floor():
    venue = FakeQuotingVenue(atr=D(1))
    mm = maker(venue)
    await mm.cycle()
    venue.fee = 0.0010
    for _ in range(2):
        await step(venue, mm)
    width = venue.side(Side.SELL)[0].price - venue.side(Side.BUY)[0].price
    assert float(width) / 60_000 >= 0.0021


@pytest.mark.parametrize("symbols", [(), "BTCUSDT", ("A", "A")])
def test_symbols_must_be_different_names(symbols):
    with pytest.raises(ValidationError, match="different names"):
        MarketMaker(FakeQuotingVenue(), symbols=symbols)


async def test_performance_line_is_logged_at_its_interval():
    time = VirtualTime()
    venue = FakeQuotingVenue(clock=time.clock)
    mm = maker(
        venue, pause=time.sleep, performance=PerformanceSettings(performance_log_interval=3.0)
    )
    with capture_logs() as lines:
        await time.until_done(mm.run(), limit_s=10.0)
    told = [line for line in lines if line["event"] == "market maker performance"]
    assert 2 <= len(told) <= 3
    assert told[0]["cycle_times"]["count"] >= 1
