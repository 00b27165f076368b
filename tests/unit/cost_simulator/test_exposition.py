"""Prometheus text: escaped labels, no sample for what is not known, read by the real parser."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from trading_system.cost_simulator.exposition import exposition

STAGE = {"p50_us": None, "p95_us": None, "p99_us": None, "max_us": None, "samples": 0}
MARKET: dict[str, Any] = {
    "exchange": "okx",
    "instrument": 'A"\\\n',
    "is_priceable": False,
    "age_s": None,
    "ticks": 3,
    "ticks_per_s": None,
    "volatility_bps": None,
    "latency": {"book_update": {**STAGE, "p50_us": 2.0}},
}
STATUS: dict[str, Any] = {
    "is_healthy": False,
    "estimates": 2,
    "uptime_s": 1.5,
    "markets": [MARKET],
    "feeds": {"okx": {"resyncs": 1, "gaps": 0}},
    "process": {"rss_mib": None, "cpu_s": 0.5, "threads": 1},
}


def test_every_sample_is_a_line_that_names_its_market() -> None:
    lines = exposition(STATUS).splitlines()
    of = r'{exchange="okx",instrument="A\"\\\n"}'
    assert f"trading_cost_book_ticks_total{of} 3.0" in lines
    assert 'trading_cost_feed_resyncs_total{exchange="okx"} 1.0' in lines
    assert "trading_cost_healthy 0.0" in lines
    assert sum(line.startswith("trading_cost_stage_seconds{") for line in lines) == 1


def test_what_is_not_known_has_no_sample() -> None:
    samples = [line for line in exposition(STATUS).splitlines() if not line.startswith("#")]
    for name in ("book_age_seconds", "resident_memory_bytes", "volatility_bps", "connects"):
        assert not any(name in line for line in samples)


def test_prometheus_own_parser_reads_every_family_with_its_name_and_kind() -> None:
    kinds = {
        family.name: family.type for family in text_string_to_metric_families(exposition(STATUS))
    }
    assert kinds == {
        "trading_cost_healthy": "gauge",
        "trading_cost_estimates": "counter",
        "trading_cost_uptime_seconds": "gauge",
        "trading_cost_book_priceable": "gauge",
        "trading_cost_book_age_seconds": "gauge",
        "trading_cost_book_ticks": "counter",
        "trading_cost_book_ticks_per_second": "gauge",
        "trading_cost_volatility_bps": "gauge",
        "trading_cost_stage_seconds": "summary",
        "trading_cost_feed_resyncs": "counter",
        "trading_cost_feed_gaps": "counter",
        "trading_cost_feed_connects": "counter",
        "trading_cost_resident_memory_bytes": "gauge",
        "trading_cost_cpu_seconds": "counter",
    }
