"""The cheapest way to work an order within a horizon: cost plus risk aversion times variance.

A schedule of k steps of `REFILL_S` begins now. Candidates for each k are equal steps, whose cost
the book tells exactly, and the Almgren-Chriss schedule, whose linear temporary impact is measured
at the size of its own children: with weights by size their mean is n = sum(n_j^2) / X, and the
slope (vwap(n) - best) / n has to be the one that leads to them (n = X / k where children are equal;
X for one step, which costs what a market order costs). A book may be far from linear, so k itself
is chosen among `STEP_COUNTS`: a longer horizon only adds candidates, and the objective never rises
with it. The cost of k equal children without any risk bounds both candidates from below and grows
as k falls, so that the search ends early.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from optimizers.costs.almgren_chriss import (
    Array,
    ExecutionParameters,
    ImpactFitError,
    arcosh_above_one,
    cost_variance,
    expected_cost,
    holding_squares,
    schedule,
    trade_squares,
)
from optimizers.costs.calibration import (
    PERMANENT_SHARE,
    REFILL_S,
    book_slope,
    concession,
    fit_parameters,
)
from optimizers.microstructure.levels import BookLevels, SideDepth
from trading_system.domain.orders import Side

STEP_COUNTS = (1, 2, 3, *(n << shift for shift in range(11) for n in (4, 5, 6, 7)), 8_192)
"""Numbers of equal steps that are tried, four per doubling; of curved schedules every second."""
LONGEST_STEPS = STEP_COUNTS[-1]
"""Most steps of a schedule; a longer horizon is not used to its end."""

_CURVED_COUNTS = tuple(n for n in STEP_COUNTS if n > 1 and (n & (n - 1) == 0 or n % 3 == 0))
_LEAST_URGENCY = 1e-2
_MOST_URGENCY = 10.0
_BOUNDLESS = 1e5
_NARROWINGS = 10
_CLOSE = 5e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingPlan:
    """What to trade from now on, one step every `REFILL_S`.

    Parameters
    ----------
    trades : array of shape (steps,)
        Base currency per step.
    cost : float
        Expected, fees included, quote currency.
    variance : float
        Of the cost, quote currency squared.
    parameters : ExecutionParameters or None
        Of the Almgren-Chriss schedule; None for equal steps.
    is_cut : bool
        Whether the horizon is longer than `LONGEST_STEPS` steps.
    """

    trades: Array
    cost: float
    variance: float
    parameters: ExecutionParameters | None
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    # One order against one side; ``charged`` turns a price concession into what it costs with fee.
    depth: SideDepth
    mid: float
    quantity: float
    charged: float
    permanent: float
    risk: float

    def slope(self, child: float) -> float:
        return self.charged * concession(self.depth, self.mid, child) / child

    def urgency(self, slope: float) -> float:
        # kappa tau; boundless where what stays outweighs what a smaller child saves.
        margin = slope - self.permanent
        if not margin > 0.0:
            return _BOUNDLESS
        return min(arcosh_above_one(self.risk / (2.0 * margin)), _BOUNDLESS)


@dataclass(frozen=True, slots=True)
class _Found:
    # The objective above epsilon X, and the child that it was measured at (None: equal steps).
    objective: float
    steps: int
    child: float | None = None


def plan(
    levels: BookLevels,
    side: Side,
    *,
    quantity: float,
    volatility: float,
    taker_rate: float,
    horizon_s: float,
    risk_aversion: float,
    slope: float | None = None,
) -> WorkingPlan:
    """Return the best schedule within the horizon; a horizon below `REFILL_S` has one step.

    Parameters
    ----------
    quantity : float
        Base currency, finite and positive.
    volatility : float
        Relative, over one second, a fraction.
    taker_rate : float
        Fraction of traded value.
    horizon_s : float
        Seconds, positive.
    slope : float or None
        What :func:`~optimizers.costs.calibration.book_slope` says of this side, if it is known.

    Raises
    ------
    ImpactFitError
        If there is no time, or a figure is beyond all range.
    """
    if not (math.isfinite(horizon_s) and horizon_s > 0.0):
        raise ImpactFitError("there is no time to work the order in: the horizon is not positive")
    depth = levels.consumed_by(side)
    permanent = PERMANENT_SHARE * (book_slope(depth) if slope is None else slope)
    sigma = volatility * levels.mid
    rate = max(taker_rate, 0.0)
    task = _Task(
        depth=depth,
        mid=levels.mid,
        quantity=quantity,
        charged=1.0 + depth.sign * rate,
        permanent=permanent,
        risk=risk_aversion * sigma * sigma * REFILL_S,
    )
    found = _best(task, most=int(horizon_s / REFILL_S))
    if not math.isfinite(found.objective):
        raise ImpactFitError("the order is too large for linear impact")
    is_cut = horizon_s > LONGEST_STEPS * REFILL_S
    epsilon = task.charged * levels.spread / 2.0 + rate * levels.mid
    if found.child is None:
        return _even(task, found.steps, sigma=sigma, epsilon=epsilon, is_cut=is_cut)
    parameters = fit_parameters(
        levels,
        side,
        child=found.child,
        steps=found.steps,
        volatility=volatility,
        taker_rate=taker_rate,
        risk_aversion=risk_aversion,
        gamma=2.0 * permanent,
    )
    trades = schedule(parameters, quantity=quantity)
    return WorkingPlan(
        trades=trades,
        cost=expected_cost(parameters, trades),
        variance=cost_variance(parameters, trades),
        parameters=parameters,
        is_cut=is_cut,
    )


def _even(task: _Task, steps: int, *, sigma: float, epsilon: float, is_cut: bool) -> WorkingPlan:
    size = task.quantity
    return WorkingPlan(
        trades=np.full(steps, size / steps),
        cost=epsilon * size + _even_cost(task, steps),
        variance=sigma * sigma * REFILL_S * size * size * holding_squares(0.0, steps),
        parameters=None,
        is_cut=is_cut,
    )


def _best(task: _Task, *, most: int) -> _Found:
    best = _Found(_even_cost(task, 1), 1)
    for candidate, counts in ((_even_found, STEP_COUNTS), (_curved, _CURVED_COUNTS)):
        for steps in reversed(counts[: bisect_right(counts, most)]):
            if not _floor(task, steps) < best.objective:
                break
            found = candidate(task, steps, best.objective)
            if found is not None and found.objective < best.objective:
                best = found
    return best


def _floor(task: _Task, steps: int) -> float:
    child = task.quantity / steps
    return task.quantity * task.slope(child) * child


def _even_cost(task: _Task, steps: int) -> float:
    stays = task.permanent * task.quantity * task.quantity * (1.0 - 1.0 / steps)
    return _floor(task, steps) + stays


def _even_found(task: _Task, steps: int, _: float) -> _Found:
    left = task.quantity * task.quantity * holding_squares(0.0, steps)
    return _Found(_even_cost(task, steps) + task.risk * left, steps)


def _curved(task: _Task, steps: int, best: float) -> _Found | None:
    # Its slope is above the permanent one, so that it costs more than that one everywhere. With
    # little urgency at its own children's slope it is as good as equal steps, with boundless
    # urgency as good as all at once.
    square = task.quantity * task.quantity
    if not task.permanent * square < best:
        return None
    child = _own_child(task, steps)
    slope = task.slope(child)
    urgency = task.urgency(slope)
    if urgency * steps < _LEAST_URGENCY or urgency > _MOST_URGENCY:
        return None
    traded = trade_squares(urgency, steps)
    cost = square * (slope * traded + task.permanent * (1.0 - traded))
    return _Found(cost + task.risk * square * holding_squares(urgency, steps), steps, child)


def _own_child(task: _Task, steps: int) -> float:
    # The largest size found whose slope leads to children that are on average not smaller. It lies
    # between equal steps, where that always holds, and all at once; first where a size leads to,
    # then by bisection in ratios.
    low, high = task.quantity / steps, task.quantity
    middle = low
    for _ in range(_NARROWINGS):
        own = task.quantity * trade_squares(task.urgency(task.slope(middle)), steps)
        if own < middle:
            high = middle
        else:
            low = middle
        if min(own, high) <= low * (1.0 + _CLOSE):
            break
        middle = own if low < own < high else math.sqrt(low * high)
    return low
