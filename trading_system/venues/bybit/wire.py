"""Bybit's spellings and message shapes, and their mapping to domain values.

Unknown keys are ignored; a missing or mistyped needed key raises ``CorruptDataError``, an optional
one is counted by :class:`~trading_system.venues.bybit.drift.SchemaDrift`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.domain.events import WalletReport
from trading_system.domain.instruments import Instrument, parse_decimal
from trading_system.domain.orders import (
    Fill,
    Funding,
    OrderReport,
    OrderStatus,
    OrderType,
    PositionReport,
    Side,
    TimeInForce,
)
from trading_system.venues.bybit.drift import SchemaDrift

_T = TypeVar("_T")
_NS_PER_MS = 1_000_000

SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
SIDE_TEXT = {side: text for text, side in SIDES.items()}
TYPE_TEXT = {OrderType.MARKET: "Market", OrderType.LIMIT: "Limit"}
TIME_IN_FORCE_TEXT = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.POST_ONLY: "PostOnly",
}
STATUSES = {
    "New": OrderStatus.NEW,
    "Created": OrderStatus.NEW,
    "Untriggered": OrderStatus.UNTRIGGERED,
    "Triggered": OrderStatus.TRIGGERED,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.DEACTIVATED,
    "Rejected": OrderStatus.REJECTED,
}

MAX_BATCH = 10
"""Most orders of one batch request."""

POSITION_TRADES = frozenset({"Trade", "AdlTrade", "BustTrade"})
"""Executions that change a position; deleveraging and liquidation are the venue's own."""

FUNDING = "Funding"
"""Executions that settle funding."""

OTHER_EXECUTIONS = frozenset(
    {
        "Delivery",
        "Settle",
        "BlockTrade",
        "MovePosition",
        "FutureSpread",
        "CorporateAction",
    }
)
"""Documented executions that are no trades of a perpetual."""

# Orders that the venue keeps for a position and that only ever close it.
_POSITION_STOPS = frozenset(
    {"StopLoss", "PartialStopLoss", "TakeProfit", "PartialTakeProfit", "TrailingStop"}
)
_UNTRIGGERED = frozenset({"Untriggered", "Deactivated"})


class Envelope(msgspec.Struct, frozen=True):
    """Outer shape of every REST reply."""

    retCode: int  # noqa: N815 - the venue's spelling
    retMsg: str = ""  # noqa: N815 - the venue's spelling
    result: msgspec.Raw = msgspec.Raw(b"{}")
    retExtInfo: msgspec.Raw = msgspec.Raw(b"{}")  # noqa: N815 - the venue's spelling
    time: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What an accepted request brought back: the payload, and the extra of batch requests."""

    result: msgspec.Raw
    extra: msgspec.Raw = msgspec.Raw(b"{}")


class Page(msgspec.Struct, Generic[_T], frozen=True):
    """One page of a listing; an empty cursor ends it."""

    rows: list[_T] = msgspec.field(name="list")
    cursor: str = msgspec.field(name="nextPageCursor", default="")


class OrderRow(msgspec.Struct, frozen=True):
    """The needed keys of an order row, REST and stream alike, then the optional ones."""

    orderId: str  # noqa: N815 - the venue's spelling
    symbol: str
    side: str
    orderStatus: str  # noqa: N815 - the venue's spelling
    qty: str
    cumExecQty: str  # noqa: N815 - the venue's spelling
    updatedTime: str  # noqa: N815 - the venue's spelling
    orderLinkId: Any = ""  # noqa: N815 - the venue's spelling
    price: Any = None
    avgPrice: Any = ""  # noqa: N815 - the venue's spelling
    rejectReason: Any = None  # noqa: N815 - the venue's spelling
    cancelType: Any = None  # noqa: N815 - the venue's spelling
    stopOrderType: Any = None  # noqa: N815 - the venue's spelling
    triggerPrice: Any = None  # noqa: N815 - the venue's spelling
    positionIdx: Any = None  # noqa: N815 - the venue's spelling
    category: Any = "linear"


class ExecutionRow(msgspec.Struct, frozen=True):
    """The needed keys of an execution row, REST and stream alike, then the optional ones."""

    execId: str  # noqa: N815 - the venue's spelling
    orderId: str  # noqa: N815 - the venue's spelling
    symbol: str
    side: str
    execPrice: str  # noqa: N815 - the venue's spelling
    execQty: str  # noqa: N815 - the venue's spelling
    execFee: str  # noqa: N815 - the venue's spelling
    execTime: str  # noqa: N815 - the venue's spelling
    orderLinkId: Any = ""  # noqa: N815 - the venue's spelling
    isMaker: Any = None  # noqa: N815 - the venue's spelling
    closedSize: Any = ""  # noqa: N815 - the venue's spelling
    execType: Any = "Trade"  # noqa: N815 - the venue's spelling
    category: Any = "linear"


class FastExecutionRow(msgspec.Struct, frozen=True):
    """The needed keys of an ``execution.fast`` row, which tells no fee."""

    execId: str  # noqa: N815 - the venue's spelling
    symbol: str
    execPrice: str  # noqa: N815 - the venue's spelling
    execQty: str  # noqa: N815 - the venue's spelling
    category: Any = "linear"


class PositionRow(msgspec.Struct, frozen=True):
    """The needed keys of a position row, then the optional ones; the entry price has two names."""

    symbol: str
    size: str
    side: Any = ""
    updatedTime: Any = "0"  # noqa: N815 - the venue's spelling
    entryPrice: Any = ""  # noqa: N815 - the venue's spelling (stream)
    avgPrice: Any = ""  # noqa: N815 - the venue's spelling (REST)
    positionIdx: Any = None  # noqa: N815 - the venue's spelling
    stopLoss: Any = None  # noqa: N815 - the venue's spelling
    markPrice: Any = None  # noqa: N815 - the venue's spelling
    category: Any = "linear"


class WalletRow(msgspec.Struct, frozen=True):
    """The totals of an account row; some are empty in some margin modes."""

    totalEquity: Any = None  # noqa: N815 - the venue's spelling
    totalWalletBalance: Any = None  # noqa: N815 - the venue's spelling
    totalAvailableBalance: Any = None  # noqa: N815 - the venue's spelling


class PrivateFrame(msgspec.Struct, frozen=True):
    """Any frame of the private stream: a push has a topic, a control reply an ``op``."""

    topic: str = ""
    op: str = ""
    success: bool = True
    ret_msg: str = ""
    creationTime: int = 0  # noqa: N815 - the venue's spelling
    data: msgspec.Raw = msgspec.Raw(b"null")


def decode(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[_T], *, what: str) -> _T:
    """Return ``raw`` decoded, or raise ``CorruptDataError`` naming ``what``."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as e:
        raise CorruptDataError(f"{what}: {e}") from e


