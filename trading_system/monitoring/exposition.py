"""The system's figures for Prometheus, in its text format (version 0.0.4).

Rendered from the dicts that the API answers with, by a collector of its own: nothing is registered
globally and nothing is measured here. Names begin with ``trading_`` and carry their unit (seconds,
bytes, ratio in [0, 1], bps, quote currency); counters end in ``_total``. A figure that is not known
has no sample, so that an absent series means "not measured" and never zero.

Labels are bounded: states are enumerated, and of names (symbols, stages, agents, rules) at most
100 per figure are told. Texts such as reasons, messages and addresses are never labels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from typing_extensions import override

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
"""What an answer with this text is declared as."""

_MAX_LABELS: Final = 100
_MAX_LABEL_TEXT: Final = 80
_MIB: Final = 1024.0 * 1024.0
_MILLI: Final = 1e-3
_MICRO: Final = 1e-6
_PERCENT: Final = 1e-2

_LIFECYCLE: Final = ("NEW", "STARTING", "RUNNING", "DEGRADED", "STOPPING", "STOPPED", "FAILED")
_TRADING: Final = ("ACTIVE", "REDUCING", "HALTED")
_LEVELS: Final = ("normal", "throttle", "reduce-only", "halt")
_SEVERITIES: Final = ("info", "warning", "critical")
_QUANTILES: Final = (("0.5", "p50_us"), ("0.95", "p95_us"), ("0.99", "p99_us"), ("1", "max_us"))

# Name, meaning, path in {status, latency}, scale to the base unit.
_Row = tuple[str, str, str, float]
_GAUGES: Final[tuple[_Row, ...]] = (
    ("running", "Whether the system trades or could.", "status.system_active", 1.0),
    ("uptime_seconds", "Time since the start.", "status.uptime_s", 1.0),
    ("health_score", "Health, 0 to 100.", "status.health.score", 1.0),
    ("behaviour_score", "Health that the behaviour is judged by.", "status.behaviour.score", 1.0),
    ("success_ratio", "Parent orders completed in limits.", "status.success_rate_pct", _PERCENT),
    ("win_ratio", "Trades closed with profit after fees.", "status.win_rate_pct", _PERCENT),
    ("slippage_bps", "Mean slippage, positive is a cost.", "status.slippage_bps", 1.0),
    ("fees_bps", "Fees over traded value.", "status.fees_bps", 1.0),
    ("pnl_quote", "Profit and loss since the start.", "status.pnl_quote", 1.0),
    ("equity_quote", "Equity of the account.", "status.equity", 1.0),
    ("drawdown_ratio", "Fall from the equity peak.", "status.drawdown_pct", _PERCENT),
    ("daily_pnl_ratio", "Change since midnight UTC.", "status.daily_pnl_pct", _PERCENT),
    ("open_orders", "Orders at work by the own books.", "status.own_open_orders", 1.0),
    ("orders_unknown", "Orders whose outcome is unknown.", "status.orders.unknown", 1.0),
    ("protective_stops", "Stops that rest at the venue.", "status.protective_stops", 1.0),
    ("frames_per_second", "Market data frames.", "status.frames_per_second", 1.0),
    (
        "clock_offset_seconds",
        "The venue's clock minus the own one.",
        "status.streams.clock_offset_ms",
        _MILLI,
    ),
    ("queue_requests", "Requests that wait.", "latency.queues.requests.size", 1.0),
    ("queue_capacity", "Requests that may wait.", "latency.queues.requests.capacity", 1.0),
    ("journal_backlog", "Rows not on disk yet.", "latency.queues.journal_backlog", 1.0),
    ("gc_pause_max_seconds", "Longest newest pause.", "status.event_loop.gc_pause_max_ms", _MILLI),
    ("resident_memory_bytes", "Memory.", "status.process.rss_mib", _MIB),
    ("resident_memory_peak_bytes", "Most memory.", "status.process.peak_rss_mib", _MIB),
    ("cpu_ratio", "Processor use, of one core.", "status.process.cpu_pct", _PERCENT),
    ("threads", "Threads.", "status.process.threads", 1.0),
    ("open_files", "File descriptors in use.", "status.process.open_files", 1.0),
    ("maker_share_ratio", "Value traded as maker.", "status.market_maker.maker_share_pct", 0.01),
)
_COUNTERS: Final[tuple[_Row, ...]] = (
    ("signals_total", "Signals made.", "status.signals", 1.0),
    ("orders_sent_total", "Orders sent.", "status.orders.sent", 1.0),
    ("orders_denied_total", "Orders refused by the risk gate.", "status.orders.denied", 1.0),
    ("fills_total", "Fills.", "status.fills", 1.0),
    ("exits_total", "Exits begun.", "status.exits", 1.0),
    ("trades_closed_total", "Trades closed.", "status.system_health.total_trades", 1.0),
    ("book_gaps_total", "Gaps found in market data.", "status.streams.gaps", 1.0),
    ("frames_rejected_total", "Untrusted frames.", "status.streams.rejected_frames", 1.0),
    ("books_suspect_total", "Books in doubt.", "status.streams.suspect_books", 1.0),
    ("books_refuted_total", "Books level 1 proved wrong.", "status.streams.refuted_books", 1.0),
    ("topics_silent_total", "Level-1 topics fallen silent.", "status.streams.silent_topics", 1.0),
    ("schema_drift_total", "Rows unlike documented.", "status.streams.schema_drift", 1.0),
    (
        "execution_conflicts_total",
        "Executions told in two ways.",
        "status.streams.execution_conflicts",
        1.0,
    ),
    ("topic_renewals_total", "Topics subscribed anew.", "status.streams.resyncs", 1.0),
    ("behaviour_changes_total", "Changes of level.", "status.behaviour.changes", 1.0),
    ("cpu_seconds_total", "Processor time used.", "status.process.cpu_s", 1.0),
    ("received_bytes_total", "Bytes from the venue.", "status.process.received_mib", _MIB),
    ("sent_bytes_total", "Bytes to the venue.", "status.process.sent_mib", _MIB),
)


def render(
    status: Mapping[str, Any], latency: Mapping[str, Any], *, alerts: Mapping[str, Any]
) -> bytes:
    """Return the text that Prometheus scrapes.

    Parameters
    ----------
    status, latency, alerts : Mapping[str, Any]
        Answers of ``GET /status``, ``GET /latency`` and ``GET /alerts``. A part that is missing or
        null has no samples.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(status, latency, alerts))
    return generate_latest(registry)


