import pytest

from trading_system.execution.schedule import MAX_CHILDREN, next_lots, twap


def test_a_schedule_is_equal_slices_evenly_spaced() -> None:
    slices = twap(10, chunk_lots=3, min_lots=1, span_s=8.0)
    assert [s.due_lots for s in slices] == [2, 5, 7, 10]
    assert [s.at_s for s in slices] == [0.0, 2.0, 4.0, 6.0]


def test_jitter_is_seeded_and_leaves_the_first_child_alone() -> None:
    one, same, other = (
        twap(100, chunk_lots=10, min_lots=1, span_s=10.0, jitter=0.3, seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other
    assert one[0].at_s == 0.0


@pytest.mark.parametrize(
    ("total", "chunk", "least", "span_s", "count"),
    [
        (1_000, 1, 1, 600.0, MAX_CHILDREN),
        (100, 10, 40, 60.0, 2),
        (100, 10, 1, 1.0, 5),
        (100, 10, 1, 0.0, 1),
        (3, 1, 10, 60.0, 1),
    ],
)
def test_children_are_fewer_where_time_or_size_forbids(
    total: int, chunk: int, least: int, span_s: float, count: int
) -> None:
    assert len(twap(total, chunk_lots=chunk, min_lots=least, span_s=span_s)) == count


def test_a_child_catches_up_and_leaves_no_rest_too_small_to_trade() -> None:
    assert next_lots(due_lots=50, filled_lots=10, total_lots=100, most_lots=90, min_lots=5) == 40
    assert next_lots(due_lots=98, filled_lots=60, total_lots=100, most_lots=90, min_lots=5) == 40
    assert next_lots(due_lots=62, filled_lots=60, total_lots=100, most_lots=90, min_lots=5) == 5


def test_nothing_is_sent_ahead_of_time_or_below_the_least() -> None:
    assert next_lots(due_lots=50, filled_lots=50, total_lots=100, most_lots=90, min_lots=5) == 0
    assert next_lots(due_lots=100, filled_lots=97, total_lots=100, most_lots=90, min_lots=5) == 0
