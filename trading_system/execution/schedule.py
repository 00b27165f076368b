"""Pure schedules: how a quantity is cut into children and when each of them is due."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

MAX_CHILDREN = 60
"""Most children of one schedule; a smaller wanted chunk is enlarged to keep to it."""

MIN_SPACING_S = 0.25
"""Shortest time between two children, so that a schedule leaves room in the order rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One moment of a schedule.

    Parameters
    ----------
    at_s : float
        Seconds after the start of the parent.
    due_lots : int
        Lots that should have been traded once this child is done, all earlier ones included.
    """

    at_s: float
    due_lots: int


def twap(
    total_lots: int,
    *,
    chunk_lots: int,
    min_lots: int,
    span_s: float,
    jitter: float = 0.0,
    seed: int = 0,
) -> tuple[Slice, ...]:
    """Return equal slices of ``total_lots``, evenly spaced over ``span_s`` from the first second.

    Parameters
    ----------
    total_lots : int
        The parent, positive.
    chunk_lots : int
        Largest wanted child, positive; enlarged where the children would be too many, too close
        or below ``min_lots``.
    min_lots : int
        Smallest child the venue takes, positive; a smaller parent is one child.
    span_s : float
        Time from the first child to the end of the last one's turn, seconds, not negative.
    jitter : float
        Largest random shift of a child but the first, share of the spacing, in [0, 0.5]: the order
        of the children never changes.

    Returns
    -------
    tuple of Slice
        Times ascend and stay within ``[0, span_s]``; due lots ascend strictly to ``total_lots``;
        the sizes differ by one lot at most.
    """
    assert total_lots > 0
    assert chunk_lots > 0
    assert min_lots > 0
    count = min(
        -(-total_lots // chunk_lots),
        total_lots // min_lots,
        math.floor(span_s / MIN_SPACING_S) + 1,
        MAX_CHILDREN,
    )
    count = max(1, count)
    spacing_s = span_s / count
    source = random.Random(seed)
    shifts = [0.0] + [source.uniform(-jitter, jitter) for _ in range(count - 1)]
    return tuple(
        Slice(
            at_s=max(0.0, (i + shift) * spacing_s),
            due_lots=total_lots * (i + 1) // count,
        )
        for i, shift in enumerate(shifts)
    )


def next_lots(
    *, due_lots: int, filled_lots: int, total_lots: int, most_lots: int, min_lots: int
) -> int:
    """Return the size of the child to send now, 0 if none should be sent.

    It catches up with what earlier children missed, but never takes the parent above its quantity
    nor, where that can be helped, leaves a rest that is too small to be an order.

    Parameters
    ----------
    due_lots : int
        Lots that should have been traded by now.
    filled_lots : int
        Lots traded so far; nothing may be at work.
    most_lots : int
        What the book bears now.
    min_lots : int
        Smallest order of the venue.
    """
    left = total_lots - filled_lots
    wanted = min(due_lots - filled_lots, most_lots, left)
    if wanted <= 0 or left < min_lots:
        return 0
    wanted = max(wanted, min_lots)
    return left if left - wanted < min_lots else wanted


def largest_lots(
    cost_bps: Callable[[int], float | None], *, most_lots: int, budget_bps: float
) -> int:
    """Return the most lots whose cost stays inside the budget, found by bisection.

    Parameters
    ----------
    cost_bps : callable
        Cost of a number of lots, basis points, not falling with size; None where the book is too
        thin for them.
    most_lots : int
        Upper bound of the answer, not negative.
    """
    low, high = 0, most_lots
    while low < high:
        middle = (low + high + 1) // 2
        cost = cost_bps(middle)
        if cost is not None and cost <= budget_bps:
            low = middle
        else:
            high = middle - 1
    return low
