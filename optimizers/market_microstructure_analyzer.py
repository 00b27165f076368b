"""The market microstructure analyzer's face."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog

from optimizers.microstructure.advice import checked_urgency
from optimizers.microstructure.analysis import AnalysisRules, ImpactParameters, analyse
from optimizers.microstructure.history import SymbolHistory
from optimizers.microstructure.levels import BookLevels
from optimizers.microstructure.periodic import PeriodicTask
from optimizers.microstructure.results import OrderBookAnalysis
from optimizers.microstructure.source import BookSource
from optimizers.microstructure.summary import empty_summary, summary
from trading_system.domain.errors import CorruptDataError, ValidationError, VenueError
from trading_system.domain.ports import Clock, VenueClient
from trading_system.runtime.clock import SystemClock

_LOG = structlog.get_logger(__name__)
_MAX_SYMBOLS = 256
_SUMMARY_ANALYSES = 10
_BOOK_LEVELS = 50


@dataclass(slots=True)
class _SymbolState:
    history: SymbolHistory
    newest: deque[OrderBookAnalysis] = field(
        default_factory=lambda: deque(maxlen=_SUMMARY_ANALYSES)
    )


class MarketMicrostructureAnalyzer:
    """Measures order books: cost of trading, liquidity, pressure and timing.

    Parameters
    ----------
    client : VenueClient
        The gated client, or any object with ``get_order_book_data(symbol, limit)``.
    depth_levels : int
        Levels per side of volumes, imbalance and shown depth.
    impact_threshold : float
        Largest average cost of an optimal size against the mid, as a fraction (0.001 = 10 bps).
    liquidity_threshold : float
        Reference order value and scale of the liquidity score, quote currency.
    impact_params : ImpactParameters or None
        Constants of the impact model beyond what the book shows.
    interval_s : float
        Pause of the real-time analysis, seconds.
    clock : Clock or None
        The machine's clocks by default.
    pause : callable
        How the real-time analysis waits.
    """

    def __init__(
        self,
        client: VenueClient,
        *,
        depth_levels: int = 20,
        impact_threshold: float = 0.001,
        liquidity_threshold: float = 10_000.0,
        impact_params: ImpactParameters | None = None,
        interval_s: float = 30.0,
        clock: Clock | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if depth_levels < 1 or impact_threshold <= 0 or liquidity_threshold <= 0:
            raise ValidationError("depth_levels and both thresholds must be positive")
        self.depth_levels = depth_levels
        self.impact_threshold = impact_threshold
        self.liquidity_threshold = liquidity_threshold
        impact = impact_params or ImpactParameters()
        self.impact_params = asdict(impact)
        self.failed_analyses = 0
        self._rules = AnalysisRules(
            depth_levels=depth_levels,
            impact_threshold=impact_threshold,
            liquidity_threshold=liquidity_threshold,
            impact=impact,
        )
        self._source = BookSource(client)
        self._clock = clock or SystemClock()
        self._symbols: OrderedDict[str, _SymbolState] = OrderedDict()
        self._watched: set[str] = set()
        self._task = PeriodicTask(
            "real-time-analysis", self._analyse_watched, interval_s=interval_s, pause=pause
        )

    async def analyze_market_microstructure(
        self, symbol: str, urgency: str = "NORMAL"
    ) -> OrderBookAnalysis:
        """Return the analysis of the newest book of ``symbol``.

        Raises
        ------
        ValidationError
            If the urgency is not ``LOW``, ``NORMAL`` or ``HIGH``.
        CorruptDataError
            If the book is one-sided, crossed or not made of numbers.
        VenueError
            If the venue did not give a book.
        """
        checked_urgency(urgency)
        await self._source.ready()
        levels = await self._source.levels(symbol, max(_BOOK_LEVELS, self.depth_levels))
        return self.analyze_levels(levels, urgency=urgency)

    def analyze_levels(self, levels: BookLevels, *, urgency: str = "NORMAL") -> OrderBookAnalysis:
        """Return the analysis of a book that is at hand."""
        state = self._state(levels.symbol)
        analysis = analyse(
            levels,
            state.history,
            rules=self._rules,
            urgency=checked_urgency(urgency),
            now_ns=self._clock.monotonic_ns(),
            utc_ns=self._clock.utc_ns(),
        )
        state.newest.append(analysis)
        return analysis

    def get_market_microstructure_summary(self, symbol: str) -> dict[str, Any]:
        """Return figures over the ten newest analyses of ``symbol``; every key from the start."""
        state = self._symbols.get(symbol)
        if state is None:
            return empty_summary(symbol)
        return summary(symbol, state.newest, state.history.count)

    @property
    def is_analyzing(self) -> bool:
        """Whether the real-time analysis runs."""
        return self._task.is_running

    async def start_real_time_analysis(self, symbols: Iterable[str] = ()) -> None:
        """Analyse ``symbols``, and all that were analysed before, again and again."""
        self._watched.update(symbols)
        await self._task.start()

    async def stop_real_time_analysis(self) -> None:
        """End the real-time analysis; without effect when it does not run."""
        await self._task.stop("the real-time analysis was stopped")

    async def cleanup(self) -> None:
        """End what runs and forget all history."""
        await self.stop_real_time_analysis()
        self._symbols.clear()
        self._watched.clear()

    def _state(self, symbol: str) -> _SymbolState:
        state = self._symbols.get(symbol)
        if state is None:
            if len(self._symbols) >= _MAX_SYMBOLS:
                self._symbols.popitem(last=False)
            state = self._symbols[symbol] = _SymbolState(SymbolHistory())
        return state

    async def _analyse_watched(self) -> None:
        async with asyncio.TaskGroup() as group:
            for symbol in sorted(self._watched | set(self._symbols)):
                group.create_task(self._analyse_safely(symbol))

    async def _analyse_safely(self, symbol: str) -> None:
        try:
            await self.analyze_market_microstructure(symbol)
        except (VenueError, CorruptDataError) as e:
            # One book that cannot be read is no reason to stop watching the others.
            self.failed_analyses += 1
            _LOG.warning("analysis failed", symbol=symbol, error=str(e))
