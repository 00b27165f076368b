"""The kill switch: nothing new leaves, nothing stays open, positions close if asked to."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import BTC, Rig, fill, rejected, report, unavailable
from virtual_time import VirtualLoop, in_virtual_time

from trading_system.domain.errors import InvariantViolated, OrderDenied, Outcome
from trading_system.domain.orders import (
    BatchOutcome,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderType,
    Side,
)
from trading_system.execution.tracking import TrackedOrder
from trading_system.risk.limits import MarketView, TradingState


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


async def resting(rig: Rig, **changes: object) -> OrderIntent:
    """Let one order rest that the venue's cancel-all really cancels."""
    order = intent(rig, **changes)
    await rig.engine.submit(order, timeout_s=1)
    rig.venue.open.append(report(order, OrderStatus.NEW, Decimal(0)))
    return order


def obey(rig: Rig) -> None:
    """Let cancel-all report every open order of the symbol as cancelled."""

    async def cancel_all(symbol: str, *, timeout_s: float) -> None:
        rig.venue.cancelled.append(symbol)
        for row in [r for r in rig.venue.open if r.symbol == symbol and not r.is_protective]:
            rig.venue.open.remove(row)
            rig.engine.on_report(replace(row, status=OrderStatus.CANCELLED))

    rig.venue.cancel_all = cancel_all  # type: ignore[method-assign]  # the fake's own seam


def hold(rig: Rig, quantity: str) -> None:
    rig.portfolio.adopt("BTCUSDT", Decimal(quantity), Decimal(50_000))


async def test_a_kill_cancels_what_rests_and_is_confirmed_by_the_venue() -> None:
    rig = Rig()
    obey(rig)
    order = await resting(rig)
    stop = report(replace(order, link_id=""), OrderStatus.NEW, Decimal(0))
    rig.venue.open.append(replace(stop, is_protective=True))
    outcome = await rig.engine.kill("test", flatten=False)
    assert (outcome.cancelled, outcome.open_orders, outcome.flattened) == (1, 0, False)
    assert outcome.is_confirmed
    assert (len(rig.venue.open), rig.engine.live_orders) == (1, ())


async def test_nothing_leaves_after_a_kill_until_it_is_released() -> None:
    rig = Rig()
    await rig.engine.kill("test", flatten=False)
    with pytest.raises(OrderDenied, match="halted"):
        await rig.engine.submit(intent(rig), timeout_s=1)
    assert rig.journal.latches()["operator"].reason == "kill: test"
    rig.engine.release("operator", reason="all clear")
    await rig.engine.submit(intent(rig), timeout_s=1)
    assert rig.journal.latches() == {}


async def test_a_second_kill_finds_nothing_left_to_do() -> None:
    rig = Rig()
    obey(rig)
    await resting(rig)
    first, second = (
        await rig.engine.kill("a", flatten=True),
        await rig.engine.kill("b", flatten=True),
    )
    assert (first.cancelled, second.cancelled) == (1, 0)
    assert first.flattened
    assert second.flattened


async def test_a_silent_venue_leaves_the_outcome_open_but_the_gate_closed() -> None:
    rig = Rig()

    async def fail(*_args: object, **_options: object) -> list[OrderReport]:
        raise unavailable(Outcome.UNKNOWN)

    rig.venue.open_orders = fail  # type: ignore[method-assign]  # the fake's own seam
    rig.venue.cancel_all = fail  # type: ignore[assignment,method-assign]  # the fake's own seam
    outcome = await rig.engine.kill("test", flatten=True, deadline_s=0.15)
    assert (outcome.open_orders, outcome.cancelled, outcome.flattened) == (None, 0, False)
    assert not outcome.is_confirmed
    assert rig.engine.state is TradingState.HALTED


async def test_orders_the_venue_will_not_cancel_are_counted_at_the_deadline() -> None:
    rig = Rig()
    await resting(rig)
    rig.venue.open.append(replace(rig.venue.open[0], link_id="", order_id="manual", symbol="X"))
    outcome = await rig.engine.kill("test", flatten=False, deadline_s=0.15)
    assert (outcome.cancelled, outcome.open_orders) == (0, 2)
    assert "X" in rig.venue.cancelled


