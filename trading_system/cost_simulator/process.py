"""What this process uses of the machine."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path
from typing import Any

_STATM = Path("/proc/self/statm")
_MIB = 1024 * 1024


def figures() -> dict[str, Any]:
    """Return resident memory (MiB; None where the system does not say), CPU seconds, threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rss_mib": _resident_mib(),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "threads": threading.active_count(),
    }


def _resident_mib() -> float | None:
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / _MIB, 1)
