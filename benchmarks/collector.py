"""gc: pauses per tick with Python's garbage collector as it is, and frozen with raised thresholds.

The thresholds are those of the embedded venue's process. The work is a stand-in for a tick, not the
trading process itself.

Each round runs in fresh processes, since a collector's state is its process's.
"""

from __future__ import annotations

import platform

import numpy as np

from benchmarks.interleaved import child
from benchmarks.rows import Row

_ROUNDS = 3
_BAR = 0.3
_PAUSE_BAR_US = 5_000.0


def run() -> list[Row]:
    """Return the row."""
    samples: dict[str, list[float]] = {"ours": [], "default": []}
    for _ in range(_ROUNDS):
        for name, held in samples.items():
            with child("gc_ticks.py", name) as one:
                assert one is not None
                held.extend(one.ask({})["us"])
    ours, default = (np.percentile(samples[name], (50, 95, 99, 99.9)) for name in samples)
    longest, worst = max(samples["ours"]), max(samples["default"])
    ratio = float(ours[3] / default[3])
    return [
        Row(
            id="gc",
            value=round(float(ours[3]), 3),
            unit="us p99.9",
            p50=round(float(ours[0]), 3),
            p95=round(float(ours[1]), 3),
            p99=round(float(ours[2]), 3),
            samples=len(samples["ours"]),
            peer="default collector",
            peer_version=platform.python_version(),
            peer_value=round(float(default[3]), 3),
            ratio=round(ratio, 4),
            bar=f"p99.9 <= {_BAR:g} x default, no pause > {_PAUSE_BAR_US / 1000:g} ms",
            met=ratio <= _BAR and longest <= _PAUSE_BAR_US,
            note=f"stand-in tick; longest {longest / 1000:.2f} ms, default {worst / 1000:.2f} ms",
        )
    ]