async def test_a_request_of_unknown_outcome_keeps_the_kill_at_work_until_it_is_settled() -> None:
    rig = Rig()
    rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
    order = intent(rig)
    with pytest.raises(ConnectionError):
        await rig.engine.submit(order, timeout_s=1)
    assert (await rig.engine.kill("test", flatten=False, deadline_s=0.05)).open_orders == 1
    rig.clock.advance(6.1)
    outcome = await rig.engine.kill("test", flatten=False)
    assert (outcome.open_orders, outcome.cancelled) == (0, 1)


async def test_a_violation_found_on_the_way_does_not_stop_the_kill() -> None:
    rig = Rig()
    order = await resting(rig)
    rig.venue.open.clear()
    rig.venue.known[order.link_id] = report(order, OrderStatus.FILLED, Decimal(9))
    outcome = await rig.engine.kill("test", flatten=False, deadline_s=0.05)
    assert outcome.open_orders == 1
    assert "invariant" in rig.engine.holds.reasons


@pytest.mark.parametrize("held", ["0.3", "-0.3"])
async def test_a_flattening_kill_closes_by_reduce_only_orders_inside_the_collar(held: str) -> None:
    rig = Rig()
    rig.venue.auto_fill = True
    hold(rig, held)
    outcome = await rig.engine.kill("test", flatten=True)
    assert outcome.flattened
    (sent,) = rig.venue.sent
    assert (sent.reduce_only, sent.quantity) == (True, Decimal("0.3"))
    assert sent.price == (Decimal(49_750) if held == "0.3" else Decimal(50_250))
    assert rig.portfolio.position("BTCUSDT").quantity == 0


@pytest.mark.parametrize(
    "view", [MarketView(mid=None, age_s=None), MarketView(mid=Decimal(1), age_s=9)]
)
async def test_a_position_that_nobody_can_price_is_closed_at_the_market(view: MarketView) -> None:
    rig = Rig()
    rig.venue.auto_fill = True
    rig.view = view
    hold(rig, "0.3")
    assert (await rig.engine.kill("test", flatten=True)).flattened
    assert rig.venue.sent[0].order_type is OrderType.MARKET


async def test_a_large_position_is_closed_in_parts_and_after_failures() -> None:
    rig = Rig()
    rig.venue.auto_fill = True
    rig.venue.failures.append(unavailable(Outcome.NOT_SENT))
    hold(rig, "150")
    assert (await rig.engine.kill("test", flatten=True)).flattened
    assert [i.quantity for i in rig.venue.sent] == [BTC.max_market_qty, BTC.max_market_qty, 50]


async def test_a_kill_works_while_the_journal_is_broken() -> None:
    rig = Rig()
    obey(rig)
    rig.venue.auto_fill = True
    hold(rig, "0.3")
    rig.journal._connection.execute("PRAGMA query_only = 1")
    outcome = await rig.engine.kill("test", flatten=True)
    assert (outcome.open_orders, outcome.flattened) == (0, True)
    assert rig.engine.holds.get("journal") is not None


async def test_two_kills_at_once_are_one_after_the_other() -> None:
    rig = Rig()
    rig.venue.auto_fill = True
    hold(rig, "0.3")
    async with asyncio.TaskGroup() as group:
        kills = [group.create_task(rig.engine.kill("x", flatten=True)) for _ in range(2)]
    assert [kill.result().flattened for kill in kills] == [True, True]
    assert len(rig.venue.sent) == 1


async def test_the_closing_path_is_shut_unless_trading_is_halted() -> None:
    rig = Rig()
    hold(rig, "0.3")
    with pytest.raises(OrderDenied, match="kill switch"):
        await rig.engine.close_position("BTCUSDT", timeout_s=1)
    assert rig.venue.sent == []


async def test_the_position_of_a_symbol_that_is_not_tradable_is_left_alone() -> None:
    rig = Rig()
    foreign = intent(rig, symbol="DOGEUSDT", link_id="manual")
    rig.engine.on_fill(fill(foreign, Decimal(1), Decimal(1)))
    assert (await rig.engine.kill("test", flatten=True)).flattened
    assert rig.venue.sent == []


