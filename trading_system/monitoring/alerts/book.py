"""Remembers what fires: one alert per rule and subject, from its first sight until it is over."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from trading_system.config.operations import AlertSettings
from trading_system.domain.errors import ValidationError
from trading_system.domain.ports import Clock
from trading_system.monitoring.alerts.figures import Condition, Severity
from trading_system.monitoring.redaction import REDACTOR

HOLD_DOWN_S: Final = 2.0
"""How long a condition must be gone before its alert clears, seconds."""

MAX_FIRING: Final = 200
MAX_CLEARED: Final = 200
_TEXT_CHARS: Final = 500
_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000

_Key = tuple[str, str]


class NoticeKind(Enum):
    """Why somebody is told."""

    FIRED = "fired"
    ESCALATED = "worse"
    REPEATED = "still"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell; ``since_ms`` and ``time_ms`` are UTC milliseconds."""

    kind: NoticeKind
    alert_id: str
    rule: str
    subject: str
    severity: Severity
    message: str
    remedy: str
    since_ms: int
    time_ms: int


@dataclass(slots=True, kw_only=True)
class _Alert:
    alert_id: str
    condition: Condition
    severity: Severity
    since_ms: int
    told_ns: int
    gone_ns: int | None = None
    cleared_ms: int | None = None
    is_acknowledged: bool = False
    times: int = 1
    sent: int = 0
    note: str = field(default="")

    @property
    def state(self) -> str:
        if self.cleared_ms is not None:
            return "cleared"
        return "acknowledged" if self.is_acknowledged else "firing"


