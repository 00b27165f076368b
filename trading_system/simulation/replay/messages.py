"""Messages of a raw Binance recording, decoded line by line onto an instrument's grid.

A line is a receive stamp, one blank and JSON: a combined-stream message or the REST depth answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side

_NANOSECONDS_FROM = 10**17
"""Stamps above this are nanoseconds (1e18 was in 2001); below, microseconds."""
_GRID_TOLERANCE = 1e-4
_HEAD = 200

Level = tuple[int, int]
"""Price in ticks and displayed quantity in lots; 0 lots removes the level."""


class BadLine(ValueError):
    """A line is not what the format says. Consequence: the recording is refused."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The REST depth answer."""

    stamp_ns: int
    last_update_id: int
    bids: list[Level]
    asks: list[Level]


@dataclass(frozen=True, slots=True)
class DepthDiff:
    """One depth update; ``previous_id`` is None on spot."""

    stamp_ns: int
    first_id: int
    last_id: int
    previous_id: int | None
    bids: list[Level]
    asks: list[Level]


@dataclass(frozen=True, slots=True)
class RecordedTrade:
    """One public trade of the recording."""

    stamp_ns: int
    taker_side: Side
    price_ticks: int
    lots: int


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """One mark price message: prices as floats, the funding rate as the recording spells it."""

    stamp_ns: int
    mark: float
    index: float
    rate: str


Message = Snapshot | DepthDiff | RecordedTrade | MarkPrice

_RawLevels = list[tuple[str, str]]


class RawSnapshot(msgspec.Struct, rename={"last_update_id": "lastUpdateId"}):
    """Wire form of :class:`Snapshot`."""

    last_update_id: int
    bids: _RawLevels
    asks: _RawLevels


class RawDepth(
    msgspec.Struct,
    rename={
        "symbol": "s",
        "first_id": "U",
        "last_id": "u",
        "previous_id": "pu",
        "bids": "b",
        "asks": "a",
    },
):
    """Wire form of :class:`DepthDiff`."""

    symbol: str
    first_id: int
    last_id: int
    bids: _RawLevels
    asks: _RawLevels
    previous_id: int | None = None


class _RawTrade(
    msgspec.Struct,
    rename={"price": "p", "quantity": "q", "is_buyer_maker": "m", "kind": "X"},
):
    price: str
    quantity: str
    is_buyer_maker: bool
    kind: str = "MARKET"


class _RawMark(msgspec.Struct, rename={"mark": "p", "index": "i", "rate": "r"}):
    mark: str
    index: str
    rate: str


class _DepthFrame(msgspec.Struct):
    data: RawDepth


class _TradeFrame(msgspec.Struct):
    data: _RawTrade


class _MarkFrame(msgspec.Struct):
    data: _RawMark


_SNAPSHOT = msgspec.json.Decoder(RawSnapshot)
_DEPTH = msgspec.json.Decoder(_DepthFrame)
_TRADE = msgspec.json.Decoder(_TradeFrame)
_MARK = msgspec.json.Decoder(_MarkFrame)


def split_line(line: bytes) -> tuple[int, bytes]:
    """Return the receive stamp in nanoseconds and the JSON body of ``line``.

    Raises
    ------
    BadLine
        If the line has no such shape.
    """
    stamp, blank, body = line.partition(b" ")
    if not (blank and stamp.isdigit() and len(stamp) <= 20):
        raise BadLine("no receive stamp")
    body = body.rstrip()
    if not (body.startswith(b"{") and body.endswith(b"}")):
        raise BadLine("no JSON object")
    value = int(stamp)
    return (value if value >= _NANOSECONDS_FROM else value * 1_000), body


def raw_snapshot(body: bytes) -> RawSnapshot | None:
    """Return the depth answer in ``body``, None when it is something else."""
    head = body[:_HEAD]
    if b'"lastUpdateId"' not in head or b'"stream"' in head:
        return None
    try:
        return _SNAPSHOT.decode(body)
    except msgspec.MsgspecError as e:
        raise BadLine(f"unreadable depth snapshot: {e}") from e


def raw_depth(body: bytes) -> RawDepth | None:
    """Return the depth update in ``body``, None when it is something else."""
    if b'"e":"depthUpdate"' not in body[:_HEAD]:
        return None
    try:
        return _DEPTH.decode(body).data
    except msgspec.MsgspecError as e:
        raise BadLine(f"unreadable depth update: {e}") from e


class MessageDecoder:
    """Turns lines into messages on the grid of one instrument.

    Parameters
    ----------
    instrument : Instrument
        Grid of the recording's symbol.
    """

    def __init__(self, instrument: Instrument) -> None:
        self._tick = float(instrument.tick_size)
        self._lot = float(instrument.qty_step)

    def decode(self, line: bytes) -> Message | None:
        """Return the message in ``line``; None for kinds that a replay does not need.

        Raises
        ------
        BadLine
            If the line is malformed, off the grid or impossible.
        """
        stamp_ns, body = split_line(line)
        head = body[:_HEAD]
        if b'"e":"bookTicker"' in head:
            return None
        try:
            if b'"e":"trade"' in head:
                return self._trade(stamp_ns, _TRADE.decode(body).data)
            if b'"e":"markPriceUpdate"' in head:
                return _mark(stamp_ns, _MARK.decode(body).data)
        except msgspec.MsgspecError as e:
            raise BadLine(str(e)) from e
        if (depth := raw_depth(body)) is not None:
            return DepthDiff(
                stamp_ns,
                depth.first_id,
                depth.last_id,
                depth.previous_id,
                self._levels(depth.bids),
                self._levels(depth.asks),
            )
        if (snapshot := raw_snapshot(body)) is not None:
            return Snapshot(
                stamp_ns,
                snapshot.last_update_id,
                self._levels(snapshot.bids),
                self._levels(snapshot.asks),
            )
        return None

    def _trade(self, stamp_ns: int, raw: _RawTrade) -> RecordedTrade | None:
        # Insurance-fund and auto-deleveraging prints did not happen in the book.
        if raw.kind not in {"MARKET", ""}:
            return None
        price_ticks = _ticks(raw.price, self._tick)
        lots = _lots(raw.quantity, self._lot)
        if lots == 0:
            raise BadLine("trade of quantity 0")
        side = Side.SELL if raw.is_buyer_maker else Side.BUY
        return RecordedTrade(stamp_ns, side, price_ticks, lots)

    def _levels(self, raw: _RawLevels) -> list[Level]:
        tick, lot = self._tick, self._lot
        return [(_ticks(price, tick), _lots(quantity, lot)) for price, quantity in raw]


def _mark(stamp_ns: int, raw: _RawMark) -> MarkPrice:
    mark, index = _number(raw.mark), _number(raw.index)
    _number(raw.rate)
    return MarkPrice(stamp_ns, mark, index, raw.rate)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as e:
        raise BadLine(f"no number: {text[:40]!r}") from e
    if not abs(value) < 1e15:
        raise BadLine(f"no usable number: {text[:40]!r}")
    return value


def _ticks(text: str, tick: float) -> int:
    exact = _number(text) / tick
    ticks = round(exact)
    if ticks <= 0 or abs(exact - ticks) > _GRID_TOLERANCE:
        raise BadLine(f"price {text} is not a positive multiple of {tick}")
    return ticks


def _lots(text: str, lot: float) -> int:
    # Binance spot books hold rests finer than the lot: rounded down, but never down to nothing.
    quantity = _number(text)
    if quantity < 0.0:
        raise BadLine(f"quantity {text} is negative")
    return max(1, int(quantity / lot + _GRID_TOLERANCE)) if quantity > 0.0 else 0
