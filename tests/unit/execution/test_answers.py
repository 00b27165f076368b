"""Answers that never come, or that contradict the stream, leave no order without a judgement."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import Rig, fill, rejected, report, unavailable

from trading_system.domain.errors import CorruptDataError, InvariantViolated, Outcome
from trading_system.domain.orders import (
    OrderIntent,
    OrderStatus,
    OrderType,
    PriceChange,
    Side,
    TimeInForce,
)
from trading_system.execution.tracking import TrackedStatus
from trading_system.risk.limits import TradingState

SYMBOL = "BTCUSDT"


def quote(number: int, *, side: Side = Side.BUY) -> OrderIntent:
    return OrderIntent(
        symbol=SYMBOL,
        side=side,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=Decimal(50_000 - side.sign * (10 + number)),
        time_in_force=TimeInForce.POST_ONLY,
        link_id=f"ts-0badcafe-{number}",
    )


def status(rig: Rig, intent: OrderIntent) -> TrackedStatus:
    order = rig.engine.order(intent.link_id)
    assert order is not None
    return order.status


@pytest.mark.parametrize("failure", [CorruptDataError("half an answer"), asyncio.CancelledError()])
async def test_a_batch_whose_answer_makes_no_sense_is_unknown_and_looked_up(
    failure: Exception,
) -> None:
    rig = Rig()
    rig.venue.batch_failures.append(failure)
    with pytest.raises(type(failure)):
        await rig.engine.submit_batch([quote(1), quote(2)], timeout_s=1)
    assert rig.engine.unknown_orders == 2
    rig.clock.advance(60)
    assert await rig.engine.look_up_silent() == 2
    assert rig.engine.live_orders == ()


async def test_an_order_whose_answer_makes_no_sense_is_unknown() -> None:
    rig = Rig()
    rig.venue.failures.append(CorruptDataError("half an answer"))
    with pytest.raises(CorruptDataError):
        await rig.engine.submit(quote(1), timeout_s=1)
    assert status(rig, quote(1)) is TrackedStatus.UNKNOWN


async def test_an_answer_that_contradicts_the_stream_leaves_the_others_judged() -> None:
    rig, intents = Rig(), [quote(1), quote(2), quote(3)]
    begin = rig.venue.begin_batch

    def tell_first(items: object) -> None:
        rig.engine.on_report(report(intents[0], OrderStatus.NEW, Decimal(0)))
        begin(intents)

    rig.venue.begin_batch = tell_first  # type: ignore[method-assign]  # the fake's own seam
    rig.venue.failures.extend([rejected(110017), None, unavailable(Outcome.UNKNOWN)])
    with pytest.raises(InvariantViolated, match="REFUSED"):
        await rig.engine.submit_batch(intents, timeout_s=1)
    assert rig.engine.state is TradingState.HALTED
    assert [status(rig, one) for one in intents] == [
        TrackedStatus.OPEN,
        TrackedStatus.OPEN,
        TrackedStatus.UNKNOWN,
    ]


async def test_a_violation_in_one_look_up_does_not_keep_the_others_from_theirs() -> None:
    rig, intents = Rig(), [quote(1), quote(2)]
    await rig.engine.submit_batch(intents, timeout_s=1)
    rig.venue.known = {
        intents[0].link_id: report(intents[0], OrderStatus.FILLED, Decimal(9)),
        intents[1].link_id: report(intents[1], OrderStatus.CANCELLED, Decimal(0)),
    }
    rig.venue.failures.extend([rejected(110001), rejected(110001)])
    with pytest.raises(InvariantViolated, match="9 filled"):
        await rig.engine.cancel_batch([(SYMBOL, one.link_id) for one in intents], timeout_s=1)
    assert status(rig, intents[1]) is TrackedStatus.CANCELLED


@pytest.mark.parametrize(("side", "closest"), [(Side.BUY, 49_990), (Side.SELL, 50_010)])
async def test_while_a_price_is_in_doubt_a_quote_shows_the_one_nearest_to_the_other_side(
    side: Side, closest: int
) -> None:
    rig, intent = Rig(), quote(0, side=side)
    assert intent.price is not None
    await rig.engine.submit_batch([intent], timeout_s=1)
    rig.engine.on_report(report(intent, OrderStatus.NEW, Decimal(0)))
    further = intent.price - 50 * side.sign
    rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
    change = PriceChange(symbol=SYMBOL, link_id=intent.link_id, price=further)
    await rig.engine.amend_batch([change], timeout_s=1)
    (shown,) = rig.engine.resting(SYMBOL)
    assert (shown.price, shown.is_settled_in) == (closest, False)
    moved = replace(report(intent, OrderStatus.NEW, Decimal(0)), price=further, ts_exchange_ns=1)
    rig.engine.on_report(moved)
    assert [one.price for one in rig.engine.resting(SYMBOL)] == [further]


async def test_a_cancel_does_not_delay_the_look_up_of_a_final_order_that_owes_its_fill() -> None:
    rig, intent = Rig(), quote(1)
    await rig.engine.submit_batch([intent], timeout_s=1)
    rig.engine.on_report(report(intent, OrderStatus.FILLED, intent.quantity))
    rig.clock.advance(3)
    await rig.engine.cancel_batch([(SYMBOL, intent.link_id)], timeout_s=1)
    assert await rig.engine.look_up_silent() == 1


async def test_an_order_whose_last_report_was_lost_is_looked_up_once_all_of_it_is_booked() -> None:
    rig, intent = Rig(), quote(1)
    await rig.engine.submit_batch([intent], timeout_s=1)
    rig.engine.on_report(report(intent, OrderStatus.NEW, Decimal(0)))
    rig.clock.advance(3)
    assert await rig.engine.look_up_silent() == 0
    rig.engine.on_fill(fill(intent, intent.quantity, Decimal(49_989)))
    assert await rig.engine.look_up_silent() == 1
