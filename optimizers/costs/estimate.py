"""What a trade will cost against one book: one pure function.

``net_cost_bps`` is the sum of three parts, each in bps of the notional at the mid, nothing twice:

slippage
    Market order: mean price of the exact walk of the displayed book against the mid, half the
    spread included. The walk *is* the immediate impact, so no temporary impact is added to it, and
    the permanent part, which moves the price after the fill, does not change what was paid.
market impact
    Only what the displayed book cannot tell: the continuation of the walk by the square-root law
    for an order that is larger than the book (flagged), 0 otherwise.
fees
    Rate times the value that is really traded, taker for what crosses, maker for what rests.

A limit order takes what is within its price at once, like a market order of that size. The rest
waits at the limit price over the horizon. With probability p it fills there as maker; otherwise it
is completed as a taker at the end, against a book like the present one; ``limit`` has both prices.
With ``unfilled="cancelled"`` it is not completed: then every figure is that of an order that did
fill, and what a missed trade costs is in none of them. (A limit order that crosses in part may get
cheaper per unit with its size: the part that waits pays less.) The
probability that the opposite best price, d away, comes to the limit is
p_t(d, T) = 2 (1 - Phi(d / (sigma sqrt(T)))). Where it does not come, a price without drift has run
away by p_t d / (1 - p_t) on average; the share of that which an unfilled order pays is in slippage,
and the taker's fee is charged on it.

Without a model p is p_t: for a small order too low, since queue fills at an untouched price are
left out, and for a large one too high, since the touch fills all of it. A model gives p at the own
best price, d0 from the opposite one, for the horizon T0 that it was fitted for; for another price
and horizon it is scaled by p_t(d, T) / p_t(d0, T0), up to 1. What rests beyond everything displayed
on its own side is outside all evidence: p is cut to the share that is not, and the estimate is
flagged.

The interval of a market order comes from the fitted quantiles of realised slippage. Without a
model, outside the range that it was fitted on, or where its quantiles do not hold the net cost, it
is the move of the mid during `LATENCY_S`; ``interval_source`` says which. For a limit order it is
that of the mixture of both outcomes. Half of what is extrapolated is added on both sides, since
nobody has seen it, and outside a model's range the interval is no narrower than the model's at the
edge of it: what is known less well never looks more certain. A market order's median without a
model is its mean, never below half the spread and the fee.

References
----------
Almgren and Chriss, Optimal execution of portfolio transactions, 2001 (schedule); reflection
principle of Brownian motion (touch probability).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

from optimizers.costs.almgren_chriss import ImpactFitError
from optimizers.costs.calibration import PERMANENT_SHARE, book_slope
from optimizers.costs.figures import CostEstimate, CostInputs, LimitOutcomes, ScheduleStep
from optimizers.costs.maker_taker import MakerTakerModel
from optimizers.costs.quantity import finite, positive
from optimizers.costs.slippage import FEATURES, SlippageModel, slippage_row
from optimizers.costs.timetable import timetable
from optimizers.costs.walk import LARGEST_COST_BPS, TakerCost, levels_within, taker_cost
from optimizers.costs.working import plan
from optimizers.microstructure.levels import SideDepth
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import OrderType, Side

LATENCY_S = 0.1
"""Time between decision and arrival that the interval allows for, seconds."""

_BPS = 10_000.0
_NORMAL = NormalDist()
_TAIL = _NORMAL.inv_cdf(0.9)
_QUANTILES = (0.1, 0.5, 0.9)
_BISECTIONS = 60
_LARGEST_RATE = 0.1
_LARGEST_VOLATILITY = 1.0
_EXTRAPOLATED_DOUBT = 0.5

UNFILLED = ("taken", "cancelled")
"""What may become of the part of a limit order that waits in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    # Expected parts in bps of the notional at the mid.
    slippage: float
    fees: float
    impact: float
    temporary: float
    maker_share: float
    is_extrapolated: bool
    interval: tuple[float, float, float] | None = None
    outcomes: LimitOutcomes | None = None

    @property
    def net(self) -> float:
        return self.slippage + self.fees + self.impact


