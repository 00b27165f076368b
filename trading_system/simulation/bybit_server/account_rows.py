"""Rows of positions, wallets and the account's own description."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from trading_system.domain.instruments import plain
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.spot_rows import spot_coin_row
from trading_system.simulation.bybit_server.texts import GridText, rounded
from trading_system.simulation.records import AccountSpec, PositionView, WalletView
from trading_system.simulation.validation import RISK_LIMIT

_RATE = Decimal("0.0001")
_PERMISSIONS: dict[str, list[str]] = {
    "ContractTrade": ["Order", "Position"],
    "Spot": ["SpotTrade"],
    "Wallet": [],
    "Options": [],
    "Derivatives": ["DerivativesTrade"],
    "Exchange": ["ExchangeHistory"],
    **{
        name: []
        for name in (
            "CopyTrading",
            "BlockTrade",
            "NFT",
            "Affiliate",
            "Earn",
            "FiatP2P",
            "FiatBitPay",
            "FiatBybitPay",
            "FiatGlobalPay",
            "FiatConvertBroker",
            "BitCard",
            "ByXPost",
        )
    },
}


def position_row(view: PositionView, texts: GridText) -> Row:
    """Return the REST row of a position; a flat one keeps its leverage."""
    is_flat = view.lots == 0
    side = "" if is_flat else "Buy" if view.lots > 0 else "Sell"
    margin, maintenance = rounded(view.initial_margin), rounded(view.maintenance_margin)
    even = view.break_even_price
    return {
        "symbol": view.symbol,
        "side": side,
        "size": texts.amount(abs(view.lots)),
        "avgPrice": "0" if is_flat else rounded(view.entry_price),
        "positionValue": "0" if is_flat else rounded(view.position_value),
        "positionStatus": "Liq" if view.is_liquidating else "Normal",
        "leverage": plain(view.leverage),
        "breakEvenPrice": "" if even is None else rounded(even),
        "markPrice": texts.near(view.mark_price),
        "liqPrice": "" if view.liquidation_price is None else texts.near(view.liquidation_price),
        "bustPrice": "" if view.bankruptcy_price is None else texts.near(view.bankruptcy_price),
        "positionIM": margin,
        "positionIMByMp": margin,
        "positionMM": maintenance,
        "positionMMByMp": maintenance,
        "positionBalance": margin,
        "takeProfit": "" if view.take_profit is None else texts.near(view.take_profit),
        "stopLoss": "" if view.stop_loss is None else texts.near(view.stop_loss),
        "trailingStop": "" if view.trailing_stop is None else texts.near(view.trailing_stop),
        "tpslMode": "Full",
        "sessionAvgPrice": "",
        "unrealisedPnl": rounded(view.unrealised),
        "curRealisedPnl": rounded(view.session_realised),
        "cumRealisedPnl": rounded(view.cumulative_realised),
        "riskLimitValue": plain(RISK_LIMIT),
        "createdTime": str(view.created_ms),
        "updatedTime": str(view.updated_ms),
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "positionIdx": view.position_idx,
        "riskId": 1,
        "tradeMode": 0,
        "autoAddMargin": 0,
        "adlRankIndicator": 0,
        "seq": view.sequence,
        "openTime": 0 if is_flat else view.opened_ms,
        "isReduceOnly": False,
    }


def stream_position_row(view: PositionView, texts: GridText) -> Row:
    """Return the row of the ``position`` topic, which says ``entryPrice``."""
    row = position_row(view, texts)
    row["category"] = "linear"
    row["entryPrice"] = row.pop("avgPrice")
    return row


def coin_row(view: WalletView) -> Row:
    """Return the coin row of the settlement coin.

    ``availableToWithdraw`` is empty on purpose: clients then compute the free balance themselves.
    """
    return {
        **zero_coin_row(view.coin),
        "equity": plain(view.equity),
        "usdValue": plain(view.equity),
        "walletBalance": plain(view.wallet_balance),
        "locked": plain(view.locked),
        "totalOrderIM": plain(view.order_margin),
        "totalPositionIM": plain(view.position_margin),
        "totalPositionMM": plain(view.maintenance_margin),
        "unrealisedPnl": plain(view.unrealised),
        "cumRealisedPnl": plain(view.realised - view.fees + view.funding),
    }


def coin_rows(view: WalletView, named: Sequence[str] = ()) -> list[Row]:
    """Return the wallet's coin rows: those named, else the settlement coin and what is held."""
    held = {coin.coin: coin for coin in view.coins if coin.balance}
    rows = []
    for name in dict.fromkeys(named or (view.coin, *held)):
        if name == view.coin:
            rows.append(coin_row(view))
        elif name in held:
            rows.append(spot_coin_row(held[name], zero_coin_row(name)))
        else:
            rows.append(zero_coin_row(name))
    return rows


