"""gc: a tick beside a large heap, Python's collector against the trading process's setting.

The work is a stand-in for a tick, not the trading process itself. Judged are the whole tick's
99.9th percentile and the collector's longest pause. Each round runs in fresh processes, since a
collector's state is its process's.
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
    taken: dict[str, list[float]] = {"ours": [], "default": []}
    ticks: dict[str, list[float]] = {"ours": [], "default": []}
    for _ in range(_ROUNDS):
        for name in ("ours", "default"):
            with child("gc_ticks.py", name) as one:
                assert one is not None
                answer = one.ask({})
                taken[name].extend(answer["collector_us"])
                ticks[name].extend(answer["us"])
    ours, default = (np.percentile(ticks[name], (50, 95, 99, 99.9)) for name in ticks)
    longest = {name: max(held) / 1_000 for name, held in taken.items()}
    share = {name: float(np.percentile(held, 99.9)) for name, held in taken.items()}
    assert longest["default"] > 0, "the default collector did nothing: no comparison"
    ratio = float(ours[3] / default[3])
    return [
        Row(
            id="gc",
            value=round(float(ours[3]), 3),
            unit="us p99.9",
            p50=round(float(ours[0]), 3),
            p95=round(float(ours[1]), 3),
            p99=round(float(ours[2]), 3),
            samples=len(ticks["ours"]),
            peer="default collector",
            peer_version=platform.python_version(),
            peer_value=round(float(default[3]), 3),
            ratio=round(ratio, 4),
            bar=f"p99.9 <= {_BAR:g} x default, no pause > {_PAUSE_BAR_US / 1000:g} ms",
            met=ratio <= _BAR and longest["ours"] * 1_000 <= _PAUSE_BAR_US,
            note=(
                f"longest collection {longest['ours']:.2f} ms, default "
                f"{longest['default']:.2f} ms; collector's p99.9 in a tick {share['ours']:.1f} us, "
                f"default {share['default']:.1f} us"
            ),
        )
    ]
