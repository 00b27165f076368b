"""Figures of the simulator in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from typing_extensions import override

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_PREFIX = "trading_cost_"
_QUANTILES = (("0.5", "p50_us"), ("0.95", "p95_us"), ("0.99", "p99_us"))
_US_PER_S = 1_000_000.0
_BYTES_PER_MIB = 1024 * 1024
_MARKET = ("exchange", "instrument")
_OF_MARKETS = (
    (GaugeMetricFamily, "book_priceable", "Whether the book can be priced.", "is_priceable"),
    (GaugeMetricFamily, "book_age_seconds", "Time since the book was known right.", "age_s"),
    (CounterMetricFamily, "book_ticks", "Messages that changed the book.", "ticks"),
    (GaugeMetricFamily, "book_ticks_per_second", "Rate over ten seconds.", "ticks_per_s"),
    (GaugeMetricFamily, "volatility_bps", "Realised, over one second.", "volatility_bps"),
)


def exposition(status: Mapping[str, Any]) -> str:
    """Return the metrics of ``status`` (as ``CostSimulator.status`` gives it).

    A figure that is not known has no sample.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(status))
    return generate_latest(registry).decode()


class _Figures(Collector):
    # Everything there is to say of one instant.

    def __init__(self, status: Mapping[str, Any]) -> None:
        self._status = status

    @override
    def collect(self) -> Iterator[Metric]:
        status, process = self._status, self._status["process"]
        rss_mib = process["rss_mib"]
        rss = None if rss_mib is None else rss_mib * _BYTES_PER_MIB
        yield _gauge("healthy", "Whether every book can be priced.", status["is_healthy"])
        yield _counter("estimates", "Estimates made.", status["estimates"])
        yield _gauge("uptime_seconds", "Time since the start.", status["uptime_s"])
        yield from _markets(status["markets"])
        yield from _feeds(status["feeds"])
        yield _gauge("resident_memory_bytes", "Memory of the process.", rss)
        yield _counter("cpu_seconds", "Processor time used.", process["cpu_s"])


def _markets(markets: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    for kind, name, meaning, key in _OF_MARKETS:
        family = kind(f"{_PREFIX}{name}", meaning, labels=_MARKET)
        for market in markets:
            if market[key] is not None:
                family.add_metric([market[label] for label in _MARKET], float(market[key]))
        yield family
    stages = SummaryMetricFamily(
        f"{_PREFIX}stage_seconds", "Internal latency by stage.", labels=(*_MARKET, "stage")
    )
    for market in markets:
        of = {label: market[label] for label in _MARKET}
        for stage, figures in market["latency"].items():
            for quantile, key in _QUANTILES:
                if figures[key] is not None:
                    labels = {**of, "stage": stage, "quantile": quantile}
                    stages.add_sample(stages.name, labels, figures[key] / _US_PER_S)
    yield stages


def _feeds(feeds: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    for key in ("resyncs", "gaps", "connects"):
        family = CounterMetricFamily(
            f"{_PREFIX}feed_{key}", f"Feed's {key} since the start.", labels=["exchange"]
        )
        for exchange, figures in feeds.items():
            if figures.get(key) is not None:
                family.add_metric([exchange], float(figures[key]))
        yield family


def _gauge(name: str, meaning: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}{name}", meaning, labels=())
    if value is not None:
        family.add_metric([], float(value))
    return family


def _counter(name: str, meaning: str, value: float | None) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}{name}", meaning, labels=())
    if value is not None:
        family.add_metric([], float(value))
    return family