def zero_coin_row(coin: str) -> Row:
    """Return the coin row of a coin the account does not hold."""
    return {
        "coin": coin,
        "equity": "0",
        "usdValue": "0",
        "walletBalance": "0",
        "locked": "0",
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "spotBorrow": "0",
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": "0",
        "totalPositionMM": "0",
        "unrealisedPnl": "0",
        "cumRealisedPnl": "0",
        "bonus": "0",
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "marginCollateral": True,
        "collateralSwitch": True,
    }


def wallet_row(view: WalletView, *, coins: list[Row]) -> Row:
    """Return the account row with the given coin rows.

    Coins count at their index price in the totals but not as collateral: the haircut of the
    available balance is all of their value, and margin rates are of the settlement coin's equity.
    """
    margin = view.order_margin + view.position_margin
    initial, maintenance = plain(margin), plain(view.maintenance_margin)
    initial_rate = _margin_rate(margin, view.equity)
    maintenance_rate = _margin_rate(view.maintenance_margin, view.equity)
    held = sum((coin.balance * coin.price for coin in view.coins), Decimal(0))
    equity = plain(view.equity + held)
    return {
        "accountType": "UNIFIED",
        "accountIMRate": initial_rate,
        "accountIMRateByMp": initial_rate,
        "accountMMRate": maintenance_rate,
        "accountMMRateByMp": maintenance_rate,
        "accountLTV": "0",
        "totalEquity": equity,
        "totalWalletBalance": plain(view.wallet_balance + held),
        "totalMarginBalance": equity,
        "totalAvailableBalance": plain(view.available),
        "totalPerpUPL": plain(view.unrealised),
        "totalInitialMargin": initial,
        "totalInitialMarginByMp": initial,
        "totalMaintenanceMargin": maintenance,
        "totalMaintenanceMarginByMp": maintenance,
        "coin": coins,
    }


def account_info(*, updated_ms: int) -> Row:
    """Return ``account/info`` of a unified account with regular margin."""
    return {
        "unifiedMarginStatus": 6,
        "marginMode": "REGULAR_MARGIN",
        "updatedTime": str(updated_ms),
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
        "dcpStatus": "OFF",
        "timeWindow": 0,
        "smpGroup": 0,
    }


def key_info(account: AccountSpec) -> Row:
    """Return ``user/query-api``; ``uta`` 1 is what clients test for a unified account."""
    return {
        "id": str(account.uid),
        "note": "simulated",
        "apiKey": account.api_key,
        "readOnly": int(account.read_only),
        "secret": "",
        "permissions": {**_PERMISSIONS, "Wallet": ["Withdraw"] if account.can_withdraw else []},
        "ips": list(account.allowed_ips) or ["*"],
        "type": 1,
        "deadlineDay": 3650,
        "expiredAt": _expiry(account),
        "createdAt": "2024-01-01T00:00:00Z",
        "unified": 0,
        "uta": 1,
        "userID": account.uid,
        "inviterID": 0,
        "vipLevel": f"VIP-{account.vip_level}" if account.vip_level else "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": account.rsa_public_key,
        "isMaster": not account.parent_uid,
        "parentUid": str(account.parent_uid),
        "kycLevel": "LEVEL_DEFAULT",
        "kycRegion": "",
        "userIDInt64": str(account.uid),
        "inviterIDInt64": "0",
        "affiliateIDInt64": "0",
    }


def _expiry(account: AccountSpec) -> str:
    if account.expires_ms is None:
        return "2100-01-01T00:00:00Z"
    return datetime.fromtimestamp(account.expires_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _margin_rate(margin: Decimal, equity: Decimal) -> str:
    return plain((margin / equity).quantize(_RATE)) if equity > 0 else "0"
