"""Compiled kernels of the rolling flow state behind the features of one symbol.

State of one symbol, allocated once by :func:`allocate`:

``counts`` : int64, shape (COUNTS,)
    Times (monotonic nanoseconds) and the last best levels; see the ``_AT`` constants.
``sums`` : float64, shape (SUMS,)
    Fading sums, means and the path of the mid; see the ``_OF`` constants.
``path`` : float64, shape (KEPT_STEPS,)
    Logarithm of the mid on a grid of 0.1 s, a ring.

Each function of the book takes the ``book`` and ``meta`` arrays of
:mod:`trading_system.market.kernels`. Like the kernels there they are compiled by :func:`warm`, not
by the import.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trading_system.market import kernels
from trading_system.market.kernels import FloatArray, IntArray, compiled

NS_PER_S = 1_000_000_000
BPS = 10_000.0
GRID_NS = 100_000_000
STEPS_PER_S = NS_PER_S // GRID_NS
KEPT_STEPS = 30 * STEPS_PER_S
FADE = math.exp(-1.0 / (10.0 * STEPS_PER_S))
"""What is left of a squared move one step later: a time constant of 10 s."""

LAST_FLOW_AT = 0
LAST_TRADE_AT = 1
LAST_MEAN_AT = 2
NEXT_STEP_AT = 3
STEPS_AT = 4
HAS_BEST_AT = 5
BEST_AT = 6  # bid ticks, bid lots, ask ticks, ask lots
LEVELS_AT = 10
COUNTS = 11

FLOW_OF = 0  # three signed sums (fast, medium, slow), then three sums of magnitudes
TRADES_OF = 6  # likewise
IMBALANCE_OF = 12  # newest value, mean, slow mean
LOG_MID_OF = 15
SQUARES_OF = 16
WEIGHT_OF = 17
FLOW_TAUS_OF = 18
MEAN_TAUS_OF = 21
SUMS = 23

FEATURES = 18
"""Numbers that :func:`read` writes, in the order of ``MarketFeatures`` from ``mid`` on."""


def allocate(
    *, levels: int, flow_taus_s: Sequence[float], mean_taus_s: Sequence[float]
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return ``counts``, ``sums`` and ``path`` of a symbol that has seen nothing.

    Parameters
    ----------
    levels : int
        Levels per side of the averaged imbalance.
    flow_taus_s, mean_taus_s : sequence of float
        Three time constants of flows and two of imbalances, seconds.
    """
    counts = np.zeros(COUNTS, dtype=np.int64)
    counts[LAST_MEAN_AT] = -1
    counts[LEVELS_AT] = levels
    sums = np.zeros(SUMS, dtype=np.float64)
    sums[FLOW_TAUS_OF : FLOW_TAUS_OF + 3] = flow_taus_s
    sums[MEAN_TAUS_OF : MEAN_TAUS_OF + 2] = mean_taus_s
    sums[FLOW_TAUS_OF:] *= NS_PER_S
    return counts, sums, np.zeros(KEPT_STEPS, dtype=np.float64)


@compiled
def _imbalance(book: IntArray, meta: IntArray, levels: int) -> float:
    # (bids - asks) / (bids + asks) of the best levels of a two-sided book.
    row = meta[0]
    bids = 0
    for i in range(min(levels, meta[1])):
        bids += book[row + 1, i]
    asks = 0
    for i in range(min(levels, meta[2])):
        asks += book[row + 3, i]
    return (bids - asks) / (bids + asks)


@compiled
def _fade_in(sums: FloatArray, at: int, elapsed_ns: int, value: float) -> None:
    # Adds one signed event to three signed sums and three sums of magnitudes.
    for i in range(3):
        fade = math.exp(-max(0, elapsed_ns) / sums[FLOW_TAUS_OF + i])
        sums[at + i] = sums[at + i] * fade + value
        sums[at + 3 + i] = sums[at + 3 + i] * fade + abs(value)


