"""The dashboard's process: what it is told, that it is started again, that trading goes on."""

import asyncio
import sys
from pathlib import Path

import pytest

from trading_system.cli.dashboard_process import (
    dashboard_beside,
    dashboard_environ,
    keep_dashboard,
)
from trading_system.config.settings import load_settings
from trading_system.runtime.backoff import Backoff

READY = 'import sys; print(\'{"login": "http://127.0.0.1:1/login?code=x"}\', flush=True); '
DIES = (sys.executable, "-c", READY + "sys.exit(1)")
LIVES = (sys.executable, "-c", READY + "import signal; signal.pause()")
QUICK = Backoff(first_s=0.001, max_s=0.001, attempts=3)
VENUE = {"rest": "http://127.0.0.1:8001", "ws": "ws://127.0.0.1:8001", "api_key": "k"}


def settings(folder: Path, **given: object):
    return load_settings({"data_dir": folder, **given})


def test_the_dashboard_gets_no_key_and_reads_the_venue_that_runs(tmp_path: Path) -> None:
    environ = dashboard_environ(settings(tmp_path), VENUE)
    assert environ["TRADING_BYBIT__API_KEY"] == environ["TRADING_BYBIT__API_SECRET"] == ""
    assert environ["TRADING_ALERTS__URLS"] == environ["TRADING_ALERTS__HEARTBEAT_URL"] == ""
    assert environ["TRADING_OKX__WS_URL"] == environ["TRADING_BYBIT__WS_URL"] == VENUE["ws"]
    assert Path(environ["TRADING_DATA_DIR"]).is_absolute()
    assert "k" not in environ.values()


def test_on_a_real_venue_the_page_uses_the_venues_own_addresses(tmp_path: Path) -> None:
    environ = dashboard_environ(settings(tmp_path), None)
    assert not {name for name, value in environ.items() if name.endswith("_URL") and value}


async def test_a_dashboard_that_dies_is_started_again_and_in_the_end_given_up() -> None:
    logins: list[str] = []
    async with asyncio.timeout(30):
        await keep_dashboard({}, on_login=logins.append, command=DIES, backoff=QUICK)
    assert logins == ["http://127.0.0.1:1/login?code=x"] * 3


async def test_a_dashboard_that_lived_long_enough_is_never_given_up() -> None:
    logins: list[str] = []
    enough = asyncio.Event()

    def count(link: str) -> None:
        logins.append(link)
        if len(logins) > 2 * QUICK.attempts:
            enough.set()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        keeper = group.create_task(
            keep_dashboard({}, on_login=count, command=DIES, backoff=QUICK, stable_s=0.0)
        )
        await enough.wait()
        keeper.cancel()


async def test_a_dashboard_that_cannot_start_is_given_up_without_an_error() -> None:
    logins: list[str] = []
    command = (sys.executable, "-c", "raise SystemExit(2)")
    async with asyncio.timeout(30):
        await keep_dashboard({}, on_login=logins.append, command=command, backoff=QUICK)
    assert logins == []


async def test_without_a_dashboard_nothing_is_started(tmp_path: Path) -> None:
    off = settings(tmp_path, **{"dashboard.enabled": False})
    async with dashboard_beside(off, None, on_login=pytest.fail):
        pass


async def test_the_error_of_the_trading_run_comes_through_unwrapped(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the run failed"):
        async with dashboard_beside(settings(tmp_path), None, on_login=lambda _: None):
            raise ValueError("the run failed")


async def test_ending_the_context_ends_the_process() -> None:
    ready = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        keeper = group.create_task(
            keep_dashboard({}, on_login=lambda _: ready.set(), command=LIVES, backoff=QUICK)
        )
        await ready.wait()
        keeper.cancel()
