"""Compiled kernels of the array order book; ``kernels_plain`` holds their plain twins.

State of one book, allocated once by :func:`allocate`:

``book`` : int64, shape (12, capacity)
    Two generations of four rows each (bid ticks, bid lots, ask ticks, ask lots, best first) in
    rows 0-3 and 4-7, then scratch rows 8-11 for the changes of one message. An update writes the
    generation that is not active and switches over only when all of it is good: a refused message
    leaves no trace.
``meta`` : int64, shape (4,)
    First row of the active generation (0 or 4), bid levels, ask levels, depth.
``update`` : float64, shape (HEADER + 4 * capacity,)
    Tick size, quantity step, mode, changed bids, changed asks; then price and size of every
    changed bid, then of every changed ask.

Kernels are lazy: importing this module compiles nothing; :func:`warm` compiles (or loads from the
cache) every kernel with the types the book uses, before the first subscription. The cache lives
in ``NUMBA_CACHE_DIR``, else beside the source, else in the user's cache folder; where none of
these can be written the kernels are compiled anew in each process.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Applied = tuple[int, int, int, int, int]
"""Status, best bid ticks and lots, best ask ticks and lots; 0 ticks where a side is empty."""

OK = 0
BAD_NUMBER = 1
OFF_GRID = 2
DUPLICATE = 3
ZERO_SIZE = 4
CROSSED = 5
TOO_MANY = 6

DELTA = 0
REPLACE = 1
SNAPSHOT = 2
HEADER = 5
"""Numbers in front of the levels of an ``update``."""

MAX_UNITS = float(2**44)
"""Largest price in ticks and size in lots; a thousand of them still sum within int64."""
GRID_TOLERANCE = 1e-6
"""Distance from the grid, in ticks or lots, that is put down to float rounding ..."""
GRID_RELATIVE_TOLERANCE = 5e-16
"""... plus this fraction of the value: two roundings to float and one division."""

IS_INTERPRETED = bool(getattr(numba.config, "DISABLE_JIT", 0))
"""Whether numba is switched off (``NUMBA_DISABLE_JIT=1``), which makes the twins the faster way."""

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return ``function`` as a lazily compiled kernel; decorator.

    Its cache follows the source of its own module only: a kernel must not call one of another.
    """
    try:
        return cast("Callable[P, R]", numba.njit(cache=True)(function))
    except RuntimeError:  # numba found no place it may write a cache to
        return cast("Callable[P, R]", numba.njit(function))


