"""Whether two settings differ: permutation test, confidence interval, and what could be seen.

Two independent samples ``a`` and ``b``; the difference is ``mean(b) - mean(a)``.

* **p-value**: permutation test of the difference over its Welch standard error. It is exact where
  both samples come from one distribution, and holds in large samples where only the means are
  equal (Janssen 1997, "Studentized permutation tests for non-i.i.d. hypotheses"), which the plain
  difference of means does not when sizes and spreads differ. All splits are counted while there are
  at most 20,000, else random ones, with ``(1 + hits) / (1 + tried)`` (Phipson & Smyth 2010), never
  zero.
* **interval**: Welch's, from Student's t (Welch 1947).
* **effect size**: Hedges' g by the mean of both variances (Hedges 1981).
* **smallest difference to be seen** with these samples at 80 % power, and samples per arm that a
  given difference needs, both from t quantiles.

Pairs are compared by their differences: flipping their signs is the permutation, all ``2**n`` of
them while there are at most 20,000.

Valid for independent samples. Trades of one run share their market: compare runs by pairs with the
same seed where that matters. NaN, infinities and magnitudes beyond 1e100 are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading_system.domain.errors import ValidationError

CONFIDENCE: Final = 0.95
"""Share of repetitions whose interval holds the true difference."""

SIGNIFICANCE: Final = 0.05
"""A p-value up to this tells a difference."""

POWER: Final = 0.8
"""Chance of telling a difference of the smallest size that counts as visible."""

EXACT_LIMIT: Final = 20_000
"""Arrangements that are counted one by one at most."""

_Floats = NDArray[np.float64]
_LARGEST: Final = 1e100
_BLOCK: Final = 2_000_000
_TIE: Final = 1e-9
_MOST_NEEDED: Final = 10**9
_MANY: Final = 50.0
_FEWEST: Final = {1: 6, 2: 4}  # samples per arm of which some arrangement has p <= 0.05
_FRACTION_DEPTH: Final = 30
_MOST_STEPS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two samples say about their difference, in their unit; None: too few samples.

    Parameters
    ----------
    count_a, count_b : int
        Samples; of pairs both are the number of pairs.
    difference : float or None
        Mean of b less mean of a.
    interval : (float, float) or None
        95 % confidence interval of the difference; None also where nothing varies.
    p_value : float or None
        Chance of a difference this clear, in either direction, if there were none.
    is_exact : bool
        Whether every arrangement was counted.
    effect_size : float or None
        Difference in standard deviations (Hedges' g); of pairs in those of their differences.
    detectable : float or None
        Smallest difference that samples like these tell in 80 of 100 experiments; None where
        nothing varies, and where so few samples tell no difference, however large.
    needed : int or None
        Samples per arm (pairs) that tell ``worth``, or else the difference found, as reliably;
        never fewer than can tell any difference, four per arm or six pairs.
    """

    count_a: int
    count_b: int
    mean_a: float | None
    mean_b: float | None
    difference: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    is_exact: bool
    is_paired: bool
    effect_size: float | None
    detectable: float | None
    needed: int | None

    @property
    def is_told(self) -> bool:
        """Whether a difference is told at the 5 % level."""
        return self.p_value is not None and self.p_value <= SIGNIFICANCE


def compare(
    a: Sequence[float],
    b: Sequence[float],
    *,
    rng: np.random.Generator,
    permutations: int = 9_999,
    worth: float | None = None,
) -> Comparison:
    """Compare two independent samples.

    Parameters
    ----------
    a, b : sequence of float
        Finite, of any size; below two samples each nothing is judged.
    rng : numpy.random.Generator
        Draws the permutations where they are too many to be counted.
    permutations : int
        How many are drawn then, at least 1.
    worth : float, optional
        Difference worth knowing, positive; ``needed`` is for it.

    Raises
    ------
    ValidationError
        If a value is not finite or beyond 1e100, or an argument is out of range.
    """
    first, second = _checked(a), _checked(b)
    _check(permutations, worth)
    if min(first.size, second.size) < 2:
        return _unjudged(first, second, is_paired=False)
    difference = float(second.mean() - first.mean())
    parts = _variance(first) / first.size, _variance(second) / second.size
    error, freedom = math.sqrt(sum(parts)), _welch_freedom(parts, (first.size, second.size))
    p_value, is_exact = _permuted(first, second, rng=rng, permutations=permutations)
    spread = math.sqrt((_variance(first) + _variance(second)) / 2)
    return Comparison(
        count_a=first.size,
        count_b=second.size,
        mean_a=float(first.mean()),
        mean_b=float(second.mean()),
        difference=difference,
        interval=_interval(difference, error, freedom),
        p_value=p_value,
        is_exact=is_exact,
        is_paired=False,
        effect_size=_effect(difference, spread, first.size + second.size - 2),
        detectable=_detectable(error, freedom) if _can_tell(first.size, second.size) else None,
        needed=_needed(difference if worth is None else worth, math.sqrt(2) * spread, arms=2),
    )


