"""Flow features of one symbol, updated with every book, trade and ticker message.

Training and live trading compute features here and nowhere else.

Order-flow imbalance follows Cont, Kukanov and Stoikov, "The Price Impact of Order Book Events"
(2014), best level: e = 1{b>=b'}B - 1{b<=b'}B' - 1{a<=a'}A + 1{a>=a'}A'.
"""

from __future__ import annotations

import math
from collections import deque

from trading_system.domain.events import TickerState
from trading_system.domain.orders import Side
from trading_system.domain.signals import MarketFeatures
from trading_system.market.book import OrderBook

_NS_PER_S = 1_000_000_000
_BPS = 10_000.0
_FAST = 0.25
_SLOW = 5.0
_GRID_NS = 100_000_000
_STEPS_PER_S = _NS_PER_S // _GRID_NS
_KEPT_STEPS = 30 * _STEPS_PER_S
_VOLATILITY_TAU_S = 10.0
_INTEREST_NS = 60 * _NS_PER_S


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
        self._tau_s = tau_s
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a lost stream: the next event has no predecessor."""
        self._last: tuple[int, int, int, int] | None = None
        self._flow = _Flow(self._tau_s)
        self._trades = _Flow(self._tau_s)
        self._imbalance = _DecayedMean(self._tau_s)
        self._imbalance_slow = _DecayedMean(self._tau_s * _SLOW)
        self._path = _Path()
        self._positioning = _Positioning()

    def on_book(self, book: OrderBook, now_ns: int) -> None:
        """Take the newest state of a ready two-sided book; others are ignored."""
        bid, ask = book.best_bid_ticks, book.best_ask_ticks
        imbalance, mid = book.imbalance(self._levels), book.mid
        if bid is None or ask is None or imbalance is None or mid is None:
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
        self._imbalance_slow.add(imbalance, now_ns)
        self._path.add(mid, now_ns)

    def on_trade(self, side: Side, quantity: float, now_ns: int) -> None:
        """Count one public trade; ``side`` is the aggressor's, ``quantity`` in base currency."""
        self._trades.add(side.sign * quantity, now_ns)

    def on_ticker(self, ticker: TickerState) -> None:
        """Take the newest ticker; what it does not say keeps its last value."""
        self._positioning.add(ticker)

    def features(self, book: OrderBook, now_ns: int) -> MarketFeatures | None:
        """Return the features at this instant, None without a valid two-sided book."""
        mid, micro, spread = book.mid, book.microprice(), book.spread
        if mid is None or micro is None or spread is None:
            return None
        flow, trades, path, positioning = self._flow, self._trades, self._path, self._positioning
        return MarketFeatures(
            symbol=self._symbol,
            mid=mid,
            spread_bps=spread / mid * _BPS,
            imbalance=self._imbalance.mean,
            micro_deviation_bps=(micro - mid) / mid * _BPS,
            order_flow=flow.medium.ratio,
            trade_flow=trades.medium.ratio,
            ts_ns=now_ns,
            imbalance_slow=self._imbalance_slow.mean,
            imbalance_1=book.imbalance(1) or 0.0,
            imbalance_5=book.imbalance(5) or 0.0,
            imbalance_20=book.imbalance(20) or 0.0,
            order_flow_fast=flow.fast.ratio,
            order_flow_slow=flow.slow.ratio,
            trade_flow_fast=trades.fast.ratio,
            trade_flow_slow=trades.slow.ratio,
            return_1s_bps=path.move_bps(1),
            return_5s_bps=path.move_bps(5),
            return_30s_bps=path.move_bps(30),
            volatility_bps=path.volatility_bps,
            has_ticker=positioning.has_ticker,
            funding_rate_bps=positioning.funding_rate_bps,
            basis_bps=positioning.basis_bps,
            open_interest_change_bps=positioning.interest_bps,
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
