"""Positions: the own books, the venue's side, value and stop of every traded symbol."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from trading_system.domain.instruments import plain
from trading_system.live.desk import TradingDesk
from trading_system.live.inspection.texts import money, money_or_none
from trading_system.live.session import TradingSession


def positions(desk: TradingDesk) -> list[dict[str, Any]]:
    """Return one row per traded or held symbol; nothing before the first session."""
    session = desk.session
    if session is None:
        return []
    held = [p.symbol for p in session.portfolio.positions if p.quantity]
    venue, age_s = _venue_side(desk, session)
    symbols = dict.fromkeys((*session.instruments, *held, *(venue or {})))
    return [_row(session, symbol, venue=venue, venue_age_s=age_s) for symbol in symbols]


def mark_of(session: TradingSession, symbol: str) -> Decimal | None:
    """Return the newest mark price of a live ticker."""
    state = session.feed.symbols.get(symbol)
    return None if state is None or state.ticker is None else state.ticker.mark_price


def _venue_side(
    desk: TradingDesk, session: TradingSession
) -> tuple[dict[str, str] | None, float | None]:
    """Return the venue's quantities and their age, None where nobody knows them."""
    if desk.truth is not None:
        return desk.truth.positions, None
    venue, age_s = session.reconciler.venue, session.reconciler.compared_age_s
    if venue is None or desk.is_ended:
        return None, None
    found = {symbol: plain(quantity) for symbol, quantity in venue.items()}
    return found, None if age_s is None else round(age_s, 1)


def _row(
    session: TradingSession,
    symbol: str,
    *,
    venue: dict[str, str] | None,
    venue_age_s: float | None,
) -> dict[str, Any]:
    position, mark = session.portfolio.position(symbol), mark_of(session, symbol)
    stop = session.reconciler.venue_stops.get(symbol)
    return {
        "symbol": symbol,
        "quantity": plain(position.quantity),
        "own_quantity": plain(session.own_quantity(symbol)),
        "venue_quantity": None if venue is None else venue.get(symbol, "0"),
        "venue_age_s": venue_age_s,
        "entry_price": money_or_none(position.entry_price),
        "mark_price": money_or_none(mark),
        "notional": None if mark is None else money(abs(position.quantity) * mark),
        "unrealised_pnl": None if mark is None else money(position.unrealised(mark)),
        "realised_pnl": money(position.realised),
        "fees": money(position.fees),
        "protective_stop": None if stop is None or not position.quantity else money(stop),
        "trades_closed": position.trades_closed,
        "trades_won": position.trades_won,
    }
