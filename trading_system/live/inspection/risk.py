"""How much of each limit is used, what is exposed, and what holds trading."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from trading_system.domain.instruments import plain
from trading_system.live.control import holds_of
from trading_system.live.desk import TradingDesk
from trading_system.live.inspection.positions import mark_of
from trading_system.live.inspection.texts import figure, money
from trading_system.live.inspection.watching import Watching
from trading_system.live.session import TradingSession
from trading_system.risk.limits import TradingState

_ZERO = Decimal(0)
_PERCENT = 100
_MONEY = "USDT"


def risk(desk: TradingDesk, watch: Watching) -> dict[str, Any]:
    """Return limits, exposure, holds and losses; without a session trading is halted."""
    session, watched = desk.session, watch.figures()
    losses = None if session is None else session.engine.losses
    daily = None if losses is None else losses.daily_loss_pct
    return {
        "state": (TradingState.HALTED if session is None else session.engine.state).value,
        "behaviour": None if watched is None else dict(watched.behaviour),
        "holds": {} if session is None else holds_of(session),
        "limits": [] if session is None else _limits(desk, session),
        "exposure": [] if session is None else _exposure(session),
        "denied": {} if session is None else dict(session.engine.denied),
        "equity": None if session is None else money(session.portfolio.equity),
        "drawdown_pct": None if losses is None else figure(losses.drawdown_pct, digits=4),
        "daily_pnl_pct": None if daily is None else figure(-daily, digits=4),
    }


def _limits(desk: TradingDesk, session: TradingSession) -> list[dict[str, Any]]:
    engine, ledger, settings = session.engine, session.engine.ledger, desk.settings.risk
    caps, losses = engine.gate.limits, session.engine.losses
    gross = session.portfolio.gross_notional() + ledger.open_notional
    rate = settings.max_orders_per_second
    daily = losses.daily_loss_pct
    offset_ms = abs(session.venue_time.offset_ms)
    return [
        _limit("gross exposure", gross, caps.max_gross_notional, _MONEY),
        *(
            _limit(
                f"position {symbol}",
                _worst_position(session, symbol),
                caps.max_position_notional,
                _MONEY,
            )
            for symbol in session.instruments
        ),
        _limit("largest open order", _largest_order(session), caps.max_order_notional, _MONEY),
        _limit("open orders", Decimal(ledger.live_count), Decimal(caps.max_open_orders), "orders"),
        _limit("order rate", Decimal(rate - engine.gate.orders_left), Decimal(rate), "orders/s"),
        _limit(
            "daily loss",
            None if daily is None else max(_ZERO, daily),
            settings.max_daily_loss_pct,
            "%",
        ),
        _limit("drawdown", losses.drawdown_pct, settings.max_drawdown_pct, "%"),
        _limit("oldest book", _oldest_book_s(session), Decimal(str(caps.max_book_age_s)), "s"),
        _limit(
            "clock offset",
            Decimal(str(offset_ms)),
            Decimal(str(caps.max_clock_offset_ms)),
            "ms",
        ),
    ]


def _limit(name: str, used: Decimal | None, limit: Decimal, unit: str) -> dict[str, Any]:
    share = None if used is None else used / limit * _PERCENT
    return {
        "name": name,
        "used": None if used is None else plain(round(used, 4)),
        "limit": plain(limit),
        "unit": unit,
        "used_pct": figure(share, digits=2),
    }


def _worst_position(session: TradingSession, symbol: str) -> Decimal | None:
    """Return the value that the position could reach, judged as the gate does."""
    held = abs(session.portfolio.position(symbol).quantity)
    reachable = held + session.engine.ledger.open_quantity(symbol)
    if not reachable:
        return _ZERO
    mid = session.feed.market_view(symbol).mid
    return None if mid is None else reachable * mid


def _largest_order(session: TradingSession) -> Decimal:
    ledger = session.engine.ledger
    values = (ledger.counted(order.intent.link_id)[1] for order in ledger.live)
    return max(values, default=_ZERO)


def _oldest_book_s(session: TradingSession) -> Decimal | None:
    """Return the age of the oldest book, None while one is not valid."""
    ages = [session.feed.market_view(symbol).age_s for symbol in session.instruments]
    known = [age for age in ages if age is not None]
    return Decimal(str(round(max(known), 3))) if known and len(known) == len(ages) else None


def _exposure(session: TradingSession) -> list[dict[str, Any]]:
    """Return the value of each position that is held and its share of the equity."""
    equity = session.portfolio.equity
    rows = []
    for position in session.portfolio.positions:
        if not position.quantity:
            continue
        mark = mark_of(session, position.symbol)
        value = position.entry_value if mark is None else abs(position.quantity) * mark
        share = value / equity * _PERCENT if equity > 0 else None
        rows.append(
            {
                "symbol": position.symbol,
                "notional": money(value),
                "share_pct": figure(share, digits=2),
            }
        )
    return rows
