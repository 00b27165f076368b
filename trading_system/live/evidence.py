"""A session's figures as evidence for health and status; reads only, changes nothing."""

from __future__ import annotations

from typing import Any

from trading_system.domain.instruments import plain
from trading_system.execution.tracking import TrackedStatus
from trading_system.monitoring.health import Health, HealthEvidence, assess
from trading_system.monitoring.latency import Percentiles, StageLatency
from trading_system.monitoring.status import OrderCounts
from trading_system.risk.limits import TradingState
from trading_system.live.session import TradingSession

_US_PER_MS = 1_000.0


def milliseconds(figure_us: float | None) -> float | None:
    """Return microseconds as milliseconds, None for None."""
    return None if figure_us is None else round(figure_us / _US_PER_MS, 3)


def session_health(
    session: TradingSession | None, *, max_book_age_s: float, targets: dict[str, float]
) -> Health:
    """Return the health that the session proves; a session that is not there proves nothing."""
    ack = session.latency.percentiles("ack") if session else None
    signal = session.latency.percentiles("signal") if session else None
    feed = session.feed if session else None
    engine = session.engine if session else None
    reconciler = session.reconciler if session else None
    return assess(
        HealthEvidence(
            books_expected=len(session.instruments) if session else 0,
            books_fresh=feed.fresh_books(max_book_age_s) if feed else 0,
            private_connected=session.private.is_up if session and session.private else None,
            positions_agree=reconciler.positions_agree if reconciler else None,
            request_failures=session.rest.recent[0] if session else 0,
            requests=session.rest.recent[1] if session else 0,
            orders_unknown=engine.unknown_orders if engine else 0,
            ack_p95_ms=_p95_ms(ack),
            ack_target_ms=targets["order_execution_time_ms"],
            signal_p95_ms=_p95_ms(signal),
            signal_target_ms=targets["signal_generation_time_ms"],
            stream_gaps=(feed.gaps() + feed.rejected_frames) if feed else 0,
            trading_state=engine.state.value if engine else TradingState.HALTED.value,
        )
    )


def trading_figures(session: TradingSession | None) -> dict[str, Any]:
    """Return the trading fields of :class:`~trading_system.monitoring.status.SystemSnapshot`."""
    trader = session.trader if session else None
    engine = session.engine if session else None
    closed, won = closed_trades(session)
    portfolio = session.portfolio if session else None
    return {
        "signals": trader.counts.signals if trader else 0,
        "orders": order_counts(session),
        "fills": session.fills if session else 0,
        "exits": trader.counts.exits if trader else 0,
        "trades_closed": closed,
        "success_rate_pct": trader.success_rate_pct() if trader else None,
        "win_rate_pct": round(100.0 * won / closed, 2) if closed else None,
        "slippage_bps": trader.slippage_bps() if trader else None,
        "fees_bps": trader.fees_bps() if trader else None,
        "pnl_quote": format(portfolio.pnl, "f") if portfolio else None,
        "stages": (session.latency if session else StageLatency()).summary(),
        "trading_state": engine.state.value if engine else TradingState.HALTED.value,
        "active_positions": sum(bool(p.quantity) for p in portfolio.positions) if portfolio else 0,
        "position_local": local_positions(session),
        "frames_per_second": _frames_per_second(session),
        "stream": stream_figures(session),
    }


def order_counts(session: TradingSession | None) -> OrderCounts:
    """Return the orders of the session by outcome."""
    if session is None or session.engine is None:
        return OrderCounts()
    outcomes = session.order_outcomes()
    return OrderCounts(
        sent=session.engine.sent,
        filled=outcomes[TrackedStatus.FILLED],
        cancelled=outcomes[TrackedStatus.CANCELLED],
        rejected=outcomes[TrackedStatus.REJECTED],
        unknown=session.engine.unknown_orders,
        denied=sum(session.engine.denied.values()),
        signal_driven=session.trader.counts.signal_orders if session.trader else 0,
    )


def closed_trades(session: TradingSession | None) -> tuple[int, int]:
    """Return trades closed, and those closed with profit after fees."""
    if session is None:
        return 0, 0
    positions = session.portfolio.positions
    return sum(p.trades_closed for p in positions), sum(p.trades_won for p in positions)


def local_positions(session: TradingSession | None) -> dict[str, str]:
    """Return the local positions that are not flat, signed, as plain text."""
    if session is None:
        return {}
    return {p.symbol: plain(p.quantity) for p in session.portfolio.positions if p.quantity}


def stream_figures(session: TradingSession | None) -> dict[str, Any]:
    """Return connection and frame counts of the streams."""
    if session is None or session.feed is None or session.account is None:
        return {}
    return {
        "public_frames": session.feed.frames,
        "private_frames": session.account.frames,
        "public_connects": session.public.connects if session.public else 0,
        "private_connects": session.private.connects if session.private else 0,
        "gaps": session.feed.gaps(),
        "rejected_frames": session.feed.rejected_frames,
        "clock_offset_ms": session.clock_offset_ms,
    }


def _frames_per_second(session: TradingSession | None) -> float | None:
    if session is None or session.feed is None:
        return None
    # A session that has stopped receives no more; its last rate is the run's.
    if session.last_frames_per_second is not None:
        return session.last_frames_per_second
    return session.feed.frames_per_second()


def _p95_ms(figures: Percentiles | None) -> float | None:
    return milliseconds(figures.p95_us) if figures else None
