"""The real command, the real venue, real sockets; a separate client reads the venue's truth."""

import asyncio
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from trading_system.runtime.clock import SystemClock

PYTHON = [sys.executable, "-m", "trading_system"]


def environment(folder: Path, **variables: str) -> dict[str, str]:
    return {**os.environ, "TRADING_DATA_DIR": str(folder / "data"), **variables}


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[dict[str, Any]]:
    process = subprocess.Popen(
        [*PYTHON, "venue", "--port", "0", "--seed", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path),
        text=True,
    )
    assert process.stdout is not None
    try:
        yield {**json.loads(process.stdout.readline()), "process": process}
    finally:
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()


def pointed_at(venue: dict[str, Any]) -> dict[str, str]:
    return {
        "TRADING_BYBIT__REST_URL": venue["rest"],
        "TRADING_BYBIT__WS_URL": venue["ws"],
        "TRADING_BYBIT__API_KEY": venue["api_key"],
        "TRADING_BYBIT__API_SECRET": venue["api_secret"],
    }


async def read(venue: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """Read the venue with a client that shares nothing with the system."""
    query = "category=linear&settleCoin=USDT"
    stamp = str(SystemClock().utc_ns() // 1_000_000)
    text = f"{stamp}{venue['api_key']}5000{query}"
    sign = hmac.new(venue["api_secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
    headers = {
        "X-BAPI-API-KEY": venue["api_key"],
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": sign,
    }
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{venue['rest']}{path}?{query}", headers=headers) as answer,
    ):
        rows: list[dict[str, Any]] = (await answer.json())["result"]["list"]
        return rows


def signed_size(row: dict[str, Any]) -> str:
    return row["size"] if row["side"] == "Buy" else f"-{row['size']}"


@pytest.mark.timeout(90)
def test_a_run_trades_settles_everything_and_equals_the_venue(
    tmp_path: Path, venue: dict[str, Any]
) -> None:
    result = subprocess.run(
        [*PYTHON, "start", "--duration", "25", "--no-dashboard", "--json"],
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
        env=environment(tmp_path, **pointed_at(venue)),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["orders"]["sent"] >= 1
    assert report["fills"] >= 1
    assert report["signals"] > 0
    assert report["health"]["score"] > 80
    truth = asyncio.run(read(venue, "/v5/position/list"))
    positions = {row["symbol"]: float(signed_size(row)) for row in truth}
    local = {symbol: float(q) for symbol, q in report["position"]["local"].items()}
    assert positions == local
    resting = asyncio.run(read(venue, "/v5/order/realtime"))
    # Only the stops that protect positions left open may rest, and each such position has one.
    assert {row["stopOrderType"] for row in resting} <= {"StopLoss"}
    assert {row["symbol"] for row in resting} == set(positions)
    assert not (tmp_path / "data" / "api.json").exists()


class Running:
    """``start`` in the background, ready when its control API is announced."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.environ = environment(folder, **variables)
        self.process = subprocess.Popen(
            [*PYTHON, "start", "--no-dashboard", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environ,
        )
        assert self.process.stderr is not None
        self.head = []
        for line in self.process.stderr:
            self.head.append(line)
            if line.startswith("trading-system runs"):
                return
        raise AssertionError("".join(self.head))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PYTHON, *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=self.environ,
        )

    def end(self) -> tuple[int, dict[str, Any]]:
        out, _ = self.process.communicate(timeout=40)
        return self.process.returncode, json.loads(out)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def has_ended(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"


def wait_until_ended(pid: int, *, seconds: float = 10.0) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if has_ended(pid):
            return True
        os.sched_yield()
    return False


@pytest.mark.timeout(90)
def test_status_compliance_and_stop_talk_to_the_running_system(tmp_path: Path) -> None:
    running = Running(tmp_path)
    (venue_pid,) = children(running.process.pid)
    api_file = tmp_path / "data" / "api.json"
    assert api_file.stat().st_mode & 0o777 == 0o600
    status = json.loads(running.command("status", "--json").stdout)
    assert status["system_active"] is True
    assert all(part["active"] for part in status["component_status"].values())
    verdict = running.command("compliance", "--json")
    rows = json.loads(verdict.stdout)["performance_compliance"]
    assert verdict.returncode == (0 if all(rows.values()) else 1)
    second = running.command("start", "--no-dashboard", "--duration", "1")
    assert (second.returncode, "another system" in second.stderr) == (2, True)
    assert running.command("stop", "--reason", "test is over").returncode == 0
    code, report = running.end()
    assert (code, report["state"], report["stop_reason"]) == (0, "STOPPED", "test is over")
    assert wait_until_ended(venue_pid)


@pytest.mark.timeout(90)
def test_sigterm_stops_in_order_and_exits_zero(tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.process.send_signal(signal.SIGTERM)
    code, report = running.end()
    assert (code, report["stop_reason"], report["open_orders"]) == (0, "SIGTERM", 0)


@pytest.mark.timeout(90)
def test_kill_nine_leaves_no_venue_behind_and_the_next_start_works(tmp_path: Path) -> None:
    running = Running(tmp_path)
    (venue_pid,) = children(running.process.pid)
    running.process.kill()
    running.process.communicate(timeout=10)
    assert wait_until_ended(venue_pid)
    again = Running(tmp_path)
    again.process.send_signal(signal.SIGINT)
    assert again.end()[0] == 0


@pytest.mark.timeout(90)
def test_a_venue_that_disappears_is_an_outage_not_a_hang(
    tmp_path: Path, venue: dict[str, Any]
) -> None:
    running = Running(tmp_path, **pointed_at(venue))
    venue["process"].kill()
    venue["process"].wait(timeout=10)
    ends = time.monotonic() + 15
    score = 100.0
    while score >= 40 and time.monotonic() < ends:
        score = json.loads(running.command("status", "--json").stdout)["health"]["score"]
    assert score < 40
    running.process.send_signal(signal.SIGINT)
    code, report = running.end()
    assert code == 4
    assert report["position"]["venue"] is None or report["open_orders"] is None


@pytest.mark.timeout(60)
def test_an_impatient_stop_while_starting_undoes_everything_and_exits_zero(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PYTHON, "start", "--no-dashboard", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    assert process.stderr is not None
    next(line for line in process.stderr if "STARTING" in line)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["state"] == "STOPPED"
