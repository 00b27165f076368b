"""A restart: what earlier runs left open is concluded before the first new order."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from engine_rig import Rig, fill, rejected, report, unavailable
from virtual_time import VirtualLoop, in_virtual_time

from trading_system.domain.errors import (
    DeadlineExceeded,
    OrderDenied,
    Outcome,
    ValidationError,
    VenueAuthError,
)
from trading_system.domain.orders import (
    BatchOutcome,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderType,
    Side,
)
from trading_system.execution.tracking import TrackedStatus
from trading_system.risk.limits import TradingState
from trading_system.risk.losses import LossState

LOSS = LossState(utc_day=1, day_start_equity=Decimal(5), peak_equity=Decimal(9))


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


async def crashed(*, after_ack: bool = False) -> tuple[Rig, OrderIntent]:
    """Return a run that died with one order at work."""
    rig = Rig()
    rig.journal.begin_run("0badcafe")
    order = intent(rig)
    if after_ack:
        await rig.engine.submit(order, timeout_s=1)
    else:
        rig.journal.write_intent(order)
    return rig, order


def restarted(rig: Rig, run_id: str = "00000002") -> Rig:
    return Rig(journal=rig.journal, run_id=run_id, venue=rig.venue, clock=rig.clock)


async def test_no_order_passes_before_recovery() -> None:
    rig = restarted((await crashed())[0])
    assert rig.engine.state is TradingState.HALTED
    with pytest.raises(OrderDenied, match="halted"):
        await rig.engine.submit(intent(rig), timeout_s=1)


async def test_an_order_that_never_left_is_concluded_after_its_request_has_died() -> None:
    before, order = await crashed()
    before.clock.advance(6.1)
    rig = restarted(before)
    found = await rig.engine.recover()
    assert found.outcomes[TrackedStatus.REJECTED] == 1
    assert rig.journal.unsettled_intents() == []
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    assert tracked.reason == "never reached the venue"
    await rig.engine.submit(intent(rig), timeout_s=1)
    assert [i.link_id for i in rig.venue.sent] == ["ts-00000002-1"]


async def test_a_request_that_may_still_arrive_keeps_the_gate_closed() -> None:
    rig = restarted((await crashed())[0])
    with pytest.raises(DeadlineExceeded, match="ts-0badcafe-1"):
        await rig.engine.recover(deadline_s=0.02)
    assert rig.engine.state is TradingState.HALTED
    rig.clock.advance(6.1)
    assert (await rig.engine.recover()).outcomes[TrackedStatus.REJECTED] == 1
    assert rig.engine.state is TradingState.ACTIVE


async def test_an_order_filled_meanwhile_is_recorded_once_and_left_to_the_adoption() -> None:
    before, order = await crashed()
    half = fill(order, Decimal("0.04"), Decimal(50_000))
    before.venue.fills[order.link_id] = [half, half]
    before.venue.known[order.link_id] = report(order, OrderStatus.CANCELLED, Decimal("0.04"))
    rig = restarted(before)
    found = await rig.engine.recover()
    assert (found.fills, found.outcomes[TrackedStatus.CANCELLED]) == (1, 1)
    assert rig.journal.fills() == [half]
    assert rig.portfolio.position("BTCUSDT").quantity == 0
    rig.portfolio.adopt("BTCUSDT", Decimal("0.04"), Decimal(50_000))
    rig.engine.on_fill(half)
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.04")


async def test_a_fill_that_was_recorded_before_the_crash_is_not_recorded_again() -> None:
    before, order = await crashed(after_ack=True)
    half = fill(order, Decimal("0.04"), Decimal(50_000))
    before.engine.on_fill(half)
    before.venue.fills[order.link_id] = [half]
    before.venue.known[order.link_id] = report(order, OrderStatus.CANCELLED, Decimal("0.04"))
    rig = restarted(before)
    assert (await rig.engine.recover()).fills == 0
    assert rig.journal.fills() == [half]


async def test_an_order_that_a_fresh_venue_does_not_know_any_more_is_over() -> None:
    before, order = await crashed(after_ack=True)
    before.engine.on_fill(fill(order, Decimal("0.04"), Decimal(50_000)))
    before.clock.advance(6.1)
    rig = restarted(before)
    found = await rig.engine.recover()
    assert found.outcomes[TrackedStatus.CANCELLED] == 1


async def test_resting_orders_of_the_project_are_cancelled_and_others_left_alone() -> None:
    before, order = await crashed(after_ack=True)
    foreign = replace(order, link_id="manual")
    stop = replace(report(order, OrderStatus.NEW, Decimal(0)), is_protective=True)
    before.venue.open = [
        report(order, OrderStatus.NEW, Decimal(0)),
        report(foreign, OrderStatus.NEW, Decimal(0)),
        stop,
    ]
    rig = restarted(before)
    cancel = rig.venue.cancel

    async def cancel_once(
        orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        for symbol, link_id in orders:
            await cancel(symbol, link_id, timeout_s=timeout_s)
        del rig.venue.open[0]
        return [BatchOutcome(link_id=link_id) for _, link_id in orders]

    rig.venue.cancel_batch = cancel_once  # type: ignore[method-assign]  # the fake's own seam
    assert (await rig.engine.recover()).cancelled == 1
    assert rig.venue.cancelled == [order.link_id]


async def test_a_resting_order_that_ends_by_itself_and_an_outage_only_cost_a_round() -> None:
    before, order = await crashed(after_ack=True)
    rig = restarted(before)
    answers: list[object] = [
        unavailable(Outcome.UNKNOWN),
        [report(order, OrderStatus.NEW, Decimal(0))],
        [],
    ]

    async def open_orders() -> list[OrderReport]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]  # test data

    async def refuse(orders: Sequence[tuple[str, str]], *, timeout_s: float) -> list[BatchOutcome]:
        rig.venue.known[order.link_id] = report(order, OrderStatus.CANCELLED, Decimal(0))
        return [BatchOutcome(link_id=link_id, error=rejected(110001)) for _, link_id in orders]

    rig.venue.open_orders = open_orders  # type: ignore[method-assign]  # the fake's own seam
    rig.venue.cancel_batch = refuse  # type: ignore[method-assign]  # the fake's own seam
    found = await rig.engine.recover()
    assert found.outcomes[TrackedStatus.CANCELLED] == 1
    assert answers == []


async def test_a_refused_key_ends_the_recovery_at_once() -> None:
    rig = restarted((await crashed())[0])

    async def open_orders() -> list[OrderReport]:
        raise VenueAuthError("no", venue="fake", operation="read", outcome=Outcome.REJECTED)

    rig.venue.open_orders = open_orders  # type: ignore[method-assign]  # the fake's own seam
    with pytest.raises(VenueAuthError):
        await rig.engine.recover()


async def test_a_key_that_may_not_cancel_ends_the_recovery_at_once() -> None:
    before, order = await crashed(after_ack=True)
    before.venue.open = [report(order, OrderStatus.NEW, Decimal(0))]
    refusal = VenueAuthError("no", venue="fake", operation="cancel", outcome=Outcome.REJECTED)
    before.venue.failures.append(refusal)
    with pytest.raises(VenueAuthError):
        await restarted(before).engine.recover()


def test_many_leftovers_are_cancelled_ten_per_second() -> None:
    asked: list[tuple[float, int]] = []

    async def scenario(loop: VirtualLoop) -> None:
        before, order = await crashed(after_ack=True)
        left = [replace(order, link_id=f"ts-0badcafe-{number}") for number in range(2, 27)]
        before.venue.open = [report(one, OrderStatus.NEW, Decimal(0)) for one in left]
        before.clock.advance(6.1)
        rig = restarted(before)

        async def cancel(
            orders: Sequence[tuple[str, str]], *, timeout_s: float
        ) -> list[BatchOutcome]:
            asked.append((loop.time(), len(orders)))
            links = {link_id for _, link_id in orders}
            rig.venue.open = [one for one in rig.venue.open if one.link_id not in links]
            return [BatchOutcome(link_id=link_id) for link_id in links]

        rig.venue.cancel_batch = cancel  # type: ignore[method-assign]  # the fake's own seam
        assert (await rig.engine.recover()).cancelled == 25

    in_virtual_time(scenario)
    assert [count for _, count in asked] == [10, 10, 5]
    assert all(later[0] - sooner[0] >= 1.1 for sooner, later in pairwise(asked))
    assert asked[-1][0] < 6.0


async def test_a_run_id_that_was_used_before_is_refused() -> None:
    before, _ = await crashed()
    with pytest.raises(ValidationError, match="0badcafe"):
        await restarted(before, "0badcafe").engine.recover()


async def test_a_latched_hold_survives_until_it_is_released() -> None:
    before = Rig()
    before.engine.latch("operator", TradingState.HALTED, "kill: test")
    before.journal.note_limits(LOSS)
    rig = restarted(before)
    assert (await rig.engine.recover()).latched == ("operator",)
    assert rig.engine.holds.reasons == {"operator": "kill: test"}
    assert rig.losses.state == LOSS
    assert rig.engine.release("operator", reason="all clear")
    assert not rig.engine.release("operator", reason="twice")
    third = restarted(rig, "00000003")
    assert (await third.engine.recover()).latched == ()
    assert third.engine.state is TradingState.ACTIVE


async def test_what_still_rests_at_the_deadline_is_said() -> None:
    rig = restarted(Rig())
    order = intent(rig, link_id="ts-0badcafe-7")
    rig.venue.sent.append(order)
    rig.venue.open = [report(order, OrderStatus.NEW, Decimal(0))]
    with pytest.raises(DeadlineExceeded, match="some still rest"):
        await rig.engine.recover(deadline_s=0.02)


async def test_executions_alone_prove_a_filled_order() -> None:
    before, order = await crashed()
    before.venue.fills[order.link_id] = [fill(order, order.quantity, Decimal(50_000))]
    before.clock.advance(6.1)
    rig = restarted(before)
    found = await rig.engine.recover()
    assert (found.fills, found.outcomes[TrackedStatus.FILLED]) == (1, 1)


async def test_an_old_order_of_which_only_some_fills_are_left_is_over() -> None:
    before, order = await crashed()
    before.venue.fills[order.link_id] = [fill(order, Decimal("0.01"), Decimal(50_000))]
    before.clock.advance(61)
    found = await restarted(before).engine.recover()
    assert found.outcomes[TrackedStatus.CANCELLED] == 1


async def test_what_earlier_runs_booked_is_never_booked_again() -> None:
    before, order = await crashed(after_ack=True)
    one = fill(order, order.quantity, Decimal(50_000))
    before.engine.on_fill(one)
    before.engine.on_report(report(order, OrderStatus.FILLED, order.quantity))
    before.engine.on_funding("BTCUSDT", Decimal(-1), "f-1")
    rig = restarted(before)
    await rig.engine.recover()
    rig.engine.on_fill(one)
    rig.engine.on_funding("BTCUSDT", Decimal(-1), "f-1")
    assert rig.portfolio.position("BTCUSDT").quantity == 0
    assert rig.portfolio.funding == 0


async def test_a_lost_answer_is_no_confirmation() -> None:
    rig = Rig()
    rig.journal.begin_run("0badcafe")
    rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
    with pytest.raises(ConnectionError):
        await rig.engine.submit(intent(rig), timeout_s=1)
    rig.clock.advance(6.1)
    found = await restarted(rig).engine.recover()
    assert found.outcomes[TrackedStatus.REJECTED] == 1
