"""Ticks beside 200,000 long-lived objects: retained objects and Python's defaults, or ours.

``ours`` writes its history into a ring of numbers, freezes what lives long and collects rarely;
``default`` appends the same ten levels as objects to a bounded history and leaves the collector as
Python has it.

``us`` is the time per tick, ``collector_us`` the part of it that the collector took, as its own
callbacks tell.
"""

from __future__ import annotations

import gc
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from itertools import chain

import protocol

_TICKS = 200_000
_HISTORY = 100_000
_WIDTH = 20
_THRESHOLDS = (10_000, 50, 1_000)

Levels = list[list[float]]


class _Watch:
    """Adds up what the collector takes."""

    def __init__(self) -> None:
        self.taken_ns = 0
        self._began_ns = 0
        gc.callbacks.append(self._on_phase)

    def _on_phase(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began_ns = time.perf_counter_ns()
        else:
            self.taken_ns += time.perf_counter_ns() - self._began_ns


def _measured(keep: Callable[[int, Levels], None]) -> dict[str, list[float]]:
    watch, ticks, collector = _Watch(), array("d"), array("d")
    for number in range(_TICKS):
        before = watch.taken_ns
        began = time.perf_counter_ns()
        levels = [[float(number), float(i)] for i in range(10)]
        keep(number, levels)
        ticks.append((time.perf_counter_ns() - began) / 1_000)
        collector.append((watch.taken_ns - before) / 1_000)
    return {"us": ticks.tolist(), "collector_us": collector.tolist()}


def _default() -> dict[str, list[float]]:
    history: deque[dict[str, object]] = deque(maxlen=_HISTORY)
    return _measured(lambda number, levels: history.append({"number": number, "levels": levels}))


def _ours() -> dict[str, list[float]]:
    ring = array("d", bytes(8 * _WIDTH * _HISTORY))

    def keep(number: int, levels: Levels) -> None:
        at = number % _HISTORY * _WIDTH
        ring[at : at + _WIDTH] = array("d", chain.from_iterable(levels))

    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    return _measured(keep)


if __name__ == "__main__":
    resident = [{"number": i, "list": [i]} for i in range(100_000)]
    protocol.ready()
    for _ in protocol.questions():
        protocol.say(_ours() if sys.argv[1] == "ours" else _default())
    assert resident
