"""Drive every connection fault of the fault matrix over real sockets and print what happened.

Each world is a venue process and the whole system with a TCP proxy before each way to the venue.
Its cases run one after the other; after each, orders, executions and positions of both sides are
compared, and decisions on suspect books are counted. Exit 0 only if every promise held.

Usage: ``python tests/wire/run.py [--world NAME] [--case 16,17] [--jobs 2] [--json]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from wire_cases import CASES, Case
from wire_elsewhere import ELSEWHERE
from wire_world import World, world

_WELL_S = 90.0
_WORLD_S = 330.0
_HEAD = (
    ("number", 4),
    ("fault", 41),
    ("how", 27),
    ("detected", 16),
    ("recovered", 16),
    ("active", 7),
    ("orders", 9),
    ("lost", 5),
    ("twice", 6),
    ("suspect", 8),
    ("verdict", 7),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; times in seconds, counts of the case alone."""

    number: str
    fault: str
    how: str
    detected_s: float | None
    detect_bound_s: float | None
    recovered_s: float | None
    recover_bound_s: float
    active_s: float | None
    orders_before: int
    orders_after: int
    lost: int
    duplicated: int
    decisions: int
    suspect_decisions: int
    is_kept: bool
    note: str


async def run_case(w: World, case: Case, orders_before: int) -> Row:
    """Run one case and judge it."""
    w.resume()
    await w.some_orders()
    offences, decisions = w.oracle.offences.total(), w.oracle.decisions
    timing = await case.run(w)
    await w.venue.disarm()
    for proxy in w.proxies:
        proxy.heal()
    active = await w.until(w.is_well, _WELL_S)
    await w.some_orders()
    compared = await w.compare()
    suspect = w.oracle.offences.total() - offences
    problems = [
        timing.broken,
        _late("detected", timing.detected_s, case.detect_s),
        _late("recovered", timing.recovered_s, case.recover_s),
        "" if active is not None else f"not active again: {w.session.engine.holds.reasons}",
        compared.text,
        f"{dict(w.oracle.offences)}" if suspect else "",
    ]
    broken = "; ".join(problem for problem in problems if problem)
    return Row(
        number=case.number,
        fault=case.name,
        how=case.how,
        detected_s=_rounded(timing.detected_s) if case.detect_s is not None else None,
        detect_bound_s=case.detect_s,
        recovered_s=_rounded(timing.recovered_s),
        recover_bound_s=case.recover_s,
        active_s=_rounded(active),
        orders_before=orders_before,
        orders_after=compared.orders,
        lost=compared.lost,
        duplicated=compared.duplicated,
        decisions=w.oracle.decisions - decisions,
        suspect_decisions=suspect,
        is_kept=not broken,
        note=f"BROKEN {broken}; {timing.note}" if broken else timing.note,
    )


def _failed(case: Case, orders: int, reason: str) -> Row:
    return Row(
        number=case.number,
        fault=case.name,
        how=case.how,
        detected_s=None,
        detect_bound_s=case.detect_s,
        recovered_s=None,
        recover_bound_s=case.recover_s,
        active_s=None,
        orders_before=orders,
        orders_after=orders,
        lost=0,
        duplicated=0,
        decisions=0,
        suspect_decisions=0,
        is_kept=False,
        note=f"BROKEN {reason}; the rest of this world was not run",
    )


def _late(what: str, took_s: float | None, bound_s: float | None) -> str:
    if bound_s is None or (took_s is not None and took_s <= bound_s):
        return ""
    return f"not {what} within {bound_s:g} s"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


async def run_world(name: str, cases: list[Case], folder: Path) -> list[Row]:
    """Run the cases of one world."""
    rows: list[Row] = []
    async with world(folder, has_trade=name != "rest") as w:
        orders = (await w.compare()).orders
        for case in cases:
            try:
                row = await run_case(w, case, orders)
            except AssertionError as e:  # what comes after it would prove nothing
                rows.append(_failed(case, orders, str(e)))
                print(_line(asdict(rows[-1])), file=sys.stderr, flush=True)
                break
            rows.append(row)
            orders = row.orders_after
            print(_line(asdict(row)), file=sys.stderr, flush=True)
    return rows


