"""Journal before send, loss limits, protective stops and alarms of the engine."""

from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import Rig, fill, rejected, report, unavailable

from trading_system.domain.errors import (
    InvariantViolated,
    OffGridError,
    OrderDenied,
    Outcome,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.orders import OrderAck, OrderIntent, OrderStatus, OrderType, Side
from trading_system.execution.tracking import TrackedStatus
from trading_system.execution.transitions import OrderEvent
from trading_system.risk.limits import MarketView, TradingState
from trading_system.risk.losses import LossLimit


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


def break_journal(rig: Rig, *, is_broken: bool = True) -> None:
    rig.journal._connection.execute(f"PRAGMA query_only = {is_broken:d}")


async def test_the_intent_is_in_the_journal_before_the_first_byte_is_sent() -> None:
    rig = Rig()
    recorded = []

    async def submit(sent: OrderIntent, *, timeout_s: float) -> OrderAck:
        recorded.extend(found.intent for found in rig.journal.unsettled_intents())
        return OrderAck(order_id="v", link_id=sent.link_id)

    rig.venue.submit = submit  # type: ignore[method-assign]  # the fake's own seam
    order = intent(rig, order_type=OrderType.MARKET, price=None)
    await rig.engine.submit(order, timeout_s=1)
    (found,) = recorded
    assert (found.link_id, found.price) == (order.link_id, Decimal(50_250))


async def test_the_whole_life_of_an_order_is_in_the_journal() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    await rig.engine.cancel("BTCUSDT", order.link_id, timeout_s=1)
    events = [change.event for change in rig.journal.changes(order.link_id)]
    assert events == [
        OrderEvent.ACKNOWLEDGED,
        OrderEvent.CANCEL_SENT,
        OrderEvent.REPORTED_CANCELLED,
    ]
    assert rig.journal.unsettled_intents() == []


async def test_without_a_journal_no_order_leaves_but_cancels_do() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    break_journal(rig)
    with pytest.raises(OrderDenied, match="journal"):
        await rig.engine.submit(intent(rig, quantity=Decimal("0.01")), timeout_s=1)
    assert rig.engine.state is TradingState.HALTED
    await rig.engine.cancel("BTCUSDT", order.link_id, timeout_s=1)
    assert (len(rig.venue.sent), rig.venue.cancelled) == (1, [order.link_id])


async def test_a_journal_that_works_again_lets_orders_pass_and_has_lost_nothing() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    break_journal(rig)
    rig.engine.on_fill(fill(order, order.quantity, Decimal(50_000)))
    assert not rig.engine.check_journal()
    assert rig.engine.state is TradingState.HALTED
    break_journal(rig, is_broken=False)
    assert rig.engine.check_journal()
    assert rig.engine.state is TradingState.ACTIVE
    assert len(rig.journal.fills()) == 1


async def test_a_daily_loss_leaves_only_exits_and_survives_a_restart() -> None:
    rig = Rig()
    rig.portfolio.adopt("BTCUSDT", Decimal(1), Decimal(50_000))
    assert rig.engine.check_losses() is None
    rig.portfolio.mark("BTCUSDT", Decimal(50_000))
    assert rig.engine.check_losses() is None
    rig.portfolio.mark("BTCUSDT", Decimal(47_000))
    for _ in range(2):
        breach = rig.engine.check_losses()
        assert breach is not None
        assert breach.limit is LossLimit.DAILY_LOSS
    with pytest.raises(OrderDenied, match="reducing"):
        await rig.engine.submit(intent(rig), timeout_s=1)
    await rig.engine.submit(intent(rig, side=Side.SELL, reduce_only=True), timeout_s=1)
    after = Rig(journal=rig.journal, run_id="00000002")
    after.venue.known = {
        o.link_id: report(o, OrderStatus.CANCELLED, Decimal(0)) for o in rig.venue.sent
    }
    assert (await after.engine.recover()).latched == ("loss-limit",)
    assert after.engine.state is TradingState.REDUCING


async def test_a_reset_of_the_loss_limit_begins_from_the_newest_equity() -> None:
    rig = Rig()
    rig.engine.check_losses()
    rig.portfolio.book_funding("BTCUSDT", Decimal(-3_000), "f-1")
    assert rig.engine.check_losses() is not None
    assert rig.engine.release("loss-limit", reason="looked at")
    assert rig.engine.check_losses() is None
    assert rig.engine.state is TradingState.ACTIVE
    assert rig.journal.latches() == {}


async def test_a_new_peak_is_recorded_once_a_minute() -> None:
    rig = Rig()
    rig.engine.check_losses()
    for number in range(3):
        rig.portfolio.book_funding("BTCUSDT", Decimal(1), f"f-{number}")
        rig.engine.check_losses()
    first = rig.journal.limits()
    rig.clock.advance(60)
    rig.engine.check_losses()
    second = rig.journal.limits()
    assert first is not None
    assert second is not None
    assert (first.peak_equity, second.peak_equity) == (100_000, 100_003)


async def test_a_protective_stop_passes_in_every_state() -> None:
    rig = Rig()
    rig.engine.holds.set("operator", TradingState.HALTED, "test")
    await rig.engine.protect("BTCUSDT", Decimal("49000.5"), timeout_s=1)
    await rig.engine.protect("BTCUSDT", None, timeout_s=1)
    assert rig.venue.stops == [("BTCUSDT", Decimal("49000.5")), ("BTCUSDT", None)]


@pytest.mark.parametrize(
    ("symbol", "price", "error"),
    [
        ("DOGEUSDT", "1", OrderDenied),
        ("BTCUSDT", "0", OrderDenied),
        ("BTCUSDT", "49000.05", OffGridError),
        ("BTCUSDT", "NaN", OffGridError),
    ],
)
async def test_a_stop_that_makes_no_sense_is_not_sent(
    symbol: str, price: str, error: type[Exception]
) -> None:
    rig = Rig()
    with pytest.raises(error):
        await rig.engine.protect(symbol, Decimal(price), timeout_s=1)
    assert rig.venue.stops == []


async def test_a_refused_cancel_concludes_nothing() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)

    async def refuse(_symbol: str, _link_id: str, *, timeout_s: float) -> None:
        raise rejected(110001)

    rig.venue.cancel = refuse  # type: ignore[method-assign]  # the fake's own seam
    with pytest.raises(VenueRejected):
        await rig.engine.cancel("BTCUSDT", order.link_id, timeout_s=1)
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    assert tracked.status is TrackedStatus.OPEN
    with pytest.raises(VenueRejected):
        await rig.engine.cancel("BTCUSDT", "somebody-else", timeout_s=1)


