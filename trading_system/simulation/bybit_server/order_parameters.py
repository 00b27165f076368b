"""Order requests from untrusted fields."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.bybit_server.parameters import Fields, bad, stop_limit
from trading_system.simulation.bybit_server.spot_parameters import spot_request
from trading_system.simulation.conditions import (
    Amendment,
    BookPrice,
    GuardChange,
    GuardRequest,
    Slippage,
    SlippageUnit,
    StopScope,
    TriggerBy,
    TriggerRequest,
)
from trading_system.simulation.records import OrderRequest, SelfMatch

TRIGGERS = {value.value: value for value in TriggerBy}
"""What a trigger may watch, by its name on the wire."""

SCOPES = {value.value: value for value in StopScope}
"""``tpslMode`` by its name on the wire."""

_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_ORDER_TYPES = {"Market": OrderType.MARKET, "Limit": OrderType.LIMIT}
_TIMES_IN_FORCE = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
}
_SELF_MATCHES = {value.value: value for value in SelfMatch}
_DIRECTIONS: dict[str, bool | None] = {"0": None, "1": True, "2": False}
_SLIPPAGE_UNITS = {value.value: value for value in SlippageUnit}
_BOOK_SIDES = {"Queue": True, "Counterparty": False}
_FILTERS = {name: name for name in ("Order", "OpenOrder", "StopOrder")}
_LEVELS = 5
_POSITION_ONLY = ("trailingStop", "activePrice")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReference:
    """Which order is meant; if both ids are given, the order id wins."""

    symbol: str
    order_id: str
    link_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """Which order an amend means, and what it asks for."""

    reference: OrderReference
    amendment: Amendment


def create_request(fields: Fields) -> OrderRequest:
    """Return the order a create body asks for.

    Raises
    ------
    VenueReject
        10001 if a field is missing, malformed or asks for something this venue does not have.
    """
    if fields.category(default="linear") == "spot":
        return spot_request(fields)
    for name in _POSITION_ONLY:
        if fields.is_set(name):
            raise bad(f"{name} is set by position/trading-stop, not with an order")
    order_type = fields.choice("orderType", _ORDER_TYPES)
    is_market = order_type is OrderType.MARKET
    book_price = None if is_market else _book_price(fields)
    price = None if is_market else fields.amount("price")
    if price is None and not (is_market or book_price):
        raise bad("params error: price is required for a limit order")
    quantity = fields.amount("qty")
    if quantity is None:
        raise bad("params error: qty is required")
    time_in_force = fields.choice("timeInForce", _TIMES_IN_FORCE, default=TimeInForce.GTC)
    trigger = _trigger(fields)
    _check_filter(fields, is_conditional=trigger is not None)
    return OrderRequest(
        symbol=fields.listing(default="linear"),
        side=fields.choice("side", _SIDES),
        order_type=order_type,
        quantity=quantity,
        price=price,
        time_in_force=TimeInForce.IOC if is_market else time_in_force,
        link_id=fields.text("orderLinkId"),
        position_idx=position_index(fields),
        reduce_only=fields.flag("reduceOnly"),
        close_on_trigger=fields.flag("closeOnTrigger"),
        self_match=fields.choice("smpType", _SELF_MATCHES, default=SelfMatch.NONE),
        trigger=trigger,
        take_profit=_guard(fields, "tp", "takeProfit"),
        stop_loss=_guard(fields, "sl", "stopLoss"),
        scope=fields.choice("tpslMode", SCOPES, default=StopScope.FULL),
        slippage=_slippage(fields),
        book_price=book_price,
    )


def order_reference(fields: Fields) -> OrderReference:
    """Return the order that an amend or cancel names."""
    order_id, link_id = fields.text("orderId"), fields.text("orderLinkId")
    if not (order_id or link_id):
        raise bad("params error: orderId or orderLinkId is required")
    return OrderReference(
        symbol=fields.listing(default="linear"),
        order_id=order_id,
        link_id="" if order_id else link_id,
    )


def order_change(fields: Fields) -> OrderChange:
    """Return what an amend body asks for; "0" for a take profit or stop loss removes it."""
    amendment = Amendment(
        price=fields.amount("price"),
        quantity=fields.amount("qty"),
        trigger_price=fields.amount("triggerPrice") if fields.is_set("triggerPrice") else None,
        trigger_by=fields.choice("triggerBy", TRIGGERS) if fields.text("triggerBy") else None,
        take_profit=_guard_change(fields, "tp", "takeProfit"),
        stop_loss=_guard_change(fields, "sl", "stopLoss"),
    )
    if amendment == Amendment():
        raise bad("params error: nothing to amend")
    return OrderChange(reference=order_reference(fields), amendment=amendment)


def position_index(fields: Fields) -> int:
    """Return ``positionIdx``: 0 one-way, 1 long and 2 short side of a hedged contract."""
    index = fields.integer("positionIdx", default=0) or 0
    if index not in {0, 1, 2}:
        raise bad("params error: positionIdx must be 0, 1 or 2")
    return index


def _trigger(fields: Fields) -> TriggerRequest | None:
    if not fields.is_set("triggerPrice"):
        return None
    price = fields.amount("triggerPrice")
    assert price is not None
    direction = fields.text("triggerDirection", default="0")
    if direction not in _DIRECTIONS:
        raise bad("params error: triggerDirection must be 1 (rise) or 2 (fall)")
    return TriggerRequest(
        price=price,
        by=fields.choice("triggerBy", TRIGGERS, default=TriggerBy.LAST),
        on_rise=_DIRECTIONS[direction],
    )


def _check_filter(fields: Fields, *, is_conditional: bool) -> None:
    # ``orderFilter`` is a field of spot orders; clients send it for contracts too.
    name = fields.text("orderFilter")
    if name and (name not in _FILTERS or (name == "StopOrder") != is_conditional):
        raise bad(f"orderFilter {name} does not fit: it follows from triggerPrice")


def _guard(fields: Fields, prefix: str, name: str) -> GuardRequest | None:
    price = _guard_price(fields, name)
    if not price:
        return None
    return GuardRequest(
        price=price,
        by=fields.choice(f"{prefix}TriggerBy", TRIGGERS, default=TriggerBy.LAST),
        limit_price=stop_limit(fields, prefix),
    )


# An amendment has no ``tpOrderType``: a take profit that was to be a limit order stays one.
def _guard_change(fields: Fields, prefix: str, name: str) -> GuardChange | None:
    by, limit = f"{prefix}TriggerBy", f"{prefix}LimitPrice"
    change = GuardChange(
        price=_guard_price(fields, name),
        by=fields.choice(by, TRIGGERS) if fields.text(by) else None,
        limit_price=fields.amount(limit) if fields.is_set(limit) else None,
    )
    return None if change == GuardChange() else change


def _guard_price(fields: Fields, name: str) -> Decimal | None:
    price = fields.amount(name)
    if price is not None and price < 0:
        raise bad(f"params error: {name} must not be negative")
    return price


def _slippage(fields: Fields) -> Slippage | None:
    unit = fields.text("slippageToleranceType", default="UNKNOWN")
    if unit == "UNKNOWN":
        return None
    value = fields.amount("slippageTolerance")
    if value is None:
        raise bad("params error: slippageTolerance is required with slippageToleranceType")
    return Slippage(unit=fields.choice("slippageToleranceType", _SLIPPAGE_UNITS), value=value)


def _book_price(fields: Fields) -> BookPrice | None:
    if not fields.text("bboSideType"):
        return None
    level = fields.integer("bboLevel", default=1)
    if level is None or not 1 <= level <= _LEVELS:
        raise bad(f"params error: bboLevel must be 1 to {_LEVELS}")
    return BookPrice(is_own_side=fields.choice("bboSideType", _BOOK_SIDES), level=level)
