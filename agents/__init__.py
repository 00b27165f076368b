"""Signal agents and the market maker.

Each signal agent reads public market data and returns one typed opinion or abstains. The names in
``__all__`` are the public faces; each is loaded on first use. Code inside the project imports the
modules, never these faces.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.market_maker.maker import MarketMaker

_FACES = {"MarketMaker": "agents.market_maker.maker"}

__all__ = ["MarketMaker"]


def __getattr__(name: str) -> object:
    if name not in _FACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
