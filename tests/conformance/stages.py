"""One run: every stage has a fresh venue, the clients that talk to it, and its cases."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

from protocol import Pacer
from registry import Case, case, check, check_equal
from room_ccxt import CcxtRoom
from room_demo import DemoRoom
from room_modes import ModesRoom
from room_nautilus import NautilusRoom
from room_pybit import PybitRoom
from rsa_key import new_pem
from venue_process import Ready, VenueProcess

HERE = Path(__file__).resolve().parent
OWN_SIDE = HERE / "own_side.py"
# pybit registers a callback after it has sent the request, and its busy reader threads can hold
# the interpreter for 5 ms each in between: acknowledgements travel as long as over a real network.
# Without drift a resting bid is met by sellers within moments.
VENUE_OPTIONS = ("--port", "0", "--ack-delay-ms", "25", "--edge", "0")
CASE_S = 45.0
RUN_S = 300.0
OWN_S = 120.0


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


def stops_cleanly(venue: VenueProcess) -> None:
    """End the venue: it is still running, exits 0, and never printed a traceback."""
    check(venue.is_running(), "the venue is gone:", venue.errors())
    check_equal(venue.stop(), 0, "exit code")
    check("Traceback" not in venue.errors(), venue.errors())


for _stage in ("clients", "modes", "demo"):
    case("stops cleanly on SIGTERM", f"venue ({_stage})", phase=f"{_stage} venue")(stops_cleanly)


def own_cases(python: Path) -> None:
    """Register the cases that the project's own interpreter runs, after all others."""
    said = subprocess.run(
        [python, OWN_SIDE, "--list"], check=True, capture_output=True, text=True, timeout=OWN_S
    )
    for row in json.loads(said.stdout):
        case(row["case"], row["client"], code=row["code"], phase="own")(_elsewhere)


def _elsewhere(_room: object) -> None:
    raise AssertionError("this case runs in the project's own interpreter")


class Run:
    """All stages, every selected case once."""

    def __init__(self, number: int, venue: Path, seed: int, selected: list[Case]) -> None:
        self.number = number
        self.results: dict[int, Result] = {}
        self.problems: list[str] = []
        self._program = venue
        self._seed = seed
        self._selected = selected
        self._venue: VenueProcess | None = None

    def execute(self) -> list[Result]:
        """Run the stages one after the other; return one result per case."""
        watchdog = Timer(RUN_S, self._give_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            with self._noted("own"):
                self._own()
            self._stage("demo", self._demo, "--profile", "demo")
            with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
                private, public = new_pem()
                pem = Path(folder, "public.pem")
                pem.write_text(public)
                self._stage(
                    "modes", lambda venue: self._modes(venue, private), "--rsa-public-key", str(pem)
                )
            self._stage("clients", self._clients)
        finally:
            watchdog.cancel()
        return [self.results.get(one.number) or self._missing(one) for one in self._selected]

    def _stage(self, name: str, work: Callable[[Ready], None], *options: str) -> None:
        """Start a venue, let ``work`` use it, stop it; nothing if no case is selected."""
        phases = {
            "clients": ("pybit", "ccxt", "close"),
            "modes": ("nautilus", "modes", "ccxt modes"),
        }
        wanted = (*phases.get(name, (name,)), f"{name} venue")
        if not any(self._of(phase) for phase in wanted):
            return
        command = [str(self._program), "venue", *VENUE_OPTIONS, "--seed", str(self._seed)]
        self._venue = venue = VenueProcess([*command, *options])
        try:
            with self._noted(name):
                work(venue.start())
            self._sync(f"{name} venue", venue)
        finally:
            venue.close()

    def _clients(self, venue: Ready) -> None:
        room = PybitRoom(venue)
        try:
            room.open()
            self._sync("pybit", room)
            with self._noted("ccxt"):
                asyncio.run(self._async("ccxt", CcxtRoom(venue, room.pacer)))
            self._sync("close", room)
        finally:
            room.close()

    def _modes(self, venue: Ready, pem: str) -> None:
        pacer = Pacer()
        with self._noted("nautilus"):
            asyncio.run(self._async("nautilus", NautilusRoom(venue, pacer)))
        with self._noted("modes"):
            self._whole("modes", ModesRoom(venue, pacer, pem))
        with self._noted("ccxt modes"):
            asyncio.run(self._async("ccxt modes", CcxtRoom(venue, pacer, pem=pem)))

    def _demo(self, venue: Ready) -> None:
        self._whole("demo", DemoRoom(venue, Pacer()))

    def _own(self) -> None:
        cases = self._of("own")
        if not cases:
            return
        python = self._program.parent / "python"
        said = subprocess.run(
            [python, OWN_SIDE], check=True, capture_output=True, text=True, timeout=OWN_S
        )
        found = {(row["case"], row["client"]): row for row in json.loads(said.stdout)}
        for one in cases:
            row = found.get((one.name, one.client))
            if row is not None:
                self._keep(one, row["code"], row["seconds"], row["detail"])

    def _whole(self, phase: str, room: Any) -> None:
        """Open a room of synchronous clients, run its cases, close it."""
        if not self._of(phase):
            return
        try:
            room.open()
            self._sync(phase, room)
        finally:
            room.close()

    async def _async(self, phase: str, room: Any) -> None:
        cases = self._of(phase)
        if not cases:
            return
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
            detail = describe(e)
        code = str(seen[0] or 0) if seen else "-"
        self._keep(one, code, time.monotonic() - started, detail)

    def _keep(self, one: Case, code: str, seconds: float, detail: str) -> None:
        self.results[one.number] = Result(
            run=self.number,
            number=one.number,
            case=one.name,
            client=one.client,
            code=code,
            expected=one.code,
            ok=not detail and code == one.code,
            seconds=round(seconds, 3),
            detail=detail[:2000],
        )

    def _missing(self, one: Case) -> Result:
        return Result(
            run=self.number,
            number=one.number,
            case=one.name,
            client=one.client,
            code="-",
            expected=one.code,
            ok=None,
            seconds=0.0,
            detail="not executed",
        )

    def _give_up(self) -> None:
        """End everything: a client of ours hangs, and that is a failure too."""
        if self._venue is not None:
            self._venue.kill()
        faulthandler.dump_traceback()
        for problem in self.problems:
            print(f"  run {self.number}: {problem}")
        print(f"run {self.number} did not end within {RUN_S:.0f} s", flush=True)
        os._exit(1)


def describe(error: BaseException) -> str:
    """Return an error's text with the case's own line that raised it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == HERE] or frames
    return f"{type(error).__name__}: {error} [{Path(own[-1].filename).name}:{own[-1].lineno}]"
