import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from engine_rig import BTC, Rig, rejected, report, unavailable
from virtual_time import VirtualLoop, in_virtual_time

from trading_system.domain.errors import (
    InvariantViolated,
    Outcome,
    ValidationError,
    VenueRateLimited,
)
from trading_system.domain.orders import OrderIntent, OrderStatus, Side, TimeInForce
from trading_system.domain.parents import ExecutionStyle, ParentOrder, ParentResult
from trading_system.execution.executor import STOPPED, TOO_SMALL, Executor
from trading_system.execution.work import ParentWork, Patience, Walk
from trading_system.market.book_view import BookWalk
from trading_system.risk.limits import TradingState


@dataclass
class Quote:
    bid: Decimal | None = Decimal("49999.9")
    ask: Decimal | None = Decimal("50000.1")


class Desk:
    def __init__(self, *, rate: int = 100) -> None:
        self.rig = Rig(rate=rate)
        self.rig.venue.auto_fill = True
        self.quote = Quote()
        self.executor = Executor(
            engine=self.rig.engine,
            instruments={"BTCUSDT": BTC},
            quote=lambda _symbol: self.quote,
            clock=self.rig.clock,
            request_timeout_s=1.0,
        )


def parent(**changes: object) -> ParentOrder:
    values: dict[str, object] = {
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "quantity": Decimal("0.1"),
        "style": ExecutionStyle.MARKET,
        "reduce_only": False,
        "max_slippage_bps": 10.0,
        "time_limit_s": 10.0,
        "purpose": "test",
        "passive_s": 0.01,
    }
    return ParentOrder(**{**values, **changes})  # type: ignore[arg-type]  # test data


async def test_slippage_is_signed_against_the_arrival_mid() -> None:
    desk = Desk()
    desk.rig.venue.fill_price = Decimal(50_010)
    bought = await desk.executor.execute(parent())
    assert bought is not None
    assert bought.slippage_bps == pytest.approx(2.0)
    sold = await desk.executor.execute(parent(side=Side.SELL))
    assert sold is not None
    assert sold.slippage_bps == pytest.approx(-2.0)
    assert bought.fees_bps == pytest.approx(5.5)
    assert bought.is_success


async def test_the_child_is_a_limit_that_holds_the_slippage_limit() -> None:
    desk = Desk()
    await desk.executor.execute(parent())
    sent = desk.rig.venue.sent[0]
    assert sent.time_in_force is TimeInForce.IOC
    assert sent.price == Decimal(50_050)


async def test_partial_fills_are_worked_until_the_quantity_is_complete() -> None:
    desk = Desk()
    desk.rig.venue.fill_share = Decimal("0.5")
    result = await desk.executor.execute(parent(quantity=Decimal("0.008")))
    assert result is not None
    quantities = [order.quantity for order in desk.rig.venue.sent]
    assert quantities[:3] == [Decimal("0.008"), Decimal("0.004"), Decimal("0.002")]
    assert result.filled_quantity <= Decimal("0.008")


async def test_nothing_is_sent_without_a_quote() -> None:
    desk = Desk()
    desk.quote = Quote(ask=None)
    assert await desk.executor.execute(parent()) is None
    assert desk.rig.venue.sent == []


async def test_an_entry_is_not_chased_beyond_its_limit() -> None:
    desk = Desk()
    desk.rig.venue.fill_share = Decimal(0)
    original = desk.rig.venue.fill

    def move_away(intent: object) -> None:
        original(intent)
        desk.quote = Quote(bid=Decimal(50_999), ask=Decimal(51_000))

    desk.rig.venue.fill = move_away
    result = await desk.executor.execute(parent())
    assert result is not None
    assert len(desk.rig.venue.sent) == 1
    assert not result.is_success


async def test_a_denied_parent_ends_without_a_child() -> None:
    desk = Desk()
    desk.rig.engine.latch("test", TradingState.HALTED, "halted by a test")
    result = await desk.executor.execute(parent())
    assert result is not None
    assert result.children == []
    assert "halted" in result.reason


