"""The volatility calculator's face: ATR and realised volatility from cached candles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from optimizers.volatility.atr import WilderAtr
from optimizers.volatility.bars import Bar, CandleSource, read_bar
from optimizers.volatility.estimators import log_return, realised_variance
from trading_system.config.sections import PerformanceSettings
from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.domain.ports import Clock
from trading_system.runtime.cache import TtlCache
from trading_system.runtime.clock import SystemClock

_INTERVAL = "1"
_BAR_MS = 60_000
_BAR_S = 60.0
_MIN_CANDLES = 100
_MAX_CANDLES = 1_000
_MAX_SYMBOLS = 256
_NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class _Track:
    # The ATR of one symbol and the bar it has reached.
    atr: WilderAtr
    start_ms: int


class VolatilityCalculator:
    """ATR and realised volatility per symbol, from closed one-minute candles.

    Candles are read at most once in ``ohlcv_cache_ttl`` and results are kept for
    ``volatility_cache_ttl``; who asks while a result is being made waits for the same one. The ATR
    goes on from where it was as long as the candles join without a gap, otherwise it starts anew
    from all candles. Inconsistent candles are left out and counted.

    Parameters
    ----------
    source : CandleSource
        Gives the candles, for example a client.
    settings : PerformanceSettings or None
        Life times, ``enable_caching`` and ``max_volatility_calc_time``.
    clock : Clock or None
        None uses the machine's clocks.
    period : int
        Candles of the ATR.
    """

    def __init__(
        self,
        source: CandleSource,
        *,
        settings: PerformanceSettings | None = None,
        clock: Clock | None = None,
        period: int = 14,
    ) -> None:
        rules = settings or PerformanceSettings()
        self._source = source
        self._rules = rules
        self._clock = clock or SystemClock()
        self._limit = max(_MIN_CANDLES, 4 * period + 2)
        if not (period >= 1 and self._limit <= _MAX_CANDLES):
            raise ValidationError(f"the period must be 1..{_MAX_CANDLES // 4 - 1}, was {period}")
        self.period = period
        self._ttl_ns = round(rules.volatility_cache_ttl_s * _NS_PER_S)
        self._candles: TtlCache[str, tuple[Bar, ...]] = TtlCache(
            _MAX_SYMBOLS, ttl_s=rules.ohlcv_cache_ttl_s, clock=self._clock
        )
        self._atrs: TtlCache[str, float] = TtlCache(
            _MAX_SYMBOLS, ttl_s=rules.volatility_cache_ttl_s, clock=self._clock
        )
        self._volatilities: TtlCache[str, float] = TtlCache(
            _MAX_SYMBOLS, ttl_s=rules.volatility_cache_ttl_s, clock=self._clock
        )
        self._tracks: dict[str, _Track] = {}
        # The ATRs once more with the time they end: reading one takes a fraction of a microsecond.
        self._fresh: dict[str, tuple[float, int]] = {}
        self._fast_hits = 0
        self._direct = 0
        self._looks = 0  # for candles that were not there; the read that follows counts again
        self._calculations = 0
        self._failures = 0
        self._slow = 0
        self._total_ns = 0
        self._candle_reads = 0
        self._rejected_bars = 0

    def cached_atr(self, symbol: str) -> float | None:
        """Return the live ATR, quote currency, without computing; None if there is none."""
        held = self._fresh.get(symbol)
        if held is None or self._clock.monotonic_ns() >= held[1]:
            return None
        self._fast_hits += 1
        return held[0]

    async def get_atr(self, symbol: str) -> float:
        """Return Wilder's ATR of one-minute candles, quote currency.

        Raises
        ------
        CorruptDataError
            If there are not enough consistent candles yet.
        VenueError
            If the candles cannot be read.
        """
        atr = self.cached_atr(symbol)
        if atr is not None:
            return atr
        if not self._rules.enable_caching:
            return await self._timed_atr(symbol)
        bars = self._candles.get(symbol)
        if bars is not None:  # nothing to wait for, so nobody else can be making it meanwhile
            self._direct += 1
            return self._made_atr(symbol, bars, self._clock.monotonic_ns())
        self._looks += 1
        return await self._atrs.get_or_compute(symbol, lambda: self._timed_atr(symbol))

    async def get_volatility(self, symbol: str) -> float:
        """Return the realised volatility: standard deviation of the relative move in one second.

        A fraction. It is the root of the mean squared return of one minute over 60, so it supposes
        returns without correlation; times 60 ** 0.5 it is the volatility of a minute.

        Raises
        ------
        CorruptDataError
            If there are not enough consistent candles yet.
        VenueError
            If the candles cannot be read.
        """
        if not self._rules.enable_caching:
            return await self._timed_volatility(symbol)
        return await self._volatilities.get_or_compute(
            symbol, lambda: self._timed_volatility(symbol)
        )

    def invalidate(self, symbol: str) -> bool:
        """Forget candles and results of ``symbol``; return whether there were any."""
        self._fresh.pop(symbol, None)
        self._tracks.pop(symbol, None)
        caches = (self._candles, self._atrs, self._volatilities)
        return sum(cache.invalidate(symbol) for cache in caches) > 0

    def get_cache_stats(self) -> dict[str, Any]:
        """Return the figures of the caches and of the calculations.

        ``hit_rate`` and ``ohlcv_hit_rate`` in percent, 0 before the first look-up;
        ``avg_calculation_time`` in seconds, reading the candles included.
        """
        atrs, volatilities = self._atrs.statistics, self._volatilities.statistics
        candles = self._candles.statistics
        hits = self._fast_hits + atrs.hits + volatilities.hits
        # Those who waited for a calculation under way asked in vain, but cost none.
        misses = self._direct + atrs.misses + volatilities.misses
        count = self._calculations
        return {
            "hit_rate": _percent(hits, hits + misses),
            "hits": hits,
            "misses": misses,
            "shared": atrs.shared + volatilities.shared,
            "size": len(self._fresh) + volatilities.size,
            "ohlcv_hit_rate": _percent(candles.hits, candles.hits + candles.misses - self._looks),
            "ohlcv_size": candles.size,
            "avg_calculation_time": self._total_ns / count / _NS_PER_S if count else 0.0,
            "calculations": count,
            "failed_calculations": self._failures,
            "slow_calculations": self._slow,
            "candle_reads": self._candle_reads,
            "rejected_candles": self._rejected_bars,
        }

    async def _timed_atr(self, symbol: str) -> float:
        started_ns = self._clock.monotonic_ns()
        try:
            bars = await self._bars(symbol)
        except Exception:
            self._failures += 1
            raise
        return self._made_atr(symbol, bars, started_ns)

    def _made_atr(self, symbol: str, bars: tuple[Bar, ...], started_ns: int) -> float:
        try:
            atr = self._advance(symbol, bars)
        except CorruptDataError:
            self._failures += 1
            raise
        ended_ns = self._note(started_ns)
        if self._rules.enable_caching:
            if len(self._fresh) >= _MAX_SYMBOLS:
                self._fresh.clear()
            self._fresh[symbol] = (atr, ended_ns + self._ttl_ns)
        return atr

    async def _timed_volatility(self, symbol: str) -> float:
        started_ns = self._clock.monotonic_ns()
        try:
            volatility = _per_second(symbol, await self._bars(symbol))
        except Exception:
            self._failures += 1
            raise
        self._note(started_ns)
        return volatility

    def _note(self, started_ns: int) -> int:
        now_ns = self._clock.monotonic_ns()
        took_ns = now_ns - started_ns
        self._calculations += 1
        self._total_ns += took_ns
        self._slow += took_ns > self._rules.max_volatility_calc_time_s * _NS_PER_S
        return now_ns

    async def _bars(self, symbol: str) -> tuple[Bar, ...]:
        if not self._rules.enable_caching:
            return await self._read(symbol)
        return await self._candles.get_or_compute(symbol, lambda: self._read(symbol))

    async def _read(self, symbol: str) -> tuple[Bar, ...]:
        self._candle_reads += 1
        candles = await self._source.get_kline_data(symbol, _INTERVAL, self._limit)
        bars: list[Bar] = []
        # The last candle may still be open: its range is not that of a whole minute.
        for candle in candles[:-1]:
            try:
                bar = read_bar(candle)
            except CorruptDataError:
                self._rejected_bars += 1
                continue
            if bars and bar.start_ms <= bars[-1].start_ms:
                self._rejected_bars += 1
            else:
                bars.append(bar)
        return tuple(bars)

    def _advance(self, symbol: str, bars: tuple[Bar, ...]) -> float:
        track = self._tracks.get(symbol)
        joint = -1
        if track is not None:
            joint = next(
                (-i for i, bar in enumerate(reversed(bars)) if bar.start_ms == track.start_ms), 1
            )
        if track is None or joint > 0 or not _is_joined(bars, joint):
            if len(self._tracks) >= _MAX_SYMBOLS:
                self._tracks.clear()
            track, joint = _Track(WilderAtr(self.period), 0), -len(bars)
        if joint and bars:
            track.atr.extend(bars[joint:])
            track.start_ms = bars[-1].start_ms
        value = track.atr.value
        if value is None:
            raise CorruptDataError(
                f"{symbol} has {len(bars)} consistent closed candles, the ATR needs "
                f"{self.period + 1}"
            )
        self._tracks[symbol] = track
        return value


def _is_joined(bars: tuple[Bar, ...], joint: int) -> bool:
    # Whether each of the last ``-joint`` bars begins a minute after the one before it.
    return all(bars[i].start_ms - bars[i - 1].start_ms == _BAR_MS for i in range(joint, 0))


def _per_second(symbol: str, bars: tuple[Bar, ...]) -> float:
    # A move over a longer gap is not that of one minute.
    returns = [log_return(a, b) for a, b in pairwise(bars) if b.start_ms - a.start_ms == _BAR_MS]
    if len(returns) < 2:
        raise CorruptDataError(
            f"{symbol} has {len(bars)} consistent closed candles, needed are 3 without a gap"
        )
    return math.sqrt(realised_variance(returns) / len(returns) / _BAR_S)


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0
