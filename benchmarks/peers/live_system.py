"""A whole running system: session on the embedded venue, watch, control API, all in one loop.

Beside its own session the process trades for the benchmark (``trader_ours``, ``product``) when it
is given the address of ``stream_server``: the ticks that are timed from wire to wire share the loop
with everything that a real run does. A few parent orders are worked first, so that fills, orders
and executions have rows to show.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, redirect_stderr
from pathlib import Path
from typing import Any

import engine_kit
import protocol
import trader_ours

from trading_system.api.server import control_api
from trading_system.config.settings import load_settings
from trading_system.enhanced_trading_system import EnhancedTradingSystem
from trading_system.monitoring import logs

_PARENTS = 12
_QUANTITIES = {"BTCUSDT": "0.002", "ETHUSDT": "0.02"}
_PAUSE_S = 0.02
_WARM = 20
_NS_PER_US = 1_000


async def main(url: str | None, folder: Path) -> None:
    settings = load_settings(
        {"data_dir": str(folder), "environment": "simulated"},
        environ={},
        dotenv_path=folder / "none",
        config_path=folder / "none",
    )
    system = EnhancedTradingSystem(settings)
    async with AsyncExitStack() as stack:
        # As `start` writes its log, but into a file: only what breaks belongs beside the rows.
        log = stack.enter_context((folder / "log").open("w"))
        with redirect_stderr(log):
            logs.configure(settings.log.level, form="json")
        await stack.enter_async_context(
            control_api(
                system,
                system,
                system.inspection,
                host=settings.api.host,
                port=0,
                data_dir=settings.data_dir,
            )
        )
        await system.start_system()
        stack.push_async_callback(system.stop_system, "the benchmark is over")
        await _seed(system)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        running = [] if url is None else await trader_ours.begin(group, url, "product", folder)
        protocol.ready()
        async for question in engine_kit.questions():
            if question["what"] == "end":
                break
            protocol.say(await _answer(system, question))
        for task in running:
            task.cancel()


async def _seed(system: EnhancedTradingSystem) -> None:
    for number in range(_PARENTS):
        for symbol, quantity in _QUANTITIES.items():
            await system.execute(symbol, ("Buy", "Sell")[number % 2], quantity)


async def _answer(system: EnhancedTradingSystem, question: dict[str, Any]) -> dict[str, Any]:
    if question["what"] == "used":
        return {"cpu_s": time.process_time(), "at_s": time.perf_counter()}
    calls: dict[str, Callable[[], object]] = {
        "status": system.get_system_status,
        "look": system.watch.look,
    }
    us, cpu_us = await _paced(calls[question["what"]], question["count"])
    score = system.get_system_status()["health"]["score"]
    return {"us": us, "cpu_us": cpu_us, "score": score}


async def _paced(call: Callable[[], object], count: int) -> tuple[list[float], list[float]]:
    """Return microseconds per call, and those of the processor; in between the loop lives on."""
    times, used = [], []
    for _ in range(count + _WARM):
        await asyncio.sleep(_PAUSE_S)
        began, cpu_began = time.perf_counter_ns(), time.thread_time_ns()
        call()
        used.append((time.thread_time_ns() - cpu_began) / _NS_PER_US)
        times.append((time.perf_counter_ns() - began) / _NS_PER_US)
    return times[_WARM:], used[_WARM:]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=engine_kit.loop_factory()) as loop:
        loop.run(main(sys.argv[2] if len(sys.argv) > 2 else None, Path(sys.argv[1])))
    protocol.say({"ended": True})
