"""Market analyses, fresh or from a cache."""

from __future__ import annotations

from optimizers.execution.operations import OperationTimer
from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.microstructure.results import OrderBookAnalysis
from trading_system.config.sections import PerformanceSettings
from trading_system.domain.ports import Clock
from trading_system.runtime.cache import CacheStatistics, TtlCache

_MAX_SYMBOLS = 256


class AnalysisDesk:
    """Asks an analyzer and keeps what it says.

    Parameters
    ----------
    analyzer : MarketMicrostructureAnalyzer
        Analyses one symbol at a time.
    ttl_s : float
        Life of a cached analysis, seconds.
    performance : PerformanceSettings
        Whether analyses are kept.
    timer : OperationTimer
        Measures and counts the analyses as ``get_microstructure``.
    clock : Clock
        Monotonic time.
    """

    def __init__(
        self,
        analyzer: MarketMicrostructureAnalyzer,
        *,
        ttl_s: float,
        performance: PerformanceSettings,
        timer: OperationTimer,
        clock: Clock,
    ) -> None:
        self._analyze = timer.time_operation("get_microstructure")(
            analyzer.analyze_market_microstructure
        )
        self._is_caching = performance.enable_caching
        self._held: TtlCache[str, OrderBookAnalysis] = TtlCache(
            _MAX_SYMBOLS, ttl_s=ttl_s, clock=clock
        )

    @property
    def statistics(self) -> CacheStatistics:
        """Counters of the cache up to now."""
        return self._held.statistics

    async def analysis(self, symbol: str) -> OrderBookAnalysis:
        """Return an analysis that may come from the cache."""
        if not self._is_caching:
            return await self._analyze(symbol)
        return await self._held.get_or_compute(symbol, lambda: self._analyze(symbol))

    def clear(self) -> None:
        """Empty the cache."""
        self._held.clear()
