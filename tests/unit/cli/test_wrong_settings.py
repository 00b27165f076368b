"""Each wrong setting ends ``start`` with exit 2 and one line that names setting and remedy."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from trading_system.cli.lock import exclusive

START = ["start", "--duration", "1"]


def refusal(code: int, out: str, err: str) -> str:
    """Return the one line of a refused start."""
    assert (code, out) == (2, ""), err
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line


WRONG = {
    "unknown variable": ({"TRADING_VENUE__SEDE": "1"}, ["TRADING_VENUE__SEDE", "VENUE__SEED?"]),
    "unknown section": ({"TRADING_VENU__SEED": "1"}, ["TRADING_VENU__SEED", "VENUE__SEED?"]),
    "wrong type": ({"TRADING_VENUE__SEED": "many"}, ["TRADING_VENUE__SEED", "the default is 1"]),
    "not a boolean": (
        {"TRADING_STRATEGY__FLATTEN_ON_STOP": "perhaps"},
        ["TRADING_STRATEGY__FLATTEN_ON_STOP", "the default is false"],
    ),
    "out of range": (
        {"TRADING_RISK__COLLAR_BPS": "-1"},
        ["TRADING_RISK__COLLAR_BPS", "the default is 50"],
    ),
    "not a number": ({"TRADING_VENUE__EDGE": "nan"}, ["TRADING_VENUE__EDGE", "finite"]),
    "bad REST address": (
        {"TRADING_BYBIT__REST_URL": "api.bybit.com"},
        ["TRADING_BYBIT__REST_URL", "http:// or https://"],
    ),
    "bad stream address": (
        {"TRADING_BYBIT__WS_URL": "https://stream.bybit.com"},
        ["TRADING_BYBIT__WS_URL", "ws:// or wss://"],
    ),
    "address with a path": (
        {"TRADING_BYBIT__REST_URL": "https://api.bybit.com/v5"},
        ["TRADING_BYBIT__REST_URL", "without path"],
    ),
    "port out of range": (
        {"TRADING_BYBIT__REST_URL": "http://127.0.0.1:99999"},
        ["TRADING_BYBIT__REST_URL"],
    ),
    "testnet without a key": (
        {"TRADING_ENVIRONMENT": "testnet"},
        ["TRADING_ENVIRONMENT=testnet", "TRADING_BYBIT__API_KEY", "TRADING_BYBIT__API_SECRET"],
    ),
    "demo without a key": ({"TRADING_ENVIRONMENT": "demo"}, ["TRADING_BYBIT__API_KEY"]),
    "key without secret": (
        {"TRADING_ENVIRONMENT": "testnet", "TRADING_BYBIT__API_KEY": "k"},
        ["TRADING_BYBIT__API_SECRET"],
    ),
    "another host without a key": (
        {"TRADING_BYBIT__REST_URL": "http://127.0.0.1:9", "TRADING_BYBIT__WS_URL": "ws://h"},
        ["TRADING_BYBIT__API_KEY"],
    ),
    "mainnet without confirmation": (
        {"TRADING_ENVIRONMENT": "mainnet"},
        ["TRADING_ENVIRONMENT=mainnet", "TRADING_LIVE_CONFIRM=I-UNDERSTAND"],
    ),
    "mainnet with a wrong confirmation": (
        {"TRADING_ENVIRONMENT": "mainnet", "TRADING_LIVE_CONFIRM": "yes"},
        ["TRADING_LIVE_CONFIRM=I-UNDERSTAND"],
    ),
    "open API": ({"TRADING_API__HOST": "0.0.0.0"}, ["TRADING_API__HOST", "127.0.0.1"]),
    "signal that is no name": ({"TRADING_STRATEGY__SIGNAL": "my agent"}, ["STRATEGY__SIGNAL"]),
    "symbol that is no name": ({"TRADING_SYMBOLS": "btc/usdt"}, ["TRADING_SYMBOLS"]),
}


@pytest.mark.parametrize(("variables", "says"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_variable_is_refused(
    command: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    says: list[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    outcome = await command(*START)
    line = refusal(outcome.code, outcome.out, outcome.err)
    assert [words for words in says if words not in line] == []
    assert list(folder.iterdir()) == []


FILES = {
    "unknown name in .env": (".env", "TRADING_VENUE__SEDE=1", "did you mean TRADING_VENUE__SEED?"),
    "no assignment in .env": (".env", "TRADING_VENUE__SEED", "line 1 is not NAME=VALUE"),
    "wrong type in .env": (".env", "TRADING_VENUE__SEED=x", "TRADING_VENUE__SEED (.env)"),
    "unknown key in config.json": (
        "config.json",
        '{"venue": {"sede": 1}}',
        "did you mean venue.seed?",
    ),
    "wrong type in config.json": ("config.json", '{"venue": {"seed": "x"}}', "venue.seed in "),
    "broken config.json": ("config.json", "{", "not valid JSON"),
}


@pytest.mark.parametrize(("name", "text", "says"), FILES.values(), ids=FILES.keys())
async def test_a_wrong_file_is_refused(
    command: Any, folder: Path, name: str, text: str, says: str
) -> None:
    (folder.parent / name).write_text(text)
    outcome = await command(*START)
    line = refusal(outcome.code, outcome.out, outcome.err)
    assert (name in line, says in line) == (True, True), line


OPTIONS = {
    "unknown option": (["--nope"], "--nope"),
    "unknown environment": (["--environment", "moon"], "TRADING_ENVIRONMENT"),
    "unknown strategy": (["--strategy", "luck"], "TRADING_STRATEGY__NAME"),
    "signal without a class": (["--signal", "module"], "TRADING_STRATEGY__SIGNAL"),
    "testnet without a key": (["--environment", "testnet"], "TRADING_BYBIT__API_KEY"),
}


@pytest.mark.parametrize(("arguments", "says"), OPTIONS.values(), ids=OPTIONS.keys())
async def test_a_wrong_option_is_refused(command: Any, arguments: list[str], says: str) -> None:
    outcome = await command(*START, *arguments)
    assert says in refusal(outcome.code, outcome.out, outcome.err)


@contextmanager
def taken_port(_folder: Path) -> Iterator[dict[str, str]]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield {"TRADING_API__PORT": str(taken.getsockname()[1])}


@contextmanager
def unwritable_folder(folder: Path) -> Iterator[dict[str, str]]:
    (folder / "file").write_text("")
    yield {"TRADING_DATA_DIR": str(folder / "file" / "data")}


@contextmanager
def second_instance(folder: Path) -> Iterator[dict[str, str]]:
    with exclusive(folder / "data"):
        yield {}


Condition = Callable[[Path], AbstractContextManager[dict[str, str]]]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (taken_port, ["cannot listen on 127.0.0.1:", "TRADING_API__PORT"]),
        (unwritable_folder, ["cannot write to the data directory", "TRADING_DATA_DIR"]),
        (second_instance, ["another system runs", "trading-system stop", "TRADING_DATA_DIR"]),
    ],
)
def test_a_machine_that_does_not_fit_is_refused(
    tmp_path: Path, condition: Condition, says: list[str]
) -> None:
    with condition(tmp_path) as variables:
        result = subprocess.run(
            [sys.executable, "-m", "trading_system", *START],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "TRADING_DATA_DIR": str(tmp_path / "data"), **variables},
        )
    line = refusal(result.returncode, result.stdout, result.stderr)
    assert [words for words in says if words not in line] == []
