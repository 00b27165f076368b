"""Recordings made by ``trading-system record``, as the replay market reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trading_system.data.parts import Row, RowKind, read_rows
from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.simulation.replay.bybit import SymbolFrames, instrument_of_row, topic_of
from trading_system.simulation.replay.engine_order import EngineOrder
from trading_system.simulation.replay.messages import BadLine, Findings, Message

_ROW = msgspec.json.Decoder(dict[str, Any])


class OwnRecording:
    """One symbol of a recording.

    Parameters
    ----------
    folder : Path
        Holds its parts.
    instrument : Instrument
        As the host described it.
    depth : int
        Deepest book topic of the symbol.
    span_ns : (int, int)
        Receive times of the recording's first and last row.
    """

    unit = "base currency"

    def __init__(
        self, folder: Path, instrument: Instrument, *, depth: int, span_ns: tuple[int, int]
    ) -> None:
        self._folder = folder
        self._depth = depth
        self.names = (folder.name,)
        self.instrument = instrument
        self.symbol = instrument.key
        self.first_stamp_ns, self.last_stamp_ns = span_ns

    def messages(self, findings: Findings | None = None) -> Iterator[Message]:
        """Yield the symbol's messages from its first snapshot on, in recorded order.

        Raises
        ------
        ConfigurationError
            If a part is damaged or, with strict findings, an update is missing.
        """
        findings = findings or Findings()
        frames = SymbolFrames(self.instrument, depth=self._depth, findings=findings)
        category = self.instrument.category.value
        order = EngineOrder()
        connections = 0
        for number, row in enumerate(read_rows(self._folder, symbol=self.instrument.symbol)):
            if row.category != category:
                continue
            if row.kind is RowKind.CONNECTED:
                connections += 1
                if connections > 1:
                    findings.interruption()
                    frames.interrupt()
                    yield from order.rest()
            elif row.kind is RowKind.FRAME:
                try:
                    for message in _decoded(frames, row):
                        order.add(message)
                except BadLine as e:
                    raise ConfigurationError(
                        f"recording {self._folder} row {number} of {self.symbol}: {e}"
                    ) from e
                yield from order.due(row.received_ns)
        yield from order.rest()


def open_own(folder: Path) -> list[OwnRecording]:
    """Read the recording once and return its symbols.

    Raises
    ------
    ConfigurationError
        If it is damaged or has no book.
    """
    instruments: dict[tuple[str, str], Instrument] = {}
    depths: dict[tuple[str, str], int] = {}
    first_ns = last_ns = 0
    for row in read_rows(folder):
        first_ns, last_ns = first_ns or row.received_ns, row.received_ns
        key = row.category, row.symbol
        if row.kind is RowKind.INSTRUMENT:
            instruments[key] = _instrument(folder, row)
        elif row.kind is RowKind.FRAME:
            depths[key] = max(depths.get(key, 0), _depth(row.body))
    found = [
        OwnRecording(folder, instrument, depth=depths[key], span_ns=(first_ns, last_ns))
        for key, instrument in instruments.items()
        if depths.get(key)
    ]
    if not found:
        raise ConfigurationError(f"recording {folder} holds no order book")
    return found


def _decoded(frames: SymbolFrames, row: Row) -> list[Message]:
    frame = row.body.encode()
    return frames.decode(topic_of(frame), frame, stamp_ns=row.received_ns)


def _depth(frame: str) -> int:
    depth = frame[:80].partition('"orderbook.')[2].partition(".")[0]
    return int(depth) if depth.isdigit() else 0


def _instrument(folder: Path, row: Row) -> Instrument:
    try:
        return instrument_of_row(_ROW.decode(row.body), category=row.category)
    except (msgspec.MsgspecError, ValidationError) as e:
        raise ConfigurationError(f"recording {folder}: {row.symbol[:40]}: {e}") from e
