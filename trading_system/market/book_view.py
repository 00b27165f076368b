"""What can be read of an order book: best prices, measures of its shape, and a walk through it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trading_system.domain.errors import ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.market import kernels, kernels_plain

if kernels.IS_INTERPRETED:
    _depth_lots = kernels_plain.depth_lots
    _imbalance = kernels_plain.imbalance
    _microprice = kernels_plain.microprice
    _walk = kernels_plain.walk
else:
    _depth_lots = kernels.depth_lots
    _imbalance = kernels.imbalance
    _microprice = kernels.microprice
    _walk = kernels.walk


@dataclass(frozen=True, slots=True, kw_only=True)
class BookWalk:
    """What an immediate order would get from the displayed book.

    Parameters
    ----------
    filled_qty, unfilled_qty : float
        Base currency; the displayed book never fills more than it shows, the rest is unfilled.
    average_price : float
        Size-weighted mean price of the filled part, quote currency.
    worst_price : float
        Price of the deepest level touched, quote currency.
    cost_bps : float or None
        Signed distance of the average from the mid, positive is a cost; None without a mid.
    """

    filled_qty: float
    unfilled_qty: float
    average_price: float
    worst_price: float
    cost_bps: float | None


class BookView:
    """The readable half of an :class:`~trading_system.market.book.OrderBook`, which fills it.

    Parameters
    ----------
    instrument : Instrument
        Supplies the grid.
    depth : int
        Levels kept of each side.
    """

    __slots__ = (
        "_arrays",
        "_ask_lots",
        "_ask_ticks",
        "_bid_lots",
        "_bid_ticks",
        "_book",
        "_lot_ratio",
        "_meta",
        "_received_ns",
        "_sequence",
        "_suspect",
        "_tick_ratio",
        "_ts_exchange_ns",
        "_update",
        "_update_id",
        "depth",
        "instrument",
    )

    def __init__(self, instrument: Instrument, *, depth: int) -> None:
        self.instrument = instrument
        self.depth = depth
        self._tick_ratio = instrument.tick_size.as_integer_ratio()
        self._lot_ratio = instrument.qty_step.as_integer_ratio()
        self._book, self._meta, self._update = kernels.allocate(depth)
        self._arrays = (self._book, self._meta, *self._tick_ratio)
        self._suspect = False
        self._update_id: int | None = None
        self._sequence: int | None = None
        self._ts_exchange_ns: int | None = None
        self._received_ns: int | None = None
        self._bid_ticks = self._bid_lots = self._ask_ticks = self._ask_lots = 0

    @property
    def update_id(self) -> int | None:
        """``u`` of the newest applied message, None before the first."""
        return self._update_id

    @property
    def sequence(self) -> int | None:
        """``seq`` of the newest applied message, None before the first."""
        return self._sequence

    @property
    def ts_exchange_ns(self) -> int | None:
        """Matching engine's time of the newest applied message, UTC nanoseconds."""
        return self._ts_exchange_ns

    @property
    def received_ns(self) -> int | None:
        """Monotonic receive time of the newest applied message, nanoseconds."""
        return self._received_ns

    @property
    def arrays(self) -> tuple[kernels.IntArray, kernels.IntArray, int, int]:
        """The kernels' ``book`` and ``meta``, and the tick size as numerator and denominator."""
        return self._arrays

    def age_ns(self, now_ns: int) -> int | None:
        """Return nanoseconds since the newest applied message, None before the first.

        ``now_ns`` is of the same monotonic clock as the receive times. A quiet book grows old
        without being wrong: judging staleness takes more than this.
        """
        return None if self._received_ns is None else now_ns - self._received_ns

    @property
    def best_bid_ticks(self) -> int | None:
        """Highest bid, ticks; None when there is none."""
        return self._bid_ticks or None

    @property
    def best_bid_lots(self) -> int | None:
        """Size at the highest bid, lots; None when there is none."""
        return self._bid_lots or None

    @property
    def best_ask_ticks(self) -> int | None:
        """Lowest ask, ticks; None when there is none."""
        return self._ask_ticks or None

    @property
    def best_ask_lots(self) -> int | None:
        """Size at the lowest ask, lots; None when there is none."""
        return self._ask_lots or None

    @property
    def mid(self) -> float | None:
        """Middle of best bid and ask, quote currency; None when a side is empty."""
        if not (self._bid_ticks and self._ask_ticks):
            return None
        numerator, denominator = self._tick_ratio
        return (self._bid_ticks + self._ask_ticks) * numerator / (2 * denominator)

    @property
    def spread(self) -> float | None:
        """Best ask minus best bid, quote currency, positive; None when a side is empty."""
        if not (self._bid_ticks and self._ask_ticks):
            return None
        numerator, denominator = self._tick_ratio
        return (self._ask_ticks - self._bid_ticks) * numerator / denominator

    def imbalance(self, levels: int) -> float | None:
        """Return (bids - asks) / (bids + asks), the sizes summed over the best ``levels``.

        In [-1, 1], unit weights; None when nothing rests there. With one side empty it is -1 or
        1: look at :attr:`mid` first. Fewer levels than asked for count as they are.
        """
        value: float = _imbalance(self._book, self._meta, levels)
        return None if value != value else value  # noqa: PLR0124 - NaN, the fast way

    def microprice(self) -> float | None:
        """Return the size-weighted mid of the best levels, quote currency.

        (ask * bid size + bid * ask size) / (bid size + ask size), within [bid, ask]; None when a
        side is empty. It is the martingale estimate of Stoikov (2018) only to first order: no
        spread or imbalance states are fitted.
        """
        ticks = _microprice(self._book, self._meta)
        return None if math.isnan(ticks) else self._price(ticks)

    def depth_lots(self, side: Side, levels: int) -> int:
        """Return the lots resting on the best ``levels`` of the bids (BUY) or asks (SELL)."""
        return int(_depth_lots(self._book, self._meta, _row(side), levels))

    def levels(self, side: Side, count: int) -> list[tuple[int, int]]:
        """Return up to ``count`` levels of the bids (BUY) or asks (SELL), best first.

        Each is (ticks, lots), both positive.
        """
        row = _row(side)
        shown = min(max(count, 0), int(self._meta[1 + row]))
        first = int(self._meta[0]) + 2 * row
        ticks, lots = self._book[first, :shown].tolist(), self._book[first + 1, :shown].tolist()
        return list(zip(ticks, lots, strict=True))

    def walk(self, side: Side, qty: float) -> BookWalk | None:
        """Return what an immediate order of ``side`` would get from the displayed book.

        Parameters
        ----------
        side : Side
            The order's side: a BUY consumes asks.
        qty : float
            Base currency, finite and positive; need not be on the grid.

        Returns
        -------
        BookWalk or None
            None when the opposite side is empty or the book suspect. Valid for an order that
            arrives now and alone: hidden size, other takers and replenishment are not modelled.

        Raises
        ------
        ValidationError
            If ``qty`` is not finite and positive.
        """
        if not (math.isfinite(qty) and qty > 0):
            raise ValidationError(f"quantity to walk must be finite and positive, was {qty}")
        if self._suspect:
            return None
        lot_numerator, lot_denominator = self._lot_ratio
        lots = float(qty) * lot_denominator / lot_numerator
        taken, mean_ticks, worst = _walk(self._book, self._meta, _row(side.opposite), lots)
        if not taken:
            return None
        filled = qty if taken >= lots else taken * lot_numerator / lot_denominator
        average, mid = self._price(mean_ticks), self.mid
        return BookWalk(
            filled_qty=filled,
            unfilled_qty=max(qty - filled, 0.0),
            average_price=average,
            worst_price=self._price(worst),
            cost_bps=None if mid is None else side.sign * (average - mid) / mid * 10_000,
        )

    def _price(self, ticks: float) -> float:
        numerator, denominator = self._tick_ratio
        return ticks * numerator / denominator


def _row(side: Side) -> int:
    return 0 if side is Side.BUY else 1