def estimate(
    inputs: CostInputs,
    *,
    maker: MakerTakerModel | None = None,
    slippage: SlippageModel | None = None,
) -> CostEstimate:
    """Return the expected cost of one trade; see the module for what is counted where.

    Parameters
    ----------
    maker : MakerTakerModel or None
        Trained model of the maker share; None takes the touch probability.
    slippage : SlippageModel or None
        Model fitted on :data:`~optimizers.costs.slippage.FEATURES`; None takes volatility.

    Raises
    ------
    ValidationError
        If an input is no finite number, out of range or contradictory, or the order is too large
        to be priced from this book.
    UntrainedModelError
        If a model is given that has no coefficients.
    """
    _check(inputs)
    levels, quantity = inputs.levels, inputs.quantity
    notional = positive(quantity * levels.mid, "notional")
    is_market = inputs.order_type is OrderType.MARKET
    parts = _market(inputs) if is_market else _limit(inputs, maker)
    if parts.interval is None:
        interval, source = _taker_interval(inputs, parts, slippage if is_market else None)
    else:
        interval, source = _doubted(parts.interval, parts.impact), "outcomes"
    rests = parts.outcomes is not None and parts.outcomes.maker_fill_price is not None
    slope = book_slope(levels.consumed_by(inputs.side))
    permanent = _permanent_bps(inputs, slope)
    steps, note, cost, risk = _schedule(inputs, notional, slope=slope)
    return CostEstimate(
        mid=levels.mid,
        notional=notional,
        quantity=quantity,
        fill_price=_price(inputs, parts.slippage + parts.impact),
        slippage_bps=parts.slippage,
        fees_bps=parts.fees,
        market_impact_bps=parts.impact,
        net_cost_bps=parts.net,
        naive_sum_bps=parts.net + parts.temporary + permanent,
        interval_bps=interval,
        interval_source=source,
        maker_source=("none" if not rests else "touch" if maker is None else "model"),
        limit=parts.outcomes,
        maker_probability=parts.maker_share,
        temporary_impact_bps=parts.temporary,
        permanent_impact_bps=permanent,
        is_extrapolated=parts.is_extrapolated,
        schedule=steps,
        schedule_note=note,
        schedule_cost_bps=cost,
        schedule_risk_bps=risk,
    )


def touch_probability(distance: float, *, sigma: float, horizon_s: float) -> float:
    """Return the probability that a driftless price moves by ``distance`` within the horizon.

    Parameters
    ----------
    distance : float
        Quote currency; 1 at or below 0.
    sigma : float
        Quote currency per square root of a second, positive.
    horizon_s : float
        Seconds; 0 gives 0 for a positive distance.
    """
    if distance <= 0.0:
        return 1.0
    reach = sigma * math.sqrt(horizon_s)
    return math.erfc(distance / reach / math.sqrt(2.0)) if reach > 0.0 else 0.0


def _market(inputs: CostInputs) -> _Parts:
    cost = taker_cost(inputs.levels, inputs.side, quantity=inputs.quantity)
    return _Parts(
        slippage=cost.shown_bps,
        fees=_fee_bps(inputs, cost.total_bps, rate=inputs.fees.taker),
        impact=cost.beyond_bps,
        temporary=cost.total_bps - cost.half_spread_bps,
        maker_share=0.0,
        is_extrapolated=cost.is_extrapolated,
    )


