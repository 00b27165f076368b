"""The engine on an account in hedge mode."""

from decimal import Decimal

import pytest
from engine_rig import Rig, unavailable

from trading_system.domain.errors import OrderDenied, Outcome, VenueUnavailable
from trading_system.domain.orders import OrderIntent, OrderType, Side, TimeInForce, TrailingStop
from trading_system.risk.limits import DenyReason, TradingState

S = "BTCUSDT"
MID = Decimal(50_000)


async def trade(rig: Rig, side: Side, quantity: str, *, reduce_only: bool = False) -> OrderIntent:
    intent = OrderIntent(
        symbol=S,
        side=side,
        order_type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=MID,
        time_in_force=TimeInForce.IOC,
        reduce_only=reduce_only,
        link_id=rig.engine.next_link_id(),
    )
    await rig.engine.submit(intent, timeout_s=1)
    return intent


async def both_sides() -> Rig:
    rig = Rig(hedged=[S], rate=100)
    rig.venue.auto_fill = True
    await trade(rig, Side.BUY, "0.2")
    await trade(rig, Side.SELL, "0.15")
    return rig


def quantities(rig: Rig) -> list[Decimal]:
    return [stake.quantity for stake in rig.portfolio.stakes_of(S)]


async def test_a_sell_that_is_no_exit_opens_the_short_side() -> None:
    rig = await both_sides()
    assert quantities(rig) == [Decimal("0.2"), Decimal("-0.15")]
    assert rig.engine.own_quantity(S) == Decimal("0.05")
    await trade(rig, Side.SELL, "0.1", reduce_only=True)
    assert quantities(rig) == [Decimal("0.1"), Decimal("-0.15")]


async def test_an_exit_is_measured_by_its_own_side() -> None:
    rig = await both_sides()
    with pytest.raises(OrderDenied) as e:
        await trade(rig, Side.BUY, "0.16", reduce_only=True)  # the short side is smaller
    assert e.value.reason == DenyReason.REDUCE_ONLY.value
    await trade(rig, Side.SELL, "0.2", reduce_only=True)  # more than the net position


async def test_the_sides_do_not_offset_each_other_in_the_limits() -> None:
    rig = Rig(hedged=[S], rate=100)
    rig.venue.auto_fill = True
    for _ in range(2):
        await trade(rig, Side.BUY, "0.2")
        await trade(rig, Side.SELL, "0.2")
    # Net there is nothing; gross the account holds 0.8, or 40,000 of 50,000.
    assert rig.portfolio.position(S).quantity == 0
    await trade(rig, Side.BUY, "0.2")
    with pytest.raises(OrderDenied) as e:
        await trade(rig, Side.BUY, "0.1")
    assert e.value.reason == DenyReason.GROSS_NOTIONAL.value


async def test_a_stop_belongs_to_the_larger_side_and_is_removed_from_both() -> None:
    rig = await both_sides()
    await rig.engine.protect(S, Decimal(49_000), timeout_s=1)
    await rig.engine.trail(S, TrailingStop(distance=Decimal(100)), timeout_s=1)
    assert (rig.venue.stop_indices, rig.venue.trails[0][2]) == ([1], 1)
    await trade(rig, Side.SELL, "0.2")
    await rig.engine.protect(S, Decimal(51_000), timeout_s=1)
    await rig.engine.protect(S, None, timeout_s=1)
    assert rig.venue.stop_indices == [1, 2, 1, 2]


async def test_a_kill_closes_both_sides() -> None:
    rig = await both_sides()
    rig.venue.sent.clear()
    outcome = await rig.engine.kill("test", flatten=True)
    assert [(i.side, i.quantity, i.reduce_only) for i in rig.venue.sent] == [
        (Side.SELL, Decimal("0.2"), True),
        (Side.BUY, Decimal("0.15"), True),
    ]
    assert outcome.flattened
    assert quantities(rig) == [0, 0]
    assert rig.engine.own_quantity(S) == 0


async def test_equal_sides_are_not_flat_to_a_kill() -> None:
    rig = Rig(hedged=[S], rate=100)
    rig.venue.auto_fill = True
    await trade(rig, Side.BUY, "0.1")
    await trade(rig, Side.SELL, "0.1")
    assert rig.engine.open_positions() == (S,)
    await rig.engine.kill("test", flatten=True)
    assert rig.engine.open_positions() == ()


async def test_the_second_side_is_closed_even_if_the_first_one_fails() -> None:
    rig = await both_sides()
    rig.engine.holds.set("test", TradingState.HALTED, "a test")
    rig.venue.failures.append(unavailable(Outcome.NOT_SENT))
    with pytest.raises(VenueUnavailable):
        await rig.engine.close_position(S, timeout_s=1)
    assert quantities(rig) == [Decimal("0.2"), 0]
    await rig.engine.close_position(S, timeout_s=1)
    assert quantities(rig) == [0, 0]
