"""``trading-system record``: public frames of a Bybit host, as received, into Parquet parts."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from trading_system.data.parts import PartWriter, Row, RowKind
from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.domain.ports import Clock
from trading_system.runtime.clock import SystemClock
from trading_system.simulation.live_market.hosts import PublicHost, instrument_rows, public_host
from trading_system.simulation.live_market.stream import PublicStream
from trading_system.simulation.replay.bybit import instrument_of_row

_CATEGORY = "linear"
_DEPTHS = (50, 200, 1000)
_MOST_SYMBOLS = 50
_TICK_S = 0.25
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlan:
    """What to record, from where and for how long; None as duration means until it is stopped."""

    out: Path
    symbols: list[str]
    source: str
    duration_s: float | None
    depth: int
    part_s: float

    def __post_init__(self) -> None:
        if self.depth not in _DEPTHS:
            raise ConfigurationError(f"--depth must be 50, 200 or 1000, was {self.depth}")
        if not 0 < len(self.symbols) <= _MOST_SYMBOLS:
            raise ConfigurationError(f"--symbols must name 1 to {_MOST_SYMBOLS} symbols")
        if len(set(self.symbols)) != len(self.symbols):
            raise ConfigurationError("--symbols names a symbol twice")


class Recorder:
    """Turns what a stream says into rows; a stream's listener.

    Attributes
    ----------
    frames, connections : int
        So far.
    last_failure : str
        Why the newest connection ended, empty while none did.
    """

    def __init__(self, writer: PartWriter, host: PublicHost, *, clock: Clock) -> None:
        self._writer = writer
        self._host = host
        self._clock = clock
        self.frames = 0
        self.connections = 0
        self.last_failure = ""

    def describe(self, rows: dict[str, dict[str, Any]]) -> None:
        """Record the instruments as the host tells them; they come first."""
        for symbol, row in rows.items():
            self._add(self._clock.utc_ns(), RowKind.INSTRUMENT, symbol, _text(row))

    def on_connected(self) -> None:
        """Record that a connection begins, so that a reader expects snapshots."""
        self.connections += 1
        self._add(self._clock.utc_ns(), RowKind.CONNECTED, "", self._host.ws)

    def on_frame(self, topic: str, frame: bytes, received_ns: int) -> None:
        """Record one frame."""
        self.frames += 1
        symbol = topic.rpartition(".")[2]
        self._add(received_ns, RowKind.FRAME, symbol, frame.decode("utf-8", "replace"))

    def on_lost(self, reason: str) -> None:
        """Remember why."""
        self.last_failure = reason

    def _add(self, received_ns: int, kind: RowKind, symbol: str, body: str) -> None:
        self._writer.add(Row(received_ns, kind, _CATEGORY, symbol, body))


def run(plan: RecordingPlan) -> dict[str, Any]:
    """Record as planned and return what was recorded.

    Raises
    ------
    ConfigurationError
        If the host does not list the symbols, nothing could be recorded, or the disk is full.
    """
    try:
        return asyncio.run(_record(plan, SystemClock()))
    except* ConfigurationError as failures:
        failure: BaseException = failures
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        raise failure from None


async def _record(plan: RecordingPlan, clock: Clock) -> dict[str, Any]:
    host = public_host(plan.source)
    rows = await instrument_rows(host, plan.symbols)
    try:
        for row in rows.values():
            instrument_of_row(row, category=_CATEGORY)
    except ValidationError as e:
        raise ConfigurationError(f"{host.name}: {e}") from e
    writer = PartWriter(plan.out, longest_ns=round(plan.part_s * _NS_PER_S))
    recorder = Recorder(writer, host, clock=clock)
    recorder.describe(rows)
    stream = PublicStream(
        f"{host.ws}/v5/public/{_CATEGORY}",
        plan.symbols,
        [f"orderbook.{plan.depth}", "publicTrade", "tickers"],
        listener=recorder,
        clock=clock,
    )
    started_ns = clock.monotonic_ns()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stream.run(), name="public stream")
        try:
            await _until_over(plan, recorder, writer, clock)
        finally:
            running.cancel()
    await asyncio.to_thread(writer.store, writer.take())
    if not recorder.frames:
        why = recorder.last_failure or "no frame came"
        raise ConfigurationError(f"nothing was recorded from {host.name}: {why}")
    return {
        "out": str(plan.out),
        "source": host.name,
        "symbols": plan.symbols,
        "frames": recorder.frames,
        "parts": writer.parts,
        "interruptions": recorder.connections - 1,
        "duration_s": round((clock.monotonic_ns() - started_ns) / _NS_PER_S, 3),
    }


async def _until_over(
    plan: RecordingPlan, recorder: Recorder, writer: PartWriter, clock: Clock
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    started_ns = clock.monotonic_ns()
    console = Console(file=sys.stderr)
    with console.status("recording", spinner="line") as shown:
        while not stop.is_set():
            run_s = (clock.monotonic_ns() - started_ns) / _NS_PER_S
            if plan.duration_s is not None and run_s >= plan.duration_s:
                return
            shown.update(
                f"recording: {run_s:.0f} s, {recorder.frames} frames, {writer.parts} parts"
            )
            if writer.is_due:
                # In a thread: a part takes longer to write than frames should wait for a stamp.
                await asyncio.to_thread(writer.store, writer.take())
            left_s = _TICK_S if plan.duration_s is None else plan.duration_s - run_s
            try:
                async with asyncio.timeout(min(_TICK_S, left_s)):
                    await stop.wait()
            except TimeoutError:
                continue


def _text(row: dict[str, Any]) -> str:
    return msgspec.json.encode(row).decode()
