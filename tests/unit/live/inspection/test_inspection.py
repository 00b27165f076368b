"""The whole inspection: before the first session, while running, and after the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from inspection_rig import BEHAVIOUR, Bench, FakeWatch, inspected, safe
from live_rig import live_settings
from session_rig import SYMBOL

from trading_system.domain.errors import ValidationError
from trading_system.domain.ports import Inspection
from trading_system.live.desk import TradingDesk, VenueTruth
from trading_system.live.inspection.inspection import LiveInspection
from trading_system.monitoring.log_ring import LogRing
from trading_system.runtime.clock import ManualClock
from trading_system.runtime.lifecycle import State


def at_rest(folder: Path) -> tuple[LiveInspection, FakeWatch]:
    watch = FakeWatch()
    watch.told = None
    desk = TradingDesk(live_settings(folder, symbols=SYMBOL), clock=ManualClock())
    return LiveInspection(desk, watch), watch


async def every_answer(inspection: Inspection) -> dict[str, dict[str, object]]:
    return {
        "positions": safe(inspection.positions()),
        "orders": safe(inspection.orders()),
        "fills": safe(inspection.fills(symbol=None, limit=100)),
        "signals": safe(inspection.signals(symbol=None, limit=50)),
        "executions": safe(inspection.executions(limit=50)),
        "latency": safe(inspection.latency()),
        "risk": safe(inspection.risk()),
        "compliance": safe(inspection.compliance_history()),
        "equity": safe(inspection.equity()),
        "alerts": safe(inspection.alerts()),
        "market": safe(inspection.market(SYMBOL, depth=25)),
        "candles": safe(await inspection.candles(SYMBOL, interval="1", limit=10)),
        "market_maker": safe(inspection.market_maker()),
        "journal": safe(inspection.journal(kind=None, key=None, before=None, limit=500)),
        "log": safe(inspection.log(after=0, limit=10)),
    }


async def test_before_the_first_session_every_answer_is_empty_and_honest(tmp_path: Path) -> None:
    inspection, _ = at_rest(tmp_path)
    found = await every_answer(inspection)
    assert found["positions"] == {"positions": []}
    assert found["orders"] == {"live": [], "settled": []}
    assert found["fills"] == {"fills": []}
    assert found["signals"] == {"current": [], "decisions": []}
    assert found["executions"]["executions"] == []
    assert found["journal"] == {"rows": [], "next_before": None, "failure": None}
    assert found["candles"] == {"symbol": SYMBOL, "interval": "1", "candles": [], "fills": []}
    assert found["market_maker"] == {
        "active": False,
        "figures": None,
        "quotes": [],
        "pnl_series": None,
    }
    assert found["equity"]["start"] is None
    risk, market = found["risk"], found["market"]
    assert (risk["state"], risk["limits"], risk["behaviour"]) == ("HALTED", [], None)
    assert (market["is_ready"], market["mid"], market["bids"]) == (False, None, [])
    assert found["latency"]["process"] is None


async def test_a_symbol_that_is_not_traded_is_refused_from_the_start(tmp_path: Path) -> None:
    inspection, _ = at_rest(tmp_path)
    with pytest.raises(ValidationError, match="not traded here"):
        inspection.market("NOPEUSDT", depth=5)
    with pytest.raises(ValidationError, match="not traded here"):
        await inspection.candles("NOPEUSDT", interval="1", limit=5)
    with pytest.raises(ValidationError, match="interval must be one of"):
        await inspection.candles(SYMBOL, interval="2", limit=5)
    with pytest.raises(ValidationError, match="kind must be one of RUN, INTENT"):
        inspection.journal(kind="NOPE", key=None, before=None, limit=5)


async def test_what_the_watch_knows_is_passed_on(tmp_path: Path) -> None:
    inspection, watch = at_rest(tmp_path)
    assert inspection.equity()["points"] == [[1000, 100_000.0], [2000, 100_001.5]]
    assert inspection.compliance_history() == {
        "time_in_compliance": watch.history.known,
        "history": {"scores": [[1000, 98.0]]},
    }
    assert inspection.alerts()["delivery"] == {"sinks": [], "sent": 0}
    assert inspection.acknowledge("a1", note="seen")["note"] == "seen"
    with pytest.raises(ValidationError):
        inspection.acknowledge("b2", note="")


async def test_log_lines_come_from_the_ring(tmp_path: Path) -> None:
    ring = LogRing(clock=ManualClock())
    ring.keep("info", "hello", {"a": 1})
    desk = TradingDesk(live_settings(tmp_path), clock=ManualClock())
    (line,) = LiveInspection(desk, FakeWatch(), log=ring).log(after=0, limit=5)["lines"]
    assert (line["event"], line["level"]) == ("hello", "info")


def test_a_trade_shows_up_in_every_answer(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.rig.enter()
        found = await every_answer(bench.inspection)
        (position,) = found["positions"]["positions"]
        (order,) = found["orders"]["settled"]
        (fill,) = found["fills"]["fills"]
        (execution,) = found["executions"]["executions"]
        (decision,) = found["signals"]["decisions"]
        held = position["quantity"]
        assert held == position["own_quantity"] == order["filled"] == fill["quantity"]
        assert held == execution["filled"] == decision["quantity"]
        assert order["status"] == "filled"
        assert order["settled_ms"] is not None
        assert fill["link_id"] == order["link_id"]
        assert execution["success"] is True
        assert execution["children"] == 1
        assert decision["outcome"].startswith(f"filled {held} at ")
        assert {row["kind"] for row in found["journal"]["rows"]} >= {"RUN", "INTENT", "FILL"}
        assert found["risk"]["behaviour"] == BEHAVIOUR
        assert found["equity"]["start"] == "100000"
        assert found["candles"]["fills"] in (
            [],
            [
                {
                    "time_ms": fill["time_ms"],
                    "price": 50000.0,
                    "side": "Buy",
                    "quantity": float(held),
                }
            ],
        )

    inspected(work, tmp_path)


def test_after_the_end_the_past_stays_and_nothing_is_current(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.rig.enter()
        await bench.vote()
        bench.life.state, bench.life.is_ended = State.STOPPED, True
        bench.rig.journal.close()
        found = await every_answer(bench.inspection)
        assert found["signals"]["current"] == []
        assert len(found["signals"]["decisions"]) == 1
        assert len(found["fills"]["fills"]) == 1
        assert found["market"]["is_ready"] is False
        assert found["positions"]["positions"][0]["venue_quantity"] is None
        assert "cannot be read" in str(found["journal"]["failure"])
        bench.rig.desk.truth = VenueTruth({}, 0, 0, 0)  # the final check found nothing
        assert bench.inspection.positions()["positions"][0]["venue_quantity"] == "0"

    inspected(work, tmp_path)


def test_journal_rows_of_one_kind_are_found_by_its_name_in_any_case(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.rig.enter()
        found = bench.inspection.journal(kind="fill", key=None, before=None, limit=5)
        (row,) = safe(found)["rows"]
        assert (row["kind"], row["payload"]["symbol"]) == ("FILL", SYMBOL)

    inspected(work, tmp_path)


def test_nothing_asked_changes_the_session(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.rig.enter()
        session = bench.rig.session
        trip = session.trader.trips[SYMBOL]
        before = (session.portfolio.cash, session.journal.rows, trip.renewed_ns, trip.best_mid)
        await every_answer(bench.inspection)
        after = (session.portfolio.cash, session.journal.rows, trip.renewed_ns, trip.best_mid)
        assert after == before
        await asyncio.sleep(0)

    inspected(work, tmp_path)
