"""The comparison against hand-computed figures, slow enumerations and its own error rates."""

import json
import math
from dataclasses import asdict
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import ValidationError
from trading_system.monitoring.comparison import (
    Comparison,
    compare,
    compare_pairs,
    student_quantile,
)

NULLS = 400
SMALL = st.lists(st.integers(min_value=-9, max_value=9).map(float), min_size=2, max_size=5)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def welch(a: list[float], b: list[float]) -> float:
    """Return |difference| over its standard error, in plain arithmetic."""
    mean_a, mean_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    error = math.fsum((x - mean_a) ** 2 for x in a) / len(a) / (len(a) - 1)
    error += math.fsum((x - mean_b) ** 2 for x in b) / len(b) / (len(b) - 1)
    gap = abs(mean_b - mean_a)
    if gap < 1e-12:
        return 0.0
    return math.inf if error < 1e-18 else gap / math.sqrt(error)


@pytest.mark.parametrize(
    ("probability", "freedom", "table"),
    [
        (0.975, 1, 12.7062047),
        (0.975, 2, 4.3026527),
        (0.975, 5, 2.5705818),
        (0.975, 30, 2.0422725),
        (0.975, 120, 1.9799304),
        (0.975, 1e9, 1.9599640),
        (0.8, 1, 1.3763819),
        (0.8, 10, 0.8790578),
        (0.995, 1, 63.6567412),
        (0.5, 7, 0.0),
    ],
)
def test_quantiles_are_those_of_the_printed_tables(
    probability: float, freedom: float, table: float
) -> None:
    assert student_quantile(probability, freedom) == pytest.approx(table, abs=2e-7)


def test_both_ways_to_a_quantile_meet() -> None:
    below, above = student_quantile(0.975, 50.0), student_quantile(0.975, 50.0000001)
    assert below == pytest.approx(above, abs=2e-7)


def test_a_small_example_by_hand() -> None:
    # Of 20 splits only the two outermost are as far apart; variances 1, error sqrt(2/3), 4 degrees.
    result = compare([1, 2, 3], [4, 5, 6], rng=rng())
    assert (result.p_value, result.is_exact, result.difference) == (0.1, True, 3.0)
    reach = 2.7764451 * math.sqrt(2 / 3)
    assert result.interval == pytest.approx((3 - reach, 3 + reach), abs=1e-6)
    assert result.effect_size == pytest.approx(3 * (1 - 3 / 15))
    assert (result.detectable, result.needed) == (None, 4)  # no three per arm tell anything


def test_welch_example_with_unequal_spread_by_hand() -> None:
    # Variances 4/3 and 64/3 of four each: error**2 = 17/3, degrees (17/3)**2 / (1/27 + 256/27).
    result = compare([0, 0, 2, 2], [10, 10, 18, 18], rng=rng())
    freedom = (17 / 3) ** 2 / (1 / 27 + 256 / 27)
    seen = student_quantile(0.975, freedom) + student_quantile(0.8, freedom)
    assert result.detectable == pytest.approx(seen * math.sqrt(17 / 3), abs=1e-6)
    assert result.interval is not None
    low, high = result.interval
    reach = student_quantile(0.975, freedom) * math.sqrt(17 / 3)
    assert (low, high) == pytest.approx((13 - reach, 13 + reach))


@given(a=SMALL, b=SMALL)
def test_the_exact_p_value_is_that_of_plain_enumeration(a: list[float], b: list[float]) -> None:
    values, observed, hits, splits = a + b, welch(a, b), 0, 0
    for chosen in combinations(range(len(values)), len(a)):
        one = [values[i] for i in chosen]
        other = [values[i] for i in range(len(values)) if i not in chosen]
        hits += welch(one, other) >= observed * (1 - 1e-9)
        splits += 1
    result = compare(a, b, rng=rng())
    assert (result.is_exact, result.p_value) == (True, pytest.approx(hits / splits))


@given(gaps=st.lists(st.integers(min_value=-9, max_value=9).map(float), min_size=2, max_size=7))
def test_the_exact_p_value_of_pairs_is_that_of_plain_enumeration(gaps: list[float]) -> None:
    observed = abs(sum(gaps))
    sums = [
        abs(sum(s * g for s, g in zip(signs, gaps, strict=True)))
        for signs in product((-1, 1), repeat=len(gaps))
    ]
    result = compare_pairs([(10.0, 10.0 + gap) for gap in gaps], rng=rng())
    assert result.p_value == pytest.approx(sum(one >= observed for one in sums) / len(sums))


