"""What a run proves: evidence for health and figures for the status. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from optimizers.execution.records import ExecutionRecords
from trading_system.domain.instruments import plain
from trading_system.domain.parents import ParentResult
from trading_system.execution.tracking import TrackedStatus
from trading_system.live.control import holds_of
from trading_system.live.desk import TradingDesk
from trading_system.live.session import TradingSession
from trading_system.monitoring.health import ALL_PARTS, Health, HealthEvidence, Part, assess
from trading_system.monitoring.latency import StageLatency
from trading_system.monitoring.status import (
    AgentFigures,
    OptimizerFigures,
    OrderCounts,
    SystemSnapshot,
    WatchFigures,
)
from trading_system.risk.limits import TradingState
from trading_system.strategies.trader import slippage_of
from trading_system.venues.bybit.order_ways import WaysView

_US_PER_MS = 1_000.0
_HALTED = TradingState.HALTED.value
RECENT_PARENTS: Final = 20
"""Newest parent orders that health and the alert about their success are judged by."""


def milliseconds(figure_us: float | None) -> float | None:
    """Return microseconds as milliseconds, None for None."""
    return None if figure_us is None else round(figure_us / _US_PER_MS, 3)


def judged_health(desk: TradingDesk) -> Health:
    """Return the health; one that cannot be judged is none at all, and says so."""
    try:
        return health_of(desk)
    except Exception as e:  # the boundary of what is shown; the watch logs it, once
        return Health(score=0.0, reasons=(f"cannot be judged: {type(e).__name__} (-100.0)",))


def health_of(desk: TradingDesk) -> Health:
    """Return the health that the desk proves; a session that is not there proves nothing."""
    return assess(evidence_of(desk))


def evidence_of(desk: TradingDesk) -> HealthEvidence:
    """Return what the health of the desk is judged by, read now."""
    if desk.session is not None:
        return _evidence(desk, desk.session)
    targets = desk.settings.targets
    return HealthEvidence(
        books_expected=0,
        books_fresh=0,
        private_connected=None,
        positions_agree=None,
        request_failures=0,
        requests=0,
        orders_unknown=0,
        ack_p95_ms=None,
        ack_target_ms=targets.order_execution_time_ms,
        signal_p95_ms=None,
        signal_target_ms=targets.signal_generation_time_ms,
        stream_gaps=0,
        trading_state=_HALTED,
        parts=ALL_PARTS,
    )


def _evidence(desk: TradingDesk, session: TradingSession) -> HealthEvidence:
    settings, engine, feed = desk.settings, session.engine, session.feed
    traffic = session.traffic
    answering, expected, has_quorum = _panel_evidence(session)
    newest = recent_parents(session)
    has_trade_socket = traffic.trade_is_up is not None
    parts = ALL_PARTS if has_trade_socket else ALL_PARTS - {Part.TRADE_SOCKET}
    if session.making is not None:  # it works no parent orders, by which quality is judged
        parts -= {Part.EXECUTION_QUALITY}
    return HealthEvidence(
        parts=parts,
        books_expected=len(session.instruments),
        books_fresh=feed.fresh_books(settings.risk.stale_book_s),
        stream_gaps=feed.recent_faults(),
        private_connected=session.private.is_up,
        positions_agree=session.reconciler.positions_agree,
        compared_age_s=session.reconciler.compared_age_s,
        request_failures=traffic.failures,
        requests=traffic.requests,
        orders_unknown=engine.unknown_orders,
        trade_socket_connected=traffic.trade_is_up,
        ack_p95_ms=milliseconds(session.latency.percentiles("ack").p95_us),
        ack_target_ms=settings.targets.order_execution_time_ms,
        agents_expected=expected,
        agents_answering=answering,
        has_quorum=has_quorum,
        signal_p95_ms=milliseconds(session.latency.percentiles("signal").p95_us),
        signal_target_ms=settings.targets.signal_generation_time_ms,
        slippage_bps=slippage_of(newest),
        slippage_target_bps=settings.strategy.max_slippage_bps,
        success_rate_pct=success_pct(newest),
        success_target_pct=settings.targets.success_rate_pct,
        parents_ended=len(newest),
        queue_size=session.traffic.waiting,
        queue_capacity=settings.optimization.priority_queue_size,
        journal_writable=session.journal.failure is None,
        loop_lag_p99_ms=session.loop_lag.p99_ms,
        clock_offset_ms=abs(session.venue_time.offset_ms),
        trading_state=engine.state.value,
        holds=tuple(f"{source}: {why}" for source, why in engine.holds.reasons.items()),
    )


def recent_parents(session: TradingSession) -> list[ParentResult]:
    """Return the newest :data:`RECENT_PARENTS` that ended, oldest first.

    Health and alerts judge by these: over a whole run a collapse would hide behind its past.
    """
    return list(session.trader.results)[-RECENT_PARENTS:]


def success_pct(ended: Sequence[ParentResult]) -> float | None:
    """Return the share that ended inside their limits, percent, None without any."""
    return 100.0 * sum(result.is_success for result in ended) / len(ended) if ended else None


def _panel_evidence(session: TradingSession) -> tuple[int, int, bool | None]:
    """Return agents that answer, agents expected, and whether every newest consensus had one."""
    members = [
        seat for symbol in session.instruments for seat in session.signals.panel(symbol).seats
    ]
    working = sum(member.state == "working" for member in members)
    known = [s.consensus for s in session.feed.symbols.values() if s.consensus is not None]
    has_quorum = all(consensus.has_quorum for consensus in known) if known else None
    return working, len(members), has_quorum


def snapshot_of(
    desk: TradingDesk, health: Health, *, watch: WatchFigures | None = None
) -> SystemSnapshot:
    """Return everything the status is made of, taken now; ``watch`` is what the watch says."""
    session, settings, truth = desk.session, desk.settings, desk.truth
    trader = session.trader if session else None
    portfolio = session.portfolio if session else None
    closed, won = _closed_trades(session)
    latency = session.latency if session else StageLatency()
    signal, ack = latency.percentiles("signal"), latency.percentiles("ack")
    losses = session.engine.losses if session else None
    execution = execution_summary(desk)
    return SystemSnapshot(
        state=desk.state.name,
        environment=settings.environment,
        symbols=tuple(session.instruments if session else settings.symbols),
        uptime_s=desk.uptime_s,
        targets=settings.targets.model_dump(),
        health=health,
        signals=trader.counts.signals if trader else 0,
        orders=_order_counts(session),
        fills=session.engine.fills if session else 0,
        exits=trader.counts.exits if trader else 0,
        trades_closed=closed,
        success_rate_pct=trader.success_rate_pct() if trader else None,
        win_rate_pct=round(100.0 * won / closed, 2) if closed else None,
        slippage_bps=session.slippage_bps() if session else None,
        fees_bps=_fees_bps(session),
        pnl_quote=format(portfolio.pnl, "f") if portfolio else None,
        stages=latency.summary(),
        signal_p95_ms=milliseconds(signal.p95_us),
        order_p95_ms=milliseconds(ack.p95_us),
        system_p95_ms=system_p95_ms(latency),
        market=_market(desk),
        cost_rule=_cost_rule(desk),
        stop_reason=desk.reason,
        trading_state=session.engine.state.value if session else _HALTED,
        holds=tuple(holds_of(session).values()) if session else (),
        active_positions=sum(bool(p.quantity) for p in portfolio.positions) if portfolio else 0,
        position_local=_local_positions(session),
        position_venue=truth.positions if truth else _last_compared(desk),
        position_venue_age_s=None if truth else _compared_age_s(desk),
        open_orders=truth.open_orders if truth else None,
        own_open_orders=truth.own_open_orders if truth else _own_orders(desk),
        protective_stops=truth.protective_stops if truth else _live_stops(session),
        equity_quote=format(portfolio.equity, "f") if portfolio else None,
        drawdown_pct=_rounded(losses.drawdown_pct) if losses else None,
        daily_pnl_pct=_negated(losses.daily_loss_pct) if losses else None,
        frames_per_second=_frames_per_second(session),
        stream=_stream_figures(session),
        optimizers=_optimizers(session, execution, is_live=desk.is_live),
        agents=_agents(session),
        loop=session.loop_lag.summary() if session else None,
        execution=execution,
        position_own=_own_positions(session),
        market_maker=session.making.figures() if session and session.making else None,
        watch=watch,
    )


def _order_counts(session: TradingSession | None) -> OrderCounts:
    if session is None:
        return OrderCounts()
    outcomes = session.engine.outcomes
    return OrderCounts(
        sent=session.engine.sent,
        filled=outcomes[TrackedStatus.FILLED],
        cancelled=outcomes[TrackedStatus.CANCELLED],
        rejected=outcomes[TrackedStatus.REJECTED],
        unknown=session.engine.unknown_orders,
        denied=sum(session.engine.denied.values()),
        signal_driven=session.trader.counts.signal_orders,
    )


def _fees_bps(session: TradingSession | None) -> float | None:
    """Return fees over traded value: of quotes and exits under a market maker, else of parents."""
    if session is None:
        return None
    return session.trader.fees_bps() if session.making is None else session.making.fees_bps()


def _closed_trades(session: TradingSession | None) -> tuple[int, int]:
    """Return trades closed, and those closed with profit after fees."""
    if session is None:
        return 0, 0
    positions = session.portfolio.positions
    return sum(p.trades_closed for p in positions), sum(p.trades_won for p in positions)


def _local_positions(session: TradingSession | None) -> dict[str, str]:
    if session is None:
        return {}
    return {p.symbol: plain(p.quantity) for p in session.portfolio.positions if p.quantity}


def _own_positions(session: TradingSession | None) -> dict[str, str]:
    """Return the part of each position that this system opened."""
    if session is None:
        return {}
    own = {symbol: session.own_quantity(symbol) for symbol in session.instruments}
    return {symbol: plain(quantity) for symbol, quantity in own.items() if quantity}


def _last_compared(desk: TradingDesk) -> dict[str, str] | None:
    if desk.session is None or desk.session.reconciler.venue is None or desk.is_ended:
        return None  # after the end only the final check counts, and it got no answer
    venue = desk.session.reconciler.venue
    return {symbol: plain(quantity) for symbol, quantity in venue.items()}


def _compared_age_s(desk: TradingDesk) -> float | None:
    if _last_compared(desk) is None or desk.session is None:
        return None
    age_s = desk.session.reconciler.compared_age_s
    return None if age_s is None else round(age_s, 1)


def _own_orders(desk: TradingDesk) -> int | None:
    """Return the own orders at work by the own books, None after the end: the venue says then."""
    if desk.session is None or desk.is_ended:
        return None
    return len(desk.session.engine.live_orders)


def _live_stops(session: TradingSession | None) -> int | None:
    if session is None or session.reconciler.venue is None:
        return None
    return sum(stop is not None for stop in session.reconciler.venue_stops.values())


def system_p95_ms(latency: StageLatency) -> float | None:
    """Return the sum of the stages' p95 from the exchange's stamp to the order's ack, ms.

    An upper bound of the p95 of the sum for stages that do not fall together.
    """
    stages = [latency.percentiles(s).p95_us for s in ("receive", "book", "signal", "gate", "ack")]
    if any(figure is None for figure in stages):
        return None
    return milliseconds(sum(figure for figure in stages if figure is not None))


def execution_summary(desk: TradingDesk) -> dict[str, Any]:
    """Return the summary of all parents that are kept, of none before the first session."""
    if desk.session is not None:
        return desk.session.optimizers.performance.get_performance_summary()
    nothing_yet = ExecutionRecords(
        target_latency_ms=desk.settings.targets.order_execution_time_ms,
        max_slippage_bps=desk.settings.strategy.max_slippage_bps,
    )
    return nothing_yet.summary()


def _market(desk: TradingDesk) -> dict[str, Any] | None:
    market = desk.venue.ready.get("market") if desk.venue is not None else None
    return dict(market) if isinstance(market, dict) else None


def _cost_rule(desk: TradingDesk) -> dict[str, Any]:
    strategy = desk.settings.strategy
    rule = "relaxed" if strategy.is_relaxed else "after costs"
    return {"cost_rule": f"cost rule {rule}", "min_edge_bps": strategy.min_edge_bps}


def _optimizers(
    session: TradingSession | None, performance: dict[str, Any], *, is_live: bool
) -> OptimizerFigures:
    if session is None:
        return OptimizerFigures()
    latency = session.optimizers.latency.get_latency_metrics()
    signals = session.signals.get_optimization_metrics()
    hit_rate = signals["cache_metrics"]["cache_hit_rate"]
    return OptimizerFigures(
        latency_active=is_live,
        queue_size=session.traffic.waiting,
        avg_latency_ms=latency["overall_metrics"]["avg_latency_ms"],
        signals_active=is_live,
        cache_size=signals["cache_metrics"]["cache_size"],
        cache_hit_rate_pct=None if hit_rate is None else round(100.0 * hit_rate, 2),
        avg_processing_time_ms=milliseconds(session.latency.percentiles("signal").p50_us),
        performance_active=is_live,
        total_executions=performance["total_executions"],
        avg_quality_score=performance["quality_metrics"]["avg_score"],
        microstructure_active=is_live,
    )


def _agents(session: TradingSession | None) -> tuple[AgentFigures, ...]:
    """Return the agents of the first symbol's panel: weights differ by symbol, names do not."""
    if session is None:
        return ()
    first = next(iter(session.instruments))
    return tuple(
        AgentFigures(
            name=member.name,
            family=member.family,
            weight=round(member.weight, 4),
            brier=None if member.brier is None else round(member.brier, 4),
            calls=member.calls,
            note=member.note,
        )
        for member in session.signals.panel(first).members
    )


