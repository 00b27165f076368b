"""Rule agent on derivatives positioning: leans against a crowd, at extremes only.

Funding, long/short ratio and basis each say on which side the crowd is and pays for it. The
thresholds are a prior, not fitted: outside them the agent abstains, beyond them it leans against
the crowd by two points of probability at most. Over seconds such data hardly predicts, so the
expected move is small and its uncertainty large; the weights learned from outcomes judge it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trading_system.domain.signals import MarketFeatures, Opinion

_BPS = 10_000.0
_FUNDING_BPS = 5.0
_RATIO = 2.5
_BASIS_BPS = 30.0
_OPEN_INTEREST_PCT = 5.0
_LEAN = 0.02
_MOVE_BPS = 0.5
_UNCERTAINTY_BPS = 2.0
_MAX_SCORE = 2.0
_MAX_AGE_NS = 300 * 1_000_000_000

INSTITUTIONAL_KEYS = ("funding_rate", "open_interest_change", "long_short_ratio", "basis_bps")
"""What the agent understands: fraction per interval, percent, ratio, basis points."""


@dataclass(frozen=True, slots=True)
class Positioning:
    """Known positioning figures; None where there is none.

    Parameters
    ----------
    funding_rate : float or None
        Fraction of the position's value paid by longs per funding interval.
    open_interest_change : float or None
        Change of open interest, percent.
    long_short_ratio : float or None
        Accounts that are long over those that are short, above 0.
    basis_bps : float or None
        Derivative over spot price, basis points.
    """

    funding_rate: float | None = None
    open_interest_change: float | None = None
    long_short_ratio: float | None = None
    basis_bps: float | None = None


def positioning_of(data: Mapping[str, object] | None) -> Positioning:
    """Return the figures in ``data``; what is no finite number is missing."""
    return Positioning(*(number_of((data or {}).get(key)) for key in INSTITUTIONAL_KEYS))


def number_of(value: object) -> float | None:
    """Return ``value`` as a finite float if it is a number or the text of one."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type] # anything may come; what fails is missing
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def crowding(positioning: Positioning) -> float:
    """Return how crowded the long side is: 0 without an extreme, negative for shorts.

    Growing open interest (above 5 %) makes an extreme weigh half as much again.
    """
    score = 0.0
    if positioning.funding_rate is not None:
        score += _extreme(positioning.funding_rate * _BPS / _FUNDING_BPS)
    if positioning.long_short_ratio is not None and positioning.long_short_ratio > 0.0:
        score += _extreme(math.log(positioning.long_short_ratio) / math.log(_RATIO))
    if positioning.basis_bps is not None:
        score += _extreme(positioning.basis_bps / _BASIS_BPS)
    if (positioning.open_interest_change or 0.0) > _OPEN_INTEREST_PCT:
        score *= 1.5
    return min(_MAX_SCORE, max(-_MAX_SCORE, score))


class PositioningAgent:
    """Contrarian at extremes of positioning, silent otherwise."""

    name = "positioning"
    family = "derivatives"
    requires = ("mid",)

    def __init__(self, symbol: str, *, horizon_s: float = 10.0) -> None:
        self._symbol = symbol
        self._horizon_s = horizon_s
        self._known = Positioning()
        self._known_ns = 0

    def inform(self, positioning: Positioning, *, ts_ns: int) -> None:
        """Take the newest figures; they are used for five minutes."""
        self._known = positioning
        self._known_ns = ts_ns

    def observe(self, features: MarketFeatures) -> None:
        """Learn nothing: the rule is fixed."""

    def opinion(self, features: MarketFeatures) -> Opinion | None:
        """Return a small lean against the crowd, None without an extreme."""
        if features.ts_ns - self._known_ns > _MAX_AGE_NS:
            return None
        score = crowding(self._known)
        if score == 0.0:
            return None
        return Opinion(
            agent=self.name,
            symbol=self._symbol,
            p_up=0.5 - _LEAN * score / _MAX_SCORE,
            expected_move_bps=-_MOVE_BPS * score,
            uncertainty_bps=_UNCERTAINTY_BPS,
            horizon_s=self._horizon_s,
            samples=0,
            ts_ns=features.ts_ns,
            reasons=(f"{'longs' if score > 0 else 'shorts'} are crowded",),
        )

    def reset(self) -> None:
        """Keep everything: nothing here depends on the market data stream."""


def _extreme(value: float) -> float:
    return math.copysign(min(1.0, abs(value) - 0.5), value) if abs(value) >= 1.0 else 0.0
