"""Schedules add up to the parent whatever the venue does."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from trading_system.execution.schedule import largest_lots, next_lots, twap

lots = st.integers(1, 100_000)


@given(
    total=lots,
    chunk=lots,
    least=st.integers(1, 500),
    span_s=st.floats(0, 600),
    jitter=st.floats(0, 0.5),
    seed=st.integers(0, 1_000),
)
def test_slices_ascend_in_time_and_size_to_the_whole_parent(
    total: int, chunk: int, least: int, span_s: float, jitter: float, seed: int
) -> None:
    slices = twap(total, chunk_lots=chunk, min_lots=least, span_s=span_s, jitter=jitter, seed=seed)
    sizes = [
        b.due_lots - a for a, b in zip([0, *(s.due_lots for s in slices)], slices, strict=False)
    ]
    times = [s.at_s for s in slices]
    assert slices[-1].due_lots == total
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(least, total)
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= span_s


@given(
    total=st.integers(1, 5_000),
    chunk=st.integers(1, 1_000),
    least=st.integers(1, 50),
    bear=st.integers(1, 2_000),
    seed=st.integers(0, 1_000_000),
)
def test_children_never_trade_more_than_the_parent(
    total: int, chunk: int, least: int, bear: int, seed: int
) -> None:
    source, filled = random.Random(seed), 0
    for moment in twap(total, chunk_lots=chunk, min_lots=least, span_s=60.0):
        size = next_lots(
            due_lots=moment.due_lots,
            filled_lots=filled,
            total_lots=total,
            most_lots=max(least, source.randint(0, bear)),
            min_lots=least,
        )
        assert size == 0 or least <= size <= total - filled
        filled += source.choice((0, size, source.randint(0, size)))  # refused, filled, in part
    assert filled <= total


@given(
    limits=st.lists(st.floats(0, 100), min_size=1, max_size=60),
    budget=st.floats(0, 100),
    most=st.integers(0, 80),
)
def test_bisection_finds_what_a_linear_search_finds(
    limits: list[float], budget: float, most: int
) -> None:
    costs = sorted(limits)

    def cost(size: int) -> float | None:
        return costs[size - 1] if size <= len(costs) else None

    affordable = [n for n in range(1, most + 1) if n <= len(costs) and costs[n - 1] <= budget]
    assert largest_lots(cost, most_lots=most, budget_bps=budget) == max(affordable, default=0)
