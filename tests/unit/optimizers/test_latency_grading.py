from __future__ import annotations

import json

import numpy as np
import pytest

from optimizers.latency.figures import Sample, Targets
from optimizers.latency.grading import benchmark_result, grade, latency_stats
from trading_system.domain.ports import HttpTiming


def result(latencies, *, queue_ms=0.1, connects=(1.0,), errors=0, is_kept_alive=True):
    samples = [
        Sample(
            latency_ms=value,
            timing=HttpTiming(
                queue_ms=queue_ms, connect_ms=None, send_ms=0.0, response_ms=value, total_ms=value
            ),
        )
        for value in latencies
    ]
    return benchmark_result(
        samples,
        errors=errors,
        warm_up=10,
        connects_ms=connects,
        targets=Targets(),
        is_kept_alive=is_kept_alive,
    )


@pytest.mark.parametrize(
    ("p95_ms", "expected"),
    [
        (0.3, "A+"),
        (100.0, "A+"),
        (100.01, "A"),
        (200.0, "A"),
        (300.0, "B"),
        (500.0, "C"),
        (500.1, "D"),
        (None, "N/A"),
    ],
)
def test_grade_goes_by_the_95th_percentile(p95_ms, expected):
    assert grade(p95_ms) == expected


def test_statistics_agree_with_numpy():
    values = np.random.default_rng(2).gamma(2, 5, 100).tolist()
    expected = {
        "mean_ms": np.mean(values),
        "std_ms": np.std(values, ddof=1),
        "min_ms": min(values),
        "max_ms": max(values),
        "median_ms": np.median(values),
        "p95_ms": np.percentile(values, 95),
        "p99_ms": np.percentile(values, 99),
    }
    assert latency_stats(values) == pytest.approx(expected, abs=1e-5)


def test_one_value_has_no_deviation():
    assert latency_stats([3.0])["std_ms"] == 0.0


def test_without_an_answer_nothing_is_graded():
    judged = result([], errors=5)
    assert judged["performance_grade"] == "N/A"
    assert judged["iterations_completed"] == 0
    assert set(judged["latency_stats"].values()) == {None}
    assert len(judged["recommendations"]) == 1
    assert json.loads(json.dumps(judged, allow_nan=False)) == judged


def test_good_figures_recommend_nothing():
    assert result([5.0] * 50)["recommendations"] == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"latencies": [5.0] * 50, "errors": 2}, "2 requests failed"),
        ({"latencies": [5.0] * 50, "queue_ms": 3.0}, "CONNECTION_POOL_SIZE"),
        ({"latencies": [5.0] * 50, "is_kept_alive": False}, "connection_keepalive"),
        ({"latencies": [5.0] * 50, "connects": (60.0,)}, "connecting takes 60.0 ms"),
        ({"latencies": [250.0] * 50}, "the venue answers in 250.0 ms"),
        ({"latencies": [5.0] * 95 + [90.0] * 5}, "slowest percent"),
    ],
)
def test_each_recommendation_follows_from_its_figure(options, expected):
    advice = result(options.pop("latencies"), **options)["recommendations"]
    assert len(advice) == 1
    assert expected in advice[0]
