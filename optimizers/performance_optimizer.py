"""The performance optimizer's face: plans, executes and judges orders, and watches itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Unpack

from optimizers.execution.analyses import AnalysisDesk
from optimizers.execution.batching import Batcher, each_apart
from optimizers.execution.insight import Insight
from optimizers.execution.operations import Kind, OperationTimer, TimedOperation
from optimizers.execution.prices import Price
from optimizers.execution.quotes import QuoteDesk
from optimizers.execution.records import Execution, ExecutionRecords
from optimizers.execution.spacing import CallSpacing
from optimizers.execution.trading import OptimizedTrading
from optimizers.execution.values import GuideValues, performance_settings, response_limits
from optimizers.execution.watching import log_figures
from optimizers.execution.wishes import Wish, read_wish
from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.microstructure.levels import BookLevels
from optimizers.microstructure.periodic import PeriodicTask
from optimizers.microstructure.results import OrderBookAnalysis
from optimizers.microstructure.source import BookSource
from trading_system.config.sections import PerformanceSettings
from trading_system.domain.errors import TradingSystemError
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.ports import Clock, VenueClient
from trading_system.runtime.clock import SystemClock

_BPS = 10_000.0
Answer = dict[str, Any]


class PerformanceOptimizer:
    """Executes orders at least cost inside limits and says how well that went.

    Parameters
    ----------
    client : VenueClient
        The gated client.
    target_latency_ms : float
        Latency that scores one half.
    max_slippage_bps : float
        Largest cost against the arrival mid, fees not counted; the guard of every order.
    cache_ttl : float
        Life of a cached market analysis, seconds. Orders never use a cached book.
    settings : PerformanceSettings or None
        Caches, call spacing, batches and thresholds; the guide's defaults by default.
    monitoring_interval_s : float
        Pause of the monitoring, seconds.
    analyzer : MarketMicrostructureAnalyzer or None
        Shared with others so that its history is, too; an own one by default.
    clock : Clock or None
        The machine's clocks by default.
    pause : callable
        How the monitoring and callers of :meth:`acquire_api_call` wait.
    **guide
        Single values of ``settings`` by the guide's names: ``enable_caching``,
        ``price_cache_ttl``, ``order_book_cache_ttl``, ``min_api_interval``, ``batch_size``,
        ``batch_timeout``, ``max_ticker_response_time`` and so on.
    """

    def __init__(
        self,
        client: VenueClient,
        *,
        target_latency_ms: float = 500.0,
        max_slippage_bps: float = 5.0,
        cache_ttl: float = 30.0,
        settings: PerformanceSettings | None = None,
        monitoring_interval_s: float = 60.0,
        analyzer: MarketMicrostructureAnalyzer | None = None,
        clock: Clock | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        **guide: Unpack[GuideValues],
    ) -> None:
        self.target_latency_ms = target_latency_ms
        self.max_slippage_bps = max_slippage_bps
        self.cache_ttl = cache_ttl
        performance = performance_settings(settings, guide)
        self.enable_caching = performance.enable_caching
        self.price_cache_ttl = performance.price_cache_ttl_s
        self.order_book_cache_ttl = performance.order_book_cache_ttl_s
        self.min_api_interval = performance.min_api_interval_s
        self.batch_size = performance.batch_size
        self.batch_timeout = performance.batch_timeout_s
        clock = clock or SystemClock()
        self._records = ExecutionRecords(
            target_latency_ms=target_latency_ms, max_slippage_bps=max_slippage_bps
        )
        source = BookSource(client)
        analyzer = analyzer or MarketMicrostructureAnalyzer(
            client, impact_threshold=max_slippage_bps / _BPS, clock=clock
        )
        self._timer = OperationTimer(response_limits(performance), clock=clock)
        self._quotes = QuoteDesk(source, performance=performance, timer=self._timer, clock=clock)
        self.price_cache = self._quotes.prices
        self._analyses = AnalysisDesk(
            analyzer, ttl_s=cache_ttl, performance=performance, timer=self._timer, clock=clock
        )
        self._trading = OptimizedTrading(
            client,
            source=source,
            analyzer=analyzer,
            quotes=self._quotes,
            records=self._records,
            clock=clock,
        )
        self._spacing = CallSpacing(self.min_api_interval, clock=clock, pause=pause)
        self._batcher: Batcher[Wish, Answer | TradingSystemError] = Batcher(
            each_apart(self._execute), size=self.batch_size, timeout_s=self.batch_timeout
        )
        self._insight = Insight(
            self._records,
            timer=self._timer,
            quotes=self._quotes,
            analyses=self._analyses,
            spacing=self._spacing,
            batcher=self._batcher,
            performance=performance,
        )
        self.monitoring_warnings = 0
        self._monitor = PeriodicTask(
            "performance-monitoring", self._watch, interval_s=monitoring_interval_s, pause=pause
        )

    async def optimize_order_execution(
        self,
        symbol: str,
        side: str,
        quantity: float | str | Decimal,
        order_type: str = "Market",
        urgency: str = "NORMAL",
        *,
        reduce_only: bool = False,
    ) -> Answer:
        """Trade ``quantity`` as cheaply as the market and the urgency allow.

        Parameters
        ----------
        side : str
            ``Buy`` or ``Sell``.
        quantity : float, str or Decimal
            Base currency, positive, on the instrument's step.
        order_type : str
            ``Market`` or ``Limit``.
        urgency : str
            ``LOW``, ``NORMAL`` or ``HIGH``; see ``execution.plan``.

        Returns
        -------
        dict
            ``success`` (something was traded), ``order_result``, ``execution_metrics``,
            ``microstructure``, ``optimization_applied``, ``cost_estimate``, ``execution_time_ms``
            and ``error`` (None on success). Without success nothing was traded, ``error`` says why,
            and the quality score is 0.

        Raises
        ------
        ValidationError
            If an argument is wrong; nothing was sent.
        """
        wish = read_wish(
            symbol,
            side,
            quantity=quantity,
            order_type=order_type,
            urgency=urgency,
            reduce_only=reduce_only,
        )
        return await self._execute(wish)

    async def execute_parent(self, parent: ParentOrder) -> tuple[ParentResult | None, Answer]:
        """Work a parent order that was planned elsewhere; return its result and the same answer.

        The answer has no ``microstructure``, ``optimization_applied`` and ``cost_estimate``.
        """
        return await self._trading.execute_parent(parent, target_latency_ms=self.target_latency_ms)

    async def queue_order_execution(
        self,
        symbol: str,
        side: str,
        quantity: float | str | Decimal,
        order_type: str = "Market",
        urgency: str = "NORMAL",
        *,
        reduce_only: bool = False,
    ) -> Answer:
        """Execute an order together with others: after ``batch_size`` or ``batch_timeout``."""
        wish = read_wish(
            symbol,
            side,
            quantity=quantity,
            order_type=order_type,
            urgency=urgency,
            reduce_only=reduce_only,
        )
        answer = await self._batcher.add(wish)
        if isinstance(answer, TradingSystemError):
            raise answer
        return answer

    async def get_microstructure(self, symbol: str) -> OrderBookAnalysis:
        """Return an analysis of ``symbol`` that is at most ``cache_ttl`` old."""
        return await self._analyses.analysis(symbol)

    async def get_order_book(self, symbol: str) -> BookLevels:
        """Return a checked book of ``symbol`` that is at most ``order_book_cache_ttl`` old."""
        return await self._quotes.book(symbol)

    def get_cached_price(self, symbol: str) -> dict[str, Any] | None:
        """Return ``symbol``, ``bid``, ``ask``, ``mid`` and ``ts``, None when not fresh enough."""
        return self._quotes.price(symbol)

    async def get_price(self, symbol: str) -> Price:
        """Return what :meth:`get_cached_price` does, read from the venue when nothing is fresh."""
        return await self._quotes.price_or_read(symbol)

    def note_price(self, symbol: str, bid: float, ask: float, ts: float | None = None) -> bool:
        """Keep best prices that a stream brought; ``ts`` in UTC seconds, now by default.

        False if they are not finite, not positive or crossed (then what was held is gone, too), or
        if nothing is cached.
        """
        return self._quotes.note_price(symbol, bid, ask, ts=ts)

    def time_operation(self, name: str, *, kind: Kind | None = None) -> TimedOperation:
        """Measure a block (``with``) or a function (decorator, sync or async) as ``name``.

        ``kind`` decides by which threshold it is slow and whether it counts as an API call; by
        default it is read from the name, see ``execution.operations.kind_of``.
        """
        return self._timer.time_operation(name, kind=kind)

    def rate_limit_api_call(self, operation: str) -> bool:
        """Return whether ``operation`` may be called now; True takes the turn."""
        return self._spacing.try_acquire(operation)

    async def acquire_api_call(self, operation: str, *, deadline_s: float = 1.0) -> None:
        """Wait for the turn of ``operation``; ``DeadlineExceeded`` if it cannot come in time."""
        await self._spacing.acquire(operation, deadline_s=deadline_s)

    def get_performance_summary(self) -> dict[str, Any]:
        """Return figures over the newest executions; every key is there from the start."""
        return self._records.summary()

    def newest_executions(self, limit: int) -> list[Execution]:
        """Return up to ``limit`` parent orders that have ended, newest first."""
        return self._records.newest(limit)

    def get_performance_stats(self) -> dict[str, Any]:
        """Return calls, slow operations, hit rates and times; every key is there from the start.

        Returns
        -------
        dict
            ``api_call_count``; by operation ``api_calls``, ``slow_operations``,
            ``failed_operations``, ``operation_counts`` (counts), ``operation_averages`` and
            ``operation_p95`` (seconds); ``newest_slow_operations``, ``cache_hit_rates``
            (percent, None before a look-up), ``spacing``, ``batches``.
        """
        return self._insight.stats()

    def get_recommendations(self) -> list[str]:
        """Return what the measured figures advise; empty when all are in order."""
        return self._insight.recommendations()

    @property
    def is_monitoring(self) -> bool:
        """Whether the monitoring runs."""
        return self._monitor.is_running

    async def start_performance_monitoring(self) -> None:
        """Judge the figures again and again; warns at 1.5 times a limit."""
        await self._monitor.start()

    async def stop_performance_monitoring(self) -> None:
        """End the monitoring; without effect when it does not run."""
        await self._monitor.stop("the performance monitoring was stopped")

    async def cleanup(self) -> None:
        """End what runs and empty the caches; the figures stay."""
        await self.stop_performance_monitoring()
        self._quotes.clear()
        self._analyses.clear()

    async def _execute(self, wish: Wish) -> Answer:
        return await self._trading.execute(
            wish,
            target_latency_ms=self.target_latency_ms,
            max_slippage_bps=self.max_slippage_bps,
        )

    async def _watch(self) -> None:
        self.monitoring_warnings += log_figures(self._records)
