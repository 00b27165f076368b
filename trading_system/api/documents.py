"""Shapes of the control API's answers, for its OpenAPI document only.

Answers are plain dictionaries and are not validated while trading; the tests hold real answers
against these shapes. Money and quantities are texts, times are milliseconds since 1970 UTC, null
means "not measured".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Quote = Annotated[str, Field(description="quote currency, as text")]
Base = Annotated[str, Field(description="base currency, as text")]
Price = Annotated[str, Field(description="quote currency per unit of base currency, as text")]
UtcMs = Annotated[int, Field(description="milliseconds since 1970 UTC")]
Seconds = Annotated[float, Field(description="seconds")]
Bps = Annotated[float, Field(description="basis points")]
Percent = Annotated[float, Field(description="percent")]
Micros = Annotated[float, Field(description="microseconds")]
Share = Annotated[float, Field(description="0 to 1", ge=0, le=1)]
Score = Annotated[float, Field(description="health score, 0 to 100", ge=0, le=100)]
Side = Literal["Buy", "Sell"]
Point = Annotated[
    list[float], Field(min_length=2, max_length=2, description="[milliseconds since 1970 UTC, x]")
]
Level = Annotated[
    list[float], Field(min_length=2, max_length=2, description="[price, quantity in base currency]")
]


class Document(BaseModel):
    """What all answers share: exactly these keys."""

    model_config = ConfigDict(extra="forbid")


class ErrorAnswer(BaseModel):
    """Every answer with a status of 400 or more."""

    model_config = ConfigDict(extra="allow")

    error: Annotated[str, Field(description="what is wrong, one line")]


class WhoAmI(Document):
    """``GET /whoami``."""

    role: Literal["read", "control"]


class Behaviour(Document):
    """What the health score makes the system do."""

    level: Literal["normal", "throttle", "reduce-only", "halt"]
    since_s: Seconds
    reason: str
    score: Score | None
    changes: Annotated[int, Field(description="changes of level since the start", ge=0)]


class TargetTime(Document):
    """How long one target was met, missed and not measured."""

    met_s: Seconds
    missed_s: Seconds
    unmeasured_s: Seconds
    met_pct: Percent | None


class TimeInCompliance(Document):
    """How long every target was met."""

    since_s: Seconds
    all_met_pct: Percent | None
    targets: dict[str, TargetTime]


class Process(Document):
    """The trading process; ``cpu_pct`` is of one core, ``*_kib_s`` are of the last second."""

    rss_mib: float | None
    peak_rss_mib: float | None
    cpu_pct: Percent | None
    cpu_s: Seconds | None
    threads: int | None
    open_files: int | None
    received_kib_s: float | None
    sent_kib_s: float | None
    received_mib: float | None
    sent_mib: float | None


class ComplianceRow(BaseModel):
    """One target beside its figure."""

    model_config = ConfigDict(extra="allow")

    name: str
    measured: Annotated[float | None, Field(description="in `unit`, null if not measured")]
    target: Annotated[float, Field(description="in `unit`")]
    unit: str
    met: bool
    judged: bool


class ScoreHistory(Document):
    """The health score over time."""

    scores: list[Point]


class ComplianceDocument(Document):
    """``GET /compliance``."""

    performance_compliance: dict[str, bool]
    targets: list[ComplianceRow]
    state: str | None
    time_in_compliance: TimeInCompliance | None
    history: ScoreHistory | None


class HealthDocument(Document):
    """``GET /health``."""

    state: Annotated[str, Field(description="state of the system, e.g. RUNNING")]
    trading_state: Annotated[str | None, Field(description="ACTIVE, REDUCING or HALTED")]
    score: Score | None
    reasons: Annotated[list[str], Field(description="every lost point, with its reason")]
    parts: dict[str, Any]
    behaviour: Behaviour | None


class Position(Document):
    """One symbol: the own books, the venue's side, and the value."""

    symbol: str
    quantity: Base
    own_quantity: Base
    venue_quantity: Base | None
    venue_age_s: Seconds | None
    entry_price: Price | None
    mark_price: Price | None
    notional: Quote | None
    unrealised_pnl: Quote | None
    realised_pnl: Quote
    fees: Quote
    protective_stop: Price | None
    trades_closed: Annotated[int, Field(ge=0)]
    trades_won: Annotated[int, Field(ge=0)]


