"""Work that happens later but never in another order: one queue, one timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class DelayLine:
    """Runs actions after their delays, each no earlier than the one before it.

    Nothing is kept by a task: the loop's timer runs what is due and is set again for the next.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._last_due = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, action: Callable[[], None], *, delay_s: float) -> None:
        """Run ``action`` in ``delay_s`` seconds, behind everything put before."""
        loop = asyncio.get_running_loop()
        self._last_due = max(self._last_due, loop.time() + delay_s)
        self._waiting.append((self._last_due, action))
        if self._timer is None:
            self._arm(loop)

    def run_all(self) -> None:
        """Run everything that waits now."""
        while self._waiting:
            self._waiting.popleft()[1]()

    def clear(self) -> None:
        """Forget everything that waits."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_at(self._waiting[0][0], self._run_due)

    def _run_due(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        # The loop may fire a timer one clock tick early: the head is due whatever it reads.
        is_head = True
        while self._waiting and (is_head or self._waiting[0][0] <= now):
            is_head = False
            self._waiting.popleft()[1]()
        # Only now: work put by an action must not start a second timer.
        self._timer = None
        if self._waiting:
            self._arm(loop)
