"""A picture of one symbol's market: book, own orders and newest trades."""

from __future__ import annotations

from typing import Any

from trading_system.domain.errors import ValidationError
from trading_system.domain.events import TickerState, TradeTick
from trading_system.domain.orders import Side
from trading_system.live.desk import TradingDesk
from trading_system.live.inspection.texts import figure, milliseconds, side_name
from trading_system.live.session import TradingSession
from trading_system.live.symbol_state import SymbolState

_LEVELS = 10
_NS_PER_S = 1_000_000_000
_BPS = 10_000.0


def market(desk: TradingDesk, symbol: str, *, depth: int) -> dict[str, Any]:
    """Return the picture; without a running session, or a trusted book, it says so.

    Raises
    ------
    ValidationError
        If the symbol is not traded here.
    """
    check_traded(desk, symbol)
    session = desk.session
    if session is None or not desk.is_live:
        return {
            "symbol": symbol,
            "time_ms": milliseconds(desk.clock.utc_ns()),
            **_no_book(),
            **_grid(None),
            **_ticker(None),
            "own_orders": [],
            "trades": [],
        }
    state = session.feed.symbols[symbol]
    book = state.book if state.book.is_ready else None
    stamp_ns = None if book is None else book.ts_exchange_ns
    return {
        "symbol": symbol,
        "time_ms": milliseconds(desk.clock.utc_ns() if stamp_ns is None else stamp_ns),
        **(_no_book() if book is None else _book(state, depth, desk.clock.monotonic_ns())),
        **_grid(state),
        **_ticker(state.ticker),
        "own_orders": _own_orders(session, symbol),
        "trades": [_trade(trade) for trade in reversed(state.newest_trades)],
    }


def check_traded(desk: TradingDesk, symbol: str) -> None:
    """Raise unless ``symbol`` is traded here.

    Raises
    ------
    ValidationError
        If it is not.
    """
    session = desk.session
    traded = desk.settings.symbols if session is None else tuple(session.instruments)
    if symbol not in traded:
        raise ValidationError(
            f"{symbol[:40]!r} is not traded here; the symbols are {', '.join(traded)}"
        )


def _no_book() -> dict[str, Any]:
    names = ("age_s", "bid", "ask", "mid", "microprice", "spread_bps", "imbalance")
    return {**dict.fromkeys(names), "is_ready": False, "bids": [], "asks": []}


def _book(state: SymbolState, depth: int, now_ns: int) -> dict[str, Any]:
    book, stamp_ns = state.book, state.last_message_ns()
    bids, asks = _levels(state, Side.BUY, depth), _levels(state, Side.SELL, depth)
    mid, spread = book.mid, book.spread
    return {
        "age_s": None if stamp_ns is None else round(max(0, now_ns - stamp_ns) / _NS_PER_S, 3),
        "is_ready": True,
        "bid": _best(state, Side.BUY),
        "ask": _best(state, Side.SELL),
        "mid": mid,
        "microprice": book.microprice(),
        "spread_bps": figure(spread / mid * _BPS) if mid and spread is not None else None,
        "imbalance": figure(book.imbalance(_LEVELS)),
        "bids": bids,
        "asks": asks,
    }


def _best(state: SymbolState, side: Side) -> float | None:
    """Return the best price of the decision book, whichever book shows the levels."""
    tick, tick_parts = state.instrument.tick_size.as_integer_ratio()
    best = state.book.levels(side, 1)
    return best[0][0] * tick / tick_parts if best else None


def _levels(state: SymbolState, side: Side, depth: int) -> list[list[float]]:
    tick, tick_parts = state.instrument.tick_size.as_integer_ratio()
    lot, lot_parts = state.instrument.qty_step.as_integer_ratio()
    return [
        [ticks * tick / tick_parts, lots * lot / lot_parts]
        for ticks, lots in state.deepest(depth).levels(side, depth)
    ]


def _grid(state: SymbolState | None) -> dict[str, Any]:
    if state is None:
        return {"tick_size": None, "qty_step": None}
    grid = state.instrument
    return {"tick_size": float(grid.tick_size), "qty_step": float(grid.qty_step)}


def _ticker(ticker: TickerState | None) -> dict[str, Any]:
    if ticker is None:
        return {"mark_price": None, "funding_rate": None}
    return {
        "mark_price": figure(ticker.mark_price, digits=12),
        "funding_rate": figure(ticker.funding_rate, digits=12),
    }


def _own_orders(session: TradingSession, symbol: str) -> list[dict[str, Any]]:
    return [
        {
            "side": side_name(order.intent.side),
            "price": float(order.price),
            "quantity": float(order.open_quantity),
            "link_id": order.intent.link_id,
        }
        for order in session.engine.ledger.live_of(symbol)
        if order.price is not None and not order.status.is_final and order.open_quantity
    ]


def _trade(trade: TradeTick) -> dict[str, Any]:
    return {
        "time_ms": milliseconds(trade.ts_exchange_ns),
        "price": trade.price,
        "quantity": trade.quantity,
        "side": side_name(trade.side),
    }
