from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.monitoring.health import (
    ALL_PARTS,
    CORE_PARTS,
    HealthEvidence,
    Part,
    assess,
)

HEALTHY = HealthEvidence(
    parts=ALL_PARTS,
    books_expected=2,
    books_fresh=2,
    private_connected=True,
    positions_agree=True,
    compared_age_s=3.0,
    request_failures=0,
    requests=100,
    orders_unknown=0,
    trade_socket_connected=True,
    ack_p95_ms=40.0,
    ack_target_ms=500.0,
    agents_expected=4,
    agents_answering=4,
    has_quorum=True,
    signal_p95_ms=1.0,
    signal_target_ms=2000.0,
    slippage_bps=-0.5,
    success_rate_pct=90.0,
    queue_size=3,
    journal_writable=True,
    loop_lag_p99_ms=2.0,
    clock_offset_ms=-4.0,
    stream_gaps=0,
    trading_state="ACTIVE",
)
NO_DATA = HealthEvidence(
    parts=ALL_PARTS,
    books_expected=2,
    books_fresh=0,
    private_connected=None,
    positions_agree=None,
    request_failures=0,
    requests=0,
    orders_unknown=0,
    ack_p95_ms=None,
    ack_target_ms=500.0,
    signal_p95_ms=None,
    signal_target_ms=2000.0,
    stream_gaps=0,
    trading_state="ACTIVE",
)
DEGRADED = [
    (Part.MARKET_DATA, {"books_fresh": 1}, "1 of 2 books not fresh"),
    (Part.STREAM_QUALITY, {"stream_gaps": 3}, "3 stream gaps"),
    (Part.PRIVATE_STREAM, {"private_connected": False}, "down"),
    (Part.RECONCILIATION, {"positions_agree": False}, "positions differ"),
    (Part.RECONCILIATION, {"compared_age_s": 30.0}, "30 s ago"),
    (Part.VENUE_REQUESTS, {"request_failures": 10}, "10.0% of venue requests failed"),
    (Part.VENUE_REQUESTS, {"orders_unknown": 1}, "unknown outcome"),
    (Part.TRADE_SOCKET, {"trade_socket_connected": False}, "down"),
    (Part.ORDER_ROUND_TRIP, {"ack_p95_ms": 700.0}, "p95 700 ms, target 500 ms"),
    (Part.SIGNAL_AGENTS, {"agents_answering": 3}, "3 of 4 answer"),
    (Part.SIGNAL_AGENTS, {"has_quorum": False}, "no quorum"),
    (Part.CONSENSUS_TIME, {"signal_p95_ms": 2500.0}, "signal time"),
    (Part.EXECUTION_QUALITY, {"slippage_bps": 7.0}, "slippage 7 bps"),
    (Part.EXECUTION_QUALITY, {"success_rate_pct": 30.0}, "success rate 30 %"),
    (Part.REQUEST_QUEUE, {"queue_size": 80}, "80 of 100 places"),
    (Part.JOURNAL, {"journal_writable": False}, "cannot be written"),
    (Part.EVENT_LOOP, {"loop_lag_p99_ms": 35.0}, "lag p99 35 ms"),
    (Part.CLOCK, {"clock_offset_ms": -900.0}, "offset to the venue 900 ms"),
    (Part.TRADING_STATE, {"trading_state": "REDUCING", "holds": ("lunch",)}, "REDUCING (lunch)"),
]
UNMEASURED = [
    (Part.SIGNAL_AGENTS, {"agents_expected": 0}),
    (Part.TRADE_SOCKET, {"trade_socket_connected": None}),
    (Part.CONSENSUS_TIME, {"signal_p95_ms": None}),
    (Part.EXECUTION_QUALITY, {"slippage_bps": None, "success_rate_pct": None}),
    (Part.REQUEST_QUEUE, {"queue_size": None}),
    (Part.JOURNAL, {"journal_writable": None}),
    (Part.EVENT_LOOP, {"loop_lag_p99_ms": None}),
    (Part.CLOCK, {"clock_offset_ms": None}),
]


def test_full_evidence_earns_every_point_and_needs_no_reason() -> None:
    health = assess(HEALTHY)
    assert (health.score, health.reasons) == (100.0, ())


def test_without_data_the_score_is_at_most_twenty() -> None:
    health = assess(NO_DATA)
    assert health.score <= 20
    assert len(health.reasons) >= 6


def test_zero_is_reachable() -> None:
    nothing = assess(replace(NO_DATA, books_expected=0, trading_state="HALTED"))
    assert (nothing.score, len(nothing.reasons)) == (0, len(ALL_PARTS))