def decimal_or_none(text: str, what: str) -> Decimal | None:
    """Return the decimal of ``text``, None for the venue's empty text.

    Raises
    ------
    CorruptDataError
        If the text is something else; it names ``what``.
    """
    return needed(text, what) if text else None


def positive_or_none(text: str, what: str) -> Decimal | None:
    """Return the decimal of ``text``; None where it is unset: empty, ``0`` or ``0.00``."""
    return decimal_or_none(text, what) or None


def needed(text: str, what: str) -> Decimal:
    """Return the decimal of ``text``, or raise ``CorruptDataError`` naming ``what``."""
    try:
        return parse_decimal(text)
    except ValidationError as e:
        raise CorruptDataError(f"{what}: {e}") from e


def side(text: str, what: str) -> Side:
    """Return the side that ``text`` spells, or raise ``CorruptDataError`` naming ``what``."""
    found = SIDES.get(text)
    if found is None:
        raise CorruptDataError(f"{what}: unknown side {text!r}")
    return found


def milliseconds(text: str, what: str) -> int:
    """Return the epoch milliseconds of ``text``, or raise ``CorruptDataError``."""
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise CorruptDataError(f"{what}: not a millisecond stamp: {text[:40]!r}")
    return int(text)


def is_counted(row: OrderRow | ExecutionRow | FastExecutionRow | PositionRow) -> bool:
    """Return whether the row is of the contracts that positions are asked for: linear, in USDT.

    Contracts settled in USDC are linear too; their names end otherwise (``BTCPERP``). A row without
    a category counts as linear.
    """
    is_linear = row.category is None or row.category == "linear"
    return is_linear and row.symbol.partition("-")[0].endswith("USDT")


def execution_type(row: ExecutionRow, drift: SchemaDrift) -> str:
    """Return what kind of execution the row is; a trade where that is not told."""
    return drift.text(row.execType, "execution.execType") or "Trade"


def order_report(row: OrderRow, drift: SchemaDrift) -> OrderReport:
    """Map an order row; one with an unknown status counts as open, so that it is dealt with."""
    what = f"order {row.orderId}"
    status = STATUSES.get(row.orderStatus)
    if status is None:
        drift.note(f"order.orderStatus: {row.orderStatus}")
        status = OrderStatus.NEW
    reason = drift.text(row.rejectReason, "order.rejectReason")
    return OrderReport(
        order_id=row.orderId,
        link_id=drift.text(row.orderLinkId, "order.orderLinkId"),
        symbol=row.symbol,
        side=side(row.side, what),
        status=status,
        quantity=needed(row.qty, what),
        filled_quantity=needed(row.cumExecQty, what),
        average_price=drift.decimal(row.avgPrice, "order.avgPrice") or None,
        price=drift.decimal(row.price, "order.price") or None,
        reason="" if reason == "EC_NoError" else reason,
        ts_exchange_ns=milliseconds(row.updatedTime, what) * _NS_PER_MS,
        is_protective=is_protective(row, drift),
        trigger_price=drift.decimal(row.triggerPrice, "order.triggerPrice") or None,
        position_idx=drift.position_index(row.positionIdx, "order.positionIdx"),
    )


