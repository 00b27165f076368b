"""What the command line's tests share: a folder of their own and commands in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from control_desk import FakeControl
from inspection import FakeInspection

from trading_system.api.server import control_api
from trading_system.cli.main import run_command


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Awaitable[Outcome]]


@pytest.fixture(autouse=True)
def fresh_logs() -> Iterator[None]:
    """Forget the log set-up of commands that ran in this process: their stream is gone."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data directory of commands that run in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADING_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def command(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run one command in a thread, so that this loop can answer it."""

    async def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = await asyncio.to_thread(run_command, list(arguments))
        captured = capsys.readouterr()
        return Outcome(int(code), captured.out, captured.err)

    return run


@pytest.fixture
def running(folder: Path) -> Callable[..., object]:
    """Serve a control over the real API on loopback."""

    @asynccontextmanager
    async def serve(control: FakeControl) -> AsyncIterator[FakeControl]:
        async with control_api(
            control, control, FakeInspection(), host="127.0.0.1", port=0, data_dir=folder
        ):
            yield control

    return serve
