import json
import timeit

import numpy as np
import pytest

from trading_system.monitoring.latency import (
    BUCKETS_S,
    STAGES,
    WINDOW_S,
    LatencyRing,
    RollingLatency,
    StageLatency,
)
from trading_system.runtime.clock import ManualClock

MS = 1_000_000


def test_an_empty_ring_has_no_figures() -> None:
    figures = LatencyRing().percentiles()
    assert figures.p50_us is None
    assert figures.samples == 0


def test_percentiles_equal_numpy_over_the_newest_samples() -> None:
    ring = LatencyRing(capacity=1000)
    samples = np.random.default_rng(1).integers(1_000, 9_000_000, size=2500)
    for sample in samples:
        ring.record(int(sample))
    figures = ring.percentiles()
    newest = samples[-1000:] / 1_000
    assert figures.p95_us == pytest.approx(np.percentile(newest, 95), abs=1e-3)
    assert figures.max_us == pytest.approx(newest.max(), abs=1e-3)
    assert figures.samples == 2500


@pytest.mark.parametrize("count", [1, 2, 3, 19, 100, 101])
def test_few_samples_are_interpolated_as_numpy_does(count) -> None:
    ring = LatencyRing()
    samples = np.random.default_rng(count).integers(-50_000, 9_000_000, size=count)
    for sample in samples:
        ring.record(int(sample))
    figures = ring.percentiles()
    wanted = np.percentile(samples / 1_000, (50, 95, 99, 100))
    found = (figures.p50_us, figures.p95_us, figures.p99_us, figures.max_us)
    assert found == pytest.approx(tuple(wanted), abs=1e-3)


def test_every_stage_is_listed_even_without_samples() -> None:
    latency = StageLatency()
    latency.record("ack", 2_000_000)
    summary = latency.summary()
    assert tuple(summary) == STAGES
    assert summary["ack"]["p50_us"] == 2000.0
    assert summary["fill"]["p50_us"] is None


def test_rolling_figures_forget_what_is_older_than_the_window() -> None:
    clock = ManualClock()
    latency = RollingLatency(60.0, clock=clock)
    latency.record(900 * MS)
    clock.advance(54.0)
    latency.record(1 * MS)
    assert latency.rolling().max_us == 900_000.0
    clock.advance(6.0)
    assert latency.rolling().max_us == 1_000.0
    assert latency.rolling().samples == 1
    assert latency.since_start().percentiles().max_us == 900_000.0
    assert latency.since_start().count == 2


@pytest.mark.parametrize("pause_s", [60.0, 61.0, 3_600.0, 86_400.0])
def test_a_long_pause_empties_the_window_at_once(pause_s) -> None:
    clock = ManualClock()
    latency = RollingLatency(60.0, clock=clock)
    for _ in range(30):
        latency.record(5 * MS)
        clock.advance(1.7)
    clock.advance(pause_s)
    assert latency.rolling().samples == 0
    latency.record(3 * MS)
    assert latency.rolling().p99_us == 3_000.0
    assert latency.since_start().count == 31


def test_rolling_figures_equal_numpy_over_what_is_in_the_window() -> None:
    clock, rng = ManualClock(), np.random.default_rng(3)
    latency, held = RollingLatency(60.0, clock=clock), []
    for step in range(4_000):
        sample = int(rng.lognormal(13, 1))
        latency.record(sample)
        held.append((clock.monotonic_ns(), sample))
        clock.advance(0.05)
        if step % 500 == 499:
            slot_ns = 5_000_000_000
            oldest = (clock.monotonic_ns() // slot_ns - 11) * slot_ns
            samples = [sample for at_ns, sample in held if at_ns >= oldest]
            figures = latency.rolling()
            assert figures.samples == len(samples)
            assert figures.p95_us == pytest.approx(np.percentile(samples, 95) / 1e3, rel=0.01)
    assert latency.since_start().count == 4_000


def test_durations_that_nobody_reads_for_long_keep_their_place_in_time() -> None:
    clock = ManualClock()
    latency = RollingLatency(60.0, clock=clock)
    for second in range(90):
        for _ in range(100):
            latency.record((second + 1) * MS)
        clock.advance(1.0)
    figures, ever = latency.rolling(), latency.since_start().percentiles()
    assert figures.samples == 5_500  # of seconds 35 to 89
    assert figures.p50_us == pytest.approx(63_000.0, rel=0.01)
    assert (ever.samples, ever.max_us) == (9_000, 90_000.0)


def test_figures_that_were_read_change_with_new_durations_and_with_time() -> None:
    clock = ManualClock()
    latency = RollingLatency(60.0, clock=clock)
    assert (latency.rolling().samples, latency.overall().samples) == (0, 0)
    latency.record(4 * MS)
    assert (latency.rolling().max_us, latency.overall().max_us) == (4_000.0, 4_000.0)
    latency.record(8 * MS)
    assert (latency.rolling().max_us, latency.overall().max_us) == (8_000.0, 8_000.0)
    clock.advance(61.0)
    assert (latency.rolling().samples, latency.overall().samples) == (0, 2)


def test_a_burst_within_one_slot_is_counted_whole() -> None:
    latency = RollingLatency(60.0, clock=ManualClock())
    for _ in range(5_000):
        latency.record(2 * MS)
    assert latency.rolling().samples == 5_000
    assert latency.since_start().count == 5_000


def test_percentiles_are_rolling_and_of_all_while_the_window_is_empty() -> None:
    clock = ManualClock()
    latency = StageLatency(clock=clock)
    assert latency.percentiles("ack").samples == 0
    latency.record("ack", 800 * MS)
    clock.advance(61.0)
    assert latency.percentiles("ack").p95_us == 800_000.0
    latency.record("ack", 2 * MS)
    assert latency.percentiles("ack").p95_us == 2_000.0
    assert latency.summary()["ack"]["max_us"] == 800_000.0
    assert latency.summary()["ack"]["samples"] == 2


def test_detail_tells_rolling_since_start_and_cumulative_buckets() -> None:
    clock = ManualClock()
    latency = StageLatency(clock=clock)
    latency.record("send", 300_000)
    clock.advance(120.0)
    latency.record("send", 7 * MS)
    latency.record("send", 20_000 * MS)
    detail = latency.detail()
    json.dumps(detail, allow_nan=False)
    assert tuple(detail) == STAGES
    send = detail["send"]
    assert send["window_s"] == WINDOW_S
    assert (send["rolling"]["samples"], send["since_start"]["samples"]) == (2, 3)
    assert send["histogram"]["count"] == 3
    assert send["histogram"]["sum_us"] == 20_007_300.0
    within = dict(map(tuple, send["histogram"]["buckets"]))
    assert tuple(within) == BUCKETS_S
    assert [within[bound] for bound in (0.00025, 0.0005, 0.005, 0.01, 5.0)] == [0, 1, 1, 2, 2]
    assert detail["fill"]["rolling"]["p50_us"] is None


@pytest.mark.no_cover  # the tracer would be measured
def test_recording_a_stage_costs_less_than_a_microsecond() -> None:
    latency = StageLatency()
    repeats = timeit.repeat(lambda: latency.record("book", 45_678), number=5_000, repeat=20)
    assert min(repeats) / 5_000 < 1e-6
