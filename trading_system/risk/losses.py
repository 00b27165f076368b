"""The loss limits: how far equity may fall since midnight UTC and from its peak.

A broken limit lets through only what shrinks a position (``REDUCING``), not nothing at all: a gate
that also refused exits would keep the account in the very position that is losing. ``HALTED`` is
for the kill switch, a refused key, a broken journal and an outage, where sending itself is the
danger. The engine latches a breach in the journal, so that it survives a restart, and only an
explicit reset lifts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from trading_system.domain.errors import ValidationError

_NS_PER_DAY = 86_400_000_000_000
_HUNDRED = Decimal(100)


class LossLimit(Enum):
    """Which limit was broken."""

    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossBreach:
    """A broken limit; both figures in percent of the reference equity."""

    limit: LossLimit
    loss_pct: Decimal
    limit_pct: Decimal

    @property
    def reason(self) -> str:
        """One sentence with the figures."""
        since = "since midnight UTC" if self.limit is LossLimit.DAILY_LOSS else "from its peak"
        return f"equity fell {self.loss_pct:.2f} % {since}, limit {self.limit_pct} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossState:
    """The references that losses are measured from; they survive a restart in the journal.

    Parameters
    ----------
    utc_day : int
        Days since the epoch, UTC.
    day_start_equity, peak_equity : Decimal
        Equity when the day began and its largest value, quote currency.
    """

    utc_day: int
    day_start_equity: Decimal
    peak_equity: Decimal


class LossGuard:
    """Judges each equity against the day's start and the peak.

    Parameters
    ----------
    max_daily_loss_pct, max_drawdown_pct : Decimal
        Largest falls, percent, positive; a fall of exactly the limit breaks it.
    state : LossState or None
        References of an earlier run; its day start counts only on the same UTC day.
    """

    def __init__(
        self,
        *,
        max_daily_loss_pct: Decimal,
        max_drawdown_pct: Decimal,
        state: LossState | None = None,
    ) -> None:
        for name, value in (("daily loss", max_daily_loss_pct), ("drawdown", max_drawdown_pct)):
            if not (value.is_finite() and value > 0):
                raise ValidationError(f"the {name} limit must be positive, was {value}")
        self._max_daily_loss_pct = max_daily_loss_pct
        self._max_drawdown_pct = max_drawdown_pct
        self._equity: Decimal | None = None
        self.state = state

    def update(self, equity: Decimal, utc_ns: int) -> LossBreach | None:
        """Note the newest equity and return the limit it breaks, None if it breaks none.

        The first update of a new day takes the last equity of the day before as its start. A UTC
        clock that jumps back begins no new day.

        Raises
        ------
        ValidationError
            If equity is not finite; nothing changed.
        """
        if not equity.is_finite():
            raise ValidationError(f"equity must be finite, was {equity}")
        day = utc_ns // _NS_PER_DAY
        before, self._equity = self._equity, equity
        state = self.state
        if state is None:
            state = LossState(utc_day=day, day_start_equity=equity, peak_equity=equity)
        elif day > state.utc_day or equity > state.peak_equity:
            is_new_day = day > state.utc_day
            start = before if before is not None else equity
            state = LossState(
                utc_day=max(day, state.utc_day),
                day_start_equity=start if is_new_day else state.day_start_equity,
                peak_equity=max(equity, state.peak_equity),
            )
        self.state = state
        return self._judge(equity, state)

    def reset(self) -> None:
        """Measure from the newest equity on, as if the account had begun there."""
        self.state = None

    @property
    def daily_loss_pct(self) -> Decimal | None:
        """Fall since the day began, percent, negative for a gain; None before an update."""
        if self.state is None or self._equity is None:
            return None
        return _fall_pct(self.state.day_start_equity, self._equity)

    @property
    def drawdown_pct(self) -> Decimal | None:
        """Fall from the equity peak, percent, at least 0; None before an update."""
        if self.state is None or self._equity is None:
            return None
        return _fall_pct(self.state.peak_equity, self._equity)

    def _judge(self, equity: Decimal, state: LossState) -> LossBreach | None:
        checks = (
            (LossLimit.DAILY_LOSS, state.day_start_equity, self._max_daily_loss_pct),
            (LossLimit.DRAWDOWN, state.peak_equity, self._max_drawdown_pct),
        )
        for limit, reference, limit_pct in checks:
            loss_pct = _fall_pct(reference, equity)
            if loss_pct >= limit_pct:
                return LossBreach(limit=limit, loss_pct=loss_pct, limit_pct=limit_pct)
        return None


def _fall_pct(reference: Decimal, equity: Decimal) -> Decimal:
    # An account without equity has nothing left to lose: everything is lost, or nothing was there.
    if reference <= 0:
        return _HUNDRED if equity < reference else Decimal(0)
    return (reference - equity) / reference * _HUNDRED
