"""New prices for resting orders: gated, recorded first; both count until one is known."""

import asyncio
from dataclasses import replace
from decimal import Decimal, InvalidOperation

import pytest
from engine_rig import FakeVenue, Rig, fill, rejected, report, unavailable

from trading_system.domain.errors import (
    OrderDenied,
    Outcome,
    TradingSystemError,
    VenueAuthError,
    VenueRejected,
)
from trading_system.domain.orders import (
    BatchOutcome,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderType,
    PriceChange,
    Side,
)
from trading_system.execution.tracking import TrackedOrder, TrackedStatus
from trading_system.execution.transitions import OrderEvent
from trading_system.risk.limits import MarketView, TradingState

OLD, NEW = Decimal(50_000), Decimal(50_010)


def bid(rig: Rig, **changes: object) -> OrderIntent:
    plain = OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.1"),
        price=OLD,
        link_id=rig.engine.next_link_id(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # test data


async def resting(rig: Rig, **changes: object) -> OrderIntent:
    order = bid(rig, **changes)
    await rig.engine.submit(order, timeout_s=1)
    return order


def tracked(rig: Rig, order: OrderIntent) -> TrackedOrder:
    found = rig.engine.order(order.link_id)
    assert found is not None
    return found


async def move(rig: Rig, order: OrderIntent, price: Decimal = NEW) -> TradingSystemError | None:
    change = PriceChange(symbol=order.symbol, link_id=order.link_id, price=price)
    (outcome,) = await rig.engine.amend_batch([change], timeout_s=1)
    return outcome.error


def at(order: OrderIntent, price: Decimal, stamp_ns: int, filled: str = "0") -> OrderReport:
    told = report(order, OrderStatus.NEW, Decimal(filled))
    return replace(told, price=price, ts_exchange_ns=stamp_ns)


def reason(error: TradingSystemError | None) -> str:
    assert isinstance(error, OrderDenied)
    return error.reason


async def test_an_accepted_change_is_under_way_until_the_venue_reports_the_price() -> None:
    rig = Rig()
    order = await resting(rig)
    assert await move(rig, order) is None
    found = tracked(rig, order)
    assert (found.price, found.standing_price, found.is_settled_in) == (NEW, OLD, False)
    rig.engine.on_report(at(order, NEW, 5))
    assert (found.price, found.standing_price, found.is_settled_in) == (NEW, NEW, True)
    assert rig.venue.amended == [PriceChange(symbol="BTCUSDT", link_id=order.link_id, price=NEW)]


async def test_a_change_is_in_the_journal_before_it_is_sent_and_so_is_its_end() -> None:
    rig = Rig()
    order = await resting(rig)
    rig.venue.failures.append(rejected(110079))
    await move(rig, order)
    await move(rig, order)
    rig.engine.on_report(at(order, NEW, 5))
    told = [one for _, one in rig.journal.price_story(order.link_id)][1:]
    assert [getattr(one, "event", "asked") for one in told] == [
        "asked",
        OrderEvent.AMEND_FAILED,
        "asked",
        OrderEvent.AMENDED,
    ]
    assert rig.journal.verify() is None


async def test_both_prices_count_while_a_change_is_under_way() -> None:
    rig = Rig()
    order = await resting(rig)
    await move(rig, order, Decimal(49_990))
    ledger = rig.engine._ledger
    assert ledger.open_notional == order.quantity * OLD
    ask = bid(rig, side=Side.SELL, price=Decimal(49_995), quantity=Decimal("0.01"))
    with pytest.raises(OrderDenied, match=r"self_cross.* at 50000"):
        await rig.engine.submit(ask, timeout_s=1)
    for twin in (OLD, Decimal(49_990)):
        with pytest.raises(OrderDenied, match="duplicate"):
            await rig.engine.submit(bid(rig, price=twin), timeout_s=1)
    rig.engine.on_report(at(order, Decimal(49_990), 5))
    assert ledger.open_notional == order.quantity * Decimal(49_990)
    await rig.engine.submit(ask, timeout_s=1)


async def test_an_ask_counts_at_the_price_nearest_to_the_bids() -> None:
    rig = Rig()
    order = await resting(rig, side=Side.SELL, price=Decimal(50_020))
    await move(rig, order, Decimal(50_005))
    found = tracked(rig, order)
    assert (found.closest_price, found.highest_price) == (Decimal(50_005), Decimal(50_020))


async def test_an_unchanged_price_is_accepted_and_not_sent() -> None:
    rig = Rig(amend_rate=1)
    order = await resting(rig)
    for _ in range(3):
        assert await move(rig, order, OLD) is None
    assert rig.venue.amended == []
    assert await move(rig, order, NEW) is None


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
async def test_no_price_changes_unless_trading_is_active(state: TradingState) -> None:
    rig = Rig()
    order = await resting(rig)
    rig.engine.holds.set("operator", state, "test")
    assert reason(await move(rig, order)) == state.value.lower()
    assert rig.venue.amended == []


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("51000", "price_collar"),
        ("50000.05", "off_grid"),
        ("-1", "not_finite"),
        ("NaN", "not_finite"),
        ("10", "min_notional"),
    ],
)
async def test_a_new_price_obeys_the_rules_of_a_new_order(price: str, expected: str) -> None:
    rig = Rig()
    order = await resting(rig)
    assert reason(await move(rig, order, Decimal(price))) == expected


