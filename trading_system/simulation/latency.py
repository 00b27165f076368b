"""How long requests travel: seeded, log-normal round trips with rare stalls.

The figures are typical of where a client may sit, not measurements of Bybit.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from trading_system.domain.errors import ConfigurationError

_Z99 = 2.3263478740408408
_STALL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyProfile:
    """A distribution of round trips.

    Parameters
    ----------
    median_s, p99_s : float
        Of the log-normal part, seconds.
    stall_chance : float
        Share of requests that take one second longer.
    """

    median_s: float
    p99_s: float
    stall_chance: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return math.log(self.p99_s / self.median_s) / _Z99


PROFILES = {
    "colocated": LatencyProfile(median_s=0.001, p99_s=0.004, stall_chance=0.0),
    "regional": LatencyProfile(median_s=0.035, p99_s=0.120, stall_chance=0.001),
    "retail": LatencyProfile(median_s=0.150, p99_s=0.400, stall_chance=0.001),
}
"""Profiles by name; ``none`` is the absence of one."""


class Latency:
    """A seeded source of delays.

    Parameters
    ----------
    profile : LatencyProfile or None
        None is no delay at all.
    rng : random.Random
        Source of randomness.
    """

    def __init__(self, profile: LatencyProfile | None, rng: random.Random) -> None:
        self._profile = profile
        self._rng = rng

    @property
    def is_none(self) -> bool:
        """Whether nothing is ever delayed."""
        return self._profile is None

    def one_way_s(self) -> float:
        """Return half of a fresh round trip, seconds."""
        return self.round_trip_s() / 2

    def round_trip_s(self) -> float:
        """Return the time of a request's way there and back, seconds."""
        profile = self._profile
        if profile is None:
            return 0.0
        stall_s = _STALL_S if self._rng.random() < profile.stall_chance else 0.0
        return profile.median_s * math.exp(profile.sigma * self._rng.gauss(0.0, 1.0)) + stall_s


def latency_of(name: str, *, seed: int) -> Latency:
    """Return the latency of a profile.

    Raises
    ------
    ConfigurationError
        If there is no such profile.
    """
    if name != "none" and name not in PROFILES:
        known = ", ".join(("none", *PROFILES))
        raise ConfigurationError(f"latency must be one of {known}, was {name!r}")
    return Latency(PROFILES.get(name), random.Random(f"{seed}/latency"))
