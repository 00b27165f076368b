"""Lines of a raw Binance recording, decoded onto an instrument's grid.

A line is a receive stamp, one blank and JSON: a combined-stream message or the REST depth answer.
"""

from __future__ import annotations

import msgspec

from trading_system.domain.errors import ValidationError
from trading_system.domain.instruments import parse_decimal
from trading_system.domain.orders import Side
from trading_system.simulation.replay.messages import (
    BadLine,
    DepthDiff,
    Grid,
    MarkPrice,
    Message,
    RecordedTrade,
    Snapshot,
    number,
)

_NANOSECONDS_FROM = 10**17
"""Stamps above this are nanoseconds (1e18 was in 2001); below, microseconds."""
_HEAD = 200

RawLevels = list[tuple[str, str]]


class RawSnapshot(msgspec.Struct, rename={"last_update_id": "lastUpdateId"}):
    """The REST depth answer as received."""

    last_update_id: int
    bids: RawLevels
    asks: RawLevels


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
    """A depth update as received; spot has no ``previous_id``."""

    symbol: str
    first_id: int
    last_id: int
    bids: RawLevels
    asks: RawLevels
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


def is_depth(body: bytes) -> bool:
    """Return whether ``body`` is a depth update."""
    return b'"e":"depthUpdate"' in body[:_HEAD]


def raw_depth(body: bytes) -> RawDepth | None:
    """Return the depth update in ``body``, None when it is something else."""
    if not is_depth(body):
        return None
    try:
        return _DEPTH.decode(body).data
    except msgspec.MsgspecError as e:
        raise BadLine(f"unreadable depth update: {e}") from e


class MessageDecoder:
    """Turns lines into messages.

    Parameters
    ----------
    grid : Grid
        Of the recording's symbol.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

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
                self._grid.levels(depth.bids),
                self._grid.levels(depth.asks),
            )
        if (snapshot := raw_snapshot(body)) is not None:
            return Snapshot(
                stamp_ns,
                snapshot.last_update_id,
                self._grid.levels(snapshot.bids),
                self._grid.levels(snapshot.asks),
            )
        return None

    def _trade(self, stamp_ns: int, raw: _RawTrade) -> RecordedTrade | None:
        # Insurance-fund and auto-deleveraging prints did not happen in the book.
        if raw.kind not in {"MARKET", ""}:
            return None
        side = Side.SELL if raw.is_buyer_maker else Side.BUY
        return self._grid.trade(stamp_ns, side, price=raw.price, quantity=raw.quantity)


def _mark(stamp_ns: int, raw: _RawMark) -> MarkPrice:
    mark, index = number(raw.mark), number(raw.index)
    try:
        parse_decimal(raw.rate)
    except ValidationError as e:
        raise BadLine(str(e)) from e
    return MarkPrice(stamp_ns, mark, index, raw.rate)
