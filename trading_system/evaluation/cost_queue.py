"""A resting order that nobody sees: its place in the queue, from public figures only.

Pessimistic rule: what is cancelled is taken from behind the order, as long as the level still
shows enough; it fills when trades have eaten the queue before it, or when the price trades through.
"""

from __future__ import annotations

from dataclasses import dataclass

from trading_system.domain.orders import Side


@dataclass(slots=True, kw_only=True)
class QueuePlace:
    """The estimated place of one virtual order; prices in ticks, sizes in lots.

    Parameters
    ----------
    side : Side
        Of the resting order.
    price_ticks, lots : int
        Its price and what is left of it, positive.
    ahead_lots : int
        Displayed at its price when it arrived, not negative.
    """

    side: Side
    price_ticks: int
    lots: int
    ahead_lots: int

    @property
    def is_filled(self) -> bool:
        """Whether nothing of the order is left."""
        return self.lots == 0

    def on_trade(self, *, taker: Side, price_ticks: int, lots: int) -> None:
        """Take note of one public trade of the aggressor ``taker``."""
        beyond = self.side.sign * (self.price_ticks - price_ticks)
        if beyond > 0:
            self.lots = 0
        elif beyond == 0 and taker is not self.side:
            reached = max(lots - self.ahead_lots, 0)
            self.ahead_lots = max(self.ahead_lots - lots, 0)
            self.lots = max(self.lots - reached, 0)

    def on_displayed(self, lots: int) -> None:
        """Take note of the size that is shown at the order's price; no more can be before it."""
        self.ahead_lots = min(self.ahead_lots, lots)

    def on_opposite(self, price_ticks: int) -> None:
        """Take note of the best price of the other side; beyond the order's it fills."""
        if self.side.sign * (self.price_ticks - price_ticks) > 0:
            self.lots = 0
