"""Figures of the simulator in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "trading_cost_"
_QUANTILES = (("0.5", "p50_us"), ("0.95", "p95_us"), ("0.99", "p99_us"))
_US_PER_S = 1_000_000.0

Labels = Mapping[str, str]
Sample = tuple[Labels, float | int | None]


def exposition(status: Mapping[str, Any]) -> str:
    """Return the metrics of ``status`` (as ``CostSimulator.status`` gives it).

    A figure that is not known has no sample.
    """
    lines: list[str] = []
    for name, kind, meaning, samples in _families(status):
        lines += _family(f"{_PREFIX}{name}", kind, meaning, samples)
    return "\n".join(lines) + "\n"


def _families(status: Mapping[str, Any]) -> Iterable[tuple[str, str, str, list[Sample]]]:
    markets: list[Mapping[str, Any]] = status["markets"]
    process: Mapping[str, Any] = status["process"]
    rss_mib = process["rss_mib"]

    def each(key: str) -> list[Sample]:
        return [(_of(market), market[key]) for market in markets]

    yield "healthy", "gauge", "Whether every book can be priced.", [({}, status["is_healthy"])]
    yield "estimates_total", "counter", "Estimates made.", [({}, status["estimates"])]
    yield "uptime_seconds", "gauge", "Time since the start.", [({}, status["uptime_s"])]
    yield "book_priceable", "gauge", "Whether the book can be priced.", each("is_priceable")
    yield "book_age_seconds", "gauge", "Time since the book was known right.", each("age_s")
    yield "book_ticks_total", "counter", "Messages that changed the book.", each("ticks")
    yield "book_ticks_per_second", "gauge", "Rate over ten seconds.", each("ticks_per_s")
    yield "volatility_bps", "gauge", "Realised, over one second.", each("volatility_bps")
    yield "stage_seconds", "summary", "Internal latency by stage.", list(_stages(markets))
    for key in ("resyncs", "gaps", "connects"):
        meaning = f"Feed's {key} since the start."
        samples: list[Sample] = [
            ({"exchange": exchange}, figures.get(key))
            for exchange, figures in status["feeds"].items()
        ]
        yield f"feed_{key}_total", "counter", meaning, samples
    rss = None if rss_mib is None else rss_mib * 1024 * 1024
    yield "resident_memory_bytes", "gauge", "Memory of the process.", [({}, rss)]
    yield "cpu_seconds_total", "counter", "Processor time used.", [({}, process["cpu_s"])]


def _stages(markets: Iterable[Mapping[str, Any]]) -> Iterable[Sample]:
    for market in markets:
        for stage, figures in market["latency"].items():
            for quantile, key in _QUANTILES:
                if figures[key] is not None:
                    labels = {**_of(market), "stage": stage, "quantile": quantile}
                    yield labels, figures[key] / _US_PER_S


def _of(market: Mapping[str, Any]) -> Labels:
    return {"exchange": market["exchange"], "instrument": market["instrument"]}


def _family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> list[str]:
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        if value is None:
            continue
        named = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{named}}} {float(value)!r}" if named else f"{name} {float(value)!r}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
