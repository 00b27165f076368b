"""Rows of what the guides have too: ours against the gate, their own figure beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.rows import Row

Peer = tuple[str, str, Sequence[float]]
"""Name, version and samples of a peer that was measured in the same run."""


def gated(
    row: str,
    samples: Sequence[float],
    *,
    gate: float,
    guide: str,
    note: str,
    unit: str = "us",
    peer: Peer | None = None,
) -> Row:
    """Return a row whose median must be below ``gate`` and, with a peer, below the peer's.

    Parameters
    ----------
    samples : sequence of float
        Times in ``unit``.
    guide : str
        What the guides' own implementation was measured at.
    """
    p50, p95, p99 = (round(float(p), 3) for p in np.percentile(samples, (50, 95, 99)))
    bar = f"p50 < {gate:g} {unit}"
    is_met = p50 < gate
    compared: dict[str, float | str] = {}
    if peer is not None:
        name, its_version, theirs = peer
        median = float(np.median(theirs))
        ratio = round(median / p50, 4)
        bar += f", faster than {name}"
        is_met = is_met and ratio > 1.0
        compared = {
            "peer": name,
            "peer_version": its_version,
            "peer_value": round(median, 3),
            "ratio": ratio,
        }
    return Row(
        id=row,
        value=p50,
        unit=f"{unit} p50",
        p50=p50,
        p95=p95,
        p99=p99,
        samples=len(samples),
        bar=bar,
        met=is_met,
        note=f"guide's own {guide}; {note}",
        **compared,  # type: ignore[arg-type] # the fields of a peer
    )
