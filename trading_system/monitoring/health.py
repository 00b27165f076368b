"""Health score: a pure function of evidence that explains every lost point.

The score starts at 0 and each component earns its points only by evidence: a component without
data earns nothing. Half of all points belong to what trading cannot do without (books, private
stream, position agreement); if one of those is known to be broken the score is capped at 39, and
a system that sees no market at all scores at most 20.
"""

from __future__ import annotations

from dataclasses import dataclass

_OUTAGE_CAP = 39.0
_BLIND_CAP = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthEvidence:
    """What the score is computed from; None always means "not measured".

    Parameters
    ----------
    books_expected, books_fresh : int
        Symbols that should have a book, and those whose book is ready and not stale.
    private_connected : bool or None
        Whether the private stream is authenticated and alive.
    positions_agree : bool or None
        Whether local positions equalled the venue's at the last comparison.
    request_failures, requests : int
        Venue requests that failed, and all of them, in the recent window.
    orders_unknown : int
        Orders whose outcome is unknown at the moment.
    ack_p95_ms, ack_target_ms : float or None
        Measured order round trip and its target.
    signal_p95_ms, signal_target_ms : float or None
        Measured signal time and its target.
    stream_gaps : int
        Sequence gaps and rejected frames in the recent window.
    trading_state : str
        ``ACTIVE``, ``REDUCING`` or ``HALTED``.
    """

    books_expected: int
    books_fresh: int
    private_connected: bool | None
    positions_agree: bool | None
    request_failures: int
    requests: int
    orders_unknown: int
    ack_p95_ms: float | None
    ack_target_ms: float
    signal_p95_ms: float | None
    signal_target_ms: float
    stream_gaps: int
    trading_state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A score in [0, 100] and one sentence for each component that lost points."""

    score: float
    reasons: tuple[str, ...]


def assess(evidence: HealthEvidence) -> Health:
    """Return the health that ``evidence`` proves.

    Monotone: better evidence in any single field never lowers the score.
    """
    parts = (
        _books(evidence),
        _private(evidence),
        _positions(evidence),
        _requests(evidence),
        _latency("order round trip", evidence.ack_p95_ms, evidence.ack_target_ms, 10.0),
        _latency("signal time", evidence.signal_p95_ms, evidence.signal_target_ms, 10.0),
        _stream_quality(evidence),
        _trading_state(evidence),
    )
    score = sum(points for points, _ in parts)
    reasons = [reason for _, reason in parts if reason]
    if evidence.books_fresh == 0 and score > _BLIND_CAP:
        reasons.append(f"no market data: capped at {_BLIND_CAP:.0f}, was {score:.1f}")
        score = _BLIND_CAP
    elif _is_outage(evidence) and score > _OUTAGE_CAP:
        reasons.append(f"outage: capped at {_OUTAGE_CAP:.0f}, was {score:.1f}")
        score = _OUTAGE_CAP
    return Health(score=round(score, 1), reasons=tuple(reasons))


def _is_outage(evidence: HealthEvidence) -> bool:
    return (
        evidence.private_connected is not True
        or evidence.positions_agree is False
        or evidence.trading_state == "HALTED"
    )


def _books(evidence: HealthEvidence) -> tuple[float, str]:
    expected, fresh = evidence.books_expected, evidence.books_fresh
    if expected <= 0:
        return 0.0, "no book is subscribed (-25)"
    points = 25.0 * min(fresh, expected) / expected
    if fresh < expected:
        return points, f"{expected - fresh} of {expected} books not fresh (-{25 - points:.1f})"
    return points, ""


def _private(evidence: HealthEvidence) -> tuple[float, str]:
    if evidence.private_connected:
        return 15.0, ""
    known = "never connected" if evidence.private_connected is None else "down"
    return 0.0, f"private stream {known} (-15)"


def _positions(evidence: HealthEvidence) -> tuple[float, str]:
    if evidence.positions_agree:
        return 15.0, ""
    known = "not compared yet" if evidence.positions_agree is None else "differ"
    return 0.0, f"local and venue positions {known} (-15)"


def _requests(evidence: HealthEvidence) -> tuple[float, str]:
    if evidence.requests == 0:
        return 0.0, "no venue request was made yet (-10)"
    failed = min(1.0, evidence.request_failures / evidence.requests)
    points = 10.0 * max(0.0, 1.0 - 5.0 * failed)
    if evidence.orders_unknown:
        return 0.0, f"{evidence.orders_unknown} orders of unknown outcome (-10)"
    if points < 10.0:
        return points, f"{failed:.1%} of venue requests failed (-{10 - points:.1f})"
    return points, ""


def _latency(
    name: str, measured_ms: float | None, target_ms: float, weight: float
) -> tuple[float, str]:
    if measured_ms is None:
        return 0.0, f"{name} not measured yet (-{weight:.0f})"
    if measured_ms <= target_ms:
        return weight, ""
    points = weight * max(0.0, 2.0 - measured_ms / target_ms)
    lost = weight - points
    return points, f"{name} p95 {measured_ms:.0f} ms, target {target_ms:.0f} ms (-{lost:.1f})"


def _stream_quality(evidence: HealthEvidence) -> tuple[float, str]:
    if evidence.books_fresh == 0:
        return 0.0, "stream quality unknown without a fresh book (-5)"
    points = max(0.0, 5.0 - evidence.stream_gaps)
    if evidence.stream_gaps:
        return points, f"{evidence.stream_gaps} stream gaps or bad frames (-{5 - points:.1f})"
    return points, ""


def _trading_state(evidence: HealthEvidence) -> tuple[float, str]:
    points = {"ACTIVE": 10.0, "REDUCING": 5.0}.get(evidence.trading_state, 0.0)
    if points < 10.0:
        return points, f"trading state {evidence.trading_state} (-{10 - points:.0f})"
    return points, ""
