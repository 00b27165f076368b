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
    cost_rows,
    dashboard,
    gates,
    live_rows,
    making_rows,
    memory,
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
    "costs.snapshot400": cost_rows.message_rows("snapshot400"),
    "costs.message50": cost_rows.message_rows("message50"),
    "costs.message100": cost_rows.message_rows("message100"),
    "costs.book_update": cost_rows.message_rows("update10"),
    "costs.delta3": cost_rows.message_rows("delta3"),
    "costs.impact": cost_rows.run_impact,
    "costs.schedule100": cost_rows.run_schedule,
    "costs.maker": cost_rows.run_maker,
    "costs.maker_batch": cost_rows.run_maker_batch,
    "costs.slippage": cost_rows.run_slippage,
    "costs.fee": cost_rows.run_fee,
    "costs.estimate": cost_rows.run_estimate,
    "costs.rss": memory.run,
    "mm.price_cache": making_rows.run_price_cache,
    "mm.quotes3": making_rows.run_quotes,
    "mm.cycle_0": making_rows.cycle_rows(0),
    "mm.cycle_50": making_rows.cycle_rows(50),
    "mm.cycle_100": making_rows.cycle_rows(100),
    "mm.requests": making_rows.run_requests,
    "vol.cached": making_rows.run_cached,
    "vol.incremental": making_rows.run_incremental,
    "vol.cold": making_rows.run_cold,
    "api.client_cost": live_rows.run_client_cost,
    "api.status": live_rows.run_status,
    "watch.tick": live_rows.run_watch,
    "latency.record": live_rows.run_record,
    "dashboard.first_view": dashboard.run_first_view,
    "dashboard.frame": dashboard.run_frame,
    "dashboard.long_task": dashboard.run_long_task,
    "dashboard.updates": dashboard.run_updates,
    "dashboard.rss": dashboard.run_rss,
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
