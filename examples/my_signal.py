"""A signal agent of your own: ``trading-system start --signal examples.my_signal:MySignal``.

It need not be right about the size of a move: the base class learns online how much of the score
this market delivers, abstains until it knows, and turns the sign if the market does the opposite.
"""

from agents.calibration import CalibrationParameters
from agents.scored import ScoredAgent
from trading_system.domain.signals import MarketFeatures


class MySignal(ScoredAgent):
    """Buyers press when the book leans to their side and trades hit the ask."""

    name = "my_signal"
    family = "my_signals"

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol, CalibrationParameters(horizon_s=10.0))

    def score(self, features: MarketFeatures) -> float | None:
        """Return a guess at the move of the mid over the next ten seconds, basis points."""
        return 15.0 * features.imbalance + 5.0 * features.trade_flow_slow
