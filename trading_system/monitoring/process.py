"""What this process uses: memory, processor time, threads, files, bandwidth by deltas.

Read from ``/proc/self``; where there is none, a figure is None and never guessed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trading_system.domain.ports import Clock

_MIB: Final = 1024 * 1024
_KIB: Final = 1024
_NS_PER_S: Final = 1_000_000_000
_PROC: Final = Path("/proc/self")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUse:
    """What the system says of a process at one instant; None where it does not say.

    Parameters
    ----------
    rss_bytes, peak_rss_bytes : int or None
        Resident memory now, and the most there was.
    cpu_s : float
        Processor time in user and system mode since the process began, seconds.
    threads, open_files : int or None
        Threads that run, and file descriptors (sockets included) that are open.
    """

    rss_bytes: int | None
    peak_rss_bytes: int | None
    cpu_s: float
    threads: int | None
    open_files: int | None


def process_use(folder: Path = _PROC) -> ProcessUse:
    """Return what this process uses, read from ``folder``; about 60 microseconds."""
    status = _status(folder / "status")
    times = os.times()
    return ProcessUse(
        rss_bytes=_kib(status, "VmRSS"),
        peak_rss_bytes=_kib(status, "VmHWM"),
        cpu_s=times.user + times.system,
        threads=_integer(status, "Threads"),
        open_files=_open_files(folder / "fd"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    at_ns: int
    use: ProcessUse
    received: int
    sent: int


class ProcessMeter:
    """Figures of this process; rates are between the newest two samples.

    Parameters
    ----------
    clock : Clock
        Its monotonic time; sampling once a second makes rates "of the last second".
    bytes_of : Callable[[], tuple[int, int]]
        Bytes received and sent so far by everything that is counted. A counter that began anew
        (a session was started again) counts from there: totals never fall.
    use : Callable[[], ProcessUse]
        Reads what the process uses.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        bytes_of: Callable[[], tuple[int, int]],
        use: Callable[[], ProcessUse] = process_use,
    ) -> None:
        self._clock = clock
        self._bytes_of = bytes_of
        self._use = use
        self._counters: tuple[int, int] = (0, 0)
        self._older: _Sample | None = None
        self._newest: _Sample | None = None

    def sample(self) -> None:
        """Read everything once."""
        now_ns = self._clock.monotonic_ns()
        received, sent = self._grown()
        if self._newest is None or now_ns > self._newest.at_ns:
            self._older = self._newest
        self._newest = _Sample(at_ns=now_ns, use=self._use(), received=received, sent=sent)

    def figures(self) -> dict[str, float | int | None]:
        """Return the figures by name; rates are None before the second sample.

        ``cpu_pct`` is of one core; ``*_kib_s`` and ``*_mib`` are of 1024 and 1024^2 bytes.
        """
        newest = self._newest
        if newest is None:
            return dict.fromkeys(_NAMES)
        use = newest.use
        return {
            "rss_mib": _mib(use.rss_bytes),
            "peak_rss_mib": _mib(use.peak_rss_bytes),
            "cpu_pct": self._rate(lambda sample: 100.0 * sample.use.cpu_s),
            "cpu_s": round(use.cpu_s, 2),
            "threads": use.threads,
            "open_files": use.open_files,
            "received_kib_s": self._rate(lambda sample: sample.received / _KIB),
            "sent_kib_s": self._rate(lambda sample: sample.sent / _KIB),
            "received_mib": round(newest.received / _MIB, 3),
            "sent_mib": round(newest.sent / _MIB, 3),
        }

    def _grown(self) -> tuple[int, int]:
        before, now = self._counters, self._bytes_of()
        self._counters = now
        newest = self._newest
        received, sent = (0, 0) if newest is None else (newest.received, newest.sent)
        if now[0] < before[0] or now[1] < before[1]:
            before = (0, 0)
        return received + now[0] - before[0], sent + now[1] - before[1]

    def _rate(self, figure: Callable[[_Sample], float]) -> float | None:
        older, newest = self._older, self._newest
        if older is None or newest is None:
            return None
        elapsed_s = (newest.at_ns - older.at_ns) / _NS_PER_S
        return round((figure(newest) - figure(older)) / elapsed_s, 2)


_NAMES: Final = (
    "rss_mib",
    "peak_rss_mib",
    "cpu_pct",
    "cpu_s",
    "threads",
    "open_files",
    "received_kib_s",
    "sent_kib_s",
    "received_mib",
    "sent_mib",
)


def _mib(size: int | None) -> float | None:
    return None if size is None else round(size / _MIB, 1)


def _status(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name: text.strip() for name, _, text in pairs}


def _integer(status: dict[str, str], name: str) -> int | None:
    words = status.get(name, "").split()
    return int(words[0]) if words and words[0].isdecimal() else None


def _kib(status: dict[str, str], name: str) -> int | None:
    size = _integer(status, name)
    return None if size is None else size * _KIB


def _open_files(folder: Path) -> int | None:
    try:
        with os.scandir(folder) as entries:
            return sum(1 for _ in entries) - 1  # one of them is this very look
    except OSError:
        return None
