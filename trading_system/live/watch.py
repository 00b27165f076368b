"""The watch over a running system: health, behaviour, alerts, histories and the heartbeat.

Twice a second: evidence, health score, level of behaviour, alerts. Every second: compliance
history, series of equity and score, use of the process. Every five seconds: one sample for the
search for changes. While the session starts nothing is judged. Nothing here raises into trading:
a part that breaks is logged once and counted, and shows up as a broken component. A health that
could not be judged for five seconds is no health: positions may only shrink until it can be.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from trading_system.live.desk import TradingDesk
from trading_system.live.evidence import evidence_of, system_p95_ms
from trading_system.live.session import STARTING, TradingSession
from trading_system.live.watch_parts import (
    Delivery,
    WatchParts,
    delivery_of,
    hide_secrets,
    parts_of,
)
from trading_system.live.watched import (
    SAMPLE_S,
    ChangeSamples,
    Unprotected,
    alert_figures,
    compliance_evidence,
    unjudged_figures,
)
from trading_system.monitoring.alerts.book import AlertBook
from trading_system.monitoring.alerts.figures import AlertFigures
from trading_system.monitoring.alerts.rules import conditions
from trading_system.monitoring.behaviour import BehaviourPolicy
from trading_system.monitoring.compliance import compliance_rows
from trading_system.monitoring.compliance_history import ComplianceHistory
from trading_system.monitoring.degradation import DegradationWatch
from trading_system.monitoring.health import Health, HealthEvidence, assess, without_holds
from trading_system.monitoring.process import ProcessMeter
from trading_system.monitoring.series import Series
from trading_system.monitoring.status import WatchFigures
from trading_system.risk.limits import TradingState

JUDGE_S: Final = 0.5
"""Time between two looks at the health, seconds."""

_LOG = structlog.get_logger(__name__)
_RECORD_EVERY = 2
_SAMPLE_EVERY = round(SAMPLE_S / JUDGE_S)
_STALE_S = 5.0
_MOST_MISSED = round(_STALE_S / JUDGE_S)
_AGAIN_S = 5.0
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000

MakeDelivery = Callable[[TradingDesk, AlertBook, Callable[[], bool]], Delivery]


class Watch:
    """Watches one desk for as long as it runs; its figures stay readable afterwards.

    Parameters
    ----------
    desk : TradingDesk
        What is watched.
    parts : Callable[[TradingDesk], WatchParts]
        Makes what remembers and judges.
    delivery : MakeDelivery
        Makes what tells people, from the desk, its alerts and :meth:`is_well`.
    """

    def __init__(
        self,
        desk: TradingDesk,
        *,
        parts: Callable[[TradingDesk], WatchParts] = parts_of,
        delivery: MakeDelivery = delivery_of,
    ) -> None:
        self._desk = desk
        self._parts = parts(desk)
        self._delivery_of = delivery
        self._delivery: Delivery | None = None
        self._session: TradingSession | None = None
        self._evidence: HealthEvidence | None = None
        self._system_p95_ms: float | None = None
        self._unprotected = Unprotected(clock=desk.clock)
        self._samples = ChangeSamples()
        self._recent: deque[float] = deque(maxlen=_SAMPLE_EVERY)
        self._looks = self._missed = 0
        self._judged_ns: int | None = None
        self._broken: dict[str, str] = {}
        self.failures: dict[str, int] = {}
        self.health: Health | None = None

    @property
    def behaviour(self) -> BehaviourPolicy:
        """What the score makes the system do."""
        return self._parts.behaviour

    @property
    def alerts(self) -> AlertBook:
        """Every alert that fires or has cleared."""
        return self._parts.alerts

    @property
    def history(self) -> ComplianceHistory:
        """Time in compliance."""
        return self._parts.history

    @property
    def equity(self) -> Series:
        """Equity over time, quote currency."""
        return self._parts.equity

    @property
    def scores(self) -> Series:
        """Health score over time."""
        return self._parts.scores

    @property
    def process(self) -> ProcessMeter:
        """What the process uses."""
        return self._parts.process

    @property
    def degradation(self) -> DegradationWatch:
        """Which figures have changed."""
        return self._parts.degradation

    def is_well(self) -> bool:
        """Return whether the system is fit: judged just now, and not below the reduce threshold.

        What an operator holds is no illness: the score is the one that behaviour is judged by.
        """
        if self.health is None or self._judged_ns is None or not self._desk.is_live:
            return False
        age_ns = self._desk.clock.monotonic_ns() - self._judged_ns
        is_fresh = age_ns <= _STALE_S * _NS_PER_S
        score = self._parts.behaviour.score
        return is_fresh and score is not None and score >= self._desk.settings.health.reduce_below

    def prepare(self) -> None:
        """Make what tells people, and hide the settings' secrets; call it before the desk starts.

        Raises
        ------
        ConfigurationError
            If an address that alerts go to cannot be used.
        """
        hide_secrets(self._desk)
        self._delivery = self._delivery_of(self._desk, self._parts.alerts, self.is_well)

    def start(self) -> None:
        """Watch from now on, in tasks of the desk; a desk that has ended meanwhile is left alone.

        Raises
        ------
        ConfigurationError
            If it was not prepared and an address that alerts go to cannot be used.
        """
        if not self._desk.is_live:
            return
        if self._delivery is None:
            self.prepare()
        assert self._delivery is not None
        hide_secrets(self._desk)  # the embedded venue has made its key meanwhile
        self._desk.spawn("watch", self._watch())
        dispatcher, heartbeat = self._delivery.dispatcher, self._delivery.heartbeat
        self._desk.spawn("alert-dispatch", self._kept_up("alert dispatch", dispatcher.run))
        self._desk.spawn("heartbeat", self._kept_up("heartbeat", heartbeat.run))

    def figures(self) -> WatchFigures | None:
        """Return the watch's part of the status, None before the first look at a session."""
        if self._session is None:
            return None
        parts = self._parts
        return WatchFigures(
            behaviour=parts.behaviour.figures(),
            alerts=parts.alerts.summary(),
            process=parts.process.figures(),
            time_in_compliance=parts.history.figures(),
            degradation=parts.degradation.figures(),
        )

    def delivery(self) -> dict[str, Any]:
        """Return how the telling of people goes."""
        return dict(self._parts.alerts.rows()["delivery"])

    def look(self) -> None:
        """Look at the desk once; called twice a second."""
        session = self._desk.session
        if session is None:
            return
        self._session = session
        if session.engine.holds.get(STARTING) is not None:
            return
        self._looks += 1
        is_judged = self._attempt("health", lambda: self._judge(session))
        self._missed = 0 if is_judged else self._missed + 1
        if self._missed >= _MOST_MISSED:
            self._attempt("behaviour", lambda: self._restrain(session))
        self._attempt("alerts", lambda: self._alert(session))
        if not is_judged:
            return
        if self._looks % _RECORD_EVERY == 0:
            self._attempt("history", lambda: self._record(session))
            self._attempt("process", self._parts.process.sample)
        if self._looks % _SAMPLE_EVERY == 0:
            self._attempt("degradation", lambda: self._compare(session))

    async def _watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(JUDGE_S)

    def _judge(self, session: TradingSession) -> None:
        evidence = evidence_of(self._desk)
        self.health = health = assess(evidence)
        self._evidence = evidence
        self._system_p95_ms = system_p95_ms(session.latency)
        self._recent.append(health.score)
        behaviour = self._parts.behaviour
        is_held = evidence.trading_state != TradingState.ACTIVE.value
        level = behaviour.observe(assess(without_holds(evidence)) if is_held else health)
        session.restraint.apply(level, reason=behaviour.reason)
        self._judged_ns = self._desk.clock.monotonic_ns()

    def _restrain(self, session: TradingSession) -> None:
        level = self._parts.behaviour.miss("health cannot be judged")
        session.restraint.apply(level, reason=self._parts.behaviour.reason)

    def _alert(self, session: TradingSession) -> None:
        figures = self._alert_figures(session)
        if figures is None:
            return
        notices = self._parts.alerts.observe(conditions(figures, self._desk.settings.alerts))
        if notices and self._delivery is not None:
            self._delivery.dispatcher.offer(notices)

    def _alert_figures(self, session: TradingSession) -> AlertFigures | None:
        broken = tuple(self._broken.items())
        if self._evidence is None or self.health is None:
            # The first looks failed: there is nothing to judge by but that.
            is_lasting = self._missed >= _MOST_MISSED
            return unjudged_figures(session, broken=broken) if is_lasting else None
        return alert_figures(
            session,
            self._evidence,
            self.health,
            targets=self._desk.settings.targets,
            system_p95_ms=self._system_p95_ms,
            unprotected=self._unprotected.observe(session.unprotected()),
            degraded=self._parts.degradation.degraded(),
            broken=broken,
        )

    def _record(self, session: TradingSession) -> None:
        assert self._evidence is not None
        assert self.health is not None
        now_ms = self._desk.clock.utc_ns() // _NS_PER_MS
        judged = compliance_evidence(
            self._evidence,
            self.health,
            targets=self._desk.settings.targets,
            system_p95_ms=self._system_p95_ms,
            works_parents=session.making is None,
        )
        self._parts.history.observe(compliance_rows(judged))
        self._parts.scores.add(now_ms, self.health.score)
        self._parts.equity.add(now_ms, float(session.portfolio.equity))

    def _compare(self, session: TradingSession) -> None:
        mean = sum(self._recent) / len(self._recent) if self._recent else None
        self._recent.clear()
        for name, value in self._samples.take(session, mean_health=mean).items():
            self._parts.degradation.observe(name, value)

    def _attempt(self, part: str, work: Callable[[], object]) -> bool:
        """Run one part; return whether it succeeded."""
        try:
            work()
        except Exception as e:  # the boundary of watching: trading goes on without it
            self._note_failure(part, e)
            return False
        self._broken.pop(f"watch: {part}", None)
        return True

    async def _kept_up(self, part: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
            except Exception as e:  # the boundary of telling: trading goes on without it
                self._note_failure(part, e)
            else:
                return
            await asyncio.sleep(_AGAIN_S)
            self._broken.pop(f"watch: {part}", None)

    def _note_failure(self, part: str, error: Exception) -> None:
        count = self.failures[part] = self.failures.get(part, 0) + 1
        self._broken[f"watch: {part}"] = f"{type(error).__name__}: {error}"
        if count == 1:
            _LOG.error("a part of the watch is broken", part=part, error=repr(error))