async def test_a_cancel_without_an_answer_stays_pending() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)

    async def vanish(_symbol: str, _link_id: str, *, timeout_s: float) -> None:
        raise unavailable(Outcome.UNKNOWN)

    rig.venue.cancel = vanish  # type: ignore[method-assign]  # the fake's own seam
    with pytest.raises(VenueUnavailable):
        await rig.engine.cancel("BTCUSDT", order.link_id, timeout_s=1)
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    assert tracked.status is TrackedStatus.PENDING_CANCEL
    assert tracked.open_quantity == order.quantity


async def test_funding_is_booked_and_recorded_once() -> None:
    rig = Rig()
    for _ in range(2):
        rig.engine.on_funding("BTCUSDT", Decimal("-1.25"), "f-1")
    assert rig.portfolio.cash == Decimal("99998.75")
    assert [f.amount for f in rig.journal.fundings()] == [Decimal("-1.25")]


async def test_an_identical_order_is_refused_while_the_first_is_unsettled() -> None:
    rig = Rig()
    await rig.engine.submit(intent(rig), timeout_s=1)
    with pytest.raises(OrderDenied, match="duplicate"):
        await rig.engine.submit(intent(rig), timeout_s=1)
    await rig.engine.submit(intent(rig, price=Decimal("49999.9")), timeout_s=1)
    rig.clock.advance(1.1)
    await rig.engine.submit(intent(rig), timeout_s=1)
    assert len(rig.venue.sent) == 3


async def test_an_own_order_on_the_other_side_is_not_traded_with() -> None:
    rig = Rig()
    for price in (50_010, 50_005, 50_020):
        await rig.engine.submit(
            intent(rig, side=Side.SELL, price=Decimal(price), quantity=Decimal("0.01")), timeout_s=1
        )
    with pytest.raises(OrderDenied, match="own order at 50005"):
        await rig.engine.submit(intent(rig, price=Decimal(50_005)), timeout_s=1)
    await rig.engine.submit(intent(rig, price=Decimal(50_004)), timeout_s=1)


async def test_a_clock_too_far_off_sends_nothing() -> None:
    rig = Rig()
    rig.clock_offset_ms = 600.0
    with pytest.raises(OrderDenied, match="clock_offset"):
        await rig.engine.submit(intent(rig), timeout_s=1)


