"""Order operations, the same behind REST and the trade WebSocket, with one shared quota."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.limits import Admission, RequestLimits
from trading_system.simulation.bybit_server.order_parameters import (
    create_request,
    order_change,
    order_reference,
)
from trading_system.simulation.bybit_server.pace import MAX_LAG_MS
from trading_system.simulation.bybit_server.parameters import Fields, bad
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderRecord, VenueReject

TOO_MANY = 10006
TOO_MANY_TEXT = "Too many visits!"
MAX_BATCH = 20
BATCHES = {
    "order.create-batch": "order.create",
    "order.amend-batch": "order.amend",
    "order.cancel-batch": "order.cancel",
}
STREAM_OPERATIONS = frozenset({*BATCHES, *BATCHES.values()})
"""Operations of the trade WebSocket."""

_OVERLOADED = 429
_OVERLOADED_TEXT = "The trading service is catching up after a pause, please retry; it is behind by"
_STOP_FILTERS = frozenset({"StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder"})
_PLAIN_FILTERS = frozenset({"Order", "OpenOrder"})
_CANCEL_FILTERS = _STOP_FILTERS | _PLAIN_FILTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a request ended, ready for either envelope."""

    code: int
    message: str
    admission: Admission
    result: Row = field(default_factory=dict)
    extra: Row = field(default_factory=dict)


