import asyncio
import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.execution.batching import Batcher
from optimizers.execution.operations import OperationTimer
from optimizers.execution.quality import performance_summary, quality_score
from optimizers.execution.recommendations import MeasuredFigures, recommendations
from optimizers.execution.records import ExecutionRecords
from optimizers.execution.results import ExecutionMetrics
from optimizers.execution.statistics import BatchFigures
from trading_system.config.sections import PerformanceSettings
from trading_system.domain.errors import DeadlineExceeded, ValidationError
from trading_system.runtime.cache import CacheStatistics
from trading_system.runtime.clock import ManualClock

latencies = st.floats(0, 1e7)
slippages = st.floats(-1e4, 1e4)
fills = st.floats(0, 1)


def score(latency_ms: float, slippage_bps: float | None, fill_rate: float) -> float:
    return quality_score(
        latency_ms=latency_ms,
        slippage_bps=slippage_bps,
        fill_rate=fill_rate,
        target_latency_ms=500.0,
        max_slippage_bps=5.0,
    )


@given(latencies, latencies, slippages, slippages, fills, fills)
def test_the_score_is_bounded_and_monotone_in_each_part(
    a: float, b: float, c: float, d: float, e: float, f: float
) -> None:
    fast, slow = sorted((a, b))
    cheap, dear = sorted((c, d))
    little, much = sorted((e, f))
    assert 0.0 <= score(slow, dear, little) <= score(fast, dear, little)
    assert score(slow, dear, little) <= score(slow, cheap, little)
    assert score(slow, dear, little) <= score(slow, dear, much) <= 100.0


def test_the_score_is_the_mean_of_three_documented_parts() -> None:
    assert score(0.0, -1.0, 1.0) == 100.0
    assert score(500.0, 5.0, 1.0) == pytest.approx((50 + 50 + 100) / 3)
    assert score(1_000.0, 10.0, 0.5) == pytest.approx(50 / 3)
    assert score(10.0, None, 0.0) == 0.0


def metrics(latency_ms: float, slippage_bps: float, quality: float) -> ExecutionMetrics:
    return ExecutionMetrics(
        latency_ms=latency_ms,
        slippage_bps=slippage_bps,
        fill_rate=1.0,
        execution_quality_score=quality,
        timestamp=0.0,
    )


def test_the_figures_of_a_thousand_executions_are_numpys() -> None:
    source = random.Random(1)
    rows = [metrics(source.expovariate(0.01), source.gauss(1, 2), 90.0) for _ in range(1_000)]
    found = performance_summary(
        rows, total=1_000, failed=0, target_latency_ms=500.0, max_slippage_bps=5.0
    )
    latency = np.array([r.latency_ms for r in rows])
    slippage = np.array([r.slippage_bps for r in rows], dtype=float)
    for key, share in (("median_ms", 50), ("p95_ms", 95), ("p99_ms", 99), ("max_ms", 100)):
        assert found["latency_metrics"][key] == pytest.approx(np.percentile(latency, share))
    for key, share in (("median_bps", 50), ("p95_bps", 95), ("max_bps", 100)):
        assert found["slippage_metrics"][key] == pytest.approx(np.percentile(slippage, share))
    assert found["recent_performance"]["last_10_avg_latency"] == pytest.approx(latency[-10:].mean())
    assert found["latency_metrics"]["target_met"] is bool(np.percentile(latency, 95) <= 500)


def test_every_key_is_there_before_the_first_execution() -> None:
    records = ExecutionRecords(target_latency_ms=500.0, max_slippage_bps=5.0)
    empty = records.summary()
    assert (empty["status"], empty["total_executions"]) == ("no executions yet", 0)
    assert records.fill_rate is None
    records.add(metrics(1.0, 1.0, 99.0), predicted_bps=None)
    full = records.summary()
    for key in ("latency_metrics", "slippage_metrics", "quality_metrics", "recent_performance"):
        assert full[key].keys() == empty[key].keys()
        assert set(empty[key].values()) == {None}
    assert json.loads(json.dumps(empty, allow_nan=False)) == empty


def test_records_are_bounded() -> None:
    records = ExecutionRecords(target_latency_ms=500.0, max_slippage_bps=5.0)
    for _ in range(1_200):
        records.add(metrics(1.0, 1.0, 99.0), predicted_bps=1.5)
    assert (records.total, len(records.metrics), len(records.costs)) == (1_200, 1_000, 500)
    assert records.summary()["cost_calibration"]["avg_predicted_bps"] == 1.5


def lookups(hits: int, count: int = 100) -> CacheStatistics:
    return CacheStatistics(
        hits=hits,
        misses=count - hits,
        shared=0,
        evictions=0,
        expirations=0,
        invalidations=0,
        size=1,
        capacity=2,
    )


def timed(name: str, *, slow: int, count: int = 20) -> OperationTimer:
    timer = OperationTimer({"ticker": 0.5, "order": 1.0}, clock=ManualClock())
    for index in range(count):
        timer.record(name, 2_000_000_000 if index < slow else 1_000_000, has_failed=False)
    return timer


