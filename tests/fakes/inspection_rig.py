"""A running session behind an inspection, with a watch that says what a test gave it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from session_rig import SYMBOL, SessionRig, in_session

from trading_system.domain.errors import ValidationError
from trading_system.domain.signals import Vote
from trading_system.live.inspection.inspection import LiveInspection
from trading_system.monitoring.status import WatchFigures
from trading_system.runtime.lifecycle import State, Supervisor

BEHAVIOUR = {"level": "normal", "since_s": 1.0, "reason": "", "score": 100.0, "changes": 0}
ALERT = {"id": "a1", "rule": "queue", "state": "firing", "note": ""}
DELIVERY = {"sinks": [], "sent": 0}


@dataclass
class Line:
    """A figure over time."""

    known: list[tuple[int, float]] = field(default_factory=list)

    def points(self) -> list[tuple[int, float]]:
        return self.known


@dataclass
class Said:
    """Figures as a test gave them."""

    known: dict[str, Any]

    def figures(self) -> dict[str, Any]:
        return self.known


class Alerts:
    """One alert that fires."""

    def __init__(self) -> None:
        self.row = dict(ALERT)

    def rows(self) -> dict[str, Any]:
        return {"alerts": [dict(self.row)]}

    def acknowledge(self, alert_id: str, *, note: str) -> dict[str, Any]:
        if alert_id != self.row["id"]:
            raise ValidationError("no such alert fires")
        self.row |= {"state": "acknowledged", "note": note}
        return dict(self.row)


class FakeWatch:
    """A watch that watches nothing."""

    def __init__(self) -> None:
        self.alerts = Alerts()
        self.history = Said({"since_s": 2.0, "all_met_pct": 50.0, "targets": {}})
        self.process = Said({"rss_mib": 80.0, "cpu_pct": None})
        self.equity = Line([(1000, 100_000.0), (2000, 100_001.5)])
        self.scores = Line([(1000, 98.0)])
        self.told: WatchFigures | None = WatchFigures(
            behaviour=dict(BEHAVIOUR),
            alerts={},
            process={},
            time_in_compliance={},
            degradation={},
        )

    def figures(self) -> WatchFigures | None:
        return self.told

    def delivery(self) -> dict[str, Any]:
        return dict(DELIVERY)


@dataclass
class Life:
    """A supervisor as far as a desk asks it."""

    state: State = State.RUNNING
    is_ended: bool = False
    reason: str | None = None


@dataclass
class Bench:
    """A session, its inspection, and the life of its desk."""

    rig: SessionRig
    inspection: LiveInspection
    watch: FakeWatch
    life: Life

    async def vote(self, move_bps: float = 200.0) -> None:
        """Let a consensus with one vote be the newest; the market stands still."""
        self.rig.is_ticking = False
        await asyncio.sleep(0.2)
        vote = Vote(agent="a", family="f", weight=1.0, opinion=None, note="abstained")
        state = self.rig.session.feed.symbols[SYMBOL]
        state.consensus = replace(self.rig.consensus(move_bps), votes=(vote,))


def inspected(work: Callable[[Bench], Awaitable[None]], folder: Path, **values: object) -> None:
    """Run ``work`` on an inspected session in virtual time."""

    async def on_rig(rig: SessionRig) -> None:
        life, watch = Life(), FakeWatch()
        rig.desk.session = rig.session
        rig.desk._supervisor = cast("Supervisor", life)
        await work(Bench(rig, LiveInspection(rig.desk, watch), watch, life))

    in_session(on_rig, folder, **values)


def safe(answer: dict[str, Any]) -> dict[str, Any]:
    """Return ``answer`` after it was written as strict JSON and read again."""
    found: dict[str, Any] = json.loads(json.dumps(answer, allow_nan=False))
    return found