class _Figures(Collector):
    # Everything there is to say of one instant.

    def __init__(
        self, status: Mapping[str, Any], latency: Mapping[str, Any], alerts: Mapping[str, Any]
    ) -> None:
        self._root = {"status": status, "latency": latency}
        self._status, self._latency, self._alerts = status, latency, alerts

    @override
    def collect(self) -> Iterator[Metric]:
        for name, meaning, path, scale in _GAUGES:
            gauge = _gauge(name, meaning)
            _add(gauge, (), _at(self._root, path), scale)
            yield gauge
        for name, meaning, path, scale in _COUNTERS:
            counter = CounterMetricFamily(f"trading_{name}", meaning)
            _add(counter, (), _at(self._root, path), scale)
            yield counter
        yield from _states(self._status)
        yield from _judgements(self._status)
        yield from _trading(self._status)
        yield from _stages(self._latency)
        yield _loop(self._status)
        yield from _alerts(self._alerts)


def _states(status: Mapping[str, Any]) -> Iterator[Metric]:
    info = _gauge("info", "Always 1; what runs.", "environment")
    _add(info, (status.get("environment"),), 1)
    yield info
    yield _one_of("lifecycle_state", "State of the system.", _LIFECYCLE, status.get("state"))
    yield _one_of("order_state", "What the gate lets pass.", _TRADING, status.get("trading_state"))
    level = _at(status, "behaviour.level")
    yield _one_of("behaviour_level", "What health makes the system do.", _LEVELS, level)


def _judgements(status: Mapping[str, Any]) -> Iterator[Metric]:
    health = _gauge("health_part_ratio", "Share of its points a part earned.", "part")
    for name, share in _items(_at(status, "health.parts")):
        _add(health, (name,), share)
    yield health
    met = _gauge("compliance_met", "Whether a judged target is met.", "target")
    measured = _gauge("compliance_measured", "Whether a judged target was measured.", "target")
    for row in _rows(status.get("compliance_targets")):
        if row.get("judged"):
            _add(met, (row.get("name"),), row.get("met"))
            _add(measured, (row.get("name"),), row.get("measured") is not None)
    yield met
    yield measured
    time_met = _gauge("compliance_time_ratio", "Share of the time a target was met.", "target")
    for name, figures in _items(_at(status, "time_in_compliance.targets")):
        _add(time_met, (name,), _at(figures, "met_pct"), _PERCENT)
    yield time_met
    worse = _gauge("degraded", "Whether a figure got worse.", "figure")
    for name, figures in _items(_at(status, "degradation.figures")):
        _add(worse, (name,), _at(figures, "state") == "worse")
    yield worse


def _trading(status: Mapping[str, Any]) -> Iterator[Metric]:
    ended = CounterMetricFamily("trading_orders_ended", "Orders by outcome.", labels=["outcome"])
    for outcome in ("filled", "cancelled", "rejected"):
        _add(ended, (outcome,), _at(status, f"orders.{outcome}"))
    yield ended
    position = _gauge("position_base", "Signed position by the own books.", "symbol")
    for symbol, quantity in _items(_at(status, "position.local")):
        _add(position, (symbol,), quantity)
    yield position
    connects = CounterMetricFamily(
        "trading_stream_connects", "Connections opened.", labels=["stream"]
    )
    for stream in ("public", "private", "trade"):
        _add(connects, (stream,), _at(status, f"streams.{stream}_connects"))
    yield connects
    brier = _gauge("agent_brier", "Mean squared error of an agent; 0.25 is a coin.", "agent")
    weight = _gauge("agent_weight", "Share of an agent in the consensus.", "agent")
    for row in _rows(status.get("agents")):
        _add(brier, (row.get("name"),), row.get("brier"))
        _add(weight, (row.get("name"),), row.get("weight"))
    yield brier
    yield weight
    profit = _gauge("maker_pnl_quote", "A market maker's profit and loss by source.", "source")
    for source in ("spread_capture", "inventory", "fees", "funding"):
        _add(profit, (source,), _at(status, f"market_maker.pnl.{source}"))
    yield profit


