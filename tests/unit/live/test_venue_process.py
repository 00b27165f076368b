"""The embedded venue's process: restarted where it was, given up when it does not come back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from live_rig import eventually, live_settings

from trading_system.domain.errors import ConfigurationError
from trading_system.live.venue_process import EmbeddedVenue
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.child import ChildError

pytestmark = pytest.mark.timeout(30)

SCRIPT = """
import json, os, signal, sys
port, state, plan = int(sys.argv[1]) or 4711, sys.argv[2], sys.argv[3]
runs = 0
try:
    with open(state) as file:
        runs = int(file.read())
except FileNotFoundError:
    pass
if plan == "misuse":
    sys.stderr.write("error: no such market\\n")
    sys.exit(2)
if plan == "mute" or (plan == "once" and runs):
    sys.exit(1)
with open(state, "w") as file:
    file.write(str(runs + 1))
print(json.dumps({"rest": f"http://127.0.0.1:{port}", "runs": runs}), flush=True)
if plan == "replay":
    print(json.dumps({"event": "market-finished"}), flush=True)
if plan == "dies":
    sys.exit(1)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.pause()
"""


class Script(EmbeddedVenue):
    """The same care for a small script instead of the venue."""

    plan = "serves"

    def __init__(self, folder: Path, **more: Any) -> None:
        self.events: list[str] = []
        self.commands: list[int] = []
        super().__init__(
            live_settings(folder, **more),
            on_finished=lambda: self.events.append("finished"),
            on_down=lambda: self.events.append("down"),
            on_up=lambda: self.events.append("up"),
            backoff=Backoff(first_s=0.001, max_s=0.002, attempts=3),
            max_restarts=2,
        )

    def _command(self, port: int) -> list[str]:
        self.commands.append(port)
        script = [sys.executable, "-I", "-S", "-c", SCRIPT]
        return [*script, str(port), str(self.state_file), self.plan]


@asynccontextmanager
async def watched(venue: Script) -> AsyncIterator[asyncio.Task[None]]:
    await venue.start()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(outcome(venue))
            yield task
            task.cancel()
    finally:
        await venue.stop()


async def outcome(venue: Script) -> None:
    try:
        await venue.watch()
    except ChildError as e:
        failures.append(e)


failures: list[ChildError] = []


@pytest.fixture(autouse=True)
def no_failures() -> None:
    failures.clear()


async def test_a_killed_process_is_started_again_on_the_same_port(tmp_path: Path) -> None:
    venue = Script(tmp_path)
    async with watched(venue):
        first = venue.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: venue.events == ["down", "up"])
        assert venue.pid not in {None, first}
        assert venue.commands == [0, 4711]
        assert (venue.restarts, venue.ready["runs"]) == (1, 1)
    assert venue.pid is None
    assert not venue.state_file.exists()


async def test_a_process_that_does_not_come_back_is_given_up(tmp_path: Path) -> None:
    venue = Script(tmp_path)
    venue.plan = "once"
    async with watched(venue) as watch:
        assert venue.pid is not None
        os.kill(venue.pid, signal.SIGKILL)
        await asyncio.wait_for(watch, timeout=10)
        assert venue.events == ["down"]
        assert venue.commands == [0, 4711, 4711, 4711]
        assert failures[0].exit_code == 1


async def test_a_process_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    venue = Script(tmp_path)
    venue.plan = "dies"
    async with watched(venue) as watch:
        await asyncio.wait_for(watch, timeout=10)
        assert venue.events == ["down", "up", "down", "up", "down"]
        assert "died too often" in str(failures[0])


async def test_a_clean_stop_forgets_the_accounts_and_a_crash_keeps_them(tmp_path: Path) -> None:
    crashed = Script(tmp_path)
    await crashed.start()
    assert not crashed.is_resumed
    assert crashed.pid is not None
    backup = crashed.state_file.with_name("venue-state.backup")
    for path in (backup, crashed.state_file.with_name("venue-state.new-1")):
        path.touch()
    kept = crashed.state_file.read_text()
    again = Script(tmp_path)
    await again.start()
    assert again.is_resumed
    assert again.ready["runs"] == int(kept)
    for venue in (again, crashed):
        await venue.stop()
    assert list(again.state_file.parent.glob("venue-state*")) == [backup]
    fresh = Script(tmp_path)
    await fresh.start()
    assert not fresh.is_resumed
    await fresh.stop()


async def test_a_state_file_of_the_users_is_kept(tmp_path: Path) -> None:
    state = tmp_path / "mine" / "venue"
    venue = Script(tmp_path, venue__state=str(state))
    await venue.start()
    assert venue.state_file == state
    await venue.stop()
    assert state.exists()


async def test_settings_that_the_venue_refuses_are_the_users_mistake(tmp_path: Path) -> None:
    venue = Script(tmp_path)
    venue.plan = "misuse"
    with pytest.raises(ConfigurationError, match="refuses its settings: no such market"):
        await venue.start()
    venue.plan = "mute"
    with pytest.raises(ChildError):
        await venue.start()
    assert venue.pid is None
    await venue.stop()


async def test_the_end_of_a_recording_is_said(tmp_path: Path) -> None:
    venue = Script(tmp_path)
    venue.plan = "replay"
    async with watched(venue):
        await eventually(lambda: venue.events == ["finished"])


def test_the_command_says_everything_that_is_set(tmp_path: Path) -> None:
    def command(**values: object) -> str:
        settings = live_settings(tmp_path, **values)
        none = {"on_finished": int, "on_down": int, "on_up": int}
        return " ".join(EmbeddedVenue(settings, **none)._command(5))  # type: ignore[arg-type] # never called

    text = command(venue__seed=7, venue__edge=3.0, venue__latency="regional", symbols="BTCUSDT")
    for part in ("--port 5", "--seed 7", "--edge 3.0", "--latency regional", "--symbols BTCUSDT"):
        assert part in text
    assert f"--state {tmp_path / 'data' / 'venue-state'}" in text
    recording = tmp_path / "a.zst"
    text = command(venue__market="replay", venue__recording=str(recording), venue__speed=2.0)
    assert f"--recording {recording}" in text
    assert "--speed 2.0" in text
    assert "--state" not in text