def allocate(depth: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Return ``book``, ``meta`` and ``update`` of an empty book of ``depth`` levels per side.

    One message may change up to ``2 * depth`` levels per side: all of them deleted, as many new.
    """
    capacity = 2 * depth
    update = np.zeros(HEADER + 4 * capacity, dtype=np.float64)
    meta = np.array([0, 0, 0, depth], dtype=np.int64)
    return np.zeros((12, capacity), dtype=np.int64), meta, update


@compiled
def _convert(book: IntArray, update: FloatArray, offset: int, count: int, side: int) -> int:
    # Writes `count` changes as integers to the scratch rows of a side (0 bids, 1 asks), best
    # first: `sign * ticks` ascends from the best level outwards.
    row = 8 + 2 * side
    sign = 2 * side - 1
    for i in range(count):
        price = update[offset + 2 * i] / update[0]
        size = update[offset + 2 * i + 1] / update[1]
        # The comparisons are false for NaN, so that NaN is refused here as well.
        if not (0.5 < price <= MAX_UNITS and 0.0 <= size <= MAX_UNITS):
            return BAD_NUMBER
        ticks = math.floor(price + 0.5)
        lots = math.floor(size + 0.5)
        if abs(price - ticks) > GRID_TOLERANCE + GRID_RELATIVE_TOLERANCE * price:
            return OFF_GRID
        if abs(size - lots) > GRID_TOLERANCE + GRID_RELATIVE_TOLERANCE * size:
            return OFF_GRID
        if lots == 0 and (update[2] == SNAPSHOT or size > 0.0):
            return ZERO_SIZE
        j = i
        while j > 0 and sign * book[row, j - 1] > sign * ticks:
            book[row, j] = book[row, j - 1]
            book[row + 1, j] = book[row + 1, j - 1]
            j -= 1
        if j > 0 and book[row, j - 1] == ticks:
            return DUPLICATE
        book[row, j] = ticks
        book[row + 1, j] = lots
    return OK


@compiled
def _merge(book: IntArray, meta: IntArray, update: FloatArray, side: int) -> int:
    # Merges a side's levels and its scratch rows, both sorted best first, into the generation
    # that is not active; returns the new number of levels.
    source = meta[0] + 2 * side
    target = 4 - meta[0] + 2 * side
    change = 8 + 2 * side
    sign = 2 * side - 1
    source_count = meta[1 + side] if update[2] == DELTA else 0
    change_count = int(update[3 + side])
    depth = meta[3]
    i = 0
    n = 0
    for j in range(change_count):
        key = sign * book[change, j]
        while i < source_count and n < depth and sign * book[source, i] < key:
            book[target, n] = book[source, i]
            book[target + 1, n] = book[source + 1, i]
            i += 1
            n += 1
        if i < source_count and sign * book[source, i] == key:
            i += 1
        if n < depth and book[change + 1, j] > 0:
            book[target, n] = book[change, j]
            book[target + 1, n] = book[change + 1, j]
            n += 1
    rest = min(source_count - i, depth - n)
    for k in range(rest):
        book[target, n + k] = book[source, i + k]
        book[target + 1, n + k] = book[source + 1, i + k]
    count: int = n + rest
    return count


@compiled
def apply_levels(book: IntArray, meta: IntArray, update: FloatArray) -> Applied:
    """Apply the changes of one message to both sides at once, or nothing at all.

    Parameters
    ----------
    book, meta, update : array
        See the module. The mode ``DELTA`` changes the present levels, ``REPLACE`` starts from an
        empty book, ``SNAPSHOT`` does so too and refuses sizes of zero.

    Returns
    -------
    tuple of int
        Status, best bid ticks and lots, best ask ticks and lots. Unless the status is ``OK``
        neither side changed and the other four are 0.
    """
    capacity = book.shape[1]
    if not (0 <= update[3] <= capacity and 0 <= update[4] <= capacity):
        return (TOO_MANY, 0, 0, 0, 0)
    bid_count = int(update[3])
    status = _convert(book, update, HEADER, bid_count, 0)
    if status == OK:
        status = _convert(book, update, HEADER + 2 * bid_count, int(update[4]), 1)
    if status != OK:
        return (status, 0, 0, 0, 0)
    new = 4 - meta[0]
    bids = _merge(book, meta, update, 0)
    asks = _merge(book, meta, update, 1)
    if bids > 0 and asks > 0 and book[new, 0] >= book[new + 2, 0]:
        return (CROSSED, 0, 0, 0, 0)
    meta[0] = new
    meta[1] = bids
    meta[2] = asks
    bid_ticks = book[new, 0] if bids > 0 else 0
    bid_lots = book[new + 1, 0] if bids > 0 else 0
    ask_ticks = book[new + 2, 0] if asks > 0 else 0
    ask_lots = book[new + 3, 0] if asks > 0 else 0
    return (OK, bid_ticks, bid_lots, ask_ticks, ask_lots)


@compiled
def depth_lots(book: IntArray, meta: IntArray, side: int, levels: int) -> int:
    """Return the lots resting on the best ``levels`` of a side (0 bids, 1 asks)."""
    row = meta[0] + 2 * side + 1
    total = 0
    for i in range(min(levels, meta[1 + side])):
        total += book[row, i]
    return total


@compiled
def imbalance(book: IntArray, meta: IntArray, levels: int) -> float:
    """Return (bids - asks) / (bids + asks) of the best ``levels``, NaN when both are empty.

    In [-1, 1], unit weights.
    """
    bids = depth_lots(book, meta, 0, levels)
    asks = depth_lots(book, meta, 1, levels)
    if bids + asks == 0:
        return math.nan
    return (bids - asks) / (bids + asks)


@compiled
def microprice(book: IntArray, meta: IntArray) -> float:
    """Return the size-weighted mid of the best levels in ticks, NaN when a side is empty.

    (ask * bid lots + bid * ask lots) / (bid lots + ask lots), within [bid, ask].
    """
    if meta[1] == 0 or meta[2] == 0:
        return math.nan
    row = meta[0]
    bid_lots = book[row + 1, 0]
    # bid + spread * weight cannot leave [bid, ask] by rounding, and its products stay small.
    weight = bid_lots / (bid_lots + book[row + 3, 0])
    price: float = book[row, 0] + (book[row + 2, 0] - book[row, 0]) * weight
    return price


@compiled
def walk(book: IntArray, meta: IntArray, side: int, lots: float) -> tuple[float, float, int]:
    """Consume up to ``lots`` from a side (0 bids, 1 asks), best level first.

    Returns
    -------
    tuple of (float, float, int)
        Lots taken (at most what is displayed), their mean price in ticks (NaN when nothing was
        taken) and the ticks of the worst level touched (0 when nothing was taken).
    """
    row = meta[0] + 2 * side
    taken = 0.0
    # Costs are summed relative to the best price: fewer digits are lost than with full prices.
    cost = 0.0
    worst = 0
    for i in range(meta[1 + side]):
        if taken >= lots:
            break
        part = min(float(book[row + 1, i]), lots - taken)
        taken += part
        cost += part * (book[row, i] - book[row, 0])
        worst = book[row, i]
    if taken <= 0.0:
        return (0.0, math.nan, 0)
    return (taken, book[row, 0] + cost / taken, worst)


def warm() -> None:
    """Compile every kernel, or load it from the cache, with the types the book calls it with."""
    book, meta, update = allocate(2)
    update[:9] = (0.5, 0.5, SNAPSHOT, 1, 1, 10.0, 1.0, 11.0, 2.0)
    assert apply_levels(book, meta, update) == (OK, 20, 2, 22, 4)
    assert depth_lots(book, meta, 1, 2) == 4
    assert imbalance(book, meta, 2) < 0.0
    assert 20.0 < microprice(book, meta) < 22.0
    assert walk(book, meta, 1, 1.0) == (1.0, 22.0, 22)