def in_process(name: str, numbers: set[str], log: Path) -> list[dict[str, Any]]:
    """Run one world in this process; its log goes to ``log``."""
    cases = [case for case in CASES[name] if not numbers or case.number in numbers]
    if not cases:
        return []
    with tempfile.TemporaryDirectory() as folder, log.open("w") as file:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=file))
        rows = asyncio.run(run_world(name, cases, Path(folder)))
    return [asdict(row) for row in rows]


def in_child(name: str, numbers: set[str], folder: Path) -> list[dict[str, Any]]:
    """Run one world in a process of its own."""
    command = [sys.executable, __file__, "--world", name, "--case", ",".join(sorted(numbers))]
    result = subprocess.run(
        [*command, "--json", "--log", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=_WORLD_S,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("TRADING_")},
    )
    try:
        rows: list[dict[str, Any]] = json.loads(result.stdout)["rows"]
    except (ValueError, KeyError):
        print(f"world {name} ended with {result.returncode}; see {folder}", file=sys.stderr)
        first = next(case for case in CASES[name] if not numbers or case.number in numbers)
        return [asdict(_failed(first, 0, "the world ended by itself"))]
    return rows


def _line(row: dict[str, Any]) -> str:
    def against(name: str) -> str:
        value, bound = row[f"{name}_s"], row[f"{name.removesuffix('ed')}_bound_s"]
        if bound is None:
            return "-"
        return f"{'never' if value is None else f'{value:.2f}'} (<= {bound:g})"

    values = (
        row["number"],
        row["fault"],
        row["how"],
        against("detected"),
        against("recovered"),
        "never" if row["active_s"] is None else f"{row['active_s']:.1f}",
        f"{row['orders_before']}->{row['orders_after']}",
        row["lost"],
        row["duplicated"],
        row["suspect_decisions"],
        "kept" if row["is_kept"] else "BROKEN",
    )
    cells = [str(v).ljust(width) for v, (_, width) in zip(values, _HEAD, strict=True)]
    return f"{' '.join(cells)} {row['note']}"


def _order(row: dict[str, Any]) -> tuple[int, str]:
    digits = "".join(c for c in row["number"] if c.isdigit())
    return int(digits), row["number"]


def print_table(rows: list[dict[str, Any]], took_s: float) -> None:
    """Print all rows, what is tested elsewhere, and the sums."""
    print(" ".join(name.ljust(width) for name, width in _HEAD))
    for row in rows:
        print(_line(row))
    print("\nno faults of a connection, or too rare to wait for; tested elsewhere:")
    for number, (fault, where) in ELSEWHERE.items():
        print(f"{number:4} {fault:41} {where}")
    kept = sum(row["is_kept"] for row in rows)
    print(
        f"\n{kept} of {len(rows)} kept; lost {sum(row['lost'] for row in rows)}, "
        f"twice {sum(row['duplicated'] for row in rows)}, decisions on suspect books "
        f"{sum(row['suspect_decisions'] for row in rows)} of "
        f"{sum(row['decisions'] for row in rows)}; {took_s:.0f} s"
    )


def main() -> int:
    """Run the worlds; 0 only if every promise was kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--world", choices=sorted(CASES), help="only this one, in this process")
    parser.add_argument("--case", default="", help="numbers, separated by commas")
    parser.add_argument("--jobs", type=int, default=2, help="worlds at the same time")
    parser.add_argument("--log", type=Path, help="folder for the logs of the systems")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    numbers = {number for number in options.case.split(",") if number}
    folder = options.log or Path(tempfile.mkdtemp(prefix="wire-"))
    began = time.monotonic()
    if options.world:
        rows = in_process(options.world, numbers, folder / f"{options.world}.log")
    else:
        names = [name for name in CASES if not numbers or numbers & {c.number for c in CASES[name]}]
        with ThreadPoolExecutor(options.jobs) as pool:
            found = list(pool.map(lambda name: in_child(name, numbers, folder), names))
        rows = sorted((row for rows in found for row in rows), key=_order)
    if options.json:
        print(json.dumps({"rows": rows, "elsewhere": ELSEWHERE}))
    else:
        print_table(rows, time.monotonic() - began)
    return 0 if rows and all(row["is_kept"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
