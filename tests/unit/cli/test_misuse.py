"""Options of the commands that stand alone."""

import subprocess
import sys
from typing import Any

import pytest

MISUSE = [
    (["train", "--source", "dream"], "--source"),
    (["train", "--minutes", "nan"], "--minutes"),
    (["train", "--seeds", "0"], "--seeds"),
    (["train", "--recordings", "x.gz"], "--source recordings"),
    (["train", "--source", "recordings"], "--recordings"),
    (["venue", "--market", "dream"], "--market"),
    (["venue", "--latency", "dream"], "--latency"),
    (["venue", "--profile", "dream"], "--profile"),
    (["venue", "--limits", "none"], "--limits"),
    (["venue", "--speed", "0"], "--speed"),
    (["venue", "--faults", "nowhere.jsonl"], "cannot read fault schedule nowhere.jsonl"),
    (["venue", "--rsa-public-key", "nowhere.pem"], "cannot read nowhere.pem"),
    (["benchmark", "latency", "--iterations", "0"], "--iterations"),
    (["benchmark", "latency", "--environment", "moon"], "TRADING_ENVIRONMENT"),
    (["benchmark", "nothing"], "nothing"),
    (["benchmark"], "benchmark --help"),
    (["cost"], "cost --help"),
    (["doctor", "--nope"], "--nope"),
    (["execute", "--symbol", "BTCUSDT"], "--side"),
    (["nothing"], "nothing"),
]


@pytest.mark.parametrize(("arguments", "names"), MISUSE)
async def test_misuse_is_one_line_that_names_the_option(
    command: Any, arguments: list[str], names: str
) -> None:
    outcome = await command(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    assert names in line


async def test_help_and_version_need_nothing(command: Any) -> None:
    for arguments in ([], ["--help"], ["--version"], ["benchmark", "--help"]):
        assert (await command(*arguments)).code == 0


def test_asking_commands_load_nothing_heavy() -> None:
    # A command that only asks must answer at once, also on a small machine.
    code = (
        "import sys; from trading_system.cli.main import run_command; run_command(['status']);"
        "heavy = {'numba', 'numpy', 'lightgbm', 'sklearn', 'aiohttp', 'fastapi'};"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
