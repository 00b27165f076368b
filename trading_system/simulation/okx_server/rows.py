"""Rows of instruments, tickers, prices, funding, open interest, trades and candles."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from trading_system.domain.instruments import plain
from trading_system.domain.orders import Side
from trading_system.simulation.candles import Candle
from trading_system.simulation.okx_server.contracts import SwapContract, short
from trading_system.simulation.okx_server.figures import IndexDay
from trading_system.simulation.okx_server.trade_log import TakerTrade
from trading_system.simulation.statistics import TickerView

Row = dict[str, object]
"""A JSON object on its way out; prices, sizes and times are strings in it."""

SWAP = "SWAP"
SIDES = {Side.BUY: "buy", Side.SELL: "sell"}

_LISTED_MS = "1585526400000"
_EMPTY = [
    "alias",
    "auctionEndTime",
    "baseCcy",
    "contTdSwTime",
    "expTime",
    "maxLmtAmt",
    "maxMktAmt",
    "maxPlatOILmt",
    "optType",
    "openType",
    "posLmtAmt",
    "posLmtPct",
    "preMktSwTime",
    "quoteCcy",
    "stk",
]
_FUNDING_CAP = "0.005"
_ENCODER = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """Return compact JSON."""
    return _ENCODER.encode(value)


def instrument_row(contract: SwapContract) -> Row:
    """Return the row of ``public/instruments`` and of the ``instruments`` channel."""
    instrument, value = contract.instrument, contract.value
    largest = contract.contracts(instrument.max_qty)
    coin = instrument.quote_coin
    return dict.fromkeys(_EMPTY, "") | {
        "instType": SWAP,
        "instId": contract.inst_id,
        "instFamily": contract.family,
        "uly": contract.family,
        "instIdCode": contract.number,
        "settleCcy": coin,
        "ctVal": plain(value),
        "ctMult": "1",
        "ctValCcy": instrument.base_coin,
        "ctType": "linear",
        "tickSz": plain(instrument.tick_size),
        "lotSz": plain(contract.lot_size),
        "minSz": contract.contracts(instrument.min_qty),
        "maxLmtSz": largest,
        "maxMktSz": contract.contracts(instrument.max_market_qty),
        "maxIcebergSz": largest,
        "maxTwapSz": largest,
        "maxStopSz": largest,
        "maxTriggerSz": largest,
        "lever": plain(instrument.max_leverage),
        "listTime": _LISTED_MS,
        "state": "live",
        "ruleType": "normal",
        "category": "1",
        "futureSettlement": False,
        "tradeQuoteCcyList": [coin],
    }


def ticker_row(
    view: TickerView,
    contract: SwapContract,
    *,
    openings: tuple[Decimal, Decimal],
    last_lots: int,
    now_ms: int,
) -> Row:
    """Return a ticker; ``openings`` are the first prices of the UTC and the UTC+8 day."""
    near = contract.near
    return {
        "instType": SWAP,
        "instId": contract.inst_id,
        "last": near(view.last_price),
        "lastSz": contract.size(last_lots),
        "askPx": "" if view.ask_price is None else near(view.ask_price),
        "askSz": contract.contracts(view.ask_qty),
        "bidPx": "" if view.bid_price is None else near(view.bid_price),
        "bidSz": contract.contracts(view.bid_qty),
        "open24h": near(view.prev_price_24h),
        "high24h": near(view.high_24h),
        "low24h": near(view.low_24h),
        "volCcy24h": short(view.volume_24h),
        "vol24h": contract.contracts(view.volume_24h),
        "sodUtc0": near(openings[0]),
        "sodUtc8": near(openings[1]),
        "ts": str(now_ms),
    }


def mark_price_row(view: TickerView, contract: SwapContract, *, now_ms: int) -> Row:
    """Return the mark price."""
    return {
        "instType": SWAP,
        "instId": contract.inst_id,
        "markPx": contract.near(view.mark_price),
        "ts": str(now_ms),
    }


def index_row(price: Decimal, day: IndexDay, contract: SwapContract, *, now_ms: int) -> Row:
    """Return the index ticker; its ``instId`` is the family."""
    near = contract.near
    return {
        "instId": contract.family,
        "idxPx": near(price),
        "high24h": near(day.high_24h),
        "low24h": near(day.low_24h),
        "open24h": near(day.open_24h),
        "sodUtc0": near(day.opened_utc),
        "sodUtc8": near(day.opened_utc8),
        "ts": str(now_ms),
    }


def funding_row(view: TickerView, contract: SwapContract, *, now_ms: int) -> Row:
    """Return the coming funding: the rate that the venue predicts, and its settlement."""
    interval_ms = contract.instrument.funding_interval_minutes * 60_000
    return {
        "instType": SWAP,
        "instId": contract.inst_id,
        "fundingRate": short(view.funding_rate),
        "nextFundingRate": "",
        "fundingTime": str(view.next_funding_ms),
        "nextFundingTime": str(view.next_funding_ms + interval_ms),
        "minFundingRate": f"-{_FUNDING_CAP}",
        "maxFundingRate": _FUNDING_CAP,
        "ts": str(now_ms),
    }


def open_interest_row(view: TickerView, contract: SwapContract, *, now_ms: int) -> Row:
    """Return the open interest in contracts, base currency and US dollars."""
    return {
        "instType": SWAP,
        "instId": contract.inst_id,
        "oi": contract.contracts(view.open_interest),
        "oiCcy": short(view.open_interest),
        "oiUsd": short(view.open_interest * view.mark_price),
        "ts": str(now_ms),
    }


def price_limit_row(contract: SwapContract, *, buy_ticks: int, sell_ticks: int, now_ms: int) -> Row:
    """Return the highest buy and the lowest sell price."""
    return {
        "instType": SWAP,
        "instId": contract.inst_id,
        "buyLmt": contract.price(buy_ticks),
        "sellLmt": contract.price(sell_ticks),
        "ts": str(now_ms),
        "enabled": True,
    }


def trade_row(trade: TakerTrade, contract: SwapContract) -> Row:
    """Return the row of ``market/trades``."""
    return {
        "instId": contract.inst_id,
        "tradeId": str(trade.trade_id),
        "px": contract.price(trade.price_ticks),
        "sz": contract.size(trade.lots),
        "side": SIDES[trade.taker_side],
        "source": "0",
        "ts": str(trade.time_ms),
    }


def pushed_trade_row(trade: TakerTrade, contract: SwapContract, *, is_aggregated: bool) -> Row:
    """Return the row of ``trades`` (aggregated, with ``count``) or ``trades-all``."""
    row = trade_row(trade, contract)
    if is_aggregated:
        row |= {"count": str(trade.count), "seqId": trade.sequence}
    return row


def candle_row(candle: Candle, contract: SwapContract) -> list[str]:
    """Return the nine texts of a candle: volume in contracts, base and quote currency."""
    near = contract.near
    return [
        str(candle.start_ms),
        near(candle.open),
        near(candle.high),
        near(candle.low),
        near(candle.close),
        contract.contracts(candle.volume),
        short(candle.volume),
        short(candle.turnover),
        "1" if candle.is_closed else "0",
    ]
