"""Rows of single steps: journal.intent, risk.gate, analyzer.50, features and the signals.

``signals.consensus3`` has the kinds of model that the system can run: two boosted models of 300
trees and a logistic one. The row of five waits until it runs forests and histogram boosting.
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from benchmarks.interleaved import child, compared
from benchmarks.rows import Row

_ROUNDS = 5
_JOURNAL = 1_000
_GATE = 2_000
_ANALYSES = 500
_MESSAGES = 600
_HITS = 1_000
_ASKED = 60


def run_journal() -> list[Row]:
    """Return the row of writing an intent before it is sent."""
    note = f"inline commit; the file is read again and holds all {_JOURNAL} intents of each round"
    return [_bound("journal.intent", "journal", _JOURNAL, p99_us=200, note=note)]


def run_gate() -> list[Row]:
    """Return the row of the risk decision."""
    note = "ten resting orders; wild and self-crossing orders are refused in the same run"
    return [_bound("risk.gate", "gate", _GATE, p99_us=100, note=note)]


def run_analyzer() -> list[Row]:
    """Return the row of one market analysis from a book of texts."""
    note = "from texts, decoding to floats included; impact curve equals a plain walk"
    return [_bound("analyzer.50", "analyzer", _ANALYSES, p50_us=100, note=note)]


def run_cache_hit() -> list[Row]:
    """Return the row of a cached consensus."""
    note = "30 fields of market data, every request a hit by the counters"
    return [_bound("signals.cache_hit", "cache_hit", _HITS, p50_us=15, note=note)]


def run_features() -> list[Row]:
    """Return the row of the feature vector."""
    with child("costs_ours.py") as one:
        assert one is not None
        rounds = [one.ask({"what": "features", "count": _MESSAGES}) for _ in range(_ROUNDS)]
    ours = [us for found in rounds[1:] for us in found["us"]]
    twin = [us for found in rounds[1:] for us in found["twin_us"]]
    return compared(
        "features",
        ours,
        {"numpy twin": (twin, np.__version__)},
        bars={"numpy twin": 20.0},
        note="17 inputs after each message, equal to 1e-6 every time",
        higher_is_better=True,
    )


def run_consensus() -> list[Row]:
    """Return the rows of the consensus of three models."""
    with ExitStack() as stack:
        ours = stack.enter_context(child("consensus_ours.py"))
        theirs = stack.enter_context(child("consensus_sklearn.py", is_peer=True))
        assert ours is not None
        samples: tuple[list[float], list[float]] = ([], [])
        for seed in range(_ROUNDS):
            question = {"count": _ASKED, "seed": seed}
            mine = ours.ask(question)
            found = theirs.ask(question) if theirs is not None else mine
            _require_equal(mine["said"], found["said"])
            if seed:
                samples[0].extend(mine["us"])
                samples[1].extend(found["us"])
    note = "two LightGBM of 300 trees, logistic; pooled; every probability equal to 1e-6"
    rows = [_judged("signals.consensus3", samples[0], p50_us=200, note=note)]
    if theirs is not None:
        peers = {"scikit-learn": (samples[1], str(theirs.ready["version"]))}
        bars = {"scikit-learn": 20.0}
        rows += compared(
            "signals.consensus3", samples[0], peers, bars=bars, note=note, higher_is_better=True
        )
    return rows


def _bound(row: str, what: str, count: int, *, note: str, **bar: float) -> Row:
    with child("costs_ours.py") as one:
        assert one is not None
        rounds = [one.ask({"what": what, "count": count})["us"] for _ in range(_ROUNDS + 1)]
    return _judged(row, [us for found in rounds[1:] for us in found], note=note, **bar)


def _judged(
    row: str,
    samples: list[float],
    *,
    note: str,
    p50_us: float | None = None,
    p99_us: float | None = None,
) -> Row:
    p50, p95, p99 = (round(float(p), 3) for p in np.percentile(samples, (50, 95, 99)))
    value, name, bar = (p50, "p50", p50_us) if p50_us is not None else (p99, "p99", p99_us)
    assert bar is not None
    return Row(
        id=row,
        value=value,
        unit=f"us {name}",
        p50=p50,
        p95=p95,
        p99=p99,
        samples=len(samples),
        bar=f"{name} <= {bar:g} us",
        met=value <= bar,
        note=note,
    )


def _require_equal(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    for mine, found in zip(ours, theirs, strict=True):
        wrong = [name for name in mine if abs(mine[name] - found[name]) > 1e-6]
        assert not wrong, f"{wrong}: ours {mine}, theirs {found}"
        assert len(mine) == len(found)
