"""Changes of a position's stops from untrusted fields."""

from __future__ import annotations

from decimal import Decimal

from trading_system.simulation.bybit_server.order_parameters import (
    SCOPES,
    TRIGGERS,
)
from trading_system.simulation.bybit_server.parameters import Fields, bad, stop_limit
from trading_system.simulation.conditions import StopChange, StopKind, StopScope, TriggerBy
from trading_system.simulation.records import VenueReject

_FULL_SCOPE = 110060
_WHOLE = (("tp", "takeProfit", StopKind.TAKE_PROFIT), ("sl", "stopLoss", StopKind.STOP_LOSS))
_PARTIAL = {
    "tp": StopKind.PARTIAL_TAKE_PROFIT,
    "sl": StopKind.PARTIAL_STOP_LOSS,
}


def stop_changes(fields: Fields) -> list[StopChange]:
    """Return what a trading-stop body asks for; an empty list changes nothing.

    Clients leave out ``positionIdx`` and ``tpslMode``, which the documentation requires: they
    mean one-way and Full here.

    Raises
    ------
    VenueReject
        10001 if a field is malformed, 110060 if Full stops are to have a size or a limit price.
    """
    scope = fields.choice("tpslMode", SCOPES, default=StopScope.FULL)
    sizes = _sizes(fields, scope)
    changes = []
    for prefix, name, kind in _WHOLE:
        price = _price(fields, name)
        by = fields.choice(f"{prefix}TriggerBy", TRIGGERS, default=TriggerBy.LAST)
        limit_price = stop_limit(fields, prefix)
        if scope is StopScope.FULL and limit_price is not None:
            raise VenueReject(_FULL_SCOPE, f"{prefix}LimitPrice needs tpslMode Partial")
        if price is None:
            continue
        is_partial = scope is StopScope.PARTIAL
        if is_partial and price and sizes[prefix] is None:
            raise bad(f"params error: {prefix}Size is required for tpslMode Partial")
        changes.append(
            StopChange(
                kind=_PARTIAL[prefix] if is_partial else kind,
                price=price,
                by=by,
                quantity=sizes[prefix] if is_partial else None,
                limit_price=limit_price,
            )
        )
    distance = _price(fields, "trailingStop")
    if distance is not None:
        changes.append(
            StopChange(
                kind=StopKind.TRAILING_STOP,
                price=distance,
                active_price=_price(fields, "activePrice"),
            )
        )
    return changes


def _price(fields: Fields, name: str) -> Decimal | None:
    price = fields.amount(name)
    if price is not None and price < 0:
        raise bad(f"params error: {name} must not be negative")
    return price


def _sizes(fields: Fields, scope: StopScope) -> dict[str, Decimal | None]:
    sizes = {
        prefix: fields.amount(f"{prefix}Size") if fields.is_set(f"{prefix}Size") else None
        for prefix in ("tp", "sl")
    }
    given = [size for size in sizes.values() if size is not None]
    if given and scope is StopScope.FULL:
        raise VenueReject(_FULL_SCOPE, "tpSize and slSize need tpslMode Partial")
    if len(set(given)) > 1:
        raise bad("params error: tpSize must equal slSize")
    return sizes