class AlertBook:
    """Fires at once, clears after :data:`HOLD_DOWN_S`, and repeats what nobody acknowledged.

    While an alert fires its severity only rises. An acknowledged one is not repeated; it stays
    acknowledged until it clears, and then fires anew as another alert. Kept are at most 200 firing
    alerts, the worst ones, and the newest 200 that cleared.

    Parameters
    ----------
    settings : AlertSettings
        Time between repetitions.
    clock : Clock
        Times of the alerts, and the hold-down.
    redact : callable
        Takes secrets out of every text before it is kept.
    """

    def __init__(
        self,
        settings: AlertSettings,
        *,
        clock: Clock,
        redact: Callable[[str], str] = REDACTOR,
    ) -> None:
        self._repeat_ns = round(settings.repeat_s * _NS_PER_S)
        self._hold_ns = round(HOLD_DOWN_S * _NS_PER_S)
        self._clock = clock
        self._redact = redact
        self._firing: dict[_Key, _Alert] = {}
        self._cleared: deque[_Alert] = deque(maxlen=MAX_CLEARED)
        self._serial = 0
        self._deliveries: tuple[Callable[[], Mapping[str, Any]], ...] = ()
        self.overlooked = 0

    def observe(self, conditions: Sequence[Condition]) -> list[Notice]:
        """Take in everything that is wrong now; return what somebody should be told."""
        now_ns, now_ms = self._clock.monotonic_ns(), self._clock.utc_ns() // _NS_PER_MS
        present = _worst(conditions)
        notices: list[Notice] = []
        for key, condition in present.items():
            kind = self._take(key, condition, now_ns=now_ns, now_ms=now_ms)
            if kind is not None:
                notices.append(_notice(kind, self._firing[key], now_ms))
        for key, alert in list(self._firing.items()):
            if key not in present and self._is_over(alert, now_ns):
                alert.cleared_ms = now_ms
                self._cleared.append(self._firing.pop(key))
                notices.append(_notice(NoticeKind.CLEARED, alert, now_ms))
        return notices

    def acknowledge(self, alert_id: str, *, note: str = "") -> dict[str, Any]:
        """Note that somebody looks after an alert; return its row.

        Raises
        ------
        ValidationError
            If no such alert fires.
        """
        for alert in self._firing.values():
            if alert.alert_id == alert_id:
                alert.is_acknowledged = True
                alert.note = self._clean(note)
                return _row(alert)
        raise ValidationError("no alert with this id fires; `trading-system alerts` lists them")

    def attach(self, *deliveries: Callable[[], Mapping[str, Any]]) -> None:
        """Show the figures of a dispatcher and a heartbeat in :meth:`rows` and :meth:`summary`."""
        self._deliveries = deliveries

    def note_sent(self, alert_ids: Iterable[str]) -> None:
        """Count one delivered message for each of these alerts."""
        wanted = frozenset(alert_ids)
        for alert in (*self._firing.values(), *self._cleared):
            alert.sent += alert.alert_id in wanted

    def rows(self) -> dict[str, Any]:
        """Return firing alerts, the worst first, then cleared ones, the newest first."""
        firing = sorted(self._firing.values(), key=lambda one: (-one.severity, one.since_ms))
        listed = (*firing, *reversed(self._cleared))
        return {"alerts": [_row(alert) for alert in listed], "delivery": self._delivery()}

    def summary(self) -> dict[str, Any]:
        """Return how many fire, how many nobody looks after, the worst, and the delivery."""
        firing = self._firing.values()
        worst = max((alert.severity for alert in firing), default=None)
        delivery = self._delivery()
        return {
            "firing": len(firing),
            "unacknowledged": sum(not alert.is_acknowledged for alert in firing),
            "worst": None if worst is None else worst.name.lower(),
            "sent": delivery["sent"],
            "dropped": delivery["dropped"],
            "failed": delivery["failed"],
        }

    def _delivery(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "sinks": [],
            "sent": 0,
            "failed": 0,
            "dropped": 0,
            "last_error": None,
            "heartbeats": 0,
            "heartbeat_failed": 0,
        }
        for figures in self._deliveries:
            shown.update(figures())
        return shown

    def _take(
        self, key: _Key, condition: Condition, *, now_ns: int, now_ms: int
    ) -> NoticeKind | None:
        """Keep one condition that is present; return what there is to tell of it."""
        clean = self._cleaned(condition)
        alert = self._firing.get(key)
        if alert is None:
            return self._fire(key, clean, now_ns=now_ns, now_ms=now_ms)
        if alert.gone_ns is not None:
            alert.gone_ns = None
            alert.times += 1
        is_worse = clean.severity > alert.severity
        alert.condition = clean
        alert.severity = max(alert.severity, clean.severity)
        is_due = not alert.is_acknowledged and now_ns - alert.told_ns >= self._repeat_ns
        if not is_worse and not is_due:
            return None
        alert.told_ns = now_ns
        return NoticeKind.ESCALATED if is_worse else NoticeKind.REPEATED

    def _fire(
        self, key: _Key, condition: Condition, *, now_ns: int, now_ms: int
    ) -> NoticeKind | None:
        if len(self._firing) >= MAX_FIRING and not self._make_room(condition.severity):
            self.overlooked += 1
            return None
        self._serial += 1
        name = f"{condition.rule}\n{condition.subject}\n{now_ms}\n{self._serial}"
        self._firing[key] = _Alert(
            alert_id=hashlib.blake2b(name.encode(), digest_size=6).hexdigest(),
            condition=condition,
            severity=condition.severity,
            since_ms=now_ms,
            told_ns=now_ns,
        )
        return NoticeKind.FIRED

    def _make_room(self, severity: Severity) -> bool:
        """Forget one firing alert that is less severe; return whether there was one."""
        key, least = min(self._firing.items(), key=lambda item: item[1].severity)
        if least.severity >= severity:
            return False
        del self._firing[key]
        self.overlooked += 1
        return True

    def _is_over(self, alert: _Alert, now_ns: int) -> bool:
        if alert.gone_ns is None:
            alert.gone_ns = now_ns
        return now_ns - alert.gone_ns >= self._hold_ns

    def _cleaned(self, condition: Condition) -> Condition:
        return Condition(
            rule=condition.rule,
            severity=condition.severity,
            message=self._clean(condition.message),
            remedy=self._clean(condition.remedy),
            subject=self._clean(condition.subject),
            value=condition.value,
            threshold=condition.threshold,
        )

    def _clean(self, text: str) -> str:
        # Secrets go first: a cut through one would leave a half that nothing recognises.
        return self._redact(text)[:_TEXT_CHARS]


def _worst(conditions: Sequence[Condition]) -> dict[_Key, Condition]:
    """Return the worst condition of each rule and subject, the worst of all first."""
    found: dict[_Key, Condition] = {}
    for condition in sorted(conditions, key=lambda one: -one.severity):
        found.setdefault((condition.rule, condition.subject), condition)
    return found


def _notice(kind: NoticeKind, alert: _Alert, now_ms: int) -> Notice:
    return Notice(
        kind=kind,
        alert_id=alert.alert_id,
        rule=alert.condition.rule,
        subject=alert.condition.subject,
        severity=alert.severity,
        message=alert.condition.message,
        remedy=alert.condition.remedy,
        since_ms=alert.since_ms,
        time_ms=now_ms,
    )


def _row(alert: _Alert) -> dict[str, Any]:
    return {
        "id": alert.alert_id,
        "rule": alert.condition.rule,
        "subject": alert.condition.subject,
        "severity": alert.severity.name.lower(),
        "state": alert.state,
        "message": alert.condition.message,
        "remedy": alert.condition.remedy,
        "since_ms": alert.since_ms,
        "cleared_ms": alert.cleared_ms,
        "value": alert.condition.value,
        "threshold": alert.condition.threshold,
        "times": alert.times,
        "sent": alert.sent,
        "note": alert.note,
    }
