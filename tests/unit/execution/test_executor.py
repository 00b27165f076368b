from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from engine_rig import BTC, Rig, rejected, report, unavailable

from trading_system.domain.errors import Outcome
from trading_system.domain.orders import OrderIntent, OrderStatus, Side, TimeInForce
from trading_system.execution.executor import Executor
from trading_system.domain.parents import ExecutionStyle, ParentOrder
from trading_system.risk.limits import TradingState


@dataclass
class Quote:
    bid: Decimal | None = Decimal("49999.9")
    ask: Decimal | None = Decimal("50000.1")


class Desk:
    def __init__(self) -> None:
        self.rig = Rig(rate=100)
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
    desk.rig.engine.state = TradingState.HALTED
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
    desk.rig.engine.state = TradingState.HALTED
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
