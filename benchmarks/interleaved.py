"""Measures several children in turns: each round asks each of them for some samples.

What changes on the machine during a run (other load, clock rate) then meets all of them alike.
A row compares medians; a peer that cannot be imported makes its row absent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import Row

_ROOT = Path(__file__).resolve().parents[1]
_SCRIPTS = Path(__file__).parent / "peers"
_PEERS_PYTHON = _ROOT / ".venv-peers" / "bin" / "python"


class Child:
    """A measured process."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self._process = process
        self.ready = ready

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"a measured process ended: {self._process.args}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def child(script: str, *arguments: str, is_peer: bool = False) -> Iterator[Child | None]:
    """Run ``script`` of the folder ``peers`` until left; None if it did not get ready."""
    python = str(_PEERS_PYTHON) if is_peer else sys.executable
    if is_peer and not _PEERS_PYTHON.exists():
        yield None
        return
    process = subprocess.Popen(
        [python, str(_SCRIPTS / script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "" if is_peer else str(_ROOT)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line and not is_peer:
            raise RuntimeError(f"{script} did not get ready")
        yield Child(process, json.loads(line)) if line else None
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def venue(*options: str) -> Iterator[dict[str, Any]]:
    """Run the embedded venue until left; gives its ready line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_system", "venue", "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()


def in_turns(
    children: dict[str, Child], question: dict[str, Any], *, rounds: int
) -> dict[str, list[float]]:
    """Return the samples of each child; the first round is warm-up and left out."""
    samples: dict[str, list[float]] = {name: [] for name in children}
    for number in range(rounds + 1):
        for name, one in children.items():
            answer = one.ask(question)["us"]
            if number:
                samples[name] += answer
    return samples


def compared(
    row: str,
    ours: list[float],
    peers: dict[str, tuple[list[float], str]],
    *,
    bars: dict[str, float],
    unit: str = "us p50",
    note: str = "",
    higher_is_better: bool = False,
) -> list[Row]:
    """Return one row per peer of ``bars``.

    Parameters
    ----------
    peers : dict[str, tuple[list[float], str]]
        Samples and version by name.
    bars : dict[str, float]
        Largest ratio of our median to the peer's; with ``higher_is_better`` the smallest ratio of
        the peer's median to ours, that is how many times faster ours is.
    """
    p50, p95, p99 = (round(float(p), 3) for p in np.percentile(ours, (50, 95, 99)))
    rows = []
    for name, bar in bars.items():
        if name not in peers:
            continue
        samples, its_version = peers[name]
        median = float(np.median(samples))
        ratio = median / p50 if higher_is_better else p50 / median
        sign = ">=" if higher_is_better else "<="
        what = f"times faster than {name}" if higher_is_better else f"x {name}"
        rows.append(
            Row(
                id=row,
                value=p50,
                unit=unit,
                p50=p50,
                p95=p95,
                p99=p99,
                samples=len(ours),
                peer=name,
                peer_version=its_version,
                peer_value=round(median, 3),
                ratio=round(ratio, 4),
                bar=f"{sign} {bar:g} {what}",
                met=ratio >= bar if higher_is_better else ratio <= bar,
                note=note,
            )
        )
    return rows
