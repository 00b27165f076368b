"""Own orders at work and ended, and fills."""

from __future__ import annotations

from itertools import islice
from typing import Any

from trading_system.domain.instruments import plain
from trading_system.domain.orders import Fill
from trading_system.domain.ports import Clock
from trading_system.execution.tracking import TrackedOrder
from trading_system.live.inspection.texts import milliseconds, money_or_none, side_name
from trading_system.live.session import TradingSession

_SETTLED = 50
_NS_PER_S = 1_000_000_000


def orders(session: TradingSession | None, *, clock: Clock) -> dict[str, Any]:
    """Return the orders without a settled outcome and the newest 50 settled ones."""
    if session is None:
        return {"live": [], "settled": []}
    ledger, now_ns = session.engine.ledger, clock.monotonic_ns()
    return {
        "live": [
            {
                **_order(order),
                "age_s": age_s(order, now_ns),
                "reduce_only": order.intent.reduce_only,
            }
            for order in ledger.live
        ],
        "settled": [_settled(order) for order in ledger.newest_ended(_SETTLED)],
    }


def fills(session: TradingSession | None, *, symbol: str | None, limit: int) -> dict[str, Any]:
    """Return the newest fills of this run, newest first."""
    if session is None:
        return {"fills": []}
    newest = reversed(session.engine.ledger.newest_fills)
    wanted = (fill for fill in newest if symbol in {None, fill.symbol})
    return {"fills": [_fill(fill) for fill in islice(wanted, limit)]}


def age_s(order: TrackedOrder, now_ns: int) -> float:
    """Return seconds since an order was sent."""
    return round(max(0, now_ns - order.sent_ns) / _NS_PER_S, 3)


def _order(order: TrackedOrder) -> dict[str, Any]:
    intent, price = order.intent, order.price
    return {
        "link_id": intent.link_id,
        "order_id": order.order_id,
        "symbol": intent.symbol,
        "side": side_name(intent.side),
        "type": intent.order_type.value.capitalize(),
        "time_in_force": intent.time_in_force.value,
        "price": None if price is None else plain(price),
        "quantity": plain(intent.quantity),
        "filled": plain(order.booked_quantity),
        "status": order.status.value,
    }


def _settled(order: TrackedOrder) -> dict[str, Any]:
    ended_ns = order.ended_utc_ns
    return {
        **_order(order),
        "average_price": money_or_none(order.average_price),
        "reason": order.reason,
        "settled_ms": None if ended_ns is None else milliseconds(ended_ns),
    }


def _fill(fill: Fill) -> dict[str, Any]:
    return {
        "exec_id": fill.exec_id,
        "time_ms": milliseconds(fill.ts_exchange_ns),
        "symbol": fill.symbol,
        "side": side_name(fill.side),
        "price": plain(fill.price),
        "quantity": plain(fill.quantity),
        "fee": plain(fill.fee),
        "is_maker": fill.is_maker,
        "link_id": fill.link_id,
    }
