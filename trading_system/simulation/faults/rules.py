"""One line of a fault schedule: what happens, when, to whom, how often."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Annotated

import msgspec

from trading_system.simulation.faults.names import WIRE_FAULTS, Fault

TRADE_PATH = "/v5/trade/"
"""Prefix under which operations of the trade WebSocket are matched, as if they were paths."""

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=6e5)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
_Text = Annotated[str, msgspec.Meta(max_length=200)]


class Moment(Enum):
    """Where the server asks whether a fault strikes."""

    REST = "REST request"
    TRADE = "trade WebSocket request"
    PUSH = "push"
    CONNECTION = "open connection"
    VENUE = "venue"


class Stage(StrEnum):
    """Whether a fault strikes a request on its way in, or its answer."""

    REQUEST = "request"
    REPLY = "reply"


_REQUESTS = frozenset({Moment.REST, Moment.TRADE})
_STREAM = frozenset({Moment.PUSH, Moment.CONNECTION})
MOMENTS: dict[Fault, frozenset[Moment]] = {
    Fault.DROP_BEFORE_ACCEPT: _REQUESTS,
    Fault.DROP_AFTER_ACCEPT: _REQUESTS,
    Fault.DELAY: _REQUESTS | {Moment.PUSH},
    Fault.DUPLICATE: frozenset({Moment.TRADE, Moment.PUSH}),
    Fault.REORDER: frozenset({Moment.TRADE, Moment.PUSH}),
    Fault.GAP: frozenset({Moment.PUSH}),
    Fault.STALL: _STREAM,
    Fault.HALF_OPEN: _STREAM,
    Fault.CUT_MID_FRAME: _STREAM,
    Fault.CODE_10002: _REQUESTS,
    Fault.CODE_10006: _REQUESTS,
    Fault.CODE_10016: _REQUESTS,
    Fault.HTTP_403: frozenset({Moment.REST}),
    Fault.HTTP_5XX: frozenset({Moment.REST}),
    Fault.HTML_PAGE: frozenset({Moment.REST}),
    Fault.RESTART: frozenset({Moment.VENUE}),
    Fault.CLOCK_SKEW: frozenset({Moment.VENUE}),
    Fault.REJECT_AFTER_ACCEPT: _REQUESTS,
    Fault.HISTORY_LAG: frozenset({Moment.VENUE}),
}
"""The moments at which a server can commit a fault."""

_STAGED = frozenset(
    {
        Fault.DELAY,
        Fault.CODE_10002,
        Fault.CODE_10006,
        Fault.CODE_10016,
        Fault.HTTP_403,
        Fault.HTTP_5XX,
        Fault.HTML_PAGE,
    }
)
_PARAMETERS: dict[str, frozenset[Fault]] = {
    "delay_ms": frozenset(
        {
            Fault.DELAY,
            Fault.DROP_BEFORE_ACCEPT,
            Fault.DROP_AFTER_ACCEPT,
            Fault.REORDER,
            Fault.HISTORY_LAG,
        }
    ),
    "duration_s": frozenset({Fault.STALL, Fault.RESTART}),
    "skew_ms": frozenset({Fault.CLOCK_SKEW}),
    "status": frozenset({Fault.HTTP_5XX, Fault.HTML_PAGE}),
    "reason": frozenset({Fault.REJECT_AFTER_ACCEPT}),
    "stage": _STAGED,
}
_REQUIRED = {
    Fault.DELAY: "delay_ms",
    Fault.HISTORY_LAG: "delay_ms",
    Fault.CLOCK_SKEW: "skew_ms",
}
_EVENT_FIELDS = ("after", "probability", "topic", "link_id")


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault of a schedule.

    A rule strikes the events that match all its patterns (shell wildcards, empty matches all),
    from ``at_s`` until ``until_s``, passing over the first ``after`` of them.

    Parameters
    ----------
    fault : Fault
        What happens.
    path : str
        REST path, ``/v5/trade/OP`` for an operation of the trade WebSocket, or for a fault of
        pushes and connections the path of the WebSocket.
    topic : str
        Topic of a push; makes the rule one of pushes.
    link_id : str
        ``orderLinkId`` in a request, one order of a batch is enough.
    after : int
        Matching events that pass before the first strike.
    at_s, until_s : float
        Seconds since the rule was armed; without ``until_s`` it has no end.
    probability : float
        Chance of each matching event, above 0 and at most 1.
    count : int or None
        Strikes until the rule is spent; None never is.
    delay_ms : float or None
        Of a delay and a history lag; how long a dropped request leaves its client waiting before
        the connection is cut; how long a reordered frame waits for the next one at most.
    duration_s : float or None
        Of a stall (without it: until the connection ends) and a restart.
    skew_ms : int or None
        How far the venue's clock is ahead, negative for behind.
    status : int or None
        HTTP status of ``http-5xx`` and ``html-page``.
    reason : str or None
        ``rejectReason`` of ``reject-after-accept``.
    stage : Stage or None
        Whether a request has acted when it is delayed or answered with an error.
    """

    fault: Fault
    path: _Text = ""
    topic: _Text = ""
    link_id: _Text = ""
    after: _Count = 0
    at_s: _Seconds = 0.0
    until_s: _Seconds | None = None
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    count: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = 1
    delay_ms: _Milliseconds | None = None
    duration_s: _Seconds | None = None
    skew_ms: Annotated[int, msgspec.Meta(ge=-3_600_000, le=3_600_000)] | None = None
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    reason: _Text | None = None
    stage: Stage | None = None

    @property
    def moments(self) -> frozenset[Moment]:
        """The moments at which the rule is asked."""
        possible = MOMENTS.get(self.fault, frozenset())
        if self.topic or possible == {Moment.PUSH}:
            return possible & {Moment.PUSH}
        if Moment.CONNECTION in possible:
            return frozenset({Moment.CONNECTION})
        return possible - {Moment.PUSH}

    @property
    def is_window(self) -> bool:
        """Whether the fault is a state of the venue that lasts, not an event."""
        return self.fault in {Fault.CLOCK_SKEW, Fault.HISTORY_LAG}

    @property
    def acts(self) -> bool:
        """Whether a request that the fault strikes is performed."""
        if self.fault in _STAGED - {Fault.DELAY}:
            return self.stage is Stage.REPLY
        return self.fault is not Fault.DROP_BEFORE_ACCEPT