class OrderDesk:
    """Takes order requests of authenticated accounts to the exchange.

    Parameters
    ----------
    exchange : Exchange
        Where orders go.
    limits : RequestLimits
        Quotas, charged before a request is read.
    advance : callable
        Brings the market towards a time in UTC ms and returns the time it has reached; called
        before an order acts, which then happens at that time, so that the market's own trades
        never print in another order than they happened.
    """

    def __init__(
        self, exchange: Exchange, limits: RequestLimits, *, advance: Callable[[int], int]
    ) -> None:
        self._exchange = exchange
        self._limits = limits
        self._advance = advance
        self._singles: dict[str, Callable[[int, Fields, int], Row]] = {
            "order.create": self._create,
            "order.amend": self._amend,
            "order.cancel": self._cancel,
            "order.cancel-all": self._cancel_all,
        }

    def run(
        self, operation: str, account: AccountSpec, *, read: Callable[[], Fields], now_ms: int
    ) -> Outcome:
        """Perform ``operation`` with the body that ``read`` returns (it may refuse it)."""
        market_ms = self._advance(now_ms)
        is_behind = now_ms - market_ms > MAX_LAG_MS
        if operation in BATCHES and not is_behind:
            return self._run_batch(operation, account, read, now_ms=now_ms, market_ms=market_ms)
        admission = self._limits.take_account(account, operation, count=1, now_ms=now_ms)
        if not admission.admitted:
            return Outcome(code=TOO_MANY, message=TOO_MANY_TEXT, admission=admission)
        if is_behind:
            message = f"{_OVERLOADED_TEXT} {(now_ms - market_ms) // 1000} s"
            return Outcome(code=_OVERLOADED, message=message, admission=admission)
        try:
            result = self._singles[operation](account.account_id, read(), market_ms)
        except VenueReject as e:
            return Outcome(code=e.code, message=e.message, admission=admission)
        return Outcome(code=0, message="OK", admission=admission, result=result)

    def quota(self, operation: str, account: AccountSpec, *, now_ms: int) -> Admission:
        """Return the state of an operation's quota without charging it."""
        return self._limits.take_account(account, operation, count=0, now_ms=now_ms)

    def _run_batch(
        self,
        operation: str,
        account: AccountSpec,
        read: Callable[[], Fields],
        *,
        now_ms: int,
        market_ms: int,
    ) -> Outcome:
        try:
            fields = read()
            category = fields.category()
            items = fields.items("request", highest=MAX_BATCH)
        except VenueReject as e:
            admission = self._limits.take_account(account, operation, count=1, now_ms=now_ms)
            if not admission.admitted:
                return Outcome(code=TOO_MANY, message=TOO_MANY_TEXT, admission=admission)
            return Outcome(code=e.code, message=e.message, admission=admission)
        admission = self._limits.take_account(account, operation, count=len(items), now_ms=now_ms)
        rows: list[Row] = []
        verdicts: list[Row] = []
        for index, item in enumerate(items):
            body = Fields({**item, "category": category})
            row, verdict = self._batch_item(
                operation, account, body, is_admitted=index < admission.admitted, now_ms=market_ms
            )
            rows.append(row)
            verdicts.append(verdict)
        return Outcome(
            code=0,
            message="OK",
            admission=admission,
            result={"list": rows},
            extra={"list": verdicts},
        )

    def _batch_item(
        self,
        operation: str,
        account: AccountSpec,
        fields: Fields,
        *,
        is_admitted: bool,
        now_ms: int,
    ) -> tuple[Row, Row]:
        perform = self._singles[BATCHES[operation]] if is_admitted else _refuse_visit
        try:
            ids = perform(account.account_id, fields, now_ms)
            verdict: Row = {"code": 0, "msg": "OK"}
            created = str(now_ms)
        except VenueReject as e:
            ids = {"orderId": "", "orderLinkId": _echo(fields, "orderLinkId")}
            verdict = {"code": e.code, "msg": e.message}
            created = ""
        row: Row = {
            "category": _echo(fields, "category"),
            "symbol": _echo(fields, "symbol"),
            **ids,
        }
        if operation == "order.create-batch":
            row["createAt"] = created
        return row, verdict

    def _create(self, account_id: int, fields: Fields, now_ms: int) -> Row:
        _linear_only(fields)
        request = create_request(fields)
        return _ids(self._exchange.place(account_id, request, now_ms=now_ms))

    def _amend(self, account_id: int, fields: Fields, now_ms: int) -> Row:
        _linear_only(fields)
        change = order_change(fields)
        order = self._exchange.amend(
            account_id,
            change.reference.symbol,
            order_id=change.reference.order_id,
            link_id=change.reference.link_id,
            price=change.price,
            quantity=change.quantity,
            now_ms=now_ms,
        )
        return _ids(order)

    def _cancel(self, account_id: int, fields: Fields, now_ms: int) -> Row:
        _linear_only(fields)
        reference = order_reference(fields)
        order = self._exchange.cancel(
            account_id,
            reference.symbol,
            order_id=reference.order_id,
            link_id=reference.link_id,
            now_ms=now_ms,
        )
        return _ids(order)

    def _cancel_all(self, account_id: int, fields: Fields, now_ms: int) -> Row:
        category = fields.category()
        symbols = self._cancel_scope(fields) if category == "linear" else []
        chosen = fields.choice("orderFilter", {name: name for name in _CANCEL_FILTERS}, default="")
        # ``stopOrderType`` Stop means conditional orders other than a position's stops.
        has_type = bool(fields.text("stopOrderType"))
        cancelled: list[OrderRecord] = []
        for symbol in symbols:
            if chosen not in _STOP_FILTERS and not has_type:
                cancelled += self._exchange.cancel_all(account_id, symbol=symbol, now_ms=now_ms)
            if chosen not in _PLAIN_FILTERS and not has_type:
                cancelled += self._exchange.cancel_stops(account_id, symbol=symbol, now_ms=now_ms)
        return {"list": [_ids(order) for order in cancelled], "success": "1"}

    # Symbols that a cancel-all names; None stands for every symbol at once.
    def _cancel_scope(self, fields: Fields) -> list[str | None]:
        symbol, base = fields.text("symbol"), fields.text("baseCoin")
        settle = fields.text("settleCoin")
        scope: list[str | None]
        if symbol:
            if symbol not in self._exchange.instruments:
                raise bad(f"Not supported symbols: {symbol}")
            scope = [symbol]
        elif base:
            instruments = self._exchange.instruments.values()
            scope = [each.symbol for each in instruments if each.base_coin == base]
        elif settle:
            scope = [None] if settle == "USDT" else []
        else:
            raise bad("params error: symbol, baseCoin or settleCoin is required")
        return scope


def _ids(order: OrderRecord) -> Row:
    return {"orderId": order.order_id, "orderLinkId": order.link_id}


def _refuse_visit(_account_id: int, _fields: Fields, _now_ms: int) -> Row:
    raise VenueReject(TOO_MANY, TOO_MANY_TEXT)


def _linear_only(fields: Fields) -> None:
    category = fields.category()
    if category != "linear":
        raise bad(f"category {category} is read-only on this venue, orders need category linear")


def _echo(fields: Fields, name: str) -> str:
    try:
        return fields.text(name)
    except VenueReject:
        return ""
