"""Health score: a pure function of evidence that explains every lost point.

Each part of the system earns its points only by evidence: a part without data earns nothing, a
part that the system does not use (:attr:`HealthEvidence.parts`) is left out and the others share
the hundred points in proportion to their weights. If something that trading cannot do without is
known to be broken (private stream, position agreement, journal, trading halted) the score is
capped at 39, and a system that sees no market at all scores at most 20.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from trading_system.monitoring.grades import Grade, full, lost, share_below, within

_OUTAGE_CAP = 39.0
_BLIND_CAP = 20.0
_COMPARED_LATE_S = 15.0
_COMPARED_STALE_S = 60.0
_FAILURES_WORST = 0.2
_GAPS_WORST = 5
_QUEUE_WORST = 1.0
_QUEUE_FINE = 0.25
_BROKEN_BELOW = 0.5
_PARENTS_TO_JUDGE = 5
_ACTIVE = "ACTIVE"


class Part(Enum):
    """A component that health is judged by; the value is its name in reasons."""

    MARKET_DATA = "market data"
    STREAM_QUALITY = "stream quality"
    PRIVATE_STREAM = "private stream"
    RECONCILIATION = "reconciliation"
    VENUE_REQUESTS = "venue requests"
    TRADE_SOCKET = "trade socket"
    ORDER_ROUND_TRIP = "order round trip"
    SIGNAL_AGENTS = "signal agents"
    CONSENSUS_TIME = "consensus time"
    EXECUTION_QUALITY = "execution quality"
    REQUEST_QUEUE = "request queue"
    JOURNAL = "journal"
    EVENT_LOOP = "event loop"
    CLOCK = "clock"
    TRADING_STATE = "trading state"


CORE_PARTS = frozenset(
    {
        Part.MARKET_DATA,
        Part.STREAM_QUALITY,
        Part.PRIVATE_STREAM,
        Part.RECONCILIATION,
        Part.VENUE_REQUESTS,
        Part.ORDER_ROUND_TRIP,
        Part.CONSENSUS_TIME,
        Part.TRADING_STATE,
    }
)
"""What the smallest system has."""

ALL_PARTS = frozenset(Part)
"""What the whole system has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthEvidence:
    """What the score is computed from; None always means "not measured".

    Parameters
    ----------
    parts : frozenset of Part
        Components that this system uses; the others are not judged.
    books_expected, books_fresh : int
        Symbols that should have a book, and those whose book is ready and not stale.
    stream_gaps : int
        Sequence gaps and rejected frames in the recent window.
    private_connected : bool or None
        Whether the private stream is authenticated and alive.
    positions_agree : bool or None
        Whether local positions equalled the venue's at the last comparison.
    compared_age_s : float or None
        Age of that comparison, seconds; None is not judged.
    request_failures, requests : int
        Venue requests that failed, and all of them, in the recent window.
    orders_unknown : int
        Orders whose outcome is unknown at the moment.
    trade_socket_connected : bool or None
        Whether orders can leave through the trade WebSocket.
    ack_p95_ms, ack_target_ms : float or None
        Measured order round trip and its target.
    agents_expected, agents_answering : int
        Signal agents of the panel, and those that took part in the newest consensus or
        abstained for a reason of their own; failed, late and missing ones do not count.
    has_quorum : bool or None
        Whether the newest consensus had its quorum.
    signal_p95_ms, signal_target_ms : float or None
        Measured time from features to consensus and its target.
    slippage_bps, slippage_target_bps : float or None
        Mean signed slippage of the recent parents (positive = cost), and its limit.
    success_rate_pct, success_target_pct : float or None
        Share of parents that ended inside their limits, and its target, percent.
    parents_ended : int
        Parents that rate and slippage are made of; fewer than five cannot call the component
        broken, they cost points only.
    queue_size, queue_capacity : int or None
        Requests that wait for a connection, and how many may.
    journal_writable : bool or None
        Whether the newest write to the journal succeeded.
    loop_lag_p99_ms, loop_lag_target_ms : float or None
        Lateness of the event loop and its target.
    clock_offset_ms, clock_target_ms : float or None
        Measured distance of the venue's clock from ours, before it is corrected, and its limit.
    trading_state : str
        ``ACTIVE``, ``REDUCING`` or ``HALTED``.
    holds : tuple of str
        Why it is not ACTIVE, one text per hold.
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
    parts: frozenset[Part] = CORE_PARTS
    compared_age_s: float | None = None
    trade_socket_connected: bool | None = None
    agents_expected: int = 0
    agents_answering: int = 0
    has_quorum: bool | None = None
    slippage_bps: float | None = None
    slippage_target_bps: float = 5.0
    success_rate_pct: float | None = None
    success_target_pct: float = 60.0
    parents_ended: int = 0
    queue_size: int | None = None
    queue_capacity: int = 100
    journal_writable: bool | None = None
    loop_lag_p99_ms: float | None = None
    loop_lag_target_ms: float = 20.0
    clock_offset_ms: float | None = None
    clock_target_ms: float = 500.0
    holds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A score in [0, 100] and one sentence for each component that lost points.

    ``parts`` holds, for each component in use, the share of its points that it earned, in [0, 1].
    ``worst`` names what lowered the score most and why, empty when nothing did. ``broken`` are
    name and reason of each component that earned less than half although it was measured.
    """

    score: float
    reasons: tuple[str, ...]
    parts: tuple[tuple[str, float], ...] = ()
    worst: str = ""
    broken: tuple[tuple[str, str], ...] = ()


