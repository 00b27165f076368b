"""What the exchange core, its markets and its protocol servers tell each other.

Integers are ticks and lots of the symbol's instrument; money is Decimal in the quote currency;
times are UTC milliseconds of the venue's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Protocol

from trading_system.domain.orders import OrderType, Side, TimeInForce

HOUSE = 0
"""Account id of the market's own participants: no margin, no fees, no private events."""


class VenueReject(Exception):
    """A request breaks a rule of the venue; nothing changed.

    Parameters
    ----------
    code : int
        Bybit V5 return code.
    message : str
        Text for ``retMsg``.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class OrderState(Enum):
    """Bybit ``orderStatus`` of a linear order."""

    NEW = "New"
    PARTIALLY_FILLED = "PartiallyFilled"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    UNTRIGGERED = "Untriggered"
    TRIGGERED = "Triggered"
    DEACTIVATED = "Deactivated"

    @property
    def is_final(self) -> bool:
        """Whether the order has left the book for good."""
        return self in {OrderState.FILLED, OrderState.CANCELLED, OrderState.DEACTIVATED}

    @property
    def is_conditional(self) -> bool:
        """Whether the order waits for its trigger, outside the book."""
        return self in {OrderState.UNTRIGGERED, OrderState.TRIGGERED}


class SelfMatch(Enum):
    """Bybit ``smpType`` of an incoming order."""

    NONE = "None"
    CANCEL_MAKER = "CancelMaker"
    CANCEL_TAKER = "CancelTaker"
    CANCEL_BOTH = "CancelBoth"


class StopKind(Enum):
    """Bybit ``stopOrderType`` of an order that guards a whole position."""

    STOP_LOSS = "StopLoss"
    TAKE_PROFIT = "TakeProfit"


class TriggerBy(Enum):
    """The price that a trigger watches, as Bybit spells it."""

    LAST = "LastPrice"
    MARK = "MarkPrice"
    INDEX = "IndexPrice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """When a position's stop becomes a market order.

    It fires when the watched price is at or above ``price_ticks`` if ``on_rise``, else at or
    below.
    """

    kind: StopKind
    price_ticks: int
    by: TriggerBy
    on_rise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StopChange:
    """A wish for one stop of a position; ``price`` 0 removes it (quote currency)."""

    kind: StopKind
    price: Decimal
    by: TriggerBy = TriggerBy.LAST


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A validated-by-type order request; the exchange checks it against its rules.

    ``quantity`` 0 with ``reduce_only`` and ``close_on_trigger`` means: close the position.
    """

    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    link_id: str = ""
    position_idx: int = 0
    reduce_only: bool = False
    close_on_trigger: bool = False
    self_match: SelfMatch = SelfMatch.NONE


@dataclass(slots=True, kw_only=True, eq=False)
class OrderRecord:
    """One order of a real account, from acceptance to its final state; owned by the exchange."""

    order_id: str
    link_id: str
    account_id: int
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    lots: int
    leaves_lots: int
    created_ms: int
    updated_ms: int
    reduce_only: bool = False
    close_on_trigger: bool = False
    self_match: SelfMatch = SelfMatch.NONE
    state: OrderState = OrderState.NEW
    cum_lots: int = 0
    cum_value: Decimal = Decimal(0)
    cum_fee: Decimal = Decimal(0)
    closed_pnl: Decimal = Decimal(0)
    cancel_type: str = "UNKNOWN"
    reject_reason: str = "EC_NoError"
    smp_order_id: str = ""
    last_price_on_created: Decimal | None = None
    trigger: Trigger | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """One fill, or one funding settlement (``exec_type`` ``Funding``), of a real account.

    ``fee`` is positive when paid; ``realised`` is the closed profit before fees.
    """

    exec_id: str
    order_id: str
    link_id: str
    account_id: int
    symbol: str
    side: Side
    order_type: OrderType
    order_price_ticks: int
    order_lots: int
    leaves_lots: int
    price: Decimal
    lots: int
    value: Decimal
    fee: Decimal
    fee_rate: Decimal
    realised: Decimal
    closed_lots: int
    is_maker: bool
    mark_price: Decimal
    exec_type: str
    time_ms: int
    sequence: int
    stop_kind: StopKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrade:
    """One public trade; ``taker_side`` is the aggressor's side."""

    trade_id: str
    symbol: str
    price_ticks: int
    lots: int
    taker_side: Side
    time_ms: int
    sequence: int
    tick_direction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedPnlRecord:
    """One reduction of a position by one order, as ``position/closed-pnl`` lists it."""

    account_id: int
    symbol: str
    order_id: str
    side: Side
    order_type: OrderType
    order_lots: int
    order_price_ticks: int
    closed_lots: int
    entry_value: Decimal
    exit_value: Decimal
    open_fee: Decimal
    close_fee: Decimal
    closed_pnl: Decimal
    fill_count: int
    leverage: Decimal
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One change of a wallet, as ``account/transaction-log`` lists it."""

    entry_id: str
    account_id: int
    symbol: str
    entry_type: str
    side: Side | None
    lots: int
    position_lots_after: int
    price: Decimal
    funding: Decimal
    fee: Decimal
    cash_flow: Decimal
    change: Decimal
    balance_after: Decimal
    fee_rate: Decimal
    order_id: str
    link_id: str
    trade_id: str
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """Snapshot of one account's position in one symbol; ``lots`` is signed, long positive."""

    account_id: int
    symbol: str
    lots: int
    entry_price: Decimal
    position_value: Decimal
    mark_price: Decimal
    leverage: Decimal
    unrealised: Decimal
    session_realised: Decimal
    cumulative_realised: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    break_even_price: Decimal | None
    created_ms: int
    updated_ms: int
    opened_ms: int
    sequence: int
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletView:
    """Snapshot of one account's wallet in the settlement coin (USDT).

    ``funding`` is the sum received (negative when paid); ``wallet_balance`` equals
    ``start_balance + realised - fees + funding`` exactly.
    """

    account_id: int
    coin: str
    start_balance: Decimal
    wallet_balance: Decimal
    realised: Decimal
    fees: Decimal
    funding: Decimal
    unrealised: Decimal
    equity: Decimal
    order_margin: Decimal
    position_margin: Decimal
    maintenance_margin: Decimal
    available: Decimal


@dataclass(slots=True, kw_only=True)
class AccountSpec:
    """How an account starts: its UID, API credentials and balance."""

    account_id: int
    uid: int
    api_key: str
    api_secret: str
    balance: Decimal = Decimal(100_000)
    vip_level: int = 0
    leverage: Decimal = Decimal(10)
    read_only: bool = False
    labels: tuple[str, ...] = field(default=())


class ExchangeListener(Protocol):
    """Receives what happened, synchronously, in the order it happened."""

    def on_order(self, order: OrderRecord) -> None:
        """Note that ``order`` changed state; read it now, it is mutable."""
        ...

    def on_executions(self, executions: list[ExecutionRecord]) -> None:
        """Note fills of one account in one matching step, oldest first."""
        ...

    def on_position(self, account_id: int, symbol: str) -> None:
        """Note that a position was touched; ask the exchange for its view."""
        ...

    def on_wallet(self, account_id: int) -> None:
        """Note that a wallet was touched; ask the exchange for its view."""
        ...

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        """Note public trades of one matching step, oldest first."""
        ...
