from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import Rig, fill, rejected, report, unavailable

from trading_system.domain.errors import (
    InvariantViolated,
    OrderDenied,
    Outcome,
    ValidationError,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.orders import (
    OrderIntent,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from trading_system.execution.tracking import TrackedStatus
from trading_system.risk.limits import MarketView, TradingState


def intent(rig: Rig, **changes: object) -> OrderIntent:
    plain = OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.1"),
        price=Decimal(50_000),
        time_in_force=TimeInForce.IOC,
        link_id=rig.engine.next_link_id(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # test data


async def test_an_order_is_sent_acknowledged_and_settled_by_the_stream() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    rig.venue.fill(order)
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    assert tracked.status is TrackedStatus.FILLED
    assert tracked.settled.is_set()
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.1")
    assert rig.engine.live_orders == ()


async def test_link_ids_carry_the_run_and_never_repeat() -> None:
    rig = Rig()
    ids = [rig.engine.next_link_id() for _ in range(3)]
    assert ids == ["ts-0badcafe-1", "ts-0badcafe-2", "ts-0badcafe-3"]


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal("NaN")},
        {"price": Decimal("50000.05")},
        {"quantity": Decimal(1)},
        {"price": Decimal(51_000)},
        {"symbol": "DOGEUSDT"},
        {"reduce_only": True},
    ],
)
async def test_a_refused_order_never_leaves(changes: dict[str, object]) -> None:
    rig = Rig()
    with pytest.raises(OrderDenied):
        await rig.engine.submit(intent(rig, **changes), timeout_s=1)
    assert rig.venue.sent == []
    assert sum(rig.engine.denied.values()) == 1


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
async def test_a_closed_gate_lets_nothing_leave_but_cancels(state: TradingState) -> None:
    rig = Rig()
    rig.engine.holds.set("operator", state, "test")
    with pytest.raises(OrderDenied):
        await rig.engine.submit(intent(rig), timeout_s=1)
    await rig.engine.cancel_all("BTCUSDT", timeout_s=1)
    assert (rig.venue.sent, rig.venue.cancelled) == ([], ["BTCUSDT"])


async def test_a_missing_book_denies() -> None:
    rig = Rig()
    rig.view = MarketView(mid=None, age_s=None)
    with pytest.raises(OrderDenied, match="stale_book"):
        await rig.engine.submit(intent(rig), timeout_s=1)


async def test_the_order_rate_is_held_and_recovers_with_time() -> None:
    rig = Rig(rate=3)
    for quantity in ("0.001", "0.002"):
        await rig.engine.submit(intent(rig, quantity=Decimal(quantity)), timeout_s=1)
    with pytest.raises(OrderDenied, match="order_rate"):
        await rig.engine.submit(intent(rig, quantity=Decimal("0.003")), timeout_s=1)
    rig.clock.advance(1.01)
    await rig.engine.submit(intent(rig, quantity=Decimal("0.001")), timeout_s=1)
    assert len(rig.venue.sent) == 3


async def test_a_throttled_rate_holds_entries_but_not_exits() -> None:
    rig = Rig(rate=5)
    rig.engine.throttle(0.5)
    for quantity in ("0.001", "0.002"):
        await rig.engine.submit(intent(rig, quantity=Decimal(quantity)), timeout_s=1)
    with pytest.raises(OrderDenied, match="throttled to 50%"):
        await rig.engine.submit(intent(rig, quantity=Decimal("0.003")), timeout_s=1)
    rig.portfolio.adopt("BTCUSDT", Decimal("0.01"), Decimal(50_000))
    selling = {"side": Side.SELL, "price": Decimal(50_100), "quantity": Decimal("0.004")}
    exit_ = intent(rig, **selling, reduce_only=True)
    await rig.engine.submit(exit_, timeout_s=1)
    rig.engine.throttle(1.0)
    await rig.engine.submit(intent(rig, quantity=Decimal("0.005")), timeout_s=1)
    with pytest.raises(OrderDenied, match=r"in the last second$"):
        await rig.engine.submit(intent(rig, quantity=Decimal("0.006")), timeout_s=1)


async def test_orders_that_open_never_use_up_the_rate_of_an_exit() -> None:
    rig = Rig(rate=5)
    rig.portfolio.adopt("BTCUSDT", Decimal("0.1"), Decimal(50_000))
    for number in range(4):
        await rig.engine.submit(intent(rig, price=Decimal(49_900 - number)), timeout_s=1)
    with pytest.raises(OrderDenied, match="order_rate"):
        await rig.engine.submit(intent(rig, price=Decimal(49_800)), timeout_s=1)
    await rig.engine.submit(intent(rig, side=Side.SELL, reduce_only=True), timeout_s=1)


@pytest.mark.parametrize("share", [0.0, 1.01, float("nan")])
async def test_a_share_of_the_order_rate_is_above_zero_and_at_most_one(share: float) -> None:
    rig = Rig(rate=1)
    with pytest.raises(ValidationError, match="share"):
        rig.engine.throttle(share)
    await rig.engine.submit(intent(rig), timeout_s=1)


async def test_configured_symbols_are_traded_and_no_other() -> None:
    assert [Rig().engine.trades(symbol) for symbol in ("BTCUSDT", "ETHUSDT")] == [True, False]


async def test_a_link_id_is_never_sent_twice() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    rig.clock.advance(2)
    with pytest.raises(OrderDenied, match="used before"):
        await rig.engine.submit(order, timeout_s=1)
    assert len(rig.venue.sent) == 1


async def test_a_market_order_leaves_as_a_collared_immediate_or_cancel() -> None:
    rig = Rig()
    order = intent(rig, order_type=OrderType.MARKET, price=None)
    await rig.engine.submit(order, timeout_s=1)
    sent = rig.venue.sent[0]
    assert sent.order_type is OrderType.LIMIT
    assert sent.time_in_force is TimeInForce.IOC
    assert sent.price == Decimal(50_250)


