"""Trend agent: what has moved goes on a little, as far as this market confirms it.

Time-series momentum (Moskowitz, Ooi and Pedersen, Time Series Momentum, 2012) on the shortest
scale: the moves of the last seconds, scaled by what online calibration finds them worth.
"""

from __future__ import annotations

from typing_extensions import override

from agents.calibration import CalibrationParameters
from agents.scored import ScoredAgent
from trading_system.domain.signals import MarketFeatures

_RECENT_WEIGHT = 1.0
_OLDER_WEIGHT = 0.5


class TrendAgent(ScoredAgent):
    """One symbol's momentum over 1 s and 5 s; abstains where moves are not continued."""

    name = "trend"
    family = "trend"

    def __init__(self, symbol: str) -> None:
        super().__init__(
            symbol, CalibrationParameters(prior_slope=0.5, learning_share=0.14, doubt=0.7)
        )

    @override
    def score(self, features: MarketFeatures) -> float | None:
        """Return the continuation of the last seconds' move, basis points."""
        older = features.return_5s_bps - features.return_1s_bps
        return _RECENT_WEIGHT * features.return_1s_bps + _OLDER_WEIGHT * older
