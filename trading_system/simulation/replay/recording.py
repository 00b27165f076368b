"""Recordings of any kind: which symbols they hold, and their messages in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.instruments import Instrument
from trading_system.simulation.replay.binance_files import (
    RecordingFile,
    chain_files,
    inspect_file,
)
from trading_system.simulation.replay.bybit_files import open_capture
from trading_system.simulation.replay.messages import Findings, Message
from trading_system.simulation.replay.okx_files import open_okx
from trading_system.simulation.replay.own_files import open_own


class Recording(Protocol):
    """One symbol's recorded market."""

    @property
    def symbol(self) -> str:
        """Listing key."""
        ...

    @property
    def instrument(self) -> Instrument:
        """As what it is listed."""
        ...

    @property
    def unit(self) -> str:
        """What one recorded unit of quantity is, in words."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its files or folder."""
        ...

    @property
    def first_stamp_ns(self) -> int:
        """When the recording begins, receive time in nanoseconds."""
        ...

    @property
    def last_stamp_ns(self) -> int:
        """When the recording ends, receive time in nanoseconds."""
        ...

    def messages(self, findings: Findings | None = None) -> Iterator[Message]:
        """Yield a snapshot, then what follows; None as findings raises at the first fault."""
        ...


class Recordings:
    """The symbols of some recordings, and what is left out of them.

    Attributes
    ----------
    found : tuple of Recording
        One per symbol, in the order given, those of Binance last.
    left_out : Mapping of str to str
        Why an instrument cannot be replayed, by its name in the recording.
    """

    def __init__(self, found: Sequence[Recording], left_out: Mapping[str, str]) -> None:
        self.found = tuple(found)
        self.left_out = dict(left_out)


def open_recordings(paths: Sequence[Path]) -> Recordings:
    """Open recordings: Binance ``.gz``, Bybit ``.jsonl.zst``, OKX ``.txt.zst``, own folders.

    Raises
    ------
    ConfigurationError
        If there is none, one is damaged or of no known kind, a continuation lacks its first
        file, or two recordings hold the same symbol.
    """
    if not paths:
        raise ConfigurationError("replay needs at least one recording")
    if len({path.resolve() for path in paths}) != len(paths):
        raise ConfigurationError("a recording is given twice")
    found: dict[str, Recording] = {}
    left_out: dict[str, str] = {}
    for recording, others in _opened(paths):
        left_out |= others
        if recording.symbol in found:
            raise ConfigurationError(
                f"{recording.symbol} is in {found[recording.symbol].names[0]} and in "
                f"{recording.names[0]}: give one recording per symbol"
            )
        found[recording.symbol] = recording
    return Recordings(list(found.values()), left_out)


def _opened(paths: Sequence[Path]) -> Iterator[tuple[Recording, dict[str, str]]]:
    binance: dict[tuple[str, bool], list[RecordingFile]] = {}
    for path in paths:
        if path.is_dir():
            yield from ((each, {}) for each in open_own(path))
        elif path.name.endswith(".jsonl.zst"):
            yield from ((each, {}) for each in open_capture(path))
        elif path.suffix == ".zst":
            captures, left_out = open_okx(path)
            yield from ((each, left_out) for each in captures)
        else:
            file = inspect_file(path)
            binance.setdefault((file.symbol, file.is_futures), []).append(file)
    yield from ((chain_files(files), {}) for files in binance.values())
