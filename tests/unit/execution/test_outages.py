"""What the engine does while the venue is silent, wrong or forgetful."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import Rig, fill, report, unavailable
from virtual_time import VirtualLoop, in_virtual_time

from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    OrderDenied,
    Outcome,
    VenueAuthError,
    VenueUnavailable,
)
from trading_system.domain.orders import OrderIntent, OrderReport, OrderStatus, OrderType, Side
from trading_system.execution.tracking import TrackedOrder, TrackedStatus
from trading_system.risk.limits import TradingState


def intent(rig: Rig, **changes: object) -> OrderIntent:
    plain = OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.1"),
        price=Decimal(50_000),
        link_id=rig.engine.next_link_id(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # test data


async def placed(rig: Rig, **changes: object) -> TrackedOrder:
    order = intent(rig, **changes)
    await rig.engine.submit(order, timeout_s=1)
    return of(rig, order)


def of(rig: Rig, order: OrderIntent) -> TrackedOrder:
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    return tracked


async def unknown(rig: Rig) -> TrackedOrder:
    rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
    order = intent(rig)
    with pytest.raises(VenueUnavailable):
        await rig.engine.submit(order, timeout_s=1)
    return of(rig, order)


def auth_error(code: int) -> VenueAuthError:
    return VenueAuthError(
        "no", venue="fake", operation="create", outcome=Outcome.REJECTED, code=code
    )


async def test_an_order_that_the_venue_forgot_is_over_once_its_history_cannot_lag() -> None:
    rig = Rig()
    order = await placed(rig)
    await rig.engine.look_up(order)
    assert order.absent_ns is None, "the request may still be on its way"
    rig.clock.advance(6.1)
    await rig.engine.look_up(order)
    rig.clock.advance(60)
    assert await rig.engine.look_up_silent() == 1
    assert order.status is TrackedStatus.OPEN
    rig.clock.advance(0.1)
    assert await rig.engine.look_up_silent() == 1
    assert order.status is TrackedStatus.CANCELLED
    assert order.reason == "the venue no longer knows it"
    assert rig.engine.live_orders == ()


async def test_an_order_that_filled_while_the_history_lags_is_not_sent_again() -> None:
    rig = Rig()
    order = await placed(rig)
    rig.clock.advance(20)
    await rig.engine.look_up(order)
    assert not order.settled.is_set()
    rig.venue.fills[order.intent.link_id] = [
        fill(order.intent, order.intent.quantity, Decimal(50_000))
    ]
    await rig.engine.look_up_silent()
    assert (order.status, order.booked_quantity) == (TrackedStatus.FILLED, order.intent.quantity)
    assert order.absent_ns is None


async def test_an_absence_that_ends_starts_anew() -> None:
    rig = Rig()
    order = await placed(rig)
    rig.clock.advance(7)
    await rig.engine.look_up(order)
    rig.venue.known[order.intent.link_id] = report(order.intent, OrderStatus.NEW, Decimal(0))
    rig.clock.advance(50)
    await rig.engine.look_up(order)
    rig.venue.known.clear()
    rig.clock.advance(50)
    await rig.engine.look_up(order)
    assert order.status is TrackedStatus.OPEN


async def test_an_order_that_owes_reported_fills_is_not_written_off() -> None:
    rig = Rig()
    order = await placed(rig)
    rig.engine.on_report(report(order.intent, OrderStatus.FILLED, order.intent.quantity))
    rig.clock.advance(6.1)
    await rig.engine.look_up(order)
    assert rig.engine.live_orders == (order,)
    assert order.open_quantity == order.intent.quantity


async def test_executions_prove_an_order_that_the_history_does_not_show_yet() -> None:
    rig = Rig()
    order = await unknown(rig)
    half = fill(order.intent, Decimal("0.05"), Decimal(50_000))
    rig.venue.fills[order.intent.link_id] = [half]
    rig.clock.advance(6.1)
    await rig.engine.look_up(order)
    assert order.status is TrackedStatus.UNKNOWN
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.05")


@pytest.mark.parametrize("failure", [unavailable(Outcome.UNKNOWN), CorruptDataError("page")])
async def test_a_look_up_that_fails_concludes_nothing(failure: Exception) -> None:
    rig = Rig()
    order = await unknown(rig)
    rig.clock.advance(100)

    async def fail(_link_id: str) -> OrderReport | None:
        raise failure

    rig.venue.find_order = fail  # type: ignore[method-assign]  # the fake's own seam
    await rig.engine.look_up(order)
    assert order.status is TrackedStatus.UNKNOWN


async def test_settling_outlives_failing_look_ups() -> None:
    rig = Rig()
    order = await placed(rig)
    find, attempts = rig.venue.find_order, []

    async def fail_once(link_id: str) -> OrderReport | None:
        attempts.append(link_id)
        if len(attempts) == 1:
            rig.clock.advance(1)
            raise unavailable(Outcome.UNKNOWN)
        return await find(link_id)

    rig.venue.find_order = fail_once  # type: ignore[method-assign]  # the fake's own seam
    rig.venue.known[order.intent.link_id] = report(order.intent, OrderStatus.CANCELLED, Decimal(0))
    await rig.engine.settle(order.intent.link_id, timeout_s=1.02)
    assert order.status is TrackedStatus.CANCELLED
    assert len(attempts) == 2


async def test_an_order_that_nothing_settles_stays_tracked_after_the_deadline() -> None:
    rig = Rig()
    order = await placed(rig)
    with pytest.raises(DeadlineExceeded):
        await rig.engine.settle(order.intent.link_id, timeout_s=0.0)
    assert rig.engine.live_orders == (order,)


async def test_a_submit_that_is_cancelled_leaves_an_order_of_unknown_outcome() -> None:
    rig = Rig()
    rig.venue.failures.append(asyncio.CancelledError())  # type: ignore[arg-type]  # as raised
    order = intent(rig)
    with pytest.raises(asyncio.CancelledError):
        await rig.engine.submit(order, timeout_s=1)
    assert of(rig, order).status is TrackedStatus.UNKNOWN


async def test_a_lost_answer_does_not_make_an_order_unknown_that_the_stream_showed() -> None:
    rig = Rig()
    order = intent(rig)

    async def report_then_hang(sent: OrderIntent, *, timeout_s: float) -> None:
        rig.engine.on_report(report(sent, OrderStatus.NEW, Decimal(0)))
        raise unavailable(Outcome.UNKNOWN)

    rig.venue.submit = report_then_hang  # type: ignore[assignment,method-assign]  # the fake's seam
    with pytest.raises(VenueUnavailable):
        await rig.engine.submit(order, timeout_s=timeout())
    assert of(rig, order).status is TrackedStatus.OPEN
    assert (await rig.engine.resolve(order.link_id)).status is TrackedStatus.OPEN


def test_a_look_up_that_never_succeeds_ends_at_its_deadline() -> None:
    async def work(loop: VirtualLoop) -> None:
        rig = Rig()
        order = await unknown(rig)

        async def fail(link_id: str) -> None:
            raise unavailable(Outcome.NOT_SENT)

        rig.venue.find_order = fail  # type: ignore[assignment,method-assign]  # the fake's own seam
        with pytest.raises(DeadlineExceeded, match=order.intent.link_id):
            await rig.engine.resolve(order.intent.link_id)
        assert loop.time() == 15
        assert rig.engine.live_orders == (order,)

    in_virtual_time(work)


def timeout() -> float:
    return 1.0


async def test_a_refused_key_halts_and_a_stale_stamp_does_not() -> None:
    rig = Rig()
    rig.venue.failures.extend([auth_error(10002), auth_error(10003)])
    with pytest.raises(VenueAuthError):
        await rig.engine.submit(intent(rig), timeout_s=1)
    assert rig.engine.state is TradingState.ACTIVE
    with pytest.raises(VenueAuthError):
        await rig.engine.submit(intent(rig), timeout_s=1)
    assert rig.engine.state is TradingState.HALTED
    with pytest.raises(OrderDenied, match="halted"):
        await rig.engine.submit(intent(rig), timeout_s=1)


async def test_the_part_of_a_position_that_this_run_opened_is_known() -> None:
    rig = Rig()
    order = await placed(rig)
    rig.engine.on_fill(fill(order.intent, Decimal("0.1"), Decimal(50_000)))
    foreign = replace(order.intent, link_id="manual", side=Side.SELL)
    rig.engine.on_fill(fill(foreign, Decimal("0.04"), Decimal(50_000)))
    assert rig.engine.own_quantity("BTCUSDT") == Decimal("0.1")
    rig.engine.on_fill(fill(foreign, Decimal("0.06"), Decimal(50_000), number=2))
    assert rig.engine.own_quantity("BTCUSDT") == 0
    assert (rig.engine.fills, rig.portfolio.fills) == (1, 3)


async def test_outcomes_are_counted_even_when_orders_are_forgotten() -> None:
    rig = Rig(rate=20_000)
    for _ in range(10_001):
        order = await placed(rig, quantity=Decimal("0.001"))
        rig.engine.on_report(report(order.intent, OrderStatus.CANCELLED, Decimal(0)))
    assert rig.engine.outcomes[TrackedStatus.CANCELLED] == 10_001
    assert rig.engine.order("ts-0badcafe-1") is None


async def test_open_orders_of_another_symbol_count_against_the_gross_limit_only() -> None:
    rig = Rig()
    await placed(rig)
    exposure = rig.engine._gate.exposure(intent(rig, symbol="ETHUSDT"))
    assert exposure.open_symbol_quantity == 0
    assert exposure.open_order_notional == Decimal(5_000)


async def test_a_late_fill_of_a_settled_order_is_booked_and_measured_once() -> None:
    rig = Rig()
    order = await placed(rig)
    rig.engine.on_report(report(order.intent, OrderStatus.CANCELLED, Decimal(0)))
    for number in (1, 2):
        rig.engine.on_fill(fill(order.intent, Decimal("0.02"), Decimal(50_000), number=number))
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.04")
    assert order.average_price == 50_000
    assert rig.engine.own_quantity("BTCUSDT") == Decimal("0.04")
