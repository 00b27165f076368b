"""One state file: read at the start, appended to while running, replaced as a whole now and then.

An append is one ``write`` to the kernel, which keeps it when the process is killed; only a power
cut can lose the last seconds. Replacing is atomic: temporary file, fsync, rename.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from trading_system.domain.errors import ConfigurationError, CorruptDataError
from trading_system.simulation.state.entries import (
    FORMAT,
    READABLE_VERSIONS,
    Entry,
    to_entry,
    to_text,
)
from trading_system.simulation.state.saved import SavedVenue, add_up

_MODE = 0o600
_ELSEWHERE = "move it away to start a new exchange"
_CHUNK_BYTES = 64 * 1024


class StateFile:
    """A state file that belongs to this process while its ``with`` block runs.

    Parameters
    ----------
    path : Path
        The file; its folder must exist. API secrets are in it, so only its owner may read it.

    Raises
    ------
    ConfigurationError
        From every method, when the file is in use, damaged, unreadable or unwritable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1
        self._descriptor = -1
        self._bytes = 0
        self._numbers = count(1)

    @property
    def size_bytes(self) -> int:
        """Size of the file as this process has written it."""
        return self._bytes

    def __enter__(self) -> Self:
        lock_path = self.path.with_name(self.path.name + ".lock")
        try:
            self._lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            os.close(self._lock)
            raise ConfigurationError(
                f"--state {self.path} is in use by another venue; stop that one or choose "
                "another file"
            ) from e
        except OSError as e:
            raise self._unusable(e) from e
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        for left in self.path.parent.glob(f"{self.path.name}.new-*"):
            left.unlink(missing_ok=True)
        os.close(self._lock)

    def load(self) -> SavedVenue | None:
        """Return what the file says, None if there is no file yet or nothing in it."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as e:
            raise self._unusable(e) from e
        if not data:
            return None
        # What follows the last newline was being written when the process was killed; nobody
        # was told about it yet.
        *lines, _ = data.split(b"\n")
        self._check_version(lines[0] if lines else data)
        try:
            return add_up(self._entries(lines))
        except CorruptDataError as e:
            raise self._damaged(str(e)) from e

    def append(self, line: bytes) -> None:
        """Add one line; when this returns, a kill of the process cannot lose it.

        After a failure nothing more is written.
        """
        descriptor, self._descriptor = self._descriptor, -1
        self._write(descriptor, line)
        # Only a complete line may be followed by another one.
        self._descriptor = descriptor
        self._bytes += len(line)

    def replace(self, lines: Iterable[bytes]) -> None:
        """Put ``lines`` in place of the file's content and go on appending to them."""
        self.adopt(self.write_aside(lines))

    def write_aside(self, lines: Iterable[bytes]) -> Path:
        """Write a replacement beside the file, safely on disk; may run in a thread."""
        path = self.path.with_name(f"{self.path.name}.new-{next(self._numbers)}")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        except OSError as e:
            raise self._unusable(e) from e
        try:
            for chunk in _chunks(lines):
                self._write(descriptor, chunk)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path

    def adopt(self, path: Path, *, missed: Iterable[bytes] = ()) -> None:
        """Make a replacement the file, after adding the lines it has missed."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            for line in missed:
                self._write(descriptor, line)
            path.replace(self.path)
            self._bytes = os.fstat(descriptor).st_size
        except OSError as e:
            raise self._unusable(e) from e
        former, self._descriptor = self._descriptor, descriptor
        if former >= 0:
            os.close(former)

    def _write(self, descriptor: int, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError as e:
            raise self._unusable(e) from e

    def _entries(self, lines: list[bytes]) -> Iterator[Entry]:
        for number, line in enumerate(lines, start=1):
            try:
                yield to_entry(line)
            except CorruptDataError as e:
                raise self._damaged(f"line {number}: {e}") from e

    def _check_version(self, line: bytes) -> None:
        said: object = None
        with contextlib.suppress(CorruptDataError, msgspec.DecodeError):
            said = msgspec.json.decode(to_text(line))
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise self._damaged("it does not begin like one")
        if said.get("version") not in READABLE_VERSIONS:
            known = " and ".join(map(str, sorted(READABLE_VERSIONS)))
            raise ConfigurationError(
                f"--state {self.path} has version {said.get('version')}, this program reads "
                f"{known}; {_ELSEWHERE}"
            )

    def _damaged(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"--state {self.path} is no venue state or damaged ({what[:200]}); {_ELSEWHERE}"
        )

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"--state {self.path} cannot be used ({error.strerror or error}); choose a file in a "
            "writable folder with free space"
        )


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    chunk = bytearray()
    for line in lines:
        chunk += line
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
