"""Compliance with the guides' targets, judged only by what was measured.

A target that was not measured is *not met*: the four booleans fail closed, and the measured
figure beside each is None until there is one. One exception: a market maker works no parent
orders, so without a measured success rate there is nothing to judge; that target is then not
applicable, which counts as met, and its row is not judged and says why.
:func:`compliance_state` says in a word how much was
measured; with no data at all it is ``no data yet``. The guides' fifth target, system latency, is
shown with its figure and is not one of the four booleans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NOT_APPLICABLE: Final = "not applicable: a market maker works no parent orders"
"""Why the success rate is not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceEvidence:
    """Measured figures beside their targets; None means "not measured yet".

    ``system_p95_ms`` is from the exchange's stamp of market data to the acknowledgement of the
    order that follows: the sum of the stages' 95th percentiles, an upper bound. ``works_parents``
    is False for a strategy without parent orders.
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
    works_parents: bool = True

    @property
    def is_success_applicable(self) -> bool:
        """Whether there are, or should be, parent orders whose success can be judged."""
        return self.works_parents or self.success_rate_pct is not None


def compliance(evidence: ComplianceEvidence) -> dict[str, bool]:
    """Return the four documented booleans."""
    return {
        "signal_generation_target_met": _at_most(evidence.signal_p95_ms, evidence.signal_target_ms),
        "execution_latency_target_met": _at_most(evidence.order_p95_ms, evidence.order_target_ms),
        "success_rate_target_met": not evidence.is_success_applicable
        or _at_least(evidence.success_rate_pct, evidence.success_target_pct),
        "health_target_met": _at_least(evidence.health_score, evidence.health_target),
    }


def compliance_state(evidence: ComplianceEvidence) -> str:
    """Return ``no data yet``, ``partly measured`` or ``measured``.

    The health score exists from the first call and says nothing about the rest.
    """
    figures = [evidence.signal_p95_ms, evidence.order_p95_ms]
    if evidence.is_success_applicable:
        figures.append(evidence.success_rate_pct)
    missing = sum(figure is None for figure in figures)
    if missing == len(figures):
        return "no data yet"
    return "partly measured" if missing else "measured"


def compliance_rows(evidence: ComplianceEvidence) -> list[dict[str, float | str | bool | None]]:
    """Return one row per target: name, measured figure, target, unit, met, judged.

    The rows that are ``judged`` are the booleans of :func:`compliance`, all four where they apply;
    ``reason`` says why a row is not judged, empty for the others.
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
            "reason": "",
        },
        {
            "name": "execution_latency",
            "measured": evidence.order_p95_ms,
            "target": evidence.order_target_ms,
            "unit": "ms p95, at most",
            "met": met["execution_latency_target_met"],
            "judged": True,
            "reason": "",
        },
        {
            "name": "success_rate",
            "measured": evidence.success_rate_pct,
            "target": evidence.success_target_pct,
            "unit": "%, at least",
            "met": met["success_rate_target_met"],
            "judged": evidence.is_success_applicable,
            "reason": "" if evidence.is_success_applicable else NOT_APPLICABLE,
        },
        {
            "name": "health",
            "measured": evidence.health_score,
            "target": evidence.health_target,
            "unit": "points, at least",
            "met": met["health_target_met"],
            "judged": True,
            "reason": "",
        },
        {
            "name": "system_latency",
            "measured": evidence.system_p95_ms,
            "target": evidence.system_target_ms,
            "unit": "ms p95, at most",
            "met": _at_most(evidence.system_p95_ms, evidence.system_target_ms),
            "judged": False,
            "reason": "shown, not judged",
        },
    ]


def _at_most(measured: float | None, target: float) -> bool:
    return measured is not None and measured <= target


def _at_least(measured: float | None, target: float) -> bool:
    return measured is not None and measured >= target
