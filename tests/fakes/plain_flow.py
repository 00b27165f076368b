"""The rolling flow state in plain Python, one small object per idea: the twin of the kernels."""

from __future__ import annotations

import math
from collections import deque

_NS_PER_S = 1_000_000_000
_BPS = 10_000.0
_FAST = 0.25
_SLOW = 5.0
_GRID_NS = 100_000_000
_STEPS_PER_S = _NS_PER_S // _GRID_NS
_KEPT_STEPS = 30 * _STEPS_PER_S
_VOLATILITY_TAU_S = 10.0


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


class _Flow:
    """One stream of signed events seen with three time constants."""

    __slots__ = ("fast", "medium", "slow")

    def __init__(self, tau_s: float) -> None:
        self.fast = _DecayedRatio(tau_s * _FAST)
        self.medium = _DecayedRatio(tau_s)
        self.slow = _DecayedRatio(tau_s * _SLOW)

    def add(self, value: float, now_ns: int) -> None:
        self.fast.add(value, now_ns)
        self.medium.add(value, now_ns)
        self.slow.add(value, now_ns)


class _Path:
    """The mid on a grid of 0.1 s over the last 30 s, and how much it moves."""

    __slots__ = ("_log_mid", "_next_ns", "_squares", "_steps", "_weight")

    _FADE = math.exp(-1.0 / (_VOLATILITY_TAU_S * _STEPS_PER_S))

    def __init__(self) -> None:
        self._steps: deque[float] = deque(maxlen=_KEPT_STEPS)
        self._begin(0)

    def _begin(self, now_ns: int) -> None:
        self._steps.clear()
        self._next_ns = now_ns
        self._log_mid = 0.0
        self._squares = 0.0
        self._weight = 0.0

    def add(self, mid: float, now_ns: int) -> None:
        silent_ns = now_ns - self._next_ns
        if not self._steps or silent_ns > _KEPT_STEPS * _GRID_NS:
            self._begin(now_ns)  # after a long silence all that is kept would be one old price
        while self._next_ns < now_ns:
            self._step()
        self._log_mid = math.log(mid)
        if self._next_ns == now_ns:
            self._step()

    def _step(self) -> None:
        """Write down the mid that holds at the next point of the grid."""
        if self._steps:
            move_bps = (self._log_mid - self._steps[-1]) * _BPS
            self._squares = self._squares * self._FADE + move_bps * move_bps
            self._weight = self._weight * self._FADE + 1.0
        self._steps.append(self._log_mid)
        self._next_ns += _GRID_NS

    def move_bps(self, seconds: int) -> float:
        """Return the move since ``seconds`` ago, or since the start when that is later."""
        steps = self._steps
        if not steps:
            return 0.0
        before = steps[max(0, len(steps) - seconds * _STEPS_PER_S)]
        return (self._log_mid - before) * _BPS

    @property
    def volatility_bps(self) -> float:
        """Root of the mean squared move, basis points per square root of a second."""
        if self._weight <= 0.0:
            return 0.0
        return math.sqrt(self._squares / self._weight * _STEPS_PER_S)


class PlainFlow:
    """What :class:`FlowTracker` keeps of books and trades."""

    def __init__(self, *, levels=10, tau_s=1.0):
        self._levels = levels
        self._last = None
        self._flow, self._trades = _Flow(tau_s), _Flow(tau_s)
        self._imbalance, self._imbalance_slow = _DecayedMean(tau_s), _DecayedMean(tau_s * _SLOW)
        self._path = _Path()

    def on_book(self, book, now_ns):
        bid, ask = book.best_bid_ticks, book.best_ask_ticks
        if bid is None or ask is None:
            self._last = None
            return
        state = (bid, book.best_bid_lots, ask, book.best_ask_lots)
        if self._last is not None and self._last != state:
            self._flow.add(_event(self._last, state), now_ns)
        self._last = state
        imbalance = book.imbalance(self._levels)
        self._imbalance.add(imbalance, now_ns)
        self._imbalance_slow.add(imbalance, now_ns)
        self._path.add(book.mid, now_ns)

    def on_trade(self, side, quantity, now_ns):
        self._trades.add(side.sign * quantity, now_ns)

    def features(self, book):
        mid = book.mid
        if mid is None:
            return None
        return {
            "mid": mid,
            "spread_bps": book.spread / mid * _BPS,
            "micro_deviation_bps": (book.microprice() - mid) / mid * _BPS,
            "imbalance": self._imbalance.mean,
            "imbalance_slow": self._imbalance_slow.mean,
            **{f"imbalance_{count}": book.imbalance(count) for count in (1, 5, 20)},
            "order_flow_fast": self._flow.fast.ratio,
            "order_flow": self._flow.medium.ratio,
            "order_flow_slow": self._flow.slow.ratio,
            "trade_flow_fast": self._trades.fast.ratio,
            "trade_flow": self._trades.medium.ratio,
            "trade_flow_slow": self._trades.slow.ratio,
            **{f"return_{s}s_bps": self._path.move_bps(s) for s in (1, 5, 30)},
            "volatility_bps": self._path.volatility_bps,
        }


def _event(before, after):
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
