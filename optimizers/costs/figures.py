"""What a cost estimate is made of and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass

from optimizers.microstructure.levels import BookLevels
from trading_system.domain.orders import OrderType, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRates:
    """Fees as fractions of traded value; a negative rate is a rebate.

    Parameters
    ----------
    source : str
        Where the rates come from.
    as_of : str
        When they held: an ISO 8601 date, a year or year and month where the source says no more,
        or ``undated``. Text to be shown, not to be computed with.
    """

    maker: float
    taker: float
    tier: str
    source: str
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostInputs:
    """One trade to be priced against one book.

    Parameters
    ----------
    levels : BookLevels
        Checked two-sided book; sizes in base currency.
    side, order_type : Side, OrderType
        Direction; market, or limit with ``limit_price``.
    quantity : float
        Base currency, finite and positive.
    volatility : float
        Standard deviation of the relative mid move over one second, a fraction, positive.
    limit_price : float or None
        Quote currency; for a limit order only.
    horizon_s : float
        Time over which the order may be worked, seconds.
    risk_aversion : float
        Aversion to the variance of the cost, per unit of quote currency.
    lot : float or None
        Step of order sizes, base currency; the schedule is given in whole lots of it.
    min_notional : float
        Smallest order, quote currency, for a schedule in lots; not negative.
    unfilled : str
        What becomes of the part of a limit order that waits in vain: ``taken`` (completed at the
        market when the horizon ends) or ``cancelled`` (only a filled order is priced).
    """

    levels: BookLevels
    side: Side
    order_type: OrderType
    quantity: float
    volatility: float
    fees: FeeRates
    limit_price: float | None = None
    horizon_s: float = 60.0
    risk_aversion: float = 1e-6
    lot: float | None = None
    min_notional: float = 0.0
    unfilled: str = "taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleStep:
    """One step of an optimal schedule: when it begins, what it trades and what is left after it.

    ``start_s`` in seconds from now, quantities in base currency.
    """

    start_s: float
    quantity: float
    remaining: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOutcomes:
    """The two ends that the waiting part of a limit order may come to.

    Parameters
    ----------
    fill_probability : float
        That the waiting part fills as maker within the horizon, in [0, 1].
    at_once_share : float
        Share of the order that crosses and is taken at once, in [0, 1].
    maker_fill_price : float or None
        Price of the maker fill, quote currency; None where nothing waits.
    completion_price : float or None
        Expected mean price of completing the waiting part at the market when the horizon ends,
        where it did not fill; None where nothing waits or the rest is cancelled.
    """

    fill_probability: float
    at_once_share: float
    maker_fill_price: float | None
    completion_price: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """What a trade is expected to cost; costs are positive, bps of the notional at the mid.

    ``net_cost_bps`` = ``slippage_bps`` + ``fees_bps`` + ``market_impact_bps``: slippage is what
    the displayed book charges at once (half the spread included), market impact is what the order
    does beyond that. ``naive_sum_bps`` adds the whole temporary impact to the slippage again, as
    the guides do; it counts the same cost twice and is shown for comparison only.

    Parameters
    ----------
    mid : float
        Quote currency.
    notional : float
        Quantity at the mid, quote currency.
    fill_price : float or None
        Average price, quote currency; of a limit order the mean over its outcomes, at which
        nothing need ever trade: see ``limit``.
    interval_bps : tuple of float
        10 % quantile of the net cost, its median, and its 90 % quantile.
    interval_source : str
        ``model`` (fitted quantiles), ``volatility`` (move of the mid until the order arrives) or
        ``outcomes`` (a resting order fills as maker or is completed as taker).
    maker_source : str
        Where the maker share comes from: ``model``, ``touch`` (touch probability), or ``none``
        where nothing rests.
    limit : LimitOutcomes or None
        What is assumed of a limit order; None for a market order.
    maker_probability : float
        Expected share that fills as maker, in [0, 1]; 0 for a market order.
    is_extrapolated : bool
        Whether the order is larger than the displayed book, so that the square-root law had to
        continue it, or what rests is larger than everything displayed on its own side.
    schedule : tuple of ScheduleStep
        Best schedule within the horizon, see :mod:`optimizers.costs.working`; empty where there is
        none. ``schedule_note`` says how it came about, or why there is none.
    schedule_cost_bps, schedule_risk_bps : float or None
        Expected cost and its standard deviation when worked by the schedule, fees included.
    """

    mid: float
    notional: float
    quantity: float
    fill_price: float | None
    slippage_bps: float
    fees_bps: float
    market_impact_bps: float
    net_cost_bps: float
    naive_sum_bps: float
    interval_bps: tuple[float, float, float]
    interval_source: str
    maker_source: str
    limit: LimitOutcomes | None
    maker_probability: float
    temporary_impact_bps: float
    permanent_impact_bps: float
    is_extrapolated: bool
    schedule: tuple[ScheduleStep, ...]
    schedule_note: str
    schedule_cost_bps: float | None
    schedule_risk_bps: float | None
