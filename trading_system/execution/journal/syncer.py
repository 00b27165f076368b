"""Makes a write-ahead log durable from a thread of its own, many commits at a time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_STOP_S = 5.0


class LogSyncer:
    """Calls ``fdatasync`` on one file whenever asked to; requests meanwhile share the next call.

    Parameters
    ----------
    path : Path
        The write-ahead log; it must exist and stay the same file.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self._wake = threading.Condition()
        self._asked = 0
        self._done = 0
        self._is_stopping = False
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    @property
    def is_behind(self) -> bool:
        """Whether rows that were to be durable are not known to be."""
        return self._done < self._asked

    def ask(self) -> None:
        """Make everything written so far durable soon; returns at once."""
        with self._wake:
            self._asked += 1
            self._wake.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Block until everything asked for is durable; return whether it is."""
        with self._wake:
            goal = self._asked
            self._wake.wait_for(lambda: self._done >= goal or self.failure is not None, timeout_s)
            return self._done >= goal

    def stop(self) -> None:
        """Finish what was asked for and end the thread."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify_all()
        self._thread.join(_STOP_S)  # a disk that hangs must not hang the stop
        os.close(self._descriptor)

    def _run(self) -> None:
        while (goal := self._next()) is not None:
            try:
                os.fdatasync(self._descriptor)
            except OSError as e:
                # What the failed call covered may be lost for good: trying again proves nothing.
                with self._wake:
                    self.failure = f"the journal could not be made durable: {e}"
                    self._wake.notify_all()
                return
            with self._wake:
                self._done = goal
                self._wake.notify_all()

    def _next(self) -> int | None:
        with self._wake:
            self._wake.wait_for(lambda: self._done < self._asked or self._is_stopping)
            return self._asked if self._done < self._asked else None
