"""Run every numbered case with the real Bybit and OKX clients against fresh embedded venues.

The clients are pybit (``HTTP``, ``WebSocket``, ``WebSocketTrading``), ccxt and ccxt.pro for both
exchanges, unmodified but for their host settings. Nothing is retried and nothing is run again: a
case that fails, or is not executed, fails the whole command.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import json
import os
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import cases_ccxt  # noqa: F401 - importing registers the cases
import cases_ccxt_okx  # noqa: F401 - as above
import cases_ccxt_pro  # noqa: F401 - as above
import cases_conditionals  # noqa: F401 - as above
import cases_pybit_refused  # noqa: F401 - as above
import cases_pybit_rest  # noqa: F401 - as above
import cases_pybit_streams  # noqa: F401 - as above
import cases_pybit_trade  # noqa: F401 - as above
import cases_stops  # noqa: F401 - as above
from registry import CASES, Case, case, check, check_equal
from room_ccxt import CcxtRoom
from room_pybit import PybitRoom
from venue_process import VenueProcess

HERE = Path(__file__).resolve().parent
# pybit registers a callback after it has sent the request, and its busy reader threads can hold
# the interpreter for 5 ms each in between: acknowledgements travel as long as over a real network.
# Without drift a resting bid is met by sellers within moments.
VENUE_OPTIONS = ("--port", "0", "--ack-delay-ms", "25", "--edge", "0")
CASE_S = 45.0
RUN_S = 120.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one case saw in one run; ``ok`` is None for a case that was not executed."""

    run: int
    number: int
    case: str
    client: str
    code: str
    expected: str
    ok: bool | None
    seconds: float
    detail: str


@case("stops cleanly on SIGTERM", "venue", phase="venue")
def stops_cleanly(venue: VenueProcess) -> None:
    """End the venue: it is still running, exits 0, and never printed a traceback."""
    check(venue.is_running(), "the venue is gone:", venue.errors())
    check_equal(venue.stop(), 0, "exit code")
    check("Traceback" not in venue.errors(), venue.errors())


class Run:
    """One venue, all clients, every selected case once."""

    def __init__(self, number: int, command: list[str], selected: list[Case]) -> None:
        self.number = number
        self.results: dict[int, Result] = {}
        self.problems: list[str] = []
        self._selected = selected
        self._venue = VenueProcess(command)

    def execute(self) -> list[Result]:
        """Start the venue, run the phases, stop the venue; return one result per case."""
        watchdog = Timer(RUN_S, self._give_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            ready = self._venue.start()
            room = PybitRoom(ready)
            try:
                self._pybit(room)
            finally:
                room.close()
            self._sync("venue", self._venue)
        except Exception:
            self.problems.append(traceback.format_exc(limit=4))
        finally:
            watchdog.cancel()
            self._venue.close()
        return [self.results.get(one.number) or self._missing(one) for one in self._selected]

    def _pybit(self, room: PybitRoom) -> None:
        room.open()
        self._sync("pybit", room)
        with self._noted("ccxt"):
            asyncio.run(self._ccxt(room))
        self._sync("close", room)

    async def _ccxt(self, pybit_room: PybitRoom) -> None:
        cases = self._of("ccxt")
        if not cases:
            return
        room = CcxtRoom(pybit_room.venue, pybit_room.pacer)
        try:
            await room.open()
            for one in cases:
                with self._judged(one) as saw:
                    saw(await asyncio.wait_for(one.run(room), CASE_S))
        finally:
            await room.close()

    def _sync(self, phase: str, room: Any) -> None:
        for one in self._of(phase):
            with self._judged(one) as saw:
                saw(one.run(room))

    def _of(self, phase: str) -> list[Case]:
        return [one for one in self._selected if one.phase == phase]

    @contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception:
            self.problems.append(f"{what}: {traceback.format_exc(limit=4)}")

    @contextmanager
    def _judged(self, one: Case) -> Iterator[Callable[[object], None]]:
        """Time one case and turn its outcome into a result, whatever it raises."""
        seen: list[object] = []
        started = time.monotonic()
        detail = ""
        try:
            yield seen.append
        except Exception as e:
            detail = _describe(e)
        code = str(seen[0] or 0) if seen else "-"
        took = time.monotonic() - started
        self.results[one.number] = Result(
            run=self.number,
            number=one.number,
            case=one.name,
            client=one.client,
            code=code,
            expected=one.code,
            ok=not detail and code == one.code,
            seconds=round(took, 3),
            detail=detail[:2000],
        )

    def _missing(self, one: Case) -> Result:
        detail = "not executed"
        return Result(
            self.number, one.number, one.name, one.client, "-", one.code, None, 0.0, detail
        )

    def _give_up(self) -> None:
        """End everything: a client of ours hangs, and that is a failure too."""
        self._venue.kill()
        faulthandler.dump_traceback()
        _print_failures(self, list(self.results.values()))
        print(f"run {self.number} did not end within {RUN_S:.0f} s", flush=True)
        os._exit(1)


def _describe(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == HERE] or frames
    return f"{type(error).__name__}: {error} [{Path(own[-1].filename).name}:{own[-1].lineno}]"


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
    print(f"{'no':>3}  {'case':<48} {'client':<24} {'code seen':<12} ok")
    for number, rows in sorted(by_case.items()):
        codes = ",".join(sorted({row.code for row in rows}))
        good = sum(row.ok is True for row in rows)
        verdict = "yes" if good == len(rows) else "NO"
        first = rows[0]
        line = f"{number:>3}  {first.case:<48} {first.client:<24} {codes:<12} "
        print(f"{line}{verdict} {good}/{len(rows)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venue", required=True, help="path of the trading-system command")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run's market")
    parser.add_argument(
        "--case", action="append", default=[], help="only cases with this in the name"
    )
    parser.add_argument("--client", action="append", default=[], help="only cases of this client")
    parser.add_argument("--json", type=Path, help="also write every result to this file")
    return parser.parse_args()


def _select(arguments: argparse.Namespace) -> list[Case]:
    return [
        one
        for one in CASES
        if (not arguments.case or any(text in one.name for text in arguments.case))
        and (not arguments.client or one.client in arguments.client)
    ]


def main() -> int:
    """Run, print, and return 0 only if every case passed in every run."""
    arguments = _arguments()
    selected = _select(arguments)
    if not selected or arguments.runs < 1:
        print("no case is selected or --runs is below 1", file=sys.stderr)
        return 2
    results: list[Result] = []
    for number in range(1, arguments.runs + 1):
        seed = str(arguments.seed + number - 1)
        run = Run(number, [arguments.venue, "venue", *VENUE_OPTIONS, "--seed", seed], selected)
        started = time.monotonic()
        found = run.execute()
        results += found
        failed = sum(not result.ok for result in found)
        took = time.monotonic() - started
        print(f"run {number}: {len(found)} cases, {failed} failed, {took:.1f} s", flush=True)
        _print_failures(run, found)
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
