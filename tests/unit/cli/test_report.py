"""What people see of a status, and what scripts get."""

import json
from dataclasses import replace
from typing import Any

import pytest
from control_desk import FakeControl
from snapshots import NEW_SNAPSHOT

from trading_system.cli.output import emit_table
from trading_system.monitoring.status import AgentFigures, SystemSnapshot, status_of

SNAPSHOT = replace(NEW_SNAPSHOT, state="RUNNING")
AGENT = AgentFigures(name="order_flow", family="flow", weight=0.75, brier=0.21, calls=7)


class Showing(FakeControl):
    def __init__(self, snapshot: SystemSnapshot) -> None:
        super().__init__()
        self._snapshot = snapshot

    def get_system_status(self) -> dict[str, Any]:
        return status_of(self._snapshot)


async def test_a_status_is_shown_as_tables_and_as_json(command: Any, running: Any) -> None:
    async with running(Showing(replace(SNAPSHOT, agents=(AGENT,)))):
        tables = await command("status")
        document = await command("status", "--json")
    assert (tables.code, document.code) == (0, 0)
    for title in ("Run report", "Stages", "Signal agents", "Compliance", "never connected"):
        assert title in tables.out
    assert json.loads(document.out)["agents"][0]["name"] == "order_flow"


async def test_without_agents_there_is_no_table_of_agents(command: Any, running: Any) -> None:
    async with running(Showing(SNAPSHOT)):
        assert "Signal agents" not in (await command("status")).out


async def test_compliance_without_data_is_not_met(command: Any, running: Any) -> None:
    async with running(Showing(SNAPSHOT)):
        outcome = await command("compliance")
    assert (outcome.code, "not measured" in outcome.out) == (1, True)


async def test_compliance_says_for_how_much_of_the_time_a_target_was_met(
    command: Any, running: Any
) -> None:
    async with running(Showing(SNAPSHOT)):
        outcome = await command("compliance")
    assert "% of the time" in outcome.out


def test_a_narrow_table_folds_what_would_be_cut_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    emit_table("", ("id", "text"), [("826719dcdce6", "run `trading-system doctor`")])
    shown = capsys.readouterr().out
    assert "…" not in shown
