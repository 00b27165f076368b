"""Flow features of one symbol, updated with every book, trade and ticker message.

Training and live trading compute features here and nowhere else.

Order-flow imbalance follows Cont, Kukanov and Stoikov, "The Price Impact of Order Book Events"
(2014), best level: e = 1{b>=b'}B - 1{b<=b'}B' - 1{a<=a'}A + 1{a>=a'}A'.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from trading_system.domain.events import TickerState
from trading_system.domain.orders import Side
from trading_system.domain.signals import MarketFeatures
from trading_system.market import flow_kernels
from trading_system.market.book import OrderBook

_BPS = 10_000.0
_FAST = 0.25
_SLOW = 5.0
_INTEREST_NS = 60_000_000_000
_BEFORE_TIME = MarketFeatures._fields.index("ts_ns") - 1


class _Positioning:
    """What tickers tell about derivatives traders."""

    __slots__ = ("_interests", "basis_bps", "funding_rate_bps", "has_ticker", "interest_bps")

    def __init__(self) -> None:
        self._interests: deque[tuple[int, float]] = deque(maxlen=1_024)
        self.has_ticker = False
        self.funding_rate_bps = 0.0
        self.basis_bps = 0.0
        self.interest_bps = 0.0

    def add(self, ticker: TickerState) -> None:
        self.has_ticker = True
        if ticker.funding_rate is not None:
            self.funding_rate_bps = float(ticker.funding_rate) * _BPS
        if ticker.mark_price and ticker.index_price:
            self.basis_bps = (float(ticker.mark_price / ticker.index_price) - 1.0) * _BPS
        if ticker.open_interest:
            self._add_interest(float(ticker.open_interest), ticker.ts_received_ns)

    def _add_interest(self, interest: float, now_ns: int) -> None:
        held = self._interests
        held.append((now_ns, interest))
        while now_ns - held[0][0] > _INTEREST_NS:
            held.popleft()
        self.interest_bps = (interest / held[0][1] - 1.0) * _BPS


class FlowTracker:
    """Rolling flow state of one symbol.

    Parameters
    ----------
    levels : int
        Levels per side of the averaged depth imbalance, at least 1.
    tau_s : float
        Middle time constant of all averages, seconds; the fast one is a quarter of it, the slow
        one five times as long.
    """

    def __init__(self, symbol: str, *, levels: int = 10, tau_s: float = 1.0) -> None:
        self._symbol = symbol
        self._levels = levels
        self._flow_taus_s = (tau_s * _FAST, tau_s, tau_s * _SLOW)
        self._mean_taus_s = (tau_s, tau_s * _SLOW)
        self._read = np.zeros(flow_kernels.FEATURES, dtype=np.float64)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a lost stream: the next event has no predecessor."""
        self._state = flow_kernels.allocate(
            levels=self._levels, flow_taus_s=self._flow_taus_s, mean_taus_s=self._mean_taus_s
        )
        self._positioning = _Positioning()

    def on_book(self, book: OrderBook, now_ns: int) -> None:
        """Take the newest state of a ready two-sided book; others are ignored."""
        flow_kernels.on_book(*book.arrays, *self._state, now_ns)

    def on_trade(self, side: Side, quantity: float, now_ns: int) -> None:
        """Count one public trade; ``side`` is the aggressor's, ``quantity`` in base currency."""
        counts, sums, _ = self._state
        flow_kernels.on_trade(counts, sums, side.sign * quantity, now_ns)

    def on_ticker(self, ticker: TickerState) -> None:
        """Take the newest ticker; what it does not say keeps its last value."""
        self._positioning.add(ticker)

    def features(self, book: OrderBook, now_ns: int) -> MarketFeatures | None:
        """Return the features at this instant, None without a valid two-sided book."""
        if not flow_kernels.read(*book.arrays, *self._state, self._read):
            return None
        values = self._read.tolist()
        positioning = self._positioning
        return MarketFeatures._make(
            (
                self._symbol,
                *values[:_BEFORE_TIME],
                now_ns,
                *values[_BEFORE_TIME:],
                positioning.has_ticker,
                positioning.funding_rate_bps,
                positioning.basis_bps,
                positioning.interest_bps,
            )
        )
