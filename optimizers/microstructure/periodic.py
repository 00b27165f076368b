"""A supervised task that does one thing again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from trading_system.runtime.lifecycle import Supervisor


class PeriodicTask:
    """Runs ``work`` every ``interval_s`` seconds between start and stop.

    Parameters
    ----------
    name : str
        Name of the task.
    work : callable
        One round; what it raises ends the task and is kept by the supervisor.
    interval_s : float
        Seconds from the end of a round to the beginning of the next; the first begins at once.
    pause : callable
        How the seconds are waited.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        interval_s: float,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._work = work
        self._interval_s = interval_s
        self._pause = pause
        self._supervisor: Supervisor | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has neither been stopped nor failed."""
        return self._supervisor is not None and not self._supervisor.is_ended

    async def start(self) -> None:
        """Begin; without effect while it runs."""
        if self.is_running:
            return
        self._supervisor = Supervisor(name=f"{self._name}-supervisor")
        await self._supervisor.start()
        _ = self._supervisor.spawn(self._name, self._repeat())

    async def stop(self, reason: str) -> None:
        """End and wait for the end; without effect when it does not run."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            await supervisor.stop(reason)

    async def _repeat(self) -> None:
        while True:
            await self._work()
            await self._pause(self._interval_s)
