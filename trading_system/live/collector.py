"""The garbage collector, kept off the tick path while a session trades."""

from __future__ import annotations

import gc
from collections.abc import Callable

_COLLECT_AFTER = (10_000, 50, 1_000)


def tame_collector() -> Callable[[], None]:
    """Keep the garbage collector off the tick path: what lives now lives on, later scans are rare.

    Measured in ``benchmarks``, row ``gc``. Returns what undoes it.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)

    def release() -> None:
        gc.unfreeze()
        gc.set_threshold(*before)

    return release
