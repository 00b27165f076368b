"""The feature vector of ``FlowTracker`` by array expressions over everything it looks at.

Written for the comparison: what a careful numpy user would do at every message. Sums that fade are
taken over the events of the last 60 s, beyond which nothing is left of them. Histories are arrays
and what has several time constants is one matrix product.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trading_system.domain.orders import Side
from trading_system.market.book import OrderBook

_BPS = 10_000.0
_STEP_NS = 100_000_000
_KEPT_STEPS = 300
_KEPT_NS = 60_000_000_000
_ROOM = 20_000
_FLOWS = ("order_flow_fast", "order_flow", "order_flow_slow")
_FLOW_RATES = 1e-9 / np.array([0.25, 1.0, 5.0])
_MEANS = ("imbalance", "imbalance_slow")
_MEAN_RATES = 1e-9 / np.array([1.0, 5.0])
_VOLATILITY_STEPS = 2_000
_FADES = np.exp(-np.arange(_VOLATILITY_STEPS)[::-1] / 100.0)


class Levels(NamedTuple):
    """Both sides of a book, best first: columns of ticks and lots."""

    bids: Any
    asks: Any


def levels(book: OrderBook) -> Levels:
    """Return the book as arrays; not part of what is measured."""
    return Levels(
        np.array(book.levels(Side.BUY, 50), dtype=float),
        np.array(book.levels(Side.SELL, 50), dtype=float),
    )


class _Series:
    """Stamped values in preallocated arrays; old ones are left behind."""

    def __init__(self) -> None:
        self._stamps = np.zeros(_ROOM)
        self._values = np.zeros(_ROOM)
        self._from = self._to = 0

    def add(self, now_ns: int, value: float) -> None:
        self._stamps[self._to] = now_ns
        self._values[self._to] = value
        self._to += 1

    def since(self, oldest_ns: int) -> tuple[Any, Any]:
        while self._stamps[self._from] < oldest_ns and self._from < self._to:
            self._from += 1
        kept = slice(self._from, self._to)
        return self._stamps[kept], self._values[kept]

    def newest(self, count: int) -> Any:
        return self._values[max(0, self._to - count) : self._to]


class Tracker:
    """Keeps events and computes from them."""

    def __init__(self) -> None:
        self._last: Any = None
        self._events = _Series()
        self._imbalances = _Series()
        self._steps = _Series()
        self._log_mid = 0.0
        self._next_ns = 0

    def features(self, held: Levels, now_ns: int) -> dict[str, float]:
        """Return all model inputs; there are no trades in this flow."""
        bids, asks = held
        best = np.concatenate((bids[0], asks[0]))
        if self._last is not None and not np.array_equal(best, self._last):
            self._events.add(now_ns, _event(self._last, best))
        self._last = best
        self._imbalances.add(now_ns, _imbalance(bids, asks, 10))
        mid = (bids[0, 0] + asks[0, 0]) / 2
        micro = (bids[0, 0] * asks[0, 1] + asks[0, 0] * bids[0, 1]) / (bids[0, 1] + asks[0, 1])
        self._walk(float(np.log(mid)), now_ns)
        return {
            "spread_bps": (asks[0, 0] - bids[0, 0]) / mid * _BPS,
            "micro_deviation_bps": (micro - mid) / mid * _BPS,
            **{f"imbalance_{count}": _imbalance(bids, asks, count) for count in (1, 5, 20)},
            **dict.fromkeys(("trade_flow_fast", "trade_flow", "trade_flow_slow"), 0.0),
            **self._flows(now_ns),
            **self._averages(now_ns),
            **self._moves(),
        }

    def _flows(self, now_ns: int) -> dict[str, float]:
        stamps, values = self._events.since(now_ns - _KEPT_NS)
        if not len(values):
            return dict.fromkeys(_FLOWS, 0.0)
        weights = np.exp(np.outer(_FLOW_RATES, stamps - now_ns))
        ratios = (weights @ values) / (weights @ np.abs(values))
        return dict(zip(_FLOWS, ratios.tolist(), strict=True))

    def _averages(self, now_ns: int) -> dict[str, float]:
        stamps, values = self._imbalances.since(now_ns - _KEPT_NS)
        # Each value holds until the next one; the first stands for all before it.
        ages = np.exp(np.outer(_MEAN_RATES, stamps - stamps[-1]))
        means = np.diff(ages, axis=1) @ values[:-1] + values[0] * ages[:, 0]
        return dict(zip(_MEANS, means.tolist(), strict=True))

    def _walk(self, log_mid: float, now_ns: int) -> None:
        """Write the mid down on the grid that begins with the first message."""
        self._next_ns = self._next_ns or now_ns
        while self._next_ns < now_ns:
            self._steps.add(self._next_ns, self._log_mid)
            self._next_ns += _STEP_NS
        self._log_mid = log_mid
        if self._next_ns == now_ns:
            self._steps.add(now_ns, log_mid)
            self._next_ns += _STEP_NS

    def _moves(self) -> dict[str, float]:
        kept = self._steps.newest(_KEPT_STEPS)
        found = {
            f"return_{seconds}s_bps": float(self._log_mid - kept[max(0, len(kept) - seconds * 10)])
            * _BPS
            for seconds in (1, 5, 30)
        }
        squares = (np.diff(self._steps.newest(_VOLATILITY_STEPS)) * _BPS) ** 2
        weights = _FADES[_VOLATILITY_STEPS - len(squares) :]
        total = weights.sum()
        found["volatility_bps"] = float(np.sqrt(squares @ weights / total * 10)) if total else 0.0
        return found


def _imbalance(bids: Any, asks: Any, count: int) -> float:
    bid, ask = bids[:count, 1].sum(), asks[:count, 1].sum()
    return float((bid - ask) / (bid + ask))


def _event(before: Any, after: Any) -> float:
    signs = np.array(
        [after[0] >= before[0], after[0] <= before[0], after[2] <= before[2], after[2] >= before[2]]
    )
    lots = np.array([after[1], -before[1], -after[3], before[3]])
    return float(lots @ signs)
