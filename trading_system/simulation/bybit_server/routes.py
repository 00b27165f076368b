"""Which path is answered by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trading_system.simulation.bybit_server.account_queries import AccountQueries
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.market_queries import MarketQueries
from trading_system.simulation.bybit_server.parameters import Fields
from trading_system.simulation.records import AccountSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicRoute:
    """A query anybody may ask."""

    answer: Callable[[Fields, int], Row]
    method: str = "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRoute:
    """A signed query, or with method POST a signed setting; ``operation`` names its quota."""

    answer: Callable[[AccountSpec, Fields, int], Row]
    operation: str
    method: str = "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRoute:
    """A signed order operation of the order desk."""

    operation: str
    method: str = "POST"


Route = PublicRoute | SignedRoute | OrderRoute


NOT_IN_DEMO = frozenset(
    {
        "/v5/account/fee-rate",
        "/v5/account/query-dcp-info",
        "/v5/order/disconnected-cancel-all",
    }
)
"""Paths that Bybit's demo environment does not have."""


def routes(market: MarketQueries, account: AccountQueries) -> Mapping[str, Route]:
    """Return every path of the server."""
    table: dict[str, Route] = {}
    table |= _public(market)
    table |= _queries(account)
    table |= _settings(account)
    for name in ("create", "amend", "cancel", "cancel-all", "pre-check"):
        table[f"/v5/order/{name}"] = OrderRoute(operation=f"order.{name}")
    for name in ("create-batch", "amend-batch", "cancel-batch"):
        table[f"/v5/order/{name}"] = OrderRoute(operation=f"order.{name}")
    return table


def _public(market: MarketQueries) -> dict[str, PublicRoute]:
    answers = {
        "time": market.server_time,
        "instruments-info": market.instruments_info,
        "orderbook": market.orderbook,
        "tickers": market.tickers,
        "recent-trade": market.recent_trade,
        "kline": market.kline,
        "mark-price-kline": market.mark_kline,
        "index-price-kline": market.index_kline,
        "premium-index-price-kline": market.premium_kline,
        "funding/history": market.funding_history,
        "open-interest": market.open_interest,
        "account-ratio": market.account_ratio,
        "risk-limit": market.risk_limit,
        "price-limit": market.price_limit,
    }
    return {f"/v5/market/{name}": PublicRoute(answer=answer) for name, answer in answers.items()}


def _queries(account: AccountQueries) -> dict[str, SignedRoute]:
    answers = {
        "order/realtime": account.order_realtime,
        "order/history": account.order_history,
        "execution/list": account.execution_list,
        "position/list": account.position_list,
        "position/closed-pnl": account.closed_pnl,
        "account/wallet-balance": account.wallet_balance,
        "account/fee-rate": account.fee_rate,
        "account/info": account.account_info,
        "account/transaction-log": account.transaction_log,
        "account/query-dcp-info": account.settings.dcp_info,
        "user/query-api": account.query_api,
        "asset/coin/query-info": account.coin_info,
    }
    return {
        f"/v5/{name}": SignedRoute(answer=answer, operation=name.replace("/", "."))
        for name, answer in answers.items()
    }


def _settings(account: AccountQueries) -> dict[str, SignedRoute]:
    answers = {
        "position/set-leverage": account.settings.set_leverage,
        "position/switch-mode": account.settings.switch_mode,
        "position/trading-stop": account.trading_stop,
        "account/set-margin-mode": account.settings.set_margin_mode,
        "order/disconnected-cancel-all": account.settings.protect_disconnected,
        "position/set-auto-add-margin": account.refuse,
        "position/add-margin": account.refuse,
    }
    return {
        f"/v5/{name}": SignedRoute(answer=answer, operation=name.replace("/", "."), method="POST")
        for name, answer in answers.items()
    }
