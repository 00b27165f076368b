"""The health score against every single input: bounded, and never better for worse evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.monitoring.health import (
    ALL_PARTS,
    CORE_PARTS,
    HealthEvidence,
    assess,
    without_holds,
)

Badness = Callable[[Any], float]
WORST = float("inf")
STATES = ("ACTIVE", "REDUCING", "HALTED")


def less_is_better(value: float | None) -> float:
    return WORST if value is None else value


def more_is_better(value: float | None) -> float:
    return WORST if value is None else -value


def true_is_best(value: bool | None) -> float:
    return 1.0 if value is None else 2.0 - 2.0 * value


def only_true_counts(value: bool | None) -> float:
    return float(value is not True)


def some(low: float, high: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(low, high)


COUNTS = st.integers(0, 8)
CLAIMS = st.none() | st.booleans()
TARGETS = st.floats(0.1, 1e4)
INPUTS: dict[str, tuple[st.SearchStrategy[Any], Badness]] = {
    "books_expected": (st.integers(1, 8), less_is_better),
    "books_fresh": (COUNTS, more_is_better),
    "private_connected": (CLAIMS, only_true_counts),
    "positions_agree": (CLAIMS, true_is_best),
    "request_failures": (COUNTS, less_is_better),
    "requests": (COUNTS, more_is_better),
    "orders_unknown": (COUNTS, less_is_better),
    "ack_p95_ms": (some(0, 2e4), less_is_better),
    "ack_target_ms": (TARGETS, more_is_better),
    "signal_p95_ms": (some(0, 2e4), less_is_better),
    "signal_target_ms": (TARGETS, more_is_better),
    "stream_gaps": (COUNTS, less_is_better),
    "trading_state": (st.sampled_from(STATES), STATES.index),
    "compared_age_s": (some(0, 100), lambda age_s: age_s or 0.0),  # None is not judged
    "trade_socket_connected": (CLAIMS, only_true_counts),
    "agents_expected": (st.integers(1, 8), less_is_better),
    "agents_answering": (COUNTS, more_is_better),
    "has_quorum": (CLAIMS, only_true_counts),
    "slippage_bps": (some(-50, 50), less_is_better),
    "slippage_target_bps": (TARGETS, more_is_better),
    "success_rate_pct": (some(0, 100), more_is_better),
    "success_target_pct": (st.floats(1, 100), less_is_better),
    "parents_ended": (COUNTS, lambda _count: 0.0),  # only says whether it is called broken
    "queue_size": (st.none() | st.integers(0, 200), less_is_better),
    "queue_capacity": (st.integers(1, 200), more_is_better),
    "journal_writable": (CLAIMS, true_is_best),
    "loop_lag_p99_ms": (some(0, 100), less_is_better),
    "loop_lag_target_ms": (TARGETS, more_is_better),
    "clock_offset_ms": (some(-2e3, 2e3), lambda ms: WORST if ms is None else abs(ms)),
    "clock_target_ms": (TARGETS, more_is_better),
    "holds": (st.just(()), lambda _holds: 0.0),
}
EVIDENCE = st.builds(
    HealthEvidence,
    parts=st.sampled_from([CORE_PARTS, ALL_PARTS]),
    **{name: drawn for name, (drawn, _) in INPUTS.items()},
)


def test_every_input_is_examined() -> None:
    assert {field.name for field in fields(HealthEvidence)} == {*INPUTS, "parts"}


@pytest.mark.parametrize("name", INPUTS)
@given(EVIDENCE, st.data())
def test_the_score_is_bounded_and_monotone_in_each_input(
    name: str, evidence: HealthEvidence, data: st.DataObject
) -> None:
    drawn, badness = INPUTS[name]
    other = replace(evidence, **{name: data.draw(drawn)})
    better, worse = sorted((evidence, other), key=lambda e: badness(getattr(e, name)))
    high, low = assess(better).score, assess(worse).score
    assert 0 <= low <= high <= 100


@given(EVIDENCE)
def test_a_hold_never_changes_what_behaviour_is_judged_by(evidence: HealthEvidence) -> None:
    judged = assess(without_holds(evidence))
    for state in STATES:
        held = replace(evidence, trading_state=state, holds=("health: low",))
        assert assess(without_holds(held)) == judged
        assert assess(held).score <= judged.score


@given(EVIDENCE)
def test_what_is_broken_has_lost_points_and_the_worst_is_named(evidence: HealthEvidence) -> None:
    health = assess(evidence)
    shares = dict(health.parts)
    assert all(shares[name] <= 0.5 and reason for name, reason in health.broken)
    assert bool(health.worst) == bool(health.reasons)
    assert any(reason.startswith(health.worst) for reason in health.reasons) or not health.worst