def _limit(inputs: CostInputs, maker: MakerTakerModel | None) -> _Parts:
    limit = inputs.limit_price
    assert limit is not None, "checked with the inputs"
    depth = inputs.levels.consumed_by(inputs.side)
    count = levels_within(depth, limit)
    taken = min(depth.quantities[count - 1], inputs.quantity) if count else 0.0
    crossing = _crossing(inputs, taken)
    share = taken / inputs.quantity
    if share >= 1.0:
        whole = LimitOutcomes(
            fill_probability=0.0, at_once_share=1.0, maker_fill_price=None, completion_price=None
        )
        return replace(crossing, outcomes=whole)
    resting = _resting(inputs, depth, maker, taken=taken, count=count)
    rest = 1.0 - share
    net = share * crossing.net
    assert resting.interval is not None, "a resting part has two outcomes"
    assert resting.outcomes is not None, "a resting part has two outcomes"
    low, median, high = (net + rest * value for value in resting.interval)
    return _Parts(
        slippage=share * crossing.slippage + rest * resting.slippage,
        fees=share * crossing.fees + rest * resting.fees,
        impact=rest * resting.impact,
        temporary=share * crossing.temporary + rest * resting.temporary,
        maker_share=rest * resting.maker_share,
        is_extrapolated=resting.is_extrapolated,
        interval=(low, median, high),
        outcomes=replace(resting.outcomes, at_once_share=share),
    )


def _crossing(inputs: CostInputs, taken: float) -> _Parts:
    if taken <= 0.0:
        return _Parts(
            slippage=0.0,
            fees=0.0,
            impact=0.0,
            temporary=0.0,
            maker_share=0.0,
            is_extrapolated=False,
        )
    cost = taker_cost(inputs.levels, inputs.side, quantity=taken)
    return _Parts(
        slippage=cost.shown_bps,
        fees=_fee_bps(inputs, cost.shown_bps, rate=inputs.fees.taker),
        impact=0.0,
        temporary=cost.shown_bps - cost.half_spread_bps,
        maker_share=0.0,
        is_extrapolated=False,
    )


def _resting(
    inputs: CostInputs,
    depth: SideDepth,
    maker: MakerTakerModel | None,
    *,
    taken: float,
    count: int,
) -> _Parts:
    # Filled at the limit with probability p, else completed as a taker after the price ran away.
    levels, limit = inputs.levels, inputs.limit_price
    assert limit is not None, "checked with the inputs"
    rest = inputs.quantity - taken
    distance = _distance(depth, limit, count=count, spread=levels.spread)
    touched = _touched(inputs, distance)
    p = touched if maker is None else _maker_share(inputs, maker, rest=rest, distance=distance)
    own = levels.bids if inputs.side is Side.BUY else levels.asks
    is_beyond = rest > own.quantities[-1]
    if is_beyond:
        p *= own.quantities[-1] / rest
    at_limit = depth.sign * (limit - levels.mid) / levels.mid * _BPS
    if inputs.unfilled == "cancelled":
        return _filled(inputs, at_limit, p=p, is_beyond=is_beyond)
    done = taker_cost(levels, inputs.side, quantity=rest)
    drift = _drift(p, touched) * distance / levels.mid * _BPS
    maker_fee = _fee_bps(inputs, at_limit, rate=inputs.fees.maker)
    ran_away = drift / (1.0 - p) if p < 1.0 else 0.0
    taker_fee = _fee_bps(inputs, done.total_bps + ran_away, rate=inputs.fees.taker)
    return _Parts(
        slippage=p * at_limit + (1.0 - p) * done.shown_bps + drift,
        fees=p * maker_fee + (1.0 - p) * taker_fee,
        impact=(1.0 - p) * done.beyond_bps,
        temporary=(1.0 - p) * (done.total_bps - done.half_spread_bps),
        maker_share=p,
        is_extrapolated=done.is_extrapolated or is_beyond,
        interval=_mixture(
            p,
            filled=at_limit + maker_fee,
            completed=done.total_bps + ran_away + taker_fee,
            narrow=_latency_bps(inputs),
            wide=inputs.volatility * math.sqrt(inputs.horizon_s) * _BPS,
        ),
        outcomes=LimitOutcomes(
            fill_probability=p,
            at_once_share=0.0,
            maker_fill_price=limit,
            completion_price=_price(inputs, done.total_bps + ran_away),
        ),
    )


