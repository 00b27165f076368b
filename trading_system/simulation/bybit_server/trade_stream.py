"""The trade WebSocket channel: order requests in frames."""

from __future__ import annotations

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
from trading_system.simulation.bybit_server.order_desk import STREAM_OPERATIONS, OrderDesk
from trading_system.simulation.bybit_server.parameters import Fields, bad
from trading_system.simulation.bybit_server.session import Session
from trading_system.simulation.records import AccountSpec, VenueReject

_MAX_REMEMBERED = 10_000
_MAX_ID = 36
_OPERATIONS = ", ".join(sorted(STREAM_OPERATIONS))
_NO_QUOTA = Admission(limit=0, remaining=0, reset_ms=0, admitted=0)


class TradeChannel:
    """``/v5/trade``: the same order desk as REST, with the same quotas.

    Requests act at once and in order; their acknowledgements are delayed.
    """

    def __init__(
        self,
        session: Session,
        desk: OrderDesk,
        *,
        accounts: Mapping[str, AccountSpec],
        now_ms: Callable[[], int],
    ) -> None:
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
        try:
            frame = self._dispatch(request, operation)
        except VenueReject as e:
            frame = _plain(e.code, e.message, operation)
            if operation != "auth":
                quota = self._quota(operation)
                frame |= {"data": {}, "retExtInfo": {}, "header": self._header(quota)}
        request_id = request.get("reqId")
        if isinstance(request_id, str) and 0 < len(request_id) <= _MAX_ID:
            frame = {"reqId": request_id, **frame}
        self._reply(frame)
        if self._account is None and operation != "auth":
            self._session.later(self._session.finish)

    def close(self) -> None:
        """Nothing to forget: orders outlive their connection."""

    def _dispatch(self, request: Mapping[str, object], operation: str) -> Row:
        if operation == "auth":
            self._authenticate(request)
            return _plain(0, "OK", operation)
        if self._account is None:
            raise VenueReject(10003, "Request not authorized: auth first")
        if operation not in STREAM_OPERATIONS:
            raise VenueReject(10404, f"op type is not found, use {_OPERATIONS}")
        self._remember(request.get("reqId"))
        header = request.get("header")
        if not isinstance(header, dict):
            raise bad("header with X-BAPI-TIMESTAMP is required")
        fields, now_ms = Fields(header), self._now_ms()
        check_time(
            fields.required("X-BAPI-TIMESTAMP"), fields.text("X-BAPI-RECV-WINDOW"), now_ms=now_ms
        )
        check_permission(self._account)
        return self._order(self._account, request, operation, now_ms)

    def _order(
        self, account: AccountSpec, request: Mapping[str, object], operation: str, now_ms: int
    ) -> Row:
        outcome = self._desk.run(operation, account, read=lambda: _body(request), now_ms=now_ms)
        return {
            **_plain(outcome.code, outcome.message, operation),
            "data": outcome.result,
            "retExtInfo": outcome.extra,
            "header": self._header(outcome.admission),
        }

    def _authenticate(self, request: Mapping[str, object]) -> None:
        if self._account is not None:
            raise VenueReject(20001, "Repeat auth")
        self._account = authenticate(request, self._accounts, now_ms=self._now_ms())

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
        request_id = request.get("reqId")
        if isinstance(request_id, str) and 0 < len(request_id) <= _MAX_ID:
            frame["reqId"] = request_id
        return frame

    def _quota(self, operation: str) -> Admission:
        if self._account is None or operation not in STREAM_OPERATIONS:
            return _NO_QUOTA
        return self._desk.quota(operation, self._account, now_ms=self._now_ms())

    def _header(self, admission: Admission) -> dict[str, str]:
        now_ms = self._now_ms()
        return limit_headers(admission, now_ms=now_ms, trace=self._session.connection_id)

    def _reply(self, frame: Row) -> None:
        self._session.later_push(encode({**frame, "connId": self._session.connection_id}))


def _plain(code: int, message: str, operation: str) -> Row:
    return {"retCode": code, "retMsg": message, "op": operation}


def _body(request: Mapping[str, object]) -> Fields:
    args = request.get("args")
    if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
        raise bad("args must hold exactly one order request")
    return Fields(args[0])
