from __future__ import annotations

import json

import numpy as np
import pytest

from optimizers.latency.figures import LatencyFigures, Sample, Targets, split, trend
from trading_system.domain.ports import HttpTiming


def sample(latency_ms: float, *, response_ms: float | None = None, connect_ms=None) -> Sample:
    timing = HttpTiming(
        queue_ms=1.0,
        connect_ms=connect_ms,
        send_ms=0.5,
        response_ms=latency_ms if response_ms is None else response_ms,
        total_ms=latency_ms,
    )
    return Sample(latency_ms=latency_ms, timing=timing)


def filled(values, **options) -> LatencyFigures:
    figures = LatencyFigures(**options)
    for value in values:
        figures.record(sample(value), endpoint="GET /a", priority=1)
    return figures


def test_without_data_every_figure_is_none():
    figures = LatencyFigures()
    assert set(figures.overall().values()) == {None}
    assert figures.recent()["trend"] == "INSUFFICIENT_DATA"
    assert figures.comparison(Targets(), connects_ms=())["target_met_pct"] is None
    assert figures.groups() == {"by_endpoint": {}, "by_priority": {}}


def test_figures_agree_with_numpy_over_the_newest_window():
    values = np.random.default_rng(1).gamma(2, 20, 900)
    overall = filled(values).overall()
    held = values[-500:]
    expected = [held.mean(), *np.percentile(held, (50, 95, 99)), held.min(), held.max()]
    assert list(overall.values()) == pytest.approx(expected, abs=1e-6)


def test_recent_figures_cover_the_newest_fifty():
    recent = filled([*[10.0] * 100, *[30.0] * 50]).recent()
    assert (recent["avg_latency_ms"], recent["trend"]) == (30.0, "DEGRADING")


@pytest.mark.parametrize(
    ("before", "newest", "expected"),
    [
        ([10.0] * 20, [10.5] * 20, "STABLE"),
        ([10.0] * 20, [11.5] * 20, "DEGRADING"),
        ([10.0] * 20, [8.5] * 20, "IMPROVING"),
        ([10.0] * 19, [1.0] * 20, "INSUFFICIENT_DATA"),
        ([10.0] * 20, [1.0] * 19, "INSUFFICIENT_DATA"),
    ],
)
def test_trend_compares_medians(before, newest, expected):
    assert trend(before, newest) == expected


def test_targets_are_compared_with_the_phase_they_name():
    figures = LatencyFigures()
    for latency_ms, response_ms in ((100.0, 50.0), (500.0, 150.0), (301.0, 250.0), (10.0, 401.0)):
        one = sample(latency_ms, response_ms=response_ms)
        figures.record(one, endpoint="x", priority=1)
    compared = figures.comparison(Targets(), connects_ms=(40.0, 60.0))
    assert compared["target_met_pct"] == 50.0
    assert compared["within_2x_target_pct"] == 75.0
    assert compared["total_target_met_pct"] == 50.0
    assert compared["connection_target_met_pct"] == 50.0


def test_failures_are_counted_and_in_no_figure():
    figures = filled([5.0])
    figures.record_failure()
    assert (figures.total, figures.failed) == (2, 1)
    assert figures.overall()["max_latency_ms"] == 5.0


def test_figures_are_kept_per_endpoint_and_priority():
    figures = LatencyFigures()
    figures.record(sample(1.0), endpoint="GET /a", priority=2)
    figures.record(sample(3.0), endpoint="GET /b", priority=1)
    groups = figures.groups()
    assert {name: row["avg_ms"] for name, row in groups["by_endpoint"].items()} == {
        "GET /a": 1.0,
        "GET /b": 3.0,
    }
    assert list(groups["by_priority"]) == ["1", "2"]
    assert json.loads(json.dumps(groups, allow_nan=False)) == groups


def test_remembered_endpoints_are_bounded():
    figures = LatencyFigures()
    for number in range(200):
        figures.record(sample(1.0), endpoint=str(number), priority=1)
    assert len(figures.groups()["by_endpoint"]) == 64
    assert "199" in figures.groups()["by_endpoint"]


def test_split_tells_phases_apart():
    phases = split([sample(4.0, response_ms=2.0)], connects_ms=(7.0, 9.0))
    assert phases["queue_ms"]["p95_ms"] == 1.0
    assert phases["connect_ms"]["p50_ms"] == 8.0
    assert phases["response_ms"] == {"p50_ms": 2.0, "p95_ms": 2.0, "p99_ms": 2.0, "samples": 1}
