"""An agent that says what a function says: no calibration, no state."""

from __future__ import annotations

from collections.abc import Callable

from trading_system.domain.signals import MarketFeatures, Opinion


class Agent:
    """One model as an agent."""

    def __init__(self, name: str, p_up: Callable[[MarketFeatures], float]) -> None:
        self.name = self.family = name
        self._p_up = p_up
        self.said = 0.5

    def observe(self, _features: MarketFeatures) -> None:
        return

    def opinion(self, features: MarketFeatures) -> Opinion:
        p_up = self.said = self._p_up(features)
        return Opinion(
            agent=self.name,
            symbol="BTCUSDT",
            p_up=p_up,
            expected_move_bps=(p_up - 0.5) * 10.0,
            uncertainty_bps=1.0,
            horizon_s=10.0,
            samples=1_000,
            ts_ns=features.ts_ns,
        )

    def reset(self) -> None:
        return