def test_pairs_by_hand() -> None:
    # Differences 1, 2, 3: of 8 sign patterns two reach 6; deviation 1, error 1/sqrt(3).
    result = compare_pairs([(5, 6), (5, 7), (5, 8)], rng=rng())
    assert (result.p_value, result.difference, result.is_paired) == (0.25, 2.0, True)
    reach = 4.3026527 / math.sqrt(3)
    assert result.interval == pytest.approx((2 - reach, 2 + reach), abs=1e-6)


def test_random_permutations_agree_with_counting_all() -> None:
    a, b = rng(2).normal(size=8), rng(3).normal(size=9) + 0.9
    drawn = compare(a.tolist() * 1, b.tolist(), rng=rng())
    assert not drawn.is_exact
    values = np.concatenate([a, b])
    sets = np.array(list(combinations(range(17), 8)))
    every = [welch(values[list(s)].tolist(), np.delete(values, s).tolist()) for s in sets[::5]]
    share = np.mean(np.array(every) >= welch(a.tolist(), b.tolist()))
    assert drawn.p_value == pytest.approx(share, abs=0.02)


def test_the_same_generator_gives_the_same_answer() -> None:
    a, b = rng(2).normal(size=30).tolist(), rng(3).normal(size=30).tolist()
    assert compare(a, b, rng=rng(9)) == compare(a, b, rng=rng(9))


@pytest.mark.parametrize(("count_a", "count_b", "spread_b"), [(20, 20, 1.0), (40, 12, 3.0)])
def test_without_a_difference_one_of_twenty_is_told(
    count_a: int, count_b: int, spread_b: float
) -> None:
    source, told, held = rng(4), 0, 0
    for _ in range(NULLS):
        a = source.normal(size=count_a).tolist()
        b = (spread_b * source.normal(size=count_b)).tolist()
        result = compare(a, b, rng=source, permutations=299)
        told += result.is_told
        assert result.interval is not None
        held += result.interval[0] <= 0.0 <= result.interval[1]
    assert 0.02 <= told / NULLS <= 0.08
    assert 0.92 <= held / NULLS <= 0.98


def test_without_a_difference_one_of_twenty_sets_of_pairs_is_told() -> None:
    source, told = rng(5), 0
    for _ in range(NULLS):
        common = 5.0 * source.normal(size=25)
        pairs = zip(common, common + source.normal(size=25), strict=True)
        wide = [(float(a), float(b)) for a, b in pairs]
        told += compare_pairs(wide, rng=source, permutations=299).is_told
    assert 0.02 <= told / NULLS <= 0.08


def test_a_detectable_difference_is_told_in_four_of_five_experiments() -> None:
    source, told, size = rng(6), 0, 30
    shift = compare([0.0, 1.0] * 15, [0.0, 1.0] * 15, rng=source, permutations=1).detectable
    assert shift is not None
    scale = np.std([0.0, 1.0] * 15, ddof=1)
    for _ in range(NULLS):
        a, b = scale * source.normal(size=size), scale * source.normal(size=size) + shift
        told += compare(a.tolist(), b.tolist(), rng=source, permutations=299).is_told
    assert 0.73 <= told / NULLS <= 0.87


def test_a_difference_far_below_the_spread_needs_more_than_can_be_counted() -> None:
    assert compare([1.0, 2.0], [1.0, 2.0], rng=rng(), worth=1e-9).needed is None


@pytest.mark.parametrize(("a", "b"), [(2, 2), (3, 3), (2, 4), (4, 4), (2, 5), (3, 4), (2, 9)])
def test_samples_too_few_to_tell_any_difference_have_no_visible_one(a: int, b: int) -> None:
    # As far apart and as tight as can be: if this is not told, nothing of these sizes is.
    result = compare([0.001 * n for n in range(a)], [1e6 + 0.001 * n for n in range(b)], rng=rng())
    assert (result.detectable is not None) == result.is_told
    assert result.needed == 4


