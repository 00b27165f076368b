"""Prints a status as tables for people."""

from __future__ import annotations

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


def print_compliance(targets: list[dict[str, Any]]) -> None:
    """Print measured figures beside their targets."""
    output.emit_table(
        "Compliance", ("target", "measured", "bar", "met"), run.compliance_table(targets)
    )
