"""From the socket to our book: stream and market feed with every check; stamps each book."""

from __future__ import annotations

import asyncio
import random
import sys
import time

import engine_kit
import protocol

from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.live.feed import MarketFeed
from trading_system.market.warm import warm
from trading_system.monitoring.latency import StageLatency
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks


class _NoAgents:
    def decide(self, _features: MarketFeatures) -> Consensus | None:
        return None

    def reset(self) -> None:
        return None


async def main(url: str) -> None:
    engine_kit.quiet()
    warm()
    stamps: list[int] = []
    feed = MarketFeed(
        {"BTCUSDT": engine_kit.BTC},
        clock=engine_kit.CLOCK,
        latency=StageLatency(),
        decide=lambda _features, _consensus: None,
        call_soon=asyncio.get_running_loop().call_soon,
        panel_of=lambda _symbol: _NoAgents(),
    )
    book = feed.symbols["BTCUSDT"].book

    def on_frame(frame: bytes, received_ns: int) -> None:
        feed.on_frame(frame, received_ns)
        assert book.best_bid_ticks is not None
        assert book.best_ask_ticks is not None
        stamps.append(time.perf_counter_ns())

    stream = BybitStream(
        f"{url}/v5/public/linear?client=ours",
        ["orderbook.50.BTCUSDT"],
        callbacks=StreamCallbacks(
            on_frame=on_frame, on_up=lambda: None, on_down=lambda _reason: None
        ),
        clock=engine_kit.CLOCK,
        jitter=random.Random(1),
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stream.run())
        await engine_kit.becomes_true(lambda: stream.is_up)
        protocol.ready()
        async for question in engine_kit.questions():
            wanted = question["count"]
            await engine_kit.becomes_true(lambda wanted=wanted: len(stamps) >= wanted)
            assert book.best_bid_ticks is not None
            assert book.best_ask_ticks is not None
            figures = [book.best_bid_ticks / 10, book.best_ask_ticks / 10, book.imbalance(10)]
            answer = {"stamps": stamps[:], "figures": figures}
            stamps.clear()
            protocol.say(answer)
        running.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=engine_kit.loop_factory()) as loop:
        loop.run(main(sys.argv[1]))
