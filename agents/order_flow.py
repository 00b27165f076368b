"""Order-flow agent: learns online how public order flow predicts the mid.

A Bayesian linear regression (Gaussian prior around zero, Bishop, Pattern Recognition and Machine
Learning, section 3.3) maps four flow features to the mid's move over a short learning interval.
Outcomes are used once they have matured. Samples overlap, so each counts as its share of the
interval: the evidence grows with the time watched, not with the sampling rate.

The expectation over the horizon sums the short moves while the signal fades: with rho the
measured autocorrelation of the agent's own prediction at the learning interval's lag, the factor
is (1 - rho^n) / (1 - rho) for a horizon of n intervals, as for a first-order autoregression.

With little evidence the expectation stays near zero and its uncertainty is large; the agent
abstains until it has seen enough. It stops being valid where flow and price are unrelated, and
then says so by a small expectation.
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
_PRIOR_PERSISTENCE = 0.5
_MAX_PERSISTENCE = 0.95
_LATE = 2

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFlowParameters:
    """How the agent learns.

    Parameters
    ----------
    horizon_s : float
        How far ahead it predicts, seconds.
    learning_s : float
        Interval over which moves are learned, seconds, at most the horizon.
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
    learning_s: float = 2.0
    sample_s: float = 0.25
    memory_s: float = 600.0
    prior_bps: float = 8.0
    min_matured: int = 24


class OrderFlowAgent:
    """One symbol's online regression of future mid moves on order flow."""

    name = "order_flow"
    family = "microstructure"

    def __init__(self, symbol: str, parameters: OrderFlowParameters | None = None) -> None:
        self._symbol = symbol
        self._parameters = parameters or OrderFlowParameters()
        self._pending: deque[tuple[int, float, Vector]] = deque(maxlen=_MAX_PENDING)
        self._gram: Matrix = np.zeros((_FEATURES, _FEATURES))
        self._moment = np.zeros(_FEATURES)
        self._weight = 0.0
        self._residual = 0.0
        self._variance = _FLOOR_VARIANCE
        self._mean: Vector = np.zeros(_FEATURES)
        self._covariance: Matrix = np.eye(_FEATURES) * self._parameters.prior_bps**2
        self._next_sample_ns = 0
        self._lagged = _PRIOR_PERSISTENCE
        self._squared = 1.0
        self._interval_s = min(self._parameters.learning_s, self._parameters.horizon_s)
        self.matured = 0

    def reset(self) -> None:
        """Drop samples that wait for their outcome, as after a gap in the market data."""
        self._pending.clear()

    def observe(self, features: MarketFeatures) -> None:
        """Learn from outcomes that have matured and take a new sample when one is due."""
        interval_ns = self._interval_s * _NS_PER_S
        learned = False
        while self._pending and features.ts_ns - self._pending[0][0] >= interval_ns:
            taken_ns, mid, vector = self._pending.popleft()
            if features.ts_ns - taken_ns > _LATE * interval_ns:
                continue  # the market was silent: this is the outcome of a longer interval
            self._learn(vector, (features.mid - mid) / mid * _BPS)
            self._follow(vector, _vector(features))
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
        reach = self._reach()
        variance = max(0.0, float(vector @ self._covariance @ vector))
        expected_bps = float(vector @ self._mean) * reach
        spread_bps = math.sqrt(self._variance * self._parameters.horizon_s / self._interval_s)
        return Opinion(
            agent=self.name,
            symbol=self._symbol,
            p_up=0.5 * (1.0 + math.erf(expected_bps / (spread_bps * math.sqrt(2.0)))),
            expected_move_bps=expected_bps,
            uncertainty_bps=math.sqrt(variance) * reach,
            horizon_s=self._parameters.horizon_s,
            samples=self.matured,
            ts_ns=features.ts_ns,
        )

    def _learn(self, vector: Vector, move_bps: float) -> None:
        parameters = self._parameters
        share = parameters.sample_s / self._interval_s
        fade = math.exp(-parameters.sample_s / parameters.memory_s)
        error = move_bps - float(vector @ self._mean)
        self._gram = self._gram * fade + share * np.outer(vector, vector)
        self._moment = self._moment * fade + share * move_bps * vector
        self._weight = self._weight * fade + share
        self._residual = self._residual * fade + share * error * error
        self.matured += 1

    def _follow(self, before: Vector, now: Vector) -> None:
        """Measure how much of a prediction is left one learning interval later."""
        predicted, left = float(before @ self._mean), float(now @ self._mean)
        fade = math.exp(-self._parameters.sample_s / self._parameters.memory_s)
        self._lagged = self._lagged * fade + predicted * left
        self._squared = self._squared * fade + predicted * predicted

    def _reach(self) -> float:
        """Return the sum of a geometric fade over the horizon, in learning intervals."""
        persistence = min(_MAX_PERSISTENCE, max(0.0, self._lagged / self._squared))
        intervals = self._parameters.horizon_s / self._interval_s
        return float((1.0 - persistence**intervals) / (1.0 - persistence))

    def _solve(self) -> None:
        # One pseudo-observation of unit variance keeps the first residuals from looking exact.
        self._variance = max(_FLOOR_VARIANCE, (self._residual + 1.0) / (self._weight + 1.0))
        ridge = self._variance / self._parameters.prior_bps**2
        precision = self._gram + ridge * np.eye(_FEATURES)
        inverse = np.asarray(np.linalg.inv(precision), dtype=np.float64)
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
