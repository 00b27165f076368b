"""One bounded TTL cache with statistics and single flight."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TLRUCache

from trading_system.domain.errors import ValidationError
from trading_system.domain.ports import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStatistics:
    """What a cache has done so far.

    Parameters
    ----------
    hits, misses : int
        Look-ups that found a live value, and those that did not.
    shared : int
        Misses that waited for a computation already under way instead of starting one.
    evictions : int
        Live values thrown away because the cache was full.
    expirations : int
        Values dropped because their time was over.
    invalidations : int
        Values removed on request.
    size, capacity : int
        Values held now, and at most.
    """

    hits: int
    misses: int
    shared: int
    evictions: int
    expirations: int
    invalidations: int
    size: int
    capacity: int

    @property
    def hit_rate(self) -> float | None:
        """Hits per look-up, 0 to 1; None before the first look-up."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else None


@dataclass(frozen=True, slots=True)
class _Item(Generic[V]):
    value: V
    ttl_ns: int


class _Flight(Generic[V]):
    # One computation and those who wait for it.

    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.item: _Item[V] | None = None
        self.error: Exception | None = None
        self.is_stale = False


class TtlCache(Generic[K, V]):
    """A least-recently-used cache whose values live for a limited time.

    Parameters
    ----------
    capacity : int
        Most values held; beyond it the least recently used is evicted.
    ttl_s : float
        Seconds a value lives unless its own are given.
    clock : Clock
        Monotonic time.
    """

    def __init__(self, capacity: int, *, ttl_s: float, clock: Clock) -> None:
        if capacity < 1:
            raise ValidationError(f"a cache needs room for one value, capacity was {capacity}")
        self._capacity = capacity
        self._ttl_ns = _nanoseconds(ttl_s)
        self._clock = clock
        self._items: TLRUCache[K, _Item[V]] = TLRUCache(
            capacity, ttu=lambda _key, item, now: now + item.ttl_ns, timer=clock.monotonic_ns
        )
        self._flights: dict[K, _Flight[V]] = {}
        self._hits = 0
        self._misses = 0
        self._shared = 0
        self._evictions = 0
        self._expirations = 0
        self._invalidations = 0

    def __len__(self) -> int:
        self._expire()
        return len(self._items)

    @property
    def statistics(self) -> CacheStatistics:
        """Counters up to now."""
        return CacheStatistics(
            hits=self._hits,
            misses=self._misses,
            shared=self._shared,
            size=len(self),
            evictions=self._evictions,
            expirations=self._expirations,
            invalidations=self._invalidations,
            capacity=self._capacity,
        )

    def get(self, key: K) -> V | None:
        """Return the live value of ``key``, None if there is none."""
        item = self._look_up(key)
        return None if item is None else item.value

    def put(self, key: K, value: V, *, ttl_s: float | None = None) -> None:
        """Store ``value`` for ``ttl_s`` seconds, or for the cache's own time."""
        self._store(key, _Item(value, self._lifetime_ns(ttl_s)))

    async def get_or_compute(
        self, key: K, compute: Callable[[], Awaitable[V]], *, ttl_s: float | None = None
    ) -> V:
        """Return the live value of ``key``, or compute it once for all who ask meanwhile.

        A failure reaches everybody who waits and is not stored. If the caller that computes is
        cancelled, one of the others computes anew. A value whose key is invalidated during the
        computation still reaches those who wait, but is not stored.
        """
        ttl_ns = self._lifetime_ns(ttl_s)
        item = self._look_up(key)
        while item is None:
            flight = self._flights.get(key)
            if flight is None:
                item = await self._lead(key, compute, ttl_ns)
            else:
                self._shared += 1
                await flight.landed.wait()
                if flight.error is not None:
                    raise flight.error
                item = flight.item
        return item.value

    def invalidate(self, key: K) -> bool:
        """Remove the value of ``key``; return whether a live one was there."""
        self._expire()
        self._abandon(key)
        if self._items.pop(key, None) is None:
            return False
        self._invalidations += 1
        return True

    def invalidate_where(self, predicate: Callable[[K], bool]) -> int:
        """Remove the values of all keys for which ``predicate`` holds; return how many."""
        for key in [key for key in self._flights if predicate(key)]:
            self._abandon(key)
        keys = [key for key in self._items if predicate(key)]
        return sum(self.invalidate(key) for key in keys)

    def clear(self) -> int:
        """Remove all values; return how many were live."""
        return self.invalidate_where(lambda _key: True)

    def _lifetime_ns(self, ttl_s: float | None) -> int:
        return self._ttl_ns if ttl_s is None else _nanoseconds(ttl_s)

    def _look_up(self, key: K) -> _Item[V] | None:
        self._expire()
        item = self._items.get(key)
        if item is None:
            self._misses += 1
        else:
            self._hits += 1
        return item

    def _expire(self) -> None:
        self._expirations += sum(1 for _ in self._items.expire())

    def _store(self, key: K, item: _Item[V]) -> None:
        self._expire()
        if key not in self._items and len(self._items) >= self._capacity:
            self._items.popitem()
            self._evictions += 1
        self._items[key] = item

    def _abandon(self, key: K) -> None:
        flight = self._flights.pop(key, None)
        if flight is not None:
            flight.is_stale = True

    async def _lead(self, key: K, compute: Callable[[], Awaitable[V]], ttl_ns: int) -> _Item[V]:
        flight = self._flights[key] = _Flight()
        try:
            flight.item = _Item(await compute(), ttl_ns)
        except Exception as e:
            flight.error = e
            raise
        finally:
            # Also when cancelled: those who wait find no value and no error, and compute anew.
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.landed.set()
        if not flight.is_stale:
            self._store(key, flight.item)
        return flight.item


def _nanoseconds(ttl_s: float) -> int:
    if not math.isfinite(ttl_s) or round(ttl_s * _NS_PER_S) < 1:
        raise ValidationError(f"a time to live must be finite and above 0 s, was {ttl_s}")
    return round(ttl_s * _NS_PER_S)
