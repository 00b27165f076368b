"""AI-assisted crypto trading system for Bybit: books, agents, execution, risk, health.

The names in ``__all__`` are the public faces; each is loaded on first use, so that importing the
package costs nothing. Code inside the project imports the modules, never these faces.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trading_system.bybit_client import BybitClient
    from trading_system.cost_simulator.simulator import CostSimulator
    from trading_system.enhanced_trading_engine import EnhancedTradingEngine
    from trading_system.enhanced_trading_system import EnhancedTradingSystem

_FACES = {
    "BybitClient": "trading_system.bybit_client",
    "CostSimulator": "trading_system.cost_simulator.simulator",
    "EnhancedTradingEngine": "trading_system.enhanced_trading_engine",
    "EnhancedTradingSystem": "trading_system.enhanced_trading_system",
}

__all__ = ["BybitClient", "CostSimulator", "EnhancedTradingEngine", "EnhancedTradingSystem"]


def __getattr__(name: str) -> object:
    if name not in _FACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
