"""Best prices, kept for a moment: read and written many times a second."""

from __future__ import annotations

from typing import Any

from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.domain.ports import Clock
from trading_system.runtime.cache import CacheStatistics

_NS_PER_S = 1_000_000_000
_INFINITY = float("inf")

Price = dict[str, Any]


class PriceCache:
    """The newest best prices by symbol, for a limited time.

    It does less than ``TtlCache`` and takes a fraction of its time, because every book message of a
    stream may write to it.

    Parameters
    ----------
    capacity : int
        Most symbols held; beyond it the one that was written longest ago goes.
    ttl_s : float
        Seconds a price lives.
    clock : Clock
        Monotonic and display time.
    """

    def __init__(self, capacity: int, *, ttl_s: float, clock: Clock) -> None:
        if capacity < 1 or not ttl_s > 0:
            raise ValidationError(f"a price cache needs room and time: {capacity}, {ttl_s}")
        self._capacity = capacity
        self._ttl_ns = round(ttl_s * _NS_PER_S)
        self._clock = clock
        self._held: dict[str, tuple[int, Price]] = {}
        self._hits = 0
        self._misses = 0
        self._evictions = 0
        self._expirations = 0
        self._invalidations = 0

    def __len__(self) -> int:
        self._expire()
        return len(self._held)

    def __contains__(self, symbol: str) -> bool:
        self._expire()
        return symbol in self._held

    def get(self, symbol: str) -> Price | None:
        """Return ``symbol``, ``bid``, ``ask``, ``mid`` and ``ts``, None when none is fresh."""
        held = self._held.get(symbol)
        if held is None or self._clock.monotonic_ns() >= held[0]:
            self._misses += 1
            return None
        self._hits += 1
        return held[1].copy()

    def note(self, symbol: str, bid: float, ask: float, *, ts: float | None = None) -> bool:
        """Keep the best prices of ``symbol``; parameters as :meth:`describe`.

        Corrupt prices raise nothing, because a cache must not stop a stream: they are refused, and
        with them goes what was held.

        Returns
        -------
        bool
            Whether they were kept.
        """
        try:
            self.put(self.describe(symbol, bid, ask, ts=ts))
        except CorruptDataError:
            self._invalidations += self._held.pop(symbol, None) is not None
            return False
        return True

    def put(self, price: Price) -> None:
        """Keep prices that :meth:`describe` returned."""
        symbol: str = price["symbol"]
        held = self._held
        if held.pop(symbol, None) is None and len(held) >= self._capacity:
            self._make_room()
        held[symbol] = (self._clock.monotonic_ns() + self._ttl_ns, price)

    def describe(self, symbol: str, bid: float, ask: float, *, ts: float | None = None) -> Price:
        """Return checked prices as :meth:`get` does.

        Parameters
        ----------
        bid, ask : float
            Quote currency; bid below ask.
        ts : float or None
            Time of the prices, UTC seconds; now by default.

        Raises
        ------
        CorruptDataError
            If a price is not finite and positive, or the market is crossed.
        """
        if not 0.0 < bid < ask < _INFINITY:
            raise CorruptDataError(f"{symbol} prices are not positive or crossed: {bid}, {ask}")
        if ts is None:
            ts = self._clock.utc_ns() / _NS_PER_S
        return {"symbol": symbol, "bid": bid, "ask": ask, "mid": (bid + ask) / 2.0, "ts": ts}

    def clear(self) -> int:
        """Remove all prices; return how many were fresh."""
        count = len(self)
        self._invalidations += count
        self._held.clear()
        return count

    @property
    def statistics(self) -> CacheStatistics:
        """Counters up to now."""
        return CacheStatistics(
            size=len(self),
            hits=self._hits,
            misses=self._misses,
            shared=0,
            evictions=self._evictions,
            expirations=self._expirations,
            invalidations=self._invalidations,
            capacity=self._capacity,
        )

    def _expire(self) -> None:
        # Written in the order of their age, so the first that lives ends the search.
        now_ns = self._clock.monotonic_ns()
        while self._held:
            symbol = next(iter(self._held))
            if now_ns < self._held[symbol][0]:
                return
            del self._held[symbol]
            self._expirations += 1

    def _make_room(self) -> None:
        self._expire()
        if len(self._held) >= self._capacity:
            del self._held[next(iter(self._held))]
            self._evictions += 1
