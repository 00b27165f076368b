"""Changes are found in time, and hardly ever where there are none."""

import json
import math
from collections.abc import Iterable

import numpy as np
import pytest

from trading_system.domain.errors import ValidationError
from trading_system.monitoring.degradation import (
    LEARNING_SAMPLES,
    REFERENCE_SAMPLES,
    WATCHED,
    Better,
    ChangeDetector,
    DegradationWatch,
    State,
    WatchedFigure,
)
from trading_system.runtime.clock import ManualClock

UNIT = WatchedFigure(unit="", better=Better.LESS, scale_floor=0.01)
SEEDS = 100


def fed(samples: Iterable[float], *, figure: WatchedFigure = UNIT) -> ChangeDetector:
    detector = ChangeDetector(figure)
    feed(detector, samples)
    return detector


def feed(detector: ChangeDetector, samples: Iterable[float]) -> None:
    for number, value in enumerate(samples):
        detector.observe(value, monotonic_ns=number, utc_ns=number)


def delay(seed: int, shift: float, *, before: int) -> int:
    """Return after how many samples of the shift the change was reported."""
    rng = np.random.default_rng(seed)
    detector = fed(rng.normal(size=before).tolist())
    if detector.state is not State.STEADY:
        return 0
    for number, value in enumerate((shift + rng.normal(size=400)).tolist(), start=1):
        detector.observe(value, monotonic_ns=number, utc_ns=number)
        if detector.state is State.WORSE:
            return number
    return 400


@pytest.mark.parametrize(
    ("shift", "mean_at_most", "nearly_all_at_most"), [(1.0, 32, 110), (2.0, 11, 20), (3.0, 7, 10)]
)
@pytest.mark.parametrize("before", [LEARNING_SAMPLES + 20, 1000])
def test_a_step_is_found_within_the_stated_delay(
    shift: float, mean_at_most: int, nearly_all_at_most: int, before: int
) -> None:
    delays = [delay(seed, shift, before=before) for seed in range(SEEDS)]
    assert np.mean(delays) <= mean_at_most
    assert np.quantile(delays, 0.98) <= nearly_all_at_most


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("is_skewed", [False, True])
def test_a_hundred_thousand_steady_samples_raise_at_most_three_changes(
    seed: int, is_skewed: bool
) -> None:
    values = np.random.default_rng(seed).normal(size=100_000)
    figure = WATCHED["order_ack_ms"] if is_skewed else UNIT
    samples = np.exp(0.5 * values) if is_skewed else values
    detector, changes = ChangeDetector(figure), 0
    for number, value in enumerate(samples.tolist()):
        before = detector.state
        detector.observe(value, monotonic_ns=number, utc_ns=number)
        changes += detector.state is not before and detector.state in {State.WORSE, State.BETTER}
    assert changes <= 3


@pytest.mark.parametrize("seed", [1, 2])
def test_samples_that_wander_together_raise_few_changes(seed: int) -> None:
    # Each sample is half the one before and half new: 80 changes if taken for independent ones.
    rng, level, detector, changes = np.random.default_rng(seed), 0.0, ChangeDetector(UNIT), 0
    for number in range(40_000):
        level = 0.5 * level + float(rng.normal())
        before = detector.state
        detector.observe(level, monotonic_ns=number, utc_ns=number)
        changes += detector.state is not before and detector.state in {State.WORSE, State.BETTER}
    assert changes <= 4


@pytest.mark.parametrize("share", [0.6, 0.7, 0.8, 0.9])
def test_a_steady_share_of_failures_is_no_change(share: float) -> None:
    # A parent order succeeds or not: the samples are 0 and 100 and their median says little.
    samples = 100.0 * (np.random.default_rng(4).random(5_000) < share)
    detector, changes = ChangeDetector(WATCHED["success_rate"]), 0
    for number, value in enumerate(samples.tolist()):
        before = detector.state
        detector.observe(value, monotonic_ns=number, utc_ns=number)
        changes += detector.state is not before and detector.state in {State.WORSE, State.BETTER}
    assert changes <= 3
    assert detector.reference == pytest.approx(100.0 * share, abs=5.0)
    assert detector.anomalies == 0


@pytest.mark.parametrize(("share", "within"), [(0.7, 80), (0.9, 20), (0.99, 10)])
def test_a_halved_success_rate_is_found(share: float, within: int) -> None:
    rng = np.random.default_rng(11)
    detector = fed((100.0 * (rng.random(500) < share)).tolist(), figure=WATCHED["success_rate"])
    feed(detector, (100.0 * (rng.random(within) < share / 2)).tolist())
    assert detector.state is State.WORSE


def test_a_figure_of_two_levels_in_turn_is_steady() -> None:
    # Most fills at one price, three in ten at another: the spread of the most of them is nothing.
    rng, changes = np.random.default_rng(3), 0
    detector = ChangeDetector(WATCHED["slippage_bps"])
    for number in range(5_000):
        level = 2.0 if rng.random() < 0.3 else -1.0
        before = detector.state
        detector.observe(level + 0.05 * float(rng.normal()), monotonic_ns=number, utc_ns=number)
        changes += detector.state is not before and detector.state in {State.WORSE, State.BETTER}
    assert changes <= 1


