from dataclasses import replace

import pytest

from trading_system.monitoring.compliance import (
    ComplianceEvidence,
    compliance,
    compliance_rows,
    compliance_state,
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


BROKEN = {
    "signal_generation_target_met": {"signal_p95_ms": 2000.1},
    "execution_latency_target_met": {"order_p95_ms": 500.1},
    "success_rate_target_met": {"success_rate_pct": 59.9},
    "health_target_met": {"health_score": 79.9},
}


@pytest.mark.parametrize(("key", "changes"), BROKEN.items())
def test_each_target_broken_on_purpose_turns_exactly_its_key_false(
    key: str, changes: dict[str, float]
) -> None:
    broken = replace(MET, **changes)
    assert [name for name, is_met in compliance(broken).items() if not is_met] == [key]
    missed = [row["name"] for row in compliance_rows(broken) if row["judged"] and not row["met"]]
    assert [f"{name}_target_met" for name in missed] == [key]


@pytest.mark.parametrize("key", BROKEN)
def test_a_figure_on_its_target_meets_it(key: str) -> None:
    edge = replace(
        MET, signal_p95_ms=2000.0, order_p95_ms=500.0, success_rate_pct=60.0, health_score=80.0
    )
    assert compliance(edge)[key]


def test_without_parent_orders_to_work_the_success_rate_does_not_apply() -> None:
    maker = replace(MET, success_rate_pct=None, works_parents=False)
    assert all(compliance(maker).values())
    assert compliance_state(maker) == "measured"
    row = next(row for row in compliance_rows(maker) if row["name"] == "success_rate")
    assert (row["measured"], row["judged"]) == (None, False)
    assert str(row["reason"]).startswith("not applicable")


def test_a_parent_order_that_failed_under_a_market_maker_is_judged_all_the_same() -> None:
    failed = replace(MET, success_rate_pct=0.0, works_parents=False)
    assert compliance(failed)["success_rate_target_met"] is False
    row = next(row for row in compliance_rows(failed) if row["name"] == "success_rate")
    assert (row["judged"], row["reason"]) == (True, "")


def test_system_latency_is_shown_and_judges_nothing() -> None:
    slow = replace(MET, system_p95_ms=9000.0)
    (row,) = [row for row in compliance_rows(slow) if not row["judged"]]
    assert (row["name"], row["measured"], row["target"], row["met"]) == (
        "system_latency",
        9000.0,
        3000.0,
        False,
    )
    assert all(compliance(slow).values())


def test_the_state_says_how_much_was_measured() -> None:
    nothing = replace(MET, signal_p95_ms=None, order_p95_ms=None, success_rate_pct=None)
    assert compliance_state(nothing) == "no data yet"
    assert compliance_state(replace(nothing, signal_p95_ms=1.0)) == "partly measured"
    assert compliance_state(MET) == "measured"
