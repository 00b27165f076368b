"""Almgren-Chriss optimal execution in its discrete closed form.

Costs are in quote currency and positive for buys and sells alike. Valid while temporary impact is
linear in the trading rate, the book refills within one step, and the price is an arithmetic random
walk; the parameters say nothing about other takers. All hyperbolic ratios are written with
decaying exponentials, so that no urgency overflows.

References
----------
Almgren and Chriss, Optimal execution of portfolio transactions, 2001, section 2 and appendix A.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from optimizers.costs.quantity import finite, positive
from trading_system.domain.errors import ValidationError

Array = npt.NDArray[np.float64]

MAX_STEPS = 10_000
"""Most steps of one schedule."""

_NOT_NEGATIVE = ("gamma", "epsilon", "risk_aversion")
_EVEN_BELOW = 1e-6
_SUM_BELOW = 1e-2
_SAFE_EXPONENT = 1e6


class ImpactFitError(ValidationError):
    """Impact parameters are not usable. Consequence: no schedule is made from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionParameters:
    """Checked parameters of one market and one execution.

    Parameters
    ----------
    sigma : float
        Arithmetic volatility: mid times relative volatility, quote currency per square root of
        the time unit; positive.
    gamma : float
        Permanent impact, quote currency per base currency squared; not negative.
    eta : float
        Slope of the temporary impact, quote currency times time per base currency squared.
    epsilon : float
        Half the spread plus fee, quote currency per base currency; not negative.
    horizon : float
        Time to trade in, in the time unit of ``sigma`` and ``eta``; positive.
    steps : int
        Number of equal intervals, 1 to ``MAX_STEPS``.
    risk_aversion : float
        Per quote currency; not negative, 0 trades evenly.

    Attributes
    ----------
    eta_tilde, kappa : float
        Adjusted temporary impact, and urgency per time unit (half-life is its reciprocal).

    Raises
    ------
    ImpactFitError
        If a number is not finite or out of range, or permanent impact outweighs temporary impact
        within one step (``eta_tilde`` not positive).
    """

    sigma: float
    gamma: float
    eta: float
    epsilon: float
    horizon: float
    steps: int
    risk_aversion: float
    eta_tilde: float = field(init=False)
    kappa: float = field(init=False)

    def __post_init__(self) -> None:
        _check(self)
        tau = self.horizon / self.steps
        eta_tilde = self.eta - self.gamma * tau / 2.0
        if not eta_tilde > 0.0:
            raise ImpactFitError(
                f"permanent impact outweighs temporary impact within a step of {tau:g}: "
                f"eta {self.eta:g} - gamma {self.gamma:g} * step / 2 is not positive"
            )
        squared = self.sigma * self.sigma * (self.risk_aversion / eta_tilde)
        kappa = arcosh_above_one(squared * tau * tau / 2.0) / tau
        if not kappa * self.horizon < _SAFE_EXPONENT:
            raise ImpactFitError(f"urgency {kappa:g} is beyond what can be scheduled")
        object.__setattr__(self, "eta_tilde", eta_tilde)
        object.__setattr__(self, "kappa", kappa)

    @property
    def tau(self) -> float:
        """Length of one step."""
        return self.horizon / self.steps

    @property
    def half_life(self) -> float:
        """Time in which urgency alone divides the position by e; infinity without urgency."""
        return 1.0 / self.kappa if self.kappa > 0.0 else math.inf

    @property
    def is_even(self) -> bool:
        """Whether urgency is so small that equal slices are optimal (TWAP)."""
        return self.kappa * self.horizon < _EVEN_BELOW


def arcosh_above_one(excess: float) -> float:
    """Return ``arcosh(1 + excess)`` without losing a small ``excess`` (not negative)."""
    return math.log1p(excess + math.sqrt(excess) * math.sqrt(excess + 2.0))


