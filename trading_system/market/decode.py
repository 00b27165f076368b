"""Typed decoding of Bybit V5 public frames.

Every function takes the frame as it came off the socket and either returns a fully checked value
or raises :class:`CorruptDataError`; nothing in between. Types are strict: a number spelled as
text where the venue sends a number, or the other way round, is refused, and so are exponents,
signs, NaN, escapes and non-ASCII digits inside prices and sizes. Unknown extra keys are ignored,
because the venue adds some from time to time; when a key is repeated, the last one counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.domain.events import TickerState, TradeTick
from trading_system.domain.instruments import parse_decimal
from trading_system.domain.orders import Side

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""Largest frame that is looked at, bytes (characters for text)."""
MAX_BOOK_DEPTH = 1000
"""Deepest book the venue offers, levels per side."""
MAX_TRADES = 1024
"""Most trades of one message; the venue splits larger batches."""

Frame = bytes | str
Level = tuple[float, float]
"""Price in quote currency and size in base currency, as decoded, not yet on a grid."""

_NS_PER_MS = 1_000_000
_MAX_MS = 9_000_000_000_000  # year 2255; its nanoseconds still fit an int64
_MAX_COUNTER = 2**63 - 2
_MAX_LEVEL_BYTES = 64
_MAX_SIDES_BYTES = 4 * MAX_BOOK_DEPTH * _MAX_LEVEL_BYTES
_MAX_NUMBER_TEXT = 40
_MAX_NAME = 64
_MAX_REASON = 200
_UNQUOTED = b"0123456789.,[] \t\r\n"
_PLAIN = b"0123456789."
_MARKS = b'"[]'
_ROW_BYTES = 8  # of a level and its comma without digits and dots
_REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)

_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=_MAX_MS)]
_Counter = Annotated[int, msgspec.Meta(ge=1, le=_MAX_COUNTER)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_NAME)]
_Number = Annotated[str, msgspec.Meta(max_length=_MAX_NUMBER_TEXT)]

T = TypeVar("T")


class BookMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order book message, decoded but not yet judged against a book.

    Parameters
    ----------
    topic, symbol : str
        For example ``orderbook.50.BTCUSDT`` and ``BTCUSDT``.
    is_snapshot : bool
        Whether the venue declared the message a snapshot.
    update_id : int
        ``u``, at least 1; grows by 1 per delta of one topic.
    sequence : int
        ``seq``, at least 1; clock shared by all topics of a symbol, not contiguous.
    ts_exchange_ns : int
        Time of the matching engine (``cts``), else of the push (``ts``), UTC nanoseconds.
    levels : list of float
        Price (quote currency) and size (base currency, 0 deletes) of every changed bid, then of
        every changed ask. Never negative when decoded from a frame; the grid is checked by the
        book.
    bid_count : int
        How many of the levels are bids.
    """

    topic: str
    symbol: str
    is_snapshot: bool
    update_id: int
    sequence: int
    ts_exchange_ns: int
    levels: list[float]
    bid_count: int

    @classmethod
    def of(cls, *, bids: Sequence[Level], asks: Sequence[Level], **fields: Any) -> BookMessage:  # noqa: ANN401 - the other fields
        """Return a message of pairs of price and size; the other fields as they are."""
        levels = [number for level in (*bids, *asks) for number in level]
        return cls(levels=levels, bid_count=len(bids), **fields)

    @property
    def bids(self) -> list[Level]:
        """Price and size of the changed bids."""
        return _pairs(self.levels[: 2 * self.bid_count])

    @property
    def asks(self) -> list[Level]:
        """Price and size of the changed asks."""
        return _pairs(self.levels[2 * self.bid_count :])


class _BookData(msgspec.Struct, gc=False):
    s: str
    b: msgspec.Raw
    a: msgspec.Raw
    u: _Counter
    seq: _Counter


class _BookFrame(msgspec.Struct, gc=False):
    topic: str
    type: Literal["snapshot", "delta"]
    ts: _Milliseconds
    data: _BookData
    cts: _Milliseconds = 0


class _TradeRow(msgspec.Struct, gc=False):
    T: _Milliseconds
    s: _Name
    S: Literal["Buy", "Sell"]
    v: _Number
    p: _Number
    i: _Name


class _TradeFrame(msgspec.Struct, gc=False):
    topic: str
    type: Literal["snapshot"]
    ts: _Milliseconds
    data: Annotated[list[_TradeRow], msgspec.Meta(max_length=MAX_TRADES)]


class _TickerRow(msgspec.Struct, rename="camel"):
    symbol: _Name
    last_price: _Number | None = None
    mark_price: _Number | None = None
    index_price: _Number | None = None
    funding_rate: _Number | None = None
    next_funding_time: _Number | None = None
    open_interest: _Number | None = None


class _TickerFrame(msgspec.Struct):
    topic: str
    type: Literal["snapshot", "delta"]
    ts: _Milliseconds
    data: _TickerRow


class _TopicFrame(msgspec.Struct):
    topic: str = ""


_UNKNOWN_TICKER = TickerState(
    symbol="",
    last_price=None,
    mark_price=None,
    index_price=None,
    funding_rate=None,
    next_funding_ms=None,
    open_interest=None,
    ts_exchange_ns=0,
    ts_received_ns=0,
)

_read_topic = msgspec.json.Decoder(_TopicFrame).decode
_read_book = msgspec.json.Decoder(_BookFrame).decode
_read_numbers = msgspec.json.Decoder(list[float]).decode
_read_sides = msgspec.json.Decoder(tuple[list[Level], list[Level]], strict=False).decode
_read_trades = msgspec.json.Decoder(_TradeFrame).decode
_read_ticker = msgspec.json.Decoder(_TickerFrame).decode


def peek_topic(frame: Frame) -> str:
    """Return the topic of ``frame``, or an empty string when it has none (a control frame).

    A hint for dispatch, cheap when the topic comes first as Bybit sends it; the decoders below
    decide, and a book or a feed compares the decoded topic with its own.

    Raises
    ------
    CorruptDataError
        If the frame is oversize, or has no leading topic and is not a JSON object.
    """
    if isinstance(frame, bytes) and frame.startswith(b'{"topic":"'):
        topic = frame[10 : max(frame.find(b'"', 10, 11 + _MAX_NAME), 10)]
        if topic and topic.isascii() and b"\\" not in topic and len(frame) <= MAX_FRAME_BYTES:
            return topic.decode("ascii")
    return _decoded(_read_topic, frame).topic


def decode_book(frame: Frame) -> BookMessage:
    """Return the order book message of ``frame``.

    First the envelope is decoded with both sides left as raw JSON. A side without its digits and
    dots must be the skeleton of a list of quoted pairs: so every price and size was a quoted plain
    number, and all of them can be decoded as one list of numbers (correctly rounded). Sides with
    blanks take a slower way with the same checks.

    Raises
    ------
    CorruptDataError
        If the frame is oversize, malformed, mistyped or has too many levels to be a book.
    """
    envelope = _decoded(_read_book, frame)
    data = envelope.data
    levels, bid_count = _levels(bytes(data.b), bytes(data.a))
    return BookMessage(
        topic=envelope.topic,
        symbol=data.s,
        is_snapshot=envelope.type == "snapshot",
        update_id=data.u,
        sequence=data.seq,
        ts_exchange_ns=(envelope.cts or envelope.ts) * _NS_PER_MS,
        levels=levels,
        bid_count=bid_count,
    )


def _levels(bids: bytes, asks: bytes) -> tuple[list[float], int]:
    if len(bids) + len(asks) > _MAX_SIDES_BYTES:
        raise CorruptDataError(f"book levels take {len(bids) + len(asks)} bytes")
    bid_shape, ask_shape = bids.translate(None, _PLAIN), asks.translate(None, _PLAIN)
    bid_count, ask_count = len(bid_shape) // _ROW_BYTES, len(ask_shape) // _ROW_BYTES
    if bid_shape == _shape(bid_count) and ask_shape == _shape(ask_count):
        comma = b"," if bid_count and ask_count else b""
        numbers = bids.translate(None, _MARKS), comma, asks.translate(None, _MARKS)
        try:
            return _read_numbers(b"[%b%b%b]" % numbers), bid_count
        except _REFUSALS as e:  # not as JSON spells numbers: 007, or an empty text
            raise _malformed(e) from e
    return _spaced_levels(bids, asks)


def _spaced_levels(bids: bytes, asks: bytes) -> tuple[list[float], int]:
    text = b"[%b,%b]" % (bids, asks)
    try:
        sides = _read_sides(text)
    except _REFUSALS as e:
        raise _malformed(e) from e
    if text.translate(None, _UNQUOTED) != b'"' * (4 * (len(sides[0]) + len(sides[1]))):
        raise CorruptDataError("book levels are not plain quoted numbers")
    return [number for side in sides for level in side for number in level], len(sides[0])


@functools.lru_cache(maxsize=256)
def _shape(count: int) -> bytes:
    # A side of so many levels without the digits and dots of its numbers.
    return b"[%b]" % b",".join([b'["",""]'] * count)


def _pairs(numbers: list[float]) -> list[Level]:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def decode_trades(frame: Frame, received_ns: int) -> list[TradeTick]:
    """Return the public trades of ``frame`` in the order sent; every number is positive.

    Parameters
    ----------
    frame : bytes or str
        A ``publicTrade.SYMBOL`` message.
    received_ns : int
        Monotonic nanoseconds of receipt, copied into every trade.

    Raises
    ------
    CorruptDataError
        If any row is malformed or of another symbol than the topic's: no trade of it counts.
    """
    message = _decoded(_read_trades, frame)
    symbol = _topic_symbol(message.topic, "publicTrade")
    return [_trade(row, symbol, received_ns) for row in message.data]


def decode_ticker(
    frame: Frame, received_ns: int, *, previous: TickerState | None = None
) -> TickerState:
    """Return the ticker after ``frame``; a delta changes only the keys it carries.

    Parameters
    ----------
    frame : bytes or str
        A ``tickers.SYMBOL`` message.
    received_ns : int
        Monotonic nanoseconds of receipt.
    previous : TickerState or None
        State before the frame; a delta needs one.

    Raises
    ------
    CorruptDataError
        If the frame is malformed, of another symbol, or a delta without a previous state.
    """
    message = _decoded(_read_ticker, frame)
    row = message.data
    if row.symbol != _topic_symbol(message.topic, "tickers"):
        raise CorruptDataError(f"{message.topic!r} carries {row.symbol!r}")
    if message.type == "delta" and (previous is None or previous.symbol != row.symbol):
        raise CorruptDataError(f"{message.topic!r} sent a delta before its snapshot")
    known = previous if message.type == "delta" and previous is not None else _UNKNOWN_TICKER
    return TickerState(
        symbol=row.symbol,
        last_price=_merged(row.last_price, known.last_price),
        mark_price=_merged(row.mark_price, known.mark_price),
        index_price=_merged(row.index_price, known.index_price),
        funding_rate=_merged(row.funding_rate, known.funding_rate),
        next_funding_ms=_merged_ms(row.next_funding_time, known.next_funding_ms),
        open_interest=_merged(row.open_interest, known.open_interest),
        ts_exchange_ns=message.ts * _NS_PER_MS,
        ts_received_ns=received_ns,
    )


def _decoded(read: Callable[[Frame], T], frame: Frame) -> T:
    if len(frame) > MAX_FRAME_BYTES:
        raise CorruptDataError(f"frame of {len(frame)} is longer than {MAX_FRAME_BYTES} allowed")
    try:
        if isinstance(frame, bytes) and not frame.isascii():
            frame.decode()  # the decoder does not look into the text it skips
        return read(frame)
    except _REFUSALS as e:
        raise _malformed(e) from e


def _malformed(cause: BaseException) -> CorruptDataError:
    return CorruptDataError(f"malformed frame: {str(cause)[:_MAX_REASON]}")


def _topic_symbol(topic: str, kind: str) -> str:
    head, _, symbol = topic.partition(".")
    if head != kind or not symbol:
        raise CorruptDataError(f"not a {kind} topic: {topic[:_MAX_NAME]!r}")
    return symbol


def _decimal(text: str) -> Decimal:
    try:
        return parse_decimal(text)
    except ValidationError as e:
        raise CorruptDataError(str(e)) from e


def _merged(text: str | None, known: Decimal | None) -> Decimal | None:
    # Absent keeps what is known; empty text is the venue's way of saying "there is none".
    if text is None:
        return known
    return _decimal(text) if text else None


def _merged_ms(text: str | None, known: int | None) -> int | None:
    if text is None:
        return known
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_MS):
        raise CorruptDataError(f"not a time in milliseconds: {text!r}")
    return int(text)


def _trade(row: _TradeRow, symbol: str, received_ns: int) -> TradeTick:
    price, quantity = _decimal(row.p), _decimal(row.v)
    if row.s != symbol or price <= 0 or quantity <= 0:
        raise CorruptDataError(f"impossible trade of {row.s!r}: price {row.p}, size {row.v}")
    return TradeTick(
        symbol=symbol,
        side=Side.BUY if row.S == "Buy" else Side.SELL,
        price=float(price),
        quantity=float(quantity),
        trade_id=row.i,
        ts_exchange_ns=row.T * _NS_PER_MS,
        ts_received_ns=received_ns,
    )
