"""One request for all who ask for the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Flight(Generic[T]):
    # One request under way, and what those who wait for it need to know.

    __slots__ = ("landed", "patience_s", "priority", "result")

    def __init__(self, priority: int, patience_s: float) -> None:
        self.landed = asyncio.Event()
        self.priority = priority
        self.patience_s = patience_s
        self.result: T | None = None


class SharedReads(Generic[T]):
    """Lets equal reads that overlap share one request.

    A caller joins only a request that is at least as urgent and as patient as his own: he is never
    slower for it, and a failure is one that he would have had.

    Attributes
    ----------
    joined : int
        Reads so far that were answered by another one's request.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}
        self.joined = 0

    async def join(self, key: Hashable, *, priority: int, patience_s: float) -> T | None:
        """Return the result of an equal read under way, None if there is none to join.

        Raises
        ------
        TimeoutError
            If it does not come within ``patience_s``.
        """
        flight = self._flights.get(key)
        if flight is None:
            return None
        async with asyncio.timeout(patience_s):
            while flight is not None:
                if flight.priority > priority or flight.patience_s < patience_s:
                    return None
                await flight.landed.wait()
                if flight.result is not None:
                    self.joined += 1
                    return flight.result
                flight = self._flights.get(key)
        return None

    async def lead(
        self,
        key: Hashable,
        read: Callable[[], Awaitable[T]],
        *,
        priority: int,
        patience_s: float,
    ) -> T:
        """Run ``read``; until it ends others may join. If it is cancelled, they read themselves."""
        flight = self._flights[key] = _Flight[T](priority, patience_s)
        try:
            flight.result = await read()
            return flight.result
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.landed.set()
