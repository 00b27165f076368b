"""Which figures raise which alert."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.config.operations import AlertSettings
from trading_system.monitoring.alerts.figures import AlertFigures, Severity
from trading_system.monitoring.alerts.rules import RULES, conditions

SETTINGS = AlertSettings()
FINE = AlertFigures(health_score=95.0)


def raised(**changes):
    return conditions(replace(FINE, **changes), SETTINGS)


def test_a_healthy_system_raises_nothing():
    assert raised() == []


@pytest.mark.parametrize(
    ("changes", "name", "severity"),
    [
        ({"health_score": 69.9}, "health-degraded", Severity.WARNING),
        ({"health_score": 39.0}, "health-degraded", Severity.CRITICAL),
        ({"health_score": math.nan}, "health-degraded", Severity.CRITICAL),
        ({"broken_parts": (("clock", "off"),)}, "component-failed", Severity.WARNING),
        ({"signal_p95_ms": 4000.1}, "signal-latency-high", Severity.WARNING),
        ({"order_p95_ms": 1000.1}, "order-latency-high", Severity.WARNING),
        ({"system_p95_ms": 6000.1}, "system-latency-high", Severity.WARNING),
        ({"success_rate_pct": 39.0, "parents_ended": 5}, "success-rate-low", Severity.WARNING),
        ({"queue_size": 51}, "queue-buildup", Severity.WARNING),
        ({"queue_size": 100}, "queue-buildup", Severity.CRITICAL),
        ({"orders_unknown": 1}, "orders-unknown", Severity.WARNING),
        ({"positions_agree": False}, "positions-differ", Severity.CRITICAL),
        ({"journal_failure": "disk full"}, "journal-failed", Severity.CRITICAL),
        ({"unprotected": ("BTCUSDT",)}, "position-without-stop", Severity.CRITICAL),
        ({"clock_offset_ms": -501.0}, "clock-offset", Severity.WARNING),
        ({"degraded": (("order_ack_ms", "doubled"),)}, "performance-degraded", Severity.WARNING),
        ({"trading_state": "HALTED"}, "trading-halted", Severity.CRITICAL),
        ({"trading_state": "REDUCING"}, "trading-reducing", Severity.WARNING),
    ],
)
def test_each_figure_raises_its_own_alert(changes, name, severity):
    assert [(one.rule, one.severity) for one in raised(**changes)] == [(name, severity)]


@pytest.mark.parametrize(
    "changes",
    [
        {"health_score": 70.0},
        {"signal_p95_ms": 4000.0},
        {"success_rate_pct": 39.0, "parents_ended": 4},
        {"success_rate_pct": 40.0, "parents_ended": 5},
        {"queue_size": 50},
        {"clock_offset_ms": 500.0},
        {"positions_agree": None},
        {"signal_p95_ms": math.nan},
    ],
)
def test_a_figure_at_its_threshold_raises_nothing(changes):
    assert raised(**changes) == []


@pytest.mark.parametrize(
    ("state", "source", "reason", "name", "severity"),
    [
        ("REDUCING", "loss-limit", "equity fell 2 % since midnight UTC", "daily-loss-limit", 3),
        ("REDUCING", "loss-limit", "equity fell 5 % from its peak", "drawdown-limit", 3),
        ("HALTED", "operator", "kill command", "kill-switch", 3),
        ("REDUCING", "operator", "reduce-only: lunch", "reduce-only", 1),
        ("HALTED", "operator", "reduce-only: lunch", "reduce-only", 1),
        ("ACTIVE", "pause", "paused: lunch", "paused", 1),
        ("REDUCING", "stale-book", "1 of 2", "stale-book", 2),
        ("HALTED", "stale-book", "2 of 2", "stale-book", 3),
        ("REDUCING", "venue", "lost private", "venue-outage", 2),
        ("HALTED", "venue", "lost all", "venue-outage", 3),
        ("HALTED", "auth", "refused", "venue-auth", 3),
        ("HALTED", "invariant", "overfill", "invariant-broken", 3),
        ("REDUCING", "health", "score 50", "health-hold", 2),
        ("REDUCING", "reconciliation", "differ", "positions-differ", 3),
        ("HALTED", "journal", "disk full", "journal-failed", 3),
        ("HALTED", "something", "new", "trading-halted", 3),
        ("REDUCING", "something", "new", "trading-reducing", 2),
    ],
)
def test_each_hold_raises_its_own_alert(state, source, reason, name, severity):
    found = raised(trading_state=state, holds=((source, reason),))
    assert [(one.rule, int(one.severity)) for one in found] == [(name, severity)]
    assert reason in found[0].message


def test_a_start_raises_neither_health_nor_component_nor_hold():
    found = raised(
        health_score=0.0,
        broken_parts=(("clock", "not measured yet"),),
        trading_state="HALTED",
        holds=(("recovery", "not reconciled"), ("start", "starting")),
    )
    assert found == []


def test_a_cause_that_shows_twice_is_one_alert():
    found = raised(
        positions_agree=False,
        journal_failure="disk full",
        trading_state="HALTED",
        holds=(("reconciliation", "differ"), ("journal", "disk full")),
    )
    assert [one.rule for one in found] == ["positions-differ", "journal-failed"]


def test_the_worst_comes_first_and_every_broken_part_is_named():
    parts = (("clock", "off"), ("journal", "gone"))
    found = raised(broken_parts=parts, journal_failure="gone")
    assert [one.subject for one in found] == ["", "clock", "journal"]
    assert found[0].severity is Severity.CRITICAL


def test_every_rule_has_a_kebab_case_name_and_a_remedy_with_command_or_setting():
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule.name == rule.name.lower().replace("_", "-").replace(" ", "-")
        assert (
            "`trading-system " in rule.remedy
            or "TRADING_" in rule.remedy
            or "doctor" in rule.remedy
        )
        assert rule.remedy.endswith(".")
        assert rule.meaning.endswith(".")


@given(st.floats(), st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.floats()))
def test_values_are_finite_or_missing_whatever_was_measured(score, latency_ms, offset_ms):
    found = raised(health_score=score, signal_p95_ms=latency_ms, clock_offset_ms=offset_ms)
    assert all(one.value is None or math.isfinite(one.value) for one in found)
    assert len({(one.rule, one.subject) for one in found}) == len(found)
