import numpy as np
import pytest

from trading_system.monitoring.latency import STAGES, LatencyRing, StageLatency


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


def test_every_stage_is_listed_even_without_samples() -> None:
    latency = StageLatency()
    latency.record("ack", 2_000_000)
    summary = latency.summary()
    assert tuple(summary) == STAGES
    assert summary["ack"]["p50_us"] == 2000.0
    assert summary["fill"]["p50_us"] is None