_PLAIN = FaultRule(fault=Fault.RESTART)


def problem_of(rule: FaultRule) -> str:
    """Return what is wrong with a rule and how to mend it, empty if nothing is."""
    if rule.fault in WIRE_FAULTS:
        return f"{rule.fault} is a fault of the wire: give it to the TCP proxy, not to the venue"
    if not rule.moments:
        return f"{rule.fault} does not strike pushes: remove topic, use path"
    return _parameter_problem(rule) or _time_problem(rule) or _reach_problem(rule)


def _parameter_problem(rule: FaultRule) -> str:
    for name, faults in _PARAMETERS.items():
        if rule.fault not in faults and getattr(rule, name) is not None:
            return f"{name} does not apply to {rule.fault}: remove it"
    needed = _REQUIRED.get(rule.fault)
    if needed is not None and getattr(rule, needed) is None:
        return f"{rule.fault} needs {needed}"
    if rule.fault is Fault.HTTP_5XX and rule.status is not None and rule.status < 500:
        return f"status of http-5xx must be 500..599, was {rule.status}"
    if rule.stage is not None and rule.moments == {Moment.PUSH}:
        return "stage applies to requests: remove it or topic"
    return ""


def _time_problem(rule: FaultRule) -> str:
    if rule.until_s is not None and rule.until_s <= rule.at_s:
        return f"until_s must be above at_s {rule.at_s:g}, was {rule.until_s:g}"
    if rule.moments & {Moment.CONNECTION, Moment.VENUE}:
        for name in _EVENT_FIELDS:
            if getattr(rule, name) != getattr(_PLAIN, name):
                return f"{name} does not apply to {rule.fault} here: use at_s"
    if rule.is_window and rule.count != 1:
        return f"count does not apply to {rule.fault}: use until_s"
    return ""


def _reach_problem(rule: FaultRule) -> str:
    if rule.moments == {Moment.TRADE} and not rule.path.startswith(TRADE_PATH):
        return (
            f"{rule.fault} strikes pushes or the trade WebSocket: give topic, or path "
            f"{TRADE_PATH}OP"
        )
    if rule.link_id and Moment.PUSH in rule.moments:
        return "link_id is looked for in requests: remove it or topic"
    if rule.fault is Fault.REJECT_AFTER_ACCEPT and not rule.path.endswith("create"):
        return (
            "reject-after-accept strikes new orders: give path /v5/order/create or "
            f"{TRADE_PATH}order.create"
        )
    if Moment.VENUE in rule.moments and rule.path:
        return f"{rule.fault} strikes the whole venue: remove path"
    return ""
