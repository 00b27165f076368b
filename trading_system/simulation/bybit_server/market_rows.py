"""Rows of instruments, tickers, trades and risk tiers."""

from __future__ import annotations

from decimal import Decimal

from trading_system.domain.instruments import Category, Instrument, plain
from trading_system.simulation.bybit_server.envelope import Row
from trading_system.simulation.bybit_server.texts import SIDES, GridText, rounded
from trading_system.simulation.price_limits import LIMIT_RATIO_X, LIMIT_RATIO_Y
from trading_system.simulation.records import PublicTrade
from trading_system.simulation.spot_validation import QUOTE_PRECISION
from trading_system.simulation.statistics import TickerView
from trading_system.simulation.validation import RISK_LIMIT

FUNDING_CAP = "0.005"
_LAUNCH_MS = "1585526400000"
_PERCENT = Decimal("1e-6")
_RISK = {"priceLimitRatioX": plain(LIMIT_RATIO_X), "priceLimitRatioY": plain(LIMIT_RATIO_Y)}


def linear_instrument_row(instrument: Instrument, *, number: int) -> Row:
    """Return the ``instruments-info`` row of a perpetual; ``number`` is its symbol id."""
    texts = GridText(instrument)
    max_qty = plain(instrument.max_qty)
    return {
        "symbol": instrument.symbol,
        "symbolId": number,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": instrument.base_coin,
        "quoteCoin": instrument.quote_coin,
        "settleCoin": instrument.quote_coin,
        "launchTime": _LAUNCH_MS,
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(instrument.price_decimals),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": format(instrument.max_leverage, ".2f"),
            "leverageStep": "0.01",
        },
        "priceFilter": {
            "minPrice": texts.near(instrument.min_price),
            "maxPrice": texts.near(instrument.max_price),
            "tickSize": texts.near(instrument.tick_size),
        },
        "lotSizeFilter": {
            "maxOrderQty": max_qty,
            "minOrderQty": plain(instrument.min_qty),
            "qtyStep": plain(instrument.qty_step),
            "postOnlyMaxOrderQty": max_qty,
            "maxMktOrderQty": plain(instrument.max_market_qty),
            "minNotionalValue": plain(instrument.min_notional),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": instrument.funding_interval_minutes,
        "copyTrading": "none",
        "upperFundingRate": FUNDING_CAP,
        "lowerFundingRate": f"-{FUNDING_CAP}",
        "displayName": "",
        "forbidUplWithdrawal": False,
        "riskParameters": _RISK,
        "isPreListing": False,
        "preListingInfo": None,
        "symbolType": "",
    }


def spot_instrument_row(instrument: Instrument, *, number: int) -> Row:
    """Return the ``instruments-info`` row of a spot pair; ``number`` is its symbol id."""
    max_qty = plain(instrument.max_qty)
    return {
        "symbol": instrument.symbol,
        "symbolId": number,
        "baseCoin": instrument.base_coin,
        "quoteCoin": instrument.quote_coin,
        "innovation": "0",
        "symbolType": "",
        "status": "Trading",
        "marginTrading": "none",
        "stTag": "0",
        "xstockMultiplier": "1",
        "lotSizeFilter": {
            "basePrecision": plain(instrument.qty_step),
            "quotePrecision": plain(QUOTE_PRECISION),
            "minOrderQty": plain(instrument.min_qty),
            "maxOrderQty": max_qty,
            "minOrderAmt": plain(instrument.min_notional),
            "maxOrderAmt": "4000000",
            "maxLimitOrderQty": max_qty,
            "maxMarketOrderQty": plain(instrument.max_market_qty),
            "postOnlyMaxLimitOrderSize": max_qty,
        },
        "priceFilter": {"tickSize": plain(instrument.tick_size)},
        "riskParameters": _RISK,
    }


def stream_spot_ticker(view: TickerView, texts: GridText) -> dict[str, str]:
    """Return the data of a spot ticker push; all values are text."""
    return {
        "symbol": texts.instrument.symbol,
        "lastPrice": texts.near(view.last_price),
        "highPrice24h": texts.near(view.high_24h),
        "lowPrice24h": texts.near(view.low_24h),
        "prevPrice24h": texts.near(view.prev_price_24h),
        "volume24h": rounded(view.volume_24h),
        "turnover24h": rounded(view.turnover_24h),
        "price24hPcnt": _day_change(view),
        "usdIndexPrice": texts.near(view.index_price),
    }