class PositionsDocument(Document):
    """``GET /positions``."""

    positions: list[Position]


class Order(BaseModel):
    """One own order; a settled one also says ``reason`` and ``settled_ms``."""

    model_config = ConfigDict(extra="allow")

    link_id: str
    order_id: str | None
    symbol: str
    side: Side
    type: str
    price: Price | None
    quantity: Base
    filled: Base
    status: str


class LiveOrder(Order):
    """An order without a settled outcome."""

    age_s: Seconds
    reduce_only: bool


class SettledOrder(Order):
    """An order that has ended."""

    reason: str | None
    settled_ms: UtcMs | None


class OrdersDocument(Document):
    """``GET /orders``."""

    live: list[LiveOrder]
    settled: list[SettledOrder]


class Fill(Document):
    """One execution."""

    exec_id: str
    time_ms: UtcMs
    symbol: str
    side: Side
    price: Price
    quantity: Base
    fee: Quote
    is_maker: bool | None
    link_id: str | None


class FillsDocument(Document):
    """``GET /fills``, newest first."""

    fills: list[Fill]


class Vote(Document):
    """What one agent says, null where it abstains."""

    agent: str
    family: str
    weight: Share | None
    note: Annotated[str, Field(description="why it does not take part, empty if it does")]
    p_up: Share | None
    expected_move_bps: Bps | None
    reasons: list[str]


class Consensus(Document):
    """The newest consensus of one symbol."""

    symbol: str
    time_ms: UtcMs
    p_up: Share | None
    expected_move_bps: Bps | None
    uncertainty_bps: Bps | None
    agreement: Share | None
    has_quorum: bool
    horizon_s: Seconds | None
    direction: Literal["up", "down", "flat"]
    votes: list[Vote]
    verdict: Annotated[str, Field(description="why it trades or does not, one sentence")]


class Decision(Document):
    """A trade that was begun or ended."""

    time_ms: UtcMs
    symbol: str
    action: Literal["enter", "exit"]
    side: Side
    quantity: Base
    purpose: str
    expected_move_bps: Bps | None
    cost_bps: Bps | None
    p_up: Share | None
    outcome: str | None


class SignalsDocument(Document):
    """``GET /signals``."""

    current: list[Consensus]
    decisions: list[Decision]


class Execution(Document):
    """One parent order and what it cost; slippage is positive when it costs."""

    time_ms: UtcMs
    symbol: str
    side: Side
    purpose: str
    quantity: Base
    filled: Base
    arrival_mid: Price | None
    average_price: Price | None
    slippage_bps: Bps | None
    fees: Quote | None
    duration_ms: Annotated[float | None, Field(description="milliseconds")]
    success: bool
    reason: str | None
    children: Annotated[int, Field(ge=0)]


class ExecutionsDocument(Document):
    """``GET /executions``, newest first; ``summary`` is the performance optimizer's."""

    executions: list[Execution]
    summary: dict[str, Any]


class Limit(Document):
    """One limit and what is used of it, both in ``unit``."""

    name: str
    used: str | None
    limit: str | None
    unit: str
    used_pct: Percent | None


class Exposure(Document):
    """One symbol's share of the equity."""

    symbol: str
    notional: Quote | None
    share_pct: Percent | None


class RiskDocument(Document):
    """``GET /risk``."""

    state: str
    behaviour: Behaviour | None
    holds: Annotated[dict[str, str], Field(description="source: reason")]
    limits: list[Limit]
    exposure: list[Exposure]
    denied: Annotated[dict[str, int], Field(description="reason: orders refused")]
    equity: Quote | None
    drawdown_pct: Percent | None
    daily_pnl_pct: Percent | None


class EquityDocument(Document):
    """``GET /equity``; values in quote currency."""

    start: Quote | None
    points: list[Point]
