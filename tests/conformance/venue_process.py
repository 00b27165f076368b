"""The embedded venue as a child process, reached only through its ready line."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

READY_DEADLINE_S = 60.0
STOP_DEADLINE_S = 15.0


@dataclass(frozen=True, slots=True)
class Account:
    """Credentials of one UID."""

    key: str
    secret: str


@dataclass(frozen=True, slots=True)
class Ready:
    """What the venue said on its one line."""

    rest: str
    ws: str
    accounts: tuple[Account, ...]
    symbols: tuple[str, ...]


class VenueError(RuntimeError):
    """The venue did not start, or did not stop cleanly."""


def _parse_ready(line: bytes) -> Ready:
    said = json.loads(line)
    rows = said.get("accounts") or [said]
    accounts = tuple(Account(row["api_key"], row["api_secret"]) for row in rows)
    if len(accounts) < 2:
        raise VenueError('the ready line has no "accounts" with two UIDs: no counterparty')
    return Ready(said["rest"], said["ws"], accounts, tuple(said["symbols"]))


class VenueProcess:
    """One venue in its own process session; always ended by its process id."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: Path | None = None

    @property
    def pid(self) -> int:
        """Process id of the running child."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Ready:
        """Start the child and return its parsed ready line."""
        handle, name = tempfile.mkstemp(prefix="venue-", suffix=".log")
        self._errors = Path(name)
        with os.fdopen(handle, "wb") as errors:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            return _parse_ready(self._first_line())
        except (ValueError, KeyError) as e:
            raise VenueError(f"the ready line is not as documented: {e!r}") from e

    def _first_line(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + READY_DEADLINE_S
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise VenueError(f"no ready line within {READY_DEADLINE_S:.0f} s")
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                raise VenueError(f"the venue ended before it was ready:\n{self.errors()}")
            line += chunk
        return line.splitlines()[0]

    def errors(self) -> str:
        """Return what the child wrote to its standard error, at most the last 8,000 characters."""
        if self._errors is None or not self._errors.exists():
            return ""
        return self._errors.read_text(errors="replace")[-8000:]

    def is_running(self) -> bool:
        """Whether the child is alive."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """Ask the child to end; return its exit code."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired as e:
            self.kill()
            raise VenueError(f"the venue ignored SIGTERM for {STOP_DEADLINE_S:.0f} s") from e

    def kill(self) -> None:
        """End the child at once, whatever it is doing."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Release the child's pipe and log file."""
        self.kill()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        if self._errors is not None:
            self._errors.unlink(missing_ok=True)
            self._errors = None