def assess(evidence: HealthEvidence) -> Health:
    """Return the health that ``evidence`` proves.

    Monotone: better evidence in any single field never lowers the score.
    """
    used = [part for part in Part if part in evidence.parts]
    whole = sum(_WEIGHTS[part] for part in used)
    grades = {part: _JUDGES[part](evidence) for part in used}
    score = 0.0
    reasons: list[str] = []
    losses: dict[Part, float] = {}
    for part, grade in grades.items():
        points = 100.0 * _WEIGHTS[part] / whole
        score += points * grade.share
        if grade.reason:
            losses[part] = points * (1 - grade.share)
            reasons.append(f"{part.value}: {grade.reason} (-{losses[part]:.1f})")
    score, cap = _capped(evidence, score)
    return Health(
        score=round(min(score, 100.0), 1),
        reasons=(*reasons, *cap),
        parts=tuple((part.value, round(grade.share, 3)) for part, grade in grades.items()),
        worst=_worst(evidence, grades, losses),
        broken=tuple(
            (part.value, grade.reason)
            for part, grade in grades.items()
            if grade.share < _BROKEN_BELOW and _is_measured(part, evidence)
        ),
    )


def without_holds(evidence: HealthEvidence) -> HealthEvidence:
    """Return the evidence as if nothing held trading.

    What the score makes the system do must not depend on what it does already, and a hold that
    somebody or something else set is in force by itself: it must not be doubled.
    """
    return replace(evidence, trading_state=_ACTIVE, holds=())


def _worst(evidence: HealthEvidence, grades: dict[Part, Grade], losses: dict[Part, float]) -> str:
    if not losses:
        return ""
    # What caps the score is worse than the points of any component.
    part = Part.MARKET_DATA if evidence.books_fresh <= 0 else _outage(evidence)
    if part is None or part not in losses:
        part = max(losses, key=losses.__getitem__)
    return f"{part.value}: {grades[part].reason}"


def _is_measured(part: Part, evidence: HealthEvidence) -> bool:
    """Return whether ``part`` has been used or measured at all; a young system is not broken."""
    measured = {
        Part.VENUE_REQUESTS: evidence.requests > 0,
        Part.ORDER_ROUND_TRIP: evidence.ack_p95_ms is not None,
        Part.CONSENSUS_TIME: evidence.signal_p95_ms is not None,
        Part.EXECUTION_QUALITY: evidence.parents_ended >= _PARENTS_TO_JUDGE,
        Part.REQUEST_QUEUE: evidence.queue_size is not None,
        Part.EVENT_LOOP: evidence.loop_lag_p99_ms is not None,
        Part.CLOCK: evidence.clock_offset_ms is not None,
    }
    return measured.get(part, True)


