"""Histograms: within one percent of numpy, whatever the samples; counts and extremes exact."""

import itertools
import timeit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.monitoring.histogram import LARGEST_NS, LatencyHistogram

RELATIVE = 0.01
ROUNDING_US = 0.0006
SHAPES = {
    "lognormal": lambda rng: rng.lognormal(11, 2.5, 20_000),
    "uniform": lambda rng: rng.uniform(0, 1e9, 20_000),
    "pareto with a heavy tail": lambda rng: (rng.pareto(0.7, 20_000) + 1) * 1_000,
    "two clusters a million apart": lambda rng: np.where(rng.random(20_000) < 0.95, 1e3, 1e9),
    "exact powers of two": lambda rng: 2.0 ** rng.integers(0, 42, 20_000),
    "one below powers of two": lambda rng: 2.0 ** rng.integers(1, 42, 20_000) - 1,
    "small integers": lambda rng: rng.integers(0, 200, 20_000),
    "constant": lambda rng: np.full(5_000, 123_457.0),
}


def filled(samples):
    histogram = LatencyHistogram()
    for sample in samples:
        histogram.record(int(sample))
    return histogram


def assert_equals_numpy(samples):
    figures = filled(samples).percentiles()
    exact = np.percentile(np.asarray(samples, dtype=np.float64), (50, 95, 99)) / 1_000
    measured = (figures.p50_us, figures.p95_us, figures.p99_us)
    assert measured == pytest.approx(tuple(exact), rel=RELATIVE, abs=ROUNDING_US)
    assert figures.max_us == pytest.approx(max(samples) / 1_000, abs=ROUNDING_US)
    assert figures.samples == len(samples)


@pytest.mark.parametrize("shape", SHAPES)
def test_percentiles_are_within_one_percent_of_numpy(shape):
    samples = SHAPES[shape](np.random.default_rng(7))
    assert_equals_numpy(np.minimum(samples, LARGEST_NS).astype(np.int64).tolist())


@given(st.lists(st.integers(0, LARGEST_NS), min_size=1, max_size=60))
def test_percentiles_of_any_durations_are_within_one_percent_of_numpy(samples):
    assert_equals_numpy(samples)


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=40))
def test_percentiles_are_ordered_and_between_the_exact_extremes(samples):
    histogram = filled(samples)
    assert (histogram.min_ns, histogram.max_ns) == (min(samples), max(samples))
    assert (histogram.count, histogram.sum_ns) == (len(samples), sum(samples))
    figures = histogram.percentiles()
    ladder = (min(samples) / 1_000, figures.p50_us, figures.p95_us, figures.p99_us, figures.max_us)
    assert all(low <= high + ROUNDING_US for low, high in itertools.pairwise(ladder))


@given(
    st.lists(st.integers(-1_000, 10**10), max_size=30),
    st.lists(st.integers(-1_000, 10**10), max_size=30),
)
def test_adding_two_histograms_equals_recording_both(first, second):
    total = filled(first)
    total.add(filled(second))
    both = filled(first + second)
    assert total.percentiles() == both.percentiles()
    assert (total.min_ns, total.sum_ns) == (both.min_ns, both.sum_ns)


def test_negative_durations_and_zero_are_read_as_zero_with_an_exact_minimum():
    histogram = filled([-5_000_000, -3, 0, 2_000, 2_000])
    assert histogram.min_ns == -5_000_000
    assert histogram.percentiles().p50_us == 0.0
    assert histogram.percentiles().max_us == 2.0


def test_only_negative_durations_are_read_as_the_largest_of_them():
    figures = filled([-9_000, -2_000]).percentiles()
    assert (figures.p50_us, figures.max_us) == (-2.0, -2.0)


def test_a_duration_beyond_the_last_bin_keeps_the_exact_maximum():
    histogram = filled([LARGEST_NS + 5, 10**18])
    assert histogram.max_ns == 10**18
    assert histogram.percentiles().p50_us == pytest.approx(LARGEST_NS / 1_000, rel=RELATIVE)


def test_an_empty_histogram_has_no_figures():
    histogram = LatencyHistogram()
    assert (histogram.min_ns, histogram.max_ns, histogram.count) == (None, None, 0)
    assert histogram.percentiles().row() == {
        "p50_us": None,
        "p95_us": None,
        "p99_us": None,
        "max_us": None,
        "samples": 0,
    }


def test_a_cleared_histogram_has_no_figures_and_counts_anew():
    histogram = filled([5_000, 70_000])
    histogram.clear()
    histogram.clear()
    assert histogram.percentiles().samples == 0
    histogram.record(9_000)
    assert histogram.percentiles().p99_us == 9.0


def test_counts_up_to_a_bound_are_cumulative_and_end_with_all():
    histogram = filled([-1, 0, 900, 1_500, 80_000, 2_000_000])
    assert histogram.counts_up_to([1_000, 2_000, 100_000, LARGEST_NS]) == [3, 4, 5, 6]


@pytest.mark.parametrize(
    "extra", [[], [-5, 0], [LARGEST_NS, LARGEST_NS + 1], [0, 1, 63, 64, 65, 127, 128, LARGEST_NS]]
)
@pytest.mark.parametrize("count", [0, 1, 39, 40, 3_000])
def test_many_durations_at_once_are_counted_as_one_by_one(count, extra):
    samples = [int(s) for s in np.random.default_rng(4).lognormal(13, 3, size=count)] + extra
    one_by_one, at_once = filled([7_000]), filled([7_000])
    for sample in samples:
        one_by_one.record(sample)
    at_once.record_all(samples)
    bounds = [0, 1, 63, 64, *(round(1.01**power) for power in range(420, 3_000))]
    assert at_once.counts_up_to(bounds) == one_by_one.counts_up_to(bounds)
    assert at_once.percentiles() == one_by_one.percentiles()
    for name in ("count", "sum_ns", "min_ns", "max_ns"):
        assert getattr(at_once, name) == getattr(one_by_one, name), name


def test_many_durations_fill_an_empty_histogram():
    samples = list(range(100, 200))
    histogram = LatencyHistogram()
    histogram.record_all(samples)
    assert (histogram.min_ns, histogram.max_ns, histogram.count) == (100, 199, 100)


@pytest.mark.no_cover  # the tracer would be measured
def test_recording_costs_less_than_a_microsecond():
    record = LatencyHistogram().record
    assert min(timeit.repeat(lambda: record(1_234_567), number=5_000, repeat=20)) / 5_000 < 1e-6
