import pytest

from trading_system.simulation.bybit_server.paging import WEEK_MS, page, time_window
from trading_system.simulation.bybit_server.parameters import Fields
from trading_system.simulation.records import VenueReject

NOW_MS = 1_700_000_000_000


def _key(item):
    return item


def _walk(items, limit, between=lambda: None):
    rows, cursor = [], ""
    while True:
        got, cursor = page(items, Fields({"cursor": cursor}), limit=limit, key=_key)
        rows += got
        if not cursor:
            return rows
        between()


def test_pages_cover_everything_once():
    items = [(1000 - n // 3, f"id-{n}") for n in range(50)]
    assert _walk(items, 7) == items
    assert _walk(items, 50) == items


def test_cursor_survives_new_and_removed_rows():
    items = [(1000 - n, f"id-{n}") for n in range(10)]
    first, cursor = page(items, Fields({}), limit=4, key=_key)
    changed = [(2000, "new"), *items[:3], *items[5:]]
    second, _ = page(changed, Fields({"cursor": cursor}), limit=4, key=_key)
    assert first == items[:4]
    assert second == items[5:9]


def test_a_cursor_means_time_and_id_together():
    items = [(9, "a"), (8, "b"), (7, "a"), (6, "c")]
    assert _walk(items, 1) == items
    assert page(items, Fields({"cursor": "7:a"}), limit=2, key=_key)[0] == [(6, "c")]


def test_cursor_is_percent_encoded_and_may_come_back_decoded():
    items = [(5, "a"), (4, "b"), (3, "c")]
    _, cursor = page(items, Fields({}), limit=1, key=_key)
    assert cursor == "5%3Aa"
    assert page(items, Fields({"cursor": "5:a"}), limit=1, key=_key)[0] == [(4, "b")]


@pytest.mark.parametrize("cursor", ["x", "%", "1", "x:y", "-1:a", "9" * 30 + ":a"])
def test_malformed_cursor_is_refused(cursor):
    with pytest.raises(VenueReject):
        page([(1, "a")], Fields({"cursor": cursor}), limit=1, key=_key)


def test_window_rules_follow_the_documentation():
    only_start = time_window(Fields({"startTime": "5"}), now_ms=NOW_MS)
    only_end = time_window(Fields({"endTime": str(NOW_MS)}), now_ms=NOW_MS)
    neither = time_window(Fields({}), now_ms=NOW_MS)
    assert (only_start.start_ms, only_start.end_ms) == (5, 5 + WEEK_MS)
    assert (only_end.start_ms, only_end.end_ms) == (NOW_MS - WEEK_MS, NOW_MS)
    assert neither.start_ms == NOW_MS - WEEK_MS
    assert neither.holds(NOW_MS)


@pytest.mark.parametrize(("start", "end"), [("5", "4"), ("0", str(WEEK_MS + 1))])
def test_window_out_of_order_or_too_wide_is_refused(start, end):
    with pytest.raises(VenueReject):
        time_window(Fields({"startTime": start, "endTime": end}), now_ms=NOW_MS)
