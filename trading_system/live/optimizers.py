"""The optimizers of a session: one client, one pool, one set of measurements."""

from __future__ import annotations

from dataclasses import dataclass

from optimizers.latency_optimizer import LatencyOptimizer
from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.performance_optimizer import PerformanceOptimizer
from optimizers.transport.pool import PooledTransport
from trading_system.config.settings import Settings
from trading_system.domain.ports import Clock, VenueClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizers:
    """Request path, market analysis and execution of one session."""

    latency: LatencyOptimizer
    microstructure: MarketMicrostructureAnalyzer
    performance: PerformanceOptimizer


def optimizers_of(
    client: VenueClient, *, transport: PooledTransport, settings: Settings, clock: Clock
) -> Optimizers:
    """Return the optimizers over the session's own client and connections."""
    analyzer = MarketMicrostructureAnalyzer(client, clock=clock)
    return Optimizers(
        latency=LatencyOptimizer(
            client, transport=transport, settings=settings.optimization, clock=clock
        ),
        microstructure=analyzer,
        performance=PerformanceOptimizer(
            client,
            target_latency_ms=settings.targets.order_execution_time_ms,
            max_slippage_bps=settings.strategy.max_slippage_bps,
            settings=settings.performance,
            analyzer=analyzer,
            clock=clock,
        ),
    )
