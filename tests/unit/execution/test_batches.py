"""Several orders in one request: gated one by one, recorded at once, each with its own end."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation

import pytest
from engine_rig import Rig, fill, rejected, report, unavailable

from trading_system.domain.errors import OrderDenied, Outcome, VenueAuthError, VenueError
from trading_system.domain.orders import (
    BatchOutcome,
    OrderIntent,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from trading_system.execution.tracking import TrackedStatus
from trading_system.risk.limits import TradingState


def intent(rig: Rig, **changes: object) -> OrderIntent:
    plain = OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.1"),
        price=Decimal(50_000),
        time_in_force=TimeInForce.POST_ONLY,
        link_id=rig.engine.next_link_id(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # test data


def ladder(rig: Rig, count: int, quantity: str = "0.01") -> list[OrderIntent]:
    return [
        intent(rig, price=Decimal(50_000 - number), quantity=Decimal(quantity))
        for number in range(count)
    ]


def status(rig: Rig, link_id: str) -> TrackedStatus:
    order = rig.engine.order(link_id)
    assert order is not None
    return order.status


def deny_reasons(outcomes: Sequence[BatchOutcome]) -> list[str]:
    return [one.error.reason if isinstance(one.error, OrderDenied) else "" for one in outcomes]


async def test_a_batch_leaves_in_one_request_and_every_order_is_tracked() -> None:
    rig = Rig()
    orders = ladder(rig, 3)
    outcomes = await rig.engine.submit_batch(orders, timeout_s=1)
    assert [(one.link_id, one.error) for one in outcomes] == [(o.link_id, None) for o in orders]
    assert (rig.venue.batches, rig.engine.sent) == ([3], 3)
    assert [order.status for order in rig.engine.live_orders] == [TrackedStatus.OPEN] * 3
    assert rig.engine.live_orders[0].order_id == f"v-{orders[0].link_id}"


async def test_every_order_is_in_the_journal_before_the_first_byte_is_sent() -> None:
    rig = Rig()
    recorded: list[OrderIntent] = []
    begin = rig.venue.begin_batch

    def look(items: Sequence[object]) -> None:
        recorded.extend(found.intent for found in rig.journal.unsettled_intents())
        begin(items)

    rig.venue.begin_batch = look  # type: ignore[method-assign]  # the fake's own seam
    orders = ladder(rig, 3)
    await rig.engine.submit_batch(orders, timeout_s=1)
    assert recorded == orders
    assert rig.journal.verify() is None


async def test_orders_admitted_before_count_against_the_limits_of_those_after() -> None:
    rig = Rig()
    orders = [
        intent(rig, price=Decimal(50_000 - number), quantity=Decimal("0.19")) for number in range(5)
    ]
    outcomes = await rig.engine.submit_batch(orders, timeout_s=1)
    assert deny_reasons(outcomes) == ["", "", "", "", "position_notional"]
    assert len(rig.venue.sent) == 4
    assert rig.engine.order(orders[4].link_id) is None


async def test_a_refused_order_leaves_the_others_alone() -> None:
    rig = Rig()
    first = intent(rig)
    orders = [first, replace(first, link_id="twin"), intent(rig, side=Side.SELL)]
    orders += [intent(rig, price=Decimal(60_000)), replace(first, price=Decimal(49_000))]
    outcomes = await rig.engine.submit_batch(orders, timeout_s=1)
    assert deny_reasons(outcomes) == ["", "duplicate", "self_cross", "price_collar", "link_id"]
    assert [sent.link_id for sent in rig.venue.sent] == [first.link_id]


async def test_a_batch_of_refused_orders_sends_nothing() -> None:
    rig = Rig()
    rig.engine.holds.set("operator", TradingState.HALTED, "test")
    assert deny_reasons(await rig.engine.submit_batch(ladder(rig, 2), timeout_s=1)) == (
        ["halted", "halted"]
    )
    assert rig.venue.batches == []
    assert await rig.engine.submit_batch([], timeout_s=1) == []


async def test_more_than_ten_orders_leave_as_several_requests() -> None:
    rig = Rig(rate=100)
    outcomes = await rig.engine.submit_batch(ladder(rig, 12), timeout_s=1)
    assert rig.venue.batches == [10, 2]
    assert [one.error for one in outcomes] == [None] * 12


async def test_each_order_of_a_batch_ends_by_its_own_verdict() -> None:
    rig = Rig()
    orders = ladder(rig, 4)
    rig.venue.failures.extend([None, rejected(110007), unavailable(Outcome.UNKNOWN)])
    rig.venue.failures.append(rejected(110072))
    await rig.engine.submit_batch(orders, timeout_s=1)
    assert [status(rig, order.link_id) for order in orders] == [
        TrackedStatus.OPEN,
        TrackedStatus.REJECTED,
        TrackedStatus.UNKNOWN,
        TrackedStatus.UNKNOWN,
    ]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.UNKNOWN, TrackedStatus.UNKNOWN),
        (Outcome.NOT_SENT, TrackedStatus.REJECTED),
        (Outcome.REJECTED, TrackedStatus.REJECTED),
    ],
)
async def test_a_failed_request_says_the_same_of_all_its_orders(
    outcome: Outcome, expected: TrackedStatus
) -> None:
    rig = Rig()
    orders = ladder(rig, 2)
    rig.venue.batch_failures.append(unavailable(outcome))
    outcomes = await rig.engine.submit_batch(orders, timeout_s=1)
    assert [status(rig, order.link_id) for order in orders] == [expected] * 2
    assert all(isinstance(one.error, VenueError) for one in outcomes)


async def test_unknown_orders_of_a_batch_are_looked_up_and_never_sent_again() -> None:
    rig = Rig()
    orders = ladder(rig, 2)
    rig.venue.batch_failures.append(unavailable(Outcome.UNKNOWN))
    await rig.engine.submit_batch(orders, timeout_s=1)
    rig.venue.known[orders[0].link_id] = report(orders[0], OrderStatus.NEW, Decimal(0))
    rig.clock.advance(7)
    assert await rig.engine.look_up_silent() == 2
    assert [status(rig, order.link_id) for order in orders] == [
        TrackedStatus.OPEN,
        TrackedStatus.REJECTED,
    ]
    assert (await rig.engine.look_up_silent(), len(rig.venue.sent)) == (0, 2)


async def test_a_cancelled_wait_leaves_every_order_unknown() -> None:
    rig = Rig()
    orders = ladder(rig, 2)
    rig.venue.batch_failures.append(asyncio.CancelledError())  # type: ignore[arg-type]  # cut off
    with pytest.raises(asyncio.CancelledError):
        await rig.engine.submit_batch(orders, timeout_s=1)
    assert rig.engine.unknown_orders == 2


async def test_an_answer_that_leaves_orders_out_makes_them_unknown() -> None:
    rig = Rig()
    orders = ladder(rig, 2)

    async def odd(intents: Sequence[OrderIntent], *, timeout_s: float) -> list[BatchOutcome]:
        return [BatchOutcome(link_id=intents[0].link_id, error=OrderDenied("odd", "not a venue's"))]

    rig.venue.submit_batch = odd  # type: ignore[method-assign]  # the fake's own seam
    await rig.engine.submit_batch(orders, timeout_s=1)
    assert rig.engine.unknown_orders == 2


async def test_a_refused_key_in_a_batch_halts() -> None:
    rig = Rig()
    rig.venue.failures.append(
        VenueAuthError("no", venue="fake", operation="x", outcome=Outcome.REJECTED, code=10003)
    )
    await rig.engine.submit_batch(ladder(rig, 1), timeout_s=1)
    assert rig.engine.state is TradingState.HALTED


async def test_without_a_journal_no_order_of_a_batch_leaves_or_counts() -> None:
    rig = Rig()
    rig.journal._connection.execute("PRAGMA query_only = 1")
    orders = [*ladder(rig, 2), intent(rig, price=Decimal(60_000))]
    outcomes = await rig.engine.submit_batch(orders, timeout_s=1)
    assert deny_reasons(outcomes) == ["journal", "journal", "price_collar"]
    assert (rig.venue.sent, rig.engine.live_orders, rig.engine.denied["journal"]) == ([], (), 2)
    assert rig.engine._ledger.open_notional == rig.engine._ledger.open_quantity("BTCUSDT") == 0


async def test_what_cannot_be_judged_leaves_no_trace_of_the_others() -> None:
    rig = Rig()
    orders = [*ladder(rig, 1), intent(rig, quantity=Decimal("1E+40"))]
    with pytest.raises(InvalidOperation):
        await rig.engine.submit_batch(orders, timeout_s=1)
    assert (rig.venue.sent, rig.engine.live_orders, rig.journal.rows) == ([], (), 0)


async def test_a_batch_of_cancels_passes_while_halted_and_the_stream_ends_them() -> None:
    rig = Rig()
    orders = ladder(rig, 2)
    await rig.engine.submit_batch(orders, timeout_s=1)
    rig.engine.holds.set("operator", TradingState.HALTED, "test")
    wanted = [("BTCUSDT", order.link_id) for order in orders] + [("BTCUSDT", "foreign")]
    outcomes = await rig.engine.cancel_batch(wanted, timeout_s=1)
    assert [one.error for one in outcomes] == [None] * 3
    assert {order.status for order in rig.engine.live_orders} == {TrackedStatus.PENDING_CANCEL}
    for order in orders:
        rig.engine.on_report(report(order, OrderStatus.CANCELLED, Decimal(0)))
    assert rig.engine.live_orders == ()


async def test_a_failed_cancel_of_a_batch_leaves_the_order_at_work() -> None:
    rig = Rig()
    orders = ladder(rig, 2)
    await rig.engine.submit_batch(orders, timeout_s=1)
    rig.venue.failures.extend([rejected(110079), unavailable(Outcome.UNKNOWN)])
    wanted = [("BTCUSDT", order.link_id) for order in orders]
    await rig.engine.cancel_batch(wanted, timeout_s=1)
    assert [status(rig, order.link_id) for order in orders] == [
        TrackedStatus.OPEN,
        TrackedStatus.PENDING_CANCEL,
    ]
    rig.venue.batch_failures.append(unavailable(Outcome.NOT_SENT))
    await rig.engine.cancel_batch(wanted, timeout_s=1)
    assert [status(rig, order.link_id) for order in orders] == [TrackedStatus.OPEN] * 2


async def test_a_cancel_of_an_order_that_is_gone_finds_out_how_it_ended() -> None:
    rig = Rig()
    orders = ladder(rig, 2)
    await rig.engine.submit_batch(orders, timeout_s=1)
    gone = orders[0]
    rig.venue.known[gone.link_id] = report(gone, OrderStatus.FILLED, gone.quantity)
    rig.venue.fills[gone.link_id] = [fill(gone, gone.quantity, Decimal(50_000))]
    rig.venue.failures.extend([rejected(110001), rejected(110001)])
    wanted = [("BTCUSDT", gone.link_id), ("BTCUSDT", "foreign")]
    await rig.engine.cancel_batch(wanted, timeout_s=1)
    assert status(rig, gone.link_id) is TrackedStatus.FILLED
    assert rig.portfolio.position("BTCUSDT").quantity == gone.quantity
    rig.venue.failures.append(rejected(110001))
    await rig.engine.cancel_batch(wanted[:1], timeout_s=1)
    assert rig.venue.lookups == 1  # what has ended needs no look-up


async def test_a_look_up_that_hangs_does_not_hold_up_the_batch() -> None:
    rig = Rig()
    orders = ladder(rig, 1)
    await rig.engine.submit_batch(orders, timeout_s=1)

    async def hang(link_id: str) -> None:
        await asyncio.Event().wait()

    rig.venue.find_order = hang  # type: ignore[assignment]  # the fake's own seam
    rig.venue.failures.append(rejected(110001))
    outcomes = await rig.engine.cancel_batch([("BTCUSDT", orders[0].link_id)], timeout_s=0)
    assert isinstance(outcomes[0].error, VenueError)
    assert status(rig, orders[0].link_id) is TrackedStatus.OPEN


async def test_resting_shows_what_may_be_in_the_book_and_what_is_confirmed() -> None:
    rig = Rig(rate=100)
    orders = ladder(rig, 4)
    rig.venue.failures.extend([None, unavailable(Outcome.UNKNOWN)])
    await rig.engine.submit_batch(orders, timeout_s=1)
    await rig.engine.submit_batch(
        [
            intent(rig, quantity=Decimal("0.02"), time_in_force=TimeInForce.IOC),
            intent(rig, order_type=OrderType.MARKET, price=None, quantity=Decimal("0.03")),
        ],
        timeout_s=1,
    )
    await rig.engine.cancel_batch([("BTCUSDT", orders[2].link_id)], timeout_s=1)
    rig.engine.on_report(report(orders[3], OrderStatus.FILLED, orders[3].quantity))
    found = rig.engine.resting("BTCUSDT")
    assert [(one.link_id, one.is_settled_in) for one in found] == [
        (orders[0].link_id, True),
        (orders[1].link_id, False),
        (orders[2].link_id, False),
        (orders[3].link_id, False),
    ]
    assert found[3].open_quantity == orders[3].quantity  # reported as filled, not booked yet
    rig.engine.on_fill(fill(orders[3], orders[3].quantity, Decimal(49_997)))
    assert rig.engine.resting("BTCUSDT") == found[:3]
    assert (found[0].price, found[0].open_quantity) == (orders[0].price, orders[0].quantity)
    assert rig.engine.resting("ETHUSDT") == ()


async def test_every_booked_fill_is_told_once_own_or_not() -> None:
    rig = Rig()
    (own,) = ladder(rig, 1)
    await rig.engine.submit_batch([own], timeout_s=1)
    mine = fill(own, own.quantity, Decimal(50_000))
    foreign = replace(mine, exec_id="other", link_id="other")
    for one in (mine, foreign, mine):
        rig.engine.on_fill(one)
    assert rig.booked == [mine, foreign]
    for _ in range(2):
        rig.engine.on_funding("BTCUSDT", Decimal(-1), "f-1")
    assert rig.funded == [("BTCUSDT", Decimal(-1))]


async def test_an_order_that_outlived_its_lost_cancel_is_at_work_again() -> None:
    rig = Rig()
    (order,) = ladder(rig, 1)
    await rig.engine.submit_batch([order], timeout_s=1)
    rig.clock.advance(60)
    rig.venue.batch_failures.append(unavailable(Outcome.UNKNOWN))
    await rig.engine.cancel_batch([("BTCUSDT", order.link_id)], timeout_s=1)
    rig.venue.known[order.link_id] = report(order, OrderStatus.NEW, Decimal(0))
    for later_s, expected in ((5, TrackedStatus.PENDING_CANCEL), (2, TrackedStatus.OPEN)):
        rig.clock.advance(later_s)
        await rig.engine.look_up_silent()
        assert status(rig, order.link_id) is expected


async def test_an_order_that_was_just_asked_about_is_not_looked_up_yet() -> None:
    rig = Rig()
    (order,) = ladder(rig, 1)
    await rig.engine.submit_batch([order], timeout_s=1)
    await rig.engine.cancel_batch([("BTCUSDT", order.link_id)], timeout_s=1)
    assert await rig.engine.look_up_silent() == 0
