"""What all book clients share: read the flow, time it in blocks, give the last figures back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import protocol

Figures = tuple[float, float, float]
"""Best bid, best ask, imbalance of ten levels."""

_BLOCK = 100


def serve(
    package: str | None, begin: Callable[[bytes], None], apply: Callable[[bytes], Figures]
) -> None:
    """Answer questions: ``begin`` takes the snapshot (not timed), ``apply`` each delta."""
    snapshot, *deltas = Path(sys.argv[1]).read_bytes().splitlines()
    protocol.ready(package)
    for _ in protocol.questions():
        begin(snapshot)
        times, figures = [], (0.0, 0.0, 0.0)
        for first in range(0, len(deltas), _BLOCK):
            block = deltas[first : first + _BLOCK]
            began = time.perf_counter_ns()
            for delta in block:
                figures = apply(delta)
            times.append((time.perf_counter_ns() - began) / 1_000 / len(block))
        protocol.say({"us": times, "figures": figures})


def imbalance(bids: float, asks: float) -> float:
    """Return (bids - asks) / (bids + asks)."""
    return (bids - asks) / (bids + asks)
