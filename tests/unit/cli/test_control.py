"""Every command that talks to a running system, over real HTTP on loopback."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from control_desk import FakeControl

from trading_system.domain.errors import OrderDenied, ValidationError

EXECUTE = ["execute", "--symbol", "btcusdt", "--side", "buy", "--quantity", "0.01"]
COMMANDS = {
    "stop": (["stop"], ("stop", "stop command")),
    "pause": (["pause", "--reason", "lunch"], ("pause", "lunch")),
    "resume": (["resume"], ("resume", False)),
    "resume with limits": (["resume", "--reset-limits"], ("resume", True)),
    "reduce-only": (["reduce-only"], ("reduce-only", "reduce-only command")),
    "kill": (["kill", "--yes"], ("kill", "kill command", False)),
    "kill and flatten": (["kill", "--flatten", "--yes"], ("kill", "kill command", True)),
    "execute": (EXECUTE, ("execute", "BTCUSDT", "Buy", "0.01", None, "NORMAL")),
    "execute with choices": (
        [*EXECUTE, "--algo", "twap", "--urgency", "low"],
        ("execute", "BTCUSDT", "Buy", "0.01", "twap", "LOW"),
    ),
}


@pytest.mark.parametrize(("arguments", "call"), COMMANDS.values(), ids=COMMANDS.keys())
async def test_a_command_reaches_the_system_and_answers_in_json_and_in_words(
    command: Any, running: Any, arguments: list[str], call: tuple[Any, ...]
) -> None:
    async with running(FakeControl()) as control:
        spoken = await command(*arguments)
        written = await command(*arguments, "--json")
    assert (spoken.code, written.code, control.calls) == (0, 0, [call, call])
    assert isinstance(json.loads(written.out), dict)
    assert written.err == ""


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["compliance"], *(c for c, _ in COMMANDS.values() if c[0] != "execute")],
)
async def test_without_a_running_system_a_command_exits_three_and_says_what_to_do(
    command: Any, arguments: list[str]
) -> None:
    outcome = await command(*arguments, "--json")
    assert (outcome.code, outcome.out) == (3, "")
    (line,) = outcome.err.splitlines()
    assert "trading-system start" in line


async def test_a_stale_address_is_no_running_system(command: Any, folder: Path) -> None:
    content = {"url": "http://127.0.0.1:9", "token": "x", "pid": 1}
    (folder / "api.json").write_text(json.dumps(content))
    assert (await command("pause")).code == 3


async def test_compliance_exits_one_when_a_target_is_missed(command: Any, running: Any) -> None:
    async with running(FakeControl()) as control:
        met = await command("compliance")
        control.is_met = False
        missed = await command("compliance", "--json")
    assert (met.code, missed.code) == (0, 1)
    assert "health" in met.out


@pytest.mark.parametrize(
    ("failure", "code"),
    [(OrderDenied("LOSS_LIMIT", "daily loss 2.1 %"), 4), (ValidationError("off the grid"), 2)],
)
async def test_a_refusal_is_one_line(command: Any, running: Any, failure: Any, code: int) -> None:
    async with running(FakeControl(failure=failure)):
        outcome = await command("resume")
    assert (outcome.code, outcome.out, outcome.err) == (code, "", f"error: {failure}\n")


async def test_a_starting_system_says_try_again(command: Any, running: Any) -> None:
    async with running(FakeControl(state="STARTING")):
        outcome = await command("pause")
    assert (outcome.code, "still starting" in outcome.err) == (4, True)


async def test_a_wrong_token_is_refused(command: Any, running: Any, folder: Path) -> None:
    async with running(FakeControl()) as control:
        file = folder / "api.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "token": "other"}))
        outcome = await command("stop")
    assert (outcome.code, control.calls) == (4, [])
    assert "token" in outcome.err


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"open_orders": None}, 4),
        ({"open_orders": 2}, 4),
        ({"confirmed": False}, 4),
        ({"flattened": False}, 4),
    ],
)
async def test_only_a_kill_that_the_venue_confirmed_is_a_success(
    command: Any, running: Any, changes: dict[str, Any], code: int
) -> None:
    control = FakeControl()
    control.killed |= changes
    async with running(control):
        assert (await command("kill", "--flatten", "--yes")).code == code


async def test_kill_without_a_terminal_needs_yes(command: Any, running: Any) -> None:
    async with running(FakeControl()) as control:
        outcome = await command("kill")
    assert (outcome.code, control.calls) == (2, [])
    assert "--yes" in outcome.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "code", "calls"),
    [("KILL\n", 0, 1), ("kill\n", 130, 0), ("yes\n", 130, 0), ("", 130, 0)],
)
async def test_kill_on_a_terminal_wants_the_word_typed(
    command: Any,
    running: Any,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    code: int,
    calls: int,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    async with running(FakeControl()) as control:
        outcome = await command("kill", "--flatten")
    assert (outcome.code, len(control.calls)) == (code, calls)
    assert "closes all positions" in outcome.err


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (["--side", "up"], "--side"),
        (["--algo", "magic"], "--algo"),
        (["--urgency", "now"], "--urgency"),
        (["--quantity", "lots"], "quantity"),
    ],
)
async def test_a_wrong_option_of_execute_is_misuse(
    command: Any, running: Any, changed: list[str], names: str
) -> None:
    async with running(FakeControl()) as control:
        outcome = await command(*EXECUTE, *changed)
    assert (outcome.code, control.calls) == (2, [])
    assert names in outcome.err
