"""Flow features of one symbol, updated with every book and trade message.

Order-flow imbalance follows Cont, Kukanov and Stoikov, "The Price Impact of Order Book Events"
(2014), best level: e = 1{b>=b'}B - 1{b<=b'}B' - 1{a<=a'}A + 1{a>=a'}A'.
"""

from __future__ import annotations

import math

from trading_system.domain.orders import Side
from trading_system.domain.signals import MarketFeatures
from trading_system.market.book import OrderBook

_NS_PER_S = 1_000_000_000
_BPS = 10_000.0


class _DecayedRatio:
    """Signed sum over sum of magnitudes, both fading with the same time constant."""

    __slots__ = ("_last_ns", "_magnitude", "_signed", "_tau_ns")

    def __init__(self, tau_s: float) -> None:
        self._tau_ns = tau_s * _NS_PER_S
        self._signed = 0.0
        self._magnitude = 0.0
        self._last_ns = 0

    def add(self, value: float, now_ns: int) -> None:
        fade = math.exp(-max(0, now_ns - self._last_ns) / self._tau_ns)
        self._signed = self._signed * fade + value
        self._magnitude = self._magnitude * fade + abs(value)
        self._last_ns = now_ns

    @property
    def ratio(self) -> float:
        if self._magnitude <= 0.0:
            return 0.0
        return self._signed / self._magnitude


class _DecayedMean:
    """Time-weighted exponential mean of a value that holds until the next one."""

    __slots__ = ("_last_ns", "_tau_ns", "_value", "mean")

    def __init__(self, tau_s: float) -> None:
        self._tau_ns = tau_s * _NS_PER_S
        self._value = 0.0
        self._last_ns = -1
        self.mean = 0.0

    def add(self, value: float, now_ns: int) -> None:
        if self._last_ns < 0:
            self.mean = value
        else:
            weight = -math.expm1(-max(0, now_ns - self._last_ns) / self._tau_ns)
            self.mean += weight * (self._value - self.mean)
        self._value = value
        self._last_ns = now_ns


class FlowTracker:
    """Rolling flow state of one symbol.

    Parameters
    ----------
    levels : int
        Levels per side of the depth imbalance, at least 1.
    tau_s : float
        Time constant of all averages, seconds.
    """

    def __init__(self, symbol: str, *, levels: int = 10, tau_s: float = 1.0) -> None:
        self._symbol = symbol
        self._levels = levels
        self._tau_s = tau_s
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a lost stream: the next event has no predecessor."""
        self._last: tuple[int, int, int, int] | None = None
        self._flow = _DecayedRatio(self._tau_s)
        self._trades = _DecayedRatio(self._tau_s)
        self._imbalance = _DecayedMean(self._tau_s)

    def on_book(self, book: OrderBook, now_ns: int) -> None:
        """Take the newest state of a ready two-sided book; others are ignored."""
        bid, ask = book.best_bid_ticks, book.best_ask_ticks
        imbalance = book.imbalance(self._levels)
        if bid is None or ask is None or imbalance is None:
            self._last = None
            return
        bid_lots, ask_lots = book.best_bid_lots, book.best_ask_lots
        assert bid_lots is not None
        assert ask_lots is not None
        state = (bid, bid_lots, ask, ask_lots)
        if self._last is not None and self._last != state:
            self._flow.add(order_flow_event(self._last, state), now_ns)
        self._last = state
        self._imbalance.add(imbalance, now_ns)

    def on_trade(self, side: Side, quantity: float, now_ns: int) -> None:
        """Count one public trade; ``side`` is the aggressor's, ``quantity`` in base currency."""
        self._trades.add(side.sign * quantity, now_ns)

    def features(self, book: OrderBook, now_ns: int) -> MarketFeatures | None:
        """Return the features at this instant, None without a valid two-sided book."""
        mid, micro, spread = book.mid, book.microprice(), book.spread
        if mid is None or micro is None or spread is None:
            return None
        return MarketFeatures(
            symbol=self._symbol,
            mid=mid,
            spread_bps=spread / mid * _BPS,
            imbalance=self._imbalance.mean,
            micro_deviation_bps=(micro - mid) / mid * _BPS,
            order_flow=self._flow.ratio,
            trade_flow=self._trades.ratio,
            ts_ns=now_ns,
        )


def order_flow_event(before: tuple[int, int, int, int], after: tuple[int, int, int, int]) -> float:
    """Return e of one best-level event in lots; states are (bid, bid lots, ask, ask lots)."""
    bid0, bid_lots0, ask0, ask_lots0 = before
    bid1, bid_lots1, ask1, ask_lots1 = after
    event = 0
    if bid1 >= bid0:
        event += bid_lots1
    if bid1 <= bid0:
        event -= bid_lots0
    if ask1 <= ask0:
        event -= ask_lots1
    if ask1 >= ask0:
        event += ask_lots0
    return float(event)
