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

from benchmarks import books, collector, orders, queue_rows, venue_load
from benchmarks.rows import Row

ROWS: dict[str, Callable[[], list[Row]]] = {
    "book.200": books.run_200,
    "book.50": books.run_50,
    "burst10": orders.run_burst,
    "gc": collector.run,
    "queue.order": queue_rows.run_order,
    "queue.throughput": queue_rows.run_throughput,
    "rest_order.transport": orders.run_rest,
    "venue.load": venue_load.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--row", choices=sorted(ROWS), help="one row instead of all")
    wanted = parser.parse_args().row
    rows = [row for name, run in ROWS.items() if wanted in {None, name} for row in run()]
    console = Console(file=sys.stdout, width=200)
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
    names = ("row", "value", "p50", "p95", "p99", "samples", "peer", "ratio", "bar", "met", "note")
    for column in names:
        table.add_column(column)
    for row in rows:
        percentiles = ("" if p is None else str(p) for p in (row.p50, row.p95, row.p99))
        figures = (f"{row.value} {row.unit}", *percentiles)
        met = "yes" if row.met else "NO"
        peer = f"{row.peer} {row.peer_version}: {row.peer_value}" if row.peer else ""
        ratio = "" if row.ratio is None else f"{row.ratio:g}"
        table.add_row(row.id, *figures, str(row.samples), peer, ratio, row.bar, met, row.note)
    return table


if __name__ == "__main__":
    sys.exit(main())
