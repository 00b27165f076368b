"""Execution, latency, signal and microstructure optimizers of the users' guides.

The names in ``__all__`` are the public faces; each is loaded on first use. Code inside the project
imports the modules, never these faces.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizers.ai_signal_optimizer import AISignalOptimizer
    from optimizers.latency_optimizer import LatencyOptimizer
    from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
    from optimizers.performance_optimizer import PerformanceOptimizer

_FACES = {
    "AISignalOptimizer": "optimizers.ai_signal_optimizer",
    "LatencyOptimizer": "optimizers.latency_optimizer",
    "MarketMicrostructureAnalyzer": "optimizers.market_microstructure_analyzer",
    "PerformanceOptimizer": "optimizers.performance_optimizer",
}

__all__ = [
    "AISignalOptimizer",
    "LatencyOptimizer",
    "MarketMicrostructureAnalyzer",
    "PerformanceOptimizer",
]


def __getattr__(name: str) -> object:
    if name not in _FACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
