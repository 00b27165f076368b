"""A recording on disk: a folder of numbered Parquet parts, each complete or absent.

A row is what happened at one moment: an instrument as the host describes it, a new connection, or
a frame as received. A part appears under its name only when it is completely on disk, so a
recorder that dies loses at most its newest part, and every part that is there can be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import polars as pl

from trading_system.domain.errors import ConfigurationError

PART_PATTERN = "part-*.parquet"
_PART_NAME = re.compile(r"part-(\d{6})\.parquet")
_SCHEMA = {
    "received_ns": pl.Int64,
    "kind": pl.String,
    "category": pl.String,
    "symbol": pl.String,
    "body": pl.String,
}


class RowKind(StrEnum):
    """What a row holds."""

    INSTRUMENT = "instrument"
    CONNECTED = "connected"
    FRAME = "frame"


class Row(NamedTuple):
    """One row.

    ``received_ns`` is UTC nanoseconds of the recorder's clock; ``category`` is Bybit's; ``symbol``
    is empty for connections; ``body`` is the instrument's JSON row, the address, or the frame.
    """

    received_ns: int
    kind: RowKind
    category: str
    symbol: str
    body: str


class PartWriter:
    """Collects rows and writes them as parts.

    Parameters
    ----------
    folder : Path
        Made if it is missing; must not hold a recording yet.
    most_rows : int
        Rows after which a part is due.
    longest_ns : int
        Recorded nanoseconds after which a part is due.

    Attributes
    ----------
    parts, rows : int
        Written so far.

    Raises
    ------
    ConfigurationError
        If the folder holds a recording or cannot be made.
    """

    def __init__(self, folder: Path, *, most_rows: int = 50_000, longest_ns: int) -> None:
        self._folder = folder
        self._most_rows = most_rows
        self._longest_ns = longest_ns
        self._waiting: list[Row] = []
        self.parts = 0
        self.rows = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise ConfigurationError(f"cannot record into {folder}: {e.strerror}") from e
        if any(folder.glob(PART_PATTERN)):
            raise ConfigurationError(f"{folder} holds a recording already; name another folder")

    def add(self, row: Row) -> None:
        """Collect one row."""
        self._waiting.append(row)

    @property
    def is_due(self) -> bool:
        """Whether the rows collected are a part."""
        rows = self._waiting
        return len(rows) >= self._most_rows or (
            bool(rows) and rows[-1].received_ns - rows[0].received_ns >= self._longest_ns
        )

    def take(self) -> list[Row]:
        """Hand over the rows collected; later ones belong to the next part."""
        rows, self._waiting = self._waiting, []
        return rows

    def store(self, rows: list[Row]) -> None:
        """Write one part and make sure that it is on disk; nothing without rows.

        Raises
        ------
        ConfigurationError
            If the disk refuses it.
        """
        if not rows:
            return
        path = self._folder / f"part-{self.parts:06d}.parquet"
        growing = path.with_suffix(".growing")
        try:
            frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
            frame.write_parquet(growing, compression="zstd")
            with growing.open("rb") as written:
                os.fsync(written.fileno())
            growing.replace(path)
        except OSError as e:
            raise ConfigurationError(f"cannot write {path}: {e}") from e
        self.parts += 1
        self.rows += len(rows)


def part_files(folder: Path) -> list[Path]:
    """Return the parts of a recording in order.

    Raises
    ------
    ConfigurationError
        If there is none or one is missing in between.
    """
    parts = sorted(path for path in folder.glob(PART_PATTERN) if _PART_NAME.fullmatch(path.name))
    if not parts:
        raise ConfigurationError(f"{folder} holds no finished part of a recording")
    for number, path in enumerate(parts):
        if path.name != f"part-{number:06d}.parquet":
            raise ConfigurationError(f"recording {folder} lacks part {number}, {path.name} follows")
    return parts


def read_rows(folder: Path, *, symbol: str | None = None) -> Iterator[Row]:
    """Yield the rows of a recording in order, one part in memory at a time.

    Parameters
    ----------
    symbol : str or None
        Only rows of this symbol, and connections.

    Raises
    ------
    ConfigurationError
        If a part is missing, damaged or of another shape.
    """
    for path in part_files(folder):
        try:
            frame = pl.read_parquet(path, columns=list(_SCHEMA))
        except (pl.exceptions.PolarsError, OSError) as e:
            raise ConfigurationError(f"recording part {path} cannot be read: {e}") from e
        if dict(frame.schema) != _SCHEMA:
            raise ConfigurationError(f"recording part {path} has other columns")
        if symbol is not None:
            frame = frame.filter(pl.col("symbol").is_in([symbol, ""]))
        for received_ns, kind, category, name, body in frame.iter_rows():
            yield Row(received_ns, _kind(path, kind), category, name, body)


def _kind(path: Path, text: str) -> RowKind:
    try:
        return RowKind(text)
    except ValueError as e:
        raise ConfigurationError(f"recording part {path} holds a row of kind {text!r}") from e