async def test_no_price_changes_on_a_stale_book_or_a_wrong_clock() -> None:
    rig = Rig()
    order = await resting(rig)
    rig.clock_offset_ms = 900.0
    assert reason(await move(rig, order)) == "clock_offset"
    rig.view = MarketView(mid=OLD, age_s=9.0)
    assert reason(await move(rig, order)) == "stale_book"


async def test_a_changed_price_must_not_meet_an_own_order() -> None:
    rig = Rig()
    order = await resting(rig)
    await resting(rig, side=Side.SELL, price=NEW)
    assert reason(await move(rig, order)) == "self_cross"


async def test_the_limits_hold_for_the_worse_of_both_prices() -> None:
    rig = Rig(rate=100)
    order = await resting(rig, quantity=Decimal("0.2"))
    rig.view = MarketView(mid=Decimal(50_100), age_s=0.1)
    assert reason(await move(rig, order, Decimal(49_000))) == "order_notional"
    rig.portfolio.adopt("BTCUSDT", Decimal("0.61"), OLD)
    rig.view = MarketView(mid=Decimal(49_990), age_s=0.1)
    assert reason(await move(rig, order, Decimal(49_990))) == "position_notional"


async def test_an_order_at_its_limit_may_move_because_its_old_value_is_replaced() -> None:
    rig = Rig(rate=100)
    rig.portfolio.adopt("ETHUSDT", Decimal(1), Decimal(40_000))
    order = await resting(rig, quantity=Decimal("0.2"), price=Decimal(49_900))
    assert await move(rig, order, Decimal(49_950)) is None
    rig.engine.on_report(at(order, Decimal(49_950), 5))
    rig.portfolio.mark("ETHUSDT", Decimal(40_020))
    assert reason(await move(rig, order, OLD)) == "gross_notional"


async def test_an_exit_may_be_moved_too() -> None:
    rig = Rig()
    rig.portfolio.adopt("BTCUSDT", Decimal(1), OLD)
    order = await resting(rig, side=Side.SELL, price=Decimal(50_020), reduce_only=True)
    assert await move(rig, order) is None
    assert rig.engine._ledger.open_notional == 0


async def test_the_rate_of_changes_is_its_own() -> None:
    rig = Rig(amend_rate=1)
    order = await resting(rig)
    other = await resting(rig, price=Decimal(49_000))
    assert await move(rig, order) is None
    assert reason(await move(rig, other)) == "amend_rate"
    rig.clock.advance(1.1)
    assert await move(rig, other) is None


