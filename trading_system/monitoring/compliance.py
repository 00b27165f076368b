"""Compliance with the guides' targets, judged only by what was measured.

A target that was not measured is *not met*: the four booleans fail closed, and the measured
figure beside each is None until there is one. :func:`compliance_state` says in a word how much was
measured; with no data at all it is ``no data yet``. The guides' fifth target, system latency, is
shown with its figure and is not one of the four booleans.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceEvidence:
    """Measured figures beside their targets; None means "not measured yet".

    ``system_p95_ms`` is the 95th percentile from receiving market data to an order's first byte
    handed to the socket.
    """

    signal_p95_ms: float | None
    order_p95_ms: float | None
    success_rate_pct: float | None
    health_score: float | None
    signal_target_ms: float
    order_target_ms: float
    success_target_pct: float
    health_target: float
    system_p95_ms: float | None = None
    system_target_ms: float = 3000.0


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


def compliance_state(evidence: ComplianceEvidence) -> str:
    """Return ``no data yet``, ``partly measured`` or ``measured``.

    The health score exists from the first call and says nothing about the rest.
    """
    figures = (evidence.signal_p95_ms, evidence.order_p95_ms, evidence.success_rate_pct)
    missing = sum(figure is None for figure in figures)
    if missing == len(figures):
        return "no data yet"
    return "partly measured" if missing else "measured"


def compliance_rows(evidence: ComplianceEvidence) -> list[dict[str, float | str | bool | None]]:
    """Return one row per target: name, measured figure, target, unit, met, judged.

    The rows that are ``judged`` are the four booleans of :func:`compliance`.
    """
    met = compliance(evidence)
    return [
        {
            "name": "signal_generation",
            "measured": evidence.signal_p95_ms,
            "target": evidence.signal_target_ms,
            "unit": "ms p95, at most",
            "met": met["signal_generation_target_met"],
            "judged": True,
        },
        {
            "name": "execution_latency",
            "measured": evidence.order_p95_ms,
            "target": evidence.order_target_ms,
            "unit": "ms p95, at most",
            "met": met["execution_latency_target_met"],
            "judged": True,
        },
        {
            "name": "success_rate",
            "measured": evidence.success_rate_pct,
            "target": evidence.success_target_pct,
            "unit": "%, at least",
            "met": met["success_rate_target_met"],
            "judged": True,
        },
        {
            "name": "health",
            "measured": evidence.health_score,
            "target": evidence.health_target,
            "unit": "points, at least",
            "met": met["health_target_met"],
            "judged": True,
        },
        {
            "name": "system_latency",
            "measured": evidence.system_p95_ms,
            "target": evidence.system_target_ms,
            "unit": "ms p95, at most",
            "met": _at_most(evidence.system_p95_ms, evidence.system_target_ms),
            "judged": False,
        },
    ]


def _at_most(measured: float | None, target: float) -> bool:
    return measured is not None and measured <= target


def _at_least(measured: float | None, target: float) -> bool:
    return measured is not None and measured >= target
