"""``trading-system replay``: what recordings hold, and with ``--verify`` whether they are sound."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from trading_system.cli.output import note
from trading_system.domain.instruments import plain
from trading_system.simulation.replay.recording import Recording, Recordings, open_recordings
from trading_system.simulation.replay.verifying import Verdict, verify

_COLUMNS = {
    "symbol": "symbol",
    "messages": "messages",
    "updates": "updates",
    "trades": "trades",
    "gaps": "gaps",
    "interruptions": "breaks",
    "crossed": "crossed",
    "checksums": "sums",
    "checksum_failures": "wrong",
    "span_s": "seconds",
    "rate": "per s",
}
"""Headings of a verdict's figures, short enough for a terminal of 80 columns."""


def describe(paths: list[Path]) -> dict[str, Any]:
    """Return the symbols of recordings, how they are listed and how long they are.

    Raises
    ------
    ConfigurationError
        If a recording is damaged or of no known kind.
    """
    opened = open_recordings(paths)
    return {**_frame(opened), "symbols": [_listing(each) for each in opened.found]}


def verified(paths: list[Path]) -> dict[str, Any]:
    """Rebuild every book; ``sound`` tells whether nothing is wrong.

    Raises
    ------
    ConfigurationError
        If a recording is damaged or of no known kind.
    """
    opened = open_recordings(paths)
    rows = []
    for recording in opened.found:
        verdict = verify(recording)
        for fault in verdict.first_faults:
            note(f"{recording.symbol}: {fault}")
        rows.append(_row(verdict))
    return {**_frame(opened), "sound": all(row["sound"] for row in rows), "symbols": rows}


def table(answer: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return columns and rows for people."""
    rows: list[dict[str, Any]] = answer["symbols"]
    if "sound" not in answer:
        names = tuple(rows[0])
        return names, [tuple(str(row[name]) for name in names) for row in rows]
    cells = [tuple(str(row[name]) for name in _COLUMNS) for row in rows]
    return tuple(_COLUMNS.values()), cells


def _frame(opened: Recordings) -> dict[str, Any]:
    names = dict.fromkeys(name for recording in opened.found for name in recording.names)
    return {"recordings": list(names), "left_out": opened.left_out}


def _listing(recording: Recording) -> dict[str, Any]:
    instrument = recording.instrument
    return {
        "symbol": recording.symbol,
        "category": instrument.category.value,
        "tick_size": plain(instrument.tick_size),
        "qty_step": plain(instrument.qty_step),
        "quantities_in": recording.unit,
        "length_s": round((recording.last_stamp_ns - recording.first_stamp_ns) / 1e9, 3),
    }


def _row(verdict: Verdict) -> dict[str, Any]:
    row = asdict(verdict)
    row["first_faults"] = list(verdict.first_faults)
    row["span_s"] = round(verdict.span_s, 3)
    row["rate"] = round(verdict.rate, 1)
    return {**row, "sound": verdict.is_sound}
