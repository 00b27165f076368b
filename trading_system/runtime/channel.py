"""Bounded channels between the parts of one event loop; every bound has a counter."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum
from typing import Generic, TypeVar

from trading_system.domain.errors import QueueFullError, ValidationError
from trading_system.runtime.deadline import within

T = TypeVar("T")


class LatestValue(Generic[T]):
    """A slot for one value: a new one overwrites what nobody has taken."""

    def __init__(self) -> None:
        self._values: deque[T] = deque(maxlen=1)
        self._waiters = _Waiters()
        self._overwritten = 0
        self._published = 0

    @property
    def overwritten(self) -> int:
        """Values that were replaced before anybody took them."""
        return self._overwritten

    @property
    def published(self) -> int:
        """Values put in so far."""
        return self._published

    def put(self, value: T) -> None:
        """Put ``value`` in, in place of an older one."""
        self._overwritten += len(self._values)
        self._published += 1
        self._values.append(value)
        self._waiters.wake()

    def take(self) -> T | None:
        """Return the value and empty the slot; None if it is empty."""
        return self._values.popleft() if self._values else None

    async def get(self, *, deadline_s: float) -> T:
        """Wait for a value, return it and empty the slot.

        Raises
        ------
        DeadlineExceeded
            If none came within ``deadline_s``.
        """
        await self._waiters.wait(self._values, deadline_s, "the next value")
        return self._values.popleft()


class WhenFull(Enum):
    """What a full queue does with another value."""

    DROP_OLDEST = "drop_oldest"
    REFUSE = "refuse"


class BoundedQueue(Generic[T]):
    """A first-in, first-out queue with a bound.

    Parameters
    ----------
    capacity : int
        Most values held.
    when_full : WhenFull
        ``DROP_OLDEST`` makes room and counts; ``REFUSE`` raises and counts.
    """

    def __init__(self, capacity: int, *, when_full: WhenFull) -> None:
        if capacity < 1:
            raise ValidationError(f"a queue needs room for one value, capacity was {capacity}")
        self._capacity = capacity
        self._when_full = when_full
        self._values: deque[T] = deque()
        self._waiters = _Waiters()
        self._dropped = 0
        self._refused = 0
        self._accepted = 0

    def __len__(self) -> int:
        return len(self._values)

    @property
    def capacity(self) -> int:
        """Most values held."""
        return self._capacity

    @property
    def accepted(self) -> int:
        """Values put in so far."""
        return self._accepted

    @property
    def dropped(self) -> int:
        """Values that were thrown away to make room."""
        return self._dropped

    @property
    def refused(self) -> int:
        """Values that were refused because the queue was full."""
        return self._refused

    def put(self, value: T) -> None:
        """Append ``value``.

        Raises
        ------
        QueueFullError
            If the queue is full and refuses.
        """
        if len(self._values) == self._capacity:
            self._make_room()
        self._values.append(value)
        self._accepted += 1
        self._waiters.wake()

    def take(self) -> T | None:
        """Return the oldest value, None if the queue is empty."""
        return self._values.popleft() if self._values else None

    async def get(self, *, deadline_s: float) -> T:
        """Wait for a value and return the oldest.

        Raises
        ------
        DeadlineExceeded
            If none came within ``deadline_s``.
        """
        await self._waiters.wait(self._values, deadline_s, "the next queued value")
        return self._values.popleft()

    def _make_room(self) -> None:
        if self._when_full is WhenFull.REFUSE:
            self._refused += 1
            raise QueueFullError(f"the queue holds {self._capacity} values, its bound")
        self._values.popleft()
        self._dropped += 1


class _Waiters:
    # Wakes one waiter per value. A waiter that was woken and then cancelled passes the wake on,
    # so that no value is left lying while another waiter sleeps.

    def __init__(self) -> None:
        self._futures: deque[asyncio.Future[None]] = deque()

    def wake(self) -> None:
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_result(None)
                return

    async def wait(self, values: deque[T], deadline_s: float, what: str) -> None:
        if values:
            return
        async with within(deadline_s, what):
            while not values:
                await self._sleep(values)

    async def _sleep(self, values: deque[T]) -> None:
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and values:
                self.wake()
            raise
        finally:
            if future in self._futures:
                self._futures.remove(future)