async def test_a_refused_child_ends_the_parent() -> None:
    desk = Desk()
    desk.rig.venue.failures.append(rejected(110007))
    result = await desk.executor.execute(parent())
    assert result is not None
    assert len(result.children) == 1
    assert not result.is_success
    assert len(desk.rig.venue.sent) == 1


async def test_a_child_of_unknown_outcome_is_settled_before_the_next_is_sent() -> None:
    desk = Desk()
    desk.rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
    desk.rig.clock.advance(1)
    engine = desk.rig.engine
    resolve = engine.resolve

    async def resolve_past_life(link_id: str) -> object:
        desk.rig.clock.advance(10)
        return await resolve(link_id)

    engine.resolve = resolve_past_life
    result = await desk.executor.execute(parent(time_limit_s=100.0))
    assert result is not None
    assert desk.rig.venue.lookups >= 1
    assert engine.unknown_orders == 0


def test_a_child_that_the_venue_tells_nothing_of_is_cancelled_all_the_same() -> None:
    async def work(loop: VirtualLoop) -> None:
        desk = Desk()
        venue, cancelled = desk.rig.venue, []
        venue.failures.append(unavailable(Outcome.UNKNOWN))
        cancel = venue.cancel

        async def fail(link_id: str) -> None:
            raise unavailable(Outcome.NOT_SENT)

        async def cancel_and_note(symbol: str, link_id: str, *, timeout_s: float) -> None:
            cancelled.append(loop.time())
            await cancel(symbol, link_id, timeout_s=timeout_s)

        venue.find_order = fail
        venue.cancel = cancel_and_note
        result = await desk.executor.execute(parent(style=ExecutionStyle.LIMIT))
        assert result is not None
        assert [child.status for child in result.child_results] == ["cancelled"]
        assert cancelled == [pytest.approx(25)], "15 s of look-ups, then its time in the book"

    in_virtual_time(work)


async def test_a_passive_parent_rests_then_crosses_with_the_rest() -> None:
    desk = Desk()
    desk.rig.venue.auto_fill = False
    venue = desk.rig.venue
    cancel = venue.cancel

    async def cancel_then_fill(symbol: str, link_id: str, *, timeout_s: float) -> None:
        await cancel(symbol, link_id, timeout_s=timeout_s)
        venue.auto_fill = True

    venue.cancel = cancel_then_fill
    result = await desk.executor.execute(parent(style=ExecutionStyle.PASSIVE))
    assert result is not None
    first, second = venue.sent
    assert (first.time_in_force, first.price) == (TimeInForce.POST_ONLY, Decimal("49999.9"))
    assert second.time_in_force is TimeInForce.IOC
    assert result.is_success


async def test_a_passive_sell_rests_at_the_ask() -> None:
    desk = Desk()
    desk.rig.venue.fill_price = Decimal("50000.1")
    result = await desk.executor.execute(parent(side=Side.SELL, style=ExecutionStyle.PASSIVE))
    assert result is not None
    assert desk.rig.venue.sent[0].price == Decimal("50000.1")
    assert result.slippage_bps is not None
    assert result.slippage_bps < 0


async def test_an_exit_follows_the_market_inside_the_gates_collar() -> None:
    desk = Desk()
    desk.quote = Quote(bid=Decimal(49_900), ask=Decimal(50_100))  # wider than the cost limit
    desk.rig.portfolio.adopt("BTCUSDT", Decimal("0.1"), Decimal(50_000))
    result = await desk.executor.execute(parent(side=Side.SELL, reduce_only=True))
    assert result is not None
    assert desk.rig.venue.sent[0].price == Decimal(49_750)
    assert result.filled_quantity == Decimal("0.1")


async def test_an_entry_that_starts_beyond_its_limit_sends_nothing() -> None:
    desk = Desk()
    desk.quote = Quote(bid=Decimal(49_900), ask=Decimal(50_100))
    for side in Side:
        result = await desk.executor.execute(parent(side=side))
        assert result is not None
        assert result.reason == "market moved beyond the slippage limit"
    assert desk.rig.venue.sent == []