@pytest.mark.parametrize(
    "changes",
    [
        {"private_connected": False},
        {"positions_agree": False},
        {"trading_state": "HALTED"},
        {"journal_writable": False},
        {"books_fresh": 0},
    ],
)
def test_an_outage_is_below_forty(changes: dict[str, object]) -> None:
    health = assess(replace(HEALTHY, **changes))  # type: ignore[arg-type]  # test data
    assert health.score < 40
    assert health.reasons


@pytest.mark.parametrize(("part", "changes", "words"), DEGRADED)
def test_each_degraded_component_costs_points_and_is_named(
    part: Part, changes: dict[str, object], words: str
) -> None:
    health = assess(replace(HEALTHY, **changes))  # type: ignore[arg-type]  # test data
    assert health.score < 100
    assert any(r.startswith(f"{part.value}: ") and words in r for r in health.reasons)
    assert [name for name, share in health.parts if share < 1] == [part.value]


def test_every_component_is_degraded_by_some_test() -> None:
    assert {part for part, _, _ in DEGRADED} == ALL_PARTS


@pytest.mark.parametrize(("part", "changes"), UNMEASURED)
def test_what_was_not_measured_earns_nothing(part: Part, changes: dict[str, object]) -> None:
    health = assess(replace(HEALTHY, **changes))  # type: ignore[arg-type]  # test data
    assert dict(health.parts)[part.value] == 0
    assert any(reason.startswith(part.value) for reason in health.reasons)


@pytest.mark.parametrize("part", Part)
def test_a_component_that_is_not_used_costs_nothing(part: Part) -> None:
    health = assess(replace(HEALTHY, parts=ALL_PARTS - {part}))
    assert (health.score, len(health.parts)) == (100.0, len(ALL_PARTS) - 1)


def test_the_lost_points_in_the_reasons_add_up() -> None:
    worse = {"books_fresh": 1, "orders_unknown": 1, "ack_p95_ms": 700.0, "queue_size": 80}
    health = assess(replace(HEALTHY, **worse))  # type: ignore[arg-type]  # test data
    lost = sum(float(reason.rsplit("(-", 1)[1][:-1]) for reason in health.reasons)
    assert 100 - lost == pytest.approx(health.score, abs=0.05 * len(health.reasons))


EVIDENCE = st.builds(
    HealthEvidence,
    books_expected=st.integers(0, 5),
    books_fresh=st.integers(0, 5),
    private_connected=st.none() | st.booleans(),
    positions_agree=st.none() | st.booleans(),
    request_failures=st.integers(0, 100),
    requests=st.integers(0, 100),
    orders_unknown=st.integers(0, 5),
    ack_p95_ms=st.none() | st.floats(0, 1e6),
    ack_target_ms=st.just(500.0),
    signal_p95_ms=st.none() | st.floats(0, 1e6),
    signal_target_ms=st.just(2000.0),
    stream_gaps=st.integers(0, 20),
    trading_state=st.sampled_from(["ACTIVE", "REDUCING", "HALTED"]),
    parts=st.sampled_from([CORE_PARTS, ALL_PARTS]),
    compared_age_s=st.none() | st.floats(0, 1e4),
    trade_socket_connected=st.none() | st.booleans(),
    agents_expected=st.integers(0, 5),
    agents_answering=st.integers(0, 5),
    has_quorum=st.none() | st.booleans(),
    slippage_bps=st.none() | st.floats(-100, 100),
    success_rate_pct=st.none() | st.floats(0, 100),
    queue_size=st.none() | st.integers(0, 200),
    journal_writable=st.none() | st.booleans(),
    loop_lag_p99_ms=st.none() | st.floats(0, 1e4),
    clock_offset_ms=st.none() | st.floats(-1e4, 1e4),
)


@given(EVIDENCE)
def test_the_score_stays_between_zero_and_hundred(evidence: HealthEvidence) -> None:
    health = assess(evidence)
    assert 0 <= health.score <= 100
    assert health.score == 100 or health.reasons


@given(EVIDENCE, st.data())
def test_better_evidence_never_lowers_the_score(
    evidence: HealthEvidence, data: st.DataObject
) -> None:
    better = data.draw(
        st.sampled_from(
            [
                {"books_fresh": evidence.books_fresh + 1},
                {"private_connected": True},
                {"positions_agree": True},
                {"request_failures": 0},
                {"orders_unknown": 0},
                {"ack_p95_ms": 1.0},
                {"signal_p95_ms": 1.0},
                {"stream_gaps": 0},
                {"trading_state": "ACTIVE"},
                {"compared_age_s": 0.0},
                {"trade_socket_connected": True},
                {"agents_answering": evidence.agents_answering + 1},
                {"has_quorum": True},
                {"slippage_bps": -100.0},
                {"success_rate_pct": 100.0},
                {"queue_size": 0},
                {"journal_writable": True},
                {"loop_lag_p99_ms": 0.0},
                {"clock_offset_ms": 0.0},
            ]
        )
    )
    assert assess(replace(evidence, **better)).score >= assess(evidence).score
