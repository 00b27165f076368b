"""A headless client of the control API: the dashboard's own link, with all its pages open at once.

``open`` connects and subscribes and answers once every topic has come; ``close`` leaves and tells
what came meanwhile. The reads are those that the pages make, each at its page's pace.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import engine_kit
import protocol
from typing_extensions import override

from trading_system.dashboard.link import ApiLink
from trading_system.dashboard.store import Store

_TOPICS = (
    "status",
    "alerts",
    "equity",
    "log",
    "positions",
    "orders",
    "fills",
    "market-maker",
    "market:BTCUSDT",
    "market:ETHUSDT",
)
_ONCE: tuple[tuple[str, dict[str, object]], ...] = (
    ("/whoami", {}),
    ("/equity", {}),
    ("/alerts", {}),
    ("/log", {"limit": 500}),
)
_EVERY: tuple[tuple[float, str, dict[str, object]], ...] = (
    (1.0, "/risk", {}),
    (2.0, "/latency", {}),
    (2.0, "/candles/BTCUSDT", {"interval": "1", "limit": 120}),
    (2.0, "/candles/ETHUSDT", {"interval": "1", "limit": 120}),
)


class _Counting(Store):
    """Counts what comes."""

    def __init__(self) -> None:
        super().__init__(clock=engine_kit.CLOCK)
        self.counts: Counter[str] = Counter()

    @override
    def put(self, topic: str, data: dict[str, Any]) -> None:
        self.counts[topic] += 1
        super().put(topic, data)


class _Visit:
    """One dashboard, from its opening to its end."""

    def __init__(self, data_dir: Path) -> None:
        self._store = _Counting()
        self._link = ApiLink(data_dir, store=self._store, rng=random.Random(1))
        self._began_s = 0.0
        self._reads = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, group: asyncio.TaskGroup) -> None:
        self._link.want("all pages", _TOPICS)
        self._tasks.append(group.create_task(self._link.run()))
        await engine_kit.becomes_true(lambda: set(_TOPICS) <= set(self._store.counts))
        for path, query in _ONCE:
            await self._link.get(path, query)
        self._tasks += [
            group.create_task(self._read(every_s, path, query)) for every_s, path, query in _EVERY
        ]
        self._store.counts.clear()
        self._began_s = time.perf_counter()

    def close(self) -> dict[str, Any]:
        assert self._store.is_connected, self._store.problem
        for task in self._tasks:
            task.cancel()
        return {
            "frames": dict(self._store.counts),
            "reads": self._reads,
            "seconds": time.perf_counter() - self._began_s,
        }

    async def _read(self, every_s: float, path: str, query: dict[str, object]) -> None:
        while True:
            await self._link.get(path, query)
            self._reads += 1
            await asyncio.sleep(every_s)


async def main(data_dir: Path) -> None:
    engine_kit.quiet()
    visit: _Visit | None = None
    protocol.ready()
    async with asyncio.TaskGroup() as group:
        async for question in engine_kit.questions():
            if question["what"] == "open":
                visit = _Visit(data_dir)
                await visit.open(group)
                protocol.say({})
            else:
                assert visit is not None
                protocol.say(visit.close())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
