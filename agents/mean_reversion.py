"""Mean reversion agent: what has moved comes back, as far as this market confirms it.

Short-term reversal (Lehmann, Fads, Martingales, and Market Efficiency, 1990): the move of the
last half minute without its newest second, with the opposite sign.
"""

from __future__ import annotations

from typing_extensions import override

from agents.calibration import CalibrationParameters
from agents.scored import ScoredAgent
from trading_system.domain.signals import MarketFeatures

_RETURNED = 0.3


class MeanReversionAgent(ScoredAgent):
    """One symbol's reversal of its last 30 s."""

    name = "mean_reversion"
    family = "reversal"

    def __init__(self, symbol: str) -> None:
        super().__init__(
            symbol, CalibrationParameters(prior_slope=0.5, learning_share=0.1, doubt=0.8)
        )

    @override
    def score(self, features: MarketFeatures) -> float | None:
        """Return the part of the move that should come back, basis points."""
        return -_RETURNED * (features.return_30s_bps - features.return_1s_bps)
