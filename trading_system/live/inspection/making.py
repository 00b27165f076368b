"""The market maker: its figures and its quotes at work."""

from __future__ import annotations

from typing import Any

from trading_system.domain.instruments import plain
from trading_system.live.desk import TradingDesk
from trading_system.live.inspection.orders import age_s
from trading_system.live.inspection.texts import json_safe, side_name
from trading_system.live.session import TradingSession


def market_maker(desk: TradingDesk) -> dict[str, Any]:
    """Return what the market maker does; ``pnl_series`` is not kept here and so None."""
    session = desk.session
    if session is None or session.making is None:
        return {"active": False, "figures": None, "quotes": [], "pnl_series": None}
    return {
        "active": desk.is_live,
        "figures": json_safe(session.making.figures()),
        "quotes": _quotes(session, desk.clock.monotonic_ns()),
        "pnl_series": None,
    }


def _quotes(session: TradingSession, now_ns: int) -> list[dict[str, Any]]:
    """Return the own opening orders that may be in the book."""
    ledger = session.engine.ledger
    return [
        {
            "symbol": symbol,
            "side": side_name(order.intent.side),
            "price": plain(order.price),
            "quantity": plain(order.open_quantity),
            "link_id": order.intent.link_id,
            "age_s": age_s(order, now_ns),
        }
        for symbol in session.instruments
        for order in ledger.resting(symbol)
        if order.price is not None and not order.status.is_final
    ]