async def test_a_definite_refusal_ends_the_order() -> None:
    rig = Rig()
    rig.venue.failures.append(rejected(110007))
    order = intent(rig)
    with pytest.raises(VenueRejected):
        await rig.engine.submit(order, timeout_s=1)
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    assert tracked.status is TrackedStatus.REJECTED
    assert rig.engine.live_orders == ()


async def test_a_request_that_was_not_sent_ends_the_order() -> None:
    rig = Rig()
    rig.venue.failures.append(unavailable(Outcome.NOT_SENT))
    with pytest.raises(VenueUnavailable):
        await rig.engine.submit(intent(rig), timeout_s=1)
    assert rig.engine.live_orders == ()


@pytest.mark.parametrize("failure", [unavailable(Outcome.UNKNOWN), rejected(110072)])
async def test_an_unknown_outcome_counts_against_the_limits_until_settled(
    failure: Exception,
) -> None:
    rig = Rig()
    rig.venue.failures.append(failure)
    with pytest.raises((VenueUnavailable, VenueRejected)):
        await rig.engine.submit(intent(rig), timeout_s=1)
    assert rig.engine.unknown_orders == 1
    assert rig.engine.live_orders[0].open_quantity == Decimal("0.1")


async def test_a_timed_out_order_is_looked_up_and_adopted_not_resent() -> None:
    rig = Rig()
    rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
    order = intent(rig)
    with pytest.raises(VenueUnavailable):
        await rig.engine.submit(order, timeout_s=1)
    rig.venue.known[order.link_id] = report(order, OrderStatus.FILLED, order.quantity)
    rig.venue.fills[order.link_id] = [fill(order, order.quantity, Decimal(50_000))]
    tracked = await rig.engine.resolve(order.link_id)
    assert tracked.status is TrackedStatus.FILLED
    assert rig.portfolio.position("BTCUSDT").quantity == order.quantity
    assert len(rig.venue.sent) == 1


async def test_not_found_is_final_only_after_the_request_has_died() -> None:
    rig = Rig()
    rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
    order = intent(rig)
    with pytest.raises(VenueUnavailable):
        await rig.engine.submit(order, timeout_s=1)
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    assert not await rig.engine.refresh(order.link_id)
    assert tracked.status is TrackedStatus.UNKNOWN
    rig.clock.advance(6.1)
    await rig.engine.resolve(order.link_id)
    assert tracked.status is TrackedStatus.REJECTED
    assert tracked.reason == "never reached the venue"


async def test_a_fill_may_arrive_before_the_acknowledgement_and_twice() -> None:
    rig = Rig()
    rig.venue.auto_fill = True
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    rig.venue.fill(order)
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    assert tracked.booked_quantity == order.quantity
    assert rig.portfolio.duplicate_fills == 1


async def test_an_order_is_settled_only_when_its_fills_are_booked() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    rig.engine.on_report(report(order, OrderStatus.FILLED, order.quantity))
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    assert not tracked.settled.is_set()
    rig.engine.on_fill(fill(order, order.quantity, Decimal(50_000)))
    assert tracked.settled.is_set()


async def test_more_filled_than_ordered_is_an_alarm() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    with pytest.raises(InvariantViolated):
        rig.engine.on_report(report(order, OrderStatus.FILLED, Decimal(1)))
    with pytest.raises(InvariantViolated):
        rig.engine.on_fill(fill(order, Decimal(1), Decimal(50_000), number=2))


async def test_reports_of_foreign_orders_are_counted_not_guessed() -> None:
    rig = Rig()
    order = intent(rig, link_id="somebody-else")
    rig.engine.on_report(report(order, OrderStatus.NEW, Decimal(0)))
    rig.engine.on_fill(fill(order, order.quantity, Decimal(50_000)))
    assert rig.engine.foreign_reports == 2
    assert rig.portfolio.position("BTCUSDT").quantity == order.quantity


async def test_a_final_status_absorbs_later_reports() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    rig.engine.on_report(report(order, OrderStatus.CANCELLED, Decimal(0)))
    rig.engine.on_report(report(order, OrderStatus.NEW, Decimal(0)))
    tracked = rig.engine.order(order.link_id)
    assert tracked is not None
    assert tracked.status is TrackedStatus.CANCELLED


async def test_refused_orders_are_counted_by_reason() -> None:
    rig = Rig()
    for _ in range(2):
        with pytest.raises(OrderDenied):
            await rig.engine.submit(intent(rig, symbol="DOGEUSDT"), timeout_s=1)
    assert rig.engine.denied == {"unknown_symbol": 2}


async def test_one_cancel_passes_the_gate_and_settles_the_order() -> None:
    rig = Rig()
    order = intent(rig)
    await rig.engine.submit(order, timeout_s=1)
    rig.engine.holds.set("operator", TradingState.HALTED, "test")
    await rig.engine.cancel("BTCUSDT", order.link_id, timeout_s=1)
    assert rig.engine.live_orders == ()


async def test_resting_exits_use_up_no_limit() -> None:
    rig = Rig()
    rig.portfolio.adopt("BTCUSDT", Decimal("-0.7"), Decimal(50_000))
    await rig.engine.submit(intent(rig, reduce_only=True, quantity=Decimal("0.7")), timeout_s=1)
    sell = intent(rig, side=Side.SELL, quantity=Decimal("0.15"), price=Decimal(50_100))
    with pytest.raises(OrderDenied, match="position_notional"):
        await rig.engine.submit(sell, timeout_s=1)
    await rig.engine.submit(intent(rig, quantity=Decimal("0.15")), timeout_s=1)
