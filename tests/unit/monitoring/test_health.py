from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.monitoring.health import HealthEvidence, assess

HEALTHY = HealthEvidence(
    books_expected=2,
    books_fresh=2,
    private_connected=True,
    positions_agree=True,
    request_failures=0,
    requests=100,
    orders_unknown=0,
    ack_p95_ms=40.0,
    ack_target_ms=500.0,
    signal_p95_ms=1.0,
    signal_target_ms=2000.0,
    stream_gaps=0,
    trading_state="ACTIVE",
)
NO_DATA = HealthEvidence(
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


def test_full_evidence_earns_every_point_and_needs_no_reason() -> None:
    health = assess(HEALTHY)
    assert (health.score, health.reasons) == (100.0, ())


def test_without_data_the_score_is_at_most_twenty() -> None:
    health = assess(NO_DATA)
    assert health.score <= 20
    assert len(health.reasons) >= 6


def test_zero_is_reachable() -> None:
    assert assess(replace(NO_DATA, books_expected=0, trading_state="HALTED")).score == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"private_connected": False},
        {"positions_agree": False},
        {"trading_state": "HALTED"},
        {"books_fresh": 0},
    ],
)
def test_an_outage_is_below_forty(changes: dict[str, object]) -> None:
    health = assess(replace(HEALTHY, **changes))  # type: ignore[arg-type]  # test data
    assert health.score < 40
    assert health.reasons


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"books_fresh": 1}, "not fresh"),
        ({"request_failures": 10}, "requests failed"),
        ({"orders_unknown": 1}, "unknown outcome"),
        ({"ack_p95_ms": 700.0}, "order round trip"),
        ({"signal_p95_ms": 5000.0}, "signal time"),
        ({"stream_gaps": 3}, "stream gaps"),
        ({"trading_state": "REDUCING"}, "REDUCING"),
    ],
)
def test_every_lost_point_is_explained(changes: dict[str, object], word: str) -> None:
    health = assess(replace(HEALTHY, **changes))  # type: ignore[arg-type]  # test data
    assert health.score < 100
    assert any(word in reason for reason in health.reasons)


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
            ]
        )
    )
    assert assess(replace(evidence, **better)).score >= assess(evidence).score
