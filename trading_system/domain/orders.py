"""Orders as the system thinks of them; venue spellings live in the wire modules."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from trading_system.domain.errors import TradingSystemError, ValidationError


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


class PriceSource(Enum):
    """Which price a trigger watches."""

    LAST = "last"
    MARK = "mark"
    INDEX = "index"


class TriggerDirection(Enum):
    """Which way the watched price has to move to reach a trigger."""

    RISE = 1
    FALL = 2


class OrderStatus(Enum):
    """Life of an order as the venue confirms it.

    ``UNTRIGGERED`` waits outside the book for its trigger price, ``TRIGGERED`` is on its way into
    the book, ``DEACTIVATED`` was cancelled before it was triggered.
    """

    UNTRIGGERED = "untriggered"
    TRIGGERED = "triggered"
    DEACTIVATED = "deactivated"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Whether no further fill or change can follow."""
        return self in _FINAL


_FINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.REJECTED,
        OrderStatus.DEACTIVATED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What a conditional order waits for.

    Parameters
    ----------
    price : Decimal
        Quote currency, positive.
    direction : TriggerDirection
        From which side the price is reached.
    by : PriceSource
        The price that is watched.
    """

    price: Decimal
    direction: TriggerDirection
    by: PriceSource = PriceSource.LAST

    def __post_init__(self) -> None:
        """Refuse a price that is not finite and positive."""
        _require_positive(self.price, "a trigger price")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedExit:
    """A take profit or stop loss that the venue sets for the position once the order fills.

    Parameters
    ----------
    price : Decimal
        Where it triggers, quote currency, positive.
    by : PriceSource
        The price that is watched.
    limit_price : Decimal or None
        Price of the closing order, quote currency; None closes at market.
    """

    price: Decimal
    by: PriceSource = PriceSource.MARK
    limit_price: Decimal | None = None

    def __post_init__(self) -> None:
        """Refuse prices that are not finite and positive."""
        _require_positive(self.price, "a take profit or stop loss")
        if self.limit_price is not None:
            _require_positive(self.limit_price, "the limit price of a take profit or stop loss")


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
    trigger : Trigger or None
        Makes the order conditional: it waits at the venue, outside the book.
    take_profit, stop_loss : AttachedExit or None
        Exits of the position that the venue sets when the order fills. Neither a conditional nor
        a reduce-only order can have them.

    Raises
    ------
    ValidationError
        If exits do not fit the order: they must lie on both sides of a limit order's price.
    """

    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    link_id: str
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    trigger: Trigger | None = None
    take_profit: AttachedExit | None = None
    stop_loss: AttachedExit | None = None

    def __post_init__(self) -> None:
        """Refuse exits that do not fit the order."""
        if self.take_profit is None and self.stop_loss is None:
            return
        if self.reduce_only or self.trigger is not None:
            kind = "a reduce-only order" if self.reduce_only else "a conditional order"
            raise ValidationError(f"{kind} can have no take profit or stop loss")
        _require_outside(self.side, self.take_profit, self.stop_loss, price=self.price)

    @property
    def has_exits(self) -> bool:
        """Whether the venue sets a take profit or stop loss when the order fills."""
        return self.take_profit is not None or self.stop_loss is not None


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
    is_closing : bool or None
        Whether it shrank a position, where the venue said so; hedge mode tells the sides by it.
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
    is_closing: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """One funding settlement; a positive amount was received, quote currency."""

    symbol: str
    amount: Decimal
    exec_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """State of an own order as the venue reports it.

    ``is_protective`` marks a stop that rests untriggered for a position. ``trigger_price`` is where
    a conditional order waits, quote currency. ``position_idx`` is 0 in one-way mode; in hedge mode
    1 is the long side and 2 the short side.
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
    trigger_price: Decimal | None = None
    position_idx: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReport:
    """A position as the venue reports it; ``quantity`` is signed, positive when long.

    ``stop_price`` is the stop loss that rests at the venue for the whole position.
    ``position_idx`` is 0 in one-way mode; in hedge mode 1 is the long side and 2 the short side.
    ``mark_price`` values it; None where the venue does not tell it.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal | None
    ts_exchange_ns: int
    stop_price: Decimal | None = None
    position_idx: int = 0
    mark_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAck:
    """The venue accepted a request; the order's fate arrives on the private stream."""

    order_id: str
    link_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """A new price for an own resting order; its quantity and its place in time stay the venue's.

    ``trigger_price`` moves the trigger of a conditional order as well; None leaves it.
    """

    symbol: str
    link_id: str
    price: Decimal
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingStop:
    """A stop for a whole position that follows the best price at a distance.

    Parameters
    ----------
    distance : Decimal
        From the best price since it became active, quote currency, positive.
    active_price : Decimal or None
        Price from which on it follows, quote currency; None follows at once.
    """

    distance: Decimal
    active_price: Decimal | None = None

    def __post_init__(self) -> None:
        """Refuse values that are not finite and positive."""
        _require_positive(self.distance, "the distance of a trailing stop")
        if self.active_price is not None:
            _require_positive(self.active_price, "the active price of a trailing stop")


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


def position_index(side: Side, *, reduce_only: bool, is_hedged: bool) -> int:
    """Return which position an order works on: 0 in one-way mode, else 1 (long) or 2 (short).

    In hedge mode a buy opens or enlarges the long side and, reduce-only, shrinks the short one.
    """
    if not is_hedged:
        return 0
    return LONG_INDEX if (side is Side.BUY) != reduce_only else SHORT_INDEX


LONG_INDEX, SHORT_INDEX = 1, 2
"""Position indices of hedge mode; one-way mode has 0."""


def _require_positive(value: Decimal, what: str) -> None:
    if not (value.is_finite() and value > 0):
        raise ValidationError(f"{what} must be finite and positive, was {value}")


def _require_outside(
    side: Side,
    take_profit: AttachedExit | None,
    stop_loss: AttachedExit | None,
    *,
    price: Decimal | None,
) -> None:
    """Refuse exits that would trigger at the order's own price, or at each other's."""
    gains = take_profit.price if take_profit is not None else None
    loses = stop_loss.price if stop_loss is not None else None
    above, below = ("above", "below") if side is Side.BUY else ("below", "above")
    if gains is not None and loses is not None and (gains - loses) * side.sign <= 0:
        raise ValidationError(f"take profit {gains} must be {above} stop loss {loses}")
    if price is None:
        return
    if gains is not None and (gains - price) * side.sign <= 0:
        raise ValidationError(f"take profit {gains} must be {above} the price {price}")
    if loses is not None and (loses - price) * side.sign >= 0:
        raise ValidationError(f"stop loss {loses} must be {below} the price {price}")
