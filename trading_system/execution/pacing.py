"""Cancelling many orders without meeting the venue's quota."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from trading_system.execution.batches import MAX_BATCH

PERIOD_S = 1.1
"""Seconds in which one batch of ten may leave: the venue's second does not begin with ours."""


class CancelPacer:
    """Whose cancellation is asked for next: ten orders per period, again until they are gone.

    Those that were never asked for come first, then those that were asked for longest ago.

    Parameters
    ----------
    again_s : float
        Seconds after which the same order is asked for again.
    """

    def __init__(self, *, again_s: float) -> None:
        self._again_s = again_s
        self._asked_s: dict[str, float] = {}
        self._sent_s: deque[float] = deque(maxlen=MAX_BATCH)

    def take(self, wanted: Sequence[tuple[str, str]], *, now_s: float) -> list[tuple[str, str]]:
        """Return the (symbol, link id) pairs of ``wanted`` to ask for now, and note them as asked.

        Parameters
        ----------
        now_s : float
            Monotonic time, seconds.
        """
        room = MAX_BATCH - sum(now_s - sent_s < PERIOD_S for sent_s in self._sent_s)
        due = [order for order in wanted if now_s - self._last_s(order) >= self._again_s]
        due = sorted(due, key=self._last_s)[:room]
        self._sent_s.extend(now_s for _ in due)
        self._asked_s.update((link_id, now_s) for _, link_id in due)
        return due

    def _last_s(self, order: tuple[str, str]) -> float:
        return self._asked_s.get(order[1], -math.inf)
