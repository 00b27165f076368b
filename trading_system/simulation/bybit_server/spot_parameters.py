"""Spot order requests from untrusted fields, refused with spot's codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.bybit_server.parameters import Fields, bad, stop_limit
from trading_system.simulation.conditions import GuardRequest, StopKind, TriggerRequest
from trading_system.simulation.records import OrderRequest, SelfMatch, VenueReject

_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_ORDER_TYPES = {
    "Market": OrderType.MARKET,
    "MARKET": OrderType.MARKET,
    "Limit": OrderType.LIMIT,
    "LIMIT": OrderType.LIMIT,
}
_TIMES_IN_FORCE = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
}
_SELF_MATCHES = {value.value: value for value in SelfMatch}
_MARKET_UNITS = {"baseCoin": False, "quoteCoin": True}
SPOT_FILTERS: dict[str, StopKind | None] = {
    "Order": None,
    "StopOrder": StopKind.STOP,
    "tpslOrder": StopKind.TPSL,
}
"""Kind of waiting order by ``orderFilter``, None for orders that do not wait."""

_UNSUPPORTED = ("slippageTolerance",)

Choice = TypeVar("Choice")


def spot_request(fields: Fields) -> OrderRequest:
    """Return the order a spot create body asks for.

    Raises
    ------
    VenueReject
        170105 if a field is missing, 170130 and its like if one is malformed, 10001 for what this
        venue does not have.
    """
    for name in _UNSUPPORTED:
        if fields.is_set(name):
            raise bad(f"{name} is not supported for spot by this venue")
    if fields.text("isLeverage", default="0") != "0":
        raise bad("isLeverage 1 is not supported: this venue lends no coins")
    side = _choice(fields, "side", _SIDES, code=170117)
    order_type = _choice(fields, "orderType", _ORDER_TYPES, code=170116)
    is_market = order_type is OrderType.MARKET
    quantity = fields.amount("qty")
    if quantity is None:
        raise VenueReject(170105, "Parameter 'qty' was empty.")
    time_in_force = TimeInForce.IOC
    if not is_market and fields.text("timeInForce"):
        time_in_force = _choice(fields, "timeInForce", _TIMES_IN_FORCE, code=170115)
    elif not is_market:
        time_in_force = TimeInForce.GTC
    in_quote = None
    if fields.text("marketUnit") and is_market:
        in_quote = _choice(fields, "marketUnit", _MARKET_UNITS, code=170130)
    return OrderRequest(
        symbol=fields.listing(),
        side=side,
        order_type=order_type,
        quantity=quantity,
        price=None if is_market else fields.amount("price"),
        time_in_force=time_in_force,
        link_id=fields.text("orderLinkId"),
        self_match=_choice(fields, "smpType", _SELF_MATCHES, code=170130, default=SelfMatch.NONE),
        in_quote=in_quote,
        trigger=_trigger(fields),
        take_profit=_guard(fields, "tp", "takeProfit"),
        stop_loss=_guard(fields, "sl", "stopLoss"),
    )


def _guard(fields: Fields, prefix: str, name: str) -> GuardRequest | None:
    if not fields.is_set(name):
        return None
    price = fields.amount(name)
    assert price is not None
    return GuardRequest(price=price, limit_price=stop_limit(fields, prefix))


def _trigger(fields: Fields) -> TriggerRequest | None:
    name = fields.text("orderFilter", default="Order")
    if name not in SPOT_FILTERS:
        raise VenueReject(170201, f"orderFilter {name[:32]} is not supported by this venue")
    kind, price = SPOT_FILTERS[name], fields.amount("triggerPrice")
    if kind is None:
        if price:
            raise VenueReject(170130, "triggerPrice needs orderFilter StopOrder or tpslOrder")
        return None
    if price is None:
        raise VenueReject(170105, "Parameter 'triggerPrice' was empty.")
    return TriggerRequest(price=price, kind=kind)


def _choice(
    fields: Fields,
    name: str,
    values: Mapping[str, Choice],
    *,
    code: int,
    default: Choice | None = None,
) -> Choice:
    text = fields.text(name)
    if not text and default is not None:
        return default
    if text not in values:
        raise VenueReject(code, f"Invalid {name}: must be one of {', '.join(values)}")
    return values[text]
