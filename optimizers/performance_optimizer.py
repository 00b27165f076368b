"""The performance optimizer's face: plans, executes and judges orders, and watches itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import structlog

from optimizers.execution.batching import Batcher
from optimizers.execution.quotes import QuoteDesk
from optimizers.execution.recommendations import MeasuredFigures, recommendations
from optimizers.execution.records import ExecutionRecords
from optimizers.execution.spacing import CallSpacing
from optimizers.execution.trading import OptimizedTrading
from optimizers.execution.wishes import Wish, read_wish
from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.microstructure.levels import BookLevels
from optimizers.microstructure.periodic import PeriodicTask
from optimizers.microstructure.results import OrderBookAnalysis
from optimizers.microstructure.source import BookSource
from trading_system.domain.errors import TradingSystemError, ValidationError
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.ports import Clock, VenueClient
from trading_system.runtime.cache import TtlCache
from trading_system.runtime.clock import SystemClock

_LOG = structlog.get_logger(__name__)
_MAX_SYMBOLS = 256
_WARN_FACTOR = 1.5
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
    enable_caching : bool
        False reads everything anew.
    price_cache_ttl, order_book_cache_ttl : float
        Life of cached prices and books, seconds.
    min_api_interval : float
        Spacing of :meth:`rate_limit_api_call`, seconds.
    batch_size, batch_timeout : int, float
        Orders of a full batch, and how long the first waits for the others, seconds.
    monitoring_interval_s : float
        Pause of the monitoring, seconds.
    analyzer : MarketMicrostructureAnalyzer or None
        Shared with others so that its history is, too; an own one by default.
    clock : Clock or None
        The machine's clocks by default.
    pause : callable
        How the monitoring waits.
    """

    def __init__(
        self,
        client: VenueClient,
        *,
        target_latency_ms: float = 500.0,
        max_slippage_bps: float = 5.0,
        cache_ttl: float = 30.0,
        enable_caching: bool = True,
        price_cache_ttl: float = 0.1,
        order_book_cache_ttl: float = 0.2,
        min_api_interval: float = 0.05,
        batch_size: int = 5,
        batch_timeout: float = 0.1,
        monitoring_interval_s: float = 60.0,
        analyzer: MarketMicrostructureAnalyzer | None = None,
        clock: Clock | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if not (target_latency_ms > 0 and max_slippage_bps > 0):
            raise ValidationError("target_latency_ms and max_slippage_bps must be positive")
        self.target_latency_ms = target_latency_ms
        self.max_slippage_bps = max_slippage_bps
        self.cache_ttl = cache_ttl
        self.enable_caching = enable_caching
        self.price_cache_ttl = price_cache_ttl
        self.order_book_cache_ttl = order_book_cache_ttl
        self.min_api_interval = min_api_interval
        self.batch_size = batch_size
        self.batch_timeout = batch_timeout
        clock = clock or SystemClock()
        source = BookSource(client)
        self._analyzer = analyzer or MarketMicrostructureAnalyzer(
            client, impact_threshold=max_slippage_bps / _BPS, clock=clock
        )
        self._quotes = QuoteDesk(
            source,
            price_ttl_s=price_cache_ttl,
            book_ttl_s=order_book_cache_ttl,
            is_caching=enable_caching,
            clock=clock,
        )
        self.price_cache = self._quotes.prices
        self._analyses: TtlCache[str, OrderBookAnalysis] = TtlCache(
            _MAX_SYMBOLS, ttl_s=cache_ttl, clock=clock
        )
        self._records = ExecutionRecords(
            target_latency_ms=target_latency_ms, max_slippage_bps=max_slippage_bps
        )
        self._trading = OptimizedTrading(
            client,
            source=source,
            analyzer=self._analyzer,
            quotes=self._quotes,
            records=self._records,
            clock=clock,
        )
        self._spacing = CallSpacing(min_api_interval, clock=clock)
        self._batcher: Batcher[Wish, Answer | TradingSystemError] = Batcher(
            self._execute_all, size=batch_size, timeout_s=batch_timeout
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
        if not self.enable_caching:
            return await self._analyzer.analyze_market_microstructure(symbol)
        return await self._analyses.get_or_compute(
            symbol, lambda: self._analyzer.analyze_market_microstructure(symbol)
        )

    async def get_order_book(self, symbol: str) -> BookLevels:
        """Return a checked book of ``symbol`` that is at most ``order_book_cache_ttl`` old."""
        return await self._quotes.book(symbol)

    def get_cached_price(self, symbol: str) -> dict[str, Any] | None:
        """Return ``symbol``, ``bid``, ``ask``, ``mid`` and ``ts``, None when not fresh enough."""
        return self._quotes.price(symbol)

    def rate_limit_api_call(self, operation: str) -> bool:
        """Return whether ``operation`` may be called now; True takes the turn."""
        return self._spacing.try_acquire(operation)

    async def acquire_api_call(self, operation: str, *, deadline_s: float = 1.0) -> None:
        """Wait for the turn of ``operation``; ``DeadlineExceeded`` if it cannot come in time."""
        await self._spacing.acquire(operation, deadline_s=deadline_s)

    def get_performance_summary(self) -> dict[str, Any]:
        """Return figures over the newest executions; every key is there from the start."""
        return self._records.summary()

    def get_recommendations(self) -> list[str]:
        """Return what the measured figures advise; empty when all are in order."""
        cache = self.price_cache.statistics
        return recommendations(
            MeasuredFigures(
                summary=self._records.summary(),
                fill_rate=self._records.fill_rate,
                cache_lookups=cache.hits + cache.misses,
                cache_hits=cache.hits,
                calls_granted=self._spacing.granted,
                calls_refused=self._spacing.refused,
                target_latency_ms=self.target_latency_ms,
                max_slippage_bps=self.max_slippage_bps,
            )
        )

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

    async def _execute_all(self, wishes: Sequence[Wish]) -> list[Answer | TradingSystemError]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._execute_apart(wish)) for wish in wishes]
        return [task.result() for task in tasks]

    async def _execute_apart(self, wish: Wish) -> Answer | TradingSystemError:
        # An error of one order must not cancel the others of its batch.
        try:
            return await self._execute(wish)
        except TradingSystemError as e:
            return e

    async def _watch(self) -> None:
        figures = self._records.summary()
        p95_ms = figures["latency_metrics"]["p95_ms"]
        p95_bps = figures["slippage_metrics"]["p95_bps"]
        for what, value, limit in (
            ("latency_ms", p95_ms, self.target_latency_ms),
            ("slippage_bps", p95_bps, self.max_slippage_bps),
        ):
            if value is not None and value > _WARN_FACTOR * limit:
                self.monitoring_warnings += 1
                _LOG.warning("execution degraded", figure=what, p95=value, limit=limit)
        _LOG.info("execution figures", **figures["quality_metrics"], p95_ms=p95_ms, p95_bps=p95_bps)
