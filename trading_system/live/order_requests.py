"""Orders as users ask for them: checked, and refused in their own words."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from trading_system.domain.errors import ValidationError
from trading_system.domain.instruments import parse_decimal
from trading_system.domain.orders import (
    AttachedExit,
    OrderIntent,
    OrderType,
    PriceSource,
    Side,
    TimeInForce,
    Trigger,
    TriggerDirection,
)

RESTING = frozenset({TimeInForce.GTC, TimeInForce.POST_ONLY})
"""Times in force with which a limit order may stay in the book."""

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_TYPES = {"market": OrderType.MARKET, "limit": OrderType.LIMIT}
_TIMES = {
    "gtc": TimeInForce.GTC,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
    "postonly": TimeInForce.POST_ONLY,
}
_DIRECTIONS = {"rise": TriggerDirection.RISE, "fall": TriggerDirection.FALL}
_SOURCES = {
    "last": PriceSource.LAST,
    "mark": PriceSource.MARK,
    "index": PriceSource.INDEX,
    "lastprice": PriceSource.LAST,
    "markprice": PriceSource.MARK,
    "indexprice": PriceSource.INDEX,
}
_EXITS = ("take_profit", "stop_loss")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One order as a user asks for it, checked.

    Parameters
    ----------
    stop_loss : Decimal or None
        Stop for the whole position, set once the order was accepted; only for orders that trade
        at once and bring no ``take_profit``.
    trigger_price : Decimal or None
        Makes the order conditional.
    trigger_direction : TriggerDirection or None
        None leaves it to the market: whether the trigger price is above or below it.
    exits : tuple of AttachedExit or None
        Take profit and stop loss that the venue sets when the order fills.
    """

    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    reduce_only: bool
    stop_loss: Decimal | None
    trigger_price: Decimal | None = None
    trigger_by: PriceSource = PriceSource.LAST
    trigger_direction: TriggerDirection | None = None
    exits: tuple[AttachedExit | None, AttachedExit | None] = (None, None)

    def intent(self, link_id: str, *, mid: Decimal | None) -> OrderIntent:
        """Return what is to be sent.

        Parameters
        ----------
        mid : Decimal or None
            The market now, quote currency; it tells from which side a trigger is reached.

        Raises
        ------
        ValidationError
            If the exits do not fit the order, or nobody knows where the market is.
        """
        take_profit, stop_loss = self.exits
        return OrderIntent(
            symbol=self.symbol,
            side=self.side,
            order_type=self.order_type,
            quantity=self.quantity,
            price=self.price,
            time_in_force=self.time_in_force,
            reduce_only=self.reduce_only,
            link_id=link_id,
            trigger=self._trigger(mid),
            take_profit=take_profit,
            stop_loss=stop_loss,
        )

    def _trigger(self, mid: Decimal | None) -> Trigger | None:
        if self.trigger_price is None:
            return None
        direction = self.trigger_direction
        if direction is None:
            if mid is None:
                raise ValidationError(
                    f"no {self.symbol} price now; give trigger_direction, Rise or Fall"
                )
            is_above = self.trigger_price > mid
            direction = TriggerDirection.RISE if is_above else TriggerDirection.FALL
        return Trigger(price=self.trigger_price, direction=direction, by=self.trigger_by)


def side_of(text: object) -> Side:
    """Return the side that ``text`` names: Buy or Sell, in any case.

    Raises
    ------
    ValidationError
        If it names neither.
    """
    side = _SIDES.get(str(text).lower())
    if side is None:
        raise ValidationError(f"side must be Buy or Sell, was {str(text)[:40]!r}")
    return side


