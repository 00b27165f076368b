"""The venue dies under the running system: halted at once, reconciled before the next order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from live_rig import BTC, ETH, eventually, live_settings, reader_of, running

from trading_system.api.address import read_address
from trading_system.cli.client import call
from trading_system.domain.errors import OrderDenied, TradingSystemError
from trading_system.enhanced_trading_system import EnhancedTradingSystem
from trading_system.execution.engine import LINK_PREFIX
from trading_system.risk.limits import TradingState
from trading_system.runtime.clock import SystemClock

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("processes")]

START = [sys.executable, "-m", "trading_system", "start", "--no-dashboard", "--json"]
_POLL_S = 0.03


def venue_pid(process: int) -> int:
    (child,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(child)


class Started:
    """``start`` with its embedded venue in a process group of its own."""

    def __init__(self, process: asyncio.subprocess.Process, data_dir: Path) -> None:
        self.process = process
        self.data_dir = data_dir

    async def status(self) -> dict[str, Any]:
        return await asyncio.to_thread(call, self.data_dir, "GET", "/status", timeout_s=10)

    async def until(self, **wanted: object) -> dict[str, Any]:
        """Return the first status with the wanted values."""
        ends = time.monotonic() + 20
        while True:
            await asyncio.sleep(_POLL_S)  # the API answers 100 reads a second
            status = await self.status()
            if all(status[name] == value for name, value in wanted.items()):
                return status
            assert time.monotonic() < ends, (wanted, status["holds"], status["health"])

    async def end(self) -> tuple[int | None, dict[str, Any]]:
        self.process.send_signal(signal.SIGINT)
        out, _ = await self.process.communicate()
        return self.process.returncode, json.loads(out)


@asynccontextmanager
async def started(folder: Path, **variables: str) -> AsyncIterator[Started]:
    data_dir, log = folder / "data", folder / "log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *START,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "TRADING_DATA_DIR": str(data_dir), **variables},
        )
    try:
        await eventually(lambda: read_address(data_dir) is not None, within_s=20)
        yield Started(process, data_dir)
    except TradingSystemError as e:
        raise AssertionError(log.read_text()[-2000:]) from e
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_venue_halts_within_three_seconds_and_trading_goes_on(
    tmp_path: Path,
) -> None:
    # The market's known edge makes the strategy trade before and after.
    async with started(tmp_path, TRADING_VENUE__EDGE="60") as run:
        assert (await run.status())["health"]["score"] <= 20  # no data yet
        await run.until(state="RUNNING", trading_state="ACTIVE")
        before = await traded(run, more_than=0)
        pid = venue_pid(run.process.pid)
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        status = await run.until(trading_state="HALTED")
        assert time.monotonic() - killed < 3
        assert status["health"]["score"] < 40
        assert any("venue" in reason for reason in status["holds"]["reasons"])
        assert any("embedded venue died" in reason for reason in status["health"]["reasons"])
        status = await run.until(trading_state="ACTIVE")
        assert venue_pid(run.process.pid) != pid
        assert status["position"]["local"] == status["position"]["venue"]
        await traded(run, more_than=before)
        code, report = await run.end()
    assert code == 0
    assert report["position"]["local"] == report["position"]["venue"]
    assert (report["own_open_orders"], report["orders"]["unknown"]) == (0, 0)
    assert report["streams"]["outages"] >= 1


async def traded(run: Started, *, more_than: int) -> int:
    """Return the number of fills once there are more."""
    ends = time.monotonic() + 40
    while True:
        await asyncio.sleep(_POLL_S)
        status = await run.status()
        if status["fills"] > more_than:
            return int(status["fills"])
        assert time.monotonic() < ends, status["orders"]


def test_before_any_data_the_health_is_at_most_twenty(tmp_path: Path) -> None:
    status = EnhancedTradingSystem(live_settings(tmp_path)).get_system_status()
    assert status["health"]["score"] <= 20
    assert status["trading_state"] == "HALTED"


class Restart:
    """Notes what the gate allowed, and when, while the venue restarts."""

    def __init__(self, system: EnhancedTradingSystem) -> None:
        self.session = system.desk.live_session()
        self.seen: list[tuple[TradingState, bool, int]] = []
        self.session.engine.holds._on_change = self.note

    def note(self, _before: TradingState, after: TradingState) -> None:
        agree = self.session.reconciler.positions_agree is True
        self.seen.append((after, agree, SystemClock().utc_ns() // 1_000_000))


async def test_the_restarted_venue_is_reconciled_before_the_first_new_order(
    tmp_path: Path,
) -> None:
    async with running(live_settings(tmp_path, strategy__name="none")) as system:
        desk, client = system.desk, system.bybit_client
        bought = await client.place_order(ETH, "Buy", quantity="0.5")
        reader, restart = reader_of(desk), Restart(system)
        known = set(await reader.orders())
        assert desk.venue is not None
        assert desk.venue.pid is not None
        os.kill(desk.venue.pid, signal.SIGKILL)
        denied, sent_ms = await order_when_allowed(system, ETH)
        assert denied >= 1
        assert reader_of(desk) == reader  # same port, same key
        states = [state for state, _, _ in restart.seen]
        assert states[0] in {TradingState.HALTED, TradingState.REDUCING}
        assert TradingState.HALTED in states
        assert states[-1] is TradingState.ACTIVE
        # Every time the gate opened for new positions, both sides had been compared.
        opened = [(agree, ms) for state, agree, ms in restart.seen if state is TradingState.ACTIVE]
        assert all(agree for agree, _ in opened)
        orders = await reader.orders()
        assert known < set(orders)  # the venue kept its accounts
        fresh = [int(row["createdTime"]) for i, row in orders.items() if i not in known]
        assert min(fresh) >= opened[-1][1]
        assert sent_ms >= opened[-1][1]
        assert bought["filled_quantity"] == 0.5
        assert await reader.positions() == {ETH: Decimal("0.7")}
        assert desk.session is not None
        assert desk.session.reconciler.local() == {ETH: Decimal("0.7")}
        assert desk.venue.restarts == 1


async def order_when_allowed(system: EnhancedTradingSystem, symbol: str) -> tuple[int, int]:
    """Try until the gate lets an order pass; return the refusals and when it was sent, UTC ms."""
    session, denied = system.desk.live_session(), 0
    await eventually(lambda: session.engine.state is not TradingState.ACTIVE, within_s=3)
    async with asyncio.timeout(20):
        while True:
            now_ms = SystemClock().utc_ns() // 1_000_000
            try:
                result = await system.bybit_client.place_order(symbol, "Buy", quantity="0.2")
            except OrderDenied:
                denied += 1
                await asyncio.sleep(0.005)
            else:
                assert result["filled_quantity"] == 0.2
                return denied, now_ms


async def test_what_became_of_a_resting_order_is_known_before_new_ones(
    tmp_path: Path,
) -> None:
    async with running(live_settings(tmp_path, strategy__name="none")) as system:
        session, reader = system.desk.live_session(), reader_of(system.desk)
        resting = await system.bybit_client.place_order(
            BTC, "Buy", quantity="0.01", order_type="Limit", price="40000"
        )
        assert resting["status"] == "open"
        assert system.desk.venue is not None
        assert system.desk.venue.pid is not None
        os.kill(system.desk.venue.pid, signal.SIGKILL)
        await eventually(lambda: session.engine.state is TradingState.HALTED, within_s=3)
        await eventually(lambda: session.engine.state is TradingState.ACTIVE, within_s=20)
        order = session.engine.order(resting["link_id"])
        assert order is not None
        rows = await reader.rows("/v5/order/realtime", symbol=BTC)
        venue_has_it = [row for row in rows if row["orderStatus"] == "New"] != []
        assert venue_has_it is (not order.status.is_final)
        assert rows == [] or rows[0]["orderLinkId"].startswith(LINK_PREFIX)
