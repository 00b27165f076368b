"""Prices at which something is to happen, checked: triggers, take profits, stop losses."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from trading_system.domain.errors import OffGridError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.conditions import (
    Guard,
    GuardRequest,
    StopScope,
    Trigger,
    TriggerBy,
    TriggerRequest,
)
from trading_system.simulation.contracts import Contract
from trading_system.simulation.records import VenueReject

_EXPECTED_RISE, _EXPECTED_FALL = 110092, 110093
_FULL_SCOPE = 110060


def watched_price(contract: Contract, by: TriggerBy) -> Decimal:
    """Return the price a trigger compares with; before the first trade the mark stands in."""
    if by is TriggerBy.INDEX:
        return contract.index
    if by is TriggerBy.MARK or contract.last_ticks is None:
        return contract.mark
    return contract.instrument.ticks_to_price(contract.last_ticks)


def grid_ticks(instrument: Instrument, price: Decimal, *, what: str) -> int:
    """Return a positive price in ticks.

    Raises
    ------
    VenueReject
        10001 when it is not positive, too high or off the tick grid.
    """
    if not (price.is_finite() and 0 < price <= instrument.max_price):
        raise VenueReject(10001, f"{what} is out of range")
    try:
        return instrument.price_to_ticks(price)
    except (OffGridError, InvalidOperation) as e:
        raise VenueReject(10001, f"{what} is not a multiple of {instrument.tick_size}") from e


def condition(contract: Contract, wish: TriggerRequest) -> Trigger:
    """Return the condition of a conditional order.

    Raises
    ------
    VenueReject
        10001 off the grid; 110092 or 110093 when the watched price is there or beyond already.
    """
    ticks = grid_ticks(contract.instrument, wish.price, what="triggerPrice")
    base = watched_price(contract, wish.by)
    on_rise = wish.price > base if wish.on_rise is None else wish.on_rise
    check_ahead(price=wish.price, base=base, on_rise=on_rise)
    return Trigger(kind=wish.kind, price_ticks=ticks, by=wish.by, on_rise=on_rise)


def check_ahead(*, price: Decimal, base: Decimal, on_rise: bool) -> None:
    """Refuse a trigger price that the watched price ``base`` has reached already."""
    if on_rise and price <= base:
        raise VenueReject(_EXPECTED_RISE, f"expect Rising, trigger_price[{price}] <= {base}")
    if not on_rise and price >= base:
        raise VenueReject(_EXPECTED_FALL, f"expect Falling, trigger_price[{price}] >= {base}")


def check_side(
    *,
    what: str,
    price: Decimal,
    base: Decimal,
    by: TriggerBy | None,
    side: Side,
    above: bool,
) -> None:
    """Refuse (10001) a stop of a position of ``side`` on the wrong side of ``base``.

    ``by`` None says that ``base`` is the price of the order itself.
    """
    if price <= base if above else price >= base:
        name = "Buy" if side is Side.BUY else "Sell"
        relation = "higher" if above else "lower"
        raise VenueReject(
            10001,
            f"{what}:{price} set for {name} position should be {relation} "
            f"than base_price:{base} ({'order price' if by is None else by.value})",
        )


def guards(
    contract: Contract,
    side: Side,
    *,
    order_type: OrderType,
    price_ticks: int,
    take_profit: GuardRequest | None,
    stop_loss: GuardRequest | None,
    scope: StopScope,
) -> tuple[Guard | None, Guard | None]:
    """Return the checked take profit and stop loss of an order.

    A limit order's own price is what they compare with, a market order's the watched price.
    """
    made: list[Guard | None] = []
    for wish, takes_profit in ((take_profit, True), (stop_loss, False)):
        if wish is None or wish.price == 0:
            made.append(None)
            continue
        order_ticks = price_ticks if order_type is OrderType.LIMIT else 0
        made.append(
            _guard(
                contract,
                side,
                wish=wish,
                takes_profit=takes_profit,
                order_ticks=order_ticks,
                scope=scope,
            )
        )
    return made[0], made[1]


def _guard(
    contract: Contract,
    side: Side,
    *,
    wish: GuardRequest,
    takes_profit: bool,
    order_ticks: int,
    scope: StopScope,
) -> Guard:
    what = "TakeProfit" if takes_profit else "StopLoss"
    ticks = grid_ticks(contract.instrument, wish.price, what=what)
    is_own = order_ticks > 0
    check_side(
        what=what,
        price=wish.price,
        base=contract.instrument.ticks_to_price(order_ticks)
        if is_own
        else watched_price(contract, wish.by),
        by=None if is_own else wish.by,
        side=side,
        above=takes_profit == (side is Side.BUY),
    )
    limit_ticks = 0
    if wish.limit_price is not None:
        if scope is StopScope.FULL:
            raise VenueReject(_FULL_SCOPE, f"{what} at a limit price needs tpslMode Partial")
        limit_ticks = grid_ticks(contract.instrument, wish.limit_price, what=f"{what} limit price")
    return Guard(price_ticks=ticks, by=wish.by, limit_ticks=limit_ticks)
