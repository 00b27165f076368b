"""The names of all faults, the same in the simulated venue, at its server and on the wire."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """What can go wrong, as schedules, counters and reports spell it."""

    DROP_BEFORE_ACCEPT = "drop-before-accept"
    DROP_AFTER_ACCEPT = "drop-after-accept"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    GAP = "gap"
    STALL = "stall"
    HALF_OPEN = "half-open"
    CUT_MID_FRAME = "cut-mid-frame"
    CODE_10002 = "code-10002"
    CODE_10006 = "code-10006"
    CODE_10016 = "code-10016"
    HTTP_403 = "http-403"
    HTTP_5XX = "http-5xx"
    HTML_PAGE = "html-page"
    RESTART = "restart"
    CLOCK_SKEW = "clock-skew"
    REJECT_AFTER_ACCEPT = "reject-after-accept"
    HISTORY_LAG = "history-lag"
    LATENCY = "latency"
    RESET = "reset"
    BLACKHOLE = "blackhole"
    SLICE = "slice"
    CORRUPT = "corrupt"
    REFUSE = "refuse"
    THROTTLE = "throttle"


WIRE_FAULTS = frozenset(
    {
        Fault.LATENCY,
        Fault.RESET,
        Fault.BLACKHOLE,
        Fault.SLICE,
        Fault.CORRUPT,
        Fault.REFUSE,
        Fault.THROTTLE,
    }
)
"""Faults of the bytes between client and venue; a server cannot commit them."""
