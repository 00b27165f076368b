"""Back-off: bounded, exponential, with full jitter.

References
----------
Brooker, M.: Exponential Backoff and Jitter, AWS Architecture Blog, 2015 ("full jitter").
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from trading_system.domain.errors import ValidationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A retry policy.

    Parameters
    ----------
    first_s : float
        Upper bound of the first delay, seconds.
    max_s : float
        Upper bound of every delay, seconds.
    factor : float
        Growth of the upper bound from one attempt to the next, at least 1.
    attempts : int
        Number of delays, at least 0; after the last the caller gives up.
    """

    first_s: float = 0.1
    max_s: float = 10.0
    factor: float = 2.0
    attempts: int = 5

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.first_s, self.max_s, self.factor))):
            raise ValidationError("a back-off must be finite")
        if not 0 < self.first_s <= self.max_s:
            raise ValidationError(f"first_s must be above 0 and at most {self.max_s} s")
        if self.factor < 1:
            raise ValidationError(f"factor must be at least 1, was {self.factor}")
        if self.attempts < 0:
            raise ValidationError(f"attempts must not be negative, was {self.attempts}")

    def delays(self, rng: random.Random) -> Iterator[float]:
        """Yield ``attempts`` delays in seconds, each uniform between 0 and its bound."""
        bound_s = self.first_s
        for _ in range(self.attempts):
            yield rng.uniform(0.0, bound_s)
            bound_s = min(self.max_s, bound_s * self.factor)
