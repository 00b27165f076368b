"""The cost simulator against the real embedded venue: both exchanges, sockets and processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from trading_system.config.settings import load_settings
from trading_system.cost_simulator.faults import UnknownInstrumentError
from trading_system.cost_simulator.simulator import CostSimulator

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("processes")]

SWAP = ("okx", "BTC-USDT-SWAP")
TRADE: dict[str, Any] = {"side": "buy", "quantity": 50_000, "unit": "usd", "volatility_bps": 2}
ROOT = Path(__file__).parents[2]


async def test_both_exchanges_are_priced_from_the_same_market() -> None:
    async with CostSimulator(load_settings({}, environ={}), markets=[SWAP]) as simulator:
        bybit = simulator.estimate(**TRADE)
        okx = simulator.estimate(**TRADE, exchange="okx")
        assert okx["mid_price_quote"] == pytest.approx(bybit["mid_price_quote"], rel=1e-3)
        assert okx["fees_bps"] != bybit["fees_bps"]
        for answer in (bybit, okx):
            parts = answer["slippage_bps"] + answer["fees_bps"] + answer["market_impact_bps"]
            assert answer["net_cost_bps"] == parts
            assert answer["notional_quote"] == pytest.approx(50_000)
        for exchange in ("bybit", "okx"):
            await _sees_the_book_change(simulator, exchange)


async def _sees_the_book_change(simulator: CostSimulator, exchange: str) -> None:
    seen = set()
    async with aclosing(simulator.watch(**TRADE, exchange=exchange)) as estimates:
        async for estimate in estimates:
            seen.add((estimate["book"]["sequence"], estimate["fill_price_quote"]))
            if len(seen) >= 3:
                break
    assert len({sequence for sequence, _ in seen}) >= 2


@pytest.mark.parametrize(
    ("exchange", "instrument", "offered"),
    [("bybit", "DOGEUSDT", "BTCUSDT"), ("okx", "DOGE-USDT-SWAP", "BTC-USDT-SWAP")],
)
async def test_an_unknown_instrument_is_refused_with_some_that_exist(
    exchange: str, instrument: str, offered: str
) -> None:
    simulator = CostSimulator(load_settings({}, environ={}), exchange, instrument)
    with pytest.raises(UnknownInstrumentError, match=f"{instrument}.*{offered}"):
        async with simulator:
            pass


@asynccontextmanager
async def served(folder: Path, *arguments: str) -> AsyncIterator[tuple[str, subprocess.Popen[str]]]:
    environ = {key: text for key, text in os.environ.items() if not key.startswith("TRADING_")}
    # Users have no coverage installed, which numba imports where it finds it: 3 MiB.
    absent = folder / "absent"
    absent.mkdir()
    (absent / "coverage.py").write_text("raise ImportError\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_system", "cost", "serve", "--json", *arguments],
        cwd=folder,
        env={**environ, "PYTHONPATH": f"{absent}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        yield json.loads(line)["url"], process
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 20)
        assert process.stdout is not None
        process.stdout.close()


async def _healthy(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(20):
        while True:
            async with http.get(url + "/health") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.05)


async def test_serve_answers_streams_stays_small_and_ends_in_order(tmp_path: Path) -> None:
    async with served(tmp_path) as (url, process), aiohttp.ClientSession() as http:
        await _healthy(http, url)
        for exchange in ("bybit", "okx"):
            async with http.post(url + "/estimate", json={**TRADE, "exchange": exchange}) as answer:
                assert answer.status == 200
                assert (await answer.json())["exchange"] == exchange
        async with http.ws_connect(url + "/ws") as watching:
            await watching.send_json({**TRADE, "exchange": "okx"})
            updates = [await watching.receive_json(timeout=10) for _ in range(5)]
        assert len({update["book"]["sequence"] for update in updates}) >= 3
        async with http.get(url + "/status") as answer:
            status = await answer.json()
        assert status["process"]["rss_mib"] <= 200
        assert status["markets"][0]["latency"]["book_update"]["samples"] > 0
    assert process.returncode == 0


async def test_serve_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    # The dashboard starts it; a dashboard that was killed can stop nothing.
    keeper = (
        "import asyncio, os, sys\n"
        "from trading_system.runtime.child import ChildSpec, launch\n"
        "async def main():\n"
        "    command = [sys.executable, '-m', 'trading_system', 'cost', 'serve', '--json']\n"
        "    spec = ChildSpec(name='cost serve', command=command, ready_deadline_s=60)\n"
        "    async with launch(spec) as child:\n"
        "        print(child.pid, flush=True)\n"
        "        await child.wait()\n"
        "asyncio.run(main())\n"
    )
    environ = {key: text for key, text in os.environ.items() if not key.startswith("TRADING_")}
    parent = subprocess.Popen(
        [sys.executable, "-c", keeper],
        cwd=tmp_path,
        env={**environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(await asyncio.to_thread(parent.stdout.readline))
    parent.kill()
    await asyncio.to_thread(parent.wait, 10)
    try:
        async with asyncio.timeout(15):
            while is_alive(pid):
                await asyncio.sleep(0.05)
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGTERM)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # it has ended, and nobody asked how
