"""Prometheus text: the real parser reads it, the unknown has no sample, labels are bounded."""

import copy
import math

import pytest
from inspection import FakeInspection, full_status
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from snapshots import NEW_SNAPSHOT

from trading_system.monitoring.exposition import CONTENT_TYPE, render
from trading_system.monitoring.latency import STAGES, StageLatency
from trading_system.monitoring.status import status_of
from trading_system.runtime.clock import ManualClock

US = 1_000


def measured_latency():
    stages = StageLatency(clock=ManualClock())
    for stage in STAGES[:-1]:
        for duration_us in (80, 300, 300, 1_500, 40_000):
            stages.record(stage, duration_us * US)
    return {**FakeInspection().latency(), "stages": stages.detail()}


def samples_of(status=None, latency=None, alerts=None):
    status = full_status() if status is None else status
    latency = measured_latency() if latency is None else latency
    alerts = FakeInspection().alerts() if alerts is None else alerts
    text = render(status, latency, alerts=alerts).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def one(samples, name, **labels):
    return samples.get((name, tuple(sorted(labels.items()))))


def test_figures_are_told_in_base_units():
    status = full_status()
    status["process"] |= {"rss_mib": 200.0, "received_mib": 1.5}
    samples = samples_of(status)
    assert one(samples, "trading_health_score") == 97.0
    assert one(samples, "trading_equity_quote") == 100_012.5
    assert one(samples, "trading_success_ratio") == 0.75
    assert one(samples, "trading_resident_memory_bytes") == 200 * 1024 * 1024
    assert one(samples, "trading_received_bytes_total") == 1.5 * 1024 * 1024
    assert one(samples, "trading_event_loop_lag_seconds", quantile="0.99") == 0.0011
    assert one(samples, "trading_orders_ended_total", outcome="filled") == 6.0
    assert one(samples, "trading_position_base", symbol="BTCUSDT") == 0.015
    assert one(samples, "trading_info", environment="simulated") == 1.0


def test_a_state_is_one_series_each_and_exactly_one_is_one():
    samples = samples_of(full_status(state="STOPPED", trading_state="HALTED"))
    for name, state in (("lifecycle_state", "STOPPED"), ("order_state", "HALTED")):
        of = {key: value for key, value in samples.items() if key[0] == f"trading_{name}"}
        assert sum(of.values()) == 1.0
        assert one(samples, f"trading_{name}", state=state) == 1.0


def test_stages_are_histograms_since_the_start_and_rolling_quantiles():
    samples = samples_of()
    bucket = "trading_stage_duration_seconds_bucket"
    assert one(samples, bucket, stage="ack", le="0.0001") == 1.0
    assert one(samples, bucket, stage="ack", le="0.0005") == 3.0
    assert one(samples, bucket, stage="ack", le="0.05") == 5.0
    assert one(samples, bucket, stage="ack", le="+Inf") == 5.0
    assert one(samples, "trading_stage_duration_seconds_count", stage="ack") == 5.0
    assert one(samples, "trading_stage_duration_seconds_sum", stage="ack") == pytest.approx(0.04218)
    rolling = one(samples, "trading_stage_rolling_seconds", stage="ack", quantile="0.5")
    assert rolling == pytest.approx(300e-6, rel=0.01)


def test_buckets_of_a_stage_never_fall():
    samples = samples_of()
    within = [
        (float(dict(labels)["le"]), value)
        for (name, labels), value in samples.items()
        if name == "trading_stage_duration_seconds_bucket" and dict(labels)["stage"] == "book"
    ]
    assert [value for _, value in sorted(within)] == sorted(value for _, value in within)


def test_what_is_not_known_has_no_sample():
    samples = samples_of(status_of(NEW_SNAPSHOT), {"stages": StageLatency().detail()}, {})
    names = {name for name, _ in samples}
    for absent in (
        "trading_success_ratio",
        "trading_slippage_bps",
        "trading_resident_memory_bytes",
        "trading_stage_duration_seconds_bucket",
        "trading_stage_rolling_seconds",
        "trading_event_loop_lag_seconds",
        "trading_behaviour_level",
        "trading_queue_requests",
        "trading_alerts",
        "trading_heartbeats_total",
    ):
        assert absent not in names
    assert one(samples, "trading_running") == 0.0
    assert one(samples, "trading_lifecycle_state", state="NEW") == 1.0


@pytest.mark.parametrize("part", ["status", "latency", "alerts"])
def test_an_empty_part_leaves_the_others_told(part):
    given = {part: {}}
    assert samples_of(**given)


def test_a_stage_without_buckets_has_its_rolling_figures_only():
    samples = samples_of(latency=FakeInspection().latency())
    assert not any(name.startswith("trading_stage_duration") for name, _ in samples)
    rolling = one(samples, "trading_stage_rolling_seconds", stage="order_ack", quantile="0.95")
    assert rolling == pytest.approx(400e-6)


def test_alerts_are_counted_by_severity_and_state_and_cleared_ones_are_not():
    samples = samples_of()
    assert one(samples, "trading_alerts", severity="critical", state="firing") == 1.0
    assert one(samples, "trading_alerts", severity="warning", state="acknowledged") == 1.0
    assert one(samples, "trading_alerts", severity="info", state="firing") == 0.0
    assert one(samples, "trading_alert_active", rule="latency", severity="warning") == 1.0
    assert one(samples, "trading_alert_active", rule="queue", severity="info") is None


def test_no_text_of_an_alert_or_a_reason_is_told():
    secret = "canary-5f3a"
    alerts = FakeInspection().alerts()
    for row in alerts["alerts"]:
        row |= {
            "message": secret,
            "remedy": secret,
            "note": secret,
            "subject": secret,
            "id": secret,
        }
    alerts["delivery"] |= {"last_error": secret, "sinks": [secret]}
    status = full_status()
    status["stop_reason"] = status["health"]["reasons"][0] = secret
    status["behaviour"]["reason"] = status["agents"][0]["note"] = secret
    status["holds"]["reasons"] = [secret]
    assert secret.encode() not in render(status, measured_latency(), alerts=alerts)


def test_labels_are_bounded_in_number_and_length():
    status = copy.deepcopy(full_status())
    status["position"]["local"] = {f"S{number}" + "X" * 500: "1" for number in range(5_000)}
    series = [
        dict(labels)["symbol"]
        for name, labels in samples_of(status)
        if name == "trading_position_base"
    ]
    assert len(series) == 100
    assert max(map(len, series)) == 80


@pytest.mark.parametrize("broken", ["nan", "inf", "text", math.nan, None, [], {}])
def test_a_figure_that_is_no_number_has_no_sample(broken):
    status = full_status()
    status["equity"] = status["uptime_s"] = broken
    samples = samples_of(status)
    assert one(samples, "trading_equity_quote") is None
    assert one(samples, "trading_uptime_seconds") is None


def test_rendering_registers_nothing_globally_and_can_be_repeated():
    before = set(REGISTRY._names_to_collectors)
    assert samples_of() == samples_of()
    assert set(REGISTRY._names_to_collectors) == before
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_every_name_has_its_prefix_and_counters_end_in_total():
    text = render(full_status(), measured_latency(), alerts=FakeInspection().alerts()).decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.name.startswith("trading_") for family in families)
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.documentation
        if family.type == "counter":
            assert f"# TYPE {family.name}_total counter" in text
