"""The child's end of a measurement: a ready line, then one JSON answer per JSON line; stdlib only.

Every measured client runs in a process of its own, ours too, in the environment it belongs to.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def ready(package: str | None = None) -> None:
    say({"ready": True, "version": version(package) if package else ""})


def questions() -> Any:
    for line in sys.stdin:
        yield parsed(line)


def parsed(line: str) -> Any:
    return json.loads(line)


def timed(call: Callable[[], object], count: int) -> list[float]:
    """Return microseconds per call."""
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - began) / 1_000)
    return times


def timed_in_blocks(call: Callable[[], object], count: int, *, block: int = 100) -> list[float]:
    """Return microseconds per call; each sample is the mean of ``block`` calls in a row."""
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        for _ in range(block):
            call()
        times.append((time.perf_counter_ns() - began) / 1_000 / block)
    return times


async def timed_async(call: Callable[[], Awaitable[object]], count: int) -> list[float]:
    """Return microseconds per call."""
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        await call()
        times.append((time.perf_counter_ns() - began) / 1_000)
    return times
