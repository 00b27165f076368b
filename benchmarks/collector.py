"""gc: what the collector takes from ticks as Python has it, and with the trading process's setting.

The work is a stand-in for a tick, not the trading process itself. Judged is the collector's own
time: on a tick of few microseconds the 99.9th percentile of the whole is the machine's timer
interrupt, whatever the collector does; it is told in the note. Each round runs in fresh processes,
since a collector's state is its process's.
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
    ours, default = (np.percentile(taken[name], (50, 95, 99, 99.9)) for name in taken)
    whole = {name: float(np.percentile(held, 99.9)) for name, held in ticks.items()}
    longest = {name: max(held) / 1_000 for name, held in taken.items()}
    assert default[3] > 0, "the default collector did nothing: no comparison"
    ratio = float(ours[3] / default[3])
    return [
        Row(
            id="gc",
            value=round(float(ours[3]), 3),
            unit="us p99.9",
            p50=round(float(ours[0]), 3),
            p95=round(float(ours[1]), 3),
            p99=round(float(ours[2]), 3),
            samples=len(taken["ours"]),
            peer="default collector",
            peer_version=platform.python_version(),
            peer_value=round(float(default[3]), 3),
            ratio=round(ratio, 4),
            bar=f"p99.9 <= {_BAR:g} x default, no pause > {_PAUSE_BAR_US / 1000:g} ms",
            met=ratio <= _BAR and longest["ours"] * 1_000 <= _PAUSE_BAR_US,
            note=(
                f"collector's CPU time per stand-in tick; longest {longest['ours']:.2f} ms, "
                f"default {longest['default']:.2f} ms; tick p99.9 "
                f"{whole['ours']:.1f} us, default {whole['default']:.1f} us"
            ),
        )
    ]
