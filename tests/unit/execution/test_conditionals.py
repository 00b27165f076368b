"""Conditional orders, attached exits and trailing stops: gate, states, changes and restart."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import Rig, fill, rejected, report, unavailable

from trading_system.domain.errors import (
    OffGridError,
    OrderDenied,
    Outcome,
    ValidationError,
    VenueUnavailable,
)
from trading_system.domain.orders import (
    AttachedExit,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderType,
    PriceChange,
    Side,
    TimeInForce,
    TrailingStop,
    Trigger,
    TriggerDirection,
)
from trading_system.execution.tracking import TrackedOrder, TrackedStatus
from trading_system.risk.limits import DenyReason, TradingState

MID = Decimal(50_000)
RISE, FALL = TriggerDirection.RISE, TriggerDirection.FALL
ABOVE = Trigger(price=Decimal(51_000), direction=RISE)


def stop_entry(rig: Rig, **changes: object) -> OrderIntent:
    plain = OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.1"),
        price=Decimal(51_010),
        trigger=ABOVE,
        link_id=rig.engine.next_link_id(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # test data


async def sent(rig: Rig, **changes: object) -> OrderIntent:
    await rig.engine.submit(stop_entry(rig, **changes), timeout_s=1)
    return rig.venue.sent[-1]


async def denied(rig: Rig, **changes: object) -> str:
    with pytest.raises(OrderDenied) as e:
        await sent(rig, **changes)
    assert not rig.venue.sent
    return e.value.reason


def tracked(rig: Rig, order: OrderIntent) -> TrackedOrder:
    found = rig.engine.order(order.link_id)
    assert found is not None
    return found


def told(
    rig: Rig, order: OrderIntent, status: OrderStatus, *, stamp_ns: int = 0, **changes: object
) -> None:
    filled = order.quantity if status is OrderStatus.FILLED else Decimal(0)
    trigger_price = order.trigger.price if order.trigger is not None else None
    plain = report(order, status, filled)
    base: OrderReport = replace(plain, trigger_price=trigger_price, ts_exchange_ns=stamp_ns)
    rig.engine.on_report(replace(base, **changes))  # type: ignore[arg-type]  # test data


async def hold_long(rig: Rig, quantity: str = "0.1") -> None:
    rig.venue.auto_fill = True
    await rig.engine.submit(
        OrderIntent(
            symbol="BTCUSDT",
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            quantity=Decimal(quantity),
            price=MID,
            time_in_force=TimeInForce.IOC,
            link_id=rig.engine.next_link_id(),
        ),
        timeout_s=1,
    )
    rig.venue.auto_fill = False
    rig.venue.sent.clear()


# --- the gate ----------------------------------------------------------------------------------


async def test_a_price_may_lie_beyond_the_collar_of_the_market_but_not_of_the_trigger() -> None:
    rig = Rig()
    assert (await sent(rig)).price == Decimal(51_010)
    assert await denied(Rig(), price=Decimal(51_300)) == DenyReason.PRICE_COLLAR.value


async def test_an_opening_market_order_is_collared_at_its_trigger() -> None:
    order = await sent(Rig(), order_type=OrderType.MARKET, price=None)
    assert (order.order_type, order.time_in_force) == (OrderType.LIMIT, TimeInForce.IOC)
    assert (order.price, order.trigger) == (Decimal(51_255), ABOVE)


async def test_a_reduce_only_market_stop_is_held_by_no_collar() -> None:
    rig = Rig()
    await hold_long(rig)
    below = Trigger(price=Decimal(49_000), direction=FALL)
    order = await sent(
        rig,
        side=Side.SELL,
        order_type=OrderType.MARKET,
        price=None,
        trigger=below,
        reduce_only=True,
    )
    assert (order.order_type, order.price) == (OrderType.MARKET, None)
    assert rig.engine.ledger.open_notional == 0


@pytest.mark.parametrize(
    ("price", "direction"), [("49999", RISE), ("50000", RISE), ("50001", FALL), ("50000", FALL)]
)
async def test_a_trigger_that_the_market_has_reached_is_refused(
    price: str, direction: TriggerDirection
) -> None:
    trigger = Trigger(price=Decimal(price), direction=direction)
    reason = await denied(Rig(), trigger=trigger, price=Decimal(price))
    assert reason == DenyReason.TRIGGER.value


async def test_trigger_and_exits_must_lie_on_the_grid() -> None:
    off = Trigger(price=Decimal("51000.05"), direction=RISE)
    assert await denied(Rig(), trigger=off) == DenyReason.OFF_GRID.value
    exit_ = AttachedExit(price=Decimal("52000.05"))
    plain = {"trigger": None, "price": MID}
    assert await denied(Rig(), take_profit=exit_, **plain) == DenyReason.OFF_GRID.value
    limited = AttachedExit(price=Decimal(52_000), limit_price=Decimal("51990.01"))
    assert await denied(Rig(), take_profit=limited, **plain) == DenyReason.OFF_GRID.value


async def test_a_waiting_order_counts_at_full_size_and_at_its_highest_price() -> None:
    rig = Rig()
    await sent(rig, side=Side.SELL, price=Decimal(50_990))
    assert rig.engine.ledger.open_notional == Decimal(5_100)
    assert await denied_after(rig, quantity=Decimal("0.7")) == DenyReason.ORDER_NOTIONAL.value
    low = Trigger(price=Decimal(40_000), direction=FALL)
    # A trigger far below does not make the order look smaller than it is now.
    reason = await denied_after(rig, quantity=Decimal("0.201"), trigger=low, price=Decimal(40_000))
    assert reason == DenyReason.ORDER_NOTIONAL.value


async def denied_after(rig: Rig, **changes: object) -> str:
    with pytest.raises(OrderDenied) as e:
        await sent(rig, **changes)
    return e.value.reason


async def test_waiting_orders_fill_the_gross_limit_until_they_end() -> None:
    rig = Rig(rate=50)
    for tick in range(7):
        await sent(rig, quantity=Decimal("0.1"), price=Decimal(51_000 + tick))
    assert await denied_after(rig) in {
        DenyReason.GROSS_NOTIONAL.value,
        DenyReason.POSITION_NOTIONAL.value,
    }
    for order in list(rig.venue.sent):
        told(rig, order, OrderStatus.DEACTIVATED)
    assert rig.engine.ledger.open_notional == 0
    await sent(rig)


async def test_while_reducing_only_a_conditional_exit_passes() -> None:
    rig = Rig()
    await hold_long(rig)
    rig.engine.holds.set("test", TradingState.REDUCING, "a test")
    assert await denied_after(rig) == DenyReason.REDUCING.value
    exit_ = {"side": Side.SELL, "reduce_only": True, "price": Decimal(48_900)}
    below = Trigger(price=Decimal(49_000), direction=FALL)
    assert (await sent(rig, trigger=below, **exit_)).reduce_only
    # What is more than the position could open one: it does not pass.
    reason = await denied_after(rig, trigger=below, quantity=Decimal("0.2"), **exit_)
    assert reason == DenyReason.REDUCE_ONLY.value
    rig.engine.holds.set("test", TradingState.HALTED, "a test")
    assert await denied_after(rig, trigger=below, **exit_) == DenyReason.HALTED.value


async def test_a_waiting_order_is_no_match_and_no_quote_for_others() -> None:
    rig = Rig()
    await sent(rig)
    assert rig.engine.resting("BTCUSDT") == ()
    sell = {"side": Side.SELL, "trigger": None, "price": MID}
    await sent(rig, **sell)  # would cross the waiting order's price
    assert len(rig.venue.sent) == 2


async def test_two_orders_that_differ_by_their_trigger_are_no_twins() -> None:
    rig = Rig()
    await sent(rig)
    assert await denied_after(rig) == DenyReason.DUPLICATE.value
    await sent(rig, trigger=Trigger(price=Decimal(51_005), direction=RISE))


@pytest.mark.parametrize(
    ("side", "take_profit", "stop_loss", "is_denied"),
    [
        (Side.BUY, 51_000, 49_000, False),
        (Side.BUY, 49_500, None, True),
        (Side.BUY, None, 50_500, True),
        (Side.SELL, 49_000, 51_000, False),
        (Side.SELL, 50_500, None, True),
        (Side.SELL, None, 49_500, True),
    ],
)
async def test_exits_of_a_market_order_must_not_be_reached_now(
    side: Side, take_profit: int | None, stop_loss: int | None, *, is_denied: bool
) -> None:
    exits = {
        name: AttachedExit(price=Decimal(price))
        for name, price in (("take_profit", take_profit), ("stop_loss", stop_loss))
        if price is not None
    }
    market = {"order_type": OrderType.MARKET, "price": None, "trigger": None, "side": side}
    if is_denied:
        assert await denied(Rig(), **market, **exits) == DenyReason.TRIGGER.value
    else:
        order = await sent(Rig(), **market, **exits)
        assert order.take_profit == exits["take_profit"]
        assert order.has_exits


# --- states ------------------------------------------------------------------------------------


async def test_it_waits_is_triggered_and_fills() -> None:
    rig = Rig()
    order = await sent(rig)
    assert tracked(rig, order).status is TrackedStatus.UNTRIGGERED
    told(rig, order, OrderStatus.UNTRIGGERED)
    assert (tracked(rig, order).status, tracked(rig, order).waiting_for) == (
        TrackedStatus.UNTRIGGERED,
        ABOVE,
    )
    told(rig, order, OrderStatus.TRIGGERED)
    assert (tracked(rig, order).status, tracked(rig, order).waiting_for) == (
        TrackedStatus.OPEN,
        None,
    )
    told(rig, order, OrderStatus.NEW)
    assert len(rig.engine.resting("BTCUSDT")) == 1
    rig.engine.on_fill(fill(order, order.quantity, Decimal(51_005)))
    told(rig, order, OrderStatus.FILLED)
    assert tracked(rig, order).settled.is_set()
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.1")


async def test_an_older_report_does_not_make_it_wait_again() -> None:
    rig = Rig()
    order = await sent(rig)
    told(rig, order, OrderStatus.NEW)
    told(rig, order, OrderStatus.UNTRIGGERED)
    assert tracked(rig, order).status is TrackedStatus.OPEN


async def test_a_fill_before_any_report_proves_that_it_was_triggered() -> None:
    rig = Rig()
    order = await sent(rig)
    rig.engine.on_fill(fill(order, Decimal("0.05"), Decimal(51_005)))
    assert tracked(rig, order).waiting_for is None


async def test_cancelled_before_its_trigger_it_is_deactivated_and_over() -> None:
    rig = Rig()
    order = await sent(rig)
    told(rig, order, OrderStatus.DEACTIVATED)
    assert tracked(rig, order).status is TrackedStatus.CANCELLED
    assert tracked(rig, order).settled.is_set()


async def test_a_cancellation_that_fails_leaves_it_waiting() -> None:
    rig = Rig()
    order = await sent(rig)
    rig.venue.failures.append(rejected(110001))
    rig.venue.known[order.link_id] = replace(
        report(order, OrderStatus.UNTRIGGERED, Decimal(0)), trigger_price=ABOVE.price
    )
    await rig.engine.cancel_batch([("BTCUSDT", order.link_id)], timeout_s=1)
    assert tracked(rig, order).status is TrackedStatus.UNTRIGGERED
    told(rig, order, OrderStatus.NEW)
    rig.venue.failures.append(rejected(110001))
    rig.venue.known[order.link_id] = report(order, OrderStatus.NEW, Decimal(0))
    await rig.engine.cancel_batch([("BTCUSDT", order.link_id)], timeout_s=1)
    assert tracked(rig, order).status is TrackedStatus.OPEN


async def test_an_answer_that_is_lost_is_looked_up() -> None:
    rig = Rig()
    rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
    with pytest.raises(Exception, match="gone"):
        await sent(rig)
    order = rig.venue.sent[-1]
    assert tracked(rig, order).status is TrackedStatus.UNKNOWN
    told(rig, order, OrderStatus.UNTRIGGERED)
    assert tracked(rig, order).status is TrackedStatus.UNTRIGGERED


async def test_a_waiting_order_that_the_venue_forgot_is_over() -> None:
    rig = Rig()
    order = await sent(rig)
    rig.clock.advance(rig.engine.doubt_s + 1)
    await rig.engine.look_up(tracked(rig, order))
    assert tracked(rig, order).status is TrackedStatus.UNTRIGGERED
    rig.clock.advance(60.1)
    await rig.engine.look_up(tracked(rig, order))
    assert tracked(rig, order).status is TrackedStatus.CANCELLED


async def test_of_two_cancels_one_may_fail_after_a_fill_has_shown_the_trigger() -> None:
    rig = Rig()
    order = await sent(rig)
    answers = [asyncio.Event(), asyncio.Event()]
    waiting = iter(answers)

    async def cancel(symbol: str, link_id: str, *, timeout_s: float) -> None:
        await next(waiting).wait()
        raise unavailable(Outcome.NOT_SENT)

    async def ask() -> None:
        with pytest.raises(VenueUnavailable):
            await rig.engine.cancel("BTCUSDT", order.link_id, timeout_s=1)

    rig.venue.cancel = cancel  # type: ignore[method-assign]  # the fake's own seam
    async with asyncio.TaskGroup() as group:
        first = group.create_task(ask())
        group.create_task(ask())
        await asyncio.sleep(0)
        answers[0].set()
        await first
        rig.engine.on_fill(fill(order, order.quantity / 2, Decimal(50_000)))
        answers[1].set()
    assert tracked(rig, order).status is TrackedStatus.OPEN
    assert rig.engine.state is TradingState.ACTIVE


# --- changes -----------------------------------------------------------------------------------


async def move(
    rig: Rig, order: OrderIntent, price: int, trigger_price: int | None = None
) -> Exception | None:
    change = PriceChange(
        symbol=order.symbol,
        link_id=order.link_id,
        price=Decimal(price),
        trigger_price=None if trigger_price is None else Decimal(trigger_price),
    )
    (outcome,) = await rig.engine.amend_batch([change], timeout_s=1)
    return outcome.error


async def test_a_waiting_order_is_moved_alone_and_both_places_count() -> None:
    rig = Rig()
    order = await sent(rig)
    assert await move(rig, order, 52_010, 52_000) is None
    assert rig.venue.moved == [(order.link_id, Decimal(52_010), Decimal(52_000))]
    assert rig.venue.amended == []
    assert rig.engine.ledger.open_notional == Decimal(5_201)
    moved = {"price": Decimal(52_010), "trigger_price": Decimal(52_000)}
    told(rig, order, OrderStatus.UNTRIGGERED, stamp_ns=5, **moved)
    found = tracked(rig, order)
    assert (found.amendment, found.standing_trigger) == (None, Decimal(52_000))
    assert await move(rig, order, 52_010, 52_000) is None  # it stands there: nothing is sent
    assert len(rig.venue.moved) == 1


async def test_a_move_keeps_the_trigger_that_is_not_named() -> None:
    rig = Rig()
    order = await sent(rig)
    assert await move(rig, order, 51_020) is None
    assert rig.venue.moved == [(order.link_id, Decimal(51_020), Decimal(51_000))]


async def test_half_a_move_is_no_confirmation() -> None:
    rig = Rig()
    order = await sent(rig)
    await move(rig, order, 52_010, 52_000)
    told(rig, order, OrderStatus.UNTRIGGERED, stamp_ns=5, price=Decimal(52_010))
    assert tracked(rig, order).amendment is not None


async def test_a_refused_move_leaves_the_old_place() -> None:
    rig = Rig()
    order = await sent(rig)
    rig.venue.failures.append(rejected(10001))
    assert await move(rig, order, 52_010, 52_000) is not None
    found = tracked(rig, order)
    assert (found.amendment, found.terms) == (None, (Decimal(51_010), Decimal(51_000)))


async def test_a_move_is_gated_like_an_order() -> None:
    rig = Rig()
    order = await sent(rig)
    for price, trigger_price, reason in (
        (49_000, 49_000, DenyReason.TRIGGER),
        (53_000, 52_000, DenyReason.PRICE_COLLAR),
    ):
        error = await move(rig, order, price, trigger_price)
        assert isinstance(error, OrderDenied)
        assert error.reason == reason.value
    told(rig, order, OrderStatus.NEW)
    error = await move(rig, order, 50_000, 52_000)
    assert isinstance(error, OrderDenied)
    assert error.reason == DenyReason.NOT_AMENDABLE.value


async def test_plain_and_waiting_orders_of_one_batch_take_their_own_ways() -> None:
    rig = Rig()
    waiting = await sent(rig)
    plain = await sent(rig, trigger=None, price=MID - 10)
    changes = [
        PriceChange(symbol="BTCUSDT", link_id=order.link_id, price=price)
        for order, price in ((waiting, Decimal(51_020)), (plain, MID - 20))
    ]
    outcomes = await rig.engine.amend_batch(changes, timeout_s=1)
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert [outcome.link_id for outcome in outcomes] == [waiting.link_id, plain.link_id]
    assert [change.link_id for change in rig.venue.amended] == [plain.link_id]
    assert [link_id for link_id, _, _ in rig.venue.moved] == [waiting.link_id]


async def test_a_batch_that_fails_as_a_whole_fails_its_plain_orders_only() -> None:
    rig = Rig()
    waiting = await sent(rig)
    plain = await sent(rig, trigger=None, price=MID - 10)
    rig.venue.batch_failures.append(unavailable(Outcome.UNKNOWN))
    changes = [
        PriceChange(symbol="BTCUSDT", link_id=order.link_id, price=price)
        for order, price in ((plain, MID - 20), (waiting, Decimal(51_020)))
    ]
    first, second = await rig.engine.amend_batch(changes, timeout_s=1)
    assert (first.error is None, second.error is None) == (False, True)


# --- a restart ---------------------------------------------------------------------------------


@pytest.mark.parametrize("is_moved", [False, True])
async def test_after_a_restart_it_is_known_with_its_trigger(*, is_moved: bool) -> None:
    before = Rig()
    order = await sent(before)
    if is_moved:
        await move(before, order, 52_010, 52_000)
        moved = {"price": Decimal(52_010), "trigger_price": Decimal(52_000)}
        told(before, order, OrderStatus.UNTRIGGERED, stamp_ns=5, **moved)
    rig = Rig(journal=before.journal, run_id="00000002", venue=before.venue, clock=before.clock)
    seen: list[tuple[TrackedStatus, object]] = []
    look_up = rig.engine.look_up

    async def looked_up(found: TrackedOrder) -> None:
        seen.append((found.status, found.standing_trigger))
        told(rig, order, OrderStatus.DEACTIVATED)
        await look_up(found)

    rig.engine.look_up = looked_up  # type: ignore[method-assign]  # a look from outside
    found = await rig.engine.recover(deadline_s=5)
    trigger_price = Decimal(52_000) if is_moved else Decimal(51_000)
    assert seen == [(TrackedStatus.UNTRIGGERED, trigger_price)]
    assert found.outcomes[TrackedStatus.CANCELLED] == 1


# --- stops of positions, and values ------------------------------------------------------------


async def test_a_trailing_stop_passes_in_every_state_and_is_on_the_grid() -> None:
    rig = Rig()
    stop = TrailingStop(distance=Decimal(100), active_price=Decimal(51_000))
    for state in TradingState:
        rig.engine.holds.set("test", state, "a test")
        await rig.engine.trail("BTCUSDT", stop, timeout_s=1)
    await rig.engine.trail("BTCUSDT", None, timeout_s=1)
    assert rig.venue.trails == [("BTCUSDT", stop, 0)] * 3 + [("BTCUSDT", None, 0)]
    with pytest.raises(OffGridError):
        await rig.engine.trail("BTCUSDT", TrailingStop(distance=Decimal("0.05")), timeout_s=1)
    with pytest.raises(OrderDenied):
        await rig.engine.trail("XRPUSDT", None, timeout_s=1)


async def test_the_whole_account_can_be_cancelled_in_every_state() -> None:
    rig = Rig()
    rig.engine.holds.set("test", TradingState.HALTED, "a test")
    await rig.engine.cancel_all(None, timeout_s=1)
    assert rig.venue.cancelled == ["everything"]


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity"])
def test_impossible_values_are_refused(value: str) -> None:
    number = Decimal(value)
    for make in (
        lambda: Trigger(price=number, direction=RISE),
        lambda: AttachedExit(price=number),
        lambda: AttachedExit(price=Decimal(1), limit_price=number),
        lambda: TrailingStop(distance=number),
        lambda: TrailingStop(distance=Decimal(1), active_price=number),
    ):
        with pytest.raises(ValidationError, match="positive"):
            make()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reduce_only": True, "stop_loss": AttachedExit(price=Decimal(1))}, "reduce-only"),
        ({"trigger": ABOVE, "take_profit": AttachedExit(price=Decimal(60_000))}, "conditional"),
        ({"take_profit": AttachedExit(price=Decimal(49_000))}, "above the price"),
        ({"stop_loss": AttachedExit(price=Decimal(51_500))}, "below the price"),
        (
            {
                "price": None,
                "order_type": OrderType.MARKET,
                "take_profit": AttachedExit(price=Decimal(5)),
                "stop_loss": AttachedExit(price=Decimal(6)),
            },
            "above stop loss",
        ),
        ({"side": Side.SELL, "take_profit": AttachedExit(price=Decimal(60_000))}, "below"),
        ({"side": Side.SELL, "stop_loss": AttachedExit(price=Decimal(40_000))}, "above"),
    ],
)
def test_exits_that_do_not_fit_their_order_are_refused(
    changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        stop_entry(Rig(), **{"trigger": None, **changes})
