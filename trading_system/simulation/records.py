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
from trading_system.simulation.conditions import (
    BookPrice,
    Guard,
    GuardRequest,
    Slippage,
    StopKind,
    StopScope,
    Trigger,
    TriggerRequest,
)

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
    """Bybit ``orderStatus``; a partly filled spot order ends ``PartiallyFilledCanceled``."""

    NEW = "New"
    PARTIALLY_FILLED = "PartiallyFilled"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    REJECTED = "Rejected"
    PARTIALLY_FILLED_CANCELED = "PartiallyFilledCanceled"
    UNTRIGGERED = "Untriggered"
    TRIGGERED = "Triggered"
    DEACTIVATED = "Deactivated"

    @property
    def is_final(self) -> bool:
        """Whether the order has left the book for good."""
        return self in {
            OrderState.FILLED,
            OrderState.CANCELLED,
            OrderState.REJECTED,
            OrderState.PARTIALLY_FILLED_CANCELED,
            OrderState.DEACTIVATED,
        }

    @property
    def is_conditional(self) -> bool:
        """Whether the order waits for its trigger, outside the book."""
        return self in {OrderState.UNTRIGGERED, OrderState.TRIGGERED}


class PositionMode(Enum):
    """Bybit ``mode`` of a contract: one position, or a long and a short side of their own."""

    ONE_WAY = 0
    HEDGE = 3


class DcpProduct(Enum):
    """Bybit ``product`` of disconnect protection; options can be named, but are not traded here."""

    OPTIONS = "OPTIONS"
    DERIVATIVES = "DERIVATIVES"
    SPOT = "SPOT"


CREATED_BY_USER = "CreateByUser"
CREATED_BY_LIQUIDATION = "CreateByLiq"
CREATED_BY_TAKEOVER = "CreateByTakeOver_PassThrough"
BUST_TRADE = "BustTrade"


class SelfMatch(Enum):
    """Bybit ``smpType`` of an incoming order."""

    NONE = "None"
    CANCEL_MAKER = "CancelMaker"
    CANCEL_TAKER = "CancelTaker"
    CANCEL_BOTH = "CancelBoth"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A validated-by-type order request; the exchange checks it against its rules.

    ``quantity`` 0 with ``reduce_only`` and ``close_on_trigger`` means: close the position.
    ``trigger`` makes the order conditional. A spot market order is sized in quote currency if
    ``in_quote`` (None: the venue's habit, quote for buying and base for selling).
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
    trigger: TriggerRequest | None = None
    take_profit: GuardRequest | None = None
    stop_loss: GuardRequest | None = None
    scope: StopScope = StopScope.FULL
    slippage: Slippage | None = None
    book_price: BookPrice | None = None
    in_quote: bool | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class OrderRecord:
    """One order of a real account, from acceptance to its final state; owned by the exchange.

    ``quote_amount`` is what a spot market order was sized with, if not in base currency.
    """

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
    position_idx: int = 0
    created_by: str = CREATED_BY_USER
    take_profit: Guard | None = None
    stop_loss: Guard | None = None
    scope: StopScope = StopScope.FULL
    slippage: Slippage | None = None
    quote_amount: Decimal | None = None


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
    position_idx: int = 0
    created_by: str = CREATED_BY_USER

    @property
    def is_public(self) -> bool:
        """Whether it is one side of a public trade; no funding, no takeover by the venue."""
        is_trade = self.exec_type in {"Trade", BUST_TRADE}
        return is_trade and self.created_by != CREATED_BY_TAKEOVER


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationRecord:
    """One liquidated position, as the ``allLiquidation`` topic publishes it.

    ``side`` is that of the position, ``price_ticks`` its bankruptcy price, ``number`` counts up
    from 1.
    """

    number: int
    symbol: str
    side: Side
    lots: int
    price_ticks: int
    time_ms: int


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
    exec_type: str = "Trade"


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
    coin: str = "USDT"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinView:
    """What an account holds of a base coin; ``locked`` backs sell orders, ``price`` values it."""

    coin: str
    balance: Decimal
    locked: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """Snapshot of one account's position in one symbol; ``lots`` is signed, long positive.

    ``position_idx`` is 0 one-way, 1 the long and 2 the short side of a hedged contract.
    """

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
    position_idx: int = 0
    liquidation_price: Decimal | None = None
    bankruptcy_price: Decimal | None = None
    is_liquidating: bool = False
    trailing_stop: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletView:
    """Snapshot of one account's wallet in the settlement coin (USDT).

    ``funding`` is the sum received (negative when paid), ``traded`` what spot sales brought less
    what spot purchases cost; ``wallet_balance`` equals
    ``start_balance + realised - fees + funding + traded + insurance`` exactly, where ``insurance``
    is what the insurance fund paid after liquidations. ``locked`` backs spot buy
    orders and is no margin. Coins are not collateral: they back nothing but their own sale.
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
    traded: Decimal = Decimal(0)
    insurance: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)
    coins: tuple[CoinView, ...] = ()


@dataclass(slots=True, kw_only=True)
class AccountSpec:
    """How an account starts: its UID, API credentials and balance.

    ``rsa_public_key`` (PEM) replaces ``api_secret``: the client then signs with RSA. ``parent_uid``
    is 0 for a main account. ``allowed_ips`` empty allows every address. The key expires at
    ``expires_ms``, UTC.
    """

    account_id: int
    uid: int
    api_key: str
    api_secret: str
    balance: Decimal = Decimal(100_000)
    vip_level: int = 0
    leverage: Decimal = Decimal(10)
    read_only: bool = False
    labels: tuple[str, ...] = field(default=())
    institutional: bool = False
    rsa_public_key: str = ""
    parent_uid: int = 0
    can_withdraw: bool = False
    allowed_ips: tuple[str, ...] = ()
    expires_ms: int | None = None


class ExchangeListener(Protocol):
    """Receives what happened, synchronously, in the order it happened."""

    def on_order(self, order: OrderRecord) -> None:
        """Note that ``order`` changed state; read it now, it is mutable."""
        ...

    def on_executions(self, executions: list[ExecutionRecord]) -> None:
        """Note fills of one account in one matching step, oldest first."""
        ...

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None:
        """Note that a position was touched; ask the exchange for its view."""
        ...

    def on_wallet(self, account_id: int) -> None:
        """Note that a wallet was touched; ask the exchange for its view."""
        ...

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        """Note public trades of one matching step, oldest first."""
        ...
