"""Parent orders: a quantity to trade inside limits, worked by child orders, judged afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side, TimeInForce

_BPS = 10_000.0


class ExecutionStyle(Enum):
    """How a parent is worked.

    ``MARKET`` crosses the spread at once with a collared immediate-or-cancel order, and tries again
    with what did not fill; with fill-or-kill there is one try for the whole quantity. ``PASSIVE``
    rests post-only at the best own price first and crosses with what is left. ``LIMIT`` rests at a
    limit price until the time limit and is cancelled then. ``TWAP`` crosses in chunks that are
    spread evenly over most of the time limit.
    """

    MARKET = "market"
    PASSIVE = "passive"
    LIMIT = "limit"
    TWAP = "twap"


_LEGAL_TIMES = {
    ExecutionStyle.MARKET: (TimeInForce.IOC, TimeInForce.FOK),
    ExecutionStyle.PASSIVE: (TimeInForce.POST_ONLY,),
    ExecutionStyle.LIMIT: (TimeInForce.GTC, TimeInForce.POST_ONLY),
    ExecutionStyle.TWAP: (TimeInForce.IOC,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentOrder:
    """What to trade and inside which limits.

    Parameters
    ----------
    quantity : Decimal
        Base currency, positive, on the instrument's step.
    max_slippage_bps : float
        Largest cost against the arrival mid, basis points, fees not counted.
    time_limit_s : float
        Largest duration, seconds.
    passive_s : float
        How long a ``PASSIVE`` parent rests before it crosses, seconds.
    purpose : str
        ``entry`` or ``exit`` and why, for the report.
    time_in_force : TimeInForce or None
        None takes the first of the style: ``MARKET`` IOC or FOK, ``PASSIVE`` POST_ONLY, ``LIMIT``
        GTC or POST_ONLY, ``TWAP`` IOC.
    limit_price : Decimal or None
        Where a ``LIMIT`` parent rests, quote currency, on the tick grid; None is the best own
        price at arrival. Other styles have none.
    chunk_quantity : Decimal or None
        Largest ``TWAP`` child, base currency; None sizes every child by the visible depth.
    impact_budget_bps : float or None
        How far a ``TWAP`` child may walk the book on average beyond the best price, basis points;
        None is half of ``max_slippage_bps``.
    jitter : float
        Random shift of ``TWAP`` children, share of the spacing, in [0, 0.5].
    seed : int
        Seed of that shift.

    Raises
    ------
    ValidationError
        If a value is out of range or does not go with the style.
    """

    symbol: str
    side: Side
    quantity: Decimal
    style: ExecutionStyle
    reduce_only: bool
    max_slippage_bps: float
    time_limit_s: float
    purpose: str
    passive_s: float = 2.0
    time_in_force: TimeInForce | None = None
    limit_price: Decimal | None = None
    chunk_quantity: Decimal | None = None
    impact_budget_bps: float | None = None
    jitter: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("quantity", "limit_price", "chunk_quantity", "time_limit_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValidationError(f"{name} must be finite and positive, was {value}")
        for name in ("max_slippage_bps", "passive_s", "impact_budget_bps"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValidationError(f"{name} must be finite and not negative, was {value}")
        if not 0 <= self.jitter <= 0.5:
            raise ValidationError(f"jitter must be in [0, 0.5], was {self.jitter}")
        if self.time_in_force not in {None, *_LEGAL_TIMES[self.style]}:
            raise ValidationError(f"{self.style.name} cannot be {self.time_in_force}")
        if self.limit_price is not None and self.style is not ExecutionStyle.LIMIT:
            raise ValidationError(f"{self.style.name} has no limit price")

    @property
    def effective_time_in_force(self) -> TimeInForce:
        """The time in force of the first child, the style's own where none was given."""
        return self.time_in_force or _LEGAL_TIMES[self.style][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResult:
    """What became of one child order; every figure is final.

    Parameters
    ----------
    quantity, filled_quantity : Decimal
        Ordered and filled, base currency.
    price : Decimal or None
        Limit price, None for a market order.
    filled_value, fees : Decimal
        Quote currency; a positive fee is a cost.
    status : str
        ``filled``, ``cancelled`` or ``rejected``.
    sent_after_ms, duration_ms : float
        From the parent's arrival to the sending, and from there to the known outcome.
    waited_ms : float
        The part of the duration in which the order rested on purpose.
    slippage_bps : float or None
        Signed cost against the parent's arrival mid, positive = cost; None without a fill.
    """

    link_id: str
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    filled_quantity: Decimal
    filled_value: Decimal
    fees: Decimal
    status: str
    reason: str
    sent_after_ms: float
    duration_ms: float
    waited_ms: float
    slippage_bps: float | None


@dataclass(slots=True, kw_only=True)
class ParentResult:
    """What became of a parent.

    Parameters
    ----------
    duration_ms : float
        From the arrival to the last known outcome.
    waited_ms : float
        The part of the duration that was waited on purpose: resting orders and pauses.
    children : list of str
        Link ids of the children that may have reached the venue.
    child_results : list of ChildResult
        One for each of them, in the order of sending.
    slippage_bps : float or None
        Signed cost of the average price against the arrival mid, positive = cost; None without
        a fill.
    fees_bps : float or None
        Fees over traded value, basis points; None without a fill.
    is_success : bool
        Whether the whole quantity was traded inside cost and time limits.
    """

    parent: ParentOrder
    arrival_mid: Decimal
    filled_quantity: Decimal = Decimal(0)
    filled_value: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    duration_ms: float = 0.0
    waited_ms: float = 0.0
    children: list[str] = field(default_factory=list)
    child_results: list[ChildResult] = field(default_factory=list)
    reason: str = ""

    @property
    def remaining_quantity(self) -> Decimal:
        """What has not been filled, base currency."""
        return self.parent.quantity - self.filled_quantity

    @property
    def fill_rate(self) -> float:
        """Filled over ordered quantity, in [0, 1]."""
        return float(self.filled_quantity / self.parent.quantity)

    @property
    def average_price(self) -> Decimal | None:
        """Volume-weighted fill price, None without a fill."""
        return self.filled_value / self.filled_quantity if self.filled_quantity else None

    @property
    def slippage_bps(self) -> float | None:
        """Signed cost against the arrival mid, basis points."""
        return self.cost_bps(self.filled_quantity, self.filled_value)

    def cost_bps(self, quantity: Decimal, value: Decimal) -> float | None:
        """Return the signed cost of ``quantity`` traded for ``value``, None for no quantity.

        Basis points against the arrival mid, positive = cost.
        """
        if not quantity:
            return None
        shift = (value / quantity - self.arrival_mid) / self.arrival_mid
        return float(shift) * (self.parent.side.sign * _BPS)

    @property
    def fees_bps(self) -> float | None:
        """Fees over traded value, basis points."""
        return float(self.fees / self.filled_value) * _BPS if self.filled_value else None

    @property
    def is_success(self) -> bool:
        """Whether quantity, cost and time stayed inside the parent's limits."""
        slippage = self.slippage_bps
        return (
            self.filled_quantity == self.parent.quantity
            and slippage is not None
            and slippage <= self.parent.max_slippage_bps
            and self.duration_ms <= self.parent.time_limit_s * 1_000
        )
