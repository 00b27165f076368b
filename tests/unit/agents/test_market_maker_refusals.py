"""What the market maker does when gate or venue refuse, fail or set limits."""

from __future__ import annotations

from decimal import Decimal

import pytest
from making_rig import maker, step
from quoting_venue import (
    FakeQuotingVenue,
    refusal,
    rejection,
    silence,
)

from trading_system.domain.errors import (
    InvariantViolated,
    Outcome,
    VenueRateLimited,
)
from trading_system.domain.orders import Side

D = Decimal


async def test_denied_everywhere_does_not_become_a_storm():
    venue = FakeQuotingVenue()
    venue.script = lambda operation, _symbol: None if operation == "cancel" else refusal()
    mm = maker(venue)
    for _ in range(60):
        await step(venue, mm)
        await mm.guard()
    assert len(venue.calls) <= 20  # two minutes
    errors = mm.collect_performance_stats()["errors"]
    assert errors["denials"] == {"halted": errors["denied"]}
    assert errors["failed"] == 0


async def test_order_rate_is_no_reason_to_back_off():
    venue = FakeQuotingVenue()
    left = iter(range(2))
    venue.script = lambda *_: None if next(left, None) is not None else refusal("order_rate")
    mm = maker(venue)
    await mm.cycle()
    assert len(venue.orders) == 2
    venue.script = lambda *_: None
    await step(venue, mm)
    assert len(venue.orders) == 6


async def test_closed_gate_cancels_the_quotes_and_sends_nothing_else():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    venue.is_open = False
    assert await mm.guard() == ("BTCUSDT",)
    assert venue.orders == {}
    calls = len(venue.calls)
    await step(venue, mm)
    assert len(venue.calls) == calls


async def test_amend_that_is_refused_ends_in_a_cancel():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    venue.script = lambda operation, _symbol: rejection() if operation == "amend" else None
    venue.move("BTCUSDT", D(60_040))
    await step(venue, mm)
    await step(venue, mm, 1.0)
    assert venue.orders == {}
    venue.script = lambda *_: None
    await step(venue, mm)
    assert len(venue.orders) == 6


async def test_failing_cancel_is_tried_again_in_the_next_cycle():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    venue.script = lambda operation, _symbol: silence() if operation == "cancel" else None
    mm.pause("test")
    await step(venue, mm)
    assert len(venue.orders) == 6
    venue.script = lambda *_: None
    await step(venue, mm)
    assert venue.orders == {}


async def test_order_of_unknown_fate_is_neither_doubled_nor_touched():
    venue = FakeQuotingVenue()
    venue.script = lambda operation, _symbol: silence() if operation == "create" else None
    mm = maker(venue)
    await mm.cycle()
    assert len(venue.orders) == 6
    venue.script = lambda *_: None
    venue.move("BTCUSDT", D(60_040))
    await step(venue, mm, 40.0)
    assert len(venue.orders) == 6
    assert {operation for operation, _ in venue.calls} == {"create"}


async def test_whole_request_that_fails_is_contained():
    venue = FakeQuotingVenue("BTCUSDT", "ETHUSDT")
    venue.whole_call_error = silence()
    mm = maker(venue)
    await mm.cycle()
    stats = mm.collect_performance_stats()
    assert stats["errors"]["failed"] == 12
    assert "as scripted" in stats["errors"]["last"]
    assert stats["cycle_times"]["count"] == 1


async def test_threat_to_money_is_not_contained():
    venue = FakeQuotingVenue()
    venue.whole_call_error = InvariantViolated("books do not add up")
    with pytest.raises(ExceptionGroup) as caught:
        await maker(venue).cycle()
    assert caught.group_contains(InvariantViolated)


async def test_pull_that_cannot_succeed_says_so_and_ends():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    calls = len(venue.calls)
    venue.script = lambda *_: silence()
    assert not await mm.pull("test")
    assert len(venue.calls) - calls == 10


