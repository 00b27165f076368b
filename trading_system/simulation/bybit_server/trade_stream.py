"""The trade WebSocket channel: order requests in frames."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping

from trading_system.simulation.bybit_server.connections import (
    authenticate,
    operation_of,
    read_request,
)
from trading_system.simulation.bybit_server.credentials import check_permission, check_time
from trading_system.simulation.bybit_server.envelope import Row, encode, limit_headers
from trading_system.simulation.bybit_server.limits import Admission
from trading_system.simulation.bybit_server.order_desk import (
    OVERLOADED,
    STREAM_OPERATIONS,
    OrderDesk,
    Outcome,
)
from trading_system.simulation.bybit_server.parameters import LISTED, Fields, bad
from trading_system.simulation.bybit_server.request_faults import (
    DROPS,
    injected,
    performer,
    strike_trade,
)
from trading_system.simulation.bybit_server.session import Session
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.faults.names import Fault
from trading_system.simulation.faults.rules import FaultRule, Stage
from trading_system.simulation.records import AccountSpec, VenueReject

_MAX_REMEMBERED = 10_000
_PATIENCE_MS = 50.0
_MAX_ID = 36
_OPERATIONS = ", ".join(sorted(STREAM_OPERATIONS))
_NOT_FOUND = 10404
_CODES = {OVERLOADED: 10429}
_NO_QUOTA = Admission(limit=0, remaining=0, reset_ms=0, admitted=0)


class TradeChannel:
    """``/v5/trade``: the same order desk as REST, with the same quotas.

    Requests act at once and in order; their acknowledgements are delayed. Both can be struck by
    faults.

    Parameters
    ----------
    now_ms : callable
        The time the venue tells and checks stamps against.
    market_ms : callable
        The time at which orders act.
    """

    def __init__(
        self,
        session: Session,
        desk: OrderDesk,
        *,
        accounts: Mapping[str, AccountSpec],
        now_ms: Callable[[], int],
        market_ms: Callable[[], int],
        faults: FaultEngine,
    ) -> None:
        self._market_ms = market_ms
        self._faults = faults
        self._held: Row | None = None
        self._session = session
        self._desk = desk
        self._accounts = accounts
        self._now_ms = now_ms
        self._account: AccountSpec | None = None
        self._seen: OrderedDict[str, None] = OrderedDict()

    def receive(self, text: str) -> None:
        """Handle auth, ping and the six order operations."""
        request = read_request(text)
        if request is None:
            self._reply(_plain(10001, "Invalid JSON", ""))
            return
        operation = operation_of(request)
        if operation == "ping":
            self._session.push(encode(self._pong(request)))
            return
        rule = None
        if operation in STREAM_OPERATIONS and self._account is not None:
            rule = strike_trade(self._faults, operation, request.get("args"))
        if rule is None:
            self._reply(self._perform(request, operation))
            if self._account is None and operation != "auth":
                self._session.later(self._session.finish)
        elif rule.fault is Fault.DELAY and rule.stage is Stage.REQUEST:
            _in(rule, lambda: self._reply(self._perform(request, operation)))
        else:
            self._struck(rule, request, operation)

    def close(self) -> None:
        """Nothing to forget: orders outlive their connection."""

    def _perform(
        self, request: Mapping[str, object], operation: str, rule: FaultRule | None = None
    ) -> Row:
        try:
            frame = self._dispatch(request, operation, rule)
        except VenueReject as e:
            frame = _plain(e.code, e.message, operation)
            if operation != "auth":
                quota = self._quota(operation, request)
                frame |= {"data": {}, "retExtInfo": {}, "header": self._header(quota)}
        return _named(request, frame)

    def _struck(self, rule: FaultRule, request: Mapping[str, object], operation: str) -> None:
        frame = self._perform(request, operation, rule) if rule.acts else {}
        if rule.fault in DROPS:
            return
        if rule.fault is Fault.DELAY:
            _in(rule, lambda: self._reply(frame))
        elif rule.fault is Fault.REORDER:
            self._hold(frame, rule)
        elif rule.fault is Fault.DUPLICATE:
            self._reply(frame)
            self._reply(frame)
        elif rule.fault is Fault.REJECT_AFTER_ACCEPT:
            self._reply(frame)
        else:
            quota = self._quota(operation, request)
            outcome = injected(rule, now_ms=self._market_ms(), admission=quota)
            self._reply(_named(request, self._frame(outcome, operation)))

    # Replies may overtake each other; a held one follows the next, or comes late.
    def _hold(self, frame: Row, rule: FaultRule) -> None:
        self._release()
        self._held = frame
        asyncio.get_running_loop().call_later(_wait_s(rule, _PATIENCE_MS), self._release)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._reply(held)

    def _dispatch(
        self, request: Mapping[str, object], operation: str, rule: FaultRule | None
    ) -> Row:
        if operation == "auth":
            self._authenticate(request)
            return _plain(0, "OK", operation)
        if self._account is None:
            raise VenueReject(10003, "Request not authorized: auth first")
        if operation not in STREAM_OPERATIONS:
            raise VenueReject(_NOT_FOUND, f"op type is not found, use {_OPERATIONS}")
        if not self._desk.admits(self._session.address, now_ms=self._market_ms()):
            raise VenueReject(10403, "Too many visits: exceeds the limit per IP address")
        _check_category(request)
        self._remember(request.get("reqId"))
        header = request.get("header")
        if not isinstance(header, dict):
            raise bad("header with X-BAPI-TIMESTAMP is required")
        fields, now_ms = Fields(header), self._now_ms()
        check_time(
            fields.required("X-BAPI-TIMESTAMP"), fields.text("X-BAPI-RECV-WINDOW"), now_ms=now_ms
        )
        check_permission(self._account)
        run = performer(self._desk, rule)
        outcome = run(
            operation, self._account, read=lambda: _body(request), now_ms=self._market_ms()
        )
        return self._frame(outcome, operation)

    def _frame(self, outcome: Outcome, operation: str) -> Row:
        return {
            **_plain(_CODES.get(outcome.code, outcome.code), outcome.message, operation),
            "data": outcome.result,
            "retExtInfo": outcome.extra,
            "header": self._header(outcome.admission),
        }

    def _authenticate(self, request: Mapping[str, object]) -> None:
        if self._account is not None:
            raise VenueReject(20001, "Repeat auth")
        self._account = authenticate(
            request, self._accounts, now_ms=self._now_ms(), address=self._session.address
        )

    # Ids are unique per session; the newest 10 000 are remembered.
    def _remember(self, request_id: object) -> None:
        if request_id is None or request_id == "":
            return
        if not isinstance(request_id, str) or len(request_id) > _MAX_ID:
            raise bad("reqId must be text of at most 36 characters")
        if request_id in self._seen:
            raise VenueReject(20006, "duplicate reqId")
        self._seen[request_id] = None
        if len(self._seen) > _MAX_REMEMBERED:
            self._seen.popitem(last=False)

    def _pong(self, request: Mapping[str, object]) -> Row:
        frame = _plain(0, "OK", "pong")
        frame["data"] = [str(self._now_ms())]
        frame["connId"] = self._session.connection_id
        return _named(request, frame)

    def _quota(self, operation: str, request: Mapping[str, object]) -> Admission:
        if self._account is None or operation not in STREAM_OPERATIONS:
            return _NO_QUOTA
        return self._desk.quota(
            operation, self._account, now_ms=self._market_ms(), read=lambda: _body(request)
        )

    def _header(self, admission: Admission) -> dict[str, str]:
        now_ms = self._now_ms()
        return limit_headers(admission, now_ms=now_ms, trace=self._session.connection_id)

    def _reply(self, frame: Row) -> None:
        self._session.later_push(encode({**frame, "connId": self._session.connection_id}))
        self._release()


def _plain(code: int, message: str, operation: str) -> Row:
    return {"retCode": code, "retMsg": message, "op": operation}


def _named(request: Mapping[str, object], frame: Row) -> Row:
    request_id = request.get("reqId")
    if isinstance(request_id, str) and 0 < len(request_id) <= _MAX_ID:
        return {"reqId": request_id, **frame}
    return frame


def _wait_s(rule: FaultRule, otherwise_ms: float) -> float:
    return (otherwise_ms if rule.delay_ms is None else rule.delay_ms) / 1000


# Unlike frames on a way, requests and replies of a slow venue may overtake each other.
def _in(rule: FaultRule, action: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(_wait_s(rule, 0.0), action)


def _check_category(request: Mapping[str, object]) -> None:
    # A category that is there and not served; whatever else is wrong with it is refused later.
    args = request.get("args")
    body = args[0] if isinstance(args, list) and args else None
    category = body.get("category") if isinstance(body, dict) else None
    if isinstance(category, str) and category and category not in LISTED:
        raise VenueReject(_NOT_FOUND, f"category is not found, use {', '.join(LISTED)}")


def _body(request: Mapping[str, object]) -> Fields:
    args = request.get("args")
    if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
        raise bad("args must hold exactly one order request")
    return Fields(args[0])
