"""Parent orders: a quantity to trade inside limits, worked by child orders, judged afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from trading_system.domain.orders import Side

_BPS = 10_000.0


class ExecutionStyle(Enum):
    """How a parent is worked.

    ``MARKET`` crosses the spread at once with a collared immediate-or-cancel order. ``PASSIVE``
    rests post-only at the best own price first and crosses with what is left.
    """

    MARKET = "market"
    PASSIVE = "passive"


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


@dataclass(slots=True, kw_only=True)
class ParentResult:
    """What became of a parent.

    Parameters
    ----------
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
    children: list[str] = field(default_factory=list)
    reason: str = ""

    @property
    def average_price(self) -> Decimal | None:
        """Volume-weighted fill price, None without a fill."""
        return self.filled_value / self.filled_quantity if self.filled_quantity else None

    @property
    def slippage_bps(self) -> float | None:
        """Signed cost against the arrival mid, basis points."""
        average = self.average_price
        if average is None:
            return None
        return float((average - self.arrival_mid) / self.arrival_mid) * (
            self.parent.side.sign * _BPS
        )

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
