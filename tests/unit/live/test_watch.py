"""The watch: what it remembers, how it bears broken parts, and when it judges nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from live_rig import live_settings
from session_rig import SYMBOL, SessionRig, in_session

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.parents import ParentResult
from trading_system.live import control
from trading_system.live.desk import TradingDesk
from trading_system.live.evidence import snapshot_of
from trading_system.live.session import STARTING
from trading_system.live.watch import JUDGE_S, Watch
from trading_system.live.watch_parts import Delivery, WatchParts, parts_of
from trading_system.live.watched import ChangeSamples, Unprotected
from trading_system.monitoring.compliance_history import ComplianceHistory
from trading_system.monitoring.status import status_of
from trading_system.risk.limits import TradingState
from trading_system.runtime.clock import ManualClock
from trading_system.runtime.lifecycle import State


class BrokenHistory:
    """Fails as often as a test wants."""

    def __init__(self) -> None:
        self.is_broken = True
        self.calls = 0

    def observe(self, _rows: object) -> None:
        self.calls += 1
        if self.is_broken:
            raise RuntimeError("no room for history")

    def figures(self) -> dict[str, Any]:
        return {}


class Telling:
    """Stands for dispatcher and heartbeat."""

    def __init__(self) -> None:
        self.offered: list[object] = []
        self.runs = 0

    def offer(self, notices: list[object]) -> None:
        self.offered += notices

    async def run(self) -> None:
        self.runs += 1
        if self.runs < 3:
            raise OSError("no way out")
        await asyncio.Event().wait()


def live(rig: SessionRig) -> None:
    """Let the desk look as if it ran this session."""
    rig.desk.session = rig.session

    def spawn(name: str, coroutine: Any) -> object:
        return rig.session._spawn(name, coroutine)

    supervisor = SimpleNamespace(state=State.RUNNING, spawn=spawn, is_ended=False, reason=None)
    rig.desk._supervisor = cast("Any", supervisor)


def broken_parts(history: BrokenHistory) -> Callable[[TradingDesk], WatchParts]:
    return lambda desk: replace(parts_of(desk), history=cast("ComplianceHistory", history))


async def look_for(rig: SessionRig, watch: Watch, seconds: float) -> None:
    for _ in range(round(seconds / JUDGE_S)):
        watch.look()
        await asyncio.sleep(JUDGE_S)


def test_a_running_watch_fills_its_part_of_the_status(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        live(rig)
        watch = Watch(rig.desk)
        assert watch.figures() is None
        assert not watch.is_well()
        watch.start()
        await rig.enter()
        await asyncio.sleep(11.2)
        assert watch.health is not None
        status = status_of(snapshot_of(rig.desk, watch.health, watch=watch.figures()))
        json.dumps(status, allow_nan=False)
        assert status["behaviour"]["level"] == "normal"
        assert status["alerts"]["firing"] == 0
        assert status["process"]["rss_mib"] is not None
        assert status["time_in_compliance"]["since_s"] > 5
        assert status["degradation"]["degraded"] == []
        assert len(watch.scores.points()) == len(watch.equity.points()) >= 10
        assert set(watch.delivery()) >= {"sinks", "sent", "failed", "dropped", "heartbeats"}
        assert watch.is_well()
        assert watch.failures == {}

    in_session(work, tmp_path)


def test_a_broken_part_is_counted_shown_as_broken_and_leaves_the_others_alone(
    tmp_path: Path,
) -> None:
    history = BrokenHistory()

    async def work(rig: SessionRig) -> None:
        live(rig)
        watch = Watch(rig.desk, parts=broken_parts(history))
        await look_for(rig, watch, 10.0)
        assert watch.failures == {"history": history.calls}
        assert len(watch.process.figures()) > 0
        rows = watch.alerts.rows()["alerts"]
        assert [row["subject"] for row in rows] == ["watch: history"]
        assert "no room for history" in rows[0]["message"]
        assert rig.session.engine.state is TradingState.ACTIVE
        history.is_broken = False
        await look_for(rig, watch, 5.0)
        assert [row["state"] for row in watch.alerts.rows()["alerts"]] == ["cleared"]

    in_session(work, tmp_path)


def test_a_health_that_cannot_be_judged_alerts_ends_the_heartbeat_and_reduces(
    tmp_path: Path,
) -> None:
    async def work(rig: SessionRig) -> None:
        live(rig)
        watch = Watch(rig.desk)
        await look_for(rig, watch, 2.0)
        assert watch.is_well()
        engine = rig.session.engine
        rig.session.signals.panel = cast("Any", None)  # type: ignore[method-assign] # breaks it
        scored = len(watch.scores.points())
        await look_for(rig, watch, 4.5)
        assert engine.state is TradingState.ACTIVE
        await look_for(rig, watch, 1.5)
        assert not watch.is_well()
        assert watch.failures == {"health": 12}
        assert len(watch.scores.points()) == scored
        rows = watch.alerts.rows()["alerts"]
        assert {row["subject"] or row["rule"] for row in rows} == {"watch: health", "health-hold"}
        assert engine.holds.reasons == {"health": "health cannot be judged"}
        del rig.session.signals.panel
        await look_for(rig, watch, 11.5)
        assert engine.state is TradingState.ACTIVE
        rows = watch.alerts.rows()["alerts"]
        assert "trading-reducing" not in {
            row["rule"] for row in rows
        }  # the hold says why, to its end

    in_session(work, tmp_path)


def test_an_operators_kill_is_no_illness_and_the_heart_beats_on(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        live(rig)
        watch = Watch(rig.desk)
        await look_for(rig, watch, 11.0)
        rig.session.engine.holds.set("operator", TradingState.HALTED, "kill: tired")
        await look_for(rig, watch, 2.0)
        assert watch.health is not None
        assert watch.health.score < rig.desk.settings.health.reduce_below
        assert watch.is_well()

    in_session(work, tmp_path)


def test_a_first_look_that_fails_judges_nothing_until_it_lasts(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        live(rig)
        watch = Watch(rig.desk)
        rig.session.signals.panel = cast("Any", None)  # type: ignore[method-assign] # breaks it
        watch.look()
        assert watch.health is None
        assert watch.alerts.rows()["alerts"] == []
        assert rig.session.engine.state is TradingState.ACTIVE
        await look_for(rig, watch, 5.0)
        rules = {row["rule"] for row in watch.alerts.rows()["alerts"]}
        assert rules == {"health-degraded", "component-failed", "health-hold"}
        assert rig.session.engine.state is TradingState.REDUCING
        del rig.session.signals.panel

    in_session(work, tmp_path)


def test_what_tells_people_is_started_again_after_a_failure(tmp_path: Path) -> None:
    dispatcher, heartbeat = Telling(), Telling()

    async def work(rig: SessionRig) -> None:
        live(rig)
        both = SimpleNamespace(dispatcher=dispatcher, heartbeat=heartbeat)
        watch = Watch(rig.desk, delivery=lambda *_: cast("Delivery", both))
        watch.start()
        await asyncio.sleep(12.0)
        assert (dispatcher.runs, heartbeat.runs) == (3, 3)
        assert watch.failures == {"alert dispatch": 2, "heartbeat": 2}
        assert dispatcher.offered
        control.reduce_only(rig.session, "news")
        before = len(dispatcher.offered)
        await asyncio.sleep(1.0)
        assert len(dispatcher.offered) > before

    in_session(work, tmp_path)


def test_while_the_session_starts_nothing_is_judged(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        live(rig)
        watch = Watch(rig.desk)
        rig.session.engine.holds.set(STARTING, TradingState.HALTED, "the system is starting")
        await look_for(rig, watch, 3.0)
        assert watch.health is None
        assert watch.alerts.rows()["alerts"] == []
        rig.session.engine.holds.clear(STARTING)
        watch.look()
        assert watch.health is not None

    in_session(work, tmp_path)


def test_before_the_start_and_after_the_end_there_is_nothing_to_watch(tmp_path: Path) -> None:
    watch = Watch(TradingDesk(live_settings(tmp_path), clock=ManualClock()))
    watch.start()
    watch.look()
    assert watch.figures() is None
    assert watch.delivery()["sinks"] == []


def test_an_alert_address_that_cannot_be_used_ends_the_start_before_it_begins(
    tmp_path: Path,
) -> None:
    settings = live_settings(tmp_path, alerts__urls="nosuchscheme://secret-token@host")
    watch = Watch(TradingDesk(settings, clock=ManualClock()))
    with pytest.raises(ConfigurationError, match="TRADING_ALERTS__URLS") as caught:
        watch.prepare()
    assert "secret-token" not in str(caught.value)


def test_a_position_is_unprotected_only_after_two_comparisons_without_a_stop() -> None:
    clock = ManualClock()
    unprotected = Unprotected(clock=clock)
    assert unprotected.observe(["B", "A"]) == ()
    clock.advance(11.9)
    assert unprotected.observe(["B", "A"]) == ()
    clock.advance(0.1)
    assert unprotected.observe(["B", "A"]) == ("A", "B")
    assert unprotected.observe(["B"]) == ("B",)
    assert unprotected.observe(["A"]) == ()


def test_a_success_rate_that_falls_after_a_long_good_run_alerts_and_clears(
    tmp_path: Path,
) -> None:
    async def work(rig: SessionRig) -> None:
        live(rig)
        watch = Watch(rig.desk)
        await rig.enter()
        [good] = rig.session.trader.results
        bad = replace(good, filled_quantity=Decimal(0))
        assert (good.is_success, bad.is_success) == (True, False)
        counts, results = rig.session.trader.counts, rig.session.trader.results

        def end(result: ParentResult, times: int) -> set[str]:
            counts.parents_ended += times
            counts.parents_succeeded += times * result.is_success
            results.extend([result] * times)
            watch.look()
            rows = watch.alerts.rows()["alerts"]
            return {row["rule"] for row in rows if row["state"] == "firing"}

        assert "success-rate-low" not in end(good, 500)
        assert "success-rate-low" not in end(bad, 12)
        assert "success-rate-low" in end(bad, 1)
        end(good, 20)
        await asyncio.sleep(2.0)
        assert "success-rate-low" not in end(good, 1)

    in_session(work, tmp_path)


def test_a_sample_speaks_of_what_happened_since_the_one_before(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        samples = ChangeSamples()
        samples.take(rig.session, mean_health=None)
        rig.is_ticking = False
        quiet = samples.take(rig.session, mean_health=87.0)
        assert quiet == {
            "order_ack_ms": None,
            "signal_us": None,
            "slippage_bps": None,
            "loop_lag_ms": None,
            "health": 87.0,
            "success_rate": None,
        }
        rig.is_ticking = True
        await asyncio.sleep(1.0)
        await rig.enter()
        await control.close(rig.session, SYMBOL)
        busy = samples.take(rig.session, mean_health=87.0)
        assert busy["success_rate"] == 100.0
        assert busy["slippage_bps"] == pytest.approx(0.0)
        assert busy["signal_us"] == pytest.approx(1_000, rel=0.1)
        assert busy["order_ack_ms"] is not None
        for _ in range(3):
            last = samples.take(rig.session, mean_health=None)
        assert last["loop_lag_ms"] is not None

    in_session(work, tmp_path)
