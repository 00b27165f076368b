"""The hidden signal: how predictable the synthetic market is, and nothing an agent may read."""

from __future__ import annotations

import math
import random

TIME_CONSTANT_S = 15.0
HORIZON_S = 10.0
DRIFT_REVERSION_S = 450.0
"""The drifted part of the price is forgotten with this time constant: it stays within a few %."""
_PERCENTILE_90 = 1.2815515655446004


class HiddenSignal:
    """A stationary Ornstein-Uhlenbeck process with unit variance.

    Parameters
    ----------
    rng : random.Random
        Source of its noise, used by nothing else so that the path depends on the seed only.

    References
    ----------
    Uhlenbeck and Ornstein, On the Theory of the Brownian Motion (1930); exact discretisation.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.value = rng.gauss(0.0, 1.0)

    def step(self, dt_s: float) -> None:
        """Advance the process by ``dt_s`` seconds."""
        kept = math.exp(-dt_s / TIME_CONSTANT_S)
        self.value = kept * self.value + math.sqrt(1.0 - kept * kept) * self._rng.gauss(0.0, 1.0)


def drift_bps_per_s(edge_bps: float, lag_s: float) -> float:
    """Return the drift of the efficient price per unit of the signal.

    The drifted part ``D`` of the price follows ``dD = (k a - g D) dt`` where ``a`` is the signal
    and ``g`` the slow pull back. In the steady state ``E[D | a] = k a / (g + 1/tau)``, from which
    the mean move of a mid that follows ``lag_s`` late is linear in ``a``; ``k`` makes it
    ``|edge_bps|`` over 10 s at the signal's 90th percentile.

    Parameters
    ----------
    edge_bps : float
        Wanted mean move over 10 s at the 90th percentile, bps; only its size counts.
    lag_s : float
        How late makers follow, seconds, within ``[0, 10]``.
    """
    tau, pull = TIME_CONSTANT_S, 1.0 / DRIFT_REVERSION_S
    ahead_s = HORIZON_S - lag_s
    before = 1.0 / (pull + 1.0 / tau)
    after = before * math.exp(-pull * ahead_s) + (
        math.exp(-pull * ahead_s) - math.exp(-ahead_s / tau)
    ) / (1.0 / tau - pull)
    return abs(edge_bps) / (_PERCENTILE_90 * (after - before * math.exp(-lag_s / tau)))
