"""Spacing between calls of one kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from trading_system.domain.errors import DeadlineExceeded, ValidationError
from trading_system.domain.ports import Clock

_MAX_OPERATIONS = 256
_NS_PER_S = 1_000_000_000


class CallSpacing:
    """At most one call per operation in any ``interval_s`` seconds.

    Those who wait are served in the order they came, each with a turn of its own, so that a crowd
    neither wakes together nor overtakes.

    Parameters
    ----------
    interval_s : float
        Seconds, not negative; 0 lets every call pass.
    clock : Clock
        Monotonic time.
    pause : callable
        How to wait, seconds.
    """

    def __init__(
        self,
        interval_s: float,
        *,
        clock: Clock,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if not 0.0 <= interval_s < float("inf"):
            raise ValidationError(f"a spacing must be finite and not negative, was {interval_s}")
        self._interval_ns = round(interval_s * _NS_PER_S)
        self._clock = clock
        self._pause = pause
        # When the next call of an operation may leave; those who wait have moved it on.
        self._free_ns: dict[str, int] = {}
        self.granted = 0
        self.refused = 0

    def try_acquire(self, operation: str) -> bool:
        """Take the turn of ``operation`` if it has come; return whether it had."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._free_ns.get(operation, now_ns):
            self.refused += 1
            return False
        self._take(operation, now_ns)
        self.granted += 1
        return True

    async def acquire(self, operation: str, *, deadline_s: float) -> None:
        """Wait for the turn of ``operation``.

        The turn of a caller that is cancelled while it waits stays unused.

        Raises
        ------
        DeadlineExceeded
            At once, if the turn cannot come within ``deadline_s``; it counts as refused.
        """
        now_ns = self._clock.monotonic_ns()
        turn_ns = max(now_ns, self._free_ns.get(operation, now_ns))
        wait_s = (turn_ns - now_ns) / _NS_PER_S
        if wait_s > deadline_s:
            self.refused += 1
            raise DeadlineExceeded(
                f"the turn of {operation} comes in {wait_s:.3f} s, deadline {deadline_s:g} s"
            )
        self._take(operation, turn_ns)
        # A timer may fire a little early: the clock decides.
        while (left_ns := turn_ns - self._clock.monotonic_ns()) > 0:
            await self._pause(left_ns / _NS_PER_S)
        self.granted += 1

    def _take(self, operation: str, turn_ns: int) -> None:
        free = self._free_ns
        if operation not in free and len(free) >= _MAX_OPERATIONS:
            del free[min(free, key=free.__getitem__)]
        free[operation] = turn_ns + self._interval_ns
