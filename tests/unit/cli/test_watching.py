"""The alerts and login links that people see."""

import json
from pathlib import Path
from typing import Any

import pytest
from control_desk import FakeControl


async def test_alerts_are_listed_with_their_remedies(command: Any, running: Any) -> None:
    async with running(FakeControl()):
        rows = json.loads((await command("alerts", "--json")).out)["alerts"]
        shown = (await command("alerts")).out
    assert rows
    for row in rows:
        assert row["id"] in shown
        assert row["remedy"][:20] in shown


async def test_without_a_system_each_watching_command_says_how_to_start_one(command: Any) -> None:
    for name in ("top", "alerts", "dashboard", "token"):
        outcome = await command(name)
        assert outcome.code == 3
        assert "trading-system start" in outcome.err


async def test_the_token_alone_is_on_standard_output(
    command: Any, running: Any, folder: Path
) -> None:
    async with running(FakeControl()):
        kept = json.loads((folder / "api.json").read_text())["token"]
        assert (await command("token")).out == f"{kept}\n"


async def test_a_note_needs_an_alert(command: Any) -> None:
    outcome = await command("alerts", "--note", "mine")
    assert (outcome.code, "--acknowledge" in outcome.err) == (2, True)


@pytest.mark.parametrize("interval", ["0", "0.05", "4000", "nan"])
async def test_an_interval_out_of_range_is_misuse(command: Any, interval: str) -> None:
    assert (await command("top", "--interval", interval)).code == 2
