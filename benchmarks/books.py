"""book.50 and book.200: delta bytes to best bid, best ask and imbalance of ten levels.

All books get the same seeded messages, and must agree on the last figures. ccxt's book is fed by
msgspec, which is faster than its own decoder, and trimmed after each message as its users get it.
A sample is the mean of 100 messages.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.interleaved import Child, child, compared, in_turns
from benchmarks.rows import Row

_MESSAGES = 1_000
_ROUNDS = 8
_BARS = {"nautilus_trader": 9.0, "ccxt": 2.0, "pybit": 20.0}
_SCRIPTS = {
    "nautilus_trader": "book_nautilus.py",
    "ccxt": "book_ccxt.py",
    "pybit": "book_pybit.py",
}


def run_50() -> list[Row]:
    """Return the rows of 50 levels."""
    return _run(50)


def run_200() -> list[Row]:
    """Return the rows of 200 levels."""
    return _run(200)


def _run(depth: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        flow = Path(folder) / "flow"
        flow.write_bytes(_flow(depth))
        children: dict[str, Child] = {}
        for name, script in {"ours": "book_ours.py", **_SCRIPTS}.items():
            one = stack.enter_context(child(script, str(flow), is_peer=name != "ours"))
            if one is not None:
                children[name] = one
        figures = {name: one.ask({})["figures"] for name, one in children.items()}
        _require_equal(figures)
        samples = in_turns(children, {}, rounds=_ROUNDS)
    peers = {
        name: (samples[name], str(children[name].ready["version"]))
        for name in children
        if name != "ours"
    }
    return compared(
        f"book.{depth}",
        samples["ours"],
        peers,
        bars=_BARS,
        unit="us/message",
        note="all books agreed on the last figures",
        higher_is_better=True,
    )


def _flow(depth: int) -> bytes:
    script = Path(__file__).parent / "peers" / "book_flow.py"
    command = [sys.executable, str(script), str(depth), str(_MESSAGES)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _require_equal(figures: dict[str, list[float]]) -> None:
    ours = figures["ours"]
    for name, theirs in figures.items():
        wrong = [a for a, b in zip(ours, theirs, strict=True) if abs(a - b) > 1e-9]
        assert not wrong, f"{name} ends at {theirs}, ours at {ours}"