async def test_a_violation_halts_trading_and_is_raised() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    with pytest.raises(InvariantViolated):
        rig.engine.on_fill(fill(order, Decimal(1), Decimal(50_000)))
    assert rig.engine.state is TradingState.HALTED
    assert rig.portfolio.position("BTCUSDT").quantity == 1
    assert len(rig.journal.fills()) == 1


async def test_an_impossible_fill_halts_trading_and_is_not_booked() -> None:
    rig = Rig()
    order = intent(rig)
    with pytest.raises(InvariantViolated):
        rig.engine.on_fill(fill(order, Decimal(1), Decimal(0)))
    assert "invariant" in rig.engine.holds.reasons
    assert rig.journal.fills() == []


async def test_a_refusal_of_an_order_that_the_stream_showed_is_an_alarm() -> None:
    rig = Rig()

    async def contradict(sent: OrderIntent, *, timeout_s: float) -> OrderAck:
        rig.engine.on_report(report(sent, OrderStatus.NEW, Decimal(0)))
        raise rejected(110007)

    rig.venue.submit = contradict  # type: ignore[method-assign]  # the fake's own seam
    with pytest.raises(InvariantViolated, match="REFUSED is illegal in status OPEN"):
        await rig.engine.submit(intent(rig), timeout_s=1)
    assert rig.engine.state is TradingState.HALTED


async def test_an_execution_that_comes_back_changed_leaves_the_first_in_force() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    rig.engine.on_fill(fill(order, Decimal("0.04"), Decimal(50_000)))
    rig.engine.on_fill(fill(order, Decimal("0.05"), Decimal(50_000)))
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.04")
    assert rig.portfolio.conflicting_fills == 1


async def test_late_fills_are_booked_and_counted() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    rig.engine.on_report(report(order, OrderStatus.CANCELLED, Decimal(0)))
    rig.engine.on_fill(fill(order, Decimal("0.04"), Decimal(50_000)))
    assert (rig.engine.late_fills, rig.portfolio.position("BTCUSDT").quantity) == (
        1,
        Decimal("0.04"),
    )


async def test_losses_are_judged_beside_a_position_that_nobody_here_can_value() -> None:
    rig = Rig()
    rig.portfolio.adopt("ETHUSDT", Decimal(1), Decimal(2_000))
    rig.portfolio.adopt("BTCUSDT", Decimal(1), Decimal(50_000))
    rig.engine.check_losses()
    assert rig.losses.state is None
    rig.portfolio.mark("BTCUSDT", Decimal(50_000))
    assert rig.engine.check_losses() is None
    rig.portfolio.mark("BTCUSDT", Decimal(10_000))
    assert rig.engine.check_losses() is not None
    assert rig.engine.state is TradingState.REDUCING


async def test_a_forgotten_order_that_was_being_cancelled_is_over() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    tracked.apply(OrderEvent.CANCEL_SENT)
    for seconds in (6.1, 60.1):
        rig.clock.advance(seconds)
        await rig.engine.look_up(tracked)
    assert tracked.status is TrackedStatus.CANCELLED


async def test_exits_of_a_market_without_a_view_are_still_refused_by_the_gate() -> None:
    rig = Rig()
    rig.view = MarketView(mid=None, age_s=None)
    rig.portfolio.adopt("BTCUSDT", Decimal(1), Decimal(50_000))
    with pytest.raises(OrderDenied, match="stale_book"):
        await rig.engine.submit(intent(rig, side=Side.SELL, reduce_only=True), timeout_s=1)


async def test_a_part_of_an_adopted_position_is_taken_over() -> None:
    rig = Rig()
    rig.portfolio.adopt("BTCUSDT", Decimal("-0.4"), Decimal(50_000))
    rig.engine.take_over("BTCUSDT", Decimal("-0.3"))
    assert rig.engine.own_quantity("BTCUSDT") == Decimal("-0.3")


@pytest.mark.parametrize("quantity", ["-0.5", "0.1"])
async def test_more_than_there_is_cannot_be_taken_over(quantity: str) -> None:
    rig = Rig()
    rig.portfolio.adopt("BTCUSDT", Decimal("-0.4"), Decimal(50_000))
    with pytest.raises(InvariantViolated, match="take over"):
        rig.engine.take_over("BTCUSDT", Decimal(quantity))


async def test_references_that_were_reset_are_recorded_at_once() -> None:
    rig = Rig()
    rig.engine.check_losses()
    rig.portfolio.book_funding("BTCUSDT", Decimal(-50), "f-1")
    rig.losses.reset()
    rig.engine.check_losses()
    recorded = rig.journal.limits()
    assert recorded is not None
    assert recorded.day_start_equity == 99_950