def order_request(symbol: str, side: str, **parameters: object) -> OrderRequest:
    """Return the checked request; see :meth:`GatedClient.place_order` for the parameters.

    Raises
    ------
    ValidationError
        If a value is wrong or a parameter is unknown; nothing is sent.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    order_type = _named(given.pop("order_type", "Market"), _TYPES, "order_type")
    is_market = order_type is OrderType.MARKET
    times = given.pop("time_in_force", "IOC" if is_market else "GTC")
    quantity, price = given.pop("quantity", None), given.pop("price", None)
    reduce_only = given.pop("reduce_only", False)
    if given.pop("close_on_trigger", False):
        raise ValidationError("close_on_trigger belongs to conditional orders; use reduce_only")
    trigger = _taken_trigger(given)
    exits = _taken_exits(given)
    if given:
        raise ValidationError(f"unknown or unsupported order parameter: {min(given)}")
    if quantity is None:
        raise ValidationError("quantity is needed")
    if is_market == (price is not None):
        raise ValidationError("a limit order needs a price, a market order has none")
    if not isinstance(reduce_only, bool):
        raise ValidationError("reduce_only must be True or False")
    time_in_force = _named(times, _TIMES, "time_in_force")
    trades_at_once = is_market or time_in_force not in RESTING
    if trigger[0] is not None and (exits[0] is not None or exits[1] is not None):
        raise ValidationError("a conditional order can have no take_profit or stop_loss")
    stop_loss = _stop_of_its_own(exits) if trades_at_once else None
    return OrderRequest(
        symbol=symbol,
        side=side_of(side),
        order_type=order_type,
        quantity=_positive(quantity, "quantity"),
        price=_positive(price, "price") if price is not None else None,
        time_in_force=time_in_force,
        reduce_only=reduce_only,
        stop_loss=stop_loss,
        trigger_price=trigger[0],
        trigger_by=trigger[1],
        trigger_direction=trigger[2],
        exits=(None, None) if stop_loss is not None else exits,
    )


def _taken_trigger(
    given: dict[str, object],
) -> tuple[Decimal | None, PriceSource, TriggerDirection | None]:
    price = given.pop("trigger_price", None)
    by, direction = given.pop("trigger_by", None), given.pop("trigger_direction", None)
    if price is None and (by is not None or direction is not None):
        raise ValidationError("trigger_by and trigger_direction need a trigger_price")
    return (
        None if price is None else _positive(price, "trigger_price"),
        PriceSource.LAST if by is None else _named(by, _SOURCES, "trigger_by"),
        None if direction is None else _named(direction, _DIRECTIONS, "trigger_direction"),
    )


def _taken_exits(given: dict[str, object]) -> tuple[AttachedExit | None, AttachedExit | None]:
    by = given.pop("exit_trigger_by", None)
    source = PriceSource.MARK if by is None else _named(by, _SOURCES, "exit_trigger_by")
    found = tuple(_taken_exit(given, name, source) for name in _EXITS)
    if by is not None and found == (None, None):
        raise ValidationError("exit_trigger_by needs a take_profit or a stop_loss")
    return found[0], found[1]


def _taken_exit(given: dict[str, object], name: str, source: PriceSource) -> AttachedExit | None:
    price, limit = given.pop(name, None), given.pop(f"{name}_limit_price", None)
    if price is None:
        if limit is not None:
            raise ValidationError(f"{name}_limit_price needs a {name}")
        return None
    return AttachedExit(
        price=_positive(price, name),
        by=source,
        limit_price=None if limit is None else _positive(limit, f"{name}_limit_price"),
    )


def _stop_of_its_own(exits: tuple[AttachedExit | None, AttachedExit | None]) -> Decimal | None:
    """Return the price of a plain stop loss, which is set for the position after the trade."""
    take_profit, stop_loss = exits
    is_plain = stop_loss is not None and stop_loss.limit_price is None
    return stop_loss.price if stop_loss is not None and is_plain and take_profit is None else None


def _named(value: object, known: dict[str, T], name: str) -> T:
    found = known.get(str(value).lower().replace("_", ""))
    if found is None:
        raise ValidationError(f"{name} must be one of {', '.join(known)}, was {str(value)[:40]!r}")
    return found


def _positive(value: object, name: str) -> Decimal:
    number = parse_decimal(str(value))
    if not number > 0:
        raise ValidationError(f"{name} must be positive, was {value}")
    return number