def _capped(evidence: HealthEvidence, score: float) -> tuple[float, tuple[str, ...]]:
    if evidence.books_fresh <= 0 and score > _BLIND_CAP:
        return _BLIND_CAP, (f"no market data: capped at {_BLIND_CAP:.0f}, was {score:.1f}",)
    outage = _outage(evidence)
    if outage and score > _OUTAGE_CAP:
        text = f"outage ({outage.value}): capped at {_OUTAGE_CAP:.0f}, was {score:.1f}"
        return _OUTAGE_CAP, (text,)
    return score, ()


def _outage(evidence: HealthEvidence) -> Part | None:
    if evidence.private_connected is not True:
        return Part.PRIVATE_STREAM
    if evidence.positions_agree is False:
        return Part.RECONCILIATION
    if Part.JOURNAL in evidence.parts and evidence.journal_writable is False:
        return Part.JOURNAL
    return Part.TRADING_STATE if evidence.trading_state == "HALTED" else None


def _market_data(evidence: HealthEvidence) -> Grade:
    expected, fresh = evidence.books_expected, evidence.books_fresh
    if expected <= 0:
        return lost("no book is subscribed")
    if fresh < expected:
        return Grade(max(0, fresh) / expected, f"{expected - fresh} of {expected} books not fresh")
    return full()


def _stream_quality(evidence: HealthEvidence) -> Grade:
    if evidence.books_fresh <= 0:
        return lost("unknown without a fresh book")
    gaps = evidence.stream_gaps
    return share_below(gaps / _GAPS_WORST, f"{gaps} stream gaps or bad frames of late")


def _private_stream(evidence: HealthEvidence) -> Grade:
    if evidence.private_connected:
        return full()
    return lost("never connected" if evidence.private_connected is None else "down")


def _reconciliation(evidence: HealthEvidence) -> Grade:
    if not evidence.positions_agree:
        known = "not compared yet" if evidence.positions_agree is None else "differ"
        return lost(f"local and venue positions {known}")
    age_s = evidence.compared_age_s
    if age_s is None or age_s <= _COMPARED_LATE_S:
        return full()
    over = (age_s - _COMPARED_LATE_S) / (_COMPARED_STALE_S - _COMPARED_LATE_S)
    return share_below(over, f"positions were last compared {age_s:.0f} s ago")


def _venue_requests(evidence: HealthEvidence) -> Grade:
    if evidence.requests <= 0:
        return lost("none was made yet")
    if evidence.orders_unknown:
        return lost(f"{evidence.orders_unknown} orders of unknown outcome")
    failed = min(1.0, evidence.request_failures / evidence.requests)
    return share_below(failed / _FAILURES_WORST, f"{failed:.1%} of venue requests failed")


def _trade_socket(evidence: HealthEvidence) -> Grade:
    if evidence.trade_socket_connected:
        return full()
    if evidence.trade_socket_connected is None:
        return lost("never connected")
    return lost("down, orders leave by slower requests")


def _order_round_trip(evidence: HealthEvidence) -> Grade:
    return within(evidence.ack_p95_ms, evidence.ack_target_ms, what="p95", unit="ms")


def _signal_agents(evidence: HealthEvidence) -> Grade:
    expected = evidence.agents_expected
    if expected <= 0:
        return lost("none is on the panel")
    answering = max(0, min(evidence.agents_answering, expected))
    share = answering / expected
    if evidence.has_quorum is not True:
        known = "no consensus yet" if evidence.has_quorum is None else "no quorum"
        return Grade(0.5 * share, f"{answering} of {expected} answer, {known}")
    return full() if answering == expected else Grade(share, f"{answering} of {expected} answer")


