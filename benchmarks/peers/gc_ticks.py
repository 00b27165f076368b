"""Ticks beside 200,000 long-lived objects: retained objects and Python's defaults, or ours.

``ours`` writes its history into a ring of numbers, freezes what lives long and collects rarely;
``default`` appends objects to a bounded history and leaves the collector as Python has it.
"""

from __future__ import annotations

import gc
import sys
import time
from array import array
from collections import deque

import protocol

_TICKS = 200_000
_HISTORY = 100_000
_THRESHOLDS = (50_000, 20, 50)


def _default() -> list[float]:
    history: deque[dict[str, object]] = deque(maxlen=_HISTORY)
    times = []
    for number in range(_TICKS):
        began = time.perf_counter_ns()
        levels = [[float(number), float(i)] for i in range(10)]
        history.append({"number": number, "levels": levels[:3]})
        times.append((time.perf_counter_ns() - began) / 1_000)
    return times


def _ours() -> list[float]:
    ring = array("d", bytes(8 * 6 * _HISTORY))
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    times = []
    for number in range(_TICKS):
        began = time.perf_counter_ns()
        levels = [[float(number), float(i)] for i in range(10)]
        at = number % _HISTORY * 6
        for offset, level in enumerate(levels[:3]):
            ring[at + 2 * offset] = level[0]
            ring[at + 2 * offset + 1] = level[1]
        times.append((time.perf_counter_ns() - began) / 1_000)
    return times


if __name__ == "__main__":
    resident = [{"number": i, "list": [i]} for i in range(100_000)]
    protocol.ready()
    for _ in protocol.questions():
        protocol.say({"us": _ours() if sys.argv[1] == "ours" else _default()})
    assert resident
