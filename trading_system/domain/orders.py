"""Orders as the system thinks of them; venue spellings live in the wire modules."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from trading_system.domain.errors import TradingSystemError


class Side(Enum):
    """Direction of an order or a trade's aggressor."""

    BUY = 1
    SELL = -1

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return self.value

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(Enum):
    """How an order's price is made."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(Enum):
    """How long an order may rest."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"


class OrderStatus(Enum):
    """Life of an order as the venue confirms it."""

    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Whether no further fill or change can follow."""
        return self in {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """An order the system wants to send.

    Parameters
    ----------
    symbol : str
        Venue symbol.
    side : Side
        Direction.
    order_type : OrderType
        Market or limit.
    quantity : Decimal
        Base currency, positive, on the instrument's step.
    price : Decimal or None
        Quote currency; required for a limit order, None for a market order.
    time_in_force : TimeInForce
        Market orders are always immediate-or-cancel.
    reduce_only : bool
        Whether the order may only shrink the position.
    link_id : str
        The client's own id, unique per run, at most 36 characters of ``[A-Za-z0-9_-]``.
    """

    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    link_id: str
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution of an own order.

    Parameters
    ----------
    exec_id : str
        Venue id of the execution, the key for de-duplication.
    price, quantity, fee : Decimal
        Quote currency, base currency, quote currency; a positive fee is a cost.
    is_maker : bool
        Whether the own order was resting.
    ts_exchange_ns : int
        Time of the execution at the venue, UTC nanoseconds.
    """

    exec_id: str
    order_id: str
    link_id: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    is_maker: bool
    ts_exchange_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """State of an own order as the venue reports it.

    ``is_protective`` marks a stop loss that rests untriggered for a whole position.
    """

    order_id: str
    link_id: str
    symbol: str
    side: Side
    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    average_price: Decimal | None
    price: Decimal | None
    reason: str
    ts_exchange_ns: int
    is_protective: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReport:
    """A position as the venue reports it; ``quantity`` is signed, positive when long.

    ``stop_price`` is the stop loss that rests at the venue for the whole position.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal | None
    ts_exchange_ns: int
    stop_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAck:
    """The venue accepted a request; the order's fate arrives on the private stream."""

    order_id: str
    link_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """A new price for an own resting order; its quantity and its place in time stay the venue's."""

    symbol: str
    link_id: str
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOutcome:
    """What became of one order of a batch; ``error`` is None if the venue accepted it.

    ``OrderDenied`` means that the risk gate refused it and nothing was sent; of a ``VenueError``
    see ``outcome``.
    """

    link_id: str
    order_id: str = ""
    error: TradingSystemError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingOrder:
    """An own order that is, or may be, in the venue's book, or has fills that are not booked yet.

    Parameters
    ----------
    price : Decimal
        Where it rests, quote currency; while another price is asked for it may rest at either,
        and this is the one nearest to the other side of the book.
    open_quantity : Decimal
        What may still fill, or has filled and is not in the position yet, base currency.
    is_settled_in : bool
        Whether the venue has confirmed it and no request about it is under way: only then may it
        be amended or counted on.
    """

    link_id: str
    symbol: str
    side: Side
    price: Decimal
    open_quantity: Decimal
    is_settled_in: bool
