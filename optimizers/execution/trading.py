"""One wish from the book to its judged result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from optimizers.execution.plan import Plan, make_plan
from optimizers.execution.quality import quality_score
from optimizers.execution.quotes import QuoteDesk
from optimizers.execution.records import Execution, ExecutionRecords
from optimizers.execution.results import ExecutionMetrics, MarketMicrostructure, order_result
from optimizers.execution.wishes import Wish
from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.microstructure.results import OrderBookAnalysis
from optimizers.microstructure.source import BookSource
from trading_system.domain.errors import (
    ConfigurationError,
    InvariantViolated,
    LifecycleError,
    TradingSystemError,
    ValidationError,
)
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.ports import Clock, VenueClient

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_NOT_OURS = (ConfigurationError, InvariantViolated, LifecycleError, ValidationError)


@dataclass(slots=True)
class _Round:
    # What is known of one execution so far.
    started_ns: int
    plan: Plan | None = None
    parent: ParentOrder | None = None
    analysis: OrderBookAnalysis | None = None
    result: ParentResult | None = None
    error: str = "no quote to start from"


class OptimizedTrading:
    """Plans, executes and judges one wish after the other; several may be at work.

    Parameters
    ----------
    client : VenueClient
        The gated client.
    analyzer : MarketMicrostructureAnalyzer
        Measures the book an order meets.
    quotes : QuoteDesk
        Gives that book, always fresh.
    records : ExecutionRecords
        Remembers the outcome.
    """

    def __init__(
        self,
        client: VenueClient,
        *,
        source: BookSource,
        analyzer: MarketMicrostructureAnalyzer,
        quotes: QuoteDesk,
        records: ExecutionRecords,
        clock: Clock,
    ) -> None:
        self._client = client
        self._source = source
        self._analyzer = analyzer
        self._quotes = quotes
        self._records = records
        self._clock = clock
        self._orders = 0

    async def execute(
        self, wish: Wish, *, target_latency_ms: float, max_slippage_bps: float
    ) -> dict[str, Any]:
        """Trade ``wish`` and return the face's result.

        Raises
        ------
        ValidationError
            If the quantity is not on the instrument's step or the symbol is unknown.
        """
        work = _Round(self._clock.monotonic_ns())
        try:
            await self._trade(wish, work, max_slippage_bps=max_slippage_bps)
        except _NOT_OURS:
            raise
        except TradingSystemError as e:
            work.error = str(e)
        return self._judged(
            work, target_latency_ms=target_latency_ms, max_slippage_bps=max_slippage_bps
        )

    async def execute_parent(
        self, parent: ParentOrder, *, target_latency_ms: float
    ) -> tuple[ParentResult | None, dict[str, Any]]:
        """Work a parent that somebody else planned; return its result and the face's.

        It is judged and remembered like one's own, against the parent's own slippage limit.
        """
        work = _Round(self._clock.monotonic_ns(), parent=parent)
        try:
            work.result = await self._client.execute_parent(parent)
        except _NOT_OURS:
            raise
        except TradingSystemError as e:
            work.error = str(e)
        answer = self._judged(
            work, target_latency_ms=target_latency_ms, max_slippage_bps=parent.max_slippage_bps
        )
        return work.result, answer

    def _judged(
        self, work: _Round, *, target_latency_ms: float, max_slippage_bps: float
    ) -> dict[str, Any]:
        """Measure, remember and describe one round."""
        result = work.result
        if result is not None and not result.filled_quantity:
            work.error = result.reason or f"not filled within {result.parent.time_limit_s:g} s"
        elapsed_ms = (self._clock.monotonic_ns() - work.started_ns) / _NS_PER_MS
        metrics = _metrics(
            result,
            elapsed_ms,
            target_latency_ms=target_latency_ms,
            max_slippage_bps=max_slippage_bps,
            timestamp=self._clock.utc_ns() / _NS_PER_S,
        )
        if metrics.fill_rate > 0.0:
            predicted_bps = None if work.plan is None else work.plan.estimate.expected_bps
            self._records.add(metrics, predicted_bps=predicted_bps)
        else:
            self._records.failed += 1
        if work.parent is not None:
            error = None if metrics.fill_rate > 0.0 else work.error
            self._records.executions.append(
                Execution(
                    utc_ns=self._clock.utc_ns(),
                    parent=work.parent,
                    result=result,
                    error=error,
                )
            )
        return _answer(work, metrics, elapsed_ms)

    async def _trade(self, wish: Wish, work: _Round, *, max_slippage_bps: float) -> None:
        await self._source.ready()
        instrument = await self._client.instrument(wish.symbol)
        _ = instrument.qty_to_lots(wish.quantity)  # raises when it is off the grid
        levels = await self._quotes.fresh_book(wish.symbol)
        work.analysis = self._analyzer.analyze_levels(levels, urgency=wish.urgency)
        self._orders += 1
        work.plan = make_plan(
            wish,
            levels,
            instrument,
            max_slippage_bps=max_slippage_bps,
            volatility_pct=work.analysis.volatility_1min,
            imbalance=work.analysis.order_book_imbalance,
            seed=self._orders,
        )
        work.parent = work.plan.parent
        work.result = await self._client.execute_parent(work.parent)


def _metrics(
    result: ParentResult | None,
    elapsed_ms: float,
    *,
    target_latency_ms: float,
    max_slippage_bps: float,
    timestamp: float,
) -> ExecutionMetrics:
    latency_ms = elapsed_ms if result is None else max(0.0, elapsed_ms - result.waited_ms)
    slippage_bps = None if result is None else result.slippage_bps
    fill_rate = 0.0 if result is None else result.fill_rate
    return ExecutionMetrics(
        latency_ms=latency_ms,
        slippage_bps=slippage_bps,
        fill_rate=fill_rate,
        execution_quality_score=quality_score(
            latency_ms=latency_ms,
            slippage_bps=slippage_bps,
            fill_rate=fill_rate,
            target_latency_ms=target_latency_ms,
            max_slippage_bps=max_slippage_bps,
        ),
        timestamp=timestamp,
    )


def _answer(work: _Round, metrics: ExecutionMetrics, elapsed_ms: float) -> dict[str, Any]:
    is_filled = metrics.fill_rate > 0.0
    plan, analysis = work.plan, work.analysis
    return {
        "success": is_filled,
        "error": None if is_filled else work.error,
        "order_result": None if work.result is None else order_result(work.result),
        "execution_metrics": metrics,
        "microstructure": None if analysis is None else _microstructure(analysis, plan),
        "optimization_applied": None if plan is None else plan.applied(),
        "cost_estimate": None if plan is None else asdict(plan.estimate),
        "execution_time_ms": elapsed_ms,
    }


def _microstructure(analysis: OrderBookAnalysis, plan: Plan | None) -> MarketMicrostructure:
    bids, asks = analysis.market_depth["bids"], analysis.market_depth["asks"]
    bid_value = sum(price * size for price, size in bids)
    ask_value = sum(price * size for price, size in asks)
    size = analysis.liquidity.optimal_execution_size
    return MarketMicrostructure(
        bid_ask_spread=analysis.spread_pct,
        order_book_imbalance=analysis.order_book_imbalance,
        liquidity_score=analysis.liquidity_score,
        volatility_1min=analysis.volatility_1min,
        volume_profile={
            "bid_levels": len(bids),
            "ask_levels": len(asks),
            "bid_liquidity": bid_value,
            "ask_liquidity": ask_value,
            "total_liquidity": bid_value + ask_value,
        },
        optimal_execution_size=size if plan is None else plan.estimate.optimal_quantity,
    )
