"""A one-way position and the exact arithmetic of its profit."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from trading_system.simulation.contracts import money

_ZERO = Decimal(0)


class PositionChange(NamedTuple):
    """What one fill did to a position; amounts in the quote currency.

    ``realised`` is the profit of the closed lots before fees; ``fee`` the whole fee of the fill,
    of which ``close_fee`` fell on the closed lots; ``open_fee`` was paid when they were opened.
    """

    fee: Decimal
    closed_lots: int
    entry_value: Decimal
    exit_value: Decimal
    open_fee: Decimal
    close_fee: Decimal
    realised: Decimal

    @property
    def net(self) -> Decimal:
        """Profit of the closed lots after both fees."""
        return self.realised - self.open_fee - self.close_fee


class Position:
    """Lots (signed, long positive), their entry value and what they have realised.

    The entry value is exact: a reduction takes ``entry_value * closed / size`` rounded to 1e-8
    out of it and the rest stays, a full close takes all of it, so nothing is ever lost.
    """

    __slots__ = (
        "cumulative_realised",
        "entry_value",
        "lots",
        "open_fee",
        "opened_ms",
        "sequence",
        "session_realised",
    )

    def __init__(self) -> None:
        self.lots = 0
        self.entry_value = _ZERO
        self.open_fee = _ZERO
        self.session_realised = _ZERO
        self.cumulative_realised = _ZERO
        self.opened_ms = 0
        self.sequence = -1

    def apply(
        self, signed_lots: int, *, lot_value: Decimal, fee_rate: Decimal, now_ms: int
    ) -> PositionChange:
        """Add one fill.

        Parameters
        ----------
        signed_lots : int
            Lots bought (positive) or sold (negative), not 0.
        lot_value : Decimal
            Price of one lot, quote currency.
        fee_rate : Decimal
            Share of the value charged as fee.
        now_ms : int
            Time of the fill.
        """
        opposes = self.lots * signed_lots < 0
        closed = min(abs(self.lots), abs(signed_lots)) if opposes else 0
        change = self._close(closed, lot_value, fee_rate)
        opened = abs(signed_lots) - closed
        if opened:
            fee = lot_value * opened * fee_rate
            self._open(opened if signed_lots > 0 else -opened, lot_value * opened, fee, now_ms)
            change = change._replace(fee=change.fee + fee)
        return change

    def add_funding(self, received: Decimal) -> None:
        """Count a funding settlement, positive when received."""
        self.session_realised += received
        self.cumulative_realised += received

    def _close(self, closed: int, lot_value: Decimal, fee_rate: Decimal) -> PositionChange:
        if not closed:
            return PositionChange(_ZERO, 0, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO)
        size = abs(self.lots)
        exit_value = lot_value * closed
        fee = exit_value * fee_rate
        if closed == size:
            entry_value, open_fee = self.entry_value, self.open_fee
        else:
            entry_value = money(self.entry_value * closed / size)
            open_fee = money(self.open_fee * closed / size)
        is_long = self.lots > 0
        realised = exit_value - entry_value if is_long else entry_value - exit_value
        self.lots -= closed if is_long else -closed
        self.entry_value -= entry_value
        self.open_fee -= open_fee
        self.session_realised += realised - fee
        self.cumulative_realised += realised - fee
        if not self.lots:
            self.opened_ms = 0
        return PositionChange(fee, closed, entry_value, exit_value, open_fee, fee, realised)

    def _open(self, signed_lots: int, value: Decimal, fee: Decimal, now_ms: int) -> None:
        if not self.lots:
            self.session_realised = _ZERO
            self.opened_ms = now_ms
        self.lots += signed_lots
        self.entry_value += value
        self.open_fee += fee
        self.session_realised -= fee
        self.cumulative_realised -= fee
