"""Replay each 2024 recording through the venue and the full system, as real processes.

For every recording and speed:

* a raw client watches the venue's book and compares what it holds, at many instants, with an
  independent slow rebuild of the file: both must be equal, at the recorded moment that the clock
  says;
* the whole system trades on it; its own report must show frames, no gap and no crossed book.

Usage: ``TRADING_TEST_DATA=folder python tests/replay/run.py [--only usdm-btc] [--speeds 1,10]
[--seconds S] [--json]``. Without ``--seconds``: 15 s at speed 1, and at speed 10 to the end of the
recording; ``FULL=1`` plays speed 1 to the end too (about an hour in all).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from books import Sample, Units, WatchedBook, in_step, match

COMMAND = [sys.executable, "-m", "trading_system"]
READY_S = 60.0
STOP_S = 30.0
WATCH_S = 20.0
SHORT_S = 15.0
EVERY = 5
MOST_SAMPLES = 100
TOLERANCE_S = 0.25


@dataclass(frozen=True)
class Case:
    """One recording: its name, files, and steps of price and recorded quantity."""

    name: str
    files: tuple[str, ...]
    tick: str
    lot: str
    length_s: float


def _chain(kind: str, symbol: str) -> tuple[str, ...]:
    days = ("20240808",) if kind == "usdm" else ("20240808", "20240809")
    return tuple(f"binance_{kind}_{symbol}_{day}.txt.gz" for day in days)


CASES = (
    Case("usdm-btc", _chain("usdm", "btcusdt"), "0.1", "0.001", 345),
    Case("usdm-eth", _chain("usdm", "ethusdt"), "0.01", "0.001", 345),
    Case("spot-btc", _chain("spot", "btcusdt"), "0.01", "0.00001", 651),
    Case("spot-eth", _chain("spot", "ethusdt"), "0.01", "0.0001", 651),
    Case("cm-btc", _chain("cm", "btcusd_perp"), "0.1", "1", 648),
    Case("cm-eth", _chain("cm", "ethusd_perp"), "0.01", "1", 648),
)


class Failure(Exception):
    """A process did not do what it should; the text says what."""


class Venue:
    """The embedded venue as a child process."""

    def __init__(self, paths: list[Path], speed: float) -> None:
        command = [*COMMAND, "venue", "--market", "replay", "--speed", str(speed), "--json"]
        for path in paths:
            command += ["--recording", str(path)]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )
        self.ready = json.loads(self._first_line())

    def _first_line(self) -> bytes:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], READY_S)[0]:
            self.stop()
            raise Failure("the venue was not ready in time")
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise Failure(self._errors.read()[-500:].decode())
        return line

    def stop(self) -> None:
        """End the process; it must end by itself."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise Failure("the venue ignored SIGTERM") from None
        finally:
            self._errors.close()


async def watch(ready: dict[str, Any], units: Units, seconds: float) -> tuple[WatchedBook, list]:
    """Follow the venue's 200-level book for some seconds; return it and samples of it."""
    (symbol,) = ready["symbols"]
    book = WatchedBook(units)
    samples: list[Sample] = []
    until_s = time.monotonic() + seconds
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(ready["ws"] + "/v5/public/linear", max_msg_size=0) as socket,
    ):
        await socket.send_json({"op": "subscribe", "args": [f"orderbook.200.{symbol}"]})
        while time.monotonic() < until_s:
            frame = json.loads((await socket.receive(timeout=30)).data)
            if "topic" not in frame:
                continue
            book.take(frame)
            if book.frames % EVERY == 1 and len(samples) < MOST_SAMPLES:
                samples.append(Sample(frame["cts"] / 1000, book.top()))
    return book, samples


def compare_books(case: Case, paths: list[Path], speed: float, seconds: float) -> dict[str, Any]:
    """Return how many of the raw client's books equal the rebuild."""
    venue = Venue(paths, speed)
    try:
        url = f"{venue.ready['rest']}/v5/market/instruments-info?category=linear"
        with urllib.request.urlopen(url, timeout=10) as answer:
            (row,) = json.load(answer)["result"]["list"]
        units = Units(
            Decimal(case.tick), Decimal(case.lot), Decimal(row["lotSizeFilter"]["qtyStep"])
        )
        book, samples = asyncio.run(watch(venue.ready, units, seconds))
    finally:
        venue.stop()
    match(samples, paths, units, until_s=(seconds + 15) * speed)
    equal = sum(bool(sample.found) for sample in samples)
    return {
        "client_frames": book.frames,
        "client_gaps": book.gaps,
        "instants": len(samples),
        "equal": equal,
        "in_step": in_step(samples, speed=speed, tolerance_s=TOLERANCE_S),
    }