async def test_only_confirmed_own_orders_without_a_request_under_way_are_moved() -> None:
    rig = Rig(rate=100)
    order = await resting(rig)
    moving, ending, full = [await resting(rig, price=Decimal(49_000 + n)) for n in range(3)]
    await move(rig, moving)
    await rig.engine.cancel_batch([("BTCUSDT", ending.link_id)], timeout_s=1)
    rig.engine.on_fill(fill(full, full.quantity, OLD))
    for wrong in (moving, ending, full, replace(order, symbol="ETHUSDT"), bid(rig)):
        assert reason(await move(rig, wrong, Decimal(49_500))) == "not_amendable"
    assert len(rig.venue.amended) == 1


async def test_a_closing_order_without_a_price_is_not_moved() -> None:
    rig = Rig()
    rig.portfolio.adopt("BTCUSDT", Decimal("0.1"), OLD)
    rig.view = MarketView(mid=None, age_s=None)
    rig.engine.holds.set("operator", TradingState.HALTED, "test")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await rig.engine.close_position("BTCUSDT", timeout_s=1)
    (order,) = rig.engine.live_orders
    assert order.closest_price is order.highest_price is None
    assert reason(await move(rig, order.intent)) == "not_amendable"
    rig.engine.on_report(at(order.intent, OLD, 5))
    assert order.standing_price is None


async def test_a_batch_names_an_order_once() -> None:
    rig = Rig()
    order = await resting(rig)
    changes = [PriceChange(symbol="BTCUSDT", link_id=order.link_id, price=p) for p in (NEW, OLD)]
    outcomes = await rig.engine.amend_batch(changes, timeout_s=1)
    assert outcomes[0].error is None
    assert reason(outcomes[1].error) == "not_amendable"


async def test_more_than_ten_changes_leave_as_several_requests() -> None:
    rig = Rig(rate=100)
    orders = [
        await resting(rig, price=Decimal(49_900 + n), quantity=Decimal("0.01")) for n in range(12)
    ]
    changes = [
        PriceChange(symbol="BTCUSDT", link_id=order.link_id, price=Decimal(49_800 + n))
        for n, order in enumerate(orders)
    ]
    outcomes = await rig.engine.amend_batch(changes, timeout_s=1)
    assert (rig.venue.batches, [one.error for one in outcomes]) == ([10, 2], [None] * 12)
    assert rig.engine.amends_sent == 12


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.REJECTED])
async def test_a_refused_change_leaves_the_old_price(outcome: Outcome) -> None:
    rig = Rig()
    order = await resting(rig)
    rig.venue.batch_failures.append(unavailable(outcome))
    assert await move(rig, order) is not None
    found = tracked(rig, order)
    assert (found.price, found.is_settled_in, rig.venue.lookups) == (OLD, True, 0)


async def test_a_change_that_the_stream_confirmed_is_not_taken_back_by_its_answer() -> None:
    rig = Rig()
    order = await resting(rig)

    def confirm(_items: object) -> None:
        rig.engine.on_report(at(order, NEW, 5))

    rig.venue.begin_batch = confirm  # type: ignore[method-assign]  # the fake's own seam
    rig.venue.failures.append(rejected(40004))
    await move(rig, order)
    assert (tracked(rig, order).price, tracked(rig, order).is_settled_in) == (NEW, True)


async def test_a_change_of_an_order_that_is_gone_finds_out_how_it_ended() -> None:
    rig = Rig()
    order = await resting(rig)
    rig.venue.known[order.link_id] = report(order, OrderStatus.FILLED, order.quantity)
    rig.venue.fills[order.link_id] = [fill(order, order.quantity, OLD)]
    rig.venue.failures.append(rejected(110001))
    assert isinstance(await move(rig, order), VenueRejected)
    assert tracked(rig, order).status is TrackedStatus.FILLED
    assert rig.engine.live_orders == ()


