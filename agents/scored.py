"""What all agents with a raw score share: calibrate it online, then speak or abstain."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from agents.calibration import CalibrationParameters, OnlineCalibration
from trading_system.domain.signals import MarketFeatures, Opinion


class ScoredAgent(ABC):
    """An agent whose score is a move in basis points that the market has yet to confirm.

    Parameters
    ----------
    symbol : str
        The symbol it speaks of.
    parameters : CalibrationParameters
        What is believed of the score before the first outcome.
    """

    name: ClassVar[str]
    family: ClassVar[str]

    def __init__(self, symbol: str, parameters: CalibrationParameters) -> None:
        self._symbol = symbol
        self._horizon_s = parameters.horizon_s
        self._calibration = OnlineCalibration(parameters)
        self._scored: tuple[MarketFeatures, float] | None = None

    @abstractmethod
    def score(self, features: MarketFeatures) -> float | None:
        """Return the raw prediction of the move over the horizon, bps; None without one."""

    @property
    def calibration(self) -> OnlineCalibration:
        """How much of the score this market delivers."""
        return self._calibration

    @property
    def reason(self) -> str:
        """Why the agent abstains, empty when it does not."""
        return "" if self._calibration.is_ready else "too few outcomes have matured"

    def reset(self) -> None:
        """Drop samples that wait for their outcome; keep what was learned."""
        self._calibration.reset()
        self._scored = None

    def observe(self, features: MarketFeatures) -> None:
        """Learn from what the mid has done since earlier scores."""
        score = self._score(features)
        if score is not None:
            self._calibration.observe(
                score,
                mid=features.mid,
                volatility_bps=features.volatility_bps,
                ts_ns=features.ts_ns,
            )

    def opinion(self, features: MarketFeatures) -> Opinion | None:
        """Return the calibrated expectation, None while there is no evidence for it."""
        if not self._calibration.is_ready:
            return None
        score = self._score(features)
        if score is None:
            return None
        expected = self._calibration.expect(score, volatility_bps=features.volatility_bps)
        return Opinion(
            agent=self.name,
            symbol=self._symbol,
            p_up=expected.p_up,
            expected_move_bps=expected.move_bps,
            uncertainty_bps=expected.uncertainty_bps,
            horizon_s=self._horizon_s,
            samples=self._calibration.matured,
            ts_ns=features.ts_ns,
            reasons=(
                f"score {score:+.1f} bps",
                f"this market delivers {self._calibration.slope.mean:.0%} of it",
            ),
        )

    def _score(self, features: MarketFeatures) -> float | None:
        """Score each instant once: observing and speaking see the same object."""
        if self._scored is not None and self._scored[0] is features:
            return self._scored[1]
        score = self.score(features)
        if score is None or not math.isfinite(score):
            return None
        self._scored = (features, score)
        return score