def rest_spot_ticker(view: TickerView, texts: GridText) -> Row:
    """Return the REST row of a spot ticker."""
    return {
        **stream_spot_ticker(view, texts),
        "bid1Price": "" if view.bid_price is None else texts.near(view.bid_price),
        "bid1Size": texts.size(view.bid_qty),
        "ask1Price": "" if view.ask_price is None else texts.near(view.ask_price),
        "ask1Size": texts.size(view.ask_qty),
    }


def _day_change(view: TickerView) -> str:
    if not view.prev_price_24h:
        return "0"
    change = (view.last_price - view.prev_price_24h) / view.prev_price_24h
    return plain(change.quantize(_PERCENT))


def stream_ticker(view: TickerView, texts: GridText) -> dict[str, str]:
    """Return the full data of a linear ticker push; all values are text."""
    interest = plain(view.open_interest)
    interest_value = rounded(view.open_interest * view.mark_price)
    return {
        "symbol": texts.instrument.symbol,
        "tickDirection": view.tick_direction,
        "price24hPcnt": _day_change(view),
        "lastPrice": texts.near(view.last_price),
        "prevPrice24h": texts.near(view.prev_price_24h),
        "highPrice24h": texts.near(view.high_24h),
        "lowPrice24h": texts.near(view.low_24h),
        "prevPrice1h": texts.near(view.prev_price_1h),
        "markPrice": texts.near(view.mark_price),
        "indexPrice": texts.near(view.index_price),
        "openInterest": interest,
        "openInterestValue": interest_value,
        "singleOpenInterest": interest,
        "singleOpenInterestValue": interest_value,
        "turnover24h": rounded(view.turnover_24h),
        "volume24h": rounded(view.volume_24h),
        "fundingIntervalHour": str(texts.instrument.funding_interval_minutes // 60),
        "fundingCap": FUNDING_CAP,
        "nextFundingTime": str(view.next_funding_ms),
        "fundingRate": rounded(view.funding_rate),
        "bid1Price": "" if view.bid_price is None else texts.near(view.bid_price),
        "bid1Size": texts.size(view.bid_qty),
        "ask1Price": "" if view.ask_price is None else texts.near(view.ask_price),
        "ask1Size": texts.size(view.ask_qty),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def rest_ticker(view: TickerView, texts: GridText) -> Row:
    """Return the REST row of a linear ticker."""
    row: Row = {
        **stream_ticker(view, texts),
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "basis": "",
        "basisRateYear": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0",
    }
    del row["tickDirection"]
    return row


def recent_trade_row(trade: PublicTrade, texts: GridText) -> Row:
    """Return the row of ``market/recent-trade``."""
    return {
        "execId": trade.trade_id,
        "symbol": texts.instrument.symbol,
        "price": texts.price(trade.price_ticks),
        "size": texts.qty(trade.lots),
        "side": SIDES[trade.taker_side],
        "time": str(trade.time_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(trade.sequence),
    }


def stream_trade_row(trade: PublicTrade, texts: GridText) -> Row:
    """Return the row of a ``publicTrade`` push; only contracts tell the tick direction."""
    row: Row = {
        "T": trade.time_ms,
        "s": texts.instrument.symbol,
        "S": SIDES[trade.taker_side],
        "v": texts.qty(trade.lots),
        "p": texts.price(trade.price_ticks),
        "L": trade.tick_direction,
        "i": trade.trade_id,
        "BT": False,
        "RPI": False,
        "seq": trade.sequence,
    }
    if texts.instrument.category is Category.SPOT:
        del row["L"]
    return row


def risk_limit_row(instrument: Instrument, *, number: int) -> Row:
    """Return the only risk tier of an instrument."""
    return {
        "id": number,
        "symbol": instrument.symbol,
        "riskLimitValue": plain(RISK_LIMIT),
        "maintenanceMargin": "0.005",
        "initialMargin": plain((1 / instrument.max_leverage).quantize(_PERCENT)),
        "isLowestRisk": 1,
        "maxLeverage": format(instrument.max_leverage, ".2f"),
        "mmDeduction": "",
    }
