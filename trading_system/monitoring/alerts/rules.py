"""What is worth an alert: a pure function from the figures of one instant to what is wrong in it.

A figure that was not measured raises nothing; the health score, which falls without evidence,
speaks for it. What somebody asked for on purpose (a pause, reduce-only) is information.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from trading_system.config.operations import AlertSettings
from trading_system.monitoring.alerts.figures import AlertFigures, Condition, Severity

MIN_PARENTS: Final = 5
"""Parent orders that must have ended before their success rate is judged."""

MAX_CLOCK_OFFSET_MS: Final = 500.0
"""Distance of the venue's clock from which on it is wrong, milliseconds."""

BADLY_BELOW: Final = 40.0
"""Health score below which degradation is critical."""

_INFO, _WARNING, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
_STARTING = frozenset({"start", "recovery"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table of alerts: name, least severity, meaning and remedy."""

    name: str
    severity: Severity
    meaning: str
    remedy: str


RULES: Final = (
    Rule(
        "health-degraded",
        _WARNING,
        "The health score is below TRADING_ALERTS__HEALTH_BELOW; critical below 40.",
        "Run `trading-system status` and follow the reasons of the health score.",
    ),
    Rule(
        "component-failed",
        _WARNING,
        "A component of the health score earned less than half of its points.",
        "Run `trading-system doctor` and follow the remedy of what failed.",
    ),
    Rule(
        "signal-latency-high",
        _WARNING,
        "Signal generation takes longer than TRADING_ALERTS__LATENCY_FACTOR times its target.",
        "Take load off the machine, or trade fewer TRADING_SYMBOLS.",
    ),
    Rule(
        "order-latency-high",
        _WARNING,
        "Order execution takes longer than TRADING_ALERTS__LATENCY_FACTOR times its target.",
        "Run `trading-system benchmark latency` to see whether the way to the venue is slow.",
    ),
    Rule(
        "system-latency-high",
        _WARNING,
        "Market data to order takes longer than TRADING_ALERTS__LATENCY_FACTOR times its target.",
        "Run `trading-system top` to see which stage is slow and take load off the machine.",
    ),
    Rule(
        "success-rate-low",
        _WARNING,
        "Fewer parent orders than TRADING_ALERTS__SUCCESS_BELOW_PCT ended inside their limits.",
        "Run `trading-system pause` and read why the newest executions failed.",
    ),
    Rule(
        "queue-buildup",
        _WARNING,
        "Waiting requests take more of their queue than TRADING_ALERTS__QUEUE_ABOVE_PCT;"
        " critical when it is full.",
        "Run `trading-system benchmark latency`; if the venue answers fast, trade fewer"
        " TRADING_SYMBOLS.",
    ),
    Rule(
        "daily-loss-limit",
        _CRITICAL,
        "Equity fell by the daily limit since midnight UTC; positions may only shrink.",
        "Find out what lost money, then `trading-system resume --reset-limits`;"
        " TRADING_RISK__MAX_DAILY_LOSS_PCT is the limit.",
    ),
    Rule(
        "drawdown-limit",
        _CRITICAL,
        "Equity fell by the limit from its peak; positions may only shrink.",
        "Find out what lost money, then `trading-system resume --reset-limits`;"
        " TRADING_RISK__MAX_DRAWDOWN_PCT is the limit.",
    ),
    Rule(
        "kill-switch",
        _CRITICAL,
        "Somebody used the kill switch; no order leaves.",
        "Check orders and positions at the venue, then `trading-system resume`.",
    ),
    Rule(
        "reduce-only",
        _INFO,
        "Somebody asked for reduce-only; positions may only shrink.",
        "Run `trading-system resume` when positions may be opened again.",
    ),
    Rule(
        "paused",
        _INFO,
        "Somebody paused trading; no new trade begins.",
        "Run `trading-system resume` when trading may go on.",
    ),
    Rule(
        "stale-book",
        _WARNING,
        "Order books are older than TRADING_RISK__STALE_BOOK_S; critical when all of them are.",
        "Run `trading-system doctor` to check the way to the venue; trading goes on by itself.",
    ),
    Rule(
        "venue-outage",
        _WARNING,
        "The private stream, the market data or the venue is lost; critical when trading halted.",
        "Read the venue's status page, run `trading-system doctor`; trading goes on by itself.",
    ),
    Rule(
        "venue-auth",
        _CRITICAL,
        "The venue refuses the key; no order leaves.",
        "Renew TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET,"
        " then run `trading-system start`.",
    ),
    Rule(
        "invariant-broken",
        _CRITICAL,
        "An order did what no order can do; no order leaves.",
        "Compare orders and positions with the venue's, run `trading-system stop`"
        " and start only when they agree.",
    ),
    Rule(
        "health-hold",
        _WARNING,
        "The health score is so low that positions may only shrink; critical when nothing leaves.",
        "Run `trading-system status` and follow the reasons; TRADING_HEALTH__REDUCE_BELOW and"
        " TRADING_HEALTH__HALT_BELOW are the thresholds.",
    ),
    Rule(
        "trading-reducing",
        _WARNING,
        "Positions may only shrink for a reason that has no alert of its own.",
        "Run `trading-system status` to see what holds trading, then `trading-system resume`.",
    ),
    Rule(
        "trading-halted",
        _CRITICAL,
        "No order leaves for a reason that has no alert of its own.",
        "Run `trading-system status` to see what holds trading, then `trading-system resume`.",
    ),
    Rule(
        "orders-unknown",
        _WARNING,
        "The outcome of orders is unknown; they are looked up and count at full size.",
        "Compare open orders with the venue's; if they stay, `trading-system kill` cancels them.",
    ),
    Rule(
        "positions-differ",
        _CRITICAL,
        "Own and venue positions differ, or are not known; positions may only shrink.",
        "Stop whatever else trades this account; `trading-system status` shows both sides.",
    ),
    Rule(
        "journal-failed",
        _CRITICAL,
        "The journal cannot be written; no new order leaves, cancels still do.",
        "Free space on the disk of TRADING_DATA_DIR; trading goes on by itself.",
    ),
    Rule(
        "position-without-stop",
        _CRITICAL,
        "An own position has no stop at the venue.",
        "Set one at the venue, or close the position by `trading-system kill --flatten`.",
    ),
    Rule(
        "clock-offset",
        _WARNING,
        "The venue's clock is more than 500 ms away from this machine's.",
        "Switch the machine's time synchronisation on and run `trading-system doctor`.",
    ),
    Rule(
        "performance-degraded",
        _WARNING,
        "A measured figure has changed for the worse for good.",
        "Run `trading-system compare` on a run from before and this one.",
    ),
)
"""Every alert there is; ``docs/operations.md`` explains each."""

_BY_NAME: Final = {rule.name: rule for rule in RULES}
_HOLDS: Final = {
    "stale-book": "stale-book",
    "venue": "venue-outage",
    "auth": "venue-auth",
    "invariant": "invariant-broken",
    "health": "health-hold",
    "pause": "paused",
    "reconciliation": "positions-differ",
    "journal": "journal-failed",
}
_WORSE_WHEN_HALTED: Final = frozenset({"stale-book", "venue-outage", "health-hold"})


def conditions(figures: AlertFigures, settings: AlertSettings) -> list[Condition]:
    """Return what is wrong, each rule and subject once, the worst first.

    While the start or the recovery of earlier runs holds trading, health and components are not
    judged: nothing can have been measured yet.
    """
    found: dict[tuple[str, str], Condition] = {}
    for condition in _all(figures, settings):
        key = (condition.rule, condition.subject)
        known = found.get(key)
        if known is None or known.severity < condition.severity:
            found[key] = condition
    return sorted(found.values(), key=lambda one: -one.severity)


def _all(figures: AlertFigures, settings: AlertSettings) -> Iterator[Condition]:
    yield from _holds(figures)
    yield from _safety(figures)
    if not any(source in _STARTING for source, _ in figures.holds):
        yield from _health(figures, settings)
    yield from _latencies(figures, settings)
    yield from _work(figures, settings)
    for figure, description in figures.degraded:
        yield _condition("performance-degraded", f"{figure}: {description}", subject=figure)


def _health(figures: AlertFigures, settings: AlertSettings) -> Iterator[Condition]:
    score, least = figures.health_score, settings.health_below
    if not score >= least:  # a score that is no number is below everything
        yield _condition(
            "health-degraded",
            f"the health score is {score:.0f}, below {least:g}",
            severity=_WARNING if score >= BADLY_BELOW else _CRITICAL,
            value=score,
            threshold=least,
        )
    for part, reason in figures.broken_parts:
        yield _condition("component-failed", f"{part}: {reason}", subject=part)


def _latencies(figures: AlertFigures, settings: AlertSettings) -> Iterator[Condition]:
    for what, measured_ms, target_ms in (
        ("signal", figures.signal_p95_ms, figures.signal_target_ms),
        ("order", figures.order_p95_ms, figures.order_target_ms),
        ("system", figures.system_p95_ms, figures.system_target_ms),
    ):
        most_ms = settings.latency_factor * target_ms
        if measured_ms is not None and measured_ms > most_ms:
            yield _condition(
                f"{what}-latency-high",
                f"{what} latency p95 is {measured_ms:.0f} ms, above {most_ms:g} ms"
                f" ({settings.latency_factor:g} times its target)",
                value=measured_ms,
                threshold=most_ms,
            )


def _work(figures: AlertFigures, settings: AlertSettings) -> Iterator[Condition]:
    rate, least = figures.success_rate_pct, settings.success_below_pct
    if rate is not None and figures.parents_ended >= MIN_PARENTS and rate < least:
        yield _condition(
            "success-rate-low",
            f"{rate:.0f} % of the newest {figures.parents_ended} parent orders ended inside their"
            f" limits, below {least:g} %",
            value=rate,
            threshold=least,
        )
    size, capacity = figures.queue_size, max(1, figures.queue_capacity)
    most = capacity * settings.queue_above_pct / 100.0
    if size is not None and (size > most or size >= capacity):
        yield _condition(
            "queue-buildup",
            f"{size} of {capacity} places of the request queue are taken, more than {most:g}",
            severity=_CRITICAL if size >= capacity else _WARNING,
            value=float(size),
            threshold=most,
        )


def _holds(figures: AlertFigures) -> Iterator[Condition]:
    is_halted = figures.trading_state == "HALTED"
    for source, reason in figures.holds:
        if source in _STARTING:
            continue
        name = _rule_of(source, reason, is_halted=is_halted)
        is_own = name in {"trading-halted", "trading-reducing"}
        worse = is_halted and name in _WORSE_WHEN_HALTED
        yield _condition(
            name,
            f"{source}: {reason}" if is_own else reason,
            subject=source if is_own else "",
            severity=_CRITICAL if worse else None,
        )
    if not figures.holds and figures.trading_state != "ACTIVE":
        name = "trading-reducing" if figures.trading_state == "REDUCING" else "trading-halted"
        yield _condition(name, f"trading is {figures.trading_state} and nothing says why")


def _rule_of(source: str, reason: str, *, is_halted: bool) -> str:
    if source == "loss-limit":
        return "daily-loss-limit" if "midnight" in reason else "drawdown-limit"
    if source == "operator":
        # A kill outranks reduce-only under this source; what merely reduces is not a kill.
        is_reducing = reason.startswith("reduce-only") or not is_halted
        return "reduce-only" if is_reducing else "kill-switch"
    return _HOLDS.get(source) or ("trading-halted" if is_halted else "trading-reducing")


def _safety(figures: AlertFigures) -> Iterator[Condition]:
    if figures.positions_agree is False:
        yield _condition("positions-differ", "own and venue positions differ")
    if figures.journal_failure is not None:
        yield _condition("journal-failed", figures.journal_failure)
    if figures.orders_unknown > 0:
        yield _condition(
            "orders-unknown",
            f"the outcome of {figures.orders_unknown} orders is unknown",
            value=float(figures.orders_unknown),
            threshold=0.0,
        )
    for symbol in figures.unprotected:
        yield _condition(
            "position-without-stop", f"{symbol} has no stop at the venue", subject=symbol
        )
    offset_ms = figures.clock_offset_ms
    if offset_ms is not None and abs(offset_ms) > MAX_CLOCK_OFFSET_MS:
        yield _condition(
            "clock-offset",
            f"the venue's clock is {offset_ms:.0f} ms away, more than {MAX_CLOCK_OFFSET_MS:g} ms",
            value=offset_ms,
            threshold=MAX_CLOCK_OFFSET_MS,
        )


def _condition(
    name: str,
    message: str,
    *,
    subject: str = "",
    severity: Severity | None = None,
    value: float | None = None,
    threshold: float | None = None,
) -> Condition:
    rule = _BY_NAME[name]
    is_number = value is not None and math.isfinite(value)
    return Condition(
        rule=name,
        severity=rule.severity if severity is None else severity,
        message=message,
        remedy=rule.remedy,
        subject=subject,
        value=value if is_number else None,
        threshold=threshold,
    )