def advice(**changes: object) -> list[str]:
    slippage = changes.pop("slippage", 1.0)
    latency = changes.pop("latency", 100.0)
    quality = changes.pop("quality", 95.0)
    failed = changes.pop("failed", 0)
    values: dict[str, object] = {
        "summary": {
            "total_executions": 20,
            "failed_executions": failed,
            "slippage_metrics": {"p95_bps": slippage},
            "latency_metrics": {"p95_ms": latency},
            "quality_metrics": {"avg_score": quality},
        },
        "fill_rate": 1.0,
        "price_cache": lookups(90),
        "book_cache": lookups(90),
        "operations": {},
        "batches": BatchFigures(sent=10, orders=50, size=5),
        "performance": PerformanceSettings(),
        "calls_granted": 100,
        "calls_refused": 0,
        "target_latency_ms": 500.0,
        "max_slippage_bps": 5.0,
    }
    return recommendations(MeasuredFigures(**{**values, **changes}))  # type: ignore[arg-type]  # test data


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slippage": 7.0}, "p95 slippage is 7.00 bps"),
        ({"latency": 700.0}, "p95 latency is 700 ms"),
        ({"fill_rate": 0.5}, "mean fill rate is 50.0 %"),
        ({"quality": 60.0}, "mean quality score is 60.0"),
        ({"failed": 10}, "33 % ended without a fill"),
        ({"price_cache": lookups(10)}, "raise price_cache_ttl: 10 % of price look-ups"),
        ({"book_cache": lookups(20)}, "raise order_book_cache_ttl: 20 % of order_book look-ups"),
        ({"calls_refused": 100}, "50 % of calls came sooner than min_api_interval"),
        ({"operations": timed("get_ticker", slow=2).figures}, "get_ticker: 10 % took longer"),
        (
            {"batches": BatchFigures(sent=10, orders=10, size=5)},
            "lower batch_size or send directly: batches leave 20 % full",
        ),
    ],
)
def test_each_measured_figure_triggers_its_own_advice(
    changes: dict[str, object], said: str
) -> None:
    (sentence,) = advice(**changes)
    assert said in sentence


@pytest.mark.parametrize(
    ("changes", "key", "value"),
    [
        ({"price_cache": lookups(10)}, "min_cache_hit_rate_pct", 5.0),
        ({"calls_refused": 100}, "max_refused_calls_pct", 60.0),
        ({"operations": timed("get_ticker", slow=2).figures}, "max_slow_operations_pct", 15.0),
        ({"batches": BatchFigures(sent=10, orders=10, size=5)}, "min_batch_fill_pct", 10.0),
    ],
)
def test_the_thresholds_of_advice_come_from_the_settings(
    changes: dict[str, object], key: str, value: float
) -> None:
    assert len(advice(**changes)) == 1
    assert advice(**changes, performance=PerformanceSettings.model_validate({key: value})) == []


def test_only_the_three_slowest_operations_are_named() -> None:
    figures = {
        name: timed(name, slow=slow).figures[name]
        for slow, name in enumerate(("get_a", "get_b", "get_c", "get_d"), start=2)
    }
    said = advice(operations=figures)
    assert [text.split(":")[0][-5:] for text in said] == ["get_d", "get_c", "get_b"]


def test_there_is_no_advice_without_cause_or_figures() -> None:
    assert advice() == []
    few = lookups(0, count=19)
    assert advice(price_cache=few, book_cache=few, calls_granted=0, calls_refused=3) == []
    assert advice(operations=timed("get_ticker", slow=5, count=5).figures) == []
    assert advice(batches=BatchFigures(sent=9, orders=9, size=5)) == []


@pytest.mark.parametrize(("size", "timeout_s"), [(0, 1.0), (1, -1.0)])
def test_a_batch_needs_room_and_time(size: int, timeout_s: float) -> None:
    async def flush(items: list[int]) -> list[int]:
        return items

    with pytest.raises(ValidationError):
        Batcher(flush, size=size, timeout_s=timeout_s)


async def test_a_batch_that_fails_fails_for_all_of_it() -> None:
    async def flush(items: list[int]) -> list[int]:
        raise KeyError(len(items))

    batcher = Batcher(flush, size=2, timeout_s=1.0)
    async with asyncio.TaskGroup() as group:
        other = group.create_task(expect(batcher, KeyError))
        with pytest.raises(KeyError):
            await batcher.add(2)
    assert other.done()


async def test_those_who_wait_learn_that_their_batch_was_cut_off() -> None:
    async def flush(items: list[int]) -> list[int]:
        await asyncio.Event().wait()
        return items

    batcher = Batcher(flush, size=2, timeout_s=1.0)
    async with asyncio.TaskGroup() as group:
        leader = group.create_task(batcher.add(1))
        await asyncio.sleep(0)
        group.create_task(expect(batcher, DeadlineExceeded))
        for _ in range(4):
            await asyncio.sleep(0)
        leader.cancel()


async def expect(batcher: Batcher[int, int], error: type[Exception]) -> None:
    with pytest.raises(error):
        await batcher.add(1)
