"""Bodies of order requests as the venue spells them; one spelling for REST and stream."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from trading_system.domain.orders import (
    AttachedExit,
    OrderIntent,
    OrderType,
    PriceChange,
    PriceSource,
    TrailingStop,
    Trigger,
    position_index,
)
from trading_system.venues.bybit.wire import SIDE_TEXT, TIME_IN_FORCE_TEXT, TYPE_TEXT

SOURCE_TEXT = {
    PriceSource.LAST: "LastPrice",
    PriceSource.MARK: "MarkPrice",
    PriceSource.INDEX: "IndexPrice",
}


def order_body(intent: OrderIntent, *, is_hedged: bool = False) -> dict[str, Any]:
    """Return the ``order/create`` body of ``intent``.

    Parameters
    ----------
    is_hedged : bool
        Whether the symbol has one position per direction: the order then names its own.
    """
    body: dict[str, Any] = {
        "category": "linear",
        "symbol": intent.symbol,
        "side": SIDE_TEXT[intent.side],
        "orderType": TYPE_TEXT[intent.order_type],
        "qty": format(intent.quantity, "f"),
        "orderLinkId": intent.link_id,
        "positionIdx": position_index(
            intent.side, reduce_only=intent.reduce_only, is_hedged=is_hedged
        ),
    }
    if intent.order_type is OrderType.LIMIT:
        assert intent.price is not None
        body["price"] = format(intent.price, "f")
        body["timeInForce"] = TIME_IN_FORCE_TEXT[intent.time_in_force]
    if intent.reduce_only:
        body["reduceOnly"] = True
    if intent.trigger is not None:
        body |= _trigger(intent.trigger)
    if intent.has_exits:
        body |= _exits(intent)
    return body


def amend_body(change: PriceChange) -> dict[str, Any]:
    """Return the ``order/amend`` body of ``change``."""
    return terms_body(
        change.symbol, change.link_id, price=change.price, trigger_price=change.trigger_price
    )


def terms_body(
    symbol: str,
    link_id: str,
    *,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    trigger_price: Decimal | None = None,
) -> dict[str, Any]:
    """Return an ``order/amend`` body with the terms that are given."""
    body: dict[str, Any] = reference_body(symbol, link_id)
    terms = {"qty": quantity, "price": price, "triggerPrice": trigger_price}
    return body | {name: format(term, "f") for name, term in terms.items() if term is not None}


def reference_body(symbol: str, link_id: str) -> dict[str, Any]:
    """Return the body that names one order, as ``order/cancel`` wants it."""
    return {"category": "linear", "symbol": symbol, "orderLinkId": link_id}


def cancel_all_bodies(symbol: str | None) -> tuple[dict[str, Any], ...]:
    """Return the ``order/cancel-all`` bodies that leave nothing but the stops of positions.

    Parameters
    ----------
    symbol : str or None
        None cancels every linear USDT symbol of the account.
    """
    scope = {"settleCoin": "USDT"} if symbol is None else {"symbol": symbol}
    named = {"category": "linear", **scope}
    return (
        {**named, "orderFilter": "Order"},
        {**named, "orderFilter": "StopOrder", "stopOrderType": "Stop"},
    )


def stop_body(symbol: str, stop_price: Decimal | None, *, position_idx: int) -> dict[str, Any]:
    """Return the ``position/trading-stop`` body of a stop loss at the mark price; None removes."""
    return {
        **_position(symbol, position_idx),
        "stopLoss": "0" if stop_price is None else format(stop_price, "f"),
        "slTriggerBy": "MarkPrice",
    }


def trailing_body(symbol: str, stop: TrailingStop | None, *, position_idx: int) -> dict[str, Any]:
    """Return the ``position/trading-stop`` body of a trailing stop; None removes it."""
    body = _position(symbol, position_idx)
    if stop is None:
        return {**body, "trailingStop": "0"}
    body["trailingStop"] = format(stop.distance, "f")
    if stop.active_price is not None:
        body["activePrice"] = format(stop.active_price, "f")
    return body


def _position(symbol: str, position_idx: int) -> dict[str, Any]:
    return {
        "category": "linear",
        "symbol": symbol,
        "tpslMode": "Full",
        "positionIdx": position_idx,
    }


def _trigger(trigger: Trigger) -> dict[str, Any]:
    return {
        "triggerPrice": format(trigger.price, "f"),
        "triggerDirection": trigger.direction.value,
        "triggerBy": SOURCE_TEXT[trigger.by],
    }


def _exits(intent: OrderIntent) -> dict[str, Any]:
    exits = (("takeProfit", "tp", intent.take_profit), ("stopLoss", "sl", intent.stop_loss))
    body: dict[str, Any] = {}
    for name, prefix, found in exits:
        if found is not None:
            body |= {name: format(found.price, "f"), f"{prefix}TriggerBy": SOURCE_TEXT[found.by]}
            body |= _limit(prefix, found)
    # Only partial exits may close by a limit order.
    body["tpslMode"] = "Partial" if "tpLimitPrice" in body or "slLimitPrice" in body else "Full"
    return body


def _limit(prefix: str, found: AttachedExit) -> dict[str, str]:
    if found.limit_price is None:
        return {}
    price = format(found.limit_price, "f")
    return {f"{prefix}OrderType": "Limit", f"{prefix}LimitPrice": price}