async def lost(rig: Rig) -> OrderIntent:
    """Return an order whose change got no answer."""
    order = await resting(rig)
    rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
    await move(rig, order)
    assert tracked(rig, order).price == NEW
    return order


async def test_a_lost_answer_is_concluded_by_a_look_up_that_shows_the_new_price() -> None:
    rig = Rig()
    order = await lost(rig)
    rig.venue.known[order.link_id] = at(order, NEW, 5)
    await rig.engine.look_up(tracked(rig, order))
    assert tracked(rig, order).standing_price == NEW


async def test_an_old_price_concludes_only_after_the_request_has_died() -> None:
    rig = Rig()
    order = await lost(rig)
    rig.venue.known[order.link_id] = at(order, OLD, 5)
    for later_s, is_settled in ((1, False), (6, True)):
        rig.clock.advance(later_s)
        assert await rig.engine.look_up_silent(silence_s=1) == 1
        assert tracked(rig, order).is_settled_in is is_settled
    assert (tracked(rig, order).price, len(rig.venue.amended)) == (OLD, 1)


async def test_a_look_up_without_a_price_concludes_nothing() -> None:
    rig = Rig()
    order = await lost(rig)
    rig.venue.known[order.link_id] = replace(at(order, OLD, 5), price=None)
    rig.clock.advance(10)
    await rig.engine.look_up(tracked(rig, order))
    assert not tracked(rig, order).is_settled_in


async def test_resolving_waits_for_the_price() -> None:
    rig = Rig()
    order = await lost(rig)
    rig.venue.known[order.link_id] = at(order, NEW, 5)
    found = await rig.engine.resolve(order.link_id)
    assert (found.standing_price, found.is_settled_in) == (NEW, True)


async def test_a_stream_report_during_the_look_up_is_not_overruled() -> None:
    class Slow(FakeVenue):
        async def find_order(self, link_id: str) -> OrderReport | None:
            assert self.listener is not None
            self.listener.on_report(at(order, NEW, 9))
            return at(order, OLD, 5)

    rig = Rig(venue=Slow())
    order = await lost(rig)
    rig.clock.advance(10)
    await rig.engine.look_up(tracked(rig, order))
    assert (tracked(rig, order).price, tracked(rig, order).is_settled_in) == (NEW, True)


async def test_old_reports_say_nothing_of_the_price() -> None:
    rig = Rig()
    order = await resting(rig)
    rig.engine.on_report(at(order, OLD, 1))
    await move(rig, order)
    rig.engine.on_report(at(order, NEW, 5))
    await move(rig, order, OLD)
    rig.engine.on_report(at(order, OLD, 1))  # the first report once more
    assert not tracked(rig, order).is_settled_in
    rig.engine.on_report(at(order, NEW, 6, "0.01"))  # a fill at the price between
    assert not tracked(rig, order).is_settled_in
    rig.engine.on_report(at(order, OLD, 7))
    assert tracked(rig, order).is_settled_in


async def test_a_price_that_somebody_else_set_is_taken_over() -> None:
    rig = Rig()
    order = await resting(rig)
    rig.engine.on_report(at(order, Decimal(49_000), 0))  # no newer than what is known
    assert tracked(rig, order).price == OLD
    rig.engine.on_report(at(order, Decimal(49_000), 3))
    assert tracked(rig, order).price == Decimal(49_000)
    assert rig.engine._ledger.open_notional == order.quantity * 49_000


async def test_a_cancel_passes_while_a_change_is_under_way() -> None:
    rig = Rig()
    order = await resting(rig)
    await move(rig, order)
    await rig.engine.cancel("BTCUSDT", order.link_id, timeout_s=1)
    assert (tracked(rig, order).status, rig.engine.live_orders) == (TrackedStatus.CANCELLED, ())
    assert rig.engine._ledger.open_notional == 0


