"""Order requests from untrusted fields."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.bybit_server.parameters import Fields, bad
from trading_system.simulation.records import (
    OrderRequest,
    SelfMatch,
    StopChange,
    StopKind,
    TriggerBy,
)

_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_ORDER_TYPES = {"Market": OrderType.MARKET, "Limit": OrderType.LIMIT}
_TIMES_IN_FORCE = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
}
_SELF_MATCHES = {value.value: value for value in SelfMatch}
_PRICED = (
    "triggerPrice",
    "takeProfit",
    "stopLoss",
    "tpLimitPrice",
    "slLimitPrice",
    "trailingStop",
    "activePrice",
)
_STOPS = (
    (StopKind.TAKE_PROFIT, "takeProfit", "tpTriggerBy"),
    (StopKind.STOP_LOSS, "stopLoss", "slTriggerBy"),
)
_TRIGGERS = {value.value: value for value in TriggerBy}
_PARTIAL_STOPS = (
    "trailingStop",
    "activePrice",
    "tpSize",
    "slSize",
    "tpLimitPrice",
    "slLimitPrice",
)
_PLAIN_FILTERS = frozenset({"Order", "OpenOrder"})
_NAMED = ("bboSideType", "slippageToleranceType")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReference:
    """Which order is meant; if both ids are given, the order id wins."""

    symbol: str
    order_id: str
    link_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """What an amend asks for; None leaves a value as it is."""

    reference: OrderReference
    price: Decimal | None
    quantity: Decimal | None


def create_request(fields: Fields) -> OrderRequest:
    """Return the order a create body asks for.

    Raises
    ------
    VenueReject
        10001 if a field is missing, malformed or asks for something this venue does not have.
    """
    refuse_unsupported(fields)
    order_type = fields.choice("orderType", _ORDER_TYPES)
    is_market = order_type is OrderType.MARKET
    price = None if is_market else fields.amount("price")
    if price is None and not is_market:
        raise bad("params error: price is required for a limit order")
    quantity = fields.amount("qty")
    if quantity is None:
        raise bad("params error: qty is required")
    time_in_force = fields.choice("timeInForce", _TIMES_IN_FORCE, default=TimeInForce.GTC)
    return OrderRequest(
        symbol=fields.required("symbol"),
        side=fields.choice("side", _SIDES),
        order_type=order_type,
        quantity=quantity,
        price=price,
        time_in_force=TimeInForce.IOC if is_market else time_in_force,
        link_id=fields.text("orderLinkId"),
        position_idx=fields.integer("positionIdx", default=0) or 0,
        reduce_only=fields.flag("reduceOnly"),
        close_on_trigger=fields.flag("closeOnTrigger"),
        self_match=fields.choice("smpType", _SELF_MATCHES, default=SelfMatch.NONE),
    )


def order_reference(fields: Fields) -> OrderReference:
    """Return the order that an amend or cancel names."""
    order_id, link_id = fields.text("orderId"), fields.text("orderLinkId")
    if not (order_id or link_id):
        raise bad("params error: orderId or orderLinkId is required")
    return OrderReference(
        symbol=fields.required("symbol"),
        order_id=order_id,
        link_id="" if order_id else link_id,
    )


def order_change(fields: Fields) -> OrderChange:
    """Return what an amend body asks for."""
    refuse_unsupported(fields)
    change = OrderChange(
        reference=order_reference(fields),
        price=fields.amount("price"),
        quantity=fields.amount("qty"),
    )
    if change.price is None and change.quantity is None:
        raise bad("params error: nothing to amend")
    return change


def stop_changes(fields: Fields) -> list[StopChange]:
    """Return what a trading-stop body asks for; an empty list changes nothing.

    Clients leave out ``positionIdx`` and ``tpslMode``, which the documentation requires: they
    mean one-way and Full here.

    Raises
    ------
    VenueReject
        10001 if a field is malformed or asks for something this venue does not have.
    """
    if fields.text("tpslMode", default="Full") != "Full":
        raise bad("tpslMode Partial is not supported by this venue, use Full")
    if fields.integer("positionIdx", default=0) != 0:
        raise bad("position idx not match position mode: one-way needs 0")
    for name in _PARTIAL_STOPS:
        if fields.is_set(name):
            raise bad(f"{name} is not supported by this venue")
    for name in ("tpOrderType", "slOrderType"):
        if fields.text(name, default="Market") != "Market":
            raise bad(f"{name} Limit is not supported by this venue, use Market")
    changes = []
    for kind, price_name, by_name in _STOPS:
        price = fields.amount(price_name)
        by = fields.choice(by_name, _TRIGGERS, default=TriggerBy.LAST)
        if price is not None:
            if price < 0:
                raise bad(f"params error: {price_name} must not be negative")
            changes.append(StopChange(kind=kind, price=price, by=by))
    return changes


def refuse_unsupported(fields: Fields) -> None:
    """Refuse conditional orders and the like, instead of silently placing a plain order."""
    for name in _PRICED:
        if fields.is_set(name):
            raise bad(f"{name} is not supported by this venue")
    if fields.text("orderFilter", default="Order") not in _PLAIN_FILTERS:
        raise bad("orderFilter of conditional orders is not supported by this venue, use Order")
    for name in _NAMED:
        if fields.text(name, default="UNKNOWN") != "UNKNOWN":
            raise bad(f"{name} is not supported by this venue")
