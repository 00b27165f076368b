"""Run every numbered case with the real Bybit and OKX clients against fresh embedded venues.

The clients are pybit (``HTTP``, ``WebSocket``, ``WebSocketTrading``), ccxt and ccxt.pro for both
exchanges and nautilus_trader's Bybit adapter, unmodified but for their host settings, and the
project's own client; the protocol itself is checked in process and over loopback. Nothing is
retried and nothing is run again: a case that fails, or is not executed, fails the whole command.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import cases_ccxt  # noqa: F401 - importing registers the cases
import cases_ccxt_modes  # noqa: F401 - as above
import cases_ccxt_okx  # noqa: F401 - as above
import cases_ccxt_pro  # noqa: F401 - as above
import cases_conditionals  # noqa: F401 - as above
import cases_hedge  # noqa: F401 - as above
import cases_nautilus  # noqa: F401 - as above
import cases_pybit_refused  # noqa: F401 - as above
import cases_pybit_rest  # noqa: F401 - as above
import cases_pybit_streams  # noqa: F401 - as above
import cases_pybit_trade  # noqa: F401 - as above
import cases_spot  # noqa: F401 - as above
import cases_stops  # noqa: F401 - as above
from registry import CASES, Case
from stages import Result, Run, own_cases

CLIENTS = ("pybit", "ccxt", "nautilus_trader")


def _print_failures(run: Run, results: list[Result]) -> None:
    for problem in run.problems:
        print(f"  run {run.number}: {problem}")
    missing = sum(result.ok is None for result in results)
    if missing:
        print(f"  run {run.number}: {missing} cases were not executed")
    for result in results:
        if result.ok is False:
            print(
                f"  run {result.run}: {result.number} {result.case} / {result.client}: code "
                f"{result.code}, expected {result.expected}. {result.detail}"
            )


def _print_table(results: list[Result]) -> None:
    by_case: defaultdict[int, list[Result]] = defaultdict(list)
    for result in results:
        by_case[result.number].append(result)
    print(f"{'no':>3}  {'case':<58} {'client':<26} {'code seen':<12} ok")
    for number, rows in sorted(by_case.items()):
        codes = ",".join(sorted({row.code for row in rows}))
        good = sum(row.ok is True for row in rows)
        verdict = "yes" if good == len(rows) else "NO"
        first = rows[0]
        line = f"{number:>3}  {first.case:<58} {first.client:<26} {codes:<12} "
        print(f"{line}{verdict} {good}/{len(rows)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--venue", type=Path, required=True, help="path of the trading-system command"
    )
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run's market")
    parser.add_argument(
        "--case", action="append", default=[], help="only cases with this in the name"
    )
    parser.add_argument("--client", action="append", default=[], help="only cases of this client")
    parser.add_argument("--busy", action="store_true", help="keep every core busy meanwhile")
    parser.add_argument("--json", type=Path, help="also write every result to this file")
    return parser.parse_args()


def _select(arguments: argparse.Namespace) -> list[Case]:
    return [
        one
        for one in CASES
        if (not arguments.case or any(text in one.name for text in arguments.case))
        and (not arguments.client or one.client in arguments.client)
    ]


def _spin() -> None:
    while True:
        pass


@contextmanager
def _busy(cores: int) -> Iterator[None]:
    """Keep ``cores`` cores busy with loops of ordinary priority."""
    loops = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(cores)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.join()


def _run_all(arguments: argparse.Namespace, selected: list[Case]) -> list[Result]:
    results: list[Result] = []
    for number in range(1, arguments.runs + 1):
        run = Run(number, arguments.venue, arguments.seed + number - 1, selected)
        started = time.monotonic()
        found = run.execute()
        results += found
        failed = sum(not result.ok for result in found)
        took = time.monotonic() - started
        print(f"run {number}: {len(found)} cases, {failed} failed, {took:.1f} s", flush=True)
        _print_failures(run, found)
    return results


def main() -> int:
    """Run, print, and return 0 only if every case passed in every run."""
    arguments = _arguments()
    own_cases(arguments.venue.parent / "python")
    selected = _select(arguments)
    if not selected or arguments.runs < 1:
        print("no case is selected or --runs is below 1", file=sys.stderr)
        return 2
    print(", ".join(f"{name} {version(name)}" for name in CLIENTS), flush=True)
    with _busy((os.cpu_count() or 1) if arguments.busy else 0):
        results = _run_all(arguments, selected)
    _print_table(results)
    failed = sum(not result.ok for result in results)
    missing = sum(result.ok is None for result in results)
    total = f"{arguments.runs} runs, {len(selected)} cases each"
    print(f"{total}: {failed} failures, of which {missing} not executed")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
