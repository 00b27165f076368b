"""Plain twins of ``kernels``: dictionaries and sorting, no numba.

The same arguments, results and effects, written the obvious way: the property tests hold both
equal, and the book uses these when numba is switched off.
"""

from __future__ import annotations

import math

from trading_system.market.kernels import (
    BAD_NUMBER,
    CROSSED,
    DELTA,
    DUPLICATE,
    GRID_RELATIVE_TOLERANCE,
    GRID_TOLERANCE,
    HEADER,
    MAX_UNITS,
    OFF_GRID,
    OK,
    SNAPSHOT,
    TOO_MANY,
    ZERO_SIZE,
    Applied,
    FloatArray,
    IntArray,
)


def apply_levels(book: IntArray, meta: IntArray, update: FloatArray) -> Applied:
    """Apply the changes of one message to both sides at once, or nothing at all."""
    tick_size, qty_step, mode, bid_count, ask_count = update[:HEADER].tolist()
    capacity = book.shape[1]
    if not (0 <= bid_count <= capacity and 0 <= ask_count <= capacity):
        return (TOO_MANY, 0, 0, 0, 0)
    split = 2 * int(bid_count)
    numbers = update[HEADER : HEADER + split + 2 * int(ask_count)].tolist()
    bid_status, bid_changes = _changes(numbers[:split], (tick_size, qty_step), mode)
    if bid_status != OK:
        return (bid_status, 0, 0, 0, 0)
    ask_status, ask_changes = _changes(numbers[split:], (tick_size, qty_step), mode)
    if ask_status != OK:
        return (ask_status, 0, 0, 0, 0)
    depth = int(meta[3])
    bids = sorted(_merged(book, meta, 0, bid_changes, mode), reverse=True)[:depth]
    asks = sorted(_merged(book, meta, 1, ask_changes, mode))[:depth]
    if bids and asks and bids[0][0] >= asks[0][0]:
        return (CROSSED, 0, 0, 0, 0)
    meta[0] = row = 4 - int(meta[0])
    _write(book, row, bids)
    _write(book, row + 2, asks)
    meta[1] = len(bids)
    meta[2] = len(asks)
    return (OK, *(bids[0] if bids else (0, 0)), *(asks[0] if asks else (0, 0)))


def depth_lots(book: IntArray, meta: IntArray, side: int, levels: int) -> int:
    """Return the lots resting on the best ``levels`` of a side (0 bids, 1 asks)."""
    return sum(lots for _, lots in _levels(book, meta, side)[: max(levels, 0)])


def imbalance(book: IntArray, meta: IntArray, levels: int) -> float:
    """Return (bids - asks) / (bids + asks) of the best ``levels``, NaN when both are empty."""
    bids = depth_lots(book, meta, 0, levels)
    asks = depth_lots(book, meta, 1, levels)
    return (bids - asks) / (bids + asks) if bids + asks else math.nan


def microprice(book: IntArray, meta: IntArray) -> float:
    """Return the size-weighted mid of the best levels in ticks, NaN when a side is empty."""
    bids, asks = _levels(book, meta, 0), _levels(book, meta, 1)
    if not (bids and asks):
        return math.nan
    (bid, bid_lots), (ask, ask_lots) = bids[0], asks[0]
    return bid + (ask - bid) * (bid_lots / (bid_lots + ask_lots))


def walk(book: IntArray, meta: IntArray, side: int, lots: float) -> tuple[float, float, int]:
    """Consume up to ``lots`` from a side: lots taken, mean ticks (NaN if none), worst ticks."""
    taken = 0.0
    cost = 0.0
    worst = 0
    levels = _levels(book, meta, side)
    for ticks, resting in levels:
        if taken >= lots:
            break
        part = min(float(resting), lots - taken)
        taken += part
        cost += part * (ticks - levels[0][0])
        worst = ticks
    if taken <= 0.0:
        return (0.0, math.nan, 0)
    return (taken, levels[0][0] + cost / taken, worst)


def _changes(
    numbers: list[float], grid: tuple[float, float], mode: float
) -> tuple[int, dict[int, int]]:
    changes: dict[int, int] = {}
    for price, size in zip(numbers[::2], numbers[1::2], strict=True):
        price_units, size_units = price / grid[0], size / grid[1]
        if not (0.5 < price_units <= MAX_UNITS and 0.0 <= size_units <= MAX_UNITS):
            return BAD_NUMBER, changes
        ticks, lots = math.floor(price_units + 0.5), math.floor(size_units + 0.5)
        if _is_off(price_units, ticks) or _is_off(size_units, lots):
            return OFF_GRID, changes
        if lots == 0 and (mode == SNAPSHOT or size > 0.0):
            return ZERO_SIZE, changes
        if ticks in changes:
            return DUPLICATE, changes
        changes[ticks] = lots
    return OK, changes


def _is_off(value: float, unit: int) -> bool:
    return abs(value - unit) > GRID_TOLERANCE + GRID_RELATIVE_TOLERANCE * value


def _merged(
    book: IntArray, meta: IntArray, side: int, changes: dict[int, int], mode: float
) -> list[tuple[int, int]]:
    levels = dict(_levels(book, meta, side)) if mode == DELTA else {}
    levels.update(changes)
    return [(ticks, lots) for ticks, lots in levels.items() if lots]


def _levels(book: IntArray, meta: IntArray, side: int) -> list[tuple[int, int]]:
    row, count = int(meta[0]) + 2 * side, int(meta[1 + side])
    return list(zip(book[row, :count].tolist(), book[row + 1, :count].tolist(), strict=True))


def _write(book: IntArray, row: int, levels: list[tuple[int, int]]) -> None:
    for i, (ticks, lots) in enumerate(levels):
        book[row, i] = ticks
        book[row + 1, i] = lots
