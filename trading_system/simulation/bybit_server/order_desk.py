"""Order operations, the same behind REST and the trade WebSocket, with one shared quota."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from trading_system.domain.instruments import Category
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.limits import Admission, RequestLimits
from trading_system.simulation.bybit_server.order_parameters import (
    create_request,
    order_change,
    order_reference,
)
from trading_system.simulation.bybit_server.pace import MAX_LAG_MS
from trading_system.simulation.bybit_server.parameters import LISTED, Fields, bad
from trading_system.simulation.bybit_server.spot_parameters import SPOT_FILTERS
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderRecord, VenueReject

TOO_MANY = 10006
TOO_MANY_TEXT = "Too many visits!"
OVERLOADED = 429
"""Code of a venue that is behind; the trade WebSocket has another one for it."""

MAX_BATCHES = {"linear": 20, "spot": 10}
"""Orders in one batch request, by category."""

BATCHES = {
    "order.create-batch": "order.create",
    "order.amend-batch": "order.amend",
    "order.cancel-batch": "order.cancel",
}
STREAM_OPERATIONS = frozenset({*BATCHES, *BATCHES.values()})
"""Operations of the trade WebSocket."""

_OVERLOADED_TEXT = "The trading service is catching up after a pause, please retry; it is behind by"
_SPOT_FILTERS = frozenset({"tpslOrder", "OcoOrder", "BidirectionalTpslOrder"})
_STOP_FILTERS = frozenset({"StopOrder"}) | _SPOT_FILTERS
_PLAIN_FILTERS = frozenset({"Order", "OpenOrder"})
_CANCEL_FILTERS = _STOP_FILTERS | _PLAIN_FILTERS
_MAX_CANCELLED = 500


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
        Quotas by operation and category, charged before a request acts.
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
            "order.pre-check": self._pre_check,
        }

        self._items = {
            "order.create-batch": self._create,
            "order.amend-batch": self._amend_active,
            "order.cancel-batch": self._cancel,
        }

    def run(
        self, operation: str, account: AccountSpec, *, read: Callable[[], Fields], now_ms: int
    ) -> Outcome:
        """Perform ``operation`` with the body that ``read`` returns (it may refuse it)."""
        market_ms = self._advance(now_ms)
        is_behind = now_ms - market_ms > MAX_LAG_MS
        if operation in BATCHES and not is_behind:
            return self._run_batch(operation, account, read, now_ms=now_ms, market_ms=market_ms)
        read = _once(read)
        admission = self._limits.take_account(
            account, operation, count=1, now_ms=now_ms, category=_category(read)
        )
        if not admission.admitted:
            return Outcome(code=TOO_MANY, message=TOO_MANY_TEXT, admission=admission)
        if is_behind:
            message = f"{_OVERLOADED_TEXT} {(now_ms - market_ms) // 1000} s"
            return Outcome(code=OVERLOADED, message=message, admission=admission)
        try:
            result = self._singles[operation](account.account_id, read(), market_ms)
        except VenueReject as e:
            return Outcome(code=e.code, message=e.message, admission=admission)
        return Outcome(code=0, message="OK", admission=admission, result=result)

    def run_rejected(
        self,
        operation: str,
        account: AccountSpec,
        *,
        reason: str,
        read: Callable[[], Fields],
        now_ms: int,
    ) -> Outcome:
        """Perform ``operation`` and reject the order it creates right after its acceptance."""
        self._exchange.reject_next(account.account_id, reason)
        try:
            return self.run(operation, account, read=read, now_ms=now_ms)
        finally:
            self._exchange.reject_next(account.account_id, "", 0)

    def quota(
        self,
        operation: str,
        account: AccountSpec,
        *,
        now_ms: int,
        read: Callable[[], Fields],
    ) -> Admission:
        """Return the state of an operation's quota without charging it."""
        return self._limits.take_account(
            account, operation, count=0, now_ms=now_ms, category=_category(read)
        )

    def admits(self, address: str, *, now_ms: int) -> bool:
        """Charge one frame of the trade WebSocket to an address; False beyond its limit."""
        return self._limits.take_frame(address, now_ms=now_ms)

    def _run_batch(
        self,
        operation: str,
        account: AccountSpec,
        read: Callable[[], Fields],
        *,
        now_ms: int,
        market_ms: int,
    ) -> Outcome:
        read = _once(read)
        try:
            fields = read()
            category = fields.category()
            items = fields.items("request", highest=MAX_BATCHES.get(category, 1))
        except VenueReject as e:
            admission = self._limits.take_account(
                account, operation, count=1, now_ms=now_ms, category=_category(read)
            )
            if not admission.admitted:
                return Outcome(code=TOO_MANY, message=TOO_MANY_TEXT, admission=admission)
            return Outcome(code=e.code, message=e.message, admission=admission)
        admission = self._limits.take_account(
            account,
            operation,
            count=len(items),
            now_ms=now_ms,
            category=LISTED.get(category, Category.LINEAR),
        )
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
        perform = self._items[operation] if is_admitted else _refuse_visit
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
        _check_category(fields)
        request = create_request(fields)
        return _ids(self._exchange.place(account_id, request, now_ms=now_ms))

    def _amend(self, account_id: int, fields: Fields, now_ms: int) -> Row:
        _check_category(fields)
        change = order_change(fields)
        order = self._exchange.amend(
            account_id,
            change.reference.symbol,
            order_id=change.reference.order_id,
            link_id=change.reference.link_id,
            change=change.amendment,
            now_ms=now_ms,
        )
        return _ids(order)

    def _amend_active(self, account_id: int, fields: Fields, now_ms: int) -> Row:
        reference = order_reference(fields)
        order = self._exchange.find_order(
            account_id, order_id=reference.order_id, link_id=reference.link_id
        )
        if order is not None and order.state.is_conditional:
            raise bad("amend-batch does not support conditional orders")
        return self._amend(account_id, fields, now_ms)

    def _pre_check(self, account_id: int, fields: Fields, now_ms: int) -> Row:
        del now_ms
        _check_category(fields)
        if fields.category() == "spot":
            raise bad("order/pre-check is for contracts only")
        request = create_request(fields)
        rates = self._exchange.pre_check(account_id, request)
        return {
            "orderId": "",
            "orderLinkId": request.link_id,
            "preImrE4": _e4(rates.initial_before),
            "preMmrE4": _e4(rates.maintenance_before),
            "postImrE4": _e4(rates.initial_after),
            "postMmrE4": _e4(rates.maintenance_after),
        }

    def _cancel(self, account_id: int, fields: Fields, now_ms: int) -> Row:
        _check_category(fields)
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
        symbols = self._cancel_scope(fields, category) if category in LISTED else []
        chosen = fields.choice("orderFilter", {name: name for name in _CANCEL_FILTERS}, default="")
        # ``stopOrderType`` Stop means conditional orders other than a position's stops.
        own_only = bool(fields.choice("stopOrderType", {"Stop": "Stop"}, default=""))
        if category == "spot":
            return self._cancel_spot(account_id, symbols, chosen or "Order", now_ms=now_ms)
        cancelled: list[OrderRecord] = []
        for symbol in symbols:
            if chosen not in _STOP_FILTERS and not own_only:
                cancelled += self._exchange.cancel_all(
                    account_id,
                    symbol=symbol,
                    limit=_MAX_CANCELLED - len(cancelled),
                    now_ms=now_ms,
                )
            if chosen not in _PLAIN_FILTERS | _SPOT_FILTERS:
                cancelled += self._exchange.cancel_stops(
                    account_id,
                    symbol=symbol,
                    own_only=own_only,
                    limit=_MAX_CANCELLED - len(cancelled),
                    now_ms=now_ms,
                )
        return {"list": [_ids(order) for order in cancelled], "success": "1"}

    # Of spot orders one kind at a time is cancelled.
    def _cancel_spot(
        self, account_id: int, keys: list[str | None], chosen: str, *, now_ms: int
    ) -> Row:
        cancelled: list[OrderRecord] = []
        for key in keys:
            if chosen in _PLAIN_FILTERS:
                cancelled += self._exchange.cancel_all(account_id, symbol=key, now_ms=now_ms)
                continue
            kind = SPOT_FILTERS.get(chosen)
            for order in reversed(self._exchange.stop_orders(account_id, key)):
                if order.trigger is not None and order.trigger.kind is kind:
                    cancelled.append(
                        self._exchange.cancel(
                            account_id, order.symbol, order_id=order.order_id, now_ms=now_ms
                        )
                    )
        return {"list": [_ids(order) for order in cancelled], "success": "1"}

    # Listings that a cancel-all names; None stands for all contracts at once.
    def _cancel_scope(self, fields: Fields, category: str) -> list[str | None]:
        base, settle = fields.text("baseCoin"), fields.text("settleCoin")
        scope: list[str | None]
        if fields.text("symbol"):
            key = fields.listing()
            if key not in self._exchange.instruments:
                raise bad(f"Not supported symbols: {fields.text('symbol')}")
            scope = [key]
        elif base or category == "spot":
            scope = [
                key
                for key, each in self._exchange.instruments.items()
                if each.category is LISTED[category] and base in {"", each.base_coin}
            ]
        elif settle:
            scope = [None] if settle == "USDT" else []
        else:
            raise bad("params error: symbol, baseCoin or settleCoin is required")
        return scope


def _ids(order: OrderRecord) -> Row:
    return {"orderId": order.order_id, "orderLinkId": order.link_id}


def _refuse_visit(_account_id: int, _fields: Fields, _now_ms: int) -> Row:
    raise VenueReject(TOO_MANY, TOO_MANY_TEXT)


def _e4(rate: Decimal) -> int:
    return int(rate * 10_000)


def _once(read: Callable[[], Fields]) -> Callable[[], Fields]:
    # Reads at the first call; every call returns or raises what that one did.
    try:
        fields = read()
    except VenueReject as e:
        refusal = e
    else:
        return lambda: fields

    def refuse() -> Fields:
        raise refusal

    return refuse


def _category(read: Callable[[], Fields]) -> Category:
    # What cannot be read is charged to contracts.
    try:
        return LISTED.get(read().category(), Category.LINEAR)
    except VenueReject:
        return Category.LINEAR


def _check_category(fields: Fields) -> None:
    category = fields.category()
    if category not in LISTED:
        raise bad(f"category {category} is not listed on this venue, use linear or spot")


def _echo(fields: Fields, name: str) -> str:
    try:
        return fields.text(name)
    except VenueReject:
        return ""