def schedule(parameters: ExecutionParameters, *, quantity: float) -> Array:
    """Return what to trade in each step, shape (steps,), base currency; sums to ``quantity``.

    Raises
    ------
    ValidationError
        If the quantity is not finite and positive; so do the functions below.
    """
    quantity = _size(quantity)
    steps = parameters.steps
    if parameters.is_even:
        return np.full(steps, quantity / steps)
    rate = parameters.kappa * parameters.tau
    total = 2.0 * parameters.kappa * parameters.horizon
    begun = np.arange(steps) * rate
    # 2 sinh(k tau/2) cosh(k (T - t)) / sinh(k T) at the middle of each step.
    shares: Array = np.exp(-begun) + np.exp(begun - (total - rate))
    shares *= quantity * (math.expm1(-rate) / math.expm1(-total))
    return shares


def holdings(parameters: ExecutionParameters, *, quantity: float) -> Array:
    """Return what is left at the beginning and after each step, shape (steps + 1,), base."""
    quantity = _size(quantity)
    steps = parameters.steps
    if parameters.is_even:
        return quantity * (1.0 - np.arange(steps + 1) / steps)
    begun = np.arange(steps + 1) * (parameters.kappa * parameters.tau)
    total = parameters.kappa * parameters.horizon
    left: Array = np.exp(-begun) * np.expm1(2.0 * (begun - total)) * quantity
    left /= math.expm1(-2.0 * total)
    left[-1] = 0.0
    return left


def expected_cost(parameters: ExecutionParameters, trades: Sequence[float] | Array) -> float:
    """Return the expected cost of any schedule, quote currency."""
    sizes = _trades(trades)
    total = float(sizes.sum())
    return float(
        parameters.gamma * total * total / 2.0
        + parameters.epsilon * np.abs(sizes).sum()
        + parameters.eta_tilde / parameters.tau * float(sizes @ sizes)
    )


def cost_variance(parameters: ExecutionParameters, trades: Sequence[float] | Array) -> float:
    """Return the variance of the cost of any schedule, quote currency squared."""
    sizes = _trades(trades)
    # What is left after each step, summed from the end so that nothing is left after the last.
    left = np.append(np.cumsum(sizes[::-1])[::-1][1:], 0.0)
    return float(parameters.sigma**2 * parameters.tau * float(left @ left))


def optimal_cost(parameters: ExecutionParameters, *, quantity: float) -> float:
    """Return the expected cost of the optimal schedule in closed form, quote currency."""
    size = _size(quantity)
    squares = trade_squares(parameters.kappa * parameters.tau, parameters.steps)
    fixed = parameters.gamma * size * size / 2.0 + parameters.epsilon * size
    return fixed + parameters.eta_tilde / parameters.tau * size * size * squares


def optimal_variance(parameters: ExecutionParameters, *, quantity: float) -> float:
    """Return the variance of the optimal schedule's cost in closed form, quote currency squared.

    Below an urgency of 1 % over the horizon the closed form cancels itself; the sum is taken.
    """
    size = _size(quantity)
    if parameters.kappa * parameters.horizon < _SUM_BELOW:
        return cost_variance(parameters, schedule(parameters, quantity=size))
    squares = holding_squares(parameters.kappa * parameters.tau, parameters.steps)
    return parameters.sigma * parameters.sigma * parameters.tau * size * size * squares


def trade_squares(urgency: float, steps: int) -> float:
    """Return the sum of squared trades of the optimal schedule for an order of size one.

    Parameters
    ----------
    urgency : float
        ``kappa`` times the length of a step, not negative.
    """
    total = urgency * steps
    if total < _EVEN_BELOW:
        return 1.0 / steps
    decay = -math.expm1(-2.0 * total)
    ratio = 2.0 * math.exp(urgency - 2.0 * total) * -math.expm1(-2.0 * urgency) / (decay * decay)
    return math.tanh(urgency / 2.0) * (1.0 / math.tanh(total) + steps * ratio)