def _stream_figures(session: TradingSession | None) -> dict[str, Any]:
    if session is None:
        return {}
    traffic = session.traffic
    return {
        "public_frames": session.feed.frames,
        "private_frames": session.reports.frames,
        "public_connects": session.public.connects,
        "private_connects": session.private.connects,
        "trade_connects": traffic.trade_connects,
        "orders_by_stream": traffic.orders_by_stream,
        "orders_by_rest": traffic.orders_by_rest,
        "order_way": _order_way(traffic.order_ways),
        "quota_waits": traffic.quota_waits,
        "quota_refusals": traffic.quota_refusals,
        "cancel_on_disconnect_s": session.venue_account.disconnect.window_s,
        "hedged_symbols": sorted(session.venue_account.hedged),
        "gaps": session.feed.gaps(),
        "rejected_frames": session.feed.rejected_frames,
        **session.feed.doubts(),
        "resyncs": session.public.resyncs,
        "private_polls": session.outage.polls,
        "fast_executions": session.reports.fast.first,
        "execution_conflicts": session.portfolio.conflicting_fills + session.reports.fast.conflicts,
        "schema_drift": session.reports.drift.total,
        "outages": session.outage.outages,
        "clock_offset_ms": session.venue_time.offset_ms,
    }


def _order_way(ways: WaysView) -> dict[str, Any]:
    return {
        "preferred": ways.preferred.value,
        "reason": ways.reason,
        "changes": ways.changes,
        **{
            f"{name}_{figure}": value
            for name, figures in (("stream", ways.stream), ("rest", ways.rest))
            for figure, value in (
                ("sent", figures.sent),
                ("failures", figures.failures),
                ("ack_median_ms", figures.median_ms),
            )
        },
    }


def _frames_per_second(session: TradingSession | None) -> float | None:
    if session is None:
        return None
    # A session that has stopped receives no more; its last rate is the run's.
    if session.last_frames_per_second is not None:
        return session.last_frames_per_second
    return session.feed.frames_per_second()


def _rounded(figure: object) -> float | None:
    return None if figure is None else round(float(str(figure)), 4)


def _negated(figure: object) -> float | None:
    rounded = _rounded(figure)
    return None if rounded is None else -rounded
