"""Every ``trading-system cost`` command of the documents is one that the command line takes."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from optimizers.costs.fees import FeeTables
from trading_system.cli.cost import app
from trading_system.cost_simulator.requests import KEYS, read_request

ROOT = Path(__file__).parents[2]
COMMAND = r"^\S*trading-system cost ((?:estimate|serve)\b.*)$"


def commands() -> list[tuple[str, ...]]:
    found = []
    for name in ("docs/cost_simulator.md", "README.md"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        for line in re.findall(COMMAND, text, re.MULTILINE):
            found.append(tuple(shlex.split(line, comments=True)))
    return found


def test_the_documents_show_commands() -> None:
    assert {words[0] for words in commands()} == {"estimate", "serve"}
    assert len(commands()) >= 6


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_documented_command_is_understood(words: tuple[str, ...]) -> None:
    group = typer.main.get_command(app)
    command = group.commands[words[0]]
    given = command.make_context(words[0], list(words[1:])).params
    if words[0] == "estimate":
        values = {key: given.get("horizon" if key == "horizon_s" else key) for key in KEYS}
        request = read_request(values)
        if request.tier is not None:
            # All documented commands are about perpetuals.
            FeeTables.load().rates(request.exchange, "perpetual", request.tier)
