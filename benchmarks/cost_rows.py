"""costs.*: OKX books, the cost models and whole estimates.

The books of both sides get the same seeded messages and must end as the plain book does. Models are
compared with plain walks and closed forms in the processes that measure them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from benchmarks.gated import Peer, gated
from benchmarks.interleaved import Child, child
from benchmarks.rows import Row

_ROUNDS = 5
_MESSAGES = {
    "snapshot400": ("costs.snapshot400", 100, 300.0, "623 us", "bytes of 400 levels a side"),
    "message50": ("costs.message50", 300, 60.0, "127 us", "bytes of 50 levels a side"),
    "message100": ("costs.message100", 300, 100.0, "178 us", "bytes of 100 levels a side"),
    "update10": (
        "costs.book_update", 500, 1.1, "15.9 us for 20 levels",
        "10 decoded levels into 400, all checked; the bar is a dictionary and a sorted list alone",
    ),
    "delta3": (
        "costs.delta3", 500, 10.0, "8.2 us (book wrong)",
        "bytes of 3 levels into 400, sequence and crossing checked",
    ),
}  # fmt: skip


def message_rows(what: str) -> Callable[[], list[Row]]:
    """Return what runs one row of OKX messages into our book and ccxt's."""

    def run() -> list[Row]:
        row, count, gate, guide, note = _MESSAGES[what]
        with ExitStack() as stack:
            ours = stack.enter_context(child("okx_ours.py"))
            theirs = stack.enter_context(child("okx_ccxt.py", is_peer=True))
            assert ours is not None
            samples: tuple[list[float], list[float]] = ([], [])
            for number in range(_ROUNDS + 1):
                mine = ours.ask({"what": what, "count": count})
                found = theirs.ask({"what": what, "count": count}) if theirs is not None else mine
                assert mine["top"] == found["top"], f"{mine['top']}, ccxt has {found['top']}"
                if number:
                    samples[0].extend(mine["us"])
                    samples[1].extend(found["us"])
            peer = _peer("ccxt", theirs, samples[1])
        note = f"{note}; whole book equal to the plain one"
        return [gated(row, samples[0], gate=gate, guide=guide, note=note, peer=peer)]

    return run


def run_impact() -> list[Row]:
    """Return the row of the market impact of one size."""
    note = "new size in a book of 400, nothing cached; equals a plain walk, never falls with size"
    return _model("impact", 500, gate=3.0, guide="0.9 us (falls with size)", note=note)


def run_schedule() -> list[Row]:
    """Return the row of an optimal schedule of 100 steps."""
    note = "checked parameters, trades and holdings; sums to the order, costs the closed form"
    return _model("schedule100", 500, gate=40.0, guide="94.6 us", note=note)


def run_slippage() -> list[Row]:
    """Return the row of the exact book walk."""
    note = "walk of 400 levels for a new size, nothing cached; equals a plain walk"
    return _model(
        "slippage", 500, gate=10.0, guide="0.3 us (no walk)", note=note, twin="numpy twin"
    )


def run_fee() -> list[Row]:
    """Return the row of one fee."""
    note = "share of maker and taker of a dated table; means of 100"
    return _model("fee", 200, gate=1.0, guide="0.4 us (one rate)", note=note)


def run_maker() -> list[Row]:
    """Return the row of one maker probability."""
    note = "trained, checked inputs; means of 100; probabilities equal to 1e-9"
    return _maker("maker", 100, gate=2.0, guide="92 us", note=note)


def run_maker_batch() -> list[Row]:
    """Return the row of 1,000 maker probabilities at once."""
    note = "trained, 1,000 rows; probabilities equal to 1e-9"
    return _maker("maker_batch", 200, gate=60.0, guide="98 us", note=note)


def run_estimate() -> list[Row]:
    """Return the row of one whole estimate after a tick."""
    with child("cost_desk_ours.py") as one:
        assert one is not None
        rounds = [one.ask({"count": 300})["us"] for _ in range(_ROUNDS)]
    samples = [us for times in rounds[1:] for us in times]
    note = (
        "bytes of an OKX tick to the whole answer from 400 levels, realised volatility of a "
        "minute, schedule, interval; slippage equals a plain walk at every tick"
    )
    return [gated("costs.estimate", samples, gate=1_000.0, guide="claim < 1 ms", note=note)]


def _model(
    what: str, count: int, *, gate: float, guide: str, note: str, twin: str | None = None
) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, child("cost_models_ours.py", folder) as one:
        assert one is not None
        rounds = [one.ask({"what": what, "count": count}) for _ in range(_ROUNDS + 1)][1:]
    samples = [us for found in rounds for us in found["us"]]
    peer = None
    if twin is not None:
        peer = (twin, np.__version__, [us for found in rounds for us in found["twin_us"]])
    return [gated(f"costs.{what}", samples, gate=gate, guide=guide, note=note, peer=peer)]


def _maker(what: str, count: int, *, gate: float, guide: str, note: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ours = stack.enter_context(child("cost_models_ours.py", folder))
        theirs = stack.enter_context(child("cost_models_sklearn.py", folder, is_peer=True))
        assert ours is not None
        samples: tuple[list[float], list[float]] = ([], [])
        for number in range(_ROUNDS + 1):
            mine = ours.ask({"what": what, "count": count})
            question = {"what": what, "count": max(1, count // 10), "rows": mine["rows"]}
            found = theirs.ask(question) if theirs is not None else mine
            wrong = np.abs(np.array(mine["said"]) - np.array(found["said"])).max()
            assert wrong < 1e-9, f"probabilities differ by {wrong}"
            if number:
                samples[0].extend(mine["us"])
                samples[1].extend(found["us"])
        peer = _peer("scikit-learn", theirs, samples[1])
    return [gated(f"costs.{what}", samples[0], gate=gate, guide=guide, note=note, peer=peer)]


def _peer(name: str, one: Child | None, samples: list[float]) -> Peer | None:
    return None if one is None else (name, str(one.ready["version"]), samples)
