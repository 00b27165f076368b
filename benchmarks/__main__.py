"""``python -m benchmarks [--row ID]``: run the rows, print them, write ``BENCH_JSON`` if set."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import venue_load
from benchmarks.rows import Row

ROWS: dict[str, Callable[[], list[Row]]] = {"venue.load": venue_load.run}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--row", choices=sorted(ROWS), help="one row instead of all")
    wanted = parser.parse_args().row
    rows = [row for name, run in ROWS.items() if wanted in {None, name} for row in run()]
    console = Console(file=sys.stdout, width=160)
    console.print(_machine())
    console.print(_table(rows))
    target = os.environ.get("BENCH_JSON")
    if target:
        Path(target).write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    return 0 if all(row.met for row in rows) else 1


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "msgspec", "numpy"))
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {libraries}"
    )


def _table(rows: list[Row]) -> Table:
    table = Table()
    for column in ("row", "value", "p50", "p95", "p99", "samples", "bar", "met", "note"):
        table.add_column(column)
    for row in rows:
        figures = (f"{row.value} {row.unit}", str(row.p50), str(row.p95), str(row.p99))
        met = "yes" if row.met else "NO"
        table.add_row(row.id, *figures, str(row.samples), row.bar, met, row.note)
    return table


if __name__ == "__main__":
    sys.exit(main())
