"""What the watch reads of a session: figures for alerts, compliance and the search for changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from trading_system.config.operations import TargetSettings
from trading_system.domain.parents import ParentResult
from trading_system.domain.ports import Clock
from trading_system.live.control import holds_of
from trading_system.live.evidence import milliseconds, recent_parents, success_pct
from trading_system.live.session import TradingSession
from trading_system.monitoring.alerts.figures import AlertFigures
from trading_system.monitoring.compliance import ComplianceEvidence
from trading_system.monitoring.health import Health, HealthEvidence, Part

SAMPLE_S: Final = 5.0
"""What one sample for the search for changes spans, seconds: samples must not overlap."""

_LOOP_LAG_SAMPLES = 6  # the lag is measured over the newest half minute
_UNPROTECTED_S = 12.0
_NS_PER_S = 1_000_000_000
_STATE = Part.TRADING_STATE.value


class Unprotected:
    """Own positions that have been without a stop at the venue for longer than is normal.

    The venue's stops are compared every five seconds: a stop that is set at once is seen at the
    next comparison, one that had to be set again at the one after that.

    Parameters
    ----------
    clock : Clock
        Monotonic time.
    after_s : float
        Seconds without a stop from which on a position counts.
    """

    def __init__(self, *, clock: Clock, after_s: float = _UNPROTECTED_S) -> None:
        self._clock = clock
        self._after_ns = round(after_s * _NS_PER_S)
        self._since_ns: dict[str, int] = {}

    def observe(self, missing: Iterable[str]) -> tuple[str, ...]:
        """Return those of the symbols ``missing`` a stop now that have missed it for long."""
        now_ns = self._clock.monotonic_ns()
        self._since_ns = {symbol: self._since_ns.get(symbol, now_ns) for symbol in missing}
        long = (s for s, since_ns in self._since_ns.items() if now_ns - since_ns >= self._after_ns)
        return tuple(sorted(long))


def alert_figures(
    session: TradingSession,
    evidence: HealthEvidence,
    health: Health,
    *,
    targets: TargetSettings,
    system_p95_ms: float | None,
    unprotected: tuple[str, ...],
    degraded: tuple[tuple[str, str], ...],
    broken: tuple[tuple[str, str], ...] = (),
) -> AlertFigures:
    """Return what alerts are judged by; ``broken`` are parts beside those of the health score.

    What holds trading has alerts of its own, so the trading state is no broken part here. Success
    is that of the newest parents: over a whole run, hundreds that went well would hide for
    hours that none does any more, and early failures would be told long after they were over.
    """
    newest = recent_parents(session)
    return AlertFigures(
        health_score=health.score,
        broken_parts=(*(part for part in health.broken if part[0] != _STATE), *broken),
        signal_p95_ms=evidence.signal_p95_ms,
        signal_target_ms=targets.signal_generation_time_ms,
        order_p95_ms=evidence.ack_p95_ms,
        order_target_ms=targets.order_execution_time_ms,
        system_p95_ms=system_p95_ms,
        system_target_ms=targets.system_latency_ms,
        success_rate_pct=success_pct(newest),
        parents_ended=len(newest),
        queue_size=evidence.queue_size,
        queue_capacity=evidence.queue_capacity,
        trading_state=session.engine.state.value,  # as the holds: health may just have changed it
        holds=tuple(holds_of(session).items()),
        orders_unknown=evidence.orders_unknown,
        positions_agree=evidence.positions_agree,
        journal_failure=session.journal.failure,
        unprotected=unprotected,
        clock_offset_ms=evidence.clock_offset_ms,
        degraded=degraded,
    )


def unjudged_figures(
    session: TradingSession, *, broken: tuple[tuple[str, str], ...]
) -> AlertFigures:
    """Return what alerts are judged by where health never could be: its score is 0."""
    return AlertFigures(
        health_score=0.0,
        broken_parts=broken,
        trading_state=session.engine.state.value,
        holds=tuple(holds_of(session).items()),
        journal_failure=session.journal.failure,
    )


def compliance_evidence(
    evidence: HealthEvidence,
    health: Health,
    *,
    targets: TargetSettings,
    system_p95_ms: float | None,
    works_parents: bool,
) -> ComplianceEvidence:
    """Return what compliance is judged by, as the status does."""
    return ComplianceEvidence(
        signal_p95_ms=evidence.signal_p95_ms,
        order_p95_ms=evidence.ack_p95_ms,
        success_rate_pct=evidence.success_rate_pct,
        health_score=health.score,
        signal_target_ms=targets.signal_generation_time_ms,
        order_target_ms=targets.order_execution_time_ms,
        success_target_pct=targets.success_rate_pct,
        health_target=targets.system_health_score,
        system_p95_ms=system_p95_ms,
        system_target_ms=targets.system_latency_ms,
        works_parents=works_parents,
    )


class ChangeSamples:
    """Samples for the search for changes, each of what happened since the one before.

    A figure of which nothing happened meanwhile is None: an old value again would look like
    steadiness.
    """

    def __init__(self) -> None:
        self._totals: dict[str, tuple[int, float]] = {}
        self._parents = 0
        self._taken = 0

    def take(
        self, session: TradingSession, *, mean_health: float | None
    ) -> dict[str, float | None]:
        """Return the newest sample of each figure.

        Parameters
        ----------
        mean_health : float or None
            Mean health score since the sample before, 0 to 100.
        """
        self._taken += 1
        detail = session.latency.detail()
        ack_us, signal_us = self._mean_us("ack", detail), self._mean_us("signal", detail)
        ended = self._newly_ended(session)
        return {
            "order_ack_ms": milliseconds(ack_us),
            "signal_us": signal_us,
            "slippage_bps": _slippage_bps(ended),
            "loop_lag_ms": self._loop_lag_ms(session),
            "health": mean_health,
            "success_rate": success_pct(ended),
        }

    def _mean_us(self, stage: str, detail: Mapping[str, Mapping[str, Any]]) -> float | None:
        histogram = detail[stage]["histogram"]
        count, total_us = int(histogram["count"]), float(histogram["sum_us"])
        before, before_us = self._totals.get(stage, (0, 0.0))
        self._totals[stage] = (count, total_us)
        return None if count <= before else (total_us - before_us) / (count - before)

    def _newly_ended(self, session: TradingSession) -> list[ParentResult]:
        trader = session.trader
        new = trader.counts.parents_ended - self._parents
        self._parents = trader.counts.parents_ended
        return list(trader.results)[-new:] if new > 0 else []

    def _loop_lag_ms(self, session: TradingSession) -> float | None:
        return None if self._taken % _LOOP_LAG_SAMPLES else session.loop_lag.p99_ms


def _slippage_bps(ended: list[ParentResult]) -> float | None:
    found = [result.slippage_bps for result in ended if result.slippage_bps is not None]
    return sum(found) / len(found) if found else None
