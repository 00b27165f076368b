"""Rate limiters on an injected clock, in integer nanoseconds: no drift, no rounding surprises."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from trading_system.domain.errors import DeadlineExceeded, ValidationError
from trading_system.domain.ports import Clock

_NS_PER_S = 1_000_000_000


class Limiter(Protocol):
    """What both limiters offer."""

    def try_acquire(self, cost: int = 1) -> bool:
        """Take ``cost`` permits if they are there now."""
        ...

    def wait_s(self, cost: int = 1) -> float:
        """Return the seconds until ``cost`` permits are there, 0 if they are."""
        ...


def _checked(cost: int, capacity: int) -> int:
    if not 1 <= cost <= capacity:
        raise ValidationError(f"cost must be 1..{capacity}, was {cost}")
    return cost


def _window_ns(seconds: float) -> int:
    nanoseconds = round(seconds * _NS_PER_S)
    if nanoseconds < 1:
        raise ValidationError(f"a window must be longer than 0 s, was {seconds}")
    return nanoseconds


def _capacity(permits: int) -> int:
    if permits < 1:
        raise ValidationError(f"a limiter needs at least one permit, was {permits}")
    return permits


async def _acquire(limiter: Limiter, cost: int, deadline_s: float) -> None:
    # Polls the clock after each wait, because another waiter may have been faster. Refuses at
    # once what cannot be had in time.
    loop = asyncio.get_running_loop()
    ends = loop.time() + deadline_s
    while not limiter.try_acquire(cost):
        wait_s = limiter.wait_s(cost)
        if loop.time() + wait_s > ends:
            raise DeadlineExceeded(f"{cost} permits need {wait_s:.3f} s, deadline {deadline_s:g} s")
        await asyncio.sleep(wait_s)


class TokenBucket:
    """A bucket that refills steadily and allows bursts up to its capacity.

    Parameters
    ----------
    capacity : int
        Most permits that can be taken at once; the bucket starts full.
    per_second : int
        Permits that flow in per second.
    clock : Clock
        Monotonic time.

    Notes
    -----
    The level is held in permit-nanoseconds, so that refilling is exact: one nanosecond adds
    ``per_second`` of ``1e9`` parts of a permit.
    """

    def __init__(self, capacity: int, *, per_second: int, clock: Clock) -> None:
        self._capacity = _capacity(capacity)
        self._per_second = _capacity(per_second)
        self._clock = clock
        self._full = capacity * _NS_PER_S
        self._level = self._full
        self._updated_ns = clock.monotonic_ns()
        self._granted = 0
        self._refused = 0

    @property
    def granted(self) -> int:
        """Permits handed out so far."""
        return self._granted

    @property
    def refused(self) -> int:
        """Refused attempts so far."""
        return self._refused

    @property
    def available(self) -> int:
        """Whole permits in the bucket now."""
        self._refill()
        return self._level // _NS_PER_S

    def try_acquire(self, cost: int = 1) -> bool:
        """Take ``cost`` permits if they are there now; return whether they were."""
        needed = _checked(cost, self._capacity) * _NS_PER_S
        self._refill()
        if needed > self._level:
            self._refused += 1
            return False
        self._level -= needed
        self._granted += cost
        return True

    def wait_s(self, cost: int = 1) -> float:
        """Return the seconds until ``cost`` permits are there, 0 if they are."""
        needed = _checked(cost, self._capacity) * _NS_PER_S
        self._refill()
        missing = max(0, needed - self._level)
        return -(-missing // self._per_second) / _NS_PER_S

    async def acquire(self, cost: int = 1, *, deadline_s: float) -> None:
        """Wait for ``cost`` permits and take them.

        Raises
        ------
        DeadlineExceeded
            At once, if they cannot be had within ``deadline_s``.
        """
        await _acquire(self, cost, deadline_s)

    def _refill(self) -> None:
        now_ns = self._clock.monotonic_ns()
        gained = (now_ns - self._updated_ns) * self._per_second
        self._level = min(self._full, self._level + gained)
        self._updated_ns = now_ns


class SlidingWindow:
    """At most ``permits`` in any window of ``window_s`` seconds, as exchanges count requests.

    Parameters
    ----------
    permits : int
        Permits per window.
    window_s : float
        Length of the rolling window, seconds. A permit is free again exactly one window after it
        was taken.
    clock : Clock
        Monotonic time.
    """

    def __init__(self, permits: int, *, window_s: float, clock: Clock) -> None:
        self._permits = _capacity(permits)
        self._window_ns = _window_ns(window_s)
        self._clock = clock
        self._taken: deque[int] = deque(maxlen=permits)
        self._granted = 0
        self._refused = 0

    @property
    def granted(self) -> int:
        """Permits handed out so far."""
        return self._granted

    @property
    def refused(self) -> int:
        """Refused attempts so far."""
        return self._refused

    @property
    def available(self) -> int:
        """Permits that can be taken now."""
        self._forget(self._clock.monotonic_ns())
        return self._permits - len(self._taken)

    def try_acquire(self, cost: int = 1, *, share: float = 1.0, kept: int = 0) -> bool:
        """Take ``cost`` permits if they are there now; return whether they were.

        Parameters
        ----------
        share : float
            Part of the permits that may be in use after this caller took its own, in (0, 1];
            rounded down, but never less than one permit.
        kept : int
            Permits that stay free for others; likewise one can always be had.

        Raises
        ------
        ValidationError
            If cost or share is out of its range.
        """
        _checked(cost, self._permits)
        permits = self._permits if share == 1.0 else _shared(self._permits, share)
        permits = max(1, min(permits, self._permits - kept))
        now_ns = self._clock.monotonic_ns()
        self._forget(now_ns)
        if len(self._taken) + cost > permits:
            self._refused += 1
            return False
        self._taken.extend([now_ns] * cost)
        self._granted += cost
        return True

    def wait_s(self, cost: int = 1) -> float:
        """Return the seconds until ``cost`` permits are there, 0 if they are."""
        _checked(cost, self._permits)
        now_ns = self._clock.monotonic_ns()
        self._forget(now_ns)
        excess = len(self._taken) + cost - self._permits
        if excess <= 0:
            return 0.0
        return (self._taken[excess - 1] + self._window_ns - now_ns) / _NS_PER_S

    async def acquire(self, cost: int = 1, *, deadline_s: float) -> None:
        """Wait for ``cost`` permits and take them.

        Raises
        ------
        DeadlineExceeded
            At once, if they cannot be had within ``deadline_s``.
        """
        await _acquire(self, cost, deadline_s)

    def _forget(self, now_ns: int) -> None:
        while self._taken and now_ns - self._taken[0] >= self._window_ns:
            self._taken.popleft()


def _shared(permits: int, share: float) -> int:
    if not 0.0 < share <= 1.0:
        raise ValidationError(f"a share must be above 0 and at most 1, was {share}")
    return max(1, int(permits * share))
