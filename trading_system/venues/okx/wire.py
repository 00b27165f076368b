"""What OKX V5 sends, decoded into typed rows; every refusal is a :class:`CorruptDataError`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeVar

import msgspec

from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.domain.events import TradeTick
from trading_system.domain.instruments import parse_decimal
from trading_system.domain.orders import Side
from trading_system.venues.okx.instruments import OkxContract, OkxInstrument, OkxInstType

Frame = bytes | str
T = TypeVar("T")

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""Longer frames are refused."""

Level = tuple[str, str, str, str]
"""Price, size, an obsolete field, number of orders: the original text."""

_NS_PER_MS = 1_000_000
_MAX_REASON = 200
_MAX_MS_DIGITS = 15
REFUSALS = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What the decoder raises for a frame that is not what it should be."""


class OkxArg(msgspec.Struct, frozen=True, omit_defaults=True):
    """One subscription; also says what a data frame is about."""

    channel: str
    instId: str = ""  # noqa: N815 - the venue's spelling
    instType: str = ""  # noqa: N815 - the venue's spelling


class BookRow(msgspec.Struct, gc=False):
    """One element of a book frame.

    ``seq_id`` and ``prev_seq_id`` are None in data recorded before they were introduced;
    ``checksum`` is 0 when the venue does not provide one.
    """

    asks: list[Level]
    bids: list[Level]
    ts: str
    checksum: int = 0
    prev_seq_id: int | None = msgspec.field(name="prevSeqId", default=None)
    seq_id: int | None = msgspec.field(name="seqId", default=None)


class BookFrame(msgspec.Struct, gc=False):
    """A frame of a book channel."""

    arg: OkxArg
    data: list[BookRow]
    action: Literal["snapshot", "update", ""] = ""


class TradeRow(msgspec.Struct, gc=False):
    """One element of a ``trades`` frame."""

    inst_id: str = msgspec.field(name="instId")
    trade_id: str = msgspec.field(name="tradeId")
    px: str
    sz: str
    side: Literal["buy", "sell"]
    ts: str


class TickerRow(msgspec.Struct, gc=False, rename="camel"):
    """One element of a ``tickers`` frame, and a row of the REST answer."""

    inst_id: str
    ts: str
    last: str = ""
    last_sz: str = ""
    ask_px: str = ""
    ask_sz: str = ""
    bid_px: str = ""
    bid_sz: str = ""
    vol24h: str = ""
    vol_ccy24h: str = msgspec.field(name="volCcy24h", default="")


class InstrumentRow(msgspec.Struct, gc=False, rename="camel"):
    """One element of an ``instruments`` frame, and a row of the REST answer."""

    inst_id: str
    inst_type: str
    tick_sz: str
    lot_sz: str
    min_sz: str
    base_ccy: str = ""
    quote_ccy: str = ""
    settle_ccy: str = ""
    ct_val: str = ""
    ct_mult: str = ""
    ct_val_ccy: str = ""
    ct_type: str = ""
    inst_family: str = ""
    uly: str = ""
    state: str = "live"


class TradeFrame(msgspec.Struct, gc=False):
    """A frame of the ``trades`` channel."""

    arg: OkxArg
    data: list[TradeRow]


class TickerFrame(msgspec.Struct, gc=False):
    """A frame of the ``tickers`` channel."""

    arg: OkxArg
    data: list[TickerRow]


class InstrumentFrame(msgspec.Struct, gc=False):
    """A frame of the ``instruments`` channel."""

    arg: OkxArg
    data: list[InstrumentRow]


class Envelope(msgspec.Struct, gc=False):
    """What every frame has: an event for control frames, an arg for data."""

    event: str = ""
    arg: OkxArg | None = None
    code: str = ""
    msg: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OkxTicker:
    """A ticker; sizes and volume in base currency, None where the venue has not said."""

    inst_id: str
    last_price: Decimal | None
    bid_price: Decimal | None
    bid_qty: Decimal | None
    ask_price: Decimal | None
    ask_qty: Decimal | None
    volume_24h_qty: Decimal | None
    ts_exchange_ns: int
    ts_received_ns: int


def _reader(kind: type[T]) -> Callable[[Frame], T]:
    decode = msgspec.json.Decoder(kind).decode

    def read(frame: Frame) -> T:
        if len(frame) > MAX_FRAME_BYTES:
            raise CorruptDataError(f"frame of {len(frame)} is longer than {MAX_FRAME_BYTES}")
        try:
            return decode(frame)
        except REFUSALS as e:
            raise CorruptDataError(f"malformed frame: {str(e)[:_MAX_REASON]}") from e

    return read


read_books = _reader(BookFrame)
"""Decode a frame of a book channel."""
read_trades = _reader(TradeFrame)
"""Decode a frame of the ``trades`` channel."""
read_tickers = _reader(TickerFrame)
"""Decode a frame of the ``tickers`` channel."""
read_instruments = _reader(InstrumentFrame)
"""Decode a frame of the ``instruments`` channel."""
read_envelope = _reader(Envelope)
"""Decode what every frame has."""


def request(operation: str, args: list[OkxArg], *, name: str) -> str:
    """Return the text of a request; ``name`` is echoed in its answers, alphanumeric, <= 32."""
    body: dict[str, Any] = {"id": name, "op": operation, "args": args}
    return msgspec.json.encode(body).decode()


def stamp_ns(text: str) -> int:
    """Return the nanoseconds of a time in milliseconds.

    Raises
    ------
    CorruptDataError
        If ``text`` is not a plain number of milliseconds.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_MS_DIGITS):
        raise CorruptDataError(f"not a time in milliseconds: {text[:40]!r}")
    return int(text) * _NS_PER_MS


