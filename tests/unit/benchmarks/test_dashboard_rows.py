from __future__ import annotations

import pytest

from benchmarks import dashboard


def visit(**changes: object) -> dashboard.Visit:
    plain = {
        "first_views": [900.0, 800.0, 1000.0],
        "frames": [16.0] * 99 + [100.0],
        "long_tasks": [60.0],
        "worst_tasks": [10.0, 20.0],
        "tasks": [0.1] * 10,
        "batches_per_s": 12.0,
        "frames_per_s": 30.0,
        "rss_mib": 90.0,
    }
    return dashboard.Visit(**(plain | changes))  # type: ignore[arg-type] # fields by name


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        (dashboard.first_view_row, {"first_views": [2001.0] * 3}),
        (dashboard.frame_row, {"frames": [16.0] * 9 + [34.0] * 2}),
        (dashboard.long_task_row, {"worst_tasks": [50.0] * 3}),
        (dashboard.updates_row, {"batches_per_s": 20.1}),
    ],
)
def test_each_row_holds_its_bar(row, changes):
    assert row(visit()).met
    assert not row(visit(**changes)).met


def test_messages_close_together_are_one_update():
    assert dashboard.batches([]) == 0
    assert dashboard.batches([0.0, 0.004, 0.009, 0.05, 0.055, 0.2]) == 3


def test_the_longest_task_of_each_second_counts():
    assert dashboard.worst_of_seconds([(0.1, 1.0), (0.9, 7.0), (2.5, 3.0)]) == [7.0, 3.0]


def test_only_the_thread_that_draws_frames_counts():
    events = [
        {"name": "FireAnimationFrame", "pid": 1, "tid": 2, "ts": 5},
        {"name": "RunTask", "pid": 1, "tid": 2, "ts": 1_000_000, "dur": 2_000},
        {"name": "RunTask", "pid": 1, "tid": 2, "ts": 2_500_000, "dur": 4_000},
        {"name": "RunTask", "pid": 1, "tid": 9, "ts": 1_000_000, "dur": 90_000},
        {"name": "RunTask", "pid": 1, "tid": 2, "ts": 3_000_000},
    ]
    assert dashboard.main_tasks(events) == [(0.0, 2.0), (1.5, 4.0)]


def test_the_rows_are_absent_without_the_browser(tmp_path):
    assert dashboard.with_browser(dashboard.frame_row, chromium=tmp_path / "chromium") == []
