"""Orders as users send them: gate, journal on disk, state machine, then REST or the trade socket.

``rest`` and ``ws`` go through the engine; ``ws-bare`` is the trade socket without it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import engine_kit
import protocol

from optimizers.transport.pool import PooledTransport
from trading_system.execution.engine import ExecutionEngine
from trading_system.live.collector import tame_collector
from trading_system.venues.bybit.budgets import Budgets
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.order_bodies import order_body
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.trade_stream import BybitTradeStream

_MANY = 100_000
_QUOTA = {
    "X-Bapi-Limit": str(_MANY),
    "X-Bapi-Limit-Status": str(_MANY),
    "X-Bapi-Limit-Reset-Timestamp": "0",
}


async def main(url: str, kind: str, folder: Path) -> None:
    engine_kit.quiet()
    tame_collector()  # as a session does
    if kind == "rest":
        await _rest(url, folder)
        return
    trade = engine_kit.trade_stream(url, kind)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(trade.run())
        await engine_kit.becomes_true(lambda: trade.is_up)
        if kind == "ws":
            rest = BybitRest("http://127.0.0.1:9", signer=None, clock=engine_kit.CLOCK)
            gateway = BybitGateway(rest, clock=engine_kit.CLOCK, trade=trade)
            await _serve_engine(engine_kit.engine(gateway, folder))
            assert gateway.sent_by_rest == 0
        else:
            await _serve_bare(trade)
        running.cancel()


async def _rest(url: str, folder: Path) -> None:
    async with PooledTransport(connections=10) as pool:
        await pool.pre_warm(url)
        # Budgets judge every order as in the system, with quotas that let the benchmark through.
        budgets = Budgets(clock=engine_kit.CLOCK, address_permits=_MANY)
        budgets.follow("/v5/order/create", {}, _QUOTA)
        rest = BybitRest(
            url,
            signer=engine_kit.signer(),
            clock=engine_kit.CLOCK,
            transport=pool,
            budgets=budgets,
        )
        await _serve_engine(engine_kit.engine(BybitGateway(rest, clock=engine_kit.CLOCK), folder))


async def _serve_engine(engine: ExecutionEngine) -> None:
    protocol.ready()
    async for question in engine_kit.questions():
        times = []
        for _ in range(question["count"]):
            began = time.perf_counter_ns()
            intent = engine_kit.intent(engine.next_link_id())
            await engine.submit(intent, timeout_s=5.0)
            times.append((time.perf_counter_ns() - began) / 1_000)
            engine_kit.settle(engine, intent)
        assert not engine.live_orders
        protocol.say({"us": times})


async def _serve_bare(trade: BybitTradeStream) -> None:
    protocol.ready()
    number = 0
    async for question in engine_kit.questions():
        times = []
        for _ in range(question["count"]):
            number += 1
            began = time.perf_counter_ns()
            body = order_body(engine_kit.intent(f"b-{number}"))
            await trade.request("order.create", body, timeout_s=5.0)
            times.append((time.perf_counter_ns() - began) / 1_000)
        protocol.say({"us": times})


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as name,
        asyncio.Runner(loop_factory=engine_kit.loop_factory()) as loop,
    ):
        loop.run(main(sys.argv[1], sys.argv[2], Path(name)))