@compiled
def _add_imbalance(counts: IntArray, sums: FloatArray, value: float, now_ns: int) -> None:
    # Each value holds until the next one; the first stands for all before it.
    for i in range(2):
        mean = IMBALANCE_OF + 1 + i
        if counts[LAST_MEAN_AT] < 0:
            sums[mean] = value
        else:
            elapsed = max(0, now_ns - counts[LAST_MEAN_AT])
            weight = -math.expm1(-elapsed / sums[MEAN_TAUS_OF + i])
            sums[mean] += weight * (sums[IMBALANCE_OF] - sums[mean])
    sums[IMBALANCE_OF] = value
    counts[LAST_MEAN_AT] = now_ns


@compiled
def _step(counts: IntArray, sums: FloatArray, path: FloatArray) -> None:
    # Writes down the mid that holds at the next point of the grid.
    steps = counts[STEPS_AT]
    if steps > 0:
        move_bps = (sums[LOG_MID_OF] - path[(steps - 1) % KEPT_STEPS]) * BPS
        sums[SQUARES_OF] = sums[SQUARES_OF] * FADE + move_bps * move_bps
        sums[WEIGHT_OF] = sums[WEIGHT_OF] * FADE + 1.0
    path[steps % KEPT_STEPS] = sums[LOG_MID_OF]
    counts[STEPS_AT] = steps + 1
    counts[NEXT_STEP_AT] += GRID_NS


@compiled
def _walk_on(counts: IntArray, sums: FloatArray, path: FloatArray, mid: float, now_ns: int) -> None:
    silent_ns = now_ns - counts[NEXT_STEP_AT]
    if counts[STEPS_AT] == 0 or silent_ns > KEPT_STEPS * GRID_NS:
        # After a long silence all that is kept would be one old price.
        counts[STEPS_AT] = 0
        counts[NEXT_STEP_AT] = now_ns
        sums[LOG_MID_OF] = sums[SQUARES_OF] = sums[WEIGHT_OF] = 0.0
    while counts[NEXT_STEP_AT] < now_ns:
        _step(counts, sums, path)
    sums[LOG_MID_OF] = math.log(mid)
    if counts[NEXT_STEP_AT] == now_ns:
        _step(counts, sums, path)


@compiled
def order_flow_event(before: IntArray, after: IntArray) -> float:
    """Return e of one best-level event in lots; states are (bid, bid lots, ask, ask lots).

    Cont, Kukanov and Stoikov, "The Price Impact of Order Book Events" (2014), best level:
    e = 1{b>=b'}B - 1{b<=b'}B' - 1{a<=a'}A + 1{a>=a'}A'.
    """
    event = 0
    if after[0] >= before[0]:
        event += after[1]
    if after[0] <= before[0]:
        event -= before[1]
    if after[2] <= before[2]:
        event -= after[3]
    if after[2] >= before[2]:
        event += before[3]
    return float(event)


@compiled
def on_book(  # noqa: PLR0917 - a tuple of arrays costs more to unbox
    book: IntArray,
    meta: IntArray,
    numerator: int,
    denominator: int,
    counts: IntArray,
    sums: FloatArray,
    path: FloatArray,
    now_ns: int,
) -> None:
    """Take the newest state of a ready two-sided book; of others only the break is noted.

    ``numerator`` over ``denominator`` is the tick size.
    """
    if meta[1] == 0 or meta[2] == 0:
        counts[HAS_BEST_AT] = 0
        return
    row = meta[0]
    best = counts[BEST_AT : BEST_AT + 4]
    newest = book[row : row + 4, 0]
    if counts[HAS_BEST_AT] == 1:
        is_same = True
        for i in range(4):
            is_same = is_same and best[i] == newest[i]
        if not is_same:
            event = order_flow_event(best, newest)
            _fade_in(sums, FLOW_OF, now_ns - counts[LAST_FLOW_AT], event)
            counts[LAST_FLOW_AT] = now_ns
    for i in range(4):
        best[i] = newest[i]
    counts[HAS_BEST_AT] = 1
    _add_imbalance(counts, sums, _imbalance(book, meta, counts[LEVELS_AT]), now_ns)
    mid = (newest[0] + newest[2]) * numerator / (2 * denominator)
    _walk_on(counts, sums, path, mid, now_ns)


