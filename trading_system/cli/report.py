"""Prints a status as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trading_system.cli import output
from trading_system.reports import run


def print_report(status: dict[str, Any]) -> None:
    """Print the run report of a status."""
    output.emit_table("Run report", ("what", "figure"), run.report_rows(status))
    output.emit_table(
        "Stages, microseconds",
        ("stage", "p50", "p95", "p99", "samples"),
        run.stage_rows(status),
    )
    agents = run.agent_rows(status)
    if agents:
        columns = ("agent", "family", "weight", "Brier", "calls")
        output.emit_table("Signal agents", columns, agents)
    print_compliance(status["compliance_targets"])


def print_compliance(targets: list[dict[str, Any]], times: Mapping[str, Any] | None = None) -> None:
    """Print measured figures beside their targets, and for how much of the time they were met.

    Parameters
    ----------
    times : Mapping, optional
        ``time_in_compliance`` of the control API.
    """
    known = {} if times is None else times["targets"]
    rows = [
        (*row[:-1], "\n".join(filter(None, (row[-1], _time_met(known.get(row[0]))))))
        for row in run.compliance_table(targets)
    ]
    output.emit_table("Compliance", ("target", "measured", "bar", "met"), rows)


def _time_met(figures: Mapping[str, Any] | None) -> str:
    if figures is None or figures["met_pct"] is None:
        return ""
    return f"{run.figure(figures['met_pct'], '%')} of the time"