def _filled(inputs: CostInputs, at_limit: float, *, p: float, is_beyond: bool) -> _Parts:
    # The resting part if it fills; nothing is traded, and nothing paid, where it does not.
    fee = _fee_bps(inputs, at_limit, rate=inputs.fees.maker)
    return _Parts(
        slippage=at_limit,
        fees=fee,
        impact=0.0,
        temporary=0.0,
        maker_share=1.0,
        is_extrapolated=is_beyond,
        interval=_around(at_limit + fee, _TAIL * _latency_bps(inputs)),
        outcomes=LimitOutcomes(
            fill_probability=p,
            at_once_share=0.0,
            maker_fill_price=inputs.limit_price,
            completion_price=None,
        ),
    )


def _distance(depth: SideDepth, limit: float, *, count: int, spread: float) -> float:
    # From the limit price to the best opposite price that is left; a spread where none is known.
    if count < len(depth.prices):
        return depth.sign * (depth.prices[count] - limit)
    return spread


def _touched(inputs: CostInputs, distance: float) -> float:
    sigma = inputs.volatility * inputs.levels.mid
    return touch_probability(distance, sigma=sigma, horizon_s=inputs.horizon_s)


def _drift(p: float, touched: float) -> float:
    # Mean move against the unfilled part, in distances: a price without drift gains on the paths
    # that never touch what it loses on those that do. Fills beyond the touched ones are taken
    # evenly from the paths that do not touch.
    return p if p <= touched else (1.0 - p) * touched / (1.0 - touched)


def _maker_share(
    inputs: CostInputs, maker: MakerTakerModel, *, rest: float, distance: float
) -> float:
    levels = inputs.levels
    joined = maker.predict_maker_probability(
        levels.spread,
        levels.bids.quantities[-1] + levels.asks.quantities[-1],
        inputs.volatility,
        rest,
        levels.mid,
    )
    usual = touch_probability(
        levels.spread, sigma=inputs.volatility * levels.mid, horizon_s=maker.horizon_s
    )
    if usual > 0.0:
        return min(joined * (_touched(inputs, distance) / usual), 1.0)
    # Nothing is ever touched: only the queue moves, at a constant rate.
    times = inputs.horizon_s / maker.horizon_s if distance <= levels.spread else 0.0
    missed: float = (1.0 - joined) ** times
    return 1.0 - missed


def _taker_interval(
    inputs: CostInputs, parts: _Parts, slippage: SlippageModel | None
) -> tuple[tuple[float, float, float], str]:
    half = _TAIL * _latency_bps(inputs)
    if slippage is None:
        return _doubted(_around(parts.net, half), parts.impact), "volatility"
    if slippage.is_trained and slippage.names != FEATURES:
        raise ValidationError(f"the slippage model is not fitted on {', '.join(FEATURES)}")
    # The row wants the cost of the whole order; the split by where the book ends is not in it.
    cost = TakerCost(parts.slippage, parts.impact, 0.0, is_extrapolated=parts.is_extrapolated)
    row = slippage_row(
        inputs.levels,
        inputs.side,
        quantity=inputs.quantity,
        volatility=inputs.volatility,
        cost=cost,
    )
    low, median, high = (value + parts.fees for value in slippage.quantiles(row))
    if slippage.covers(row) and low <= parts.net <= high:
        return _doubted((low, median, high), parts.impact), "model"
    half = max(half, (high - low) / 2.0)
    return _doubted(_around(parts.net, half), parts.impact), "volatility"


def _doubted(
    interval: tuple[float, float, float], extrapolated: float
) -> tuple[float, float, float]:
    low, median, high = interval
    doubt = _EXTRAPOLATED_DOUBT * extrapolated
    return low - doubt, median, high + doubt


