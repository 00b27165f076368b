"""Bybit captures (``.jsonl.zst``): REST rows, connections and frames, as JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.simulation.replay.bybit import SymbolFrames, instrument_of_row, topic_of
from trading_system.simulation.replay.engine_order import EngineOrder
from trading_system.simulation.replay.files import lines, refusal
from trading_system.simulation.replay.messages import BadLine, Findings, Message

_CATEGORIES = ("linear", "spot")
_INSTRUMENTS_PATH = "/v5/market/instruments-info"


class _Line(msgspec.Struct):
    t: str
    conn: str = ""
    ts: float = 0.0
    addr: str = ""
    url: str = ""
    data: str = ""


_LINE = msgspec.json.Decoder(_Line)
_ANSWER = msgspec.json.Decoder(dict[str, Any])


class BybitCapture:
    """One symbol of a capture.

    Parameters
    ----------
    path : Path
        The file.
    instrument : Instrument
        As the exchange described it in the capture.
    depth : int
        Deepest book topic of the symbol.
    first_stamp_ns, last_stamp_ns : int
        Receive times of the file's first and last frame.
    """

    unit = "base currency"

    def __init__(
        self,
        path: Path,
        instrument: Instrument,
        *,
        depth: int,
        first_stamp_ns: int,
        last_stamp_ns: int,
    ) -> None:
        self._path = path
        self._depth = depth
        self.names = (path.name,)
        self.instrument = instrument
        self.symbol = instrument.key
        self.first_stamp_ns = first_stamp_ns
        self.last_stamp_ns = last_stamp_ns

    def messages(self, findings: Findings | None = None) -> Iterator[Message]:
        """Yield the symbol's messages from its first snapshot on, in recorded order.

        Raises
        ------
        ConfigurationError
            If a line is damaged or, with strict findings, an update is missing.
        """
        findings = findings or Findings()
        frames = SymbolFrames(self.instrument, depth=self._depth, findings=findings)
        order = EngineOrder()
        mark = f".{self.instrument.symbol}"
        category = self.instrument.category.value
        connections: set[str] = set()
        for number, line in _read(self._path):
            if line.t == "connect" and _category(line) == category:
                if line.conn in connections:
                    findings.interruption()
                    frames.interrupt()
                    yield from order.rest()
                connections.add(line.conn)
            elif line.t == "recv" and line.conn in connections and mark in line.data[:80]:
                frame = line.data.encode()
                try:
                    due = frames.decode(topic_of(frame), frame, stamp_ns=_stamp_ns(line))
                except BadLine as e:
                    raise refusal(self._path, number, str(e)) from e
                for message in due:
                    order.add(message)
                yield from order.due(_stamp_ns(line))
        yield from order.rest()


def open_capture(path: Path) -> list[BybitCapture]:
    """Read ``path`` once and return its symbols, in the order of their first book frames.

    Raises
    ------
    ConfigurationError
        If it is damaged, holds no book, or describes no instrument of one.
    """
    categories: dict[str, str] = {}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    depths: dict[tuple[str, str], int] = {}
    first_ns = last_ns = 0
    for number, line in _read(path):
        if line.t == "connect":
            categories[line.conn] = _category(line)
        elif line.t == "http" and _INSTRUMENTS_PATH in line.url:
            rows.update(_rows(path, number, line))
        elif line.t == "recv":
            category = categories.get(line.conn, "")
            last_ns = _stamp_ns(line)
            first_ns = first_ns or last_ns
            _note_depth(depths, category, line.data)
    if not depths:
        raise ConfigurationError(f"recording {path} holds no order book of Bybit")
    return [
        BybitCapture(
            path,
            _instrument(path, rows, key),
            depth=depth,
            first_stamp_ns=first_ns,
            last_stamp_ns=last_ns,
        )
        for key, depth in depths.items()
    ]


def _read(path: Path) -> Iterator[tuple[int, _Line]]:
    for number, line in lines(path):
        try:
            yield number, _LINE.decode(line)
        except msgspec.MsgspecError as e:
            raise refusal(path, number, f"no line of a Bybit capture: {e}") from e


def _category(line: _Line) -> str:
    return line.addr.partition("?")[0].rpartition("/")[2]


def _stamp_ns(line: _Line) -> int:
    # Unix seconds as a float resolve about 0.2 µs; microseconds are what is meant.
    return round(line.ts * 1_000_000) * 1_000


def _note_depth(depths: dict[tuple[str, str], int], category: str, frame: str) -> None:
    head = frame[:80]
    if category not in _CATEGORIES or '"orderbook.' not in head:
        return
    kind, _, symbol = head.partition('"orderbook.')[2].partition('"')[0].partition(".")
    if kind.isdigit() and symbol:
        key = category, symbol
        depths[key] = max(depths.get(key, 0), int(kind))


def _rows(path: Path, number: int, line: _Line) -> dict[tuple[str, str], dict[str, Any]]:
    try:
        result = _ANSWER.decode(line.data.encode())["result"]
        return {(result["category"], row["symbol"]): row for row in result["list"]}
    except (msgspec.MsgspecError, KeyError, TypeError) as e:
        raise refusal(path, number, f"unreadable instruments: {e!r}") from e


def _instrument(
    path: Path, rows: dict[tuple[str, str], dict[str, Any]], key: tuple[str, str]
) -> Instrument:
    category, symbol = key
    if key not in rows:
        raise ConfigurationError(f"recording {path} does not describe {category} {symbol}")
    try:
        return instrument_of_row(rows[key], category=category)
    except ValidationError as e:
        raise ConfigurationError(f"recording {path}: {symbol}: {e}") from e