def run_system(paths: list[Path], speed: float, seconds: float | None) -> dict[str, Any]:
    """Return what the system's own report says after trading on the recording."""
    with tempfile.TemporaryDirectory(prefix="replay-check-") as folder:
        settings = {
            "TRADING_DATA_DIR": folder,
            "TRADING_API__PORT": "0",
            "TRADING_VENUE__MARKET": "replay",
            "TRADING_VENUE__RECORDING": os.pathsep.join(map(str, paths)),
            "TRADING_VENUE__SPEED": str(speed),
            "TRADING_STRATEGY__MIN_EDGE_BPS": "-20",
        }
        command = [*COMMAND, "start", "--no-dashboard", "--strategy", "signals", "--json"]
        if seconds is not None:
            command += ["--duration", str(seconds)]
        done = subprocess.run(
            command,
            env={**os.environ, **settings},
            capture_output=True,
            timeout=(seconds or 800) + 120,
            check=False,
        )
    if done.returncode:
        raise Failure(f"the system ended with {done.returncode}: {done.stderr[-500:].decode()}")
    return figures(json.loads(done.stdout))


def figures(status: dict[str, Any]) -> dict[str, Any]:
    """Return what matters here of the system's report."""
    streams, loop = status["streams"], status["event_loop"]
    return {
        "frames": streams["public_frames"],
        "gaps": streams["gaps"],
        "suspect": streams["suspect_books"],
        "rejected": streams["rejected_frames"],
        "frames_per_s": round(streams["public_frames"] / max(status["uptime_s"], 0.001)),
        "book_p99_us": status["stages"]["book"]["p99_us"],
        "signal_p99_us": status["stages"]["signal"]["p99_us"],
        "loop_p99_ms": loop["p99_ms"],
        "loop_max_ms": loop["max_ms"],
        "orders": status["orders"]["sent"],
        "fills": status["fills"],
        "end": status["stop_reason"],
    }


def check(case: Case, folder: Path, speed: float, seconds: float | None) -> dict[str, Any]:
    """Return the row of one recording at one speed; ``faults`` is empty when all is well."""
    paths = [folder / "raw_ws" / name for name in case.files]
    row: dict[str, Any] = {"recording": case.name, "speed": speed}
    faults = []
    try:
        row |= compare_books(case, paths, speed, min(WATCH_S, seconds or WATCH_S))
        row |= run_system(paths, speed, seconds)
    except (Failure, OSError, subprocess.TimeoutExpired) as e:
        faults.append(str(e))
    else:
        if not row["instants"] or row["in_step"] != row["instants"]:
            faults.append("a book of the venue is not the recorded one")
        if row["client_gaps"] or row["gaps"] or row["suspect"] or row["rejected"]:
            faults.append("a gap, a suspect book or a rejected frame")
        if not row["frames"]:
            faults.append("no frame")
    return {**row, "faults": faults}


def show(rows: list[dict[str, Any]]) -> None:
    """Write the rows as a table."""
    names = [name for name in max(rows, key=len) if name != "faults"]
    cells = [[str(row.get(name, "-")) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    for line in (names, *cells):
        text = "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print(text)
    for row in rows:
        for fault in row["faults"]:
            print(f"{row['recording']} at speed {row['speed']:g}: {fault}")


def main() -> int:
    """Run all cases; exit 1 if one has a fault, 2 without recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names of recordings, separated by commas")
    parser.add_argument("--speeds", default="1,10")
    parser.add_argument("--seconds", type=float, help="length of each run")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    folder = os.environ.get("TRADING_TEST_DATA")
    if not folder:
        print("TRADING_TEST_DATA names no folder of recordings", file=sys.stderr)
        return 2
    wanted = given.only.split(",") if given.only else [case.name for case in CASES]
    rows = []
    for case in (case for case in CASES if case.name in wanted):
        for speed in map(float, given.speeds.split(",")):
            seconds = given.seconds
            if seconds is None and speed == 1 and os.environ.get("FULL") != "1":
                seconds = SHORT_S
            print(f"{case.name} at speed {speed:g} ...", file=sys.stderr)
            rows.append(check(case, Path(folder), speed, seconds))
    if not rows:
        print(f"no such recording: {given.only}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(rows))
    else:
        show(rows)
    return int(any(row["faults"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
