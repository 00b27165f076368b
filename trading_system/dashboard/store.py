"""The newest frame of every topic of the control API, with its age."""

from __future__ import annotations

from typing import Any, Final

from trading_system.domain.ports import Clock

_NS_PER_S: Final = 1_000_000_000
MAX_TOPICS: Final = 64
"""Topics kept; the one that was heard of longest ago is forgotten first."""

MAX_LINES: Final = 1000
"""Log lines kept, the newest."""


class Store:
    """What the dashboard knows of the trading system; shared by all open pages, one writer.

    Parameters
    ----------
    clock : Clock
        For ages.

    Attributes
    ----------
    is_connected : bool
        Whether the stream of the API is open now.
    problem : str
        Why it is not, in a sentence for people; empty while it is.
    changes : int
        Frames taken in since the start.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._frames: dict[str, tuple[int, dict[str, Any]]] = {}
        self._lines: dict[int, dict[str, Any]] = {}
        self.is_connected = False
        self.problem = "not connected to the trading system yet"
        self.changes = 0

    @property
    def status(self) -> dict[str, Any] | None:
        """The newest status, None before the first; see :meth:`age_s` for how old it is."""
        return self.newest("status")

    def newest(self, topic: str) -> dict[str, Any] | None:
        """Return the data of the newest frame of ``topic``, None before the first."""
        frame = self._frames.get(topic)
        return None if frame is None else frame[1]

    def age_s(self, topic: str) -> float | None:
        """Return the age of the newest frame of ``topic`` in seconds, None before the first."""
        frame = self._frames.get(topic)
        return None if frame is None else (self._clock.monotonic_ns() - frame[0]) / _NS_PER_S

    def put(self, topic: str, data: dict[str, Any]) -> None:
        """Take in a frame; it replaces the former one of its topic."""
        self._frames.pop(topic, None)
        while len(self._frames) >= MAX_TOPICS:
            del self._frames[next(iter(self._frames))]
        self._frames[topic] = (self._clock.monotonic_ns(), data)
        self.changes += 1
        if topic == "log":
            self.add_lines(data)

    def add_lines(self, answer: dict[str, Any]) -> None:
        """Take in log lines, of the stream or of ``GET /log``; each is kept once."""
        lines = answer.get("lines")
        for line in lines if isinstance(lines, list) else ():
            if isinstance(line, dict) and isinstance(line.get("number"), int):
                self._lines[line["number"]] = line
        for number in sorted(self._lines)[: max(0, len(self._lines) - MAX_LINES)]:
            del self._lines[number]

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the known log lines of the system, newest first."""
        return [self._lines[number] for number in sorted(self._lines, reverse=True)]

    def connected(self) -> None:
        """Note that the stream is open."""
        self.is_connected = True
        self.problem = ""

    def lost(self, problem: str) -> None:
        """Note that the stream is not open, and why; frames are kept and grow old."""
        self.is_connected = False
        self.problem = problem

    def forget(self) -> None:
        """Forget all frames: another system answers now."""
        self._frames.clear()
        self._lines.clear()