def is_protective(row: OrderRow, drift: SchemaDrift) -> bool:
    """Return whether the row is a stop of a position that rests, or ended, untriggered.

    Once triggered it is an order like any other, which closes the position.
    """
    if drift.text(row.stopOrderType, "order.stopOrderType") not in _POSITION_STOPS:
        return False
    cancel_type = drift.text(row.cancelType, "order.cancelType")
    return row.orderStatus in _UNTRIGGERED or cancel_type == "CancelByTpSlTsClear"


def fill(row: ExecutionRow, drift: SchemaDrift) -> Fill:
    """Map an execution row that changes a position."""
    what = f"execution {row.execId}"
    closed = drift.decimal(row.closedSize, "execution.closedSize")
    return Fill(
        exec_id=row.execId,
        order_id=row.orderId,
        link_id=drift.text(row.orderLinkId, "execution.orderLinkId"),
        symbol=row.symbol,
        side=side(row.side, what),
        price=needed(row.execPrice, what),
        quantity=needed(row.execQty, what),
        fee=needed(row.execFee, what),
        is_maker=drift.flag(row.isMaker, "execution.isMaker"),
        ts_exchange_ns=milliseconds(row.execTime, what) * _NS_PER_MS,
        is_closing=None if closed is None else closed > 0,
    )


def funding(row: ExecutionRow) -> Funding:
    """Map an execution row of a funding settlement: its fee is above zero where it was paid."""
    paid = needed(row.execFee, f"funding {row.execId}")
    return Funding(symbol=row.symbol, amount=-paid, exec_id=row.execId)


def position_report(row: PositionRow, drift: SchemaDrift) -> PositionReport:
    """Map a position row; the sign comes from its side."""
    what = f"position {row.symbol}"
    size = needed(row.size, what)
    held_side = drift.text(row.side, "position.side")
    if size and held_side not in SIDES:
        raise CorruptDataError(f"{what}: size {size} with side {row.side!r}")
    updated = drift.text(row.updatedTime, "position.updatedTime")
    entry = drift.decimal(row.entryPrice or row.avgPrice, "position.entryPrice")
    return PositionReport(
        symbol=row.symbol,
        quantity=size * SIDES[held_side].sign if size else Decimal(0),
        entry_price=entry if size else None,
        ts_exchange_ns=milliseconds(updated or "0", what) * _NS_PER_MS,
        stop_price=(drift.decimal(row.stopLoss, "position.stopLoss") or None) if size else None,
        position_idx=drift.position_index(row.positionIdx, "position.positionIdx"),
        mark_price=(drift.decimal(row.markPrice, "position.markPrice") or None) if size else None,
    )


def wallet_report(row: WalletRow, drift: SchemaDrift, *, ts_exchange_ns: int) -> WalletReport:
    """Map an account row; a balance that is not told counts as nothing available.

    Raises
    ------
    CorruptDataError
        If the equity is not told, from which everything else could not be guessed.
    """
    equity = drift.decimal(row.totalEquity, "wallet.totalEquity")
    if equity is None:
        raise CorruptDataError("wallet: no total equity")
    balance = drift.decimal(row.totalWalletBalance, "wallet.totalWalletBalance")
    available = drift.decimal(row.totalAvailableBalance, "wallet.totalAvailableBalance")
    return WalletReport(
        equity=equity,
        wallet_balance=equity if balance is None else balance,
        available_balance=Decimal(0) if available is None else available,
        ts_exchange_ns=ts_exchange_ns,
    )


def instrument(row: dict[str, Any]) -> Instrument:
    """Map a linear instruments-info row."""
    try:
        lots, prices = row["lotSizeFilter"], row["priceFilter"]
        return Instrument(
            symbol=row["symbol"],
            base_coin=row["baseCoin"],
            quote_coin=row["quoteCoin"],
            tick_size=parse_decimal(prices["tickSize"]),
            qty_step=parse_decimal(lots["qtyStep"]),
            min_price=parse_decimal(prices["minPrice"]),
            max_price=parse_decimal(prices["maxPrice"]),
            min_qty=parse_decimal(lots["minOrderQty"]),
            max_qty=parse_decimal(lots["maxOrderQty"]),
            max_market_qty=parse_decimal(lots["maxMktOrderQty"]),
            min_notional=parse_decimal(lots["minNotionalValue"]),
            max_leverage=parse_decimal(row["leverageFilter"]["maxLeverage"]),
            funding_interval_minutes=int(row["fundingInterval"]),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise CorruptDataError(f"instrument row: {e!r}") from e
