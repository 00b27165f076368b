"""Order-flow agent: learns online how public order flow predicts the mid.

A Bayesian linear regression (Gaussian prior around zero, Bishop, Pattern Recognition and Machine
Learning, section 3.3) maps four flow features to the mid's move over the horizon. Outcomes are
used once they have matured. Samples overlap, so each counts as interval over horizon: the
evidence grows with the time watched, not with the sampling rate. With little evidence the
expectation stays near zero and its uncertainty is large; the agent abstains until it has seen
enough. It stops being valid where flow and price are unrelated, and then says so by a small
expectation.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading_system.domain.signals import MarketFeatures, Opinion

_NS_PER_S = 1_000_000_000
_BPS = 10_000.0
_FEATURES = 4
_FLOOR_VARIANCE = 0.25
_MAX_PENDING = 4_096

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFlowParameters:
    """How the agent learns.

    Parameters
    ----------
    horizon_s : float
        How far ahead it predicts, seconds.
    sample_s : float
        Interval between learning samples, seconds.
    memory_s : float
        Time constant with which old evidence fades, seconds.
    prior_bps : float
        Prior standard deviation of each coefficient, basis points per unit of feature.
    min_matured : int
        Matured outcomes before the first opinion.
    """

    horizon_s: float = 10.0
    sample_s: float = 0.25
    memory_s: float = 600.0
    prior_bps: float = 15.0
    min_matured: int = 12


class OrderFlowAgent:
    """One symbol's online regression of future mid moves on order flow."""

    name = "order_flow"

    def __init__(self, symbol: str, parameters: OrderFlowParameters | None = None) -> None:
        self._symbol = symbol
        self._parameters = parameters or OrderFlowParameters()
        self._pending: deque[tuple[int, float, Vector]] = deque(maxlen=_MAX_PENDING)
        self._gram = np.zeros((_FEATURES, _FEATURES))
        self._moment = np.zeros(_FEATURES)
        self._weight = 0.0
        self._residual = 0.0
        self._variance = _FLOOR_VARIANCE
        self._mean = np.zeros(_FEATURES)
        self._covariance = np.eye(_FEATURES) * self._parameters.prior_bps**2
        self._next_sample_ns = 0
        self.matured = 0

    def reset(self) -> None:
        """Drop samples that wait for their outcome, as after a gap in the market data."""
        self._pending.clear()

    def observe(self, features: MarketFeatures) -> None:
        """Learn from outcomes that have matured and take a new sample when one is due."""
        horizon_ns = self._parameters.horizon_s * _NS_PER_S
        learned = False
        while self._pending and features.ts_ns - self._pending[0][0] >= horizon_ns:
            _, mid, vector = self._pending.popleft()
            self._learn(vector, (features.mid - mid) / mid * _BPS)
            learned = True
        if learned:
            self._solve()
        if features.ts_ns >= self._next_sample_ns:
            self._pending.append((features.ts_ns, features.mid, _vector(features)))
            self._next_sample_ns = features.ts_ns + round(self._parameters.sample_s * _NS_PER_S)

    def opinion(self, features: MarketFeatures) -> Opinion | None:
        """Return the expected move, None while too few outcomes have matured."""
        if self.matured < self._parameters.min_matured:
            return None
        vector = _vector(features)
        return Opinion(
            agent=self.name,
            symbol=self._symbol,
            expected_move_bps=float(vector @ self._mean),
            uncertainty_bps=math.sqrt(max(0.0, float(vector @ self._covariance @ vector))),
            horizon_s=self._parameters.horizon_s,
            samples=self.matured,
            ts_ns=features.ts_ns,
        )

    def _learn(self, vector: Vector, move_bps: float) -> None:
        parameters = self._parameters
        share = parameters.sample_s / parameters.horizon_s
        fade = math.exp(-parameters.sample_s / parameters.memory_s)
        error = move_bps - float(vector @ self._mean)
        self._gram = self._gram * fade + share * np.outer(vector, vector)
        self._moment = self._moment * fade + share * move_bps * vector
        self._weight = self._weight * fade + share
        self._residual = self._residual * fade + share * error * error
        self.matured += 1

    def _solve(self) -> None:
        # One pseudo-observation of unit variance keeps the first residuals from looking exact.
        self._variance = max(_FLOOR_VARIANCE, (self._residual + 1.0) / (self._weight + 1.0))
        ridge = self._variance / self._parameters.prior_bps**2
        inverse = np.linalg.inv(self._gram + ridge * np.eye(_FEATURES))
        self._mean = inverse @ self._moment
        self._covariance = inverse * self._variance


def _vector(features: MarketFeatures) -> Vector:
    return np.array(
        (
            features.imbalance,
            features.order_flow,
            features.trade_flow,
            features.micro_deviation_bps / max(features.spread_bps, 1e-9),
        )
    )
