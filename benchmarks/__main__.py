"""``python -m benchmarks [--row ID[,ID]] [--markdown PATH]``: run, print, write.

``BENCH_JSON`` names a file for the rows as JSON. The exit code is 0 only if every bar is met.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from benchmarks import (
    books,
    collector,
    gates,
    orders,
    queue_rows,
    steps,
    streams,
    tables,
    venue_load,
)
from benchmarks.rows import Row

ROWS: dict[str, Callable[[], list[Row]]] = {
    "book.50": books.run_50,
    "book.200": books.run_200,
    "socket_to_book": streams.run_socket_to_book,
    "tick_to_trade.transport": streams.run_trade_transport,
    "tick_to_trade.product": streams.run_trade_product,
    "ws_order.transport": streams.run_order_transport,
    "ws_order.product": streams.run_order_product,
    "rest_order.transport": orders.run_rest,
    "rest_order.product": orders.run_product,
    "burst10": orders.run_burst,
    "queue.order": queue_rows.run_order,
    "queue.throughput": queue_rows.run_throughput,
    "journal.intent": steps.run_journal,
    "risk.gate": steps.run_gate,
    "signals.consensus3": steps.run_consensus,
    "signals.cache_hit": steps.run_cache_hit,
    "analyzer.50": steps.run_analyzer,
    "features": steps.run_features,
    "gc": collector.run,
    "venue.load": venue_load.run,
}
GATES = "gates"
"""Name of the second table for ``--row``."""

_T = TypeVar("_T")
_PACKAGES = ("aiohttp", "msgspec", "numpy", "numba", "lightgbm", "scikit-learn", "uvloop")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "--row", type=chosen, default=[*ROWS, GATES], help="rows, separated by commas"
    )
    parser.add_argument(
        "--markdown", type=Path, help="document whose figures are replaced, or a new file"
    )
    given = parser.parse_args(arguments)
    rows = [row for name in given.row if name != GATES for row in _run(name, ROWS[name])]
    found = _run(GATES, gates.run) if GATES in given.row else []
    _print(rows, found)
    if target := os.environ.get("BENCH_JSON"):
        Path(target).write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    if given.markdown is not None:
        tables.write(given.markdown, tables.document(_machine(), rows, found))
    return 0 if all(one.met for one in (*rows, *found)) else 1


def chosen(text: str) -> list[str]:
    """Return the rows that ``text`` names, in the order of the table."""
    wanted = {name.strip() for name in text.split(",")}
    unknown = sorted(wanted - {*ROWS, GATES})
    if unknown:
        known = ", ".join((*ROWS, GATES))
        raise argparse.ArgumentTypeError(f"no row {', '.join(unknown)}; there are {known}")
    return [name for name in (*ROWS, GATES) if name in wanted]


def _run(name: str, run: Callable[[], list[_T]]) -> list[_T]:
    console = Console(stderr=True)
    if not console.is_terminal:
        return run()
    with console.status(name):
        return run()


def _print(rows: list[Row], found: list[gates.Gate]) -> None:
    console = Console(file=sys.stdout, width=200)
    console.print(_machine(), highlight=False)
    if rows:
        console.print(tables.terminal(tables.ROW_HEADS, [tables.row_cells(row) for row in rows]))
    if found:
        console.print(tables.terminal(tables.GATE_HEADS, [tables.gate_cells(g) for g in found]))


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {libraries}"
    )


if __name__ == "__main__":
    sys.exit(main())
