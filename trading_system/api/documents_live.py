"""Shapes of the answers that show figures over time: status, latency, market, alerts, journal."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trading_system.api.documents import (
    Base,
    Behaviour,
    Bps,
    Document,
    Level,
    Micros,
    Percent,
    Point,
    Price,
    Process,
    Quote,
    Seconds,
    Side,
    TimeInCompliance,
    UtcMs,
)


class AlertSummary(Document):
    """How many alerts there are, and what became of their messages."""

    firing: Annotated[int, Field(ge=0)]
    unacknowledged: Annotated[int, Field(ge=0)]
    worst: Literal["info", "warning", "critical"] | None
    sent: Annotated[int, Field(ge=0)]
    dropped: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]


class FigureDrift(Document):
    """Whether one figure has changed for good; values in the unit its name ends with."""

    state: Literal["learning", "steady", "worse", "better"]
    reference: float | None
    now: float | None
    since_s: Seconds | None
    samples: Annotated[int, Field(ge=0)]


class Degradation(Document):
    """Which figures have changed for the worse."""

    figures: dict[str, FigureDrift]
    degraded: list[str]


class StatusDocument(BaseModel):
    """``GET /status``; parts that are not in use or not measured are null."""

    model_config = ConfigDict(extra="allow")

    status: Annotated[str, Field(description="state for people, e.g. running")]
    system_active: bool
    state: Annotated[
        str, Field(description="NEW, STARTING, RUNNING, DEGRADED, STOPPING, STOPPED or FAILED")
    ]
    environment: str
    symbols: list[str]
    uptime_s: Seconds
    stop_reason: str | None
    performance_targets: dict[str, float]
    component_status: dict[str, dict[str, Any]]
    system_health: dict[str, Any]
    performance_compliance: dict[str, bool]
    compliance_targets: list[dict[str, Any]]
    compliance_state: str
    execution: dict[str, Any]
    signals: Annotated[int, Field(description="decisions made", ge=0)]
    orders: Annotated[dict[str, int], Field(description="orders by outcome")]
    fills: Annotated[int, Field(ge=0)]
    exits: Annotated[int, Field(ge=0)]
    success_rate_pct: Percent | None
    win_rate_pct: Percent | None
    slippage_bps: Bps | None
    fees_bps: Bps | None
    stages: dict[str, dict[str, float | int | None]]
    health: dict[str, Any]
    trading_state: Annotated[str, Field(description="ACTIVE, REDUCING or HALTED")]
    holds: dict[str, Any]
    equity: Quote | None
    drawdown_pct: Percent | None
    daily_pnl_pct: Percent | None
    protective_stops: int | None
    market_maker: dict[str, Any] | None
    agents: list[dict[str, Any]]
    event_loop: dict[str, Any] | None
    pnl_quote: Quote | None
    edge: dict[str, Any]
    position: dict[str, Any]
    open_orders: int | None
    own_open_orders: int | None
    frames_per_second: float | None
    streams: dict[str, Any]
    behaviour: Behaviour | None
    alerts: AlertSummary | None
    process: Process | None
    time_in_compliance: TimeInCompliance | None
    degradation: Degradation | None


class Percentiles(Document):
    """Percentiles of one stage, null without a sample."""

    p50_us: Micros | None
    p95_us: Micros | None
    p99_us: Micros | None
    max_us: Micros | None
    samples: Annotated[int, Field(ge=0)]


class StageFigures(Document):
    """One stage over the last window and since the start."""

    rolling: Percentiles
    since_start: Percentiles


class QueueFill(Document):
    """Entries that wait, and how many may."""

    size: int | None
    capacity: int | None


class Queues(Document):
    """What waits inside the process."""

    requests: QueueFill
    journal_backlog: int | None
    orders_live: int | None


class LatencyDocument(Document):
    """``GET /latency``."""

    stages: dict[str, StageFigures]
    window_s: Seconds
    event_loop: dict[str, Any] | None
    process: Process | None
    queues: Queues


class Alert(Document):
    """One alert; ``value`` and ``threshold`` are in the unit of its rule."""

    id: str
    rule: str
    subject: str
    severity: Literal["info", "warning", "critical"]
    state: Literal["firing", "acknowledged", "cleared"]
    message: str
    remedy: str
    since_ms: UtcMs
    cleared_ms: UtcMs | None
    value: float | None
    threshold: float | None
    times: Annotated[int, Field(description="how often it began to fire", ge=0)]
    sent: Annotated[int, Field(description="messages sent", ge=0)]
    note: str


class Delivery(Document):
    """What became of the messages."""

    sinks: list[str]
    sent: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]
    dropped: Annotated[int, Field(ge=0)]
    last_error: str | None
    heartbeats: Annotated[int, Field(ge=0)]
    heartbeat_failed: Annotated[int, Field(ge=0)]


class AlertsDocument(Document):
    """``GET /alerts``, the worst first."""

    alerts: list[Alert]
    delivery: Delivery


class OwnOrder(Document):
    """An own order in the book."""

    side: Side
    price: float
    quantity: float
    link_id: str


class Trade(Document):
    """A public trade."""

    time_ms: UtcMs
    price: float
    quantity: float
    side: Side


class MarketDocument(Document):
    """``GET /market/{symbol}``; a picture, so prices and quantities are numbers."""

    symbol: str
    time_ms: UtcMs | None
    age_s: Seconds | None
    is_ready: bool
    bid: float | None
    ask: float | None
    mid: float | None
    microprice: float | None
    spread_bps: Bps | None
    imbalance: Annotated[float | None, Field(description="of 10 levels, -1 to 1")]
    tick_size: float | None
    qty_step: float | None
    mark_price: float | None
    funding_rate: Annotated[float | None, Field(description="fraction per funding interval")]
    bids: list[Level]
    asks: list[Level]
    own_orders: list[OwnOrder]
    trades: Annotated[list[Trade], Field(max_length=30, description="newest first")]


class Candle(Document):
    """Prices in quote currency, volume in base currency."""

    start_ms: UtcMs
    open: float
    high: float
    low: float
    close: float
    volume: float


class CandleFill(Document):
    """An own fill inside the candles."""

    time_ms: UtcMs
    price: float
    side: Side
    quantity: float


class CandlesDocument(Document):
    """``GET /candles/{symbol}``, oldest first."""

    symbol: str
    interval: str
    candles: list[Candle]
    fills: list[CandleFill]


class MakerQuote(Document):
    """A resting quote."""

    symbol: str
    side: Side
    price: Price
    quantity: Base
    link_id: str
    age_s: Seconds


class MarketMakerDocument(Document):
    """``GET /market-maker``."""

    active: bool
    figures: dict[str, Any] | None
    quotes: list[MakerQuote]
    pnl_series: Annotated[
        dict[str, list[Point]] | None, Field(description="quote currency over time")
    ]


class JournalRow(Document):
    """One row of the journal."""

    number: int
    kind: str
    run_id: str | None
    key: str | None
    time_ms: UtcMs
    payload: dict[str, Any] | None


class JournalDocument(Document):
    """``GET /journal``, newest first."""

    rows: list[JournalRow]
    next_before: Annotated[int | None, Field(description="`before` of the next page, null at end")]
    failure: Annotated[str | None, Field(description="why the journal cannot be read or written")]


class LogLine(Document):
    """One log line."""

    number: int
    time_ms: UtcMs
    level: str
    event: str
    fields: dict[str, Any]


class LogDocument(Document):
    """``GET /log``, oldest first."""

    lines: list[LogLine]
    next_after: Annotated[int, Field(description="`after` of the next call")]


class Standing(BaseModel):
    """Answer to a command: what trading is allowed now, and what the command did."""

    model_config = ConfigDict(extra="allow")


class Stopping(Document):
    """Answer to an accepted stop."""

    accepted: bool
    reason: str
