"""What alerts are judged by, and what one condition says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad it is; a larger number is worse."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFigures:
    """One instant of a running system; None always means "not measured".

    Parameters
    ----------
    health_score : float
        0 to 100.
    broken_parts : tuple of (str, str)
        Name and reason of every component of the health score that earned less than half.
    signal_p95_ms, order_p95_ms, system_p95_ms : float or None
        Measured 95th percentiles, milliseconds; the targets beside them likewise.
    success_rate_pct : float or None
        Parents completed inside their limits over parents ended, of the newest, percent.
    parents_ended : int
        How many that rate is made of.
    queue_size, queue_capacity : int or None
        Requests that wait, and how many may.
    trading_state : str
        ``ACTIVE``, ``REDUCING`` or ``HALTED``.
    holds : tuple of (str, str)
        Source and reason of everything that holds trading.
    orders_unknown : int
        Orders whose outcome is unknown at the moment.
    positions_agree : bool or None
        Whether local positions equalled the venue's at the last comparison.
    journal_failure : str or None
        Why the journal cannot be written, None while it can.
    unprotected : tuple of str
        Symbols with an own position and no stop at the venue.
    clock_offset_ms : float or None
        Distance of the venue's clock from the own one, milliseconds.
    degraded : tuple of (str, str)
        Figure and description of every change for the worse that was detected.
    """

    health_score: float
    broken_parts: tuple[tuple[str, str], ...] = ()
    signal_p95_ms: float | None = None
    signal_target_ms: float = 2000.0
    order_p95_ms: float | None = None
    order_target_ms: float = 500.0
    system_p95_ms: float | None = None
    system_target_ms: float = 3000.0
    success_rate_pct: float | None = None
    parents_ended: int = 0
    queue_size: int | None = None
    queue_capacity: int = 100
    trading_state: str = "ACTIVE"
    holds: tuple[tuple[str, str], ...] = ()
    orders_unknown: int = 0
    positions_agree: bool | None = None
    journal_failure: str | None = None
    unprotected: tuple[str, ...] = ()
    clock_offset_ms: float | None = None
    degraded: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is wrong now.

    Parameters
    ----------
    rule : str
        Name of the rule, as in ``docs/operations.md``.
    subject : str
        What it is about (a component, a symbol), empty when there is only one.
    remedy : str
        What a person does about it, one sentence.
    value, threshold : float or None
        Measured figure and what it was compared with.
    """

    rule: str
    severity: Severity
    message: str
    remedy: str
    subject: str = ""
    value: float | None = None
    threshold: float | None = None
