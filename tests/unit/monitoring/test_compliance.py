from dataclasses import replace

from trading_system.monitoring.compliance import (
    ComplianceEvidence,
    compliance,
    compliance_rows,
)

MET = ComplianceEvidence(
    signal_p95_ms=2.0,
    order_p95_ms=100.0,
    success_rate_pct=75.0,
    health_score=95.0,
    signal_target_ms=2000.0,
    order_target_ms=500.0,
    success_target_pct=60.0,
    health_target=80.0,
)


def test_a_healthy_run_meets_all_four() -> None:
    assert compliance(MET) == {
        "signal_generation_target_met": True,
        "execution_latency_target_met": True,
        "success_rate_target_met": True,
        "health_target_met": True,
    }


def test_what_was_not_measured_is_not_met() -> None:
    empty = replace(
        MET, signal_p95_ms=None, order_p95_ms=None, success_rate_pct=None, health_score=None
    )
    assert not any(compliance(empty).values())
    assert all(row["measured"] is None for row in compliance_rows(empty))


def test_a_missed_target_shows_in_its_row() -> None:
    rows = compliance_rows(replace(MET, order_p95_ms=900.0))
    missed = [row["name"] for row in rows if not row["met"]]
    assert missed == ["execution_latency"]