def _mixture(
    p: float, *, filled: float, completed: float, narrow: float, wide: float
) -> tuple[float, float, float]:
    # Quantiles of two normal outcomes by bisection of their common distribution function.
    spreads = (max(narrow, 1e-12), max(wide, narrow, 1e-12))
    reach = 10.0 * spreads[1]
    near, far = min(filled, completed) - reach, max(filled, completed) + reach

    def below(x: float) -> float:
        return p * _phi((x - filled) / spreads[0]) + (1.0 - p) * _phi((x - completed) / spreads[1])

    found = []
    for quantile in _QUANTILES:
        low, high = near, far
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2.0
            if below(middle) < quantile:
                low = middle
            else:
                high = middle
        found.append(high)
    return (found[0], found[1], found[2])


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _around(centre: float, half: float) -> tuple[float, float, float]:
    return (centre - half, centre, centre + half)


def _latency_bps(inputs: CostInputs) -> float:
    return inputs.volatility * math.sqrt(LATENCY_S) * _BPS


def _permanent_bps(inputs: CostInputs, slope: float) -> float:
    # Half of gamma X: the mean of a linear shift over the order.
    shift = PERMANENT_SHARE * slope * inputs.quantity / inputs.levels.mid * _BPS
    return min(shift, LARGEST_COST_BPS)


def _schedule(
    inputs: CostInputs, notional: float, *, slope: float
) -> tuple[tuple[ScheduleStep, ...], str, float | None, float | None]:
    try:
        best = plan(
            inputs.levels,
            inputs.side,
            quantity=inputs.quantity,
            volatility=inputs.volatility,
            taker_rate=inputs.fees.taker,
            horizon_s=inputs.horizon_s,
            risk_aversion=inputs.risk_aversion,
            slope=slope,
        )
    except ImpactFitError as e:
        return (), str(e), None, None
    cost, risk = best.cost / notional * _BPS, math.sqrt(best.variance) / notional * _BPS
    if not (math.isfinite(cost) and math.isfinite(risk)):
        return (), "the order is too large for linear impact", None, None
    steps, note = timetable(best, inputs)
    return steps, note, cost, risk


def _fee_bps(inputs: CostInputs, cost_bps: float, *, rate: float) -> float:
    # On the value that is traded, relative to the notional at the mid.
    return rate * (_BPS + inputs.side.sign * cost_bps)


def _price(inputs: CostInputs, cost_bps: float) -> float:
    return inputs.levels.mid * (1.0 + inputs.side.sign * cost_bps / _BPS)


def _check(inputs: CostInputs) -> None:
    positive(inputs.quantity, "quantity")
    if positive(inputs.volatility, "volatility") >= _LARGEST_VOLATILITY:
        raise ValidationError(
            f"the volatility is {inputs.volatility * _BPS:g} bps over one second; give less than "
            f"{_LARGEST_VOLATILITY * _BPS:g} bps"
        )
    for name in ("horizon_s", "risk_aversion", "min_notional"):
        if finite(getattr(inputs, name), name) < 0.0:
            raise ValidationError(f"{name} must not be negative")
    if inputs.unfilled not in UNFILLED:
        raise ValidationError(f"unfilled must be {' or '.join(UNFILLED)}, was {inputs.unfilled!r}")
    if inputs.lot is not None:
        positive(inputs.lot, "lot")
    for name in ("maker", "taker"):
        rate = finite(getattr(inputs.fees, name), f"{name} rate")
        if abs(rate) > _LARGEST_RATE:
            raise ValidationError(f"{name} rate {rate:g} is no fee: it is above {_LARGEST_RATE}")
    _check_limit(inputs)


def _check_limit(inputs: CostInputs) -> None:
    if (inputs.limit_price is None) is (inputs.order_type is OrderType.LIMIT):
        raise ValidationError("a limit order has a limit_price, a market order has none")
    if inputs.limit_price is not None:
        limit = positive(inputs.limit_price, "limit_price")
        if abs(limit / inputs.levels.mid - 1.0) * _BPS >= LARGEST_COST_BPS:
            raise ValidationError(
                f"limit_price {limit:g} is too far from the mid {inputs.levels.mid:g}"
            )