@compiled
def on_trade(counts: IntArray, sums: FloatArray, signed: float, now_ns: int) -> None:
    """Count one public trade, positive for a buying aggressor."""
    _fade_in(sums, TRADES_OF, now_ns - counts[LAST_TRADE_AT], signed)
    counts[LAST_TRADE_AT] = now_ns


@compiled
def _ratio(sums: FloatArray, at: int) -> float:
    if sums[at + 3] <= 0.0:
        return 0.0
    ratio: float = sums[at] / sums[at + 3]
    return ratio


@compiled
def _move_bps(counts: IntArray, sums: FloatArray, path: FloatArray, seconds: int) -> float:
    # The move since `seconds` ago, or since the start when that is later.
    steps = counts[STEPS_AT]
    if steps == 0:
        return 0.0
    kept = min(steps, KEPT_STEPS, seconds * STEPS_PER_S)
    move: float = (sums[LOG_MID_OF] - path[(steps - kept) % KEPT_STEPS]) * BPS
    return move


@compiled
def read(  # noqa: PLR0917 - as above
    book: IntArray,
    meta: IntArray,
    numerator: int,
    denominator: int,
    counts: IntArray,
    sums: FloatArray,
    path: FloatArray,
    out: FloatArray,
) -> bool:
    """Write the features of this instant to ``out``; return False without a two-sided book."""
    if meta[1] == 0 or meta[2] == 0:
        return False
    row = meta[0]
    tick = numerator / denominator
    mid = (book[row, 0] + book[row + 2, 0]) * numerator / (2 * denominator)
    out[0] = mid
    out[1] = (book[row + 2, 0] - book[row, 0]) * tick / mid * BPS
    out[2] = sums[IMBALANCE_OF + 1]
    weight = book[row + 1, 0] / (book[row + 1, 0] + book[row + 3, 0])
    out[3] = ((book[row, 0] + (book[row + 2, 0] - book[row, 0]) * weight) * tick - mid) / mid * BPS
    out[4] = _ratio(sums, FLOW_OF + 1)
    out[5] = _ratio(sums, TRADES_OF + 1)
    out[6] = sums[IMBALANCE_OF + 2]
    out[7] = _imbalance(book, meta, 1)
    out[8] = _imbalance(book, meta, 5)
    out[9] = _imbalance(book, meta, 20)
    out[10] = _ratio(sums, FLOW_OF)
    out[11] = _ratio(sums, FLOW_OF + 2)
    out[12] = _ratio(sums, TRADES_OF)
    out[13] = _ratio(sums, TRADES_OF + 2)
    out[14] = _move_bps(counts, sums, path, 1)
    out[15] = _move_bps(counts, sums, path, 5)
    out[16] = _move_bps(counts, sums, path, 30)
    out[17] = 0.0
    if sums[WEIGHT_OF] > 0.0:
        out[17] = math.sqrt(sums[SQUARES_OF] / sums[WEIGHT_OF] * STEPS_PER_S)
    return True


def warm() -> None:
    """Compile every kernel, or load it from the cache, with the types it is called with."""
    book, meta, _ = kernels.allocate(2)
    meta[1] = meta[2] = 1
    book[:4, 0] = 20, 2, 22, 4
    counts, sums, path = allocate(levels=2, flow_taus_s=(1.0,) * 3, mean_taus_s=(1.0,) * 2)
    out = np.zeros(FEATURES, dtype=np.float64)
    on_book(book, meta, 1, 2, counts, sums, path, 1)
    on_trade(counts, sums, 1.0, 2)
    assert read(book, meta, 1, 2, counts, sums, path, out)
    assert out[0] == 10.5