def compare_pairs(
    pairs: Sequence[tuple[float, float]],
    *,
    rng: np.random.Generator,
    permutations: int = 9_999,
    worth: float | None = None,
) -> Comparison:
    """Compare pairs ``(a, b)`` that share everything but the setting; see :func:`compare`.

    Raises
    ------
    ValidationError
        If a value is not finite or beyond 1e100, or an argument is out of range.
    """
    first, second = _checked([a for a, _ in pairs]), _checked([b for _, b in pairs])
    _check(permutations, worth)
    if first.size < 2:
        return _unjudged(first, second, is_paired=True)
    gaps = second - first
    difference, spread = float(gaps.mean()), math.sqrt(_variance(gaps))
    error, freedom = spread / math.sqrt(gaps.size), float(gaps.size - 1)
    p_value, is_exact = _flipped(gaps, rng=rng, permutations=permutations)
    return Comparison(
        count_a=first.size,
        count_b=second.size,
        mean_a=float(first.mean()),
        mean_b=float(second.mean()),
        difference=difference,
        interval=_interval(difference, error, freedom),
        p_value=p_value,
        is_exact=is_exact,
        is_paired=True,
        effect_size=_effect(difference, spread, gaps.size - 1),
        detectable=_detectable(error, freedom) if gaps.size >= _FEWEST[1] else None,
        needed=_needed(difference if worth is None else worth, spread, arms=1),
    )