async def test_without_a_journal_no_price_changes() -> None:
    rig = Rig()
    order = await resting(rig)
    rig.journal._connection.execute("PRAGMA query_only = 1")
    change = PriceChange(symbol="BTCUSDT", link_id=order.link_id, price=NEW)
    wrong = replace(change, link_id="foreign")
    outcomes = await rig.engine.amend_batch([change, wrong], timeout_s=1)
    assert [reason(one.error) for one in outcomes] == ["journal", "not_amendable"]
    assert (rig.venue.amended, tracked(rig, order).is_settled_in) == ([], True)
    assert rig.engine._ledger.open_notional == order.quantity * OLD


async def test_what_cannot_be_judged_leaves_no_change_under_way() -> None:
    rig = Rig()
    order, other = await resting(rig), await resting(rig, price=Decimal(49_000))
    changes = [
        PriceChange(symbol="BTCUSDT", link_id=order.link_id, price=NEW),
        PriceChange(symbol="BTCUSDT", link_id=other.link_id, price=Decimal("1E+40")),
    ]
    with pytest.raises(InvalidOperation):
        await rig.engine.amend_batch(changes, timeout_s=1)
    assert (rig.venue.amended, tracked(rig, order).is_settled_in) == ([], True)


async def test_a_refused_key_halts() -> None:
    rig = Rig()
    order = await resting(rig)
    rig.venue.batch_failures.append(
        VenueAuthError("no", venue="fake", operation="x", outcome=Outcome.REJECTED, code=10003)
    )
    await move(rig, order)
    assert rig.engine.state is TradingState.HALTED


async def test_a_cut_off_wait_leaves_the_change_under_way() -> None:
    rig = Rig()
    order = await resting(rig)
    rig.venue.batch_failures.append(asyncio.CancelledError())  # type: ignore[arg-type]  # cut off
    with pytest.raises(asyncio.CancelledError):
        await move(rig, order)
    assert not tracked(rig, order).is_settled_in


async def test_an_answer_that_leaves_a_change_out_concludes_nothing() -> None:
    rig = Rig()
    order = await resting(rig)

    async def odd(changes: object, *, timeout_s: float) -> list[BatchOutcome]:
        return []

    rig.venue.amend_batch = odd  # type: ignore[method-assign]  # the fake's own seam
    await move(rig, order)
    assert not tracked(rig, order).is_settled_in


@pytest.mark.parametrize("how", ["refused", "done", "unknown"])
async def test_a_restart_knows_the_prices_an_order_may_rest_at(how: str) -> None:
    rig = Rig()
    rig.journal.begin_run("0badcafe")
    order = await resting(rig)
    rig.venue.failures.append(rejected(110079) if how == "refused" else None)
    await move(rig, order)
    if how == "done":
        rig.engine.on_report(at(order, NEW, 5))
    heir = Rig(journal=rig.journal, run_id="00000002", venue=rig.venue, clock=rig.clock)
    (left,) = rig.journal.unsettled_intents()
    found = heir.engine._restored(left, [])
    assert (found.standing_price, found.price) == {
        "refused": (OLD, OLD),
        "done": (NEW, NEW),
        "unknown": (OLD, NEW),
    }[how]


async def test_a_restart_cancels_an_order_with_a_change_under_way() -> None:
    rig = Rig()
    rig.journal.begin_run("0badcafe")
    order = await lost(rig)
    rig.venue.open = []
    rig.venue.known[order.link_id] = report(order, OrderStatus.CANCELLED, Decimal(0))
    heir = Rig(journal=rig.journal, run_id="00000002", venue=rig.venue, clock=rig.clock)
    recovered = await heir.engine.recover()
    assert recovered.outcomes[TrackedStatus.CANCELLED] == 1
    assert heir.engine.live_orders == ()