def holding_squares(urgency: float, steps: int) -> float:
    """Return the sum of squares of what is left after each step, for an order of size one.

    Parameters
    ----------
    urgency : float
        ``kappa`` times the length of a step; 0, or at least 1 % over all steps, below which the
        closed form cancels itself.
    """
    total = urgency * steps
    if total <= 0.0:
        return (steps - 1) * (2 * steps - 1) / (6 * steps)
    decay = -math.expm1(-2.0 * total)
    first = 2.0 * math.exp(-2.0 * urgency) * (1.0 + math.exp(-2.0 * (total - urgency)))
    first /= decay * -math.expm1(-2.0 * urgency)
    second = 4.0 * math.exp(-2.0 * total) / (decay * decay)
    return 0.5 * max(first - steps * second, 0.0)


def frontier(
    parameters: ExecutionParameters, *, quantity: float, aversions: Sequence[float]
) -> list[tuple[float, float, float]]:
    """Return the efficient frontier: risk aversion, expected cost, variance, one row per aversion.

    On it the cost rises by the risk aversion for every unit of variance avoided.
    """
    rows = []
    for aversion in aversions:
        chosen = replace(parameters, risk_aversion=aversion)
        trades = schedule(chosen, quantity=quantity)
        rows.append((aversion, expected_cost(chosen, trades), cost_variance(chosen, trades)))
    return rows


def rounded(
    trades: Sequence[float] | Array,
    *,
    lot: float,
    minimum: float = 0.0,
    min_notional: float = 0.0,
    price: float = 1.0,
) -> list[int]:
    """Return a schedule in whole lots that sums to the whole order exactly.

    Remainders go to the largest fractions first; a child below a minimum is put off into the next
    one, and the last into the one before it.

    Parameters
    ----------
    trades : sequence of float
        Base currency per step, not negative; their sum must be a multiple of the lot.
    lot, minimum : float
        Base currency; the step of sizes, and the smallest child.
    min_notional, price : float
        Smallest child in quote currency, and the price that it is measured at.

    Returns
    -------
    list of int
        Lots per step; 0 where nothing trades.

    Raises
    ------
    ValidationError
        If the order is no multiple of the lot or below a minimum, or a number is out of range.
    """
    step = positive(lot, "lot")
    floor = max(
        finite(minimum, "minimum"), finite(min_notional, "min_notional") / positive(price, "price")
    )
    sizes = [max(finite(size, "child"), 0.0) / step for size in trades]
    exact = math.fsum(sizes)
    total = round(exact)
    smallest = max(math.ceil(floor / step - 1e-9), 1)
    if total < smallest or abs(exact - total) > 1e-6 * max(1.0, total):
        raise ValidationError(
            f"{exact:g} lots are no whole order of at least {smallest} lots of {step:g}"
        )
    return _merged(_whole(sizes, total), smallest)


def _size(quantity: float) -> float:
    return positive(quantity, "quantity")


def _trades(trades: Sequence[float] | Array) -> Array:
    sizes = np.asarray(trades, dtype=np.float64)
    if math.isnan(float(sizes.sum())):
        raise ValidationError("a schedule must hold numbers only")
    return sizes


def _whole(sizes: list[float], total: int) -> list[int]:
    lots = [math.floor(size) for size in sizes]
    missing = total - sum(lots)
    order = sorted(range(len(sizes)), key=lambda i: (lots[i] - sizes[i], i))
    for i in order[:missing]:
        lots[i] += 1
    return lots


def _merged(lots: list[int], smallest: int) -> list[int]:
    merged, waiting, last = [0] * len(lots), 0, 0
    for i, size in enumerate(lots):
        waiting += size
        if waiting >= smallest:
            merged[i], waiting, last = waiting, 0, i
    merged[last] += waiting
    return merged


def _check(parameters: ExecutionParameters) -> None:
    try:
        for name in ("sigma", "eta", "horizon"):
            positive(getattr(parameters, name), name)
        rest = [finite(getattr(parameters, name), name) for name in _NOT_NEGATIVE]
    except ValidationError as e:
        raise ImpactFitError(str(e)) from e
    if min(rest) < 0.0:
        raise ImpactFitError(f"{', '.join(_NOT_NEGATIVE)} must not be negative")
    if isinstance(parameters.steps, bool) or not 1 <= parameters.steps <= MAX_STEPS:
        raise ImpactFitError(f"steps must be 1 to {MAX_STEPS}, was {parameters.steps!r}")