def _stages(latency: Mapping[str, Any]) -> Iterator[Metric]:
    total = HistogramMetricFamily(
        "trading_stage_duration_seconds", "Latency since the start.", labels=["stage"]
    )
    rolling = _summary("stage_rolling_seconds", "Latency of the newest minute.", "stage")
    for stage, figures in _items(latency.get("stages")):
        _add_histogram(total, stage, _at(figures, "histogram"))
        for quantile, key in _QUANTILES:
            labels = {"stage": stage, "quantile": quantile}
            _add_quantile(rolling, labels, _at(figures, f"rolling.{key}"), _MICRO)
    yield total
    yield rolling


def _add_histogram(family: HistogramMetricFamily, stage: str, histogram: object) -> None:
    if not isinstance(histogram, Mapping) or not histogram["count"]:
        return  # a stage that was not measured, or a reader that keeps percentiles only
    buckets = [(repr(float(bound)), float(within)) for bound, within in histogram["buckets"]]
    buckets.append(("+Inf", float(histogram["count"])))
    family.add_metric([stage], buckets, histogram["sum_us"] * _MICRO)


def _loop(status: Mapping[str, Any]) -> Metric:
    lag = _summary("event_loop_lag_seconds", "Lateness of the event loop.")
    for quantile, key in (("0.5", "p50_ms"), ("0.99", "p99_ms"), ("1", "max_ms")):
        _add_quantile(lag, {"quantile": quantile}, _at(status, f"event_loop.{key}"), _MILLI)
    return lag


def _alerts(alerts: Mapping[str, Any]) -> Iterator[Metric]:
    rows = [row for row in _rows(alerts.get("alerts")) if row.get("state") != "cleared"]
    counts = Counter((row.get("severity"), row.get("state")) for row in rows)
    active = _gauge("alerts", "Alerts that are not cleared.", "severity", "state")
    if "alerts" in alerts:
        for severity in _SEVERITIES:
            for stage in ("firing", "acknowledged"):
                _add(active, (severity, stage), counts[severity, stage])
    yield active
    by_rule = _gauge("alert_active", "Subjects of a rule that are not cleared.", "rule", "severity")
    by_kind = Counter((row.get("rule"), row.get("severity")) for row in rows)
    for (rule, level), count in by_kind.items():
        _add(by_rule, (rule, level), count)
    yield by_rule
    sent = CounterMetricFamily("trading_alert_messages", "Messages.", labels=["outcome"])
    for outcome in ("sent", "failed", "dropped"):
        _add(sent, (outcome,), _at(alerts, f"delivery.{outcome}"))
    yield sent
    beats = CounterMetricFamily("trading_heartbeats", "Heartbeats.", labels=["outcome"])
    _add(beats, ("sent",), _at(alerts, "delivery.heartbeats"))
    _add(beats, ("failed",), _at(alerts, "delivery.heartbeat_failed"))
    yield beats


def _gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"trading_{name}", meaning, labels=labels)


def _summary(name: str, meaning: str, *labels: str) -> SummaryMetricFamily:
    return SummaryMetricFamily(f"trading_{name}", meaning, labels=labels)


def _add_quantile(
    family: SummaryMetricFamily, labels: dict[str, str], value: object, scale: float
) -> None:
    figure = _number(value)
    if figure is not None:
        family.add_sample(family.name, labels, figure * scale)


def _one_of(name: str, meaning: str, states: Iterable[str], state: object) -> Metric:
    family = _gauge(name, meaning, "state")
    if isinstance(state, str):
        for known in states:
            _add(family, (known,), known == state)
    return family


def _add(
    family: GaugeMetricFamily | CounterMetricFamily,
    labels: tuple[object, ...],
    value: object,
    scale: float = 1.0,
) -> None:
    figure = _number(value)
    if figure is None or len(family.samples) >= _MAX_LABELS:
        return
    if all(isinstance(label, str) for label in labels):
        family.add_metric([str(label)[:_MAX_LABEL_TEXT] for label in labels], figure * scale)


def _number(value: object) -> float | None:
    if not isinstance(value, (bool, int, float, str)):
        return None
    try:
        figure = float(value)
    except ValueError:
        return None
    return figure if math.isfinite(figure) else None


def _at(tree: object, path: str) -> object:
    for key in path.split("."):
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def _items(tree: object) -> Iterable[tuple[str, object]]:
    return list(tree.items())[:_MAX_LABELS] if isinstance(tree, Mapping) else ()


def _rows(rows: object) -> list[Mapping[str, Any]]:
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