class Refused:
    """Every HTTP request is refused; own orders are cancelled by the trade stream."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        venue = rig.venue
        venue.open_orders = self.refuse  # type: ignore[method-assign]  # the fake's own seam
        venue.cancel_all = self.refuse  # type: ignore[assignment,method-assign]  # the fake's own seam
        venue.find_order = self.refuse  # type: ignore[assignment,method-assign]  # the fake's own seam
        venue.cancel_batch = self.cancel_batch  # type: ignore[method-assign]  # the fake's own seam

    async def refuse(self, *_args: object, **_options: object) -> list[OrderReport]:
        raise unavailable(Outcome.NOT_SENT)

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        for _, link_id in orders:
            order = self.rig.engine.order(link_id)
            assert order is not None
            self.rig.engine.on_report(report(order.intent, OrderStatus.CANCELLED, Decimal(0)))
        return [BatchOutcome(link_id=link_id) for _, link_id in orders]


def test_a_kill_cancels_and_closes_by_the_trade_stream_while_http_is_refused() -> None:
    async def work(_loop: VirtualLoop) -> None:
        rig = Rig()
        await resting(rig)
        Refused(rig)
        rig.venue.auto_fill = True
        hold(rig, "0.2")
        outcome = await rig.engine.kill("test", flatten=True, deadline_s=3)
        assert (rig.engine.live_orders, rig.engine.open_positions()) == ((), ())
        assert (outcome.open_orders, outcome.flattened) == (None, False), "nobody confirmed it"

    in_virtual_time(work)


def test_the_first_cancel_of_a_kill_waits_for_no_answer() -> None:
    async def work(loop: VirtualLoop) -> None:
        rig = Rig()
        asked: list[float] = []

        async def hang() -> list[OrderReport]:
            await asyncio.sleep(100)
            return []

        async def cancel_all(symbol: str, *, timeout_s: float) -> None:
            asked.append(loop.time())

        rig.venue.open_orders = hang  # type: ignore[method-assign]  # the fake's own seam
        rig.venue.cancel_all = cancel_all  # type: ignore[assignment,method-assign]  # the fake's own seam
        outcome = await rig.engine.kill("test", flatten=False)
        assert asked[0] == 0
        assert len(asked) > 2
        assert (outcome.open_orders, loop.time()) == (None, 10)

    in_virtual_time(work)


def test_positions_close_in_the_second_half_if_an_order_will_not_go() -> None:
    async def work(loop: VirtualLoop) -> None:
        rig = Rig()
        await resting(rig)
        rig.venue.auto_fill = True
        hold(rig, "0.2")
        closed: list[float] = []
        fill_at_once = rig.venue.fill

        def fill_and_note(sent: OrderIntent) -> None:
            closed.append(loop.time())
            fill_at_once(sent)

        rig.venue.fill = fill_and_note  # type: ignore[method-assign]  # the fake's own seam
        outcome = await rig.engine.kill("test", flatten=True, deadline_s=4)
        assert closed == [pytest.approx(2, abs=0.11)]
        assert (outcome.open_orders, outcome.flattened) == (1, False)
        assert rig.engine.open_positions() == ()

    in_virtual_time(work)


async def test_a_violation_found_while_own_orders_are_cancelled_does_not_stop_the_kill() -> None:
    rig = Rig()
    obey(rig)
    order = await resting(rig)
    rig.venue.failures.append(rejected(110001))
    rig.venue.known[order.link_id] = report(order, OrderStatus.FILLED, Decimal(9))
    outcome = await rig.engine.kill("test", flatten=False, deadline_s=0.05)
    assert "invariant" in rig.engine.holds.reasons
    assert outcome.open_orders == 0


async def test_an_order_that_is_gone_when_it_is_cancelled_by_name_is_no_failure() -> None:
    rig = Rig()
    obey(rig)
    await resting(rig)
    rig.venue.failures.append(rejected(110001))
    assert (await rig.engine.kill("test", flatten=False, deadline_s=0.05)).is_confirmed


async def test_an_overfilled_order_is_still_an_order() -> None:
    order = TrackedOrder(intent=intent(Rig()), sent_ns=0)
    with pytest.raises(InvariantViolated):
        order.apply_fill(fill(order.intent, Decimal(1), Decimal(1)), now_ns=1)
    assert order.open_quantity == 0