async def test_a_parent_does_not_end_while_a_child_is_unsettled() -> None:
    desk = Desk()
    desk.rig.venue.auto_fill = False
    engine, venue = desk.rig.engine, desk.rig.venue
    settle, patience = engine.settle, []

    async def impatient(link_id: str, *, timeout_s: float) -> object:
        patience.append(link_id)
        if len(patience) == 3:
            venue.fill(venue.sent[0])
        return await settle(link_id, timeout_s=0.0)

    engine.settle = impatient
    desk.rig.venue.cancel = fail_to_cancel
    result = await desk.executor.execute(parent())
    assert result is not None
    assert (len(patience), len(venue.sent)) == (3, 1)
    assert result.filled_quantity == Decimal("0.1")


async def fail_to_cancel(symbol: str, link_id: str, *, timeout_s: float) -> None:
    raise unavailable(Outcome.UNKNOWN)


@pytest.mark.parametrize("failure", [rejected(110001), unavailable(Outcome.UNKNOWN)])
async def test_a_cancel_that_fails_is_settled_by_the_order_itself(failure: Exception) -> None:
    desk = Desk()
    desk.rig.venue.auto_fill = False

    async def fill_then_fail(symbol: str, link_id: str, *, timeout_s: float) -> None:
        desk.rig.venue.fill(desk.rig.venue.sent[0])
        raise failure

    desk.rig.venue.cancel = fill_then_fail
    result = await desk.executor.execute(parent(style=ExecutionStyle.PASSIVE))
    assert result is not None
    assert len(desk.rig.venue.sent) == 1
    assert result.is_success


async def test_a_passive_parent_that_is_denied_sends_nothing() -> None:
    desk = Desk()
    desk.rig.engine.latch("test", TradingState.HALTED, "halted by a test")
    result = await desk.executor.execute(parent(style=ExecutionStyle.PASSIVE))
    assert result is not None
    assert result.children == []


async def test_a_passive_parent_crosses_at_once_when_its_side_has_emptied() -> None:
    desk = Desk()
    quotes = iter([Quote(), Quote(bid=None)])
    executor = Executor(
        engine=desk.rig.engine,
        instruments={"BTCUSDT": BTC},
        quote=lambda _symbol: next(quotes, Quote()),
        clock=desk.rig.clock,
        request_timeout_s=1.0,
    )
    result = await executor.execute(parent(style=ExecutionStyle.PASSIVE))
    assert result is not None
    assert [order.time_in_force for order in desk.rig.venue.sent] == [TimeInForce.IOC]


async def test_the_reason_of_a_child_is_the_reason_of_its_parent() -> None:
    desk = Desk()

    def fill_nothing(intent: OrderIntent) -> None:
        desk.rig.engine.on_report(
            replace(report(intent, OrderStatus.CANCELLED, Decimal(0)), reason="EC_NoImmediate")
        )

    desk.rig.venue.fill = fill_nothing
    result = await desk.executor.execute(parent())
    assert result is not None
    assert result.reason == "EC_NoImmediate"


