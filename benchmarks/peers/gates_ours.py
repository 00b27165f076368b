"""Our side of the guides' operations: requests, market analysis, execution, signals, checks."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import costs_ours
import engine_kit
import protocol
from plain_agent import Agent

from optimizers.ai_signal_optimizer import AISignalOptimizer
from optimizers.latency_optimizer import LatencyOptimizer
from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.microstructure.levels import read_levels
from optimizers.performance_optimizer import PerformanceOptimizer
from optimizers.transport.queue import PriorityGate
from trading_system.domain.instruments import Instrument
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.signals import FEATURE_NAMES, MarketFeatures

_PATH = "/v5/market/time"
_IDLE_S = 0.02
_BATCH = 20
_WARM = 20
_STEP_NS = 100_000_000


class _Client(costs_ours.BookClient):
    """A venue client that fills every parent at once at the best ask."""

    def __init__(self, url: str = "http://127.0.0.1:9") -> None:
        super().__init__()
        self.rest_url = url

    def auth_headers(self, _payload: bytes) -> dict[str, str]:
        return {}

    async def instrument(self, _symbol: str) -> Instrument:
        return engine_kit.BTC

    def features(self, _symbol: str) -> None:
        return None

    async def execute_parent(self, parent: ParentOrder) -> ParentResult:
        bid, ask = (Decimal(self.book[side][0][0]) for side in ("bids", "asks"))
        return ParentResult(
            parent=parent,
            arrival_mid=(bid + ask) / 2,
            filled_quantity=parent.quantity,
            filled_value=parent.quantity * ask,
            duration_ms=0.1,
            children=["b-1"],
        )


class _Stub:
    """A server that answers every request after ``delay_s`` with ``status``, and counts."""

    def __init__(self, *, status: int = 200, delay_s: float = 0.0) -> None:
        self._head = f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        self._delay_s = delay_s
        self.posts = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.posts += head.startswith(b"POST")
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.split(b":")[1]))
                await asyncio.sleep(self._delay_s)
                writer.write(self._head)
        except asyncio.IncompleteReadError:
            writer.close()


async def idle_get(count: int, url: str) -> list[float]:
    return await _gets(count, url, pause_s=_IDLE_S)


async def busy_get(count: int, url: str) -> list[float]:
    return await _gets(count, url, pause_s=0.0)


async def _gets(count: int, url: str, *, pause_s: float) -> list[float]:
    held = LatencyOptimizer(_Client(url))  # type: ignore[arg-type] # all that it uses
    await held.pre_warm_connections()
    times: list[float] = []
    for _ in range(count + _WARM):
        await asyncio.sleep(pause_s)
        times += await protocol.timed_async(
            lambda: held.execute_priority_request("GET", url + _PATH), 1
        )
    await held.cleanup()
    return times[_WARM:]


async def batch(count: int, _url: str) -> list[float]:
    """Time batches of 20 against a server that takes 20 ms."""
    async with await asyncio.start_server(_Stub(delay_s=0.02), "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        held = LatencyOptimizer(_Client(url))  # type: ignore[arg-type] # all that it uses
        await held.pre_warm_connections()
        items = [{"method": "GET", "url": url + _PATH}] * _BATCH
        times = await protocol.timed_async(lambda: held.execute_batch_requests(items), count)
        assert await held.execute_batch_requests(items) == [{}] * _BATCH
        await held.cleanup()
    return times


async def failed_post(count: int, _url: str) -> list[float]:
    """Return how often each POST that is answered with HTTP 500 arrives."""
    stub, sent = _Stub(status=500), []
    async with await asyncio.start_server(stub, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        held = LatencyOptimizer(_Client(url))  # type: ignore[arg-type] # all that it uses
        for _ in range(count):
            before = stub.posts
            answer = await held.execute_priority_request("POST", f"{url}/hook", params={"a": 1})
            assert answer["error"], answer
            sent.append(float(stub.posts - before))
        await held.cleanup()
    return sent


async def service_order(_count: int, _url: str) -> list[float]:
    """Return the priorities of 12 waiting requests in the order of service."""
    held, served = PriorityGate(1, capacity=12, clock=engine_kit.CLOCK), []
    await held.enter(1)

    async def request(priority: int) -> None:
        await held.enter(priority)
        served.append(float(priority))
        held.leave()

    async with asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(request(4 - number % 4))
        await asyncio.sleep(0)
        held.leave()
    return served


async def native_analysis(count: int, _url: str) -> list[float]:
    client = _Client()
    held = MarketMicrostructureAnalyzer(client)  # type: ignore[arg-type] # all that it uses
    levels = read_levels("BTCUSDT", client.book)
    return protocol.timed(lambda: held.analyze_levels(levels), count)


async def execution(count: int, _url: str) -> list[float]:
    """Time everything of an execution but the venue; every one must succeed."""
    held = PerformanceOptimizer(_Client())  # type: ignore[arg-type] # all that it uses
    answers: list[dict[str, Any]] = []

    async def one() -> None:
        answers.append(await held.optimize_order_execution("BTCUSDT", "Buy", "0.001"))

    times = await protocol.timed_async(one, count)
    assert all(answer["success"] for answer in answers)
    await held.cleanup()
    return times


async def models(count: int, _url: str) -> list[float]:
    return await _signals(count, AISignalOptimizer(clock=engine_kit.CLOCK))


async def stubs(count: int, _url: str) -> list[float]:
    three = {
        name: lambda _symbol, name=name: Agent(name, lambda _features: 0.6)
        for name in ("a", "b", "c")
    }
    return await _signals(count, AISignalOptimizer(agents=three, clock=engine_kit.CLOCK))


async def _signals(count: int, held: AISignalOptimizer) -> list[float]:
    """Time requests 0.1 s of market time apart, so that outcomes mature and agents may speak."""
    times, began_ns = [], engine_kit.CLOCK.monotonic_ns()
    for number in range(count):
        values = dict.fromkeys(FEATURE_NAMES, 0.1 + number % 7 / 100)
        features = MarketFeatures(
            symbol="BTCUSDT",
            mid=65_000.0 + number % 11,
            ts_ns=began_ns + number * _STEP_NS,
            **values,
        )
        times += await protocol.timed_async(
            lambda features=features: held.get_optimized_signal(
                "BTCUSDT", features, use_cache=False
            ),
            1,
        )
    await held.cleanup()
    return times


async def rate_limit(count: int, _url: str) -> list[float]:
    """Time the check; at most one call per interval may pass."""
    held = PerformanceOptimizer(_Client())  # type: ignore[arg-type] # all that it uses
    began, granted = engine_kit.CLOCK.monotonic_ns(), []
    times = protocol.timed(lambda: granted.append(held.rate_limit_api_call("order")), count)
    elapsed_s = (engine_kit.CLOCK.monotonic_ns() - began) / 1e9
    assert 1 <= sum(granted) <= 1 + elapsed_s / held.min_api_interval
    return times


STEPS: Sequence[Callable[[int, str], Any]] = (
    idle_get,
    busy_get,
    batch,
    service_order,
    failed_post,
    native_analysis,
    execution,
    models,
    stubs,
    rate_limit,
)


def main(url: str, folder: Path) -> None:
    engine_kit.quiet()
    steps = {step.__name__: step for step in STEPS}
    protocol.ready()
    with asyncio.Runner(loop_factory=engine_kit.loop_factory()) as loop:
        for question in protocol.questions():
            what, count = question["what"], question["count"]
            found = (
                steps[what](count, url) if what in steps else costs_ours.STEPS[what](count, folder)
            )
            protocol.say({"us": loop.run(found) if asyncio.iscoroutine(found) else found})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(sys.argv[1], Path(name))
