"""costs.rss: memory of the cost simulator, after its import and while it serves.

The server is ``cost serve`` with its usual two markets on the embedded venue, which is a process of
its own and not counted. Read from Linux's ``/proc``; elsewhere there are no rows.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.rows import Row

_IMPORTED = "trading_system.cost_simulator.simulator"
_SERVED_S = 20.0
_PAUSE_S = 0.25
_TIMEOUT_S = 10.0
_IMPORT_BAR_MIB = 50.0
_SERVE_BAR_MIB = 200.0
_MIB = 1024 * 1024
_PROC = Path("/proc")


def run() -> list[Row]:
    """Return the rows of both."""
    if not (_PROC / "self" / "statm").exists():
        return []
    bare, imported = _after_import("sys"), _after_import(_IMPORTED)
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as (pid, url):
        series, asked = _watched(pid, url)
        status = _read(f"{url}/status")
    assert status["is_healthy"], status
    assert status["estimates"] >= asked, f"{status['estimates']} of {asked} estimates counted"
    said = float(status["process"]["rss_mib"])
    assert abs(said / series[-1] - 1.0) < 0.1, f"it says {said} MiB, the system {series[-1]:.1f}"
    note = f"bare interpreter {bare:.1f} MiB; the library alone, without command line and server"
    return [
        _row("import", imported, _IMPORT_BAR_MIB, samples=1, note=f"guide's own 123.4; {note}"),
        _row(
            "serve",
            series[-1],
            _SERVE_BAR_MIB,
            samples=len(series),
            note=(
                f"claim 200; after {_SERVED_S:g} s with two markets and {asked} estimates; "
                f"highest {max(series):.1f} MiB"
            ),
        ),
    ]


def _row(what: str, mib: float, bar_mib: float, *, samples: int, note: str) -> Row:
    return Row(
        id="costs.rss",
        value=round(mib, 1),
        unit=f"MiB {what}",
        samples=samples,
        bar=f"< {bar_mib:g} MiB",
        met=mib < bar_mib,
        note=note,
    )


def _after_import(module: str) -> float:
    code = f"import {module}, pathlib; print(pathlib.Path('/proc/self/statm').read_text())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return _resident_mib(done.stdout)


def _resident_mib(statm: str) -> float:
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB


def _watched(pid: int, url: str) -> tuple[list[float], int]:
    # Resident memory by the system, with an estimate of each market asked for in between.
    series, asked, began = [], 0, time.monotonic()
    while time.monotonic() - began < _SERVED_S:
        time.sleep(_PAUSE_S)
        for exchange, instrument in (("bybit", "BTCUSDT"), ("okx", "BTC-USDT-SWAP")):
            query = f"exchange={exchange}&instrument={instrument}&side=buy&quantity=0.5"
            answer = _read(f"{url}/estimate?{query}&volatility_bps=2")
            parts = sum(answer[f"{name}_bps"] for name in ("slippage", "fees", "market_impact"))
            assert abs(answer["net_cost_bps"] - parts) < 1e-9
            asked += 1
        series.append(_resident_mib((_PROC / str(pid) / "statm").read_text()))
    return series, asked


@contextmanager
def _server(folder: Path) -> Iterator[tuple[int, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_system", "cost", "serve", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TRADING_DATA_DIR": str(folder), "TRADING_ENVIRONMENT": "simulated"},
    )
    try:
        assert process.stdout is not None
        url = str(json.loads(process.stdout.readline())["url"])
        _until_healthy(url)
        yield process.pid, url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        if process.stdout is not None:
            process.stdout.close()


def _until_healthy(url: str) -> None:
    ends = time.monotonic() + _TIMEOUT_S
    while not _read(f"{url}/status")["is_healthy"]:
        assert time.monotonic() < ends, "the server has no books"
        time.sleep(_PAUSE_S)


def _read(url: str) -> dict[str, Any]:
    with urlopen(url, timeout=_TIMEOUT_S) as reply:  # our own server on loopback
        answer: dict[str, Any] = json.loads(reply.read())
    return answer
