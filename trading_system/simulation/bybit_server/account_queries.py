"""Signed REST queries and position settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trading_system.domain.instruments import category_of, plain
from trading_system.simulation.bybit_server import account_rows, order_rows
from trading_system.simulation.bybit_server.account_settings import AccountSettings
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.order_parameters import position_index
from trading_system.simulation.bybit_server.paging import DAY_MS, TimeWindow, page, time_window
from trading_system.simulation.bybit_server.parameters import LISTED, Fields, bad
from trading_system.simulation.bybit_server.spot_parameters import SPOT_FILTERS
from trading_system.simulation.bybit_server.stop_parameters import stop_changes
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderRecord, PositionView

_STOP_FILTERS = frozenset({"StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder"})
_PLAIN_FILTERS = frozenset({"Order", "OpenOrder"})
_OPEN_ONLY = {"0": False, "1": True, "2": True}
_MAX_RECENT = 500


class AccountQueries:
    """Answers about one account; every method takes the account, the fields and the time.

    Parameters
    ----------
    exchange : Exchange
        Source of every answer.
    history_lag_ms : int
        How long a closed order stays invisible in ``order/history`` and a fill in
        ``execution/list``, which Bybit fills later than the streams; ``order/realtime`` never
        lags.

    Attributes
    ----------
    history_lag_ms : int
        The same; may change while the venue runs.
    settings : AccountSettings
        What an account may set.
    """

    def __init__(self, exchange: Exchange, *, history_lag_ms: int = 0) -> None:
        self._exchange = exchange
        self.settings = AccountSettings(exchange)
        self.history_lag_ms = history_lag_ms
        self._texts = {
            symbol: GridText(instrument) for symbol, instrument in exchange.instruments.items()
        }
        self._ranks = {name: rank for rank, name in enumerate(reversed(self._texts), start=1)}

    def order_realtime(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``order/realtime``: open orders, one order by id, or the recent closed ones."""
        del now_ms
        category = fields.category()
        limit = fields.limit(default=20, highest=50)
        if category not in LISTED:
            return _listing(category, [], "")
        order_id, link_id = fields.text("orderId"), fields.text("orderLinkId")
        if order_id or link_id:
            orders = self._by_id(account, order_id, link_id)
        else:
            orders = self._in_scope(account, fields)
        orders = [order for order in orders if _category(order.symbol) == category]
        return self._order_page(fields, orders, limit)

    def order_history(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``order/history``: closed orders, newest first."""
        category = fields.category()
        limit = fields.limit(default=20, highest=50)
        if category not in LISTED:
            return _listing(category, [], "")
        window = time_window(fields, now_ms=now_ms)
        is_kind = _kind_filter(fields)
        status = fields.text("orderStatus")
        order_id, link_id = fields.text("orderId"), fields.text("orderLinkId")
        is_wanted = self._scope(fields)
        orders = [
            order
            for order in _by_creation(self._exchange.closed_orders(account.account_id))
            if (
                _matches(order.order_id, order.link_id, order_id, link_id)
                if order_id or link_id
                else is_wanted(order.symbol)
            )
            and _category(order.symbol) == category
            and (not status or order.state.value == status)
            and is_kind(order)
            and order.updated_ms <= now_ms - self.history_lag_ms
            and _is_kept(order, window, now_ms)
        ]
        return self._order_page(fields, orders, limit)

    def execution_list(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``execution/list``, newest first; an id overrides every other filter."""
        category = fields.category()
        limit = fields.limit(default=50, highest=100)
        if category not in LISTED:
            return _listing(category, [], "")
        order_id, link_id = fields.text("orderId"), fields.text("orderLinkId")
        everything = [
            each
            for each in reversed(self._exchange.executions(account.account_id))
            if _category(each.symbol) == category and each.time_ms <= now_ms - self.history_lag_ms
        ]
        if order_id or link_id:
            chosen = [
                each
                for each in everything
                if _matches(each.order_id, each.link_id, order_id, link_id)
            ]
        else:
            window = time_window(fields, now_ms=now_ms)
            kind, is_wanted = fields.text("execType"), self._scope(fields)
            chosen = [
                each
                for each in everything
                if is_wanted(each.symbol)
                and (not kind or each.exec_type == kind)
                and window.holds(each.time_ms)
            ]
        items, cursor = page(
            chosen, fields, limit=limit, key=lambda each: (each.time_ms, each.exec_id)
        )
        rows = [order_rows.execution_row(each, self._texts[each.symbol]) for each in items]
        return _listing(category, rows, cursor)

    def position_list(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``position/list``: by symbol always a row, by coin only open positions."""
        del now_ms
        category = fields.category()
        limit = fields.limit(default=20, highest=200)
        if category != "linear":
            return _listing(category, [], "")
        symbol = fields.text("symbol")
        settle, base = fields.text("settleCoin"), fields.text("baseCoin")
        if not (symbol or settle or base):
            raise bad("params error: symbol or settleCoin is required")
        is_wanted = self._scope(fields)
        views = [
            view
            for name in self._exchange.instruments
            if is_wanted(name) and _category(name) == category
            for view in self._exchange.positions(account.account_id, name)
        ]
        chosen = [view for view in views if symbol or view.lots]
        items, cursor = page(chosen, fields, limit=limit, key=self._place)
        rows = [account_rows.position_row(view, self._texts[view.symbol]) for view in items]
        return _listing(category, rows, cursor)

    def closed_pnl(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``position/closed-pnl``, newest first."""
        category = fields.category()
        limit = fields.limit(default=50, highest=100)
        if category != "linear":
            return _listing(category, [], "")
        window, is_wanted = time_window(fields, now_ms=now_ms), self._scope(fields)
        records = [
            record
            for record in reversed(self._exchange.closed_pnls(account.account_id))
            if is_wanted(record.symbol) and window.holds(record.updated_ms)
        ]
        items, cursor = page(
            records,
            fields,
            limit=limit,
            key=lambda record: (record.updated_ms, f"{record.order_id}.{record.created_ms}"),
        )
        rows = [order_rows.closed_pnl_row(each, self._texts[each.symbol]) for each in items]
        return _listing(category, rows, cursor)

    def wallet_balance(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``account/wallet-balance``; coins not held appear only when named."""
        del now_ms
        if fields.required("accountType") != "UNIFIED":
            raise bad("accountType only support UNIFIED")
        view = self._exchange.wallet(account.account_id)
        named = [name for name in fields.text("coin").split(",") if name]
        return {"list": [account_rows.wallet_row(view, coins=account_rows.coin_rows(view, named))]}

    def fee_rate(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``account/fee-rate`` of one symbol or of all."""
        del now_ms
        category = fields.category()
        if category not in {"linear", "spot"}:
            return {"category": category, "list": []}
        is_wanted = self._scope(fields)
        symbols = [name for name in self._exchange.instruments if is_wanted(name)]
        rows = []
        for name in symbols:
            taker, maker = self._exchange.fee_rates(account.account_id, name)
            symbol = self._exchange.instruments[name].symbol
            rows.append(_fee_row(symbol, plain(taker), plain(maker)))
        return {"category": category, "list": rows} if category == "spot" else {"list": rows}

    def account_info(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``account/info``."""
        del account, fields
        return account_rows.account_info(updated_ms=now_ms)

    def transaction_log(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``account/transaction-log``, newest first."""
        limit = fields.limit(default=20, highest=50)
        window = time_window(fields, now_ms=now_ms, default_ms=DAY_MS)
        kind, currency = fields.text("type"), fields.text("currency")
        category = fields.text("category")
        is_wanted = self._scope(fields) if category in LISTED else self._of_coin(fields)
        entries = [
            entry
            for entry in reversed(self._exchange.ledger(account.account_id))
            if category in {"", _category(entry.symbol)}
            and (not kind or entry.entry_type == kind)
            and currency in {"", entry.coin}
            and is_wanted(entry.symbol)
            and window.holds(entry.time_ms)
        ]
        items, cursor = page(
            entries, fields, limit=limit, key=lambda entry: (entry.time_ms, entry.entry_id)
        )
        rows = [order_rows.ledger_row(entry, self._texts[entry.symbol]) for entry in items]
        return {"list": rows, "nextPageCursor": cursor}

    def query_api(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``user/query-api``."""
        del fields, now_ms
        return account_rows.key_info(account)

    def coin_info(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``asset/coin/query-info``: this venue moves no coins."""
        del account, fields, now_ms
        return {"rows": []}

    def trading_stop(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Perform ``position/trading-stop``: stops over a position or a part of it."""
        symbol = self._traded_symbol(fields)
        changes = stop_changes(fields)
        self._exchange.set_stops(
            account.account_id,
            symbol,
            changes,
            position_idx=position_index(fields),
            now_ms=now_ms,
        )
        return {}

    def refuse(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Refuse a request that Bybit has and this venue does not."""
        del account, fields, now_ms
        raise bad("this request is not supported by this venue")

    # Where a position stands in the list: listings in their order, each with its indices.
    def _place(self, view: PositionView) -> tuple[int, str]:
        place = 3 * self._ranks[view.symbol] - view.position_idx
        return place, f"{view.symbol}.{view.position_idx}"

    def _traded_symbol(self, fields: Fields) -> str:
        symbol = fields.required("symbol")
        if fields.category() != "linear" or symbol not in self._exchange.instruments:
            raise bad(f"Not supported symbols: {symbol}")
        return symbol

    def _by_id(self, account: AccountSpec, order_id: str, link_id: str) -> list[OrderRecord]:
        order = self._exchange.find_order(
            account.account_id, order_id=order_id, link_id="" if order_id else link_id
        )
        return [] if order is None else [order]

    def _in_scope(self, account: AccountSpec, fields: Fields) -> list[OrderRecord]:
        is_named = any(fields.text(name) for name in ("symbol", "baseCoin", "settleCoin"))
        if not is_named and fields.category() == "linear":
            raise bad("params error: symbol, baseCoin, settleCoin or an order id is required")
        is_wanted = self._scope(fields)
        wants_closed = fields.choice("openOnly", _OPEN_ONLY, default=False)
        is_kind, account_id = _kind_filter(fields), account.account_id
        orders: Sequence[OrderRecord]
        if wants_closed:
            category = fields.category()
            closed = self._exchange.closed_orders(account_id)
            orders = [each for each in closed if _category(each.symbol) == category][-_MAX_RECENT:]
        else:
            orders = self._exchange.stop_orders(account_id)[::-1]
            orders += self._exchange.open_orders(account_id)[::-1]
        return [
            order for order in _by_creation(orders) if is_wanted(order.symbol) and is_kind(order)
        ]

    def _order_page(self, fields: Fields, orders: list[OrderRecord], limit: int) -> Row:
        items, cursor = page(
            orders, fields, limit=limit, key=lambda order: (order.created_ms, order.order_id)
        )
        rows = [order_rows.order_row(order, self._texts[order.symbol]) for order in items]
        return _listing(fields.category(), rows, cursor)

    # Which listings of a category ``symbol`` > ``baseCoin`` > ``settleCoin`` select; all if none
    # is given. Bybit's spot ignores ``settleCoin``.
    def _scope(self, fields: Fields) -> Callable[[str], bool]:
        category = fields.category()
        base, instruments = fields.text("baseCoin"), self._exchange.instruments
        settle = fields.text("settleCoin") if category == "linear" else ""
        if fields.text("symbol"):
            key = fields.listing()
            if key not in instruments:
                raise bad(f"Not supported symbols: {fields.text('symbol')}")
            return lambda name: name == key

        def is_wanted(name: str) -> bool:
            instrument = instruments[name]
            return (
                instrument.category.value == category
                and base in {"", instrument.base_coin}
                and settle in {"", instrument.quote_coin}
            )

        return is_wanted

    # Which listings of any category ``baseCoin`` selects; all if it is not given.
    def _of_coin(self, fields: Fields) -> Callable[[str], bool]:
        base, instruments = fields.text("baseCoin"), self._exchange.instruments
        return lambda name: base in {"", instruments[name].base_coin}


# Newest first; the exchange lists closed orders by the time they closed.
def _by_creation(orders: Sequence[OrderRecord]) -> list[OrderRecord]:
    return sorted(orders, key=lambda order: order.created_ms)[::-1]


# Without a filter linear orders of every kind are listed.
def _kind_filter(fields: Fields) -> Callable[[OrderRecord], bool]:
    name = fields.text("orderFilter")
    if name == "tpslOrder" or (name == "StopOrder" and fields.category() == "spot"):
        kind = SPOT_FILTERS[name]
        return lambda order: order.trigger is not None and order.trigger.kind is kind
    if name in _STOP_FILTERS:
        return lambda order: _is_stop(order) and name == "StopOrder"
    if name in _PLAIN_FILTERS:
        return lambda order: not _is_stop(order)
    return lambda _: True


# A triggered order that rests in the book is an active order like others.
def _is_stop(order: OrderRecord) -> bool:
    state = order.state
    return order.trigger is not None and (state.is_conditional or state.is_final)


def _category(key: str) -> str:
    return category_of(key).value


def _listing(category: str, rows: list[Row], cursor: str) -> Row:
    return {"category": category, "list": rows, "nextPageCursor": cursor}


def _matches(order_id: str, link_id: str, wanted_id: str, wanted_link: str) -> bool:
    return order_id == wanted_id if wanted_id else link_id == wanted_link


def _is_kept(order: OrderRecord, window: TimeWindow, now_ms: int) -> bool:
    # Closed orders without a fill are listed for one day only.
    is_recent = order.cum_lots > 0 or order.updated_ms > now_ms - DAY_MS
    return is_recent and window.holds(order.updated_ms)


def _fee_row(symbol: str, taker: str, maker: str) -> Row:
    return {"symbol": symbol, "takerFeeRate": taker, "makerFeeRate": maker, "baseCoin": ""}