async def test_venue_that_cannot_be_reached_is_counted_and_tried_again():
    venue = FakeQuotingVenue()
    venue.ready_error = silence("connect")
    mm = maker(venue)
    await mm.cycle()
    assert venue.calls == []
    assert mm.collect_performance_stats()["errors"]["failed"] == 1
    venue.ready_error = None
    await step(venue, mm)
    assert len(venue.orders) == 6


async def test_order_off_the_grid_ends_the_quoting_of_its_symbol_only():
    venue = FakeQuotingVenue("BTCUSDT", "ETHUSDT")
    venue.broken_symbol = "BTCUSDT"
    mm = maker(venue)
    await mm.cycle()
    assert {order.symbol for order in venue.orders.values()} == {"ETHUSDT"}
    venue.broken_symbol = None
    assert mm.collect_performance_stats()["errors"]["failed"] == 1


async def test_gate_that_closes_between_two_steps_stops_the_second():
    venue = FakeQuotingVenue(atr=D(0))
    mm = maker(venue, settings={"tiers": 1})
    await mm.cycle()
    bid = venue.side(Side.BUY)[0]
    venue.move("BTCUSDT", D(60_040))
    venue.on_call.append(lambda: setattr(venue, "is_open", False))
    await step(venue, mm)
    assert venue.side(Side.BUY) == [bid]
    assert venue.side(Side.SELL)[0].price > 60_050


async def test_venue_decides_how_long_its_rate_limit_lasts():
    venue = FakeQuotingVenue()
    venue.whole_call_error = VenueRateLimited(
        "slow down",
        venue="fake",
        operation="order.create",
        outcome=Outcome.REJECTED,
        retry_after_s=9.0,
    )
    mm = maker(venue)
    await mm.cycle()
    calls = len(venue.calls)
    for _ in range(4):
        await step(venue, mm)
    assert len(venue.calls) == calls
    await step(venue, mm)
    assert len(venue.calls) > calls


async def test_nothing_is_asked_of_a_client_that_was_never_ready():
    venue = FakeQuotingVenue()
    venue.ready_error = silence("connect")
    venue.broken_symbol = "BTCUSDT"  # any question about its orders fails
    mm = maker(venue)
    await mm.cycle()
    assert await mm.guard() == ()
    assert await mm.pull("test")
    stats = mm.collect_performance_stats()
    assert stats["quotes"]["resting"] == 0
    assert stats["inventory"]["BTCUSDT"]["quantity"] is None


async def test_short_of_amends_the_nearest_tiers_of_all_symbols_are_moved():
    venue = FakeQuotingVenue("BTCUSDT", "ETHUSDT", atr=D(400))
    mm = maker(venue)
    await mm.cycle()
    before = dict(venue.orders)
    ladders = [venue.side(side, symbol) for symbol in mm.symbols for side in Side]
    left = iter(range(8))
    venue.script = lambda *_: None if next(left, None) is not None else refusal("amend_rate")
    for symbol in mm.symbols:
        venue.move(symbol, D(60_040))
    await step(venue, mm)
    moved = {link_id for link_id, order in venue.orders.items() if order != before[link_id]}
    for ladder in ladders:
        assert [order.link_id in moved for order in ladder] == [True, True, False]


async def test_rate_limit_of_the_venue_delays_moves_but_cancels_nothing():
    venue = FakeQuotingVenue()
    mm = maker(venue)
    await mm.cycle()
    venue.whole_call_error = VenueRateLimited(
        "slow down",
        venue="fake",
        operation="order.amend",
        outcome=Outcome.REJECTED,
        retry_after_s=3.0,
    )
    venue.move("BTCUSDT", D(60_040))
    await step(venue, mm)
    venue.whole_call_error = None
    await step(venue, mm)
    assert mm.collect_performance_stats()["requests"]["cancels"] == 0
    assert venue.side(Side.BUY)[0].price < 60_000
    await step(venue, mm)
    assert venue.side(Side.BUY)[0].price > 60_000
