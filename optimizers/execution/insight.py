"""What an optimizer knows of itself: statistics and advice."""

from __future__ import annotations

from typing import Any

from optimizers.execution.analyses import AnalysisDesk
from optimizers.execution.batching import Batcher
from optimizers.execution.operations import OperationTimer
from optimizers.execution.quotes import QuoteDesk
from optimizers.execution.recommendations import MeasuredFigures, recommendations
from optimizers.execution.records import ExecutionRecords
from optimizers.execution.spacing import CallSpacing
from optimizers.execution.statistics import batch_figures, performance_stats
from trading_system.config.sections import PerformanceSettings


class Insight:
    """Reads the parts of an optimizer; it changes nothing.

    Parameters
    ----------
    records : ExecutionRecords
        Executions and the limits they are judged by.
    timer : OperationTimer
        Times of operations.
    quotes : QuoteDesk
        Caches of prices and books.
    analyses : AnalysisDesk
        Cache of market analyses.
    spacing : CallSpacing
        Turns given and refused.
    batcher : Batcher
        Sizes of the batches that left.
    performance : PerformanceSettings
        Thresholds.
    """

    def __init__(
        self,
        records: ExecutionRecords,
        *,
        timer: OperationTimer,
        quotes: QuoteDesk,
        analyses: AnalysisDesk,
        spacing: CallSpacing,
        batcher: Batcher[Any, Any],
        performance: PerformanceSettings,
    ) -> None:
        self._records = records
        self._timer = timer
        self._quotes = quotes
        self._analyses = analyses
        self._spacing = spacing
        self._batcher = batcher
        self._performance = performance

    def stats(self) -> dict[str, Any]:
        """Return what ``PerformanceOptimizer.get_performance_stats`` documents."""
        return performance_stats(
            self._timer,
            caches={
                "price": self._quotes.prices.statistics,
                "order_book": self._quotes.books.statistics,
                "microstructure": self._analyses.statistics,
            },
            spacing=self._spacing,
            batches=batch_figures(self._batcher.sizes),
        )

    def recommendations(self) -> list[str]:
        """Return what the measured figures advise; empty when all are in order."""
        return recommendations(
            MeasuredFigures(
                summary=self._records.summary(),
                fill_rate=self._records.fill_rate,
                price_cache=self._quotes.prices.statistics,
                book_cache=self._quotes.books.statistics,
                calls_granted=self._spacing.granted,
                calls_refused=self._spacing.refused,
                operations=self._timer.figures,
                batches=batch_figures(self._batcher.sizes),
                performance=self._performance,
                target_latency_ms=self._records.target_latency_ms,
                max_slippage_bps=self._records.max_slippage_bps,
            )
        )