def _consensus_time(evidence: HealthEvidence) -> Grade:
    return within(
        evidence.signal_p95_ms, evidence.signal_target_ms, what="signal time p95", unit="ms"
    )


def _execution_quality(evidence: HealthEvidence) -> Grade:
    cost = within(evidence.slippage_bps, evidence.slippage_target_bps, what="slippage", unit="bps")
    rate, target = evidence.success_rate_pct, evidence.success_target_pct
    if rate is None:
        success = lost("success rate not measured yet")
    elif rate >= target:
        success = full()
    else:
        success = Grade(
            max(0.0, rate / target), f"success rate {rate:.0f} %, target {target:.0f} %"
        )
    reason = "; ".join(text for text in (cost.reason, success.reason) if text)
    return Grade((cost.share + success.share) / 2, reason)


def _request_queue(evidence: HealthEvidence) -> Grade:
    if evidence.queue_size is None:
        return lost("not measured yet")
    capacity = max(1, evidence.queue_capacity)
    fill = evidence.queue_size / capacity
    text = f"{evidence.queue_size} of {capacity} places of the latency optimizer are taken"
    return share_below((fill - _QUEUE_FINE) / (_QUEUE_WORST - _QUEUE_FINE), text)


def _journal(evidence: HealthEvidence) -> Grade:
    if evidence.journal_writable:
        return full()
    return lost("not opened yet" if evidence.journal_writable is None else "cannot be written")


def _event_loop(evidence: HealthEvidence) -> Grade:
    return within(evidence.loop_lag_p99_ms, evidence.loop_lag_target_ms, what="lag p99", unit="ms")


def _clock(evidence: HealthEvidence) -> Grade:
    offset = evidence.clock_offset_ms
    distance = None if offset is None else abs(offset)
    return within(distance, evidence.clock_target_ms, what="offset to the venue", unit="ms")


def _trading_state(evidence: HealthEvidence) -> Grade:
    state = evidence.trading_state
    if state == _ACTIVE:
        return full()
    why = f" ({'; '.join(evidence.holds)})" if evidence.holds else ""
    return Grade(0.5 if state == "REDUCING" else 0.0, f"{state}{why}")


_WEIGHTS: dict[Part, float] = {
    Part.MARKET_DATA: 18.0,
    Part.STREAM_QUALITY: 4.0,
    Part.PRIVATE_STREAM: 12.0,
    Part.RECONCILIATION: 12.0,
    Part.VENUE_REQUESTS: 8.0,
    Part.TRADE_SOCKET: 4.0,
    Part.ORDER_ROUND_TRIP: 8.0,
    Part.SIGNAL_AGENTS: 6.0,
    Part.CONSENSUS_TIME: 6.0,
    Part.EXECUTION_QUALITY: 5.0,
    Part.REQUEST_QUEUE: 3.0,
    Part.JOURNAL: 5.0,
    Part.EVENT_LOOP: 3.0,
    Part.CLOCK: 2.0,
    Part.TRADING_STATE: 4.0,
}
_JUDGES: dict[Part, Callable[[HealthEvidence], Grade]] = {
    Part.MARKET_DATA: _market_data,
    Part.STREAM_QUALITY: _stream_quality,
    Part.PRIVATE_STREAM: _private_stream,
    Part.RECONCILIATION: _reconciliation,
    Part.VENUE_REQUESTS: _venue_requests,
    Part.TRADE_SOCKET: _trade_socket,
    Part.ORDER_ROUND_TRIP: _order_round_trip,
    Part.SIGNAL_AGENTS: _signal_agents,
    Part.CONSENSUS_TIME: _consensus_time,
    Part.EXECUTION_QUALITY: _execution_quality,
    Part.REQUEST_QUEUE: _request_queue,
    Part.JOURNAL: _journal,
    Part.EVENT_LOOP: _event_loop,
    Part.CLOCK: _clock,
    Part.TRADING_STATE: _trading_state,
}
