"""Faults of requests: which strikes one, and the answers that replace the venue's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aiohttp import web

from trading_system.simulation.bybit_server.limits import ACCOUNT_WINDOW_MS, Admission
from trading_system.simulation.bybit_server.order_desk import (
    TOO_MANY,
    TOO_MANY_TEXT,
    OrderDesk,
    Outcome,
)
from trading_system.simulation.bybit_server.parameters import decode_json, parse_query
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.faults.names import Fault
from trading_system.simulation.faults.rules import TRADE_PATH, FaultRule, Moment
from trading_system.simulation.records import VenueReject

DROPS = frozenset({Fault.DROP_BEFORE_ACCEPT, Fault.DROP_AFTER_ACCEPT})
_INTERNAL = 10016
_REASON = "EC_Others"
_CODES = {
    Fault.CODE_10002: (
        10002,
        "invalid request, please check your server timestamp or recv_window param.",
    ),
    Fault.CODE_10006: (TOO_MANY, TOO_MANY_TEXT),
    Fault.CODE_10016: (_INTERNAL, "Internal error: the service is restarting, please retry."),
}
INJECTED_CODES = frozenset(_CODES)
PAGES = frozenset({Fault.HTTP_403, Fault.HTTP_5XX, Fault.HTML_PAGE})
_PAGE = """<html>
<head><title>{status} {reason}</title></head>
<body><center><h1>{status} {reason}</h1></center></body>
</html>
"""


def strike_rest(engine: FaultEngine, path: str, query: str, payload: bytes) -> FaultRule | None:
    """Return the rule that strikes a REST request; ``payload`` is its body or raw query."""
    if not engine.watches(Moment.REST):
        return None
    ids = link_ids(_parsed(query, payload))
    return engine.meet(Moment.REST, path=path, link_ids=ids)


def strike_trade(engine: FaultEngine, operation: str, args: object) -> FaultRule | None:
    """Return the rule that strikes a request on the trade WebSocket."""
    if not engine.watches(Moment.TRADE):
        return None
    body = args[0] if isinstance(args, list) and args else None
    return engine.meet(Moment.TRADE, path=TRADE_PATH + operation, link_ids=link_ids(body))


def link_ids(body: object) -> list[str]:
    """Return the ``orderLinkId`` of a request, or those of its orders if it is a batch."""
    if not isinstance(body, dict):
        return []
    orders = body.get("request")
    rows = [body, *orders] if isinstance(orders, list) else [body]
    found = [row.get("orderLinkId") for row in rows if isinstance(row, dict)]
    return [each for each in found if isinstance(each, str)]


def injected(rule: FaultRule, *, now_ms: int, admission: Admission | None = None) -> Outcome:
    """Return the outcome that a ``code-`` fault puts in place of the venue's own."""
    code, message = _CODES[rule.fault]
    if admission is None or rule.fault is Fault.CODE_10006:
        limit = 0 if admission is None else admission.limit
        reset_ms = now_ms + ACCOUNT_WINDOW_MS
        admission = Admission(limit=limit, remaining=0, reset_ms=reset_ms, admitted=0)
    return Outcome(code=code, message=message, admission=admission)


def performer(desk: OrderDesk, rule: FaultRule | None) -> Callable[..., Outcome]:
    """Return the desk's way to run an order request that ``rule`` strikes, if any does."""
    if rule is None or rule.fault is not Fault.REJECT_AFTER_ACCEPT:
        return desk.run
    return partial(desk.run_rejected, reason=rule.reason or _REASON)


def page(rule: FaultRule) -> web.Response:
    """Return what a host in front of the venue answers: nothing but a status, or a page."""
    if rule.fault is Fault.HTTP_5XX:
        return web.Response(status=rule.status or 503)
    status = 403 if rule.fault is Fault.HTTP_403 else rule.status or 502
    reason = {403: "Forbidden", 502: "Bad Gateway"}.get(status, "Service Unavailable")
    text = _PAGE.format(status=status, reason=reason)
    return web.Response(status=status, text=text, content_type="text/html")


def _parsed(query: str, payload: bytes) -> object:
    try:
        return decode_json(payload) if payload[:1] == b"{" else parse_query(query)
    except VenueReject:
        return None
