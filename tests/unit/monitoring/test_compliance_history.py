import json
from dataclasses import replace

from trading_system.monitoring.compliance import ComplianceEvidence, compliance_rows
from trading_system.monitoring.compliance_history import MAX_GAP_S, ComplianceHistory
from trading_system.runtime.clock import ManualClock

GOOD = ComplianceEvidence(
    signal_p95_ms=1.0,
    order_p95_ms=10.0,
    success_rate_pct=90.0,
    health_score=95.0,
    signal_target_ms=2000.0,
    order_target_ms=500.0,
    success_target_pct=40.0,
    health_target=70.0,
    system_p95_ms=None,
)
SLOW = replace(GOOD, order_p95_ms=900.0)
UNMEASURED = replace(GOOD, order_p95_ms=None)


def lived(*spells: tuple[ComplianceEvidence, float]) -> ComplianceHistory:
    clock = ManualClock()
    history = ComplianceHistory(clock=clock)
    for evidence, seconds in spells:
        history.observe(compliance_rows(evidence))
        clock.advance(seconds)
    history.observe(compliance_rows(spells[-1][0]))
    return history


def test_before_anything_passed_no_share_is_claimed() -> None:
    history = ComplianceHistory(clock=ManualClock())
    assert history.figures() == {"since_s": 0.0, "all_met_pct": None, "targets": {}}
    history.observe(compliance_rows(GOOD))
    assert history.figures()["targets"]["health"]["met_pct"] is None


def test_time_belongs_to_what_the_earlier_observation_said() -> None:
    figures = lived((GOOD, 6.0), (SLOW, 2.0)).figures()
    assert (figures["since_s"], figures["all_met_pct"]) == (8.0, 75.0)
    order = figures["targets"]["execution_latency"]
    assert order == {"met_s": 6.0, "missed_s": 2.0, "unmeasured_s": 0.0, "met_pct": 75.0}
    assert figures["targets"]["health"]["met_pct"] == 100.0


def test_what_is_not_measured_is_neither_met_nor_missed_but_not_all_met() -> None:
    figures = lived((UNMEASURED, 5.0), (GOOD, 5.0)).figures()
    order = figures["targets"]["execution_latency"]
    assert (order["unmeasured_s"], order["met_pct"]) == (5.0, 100.0)
    assert figures["all_met_pct"] == 50.0


def test_a_target_that_is_not_judged_does_not_count_against_all() -> None:
    maker = replace(GOOD, success_rate_pct=None, works_parents=False)
    figures = lived((maker, 4.0)).figures()
    assert figures["all_met_pct"] == 100.0
    assert figures["targets"]["system_latency"]["unmeasured_s"] == 4.0


def test_a_pause_of_the_watch_is_not_measured_and_not_met() -> None:
    figures = lived((GOOD, 5.0), (GOOD, MAX_GAP_S + 10.0)).figures()
    assert figures["targets"]["health"]["unmeasured_s"] == 20.0
    assert figures["all_met_pct"] == 20.0


def test_without_rows_nothing_was_met() -> None:
    clock = ManualClock()
    history = ComplianceHistory(clock=clock)
    for _ in range(2):
        history.observe([])
        clock.advance(1.0)
    assert history.figures()["all_met_pct"] == 0.0


def test_many_short_spells_add_up_exactly_and_are_json() -> None:
    figures = lived(*[(GOOD, 0.1)] * 3000, (SLOW, 0.1)).figures()
    assert figures["targets"]["execution_latency"]["met_s"] == 300.0
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
