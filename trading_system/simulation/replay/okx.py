"""OKX V5 public frames of one instrument: books with their checksum, and trades."""

from __future__ import annotations

import zlib
from heapq import nlargest, nsmallest

import msgspec

from trading_system.domain.orders import Side
from trading_system.simulation.replay.messages import (
    BadLine,
    DepthDiff,
    Findings,
    Grid,
    Message,
    Snapshot,
    number,
)

BOOK_CHANNELS = ("books-l2-tbt", "books", "books50-l2-tbt")
"""Incremental book channels, the best to replay first."""

_CHECKED_LEVELS = 25
_SIDES = {"buy": Side.BUY, "sell": Side.SELL}

RawLevels = list[tuple[str, str, str, str]]


class _Argument(msgspec.Struct, rename={"instrument": "instId"}):
    channel: str = ""
    instrument: str = ""


class _Head(msgspec.Struct, rename={"argument": "arg"}):
    argument: _Argument = msgspec.field(default_factory=_Argument)
    event: str = ""


class RawBook(
    msgspec.Struct, rename={"previous_id": "prevSeqId", "update_id": "seqId", "sum": "checksum"}
):
    """A row of a book channel as received; ids are missing before 2022, the checksum may be 0."""

    bids: RawLevels
    asks: RawLevels
    sum: int = 0
    previous_id: int | None = None
    update_id: int | None = None


class BookFrame(msgspec.Struct):
    """A frame of a book channel."""

    data: list[RawBook]
    action: str = ""


class _Trade(msgspec.Struct):
    px: str
    sz: str
    side: str


class _TradeFrame(msgspec.Struct):
    data: list[_Trade]


_HEAD = msgspec.json.Decoder(_Head)
_BOOK = msgspec.json.Decoder(BookFrame)
_TRADES = msgspec.json.Decoder(_TradeFrame)


def address_of(frame: bytes) -> tuple[str, str]:
    """Return channel and instrument of a data frame, empty texts for everything else.

    Raises
    ------
    BadLine
        If the frame is no JSON object.
    """
    try:
        head = _HEAD.decode(frame)
    except msgspec.MsgspecError as e:
        raise BadLine(f"no public frame: {e}") from e
    return ("", "") if head.event else (head.argument.channel, head.argument.instrument)


def book_frame(frame: bytes) -> BookFrame:
    """Return a frame of a book channel, decoded.

    Raises
    ------
    BadLine
        If it is malformed.
    """
    try:
        return _BOOK.decode(frame)
    except msgspec.MsgspecError as e:
        raise BadLine(f"unreadable book: {e}") from e


class InstrumentFrames:
    """Decodes the frames of one instrument from its first snapshot on.

    Parameters
    ----------
    instrument_id, channel : str
        As OKX spells them; other book channels of the instrument are ignored.
    grid : Grid
        Of its texts.
    findings : Findings
        Told of missing updates and of every checksum.
    """

    def __init__(self, instrument_id: str, *, channel: str, grid: Grid, findings: Findings) -> None:
        self._id = instrument_id
        self._channel = channel
        self._grid = grid
        self._findings = findings
        self._texts = _TextBook()
        self._last_id: int | None = None
        self._has_book = False

    def decode(self, channel: str, frame: bytes, *, stamp_ns: int) -> list[Message]:
        """Return the messages in ``frame``, received at ``stamp_ns``.

        Raises
        ------
        BadLine
            If the frame is malformed or off the grid or, with strict findings, does not follow
            or has another checksum.
        """
        if channel == self._channel:
            found = book_frame(frame)
            is_snapshot = found.action == "snapshot"
            rows = (self._book(row, stamp_ns, is_snapshot=is_snapshot) for row in found.data)
            return [message for message in rows if message is not None]
        if channel != "trades" or not self._has_book:
            return []
        try:
            return [self._trade(row, stamp_ns) for row in _TRADES.decode(frame).data]
        except msgspec.MsgspecError as e:
            raise BadLine(f"unreadable trades: {e}") from e

    def _book(self, row: RawBook, stamp_ns: int, *, is_snapshot: bool) -> Message | None:
        is_snapshot = is_snapshot or row.previous_id == -1
        if not (is_snapshot or self._has_book):
            return None
        last_id = self._last_id
        if not is_snapshot and row.previous_id is not None and row.previous_id != last_id:
            self._findings.gap(f"{self._id} update {row.update_id} does not follow {last_id}")
        self._has_book = True
        self._last_id = row.update_id
        self._check(row, is_snapshot=is_snapshot)
        update_id = row.update_id or 0
        bids = self._grid.levels((level[0], level[1]) for level in row.bids)
        asks = self._grid.levels((level[0], level[1]) for level in row.asks)
        if is_snapshot:
            return Snapshot(stamp_ns, update_id, bids, asks)
        return DepthDiff(stamp_ns, update_id, update_id, row.previous_id, bids, asks)

    def _check(self, row: RawBook, *, is_snapshot: bool) -> None:
        self._texts.apply(row, is_snapshot=is_snapshot)
        if row.sum:
            right = self._texts.checksum()
            text = f"{self._id} checksum {row.sum} does not match {right}"
            self._findings.checksum(text, is_right=row.sum == right)

    def _trade(self, row: _Trade, stamp_ns: int) -> Message:
        if row.side not in _SIDES:
            raise BadLine(f"no side: {row.side[:20]!r}")
        return self._grid.trade(stamp_ns, _SIDES[row.side], price=row.px, quantity=row.sz)


class _TextBook:
    # The book in the exchange's own texts, which the checksum is made of.
    def __init__(self) -> None:
        self._bids: dict[float, str] = {}
        self._asks: dict[float, str] = {}

    def apply(self, row: RawBook, *, is_snapshot: bool) -> None:
        for held, levels in ((self._bids, row.bids), (self._asks, row.asks)):
            if is_snapshot:
                held.clear()
            for price, size, *_ in levels:
                if number(size) == 0.0:
                    held.pop(number(price), None)
                else:
                    held[number(price)] = f"{price}:{size}"

    def checksum(self) -> int:
        bids = [self._bids[price] for price in nlargest(_CHECKED_LEVELS, self._bids)]
        asks = [self._asks[price] for price in nsmallest(_CHECKED_LEVELS, self._asks)]
        texts = []
        for place in range(max(len(bids), len(asks))):
            texts += bids[place : place + 1] + asks[place : place + 1]
        unsigned = zlib.crc32(":".join(texts).encode())
        return unsigned - (1 << 32) if unsigned >> 31 else unsigned
