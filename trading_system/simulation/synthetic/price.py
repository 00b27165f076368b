"""The latent efficient price that makers estimate and informed takers know."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass

from trading_system.simulation.synthetic.signal import DRIFT_REVERSION_S

_CALM_BPS_PER_ROOT_S = 1.35  # 4.3 bps per 10 s
_REVERSION_S = 7_200.0
_HISTORY = 64


@dataclass(frozen=True, slots=True)
class Regime:
    """A state of volatility: factor on the noise, factor on spreads, mean stay in seconds."""

    volatility: float
    spread: float
    stay_s: float


REGIMES = (
    Regime(volatility=1.0, spread=1.0, stay_s=240.0),
    Regime(volatility=1.6, spread=1.8, stay_s=60.0),
    Regime(volatility=2.6, spread=3.5, stay_s=15.0),
)
"""Calm, busy and storm; calm and storm are reached through busy."""


class LatentPrice:
    """Log price in bps around an anchor: noise by regime, drift by the hidden signal.

    Weak pulls keep long runs near the start price: the noise is forgotten over two hours (over
    10 s below a thirtieth of the noise itself), the drifted part over some minutes.

    Parameters
    ----------
    anchor : float
        Price at deviation 0, quote currency.
    rng : random.Random
        Source of noise and regime changes.
    orientation : int
        +1 or -1: -1 plays the mirror image of the same noise.
    """

    def __init__(self, anchor: float, rng: random.Random, *, orientation: int) -> None:
        self._anchor = anchor
        self._rng = rng
        self._orientation = orientation
        self._regime = 0
        self._wander_bps = 0.0
        self._drifted_bps = 0.0
        self._offset_bps = 0.0
        self._history: deque[float] = deque([0.0] * _HISTORY, maxlen=_HISTORY)

    @property
    def regime(self) -> Regime:
        """The present volatility state."""
        return REGIMES[self._regime]

    @property
    def deviation_bps(self) -> float:
        """The present log price over the anchor's, bps."""
        return self._wander_bps + self._orientation * self._drifted_bps - self._offset_bps

    def step(self, dt_s: float, *, drift_bps_per_s: float) -> None:
        """Advance by ``dt_s`` seconds; the drift is given in the unmirrored world."""
        regime = REGIMES[self._regime]
        if self._rng.random() < dt_s / regime.stay_s:
            self._change_regime()
        sigma = _CALM_BPS_PER_ROOT_S * regime.volatility * math.sqrt(dt_s)
        noise = self._orientation * sigma * self._rng.gauss(0.0, 1.0)
        self._wander_bps += noise - self._wander_bps * dt_s / _REVERSION_S
        pull = self._drifted_bps / DRIFT_REVERSION_S
        self._drifted_bps += (drift_bps_per_s - pull) * dt_s
        self._history.append(self.deviation_bps)

    def push(self, bps: float) -> None:
        """Move the price for good: the market learned from a trade."""
        self._wander_bps += bps

    def rebase(self) -> float:
        """Make the present price the anchor price; return the deviation taken away, bps."""
        taken = self.deviation_bps
        self._wander_bps = 0.0
        self._offset_bps = self._orientation * self._drifted_bps
        self._history.extend([0.0] * _HISTORY)
        return taken

    def seen_bps(self, steps_ago: int) -> float:
        """Return the deviation ``steps_ago`` steps back (0 = now, at most 63)."""
        return self._history[-1 - steps_ago]

    def at(self, deviation_bps: float) -> float:
        """Return the price at a deviation, quote currency."""
        return self._anchor * math.exp(deviation_bps * 1e-4)

    def _change_regime(self) -> None:
        if self._regime == 1:
            self._regime = 0 if self._rng.random() < 0.7 else 2
        else:
            self._regime = 1
