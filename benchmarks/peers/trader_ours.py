"""Our traders: a book message comes in, one limit order at the best ask goes out.

``transport``: stream, book, features, the shipped logistic model, trade socket; nothing else.
``product``: stream, market feed, the whole installed panel of agents, then the gated engine with
journal and state machine, and the trade socket: what the system does from frame to order, except
that the benchmark, not the strategy, says that every tick is worth one order.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import engine_kit
import protocol

from agents.artifacts import SHIPPED, load
from agents.logistic import LogisticModel, parse_logistic
from optimizers.ai_signal_optimizer import AISignalOptimizer
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.execution.engine import ExecutionEngine
from trading_system.live.feed import MarketFeed
from trading_system.live.symbol_state import Panel
from trading_system.market.warm import warm
from trading_system.monitoring.latency import StageLatency
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.order_bodies import order_body
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks
from trading_system.venues.bybit.trade_stream import BybitTradeStream

Order = Callable[[], Coroutine[Any, Any, None]]


class _Linear:
    """A panel of one model and no opinion."""

    def __init__(self, model: LogisticModel) -> None:
        self._model = model
        self.score = 0.0

    def decide(self, features: MarketFeatures) -> Consensus | None:
        self.score = self._model.score_bps(features)
        return None

    def reset(self) -> None:
        self.score = 0.0


class _Trader:
    """One order per decision."""

    def __init__(self, panel: Panel, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._number = 0
        self.engine: ExecutionEngine | None = None
        self.trade: BybitTradeStream | None = None
        self.feed = MarketFeed(
            {"BTCUSDT": engine_kit.BTC},
            clock=engine_kit.CLOCK,
            latency=StageLatency(),
            decide=self._decide,
            call_soon=asyncio.get_running_loop().call_soon,
            panel_of=lambda _symbol: panel,
        )

    def _decide(self, _features: MarketFeatures, _consensus: Consensus | None) -> None:
        self._group.create_task(self._order())

    async def _order(self) -> None:
        ask = self.feed.best_prices("BTCUSDT").ask
        assert ask is not None
        if self.engine is not None:
            intent = engine_kit.intent(self.engine.next_link_id(), ask)
            await self.engine.submit(intent, timeout_s=5.0)
            engine_kit.settle(self.engine, intent)
            return
        assert self.trade is not None
        self._number += 1
        body = order_body(engine_kit.intent(f"b-{self._number}", ask))
        await self.trade.request("order.create", body, timeout_s=5.0)


async def begin(
    group: asyncio.TaskGroup, url: str, kind: str, folder: Path
) -> list[asyncio.Task[None]]:
    """Trade in the running loop; return the tasks to cancel once both sockets are up."""
    trader = _Trader(_panel(kind), group)
    trade = trader.trade = engine_kit.trade_stream(url, kind)
    if kind == "product":
        rest = BybitRest("http://127.0.0.1:9", signer=None, clock=engine_kit.CLOCK)
        gateway = BybitGateway(rest, clock=engine_kit.CLOCK, trade=trade)
        trader.engine = engine_kit.engine(gateway, folder, trader.feed.market_view)
    public = BybitStream(
        f"{url}/v5/public/linear?client={kind}",
        ["orderbook.50.BTCUSDT"],
        callbacks=StreamCallbacks(
            on_frame=trader.feed.on_frame, on_up=lambda: None, on_down=lambda _reason: None
        ),
        clock=engine_kit.CLOCK,
        jitter=random.Random(1),
    )
    running = [group.create_task(stream.run()) for stream in (trade, public)]
    await engine_kit.becomes_true(lambda: trade.is_up and public.is_up)
    return running


async def main(url: str, kind: str, folder: Path) -> None:
    engine_kit.quiet()
    warm()
    async with asyncio.TaskGroup() as group:
        running = await begin(group, url, kind, folder)
        protocol.ready()
        async for _ in engine_kit.questions():
            protocol.say({})
        for task in running:
            task.cancel()


def _panel(kind: str) -> Panel:
    if kind == "product":
        return AISignalOptimizer(clock=engine_kit.CLOCK).panel("BTCUSDT")
    return _Linear(parse_logistic(load("logistic", folder=SHIPPED).text))


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as name,
        asyncio.Runner(loop_factory=engine_kit.loop_factory()) as loop,
    ):
        loop.run(main(sys.argv[1], sys.argv[2], Path(name)))
