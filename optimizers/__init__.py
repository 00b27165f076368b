"""Execution, latency, signal, microstructure and cost optimizers of the users' guides.

The names in ``__all__`` are the public faces; each is loaded on first use. Code inside the project
imports the modules, never these faces.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizers.ai_signal_optimizer import AISignalOptimizer
    from optimizers.costs.impact import MarketImpactModel, OptimizedMarketImpact
    from optimizers.costs.maker_taker import MakerTakerModel
    from optimizers.costs.processing import BookProcessor
    from optimizers.costs.slippage import OptimizedSlippageModel, SlippageModel
    from optimizers.latency_optimizer import LatencyOptimizer
    from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
    from optimizers.performance_optimizer import PerformanceOptimizer
    from optimizers.volatility_calculator import VolatilityCalculator

_FACES = {
    "AISignalOptimizer": "optimizers.ai_signal_optimizer",
    "BookProcessor": "optimizers.costs.processing",
    "LatencyOptimizer": "optimizers.latency_optimizer",
    "MakerTakerModel": "optimizers.costs.maker_taker",
    "MarketImpactModel": "optimizers.costs.impact",
    "MarketMicrostructureAnalyzer": "optimizers.market_microstructure_analyzer",
    "OptimizedMarketImpact": "optimizers.costs.impact",
    "OptimizedSlippageModel": "optimizers.costs.slippage",
    "PerformanceOptimizer": "optimizers.performance_optimizer",
    "SlippageModel": "optimizers.costs.slippage",
    "VolatilityCalculator": "optimizers.volatility_calculator",
}

__all__ = [
    "AISignalOptimizer",
    "BookProcessor",
    "LatencyOptimizer",
    "MakerTakerModel",
    "MarketImpactModel",
    "MarketMicrostructureAnalyzer",
    "OptimizedMarketImpact",
    "OptimizedSlippageModel",
    "PerformanceOptimizer",
    "SlippageModel",
    "VolatilityCalculator",
]


def __getattr__(name: str) -> object:
    if name not in _FACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