def trade_of(row: TradeRow, instrument: OkxInstrument, received_ns: int) -> TradeTick:
    """Return a trade with its quantity in base currency.

    Raises
    ------
    CorruptDataError
        If it is another instrument's, or price or size is not a positive number.
    """
    price, size = _positive(row.px), _positive(row.sz)
    if row.inst_id != instrument.inst_id:
        raise CorruptDataError(f"a trade of {row.inst_id[:40]!r} came for {instrument.inst_id}")
    return TradeTick(
        symbol=row.inst_id,
        side=Side.BUY if row.side == "buy" else Side.SELL,
        price=float(price),
        quantity=float(instrument.base_quantity(size, price)),
        trade_id=row.trade_id,
        ts_exchange_ns=stamp_ns(row.ts),
        ts_received_ns=received_ns,
    )


def ticker_of(row: TickerRow, instrument: OkxInstrument, received_ns: int) -> OkxTicker:
    """Return a ticker with sizes and volume in base currency.

    Raises
    ------
    CorruptDataError
        If it is another instrument's, or something that should be a number is none.
    """
    if row.inst_id != instrument.inst_id:
        raise CorruptDataError(f"a ticker of {row.inst_id[:40]!r} came for {instrument.inst_id}")
    bid, ask = _price(row.bid_px), _price(row.ask_px)
    volume = None
    if row.vol24h and row.vol_ccy24h:
        volume = instrument.base_volume(
            vol24h=_decimal(row.vol24h), vol_ccy24h=_decimal(row.vol_ccy24h)
        )
    return OkxTicker(
        inst_id=row.inst_id,
        last_price=_price(row.last),
        bid_price=bid,
        bid_qty=_base(instrument, row.bid_sz, bid),
        ask_price=ask,
        ask_qty=_base(instrument, row.ask_sz, ask),
        volume_24h_qty=volume,
        ts_exchange_ns=stamp_ns(row.ts),
        ts_received_ns=received_ns,
    )


def instrument_of(row: InstrumentRow) -> OkxInstrument:
    """Return the instrument that ``row`` describes.

    Raises
    ------
    CorruptDataError
        If a field contradicts another or a number is malformed.
    """
    try:
        return _instrument(row)
    except ValidationError as e:
        raise CorruptDataError(f"instrument {row.inst_id[:40]!r}: {e}") from e


def _instrument(row: InstrumentRow) -> OkxInstrument:
    if row.inst_type not in OkxInstType.__members__:
        raise ValidationError(f"kind {row.inst_type[:40]!r} is not read here")
    kind = OkxInstType(row.inst_type)
    family = (row.inst_family or row.uly or row.inst_id).split("-")
    if len(family) < 2:
        raise ValidationError("it does not say its currencies")
    base, quote = row.base_ccy or family[0], row.quote_ccy or family[1]
    contract, value, multiplier = OkxContract.NONE, Decimal(1), Decimal(1)
    if kind is not OkxInstType.SPOT:
        contract = _contract(row, base)
        value = parse_decimal(row.ct_val)
        multiplier = parse_decimal(row.ct_mult) if row.ct_mult else multiplier
    return OkxInstrument(
        inst_id=row.inst_id,
        inst_type=kind,
        base=base,
        quote=quote,
        tick=parse_decimal(row.tick_sz),
        lot=parse_decimal(row.lot_sz),
        min_size=parse_decimal(row.min_sz),
        contract_value=value,
        multiplier=multiplier,
        contract=contract,
        state=row.state,
    )


def _contract(row: InstrumentRow, base: str) -> OkxContract:
    if row.ct_type not in {OkxContract.LINEAR, OkxContract.INVERSE}:
        raise ValidationError(f"contract type {row.ct_type[:40]!r} is unknown")
    contract = OkxContract(row.ct_type)
    is_in_base = row.ct_val_ccy in {"", base}
    if contract is OkxContract.LINEAR and not is_in_base:
        raise ValidationError(f"a linear contract is valued in {row.ct_val_ccy[:20]!r}")
    if contract is OkxContract.INVERSE and row.ct_val_ccy == base:
        raise ValidationError("an inverse contract is valued in its base currency")
    return contract


def _decimal(text: str) -> Decimal:
    try:
        return parse_decimal(text)
    except ValidationError as e:
        raise CorruptDataError(str(e)) from e


def _positive(text: str) -> Decimal:
    number = _decimal(text)
    if number <= 0:
        raise CorruptDataError(f"not a positive number: {text!r}")
    return number


def _price(text: str) -> Decimal | None:
    return _positive(text) if text else None


def _base(instrument: OkxInstrument, size: str, price: Decimal | None) -> Decimal | None:
    return None if price is None or not size else instrument.base_quantity(_decimal(size), price)