@pytest.mark.parametrize("count", range(2, 9))
def test_pairs_too_few_to_tell_any_difference_have_no_visible_one(count: int) -> None:
    result = compare_pairs([(0.0, 1e6 + 0.001 * n) for n in range(count)], rng=rng())
    assert (result.detectable is not None) == result.is_told
    assert result.needed == 6


def test_the_needed_number_makes_the_difference_detectable() -> None:
    a, b = rng(7).normal(size=40), rng(8).normal(size=40)
    result = compare(a.tolist(), b.tolist(), rng=rng(), permutations=9, worth=0.5)
    assert result.needed is not None
    error = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / result.needed)
    freedom = 2 * result.needed - 2
    seen = (student_quantile(0.975, freedom) + student_quantile(0.8, freedom)) * error
    assert 0.49 <= seen <= 0.5


def test_pairing_sees_what_independent_samples_cannot() -> None:
    common = 100.0 * rng(9).normal(size=40)
    b = common + 1.0 + rng(10).normal(size=40)
    pairs = [(float(x), float(y)) for x, y in zip(common, b, strict=True)]
    assert compare_pairs(pairs, rng=rng()).is_told
    assert not compare(common.tolist(), b.tolist(), rng=rng(), permutations=499).is_told


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [2.0, 3.0]), ([1.0, 2.0], [])])
def test_below_two_samples_nothing_is_judged(a: list[float], b: list[float]) -> None:
    result = compare(a, b, rng=rng())
    assert (result.p_value, result.interval, result.needed, result.is_told) == (None,) * 3 + (
        False,
    )
    assert result.mean_a == (sum(a) / len(a) if a else None)
    assert compare_pairs([(1.0, 2.0)], rng=rng()).p_value is None


def test_samples_without_spread_have_no_interval_and_no_effect() -> None:
    same, apart = compare([1.1] * 9, [1.1] * 9, rng=rng()), compare([1.0] * 5, [2.0] * 5, rng=rng())
    assert (same.p_value, same.interval, same.effect_size, same.detectable) == (
        1.0,
        None,
        None,
        None,
    )
    assert (apart.interval, apart.p_value) == (None, pytest.approx(2 / 252))
    assert compare_pairs([(1.0, 1.0)] * 3, rng=rng()).p_value == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e101])
def test_what_is_no_figure_is_refused(bad: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        compare([1.0, bad], [1.0, 2.0], rng=rng())
    with pytest.raises(ValidationError, match="finite"):
        compare_pairs([(1.0, bad)], rng=rng())


@pytest.mark.parametrize("worth", [0.0, -1.0, math.nan, math.inf])
def test_arguments_out_of_range_are_refused(worth: float) -> None:
    with pytest.raises(ValidationError, match="worth"):
        compare([1.0, 2.0], [1.0, 2.0], rng=rng(), worth=worth)
    with pytest.raises(ValidationError, match="permutations"):
        compare([1.0, 2.0], [1.0, 2.0], rng=rng(), permutations=0)


@given(
    a=st.lists(st.floats(min_value=-1e100, max_value=1e100), max_size=6),
    b=st.lists(st.floats(min_value=-1e100, max_value=1e100), max_size=6),
)
def test_any_finite_figures_give_figures(a: list[float], b: list[float]) -> None:
    results = [compare(a, b, rng=rng())]
    results.append(compare_pairs(list(zip(a, b, strict=False)), rng=rng()))
    for result in results:
        json.dumps(asdict(result), allow_nan=False)
        assert result.p_value is None or 0.0 < result.p_value <= 1.0


def test_scale_and_order_of_the_arms_change_nothing_but_units_and_sign() -> None:
    a, b = [1.0, 4.0, 2.0, 8.0], [5.0, 7.0, 6.0, 13.0]
    plain, swapped = compare(a, b, rng=rng()), compare(b, a, rng=rng())
    scaled = compare([1e6 * x for x in a], [1e6 * x for x in b], rng=rng())
    assert swapped.p_value == plain.p_value == scaled.p_value
    assert _sign(plain) == -_sign(swapped)
    assert scaled.effect_size == pytest.approx(plain.effect_size)


def _sign(result: Comparison) -> float:
    assert result.difference is not None
    return math.copysign(1.0, result.difference)
