"""Compliance with the guides' targets, judged only by what was measured.

A target that was not measured is *not met*: the four booleans fail closed, and the measured
figure beside each is None until there is one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceEvidence:
    """Measured figures beside their targets; None means "not measured yet"."""

    signal_p95_ms: float | None
    order_p95_ms: float | None
    success_rate_pct: float | None
    health_score: float | None
    signal_target_ms: float
    order_target_ms: float
    success_target_pct: float
    health_target: float


def compliance(evidence: ComplianceEvidence) -> dict[str, bool]:
    """Return the four documented booleans."""
    return {
        "signal_generation_target_met": _at_most(evidence.signal_p95_ms, evidence.signal_target_ms),
        "execution_latency_target_met": _at_most(evidence.order_p95_ms, evidence.order_target_ms),
        "success_rate_target_met": _at_least(
            evidence.success_rate_pct, evidence.success_target_pct
        ),
        "health_target_met": _at_least(evidence.health_score, evidence.health_target),
    }


def compliance_rows(evidence: ComplianceEvidence) -> list[dict[str, float | str | bool | None]]:
    """Return one row per target: name, measured figure, target, unit, met."""
    met = compliance(evidence)
    return [
        {
            "name": "signal_generation",
            "measured": evidence.signal_p95_ms,
            "target": evidence.signal_target_ms,
            "unit": "ms p95, at most",
            "met": met["signal_generation_target_met"],
        },
        {
            "name": "execution_latency",
            "measured": evidence.order_p95_ms,
            "target": evidence.order_target_ms,
            "unit": "ms p95, at most",
            "met": met["execution_latency_target_met"],
        },
        {
            "name": "success_rate",
            "measured": evidence.success_rate_pct,
            "target": evidence.success_target_pct,
            "unit": "%, at least",
            "met": met["success_rate_target_met"],
        },
        {
            "name": "health",
            "measured": evidence.health_score,
            "target": evidence.health_target,
            "unit": "points, at least",
            "met": met["health_target_met"],
        },
    ]


def _at_most(measured: float | None, target: float) -> bool:
    return measured is not None and measured <= target


def _at_least(measured: float | None, target: float) -> bool:
    return measured is not None and measured >= target
