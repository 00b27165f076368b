"""Signed REST requests that change how an account trades, and what they have set."""

from __future__ import annotations

from decimal import Decimal

from trading_system.domain.instruments import Category
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.parameters import DetailedReject, Fields, bad
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, DcpProduct, PositionMode, VenueReject

_LEVERAGE_STEP = Decimal("0.01")
_MODES = {str(mode.value): mode for mode in PositionMode}
_PRODUCTS = {product.value: product for product in DcpProduct}
_MARGIN_MODES = ("REGULAR_MARGIN", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN")
_MARGIN_MODE_FAILED = 3400045
_UNCHANGED = 110026


class AccountSettings:
    """Settings of one account; every method takes the account, the fields and the time.

    Parameters
    ----------
    exchange : Exchange
        Keeper of the settings.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def set_leverage(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Perform ``position/set-leverage``; margin is crossed, so both sides have the same."""
        del now_ms
        symbol = self._contract(fields)
        buy, sell = fields.amount("buyLeverage"), fields.amount("sellLeverage")
        if buy is None or sell is None or buy != sell:
            raise bad("params error: buyLeverage must equal sellLeverage")
        if buy < Decimal(1):
            raise bad("params error: leverage must be at least 1")
        if buy % _LEVERAGE_STEP:
            raise bad(f"params error: leverage must be a multiple of {_LEVERAGE_STEP}")
        self._exchange.set_leverage(account.account_id, symbol, buy)
        return {}

    def switch_mode(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Perform ``position/switch-mode`` for a symbol, or for all of a settlement coin."""
        del now_ms
        symbol, coin = fields.text("symbol"), fields.text("coin")
        if fields.category() != "linear" or not (symbol or coin):
            raise bad("params error: category linear and symbol or coin are required")
        if symbol:
            self._contract(fields)
        mode = fields.choice("mode", _MODES)
        self._exchange.switch_mode(account.account_id, mode, symbol=symbol, coin=coin)
        return {}

    def set_margin_mode(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Perform ``account/set-margin-mode``: regular (cross) margin is all there is."""
        del account, now_ms
        mode = fields.required("setMarginMode")
        if mode == "REGULAR_MARGIN":
            raise VenueReject(_UNCHANGED, "Margin mode is not modified")
        if mode not in _MARGIN_MODES:
            raise bad(f"params error: setMarginMode must be one of {', '.join(_MARGIN_MODES)}")
        message = f"{mode} is not supported by this venue, use REGULAR_MARGIN"
        raise DetailedReject(
            _MARGIN_MODE_FAILED,
            "Set margin mode failed",
            result={"reasons": [{"reasonCode": str(_MARGIN_MODE_FAILED), "reasonMsg": message}]},
        )

    def protect_disconnected(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Perform ``order/disconnected-cancel-all``, by default of options; it acts at once."""
        del now_ms
        product = fields.choice("product", _PRODUCTS, default=DcpProduct.OPTIONS)
        window_s = fields.integer("timeWindow")
        if window_s is None:
            raise bad("params error: timeWindow is required")
        self._exchange.set_disconnect_window(account.account_id, product, window_s)
        return {}

    def dcp_info(self, account: AccountSpec, fields: Fields, now_ms: int) -> Row:
        """Return ``account/query-dcp-info``: the products that have a window."""
        del fields, now_ms
        windows = self._exchange.disconnect_windows_s(account.account_id)
        infos = [
            {"product": product.value, "dcpStatus": "ON", "timeWindow": str(window_s)}
            for product, window_s in windows.items()
        ]
        return {"dcpInfos": infos}

    def _contract(self, fields: Fields) -> str:
        symbol = fields.required("symbol")
        listed = self._exchange.instruments.get(symbol)
        is_contract = listed is not None and listed.category is Category.LINEAR
        if fields.category() != "linear" or not is_contract:
            raise bad(f"Not supported symbols: {symbol}")
        return symbol