def test_the_state_is_steady_again_after_the_figure_returned() -> None:
    rng = np.random.default_rng(5)
    detector = fed(rng.normal(size=300).tolist())
    feed(detector, (3.0 + rng.normal(size=500)).tolist())
    assert (detector.state, abs(detector.reference or 0.0) < 0.3) == (State.WORSE, True)
    feed(detector, rng.normal(size=60).tolist())
    assert (detector.state, detector.since_ns) == (State.STEADY, None)


def test_what_became_better_becomes_the_reference_and_its_loss_is_found() -> None:
    rng = np.random.default_rng(6)
    detector = fed(rng.normal(size=200).tolist())
    feed(detector, (rng.normal(size=50) - 4.0).tolist())
    assert detector.state is State.BETTER
    feed(detector, (rng.normal(size=100) - 4.0).tolist())
    assert (detector.state, (detector.reference or 0.0) < -3.5) == (State.STEADY, True)
    feed(detector, rng.normal(size=30).tolist())
    assert detector.state is State.WORSE


def test_a_short_improvement_leaves_the_reference_alone() -> None:
    rng = np.random.default_rng(7)
    detector = fed(rng.normal(size=200).tolist())
    feed(detector, (rng.normal(size=20) - 4.0).tolist())
    feed(detector, rng.normal(size=60).tolist())
    assert (detector.state, abs(detector.reference or 0.0) < 0.4) == (State.STEADY, True)


def test_a_fall_from_better_to_worse_is_reported_as_worse() -> None:
    rng = np.random.default_rng(8)
    detector = fed(rng.normal(size=200).tolist())
    feed(detector, (rng.normal(size=20) - 4.0).tolist())
    feed(detector, (rng.normal(size=60) + 4.0).tolist())
    assert detector.state is State.WORSE


def test_one_outlier_is_an_anomaly_and_no_change() -> None:
    rng = np.random.default_rng(9)
    detector = fed(rng.normal(size=300).tolist())
    detector.observe(1e9, monotonic_ns=1, utc_ns=7)
    assert (detector.state, detector.anomalies, detector.last_anomaly_ns) == (State.STEADY, 1, 7)


def test_a_new_level_is_a_change_and_not_hundreds_of_anomalies() -> None:
    rng = np.random.default_rng(10)
    detector = fed(rng.normal(size=300).tolist())
    feed(detector, (rng.normal(size=500) + 20.0).tolist())
    assert detector.state is State.WORSE
    assert 1 <= detector.anomalies <= 40


@pytest.mark.parametrize(("name", "fallen"), [("health", 80.0), ("success_rate", 50.0)])
def test_less_is_worse_where_more_is_better(name: str, fallen: float) -> None:
    detector = fed([100.0] * 200 + [fallen] * 10, figure=WATCHED[name])
    assert detector.state is State.WORSE


def test_a_change_nobody_minds_is_not_reported_of_a_figure_that_hardly_moves() -> None:
    detector = fed([100.0] * 300 + [99.5] * 2000, figure=WATCHED["health"])
    assert detector.state is State.STEADY


def test_a_doubled_latency_is_worse_and_zero_is_allowed() -> None:
    rng = np.random.default_rng(11)
    lags = np.exp(rng.normal(size=300) * 0.1)
    detector = fed([0.0, *lags.tolist()], figure=WATCHED["loop_lag_ms"])
    feed(detector, [2.0 * lag for lag in lags[:30].tolist()])
    assert detector.state is State.WORSE


def test_memory_is_bounded() -> None:
    detector = fed(np.random.default_rng(12).normal(size=5000).tolist())
    assert len(detector._accepted) == REFERENCE_SAMPLES
    assert len(detector._recent) + len(detector._improved) < 200


def watched(*values: float | None, name: str = "order_ack_ms") -> DegradationWatch:
    clock = ManualClock()
    watch = DegradationWatch(clock=clock)
    for value in values:
        clock.advance(1.0)
        watch.observe(name, value)
    return watch


def test_what_says_nothing_is_no_sample() -> None:
    watch = watched(None, math.nan, math.inf, -math.inf)
    assert watch.figures() == {"figures": {}, "degraded": []}


def test_before_a_hundred_samples_it_says_learning() -> None:
    row = watched(1.0, None, 1.0).figures()["figures"]["order_ack_ms"]
    assert (row["state"], row["samples"], row["reference"]) == ("learning", 2, None)
    assert (row["now"], row["since_s"], row["last_anomaly_ms"]) == (1.0, None, None)


def test_a_worse_figure_is_named_with_its_level_before_and_since_when() -> None:
    watch = watched(*[1.2] * 200, *[3.4] * 20)
    ((name, text),) = watch.degraded()
    assert (name, text) == ("order_ack_ms", "now 3.4 ms, before 1.2 ms, for 19 s")
    figures = watch.figures()
    row = figures["figures"]["order_ack_ms"]
    assert (row["state"], row["reference"], row["now"]) == ("worse", 1.2, 3.4)
    assert (row["since_s"], figures["degraded"]) == (19.0, ["order_ack_ms"])
    assert row["last_anomaly_ms"] is not None
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_an_unknown_figure_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="'speed' is not watched, only order_ack_ms"):
        watched(1.0, name="speed")


def test_huge_and_negative_samples_harm_nothing() -> None:
    for name in WATCHED:
        watch = watched(*[1e308, -1e308, 0.0] * 100, name=name)
        json.dumps(watch.figures(), allow_nan=False)