class ManualPatience(Patience):
    """Waits by moving the clock; ``on_wait`` is called with the seconds first."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.waits: list[float] = []
        self.on_wait: Callable[[], None] = lambda: None

    async def until(self, event: asyncio.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.on_wait()
        if not event.is_set():
            self.desk.rig.clock.advance(max(0.0, seconds))
        return event.is_set()


class TimedDesk(Desk):
    """A desk on virtual time, optionally with a book to look into."""

    def __init__(self, walk: Walk | None = None, *, rate: int = 100) -> None:
        super().__init__(rate=rate)
        self.patience = ManualPatience(self)
        self.executor = Executor(
            engine=self.rig.engine,
            instruments={"BTCUSDT": BTC},
            quote=lambda _symbol: self.quote,
            clock=self.rig.clock,
            request_timeout_s=1.0,
            walk=walk,
            patience=self.patience,
        )

    async def run(self, **changes: object) -> ParentResult:
        result = await self.executor.execute(parent(**changes))
        assert result is not None
        return result

    @property
    def quantities(self) -> list[Decimal]:
        return [order.quantity for order in self.rig.venue.sent]


def line(per_unit: float, *, shown: float = 1e9) -> Walk:
    """Return a book whose average price moves away linearly with size."""

    def walk(_symbol: str, side: Side, quantity: float) -> BookWalk | None:
        best = 50_000.1 if side is Side.BUY else 49_999.9
        price = best + side.sign * per_unit * quantity
        return BookWalk(
            filled_qty=min(shown, quantity),
            unfilled_qty=max(0.0, quantity - shown),
            average_price=price,
            worst_price=price,
            cost_bps=None,
        )

    return walk


TWAP = {"style": ExecutionStyle.TWAP, "jitter": 0.0, "time_limit_s": 10.0}


async def test_an_unknown_symbol_is_refused() -> None:
    with pytest.raises(ValidationError):
        await Desk().executor.execute(parent(symbol="DOGEUSDT"))


async def test_fill_or_kill_is_one_try_for_the_whole_quantity() -> None:
    desk = TimedDesk()
    desk.rig.venue.fill_share = Decimal(0)
    result = await desk.run(time_in_force=TimeInForce.FOK)
    assert [order.time_in_force for order in desk.rig.venue.sent] == [TimeInForce.FOK]
    assert not result.is_success


@pytest.mark.parametrize("time_in_force", [TimeInForce.GTC, TimeInForce.POST_ONLY])
async def test_a_limit_parent_rests_until_its_time_is_over_and_is_cancelled(
    time_in_force: TimeInForce,
) -> None:
    desk = TimedDesk()
    desk.rig.venue.auto_fill = False
    result = await desk.run(
        style=ExecutionStyle.LIMIT, limit_price=Decimal("49999.5"), time_in_force=time_in_force
    )
    (sent,) = desk.rig.venue.sent
    assert (sent.price, sent.time_in_force) == (Decimal("49999.5"), time_in_force)
    assert desk.rig.venue.cancelled == [sent.link_id]
    assert result.waited_ms == pytest.approx(10_000)


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "49999.9"), (Side.SELL, "50000.1")])
async def test_a_limit_parent_without_a_price_joins_the_best(side: Side, price: str) -> None:
    desk = TimedDesk()
    desk.rig.venue.fill_price = Decimal(price)
    result = await desk.run(style=ExecutionStyle.LIMIT, side=side)
    assert desk.rig.venue.sent[0].price == Decimal(price)
    assert result.is_success
    assert desk.rig.venue.cancelled == []


@pytest.mark.parametrize(("side", "worst"), [(Side.BUY, 50_050), (Side.SELL, 49_950)])
async def test_a_limit_price_is_held_inside_the_slippage_limit(side: Side, worst: int) -> None:
    desk = TimedDesk()
    price = Decimal(50_000 + side.sign * 200)
    await desk.run(style=ExecutionStyle.LIMIT, side=side, limit_price=price)
    assert desk.rig.venue.sent[0].price == worst


async def test_an_exit_rests_where_it_was_told_to() -> None:
    desk = TimedDesk()
    desk.rig.portfolio.adopt("BTCUSDT", Decimal("0.1"), Decimal(50_000))
    await desk.run(
        style=ExecutionStyle.LIMIT, side=Side.SELL, reduce_only=True, limit_price=Decimal(49_900)
    )
    assert desk.rig.venue.sent[0].price == Decimal(49_900)


async def test_a_limit_parent_without_any_price_sends_nothing() -> None:
    desk = TimedDesk()
    quotes = iter([Quote()])
    executor = Executor(
        engine=desk.rig.engine,
        instruments={"BTCUSDT": BTC},
        quote=lambda _symbol: next(quotes, Quote(bid=None)),
        clock=desk.rig.clock,
        request_timeout_s=1.0,
    )
    result = await executor.execute(parent(style=ExecutionStyle.LIMIT))
    assert result is not None
    assert result.reason == "no own price to rest at"


async def test_a_refused_limit_parent_ends_at_once() -> None:
    desk = TimedDesk()
    desk.rig.engine.latch("test", TradingState.HALTED, "halted by a test")
    result = await desk.run(style=ExecutionStyle.LIMIT)
    assert "halted" in result.reason
    assert desk.patience.waits == []


async def test_twap_children_are_equal_and_evenly_spaced() -> None:
    desk = TimedDesk()
    result = await desk.run(**TWAP, chunk_quantity=Decimal("0.025"))
    assert desk.quantities == [Decimal("0.025")] * 4
    assert [c.sent_after_ms for c in result.child_results] == [0.0, 2_000.0, 4_000.0, 6_000.0]
    assert result.is_success
    assert result.waited_ms == result.duration_ms == 6_000.0


async def test_twap_sizes_its_children_by_the_visible_depth() -> None:
    desk = TimedDesk(line(500.0))  # 25 bps per unit on average: 0.04 keeps to a budget of 4 bps
    desk.rig.venue.fill_price = Decimal("50000.1")
    result = await desk.run(**TWAP, impact_budget_bps=4.0)
    assert max(desk.quantities) <= Decimal("0.400")
    desk = TimedDesk(line(5_000.0))
    result = await desk.run(**TWAP)  # half of 10 bps: 5 bps at 0.005
    assert len(desk.quantities) >= 10
    assert max(desk.quantities) == Decimal("0.005")
    assert result.filled_quantity == Decimal("0.1")


async def test_twap_works_where_no_book_is_to_be_seen() -> None:
    desk = TimedDesk(lambda _symbol, _side, _quantity: None)
    result = await desk.run(**TWAP, chunk_quantity=Decimal("0.05"), side=Side.SELL)
    assert sum(desk.quantities) == Decimal("0.1")
    assert result.filled_quantity == Decimal("0.1")


async def test_twap_stops_when_the_estimate_breaks_the_slippage_limit() -> None:
    desk = TimedDesk()
    price = {"per_unit": 10.0}

    def walk(symbol: str, side: Side, quantity: float) -> BookWalk | None:
        return line(price["per_unit"])(symbol, side, quantity)

    desk.executor = Executor(
        engine=desk.rig.engine,
        instruments={"BTCUSDT": BTC},
        quote=lambda _symbol: desk.quote,
        clock=desk.rig.clock,
        request_timeout_s=1.0,
        walk=walk,
        patience=desk.patience,
    )
    desk.patience.on_wait = lambda: price.update(
        per_unit=1e6 if len(desk.patience.waits) > 2 else 10.0
    )
    result = await desk.run(**TWAP, chunk_quantity=Decimal("0.025"), impact_budget_bps=1e6)
    assert len(desk.quantities) == 2
    assert "estimated cost" in result.reason
    assert result.filled_quantity == Decimal("0.050")


async def test_a_twap_exit_is_not_stopped_by_its_cost() -> None:
    desk = TimedDesk(line(1e6))
    desk.rig.portfolio.adopt("BTCUSDT", Decimal("0.1"), Decimal(50_000))
    result = await desk.run(
        **TWAP,
        side=Side.SELL,
        reduce_only=True,
        chunk_quantity=Decimal("0.05"),
        impact_budget_bps=1e9,
    )
    assert result.filled_quantity == Decimal("0.1")


async def test_twap_catches_up_with_what_did_not_fill_but_never_exceeds_the_parent() -> None:
    desk = TimedDesk()
    desk.rig.venue.fill_share = Decimal("0.5")
    result = await desk.run(**TWAP, chunk_quantity=Decimal("0.020"), quantity=Decimal("0.080"))
    assert desk.quantities[:3] == [Decimal("0.020"), Decimal("0.030"), Decimal("0.035")]
    assert len(desk.quantities) > 4
    assert result.filled_quantity <= Decimal("0.080")


async def test_twap_goes_on_after_a_rate_limit_and_ends_after_a_refusal() -> None:
    for failure, children in ((limited(), 4), (rejected(110007), 1)):
        desk = TimedDesk()
        desk.rig.venue.failures.append(failure)
        result = await desk.run(**TWAP, chunk_quantity=Decimal("0.025"))
        assert len(result.children) == children
        assert (result.filled_quantity == Decimal("0.1")) is (children > 1)


async def test_the_order_rate_of_the_gate_does_not_end_a_twap() -> None:
    desk = TimedDesk(rate=1)
    result = await desk.run(**{**TWAP, "time_limit_s": 2.0}, chunk_quantity=Decimal("0.025"))
    assert desk.rig.engine.denied["order_rate"] == 2
    assert result.filled_quantity == Decimal("0.1")
    assert len(result.children) == 2


@pytest.mark.parametrize("quantity", ["0.0005", "0.00005"])
async def test_a_twap_the_venue_would_not_take_sends_nothing(quantity: str) -> None:
    desk = TimedDesk()
    result = await desk.run(**TWAP, quantity=Decimal(quantity))
    assert desk.quantities == []
    assert "multiple" in result.reason


async def test_a_twap_below_the_least_notional_sends_nothing() -> None:
    desk = TimedDesk()
    desk.quote = Quote(bid=Decimal("99.9"), ask=Decimal("100.1"))
    result = await desk.run(**TWAP, quantity=Decimal("0.001"))
    assert (desk.quantities, result.reason) == ([], TOO_SMALL)


async def test_a_twap_that_fills_nothing_says_so_at_its_end() -> None:
    desk = TimedDesk()
    desk.rig.venue.fill_share = Decimal(0)
    result = await desk.run(**TWAP, chunk_quantity=Decimal("0.05"))
    assert result.filled_quantity == 0
    assert result.reason == "the schedule ended before the quantity was traded"
    assert result.duration_ms <= 10_000


async def test_a_twap_ends_with_a_rest_too_small_to_trade() -> None:
    desk = TimedDesk()
    desk.rig.venue.fill_share = Decimal("0.75")
    result = await desk.run(**TWAP, chunk_quantity=Decimal("0.002"), quantity=Decimal("0.002"))
    assert result.reason == TOO_SMALL
    assert result.filled_quantity == Decimal("0.0015")


async def test_a_slow_venue_does_not_stretch_a_twap_beyond_its_time() -> None:
    desk = TimedDesk()
    original = desk.rig.venue.fill

    def slow(intent: OrderIntent) -> None:
        desk.rig.clock.advance(6)
        original(intent)

    desk.rig.venue.fill = slow
    result = await desk.run(**TWAP, chunk_quantity=Decimal("0.01"))
    assert [c.sent_after_ms for c in result.child_results] == [0.0, 6_000.0]
    assert result.filled_quantity < Decimal("0.1")


async def test_a_stop_sends_no_further_chunk() -> None:
    desk = TimedDesk()
    desk.patience.on_wait = lambda: (
        desk.executor.request_stop() if len(desk.patience.waits) == 3 else None
    )
    result = await desk.run(**TWAP, chunk_quantity=Decimal("0.025"))
    assert (len(desk.quantities), result.reason) == (2, STOPPED)


async def test_a_stop_cancels_what_rests() -> None:
    desk = Desk()
    desk.rig.venue.auto_fill = False
    async with asyncio.TaskGroup() as group:
        task = group.create_task(desk.executor.execute(parent(style=ExecutionStyle.LIMIT)))
        while not desk.rig.venue.sent:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        desk.executor.request_stop()
        desk.executor.request_stop()
    result = task.result()
    assert result is not None
    assert desk.rig.venue.cancelled == result.children
    assert await desk.executor.execute(parent(style=ExecutionStyle.LIMIT)) is not None


async def test_a_stop_may_be_asked_for_again_while_it_takes_effect() -> None:
    patience = Patience()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(patience.until(asyncio.Event(), 60.0))
        for _ in range(4):
            await asyncio.sleep(0)
            patience.end()
    assert task.result() is False


async def test_what_this_run_opened_is_told_apart() -> None:
    desk = TimedDesk()
    await desk.run()
    assert desk.executor.own_quantity("BTCUSDT") == Decimal("0.1")


async def test_waiting_ends_when_what_is_waited_for_happens() -> None:
    event = asyncio.Event()
    event.set()
    assert await Patience().until(event, 60.0)
    assert not await Patience().until(asyncio.Event(), 0.0)


@pytest.mark.parametrize(
    ("style", "cancels"), [(ExecutionStyle.LIMIT, 1), (ExecutionStyle.MARKET, 0)]
)
async def test_a_caller_that_is_cancelled_withdraws_what_rests(
    style: ExecutionStyle, cancels: int
) -> None:
    desk = Desk()
    desk.rig.venue.auto_fill = False
    async with asyncio.TaskGroup() as group:
        task = group.create_task(desk.executor.execute(parent(style=style)))
        while not desk.rig.venue.sent:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        _ = task.cancel()
    assert task.cancelled()
    assert len(desk.rig.venue.cancelled) == cancels


async def test_a_child_larger_than_what_is_left_is_never_sent() -> None:
    desk = Desk()
    work = ParentWork(
        desk=desk.executor._desk,
        result=ParentResult(parent=parent(), arrival_mid=Decimal(50_000)),
        instrument=BTC,
        started_ns=0,
    )
    with pytest.raises(InvariantViolated):
        await work.send(price=None, time_in_force=TimeInForce.IOC, quantity=Decimal("0.101"))
    assert desk.rig.venue.sent == []


async def test_every_child_is_accounted_for() -> None:
    desk = TimedDesk()
    desk.rig.venue.fill_price = Decimal(50_010)
    result = await desk.run(**TWAP, chunk_quantity=Decimal("0.05"))
    assert [c.link_id for c in result.child_results] == result.children
    assert sum(c.filled_quantity for c in result.child_results) == result.filled_quantity
    assert sum(c.filled_value for c in result.child_results) == result.filled_value
    assert sum(c.fees for c in result.child_results) == result.fees
    assert all(c.slippage_bps == pytest.approx(2.0) for c in result.child_results)


@pytest.mark.parametrize("seed", range(40))
async def test_children_never_exceed_the_parent_whatever_the_venue_does(seed: int) -> None:
    source = random.Random(seed)
    desk = TimedDesk(line(source.uniform(0, 4_000)))
    venue, wanted = desk.rig.venue, Decimal(source.randint(1, 150)) * BTC.qty_step
    original = venue.fill

    def fill(intent: OrderIntent) -> None:
        lots = source.randint(0, BTC.qty_to_lots(intent.quantity))
        venue.fill_share = BTC.lots_to_qty(lots) / intent.quantity
        original(intent)
        if source.random() < 0.2:  # it took effect, but the answer was lost
            raise unavailable(Outcome.UNKNOWN)

    venue.fill = fill
    venue.failures.extend(
        source.choice((None, None, limited(), rejected(110007), None)) for _ in range(60)
    )
    style = source.choice((ExecutionStyle.TWAP, ExecutionStyle.MARKET, ExecutionStyle.PASSIVE))
    result = await desk.run(quantity=wanted, style=style)
    assert result.filled_quantity <= wanted
    done = Decimal(0)
    for child in result.child_results:
        assert done + child.quantity <= wanted
        assert child.quantity % BTC.qty_step == 0
        done += child.filled_quantity
    assert done == result.filled_quantity == abs(desk.rig.portfolio.position("BTCUSDT").quantity)


def limited() -> VenueRateLimited:
    return VenueRateLimited("slow", venue="fake", operation="create", outcome=Outcome.REJECTED)