def student_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t, to about 1e-7.

    The expansion around the normal quantile (Abramowitz & Stegun 26.7.5), refined below 50 degrees
    of freedom by Newton's method.

    Parameters
    ----------
    probability : float
        In [0.5, 1).
    freedom : float
        Degrees of freedom, at least 1, not necessarily whole.
    """
    value = _nearly_normal_quantile(probability, freedom)
    if freedom > _MANY:
        return value
    # The distribution function bends down: from below, Newton's steps never pass the quantile.
    for _ in range(_MOST_STEPS):
        step = (probability - _student_below(value, freedom)) / _student_density(value, freedom)
        value = max(0.0, value + step)
        if abs(step) < _TIE:
            break
    return value


def _checked(values: Sequence[float]) -> _Floats:
    array = np.asarray(values, dtype=np.float64)
    if not bool(np.all(np.abs(array) <= _LARGEST)):
        raise ValidationError("a compared value is not finite or beyond 1e100")
    return array


def _check(permutations: int, worth: float | None) -> None:
    if permutations < 1:
        raise ValidationError(f"permutations must be at least 1, was {permutations}")
    if worth is not None and not 0.0 < worth <= _LARGEST:
        raise ValidationError(f"a difference worth knowing must be positive, was {worth}")


def _unjudged(first: _Floats, second: _Floats, *, is_paired: bool) -> Comparison:
    means = [float(one.mean()) if one.size else None for one in (first, second)]
    mean_a, mean_b = means
    return Comparison(
        count_a=first.size,
        count_b=second.size,
        mean_a=mean_a,
        mean_b=mean_b,
        difference=None if mean_a is None or mean_b is None else mean_b - mean_a,
        interval=None,
        p_value=None,
        is_exact=False,
        is_paired=is_paired,
        effect_size=None,
        detectable=None,
        needed=None,
    )


def _variance(values: _Floats) -> float:
    # Equal values have exactly none, though their mean may be a rounding away.
    return 0.0 if float(np.ptp(values)) == 0.0 else float(values.var(ddof=1))


def _welch_freedom(parts: tuple[float, float], sizes: tuple[int, int]) -> float:
    whole = sum(parts)
    if whole == 0.0:
        return float(sum(sizes) - 2)
    shares = [part / whole for part in parts]
    return 1.0 / sum(share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True))


def _interval(difference: float, error: float, freedom: float) -> tuple[float, float] | None:
    if error == 0.0:
        return None
    reach = student_quantile((1 + CONFIDENCE) / 2, freedom) * error
    return difference - reach, difference + reach


def _effect(difference: float, spread: float, freedom: int) -> float | None:
    if spread == 0.0:
        return None
    small_sample = 1.0 - 3.0 / (4.0 * freedom - 1.0)
    return small_sample * difference / spread


def _can_tell(one: int, other: int) -> bool:
    # The clearest of all splits has this p-value; of equal sizes its mirror image has it too.
    return (2 if one == other else 1) / math.comb(one + other, one) <= SIGNIFICANCE


def _detectable(error: float, freedom: float) -> float | None:
    return None if error == 0.0 else _quantiles(freedom) * error


def _quantiles(freedom: float) -> float:
    both_sides = student_quantile(1 - SIGNIFICANCE / 2, freedom)
    return both_sides + student_quantile(POWER, freedom)


def _needed(difference: float, spread: float, *, arms: int) -> int | None:
    # The number is in its own degrees of freedom: a few rounds settle it.
    if difference == 0.0 or spread == 0.0:
        return None
    ratio, needed = spread / abs(difference), 2.0
    if ratio > math.sqrt(_MOST_NEEDED):
        return None
    for _ in range(20):
        before = needed
        needed = max(2.0, (_quantiles(arms * (before - 1.0)) * ratio) ** 2, before / 2)
        if abs(needed - before) < 1e-3 * before:
            break
    return max(_FEWEST[arms], math.ceil(needed - _TIE))


def _permuted(
    first: _Floats, second: _Floats, *, rng: np.random.Generator, permutations: int
) -> tuple[float, bool]:
    values, count = _scaled(np.concatenate([first, second])), first.size
    observed = _welch(values[np.newaxis, :count], values)[0] * (1.0 - _TIE)
    splits = math.comb(values.size, count)
    if splits <= EXACT_LIMIT:
        chosen = np.array(list(combinations(range(values.size), count)))
        return int(np.sum(_welch(values[chosen], values) >= observed)) / splits, True
    hits, left = 0, permutations
    while left:
        rows = min(left, max(1, _BLOCK // values.size))
        drawn = rng.permuted(np.broadcast_to(values, (rows, values.size)), axis=1)
        hits += int(np.sum(_welch(drawn[:, :count], values) >= observed))
        left -= rows
    return (1 + hits) / (1 + permutations), False


def _welch(chosen: _Floats, values: _Floats) -> _Floats:
    # Size of the difference over its standard error, row by row; ``values`` add up to about zero.
    one, other = chosen.shape[1], values.size - chosen.shape[1]
    sums, squares = chosen.sum(axis=1), (chosen**2).sum(axis=1)
    rest, rest_squares = values.sum() - sums, (values**2).sum() - squares
    gaps = np.abs(rest / other - sums / one)
    error = np.maximum(squares - sums**2 / one, 0.0) / (one * (one - 1.0))
    error += np.maximum(rest_squares - rest**2 / other, 0.0) / (other * (other - 1.0))
    # A split without any spread stands for an endless ratio, but for equal means for none.
    gaps[gaps < _TIE] = 0.0
    return np.asarray(gaps / np.sqrt(np.maximum(error, _TIE**2)))


def _flipped(gaps: _Floats, *, rng: np.random.Generator, permutations: int) -> tuple[float, bool]:
    # Signs leave the sum of squares alone: t rises with the size of the sum, which is enough.
    reach = float(np.max(np.abs(gaps)))
    values = gaps / reach if reach else gaps
    observed = abs(float(values.sum())) - _TIE
    arrangements = 2**values.size
    if arrangements <= EXACT_LIMIT:
        signs = np.array(list(product((-1.0, 1.0), repeat=values.size)))
        return int(np.sum(np.abs(signs @ values) >= observed)) / arrangements, True
    hits, left = 0, permutations
    while left:
        rows = min(left, max(1, _BLOCK // values.size))
        signs = rng.integers(0, 2, size=(rows, values.size)) * 2.0 - 1.0
        hits += int(np.sum(np.abs(signs @ values) >= observed))
        left -= rows
    return (1 + hits) / (1 + permutations), False


def _scaled(values: _Floats) -> _Floats:
    centred = values - values.mean()
    reach = float(np.max(np.abs(centred)))
    return centred / reach if reach and np.ptp(values) else np.zeros_like(values)


def _nearly_normal_quantile(probability: float, freedom: float) -> float:
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    terms = enumerate((z, first, second, third, fourth))
    return math.fsum(term / freedom**power for power, term in terms)


def _student_below(value: float, freedom: float) -> float:
    return 1.0 - 0.5 * _incomplete_beta(freedom / (freedom + value * value), freedom / 2, 0.5)


def _student_density(value: float, freedom: float) -> float:
    front = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    tail = (freedom + 1) / 2 * math.log1p(value * value / freedom)
    return math.exp(front - tail) / math.sqrt(freedom * math.pi)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    # Regularised, by its continued fraction (Abramowitz & Stegun 26.5.8) from the inside out.
    if x <= 0.0:
        return 0.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(1.0 - x, b, a)
    fraction = 1.0
    for m in range(_FRACTION_DEPTH, -1, -1):
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        fraction = 1.0 + odd / fraction
        if m:
            even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
            fraction = 1.0 + even / fraction
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(scale + a * math.log(x) + b * math.log1p(-x)) / (a * fraction)
