"""Bybit V5 public frames and instrument rows, decoded for replay and for the live market."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from trading_system.domain.errors import ValidationError
from trading_system.domain.instruments import Category, Instrument, parse_decimal
from trading_system.domain.orders import Side
from trading_system.simulation.replay.messages import (
    BadLine,
    DepthDiff,
    Findings,
    Grid,
    MarkPrice,
    Message,
    Snapshot,
    number,
)

_SPOT_LARGEST = Decimal(10_000_000)
_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_REFERENCES = ("markPrice", "indexPrice", "fundingRate", "openInterest")


class _Head(msgspec.Struct):
    topic: str = ""


class _BookData(msgspec.Struct, rename={"bids": "b", "asks": "a", "update_id": "u"}):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    update_id: int


class _BookFrame(msgspec.Struct):
    type: str
    data: _BookData
    ts: int = 0
    cts: int = 0


class _Trade(
    msgspec.Struct,
    rename={
        "side": "S",
        "quantity": "v",
        "price": "p",
        "engine_ms": "T",
        "is_block": "BT",
        "is_rpi": "RPI",
    },
):
    side: str
    quantity: str
    price: str
    engine_ms: int = 0
    is_block: bool = False
    is_rpi: bool = False


class _TradeFrame(msgspec.Struct):
    data: list[_Trade]


class _TickerFrame(msgspec.Struct):
    data: dict[str, Any]
    ts: int = 0


_HEAD = msgspec.json.Decoder(_Head)
_BOOK = msgspec.json.Decoder(_BookFrame)
_TRADES = msgspec.json.Decoder(_TradeFrame)
_TICKER = msgspec.json.Decoder(_TickerFrame)


def topic_of(frame: bytes) -> str:
    """Return the topic of a frame, empty for acks and pongs.

    Raises
    ------
    BadLine
        If the frame is no JSON object.
    """
    try:
        return _HEAD.decode(frame).topic
    except msgspec.MsgspecError as e:
        raise BadLine(f"no public frame: {e}") from e


class SymbolFrames:
    """Decodes the frames of one symbol: one book topic, trades and tickers.

    Everything before the first snapshot of the book is left out, also after an interruption.
    Block and RPI trades did not happen in the displayed book and are left out.

    Parameters
    ----------
    instrument : Instrument
        The symbol's.
    depth : int
        Levels of the book topic to follow; other depths are ignored.
    findings : Findings
        Told of missing updates.
    """

    def __init__(self, instrument: Instrument, *, depth: int, findings: Findings) -> None:
        self._grid = Grid(instrument.tick_size, instrument.qty_step)
        self._findings = findings
        self._book_topic = f"orderbook.{depth}.{instrument.symbol}"
        self._trade_topic = f"publicTrade.{instrument.symbol}"
        self._ticker_topic = f"tickers.{instrument.symbol}"
        self._last_id: int | None = None
        self._ticker: dict[str, str] = {}

    def interrupt(self) -> None:
        """Forget the book: the connection was lost and a snapshot has to come."""
        self._last_id = None

    def decode(self, topic: str, frame: bytes, *, stamp_ns: int) -> list[Message]:
        """Return the messages in ``frame``, received at ``stamp_ns``.

        Raises
        ------
        BadLine
            If the frame is malformed or off the grid or, with strict findings, does not follow.
        """
        try:
            if topic == self._book_topic:
                return self._book(_BOOK.decode(frame), stamp_ns)
            if self._last_id is None:
                return []
            if topic == self._trade_topic:
                return self._trades(_TRADES.decode(frame), stamp_ns)
            if topic == self._ticker_topic:
                return self._reference(_TICKER.decode(frame), stamp_ns)
        except msgspec.MsgspecError as e:
            raise BadLine(f"unreadable {topic[:60]}: {e}") from e
        return []

    def _book(self, frame: _BookFrame, stamp_ns: int) -> list[Message]:
        data = frame.data
        bids, asks = self._grid.levels(data.bids), self._grid.levels(data.asks)
        engine_ms = frame.cts or frame.ts
        if frame.type == "snapshot" or data.update_id == 1:
            self._last_id = data.update_id
            return [Snapshot(stamp_ns, data.update_id, bids, asks, engine_ms)]
        last_id = self._last_id
        if last_id is None:
            return []
        if data.update_id != last_id + 1:
            self._findings.gap(f"{self._book_topic} update {data.update_id} follows {last_id}")
        self._last_id = data.update_id
        update_id = data.update_id
        return [DepthDiff(stamp_ns, update_id, update_id, last_id, bids, asks, engine_ms)]

    def _trades(self, frame: _TradeFrame, stamp_ns: int) -> list[Message]:
        found: list[Message] = []
        for row in frame.data:
            if row.side not in _SIDES:
                raise BadLine(f"no side: {row.side[:20]!r}")
            if not (row.is_block or row.is_rpi):
                trade = self._grid.trade(
                    stamp_ns,
                    _SIDES[row.side],
                    price=row.price,
                    quantity=row.quantity,
                    engine_ms=row.engine_ms,
                )
                found.append(trade)
        return found

    def _reference(self, frame: _TickerFrame, stamp_ns: int) -> list[Message]:
        data = frame.data
        changed = {key: str(data[key]) for key in _REFERENCES if data.get(key)}
        if not changed:
            return []
        self._ticker |= changed
        held = self._ticker
        if "markPrice" not in held or "indexPrice" not in held:
            return []
        rate, interest = held.get("fundingRate", ""), held.get("openInterest", "")
        mark, index = number(held["markPrice"]), number(held["indexPrice"])
        if mark <= 0.0:
            raise BadLine(f"mark price {mark} is not positive")
        for text in filter(None, (rate, interest)):
            _plain(text)
        return [MarkPrice(stamp_ns, mark, index, rate, interest, frame.ts)]


def _plain(text: str) -> None:
    try:
        parse_decimal(text)
    except ValidationError as e:
        raise BadLine(str(e)) from e


def instrument_of_row(row: dict[str, Any], *, category: str) -> Instrument:
    """Return the instrument of an ``instruments-info`` row.

    Raises
    ------
    ValidationError
        If a field is missing or no number.
    """
    try:
        price, lot = row["priceFilter"], row["lotSizeFilter"]
        if category == "spot":
            return _spot(row, price, lot)
        tick = parse_decimal(price["tickSize"])
        return Instrument(
            symbol=row["symbol"],
            base_coin=row["baseCoin"],
            quote_coin=row["quoteCoin"],
            tick_size=tick,
            qty_step=parse_decimal(lot["qtyStep"]),
            min_price=parse_decimal(price.get("minPrice") or price["tickSize"]),
            max_price=parse_decimal(price["maxPrice"]),
            min_qty=parse_decimal(lot["minOrderQty"]),
            max_qty=parse_decimal(lot["maxOrderQty"]),
            max_market_qty=parse_decimal(lot.get("maxMktOrderQty") or lot["maxOrderQty"]),
            min_notional=parse_decimal(lot.get("minNotionalValue") or "0"),
            max_leverage=parse_decimal(row["leverageFilter"]["maxLeverage"]),
            funding_interval_minutes=int(row.get("fundingInterval") or 480),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as e:
        raise ValidationError(f"unusable instrument row: {e!r}") from e


def _spot(row: dict[str, Any], price: dict[str, Any], lot: dict[str, Any]) -> Instrument:
    tick, step = parse_decimal(price["tickSize"]), parse_decimal(lot["basePrecision"])
    largest = parse_decimal(lot["maxLimitOrderQty"])
    return Instrument(
        symbol=row["symbol"],
        base_coin=row["baseCoin"],
        quote_coin=row["quoteCoin"],
        tick_size=tick,
        qty_step=step,
        min_price=tick,
        max_price=_SPOT_LARGEST,
        min_qty=max(step, parse_decimal(lot.get("minOrderQty") or "0")),
        max_qty=largest,
        max_market_qty=parse_decimal(lot["maxMarketOrderQty"]),
        min_notional=parse_decimal(lot["minOrderAmt"]),
        category=Category.SPOT,
    )
