"""Market values and the rows of the venue they are read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from trading_system.domain.orders import Side
from trading_system.venues.bybit import wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """The newest figures of one perpetual; None where the venue gave nothing.

    Prices in quote currency, sizes and volumes in base currency, ``turnover_24h`` and
    ``open_interest_value`` in quote currency; ``funding_rate`` and ``change_24h`` are fractions.
    """

    symbol: str
    last_price: Decimal | None
    mark_price: Decimal | None
    index_price: Decimal | None
    bid_price: Decimal | None
    bid_quantity: Decimal | None
    ask_price: Decimal | None
    ask_quantity: Decimal | None
    volume_24h: Decimal | None
    turnover_24h: Decimal | None
    high_24h: Decimal | None
    low_24h: Decimal | None
    change_24h: Decimal | None
    funding_rate: Decimal | None
    next_funding_ms: int | None
    open_interest: Decimal | None
    open_interest_value: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One candle; the newest of a list may still be open."""

    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRate:
    """One settled funding rate, a fraction of the position's value."""

    time_ms: int
    rate: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInterest:
    """Open interest at one time, base currency."""

    time_ms: int
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRatio:
    """Shares of accounts that are long and short, 0 to 1."""

    time_ms: int
    long: Decimal
    short: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentTrade:
    """One public trade; ``side`` is the aggressor's."""

    trade_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevels:
    """An order book by REST: (price, size) texts as the venue spells them, best first."""

    symbol: str
    bids: Sequence[tuple[str, str]]
    asks: Sequence[tuple[str, str]]
    time_ms: int
    update_id: int


class TickerRow(msgspec.Struct, frozen=True, rename="camel"):
    """The keys of a linear ticker that are read; all may be empty but the symbol."""

    symbol: str
    last_price: str = ""
    mark_price: str = ""
    index_price: str = ""
    bid1_price: str = msgspec.field(name="bid1Price", default="")
    bid1_size: str = msgspec.field(name="bid1Size", default="")
    ask1_price: str = msgspec.field(name="ask1Price", default="")
    ask1_size: str = msgspec.field(name="ask1Size", default="")
    volume_24h: str = msgspec.field(name="volume24h", default="")
    turnover_24h: str = msgspec.field(name="turnover24h", default="")
    high_24h: str = msgspec.field(name="highPrice24h", default="")
    low_24h: str = msgspec.field(name="lowPrice24h", default="")
    change_24h: str = msgspec.field(name="price24hPcnt", default="")
    funding_rate: str = ""
    next_funding_time: str = ""
    open_interest: str = ""
    open_interest_value: str = ""


class _FundingRow(msgspec.Struct, frozen=True, rename="camel"):
    funding_rate: str
    funding_rate_timestamp: str


class _InterestRow(msgspec.Struct, frozen=True, rename="camel"):
    open_interest: str
    timestamp: str


class _RatioRow(msgspec.Struct, frozen=True, rename="camel"):
    buy_ratio: str
    sell_ratio: str
    timestamp: str


class _TradeRow(msgspec.Struct, frozen=True, rename="camel"):
    exec_id: str
    price: str
    size: str
    side: str
    time: str


class _Book(msgspec.Struct, frozen=True):
    s: str
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    ts: int
    u: int


class _Time(msgspec.Struct, frozen=True, rename="camel"):
    time_nano: str


class _CandlePage(msgspec.Struct, frozen=True):
    rows: list[tuple[str, str, str, str, str, str, str]] = msgspec.field(name="list")


# One decoder per listing, built once.
TICKERS = msgspec.json.Decoder(wire.Page[TickerRow])
CANDLES = msgspec.json.Decoder(_CandlePage)
FUNDING = msgspec.json.Decoder(wire.Page[_FundingRow])
INTEREST = msgspec.json.Decoder(wire.Page[_InterestRow])
RATIOS = msgspec.json.Decoder(wire.Page[_RatioRow])
TRADES = msgspec.json.Decoder(wire.Page[_TradeRow])
INSTRUMENTS = msgspec.json.Decoder(wire.Page[dict[str, Any]])
BOOK = msgspec.json.Decoder(_Book)
TIME = msgspec.json.Decoder(_Time)


def ticker(row: TickerRow) -> Ticker:
    """Map a ticker row; an empty text is None."""
    what = f"ticker {row.symbol}"
    funding = row.next_funding_time
    return Ticker(
        symbol=row.symbol,
        last_price=wire.positive_or_none(row.last_price, what),
        mark_price=wire.positive_or_none(row.mark_price, what),
        index_price=wire.positive_or_none(row.index_price, what),
        bid_price=wire.positive_or_none(row.bid1_price, what),
        bid_quantity=wire.decimal_or_none(row.bid1_size, what),
        ask_price=wire.positive_or_none(row.ask1_price, what),
        ask_quantity=wire.decimal_or_none(row.ask1_size, what),
        volume_24h=wire.decimal_or_none(row.volume_24h, what),
        turnover_24h=wire.decimal_or_none(row.turnover_24h, what),
        high_24h=wire.positive_or_none(row.high_24h, what),
        low_24h=wire.positive_or_none(row.low_24h, what),
        change_24h=wire.decimal_or_none(row.change_24h, what),
        funding_rate=wire.decimal_or_none(row.funding_rate, what),
        next_funding_ms=wire.milliseconds(funding, what) if funding not in {"", "0"} else None,
        open_interest=wire.decimal_or_none(row.open_interest, what),
        open_interest_value=wire.decimal_or_none(row.open_interest_value, what),
    )
