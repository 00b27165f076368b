"""The parts of the watch, made from the settings of a desk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trading_system.live.desk import TradingDesk
from trading_system.monitoring.alerts.book import AlertBook
from trading_system.monitoring.alerts.dispatch import Dispatcher
from trading_system.monitoring.alerts.heartbeat import Heartbeat
from trading_system.monitoring.alerts.sinks import sinks_of
from trading_system.monitoring.behaviour import BehaviourPolicy
from trading_system.monitoring.compliance_history import ComplianceHistory
from trading_system.monitoring.degradation import DegradationWatch
from trading_system.monitoring.process import ProcessMeter
from trading_system.monitoring.redaction import REDACTOR
from trading_system.monitoring.series import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchParts:
    """What remembers and judges."""

    behaviour: BehaviourPolicy
    alerts: AlertBook
    history: ComplianceHistory
    equity: Series
    scores: Series
    process: ProcessMeter
    degradation: DegradationWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What tells people."""

    dispatcher: Dispatcher
    heartbeat: Heartbeat


def parts_of(desk: TradingDesk) -> WatchParts:
    """Return fresh parts for one run."""
    settings, clock = desk.settings, desk.clock

    def bytes_of() -> tuple[int, int]:
        if desk.session is None:
            return 0, 0
        traffic = desk.session.traffic
        return traffic.bytes_received, traffic.bytes_sent

    return WatchParts(
        behaviour=BehaviourPolicy(settings.health, clock=clock),
        alerts=AlertBook(settings.alerts, clock=clock),
        history=ComplianceHistory(clock=clock),
        equity=Series(),
        scores=Series(),
        process=ProcessMeter(clock=clock, bytes_of=bytes_of),
        degradation=DegradationWatch(clock=clock),
    )


def delivery_of(desk: TradingDesk, alerts: AlertBook, is_well: Callable[[], bool]) -> Delivery:
    """Return what sends alerts and heartbeats; ``alerts`` counts what was sent.

    Raises
    ------
    ConfigurationError
        If an address that alerts go to cannot be used.
    """
    settings = desk.settings.alerts
    dispatcher = Dispatcher(
        settings,
        sinks=sinks_of(settings),
        clock=desk.clock,
        redact=REDACTOR,
        on_sent=alerts.note_sent,
    )
    heartbeat = Heartbeat(settings, clock=desk.clock, is_well=is_well)
    alerts.attach(dispatcher.figures, heartbeat.figures)
    return Delivery(dispatcher=dispatcher, heartbeat=heartbeat)


def hide_secrets(desk: TradingDesk) -> None:
    """Let no key of the settings or of the desk's own embedded venue into logs and messages."""
    REDACTOR.learn(desk.settings)
    if desk.venue is not None:
        for name in ("api_key", "api_secret"):
            REDACTOR.add(str(desk.venue.ready.get(name, "")))
