"""Pages and time windows of list queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar
from urllib.parse import quote, unquote

from trading_system.simulation.bybit_server.parameters import Fields, bad

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindow:
    """An inclusive range of UTC milliseconds."""

    start_ms: int
    end_ms: int

    def holds(self, time_ms: int) -> bool:
        """Return whether ``time_ms`` lies in the range."""
        return self.start_ms <= time_ms <= self.end_ms


def time_window(fields: Fields, *, now_ms: int, default_ms: int = WEEK_MS) -> TimeWindow:
    """Return the window of ``startTime`` and ``endTime``, at most seven days wide.

    Neither: the newest ``default_ms``. Only one: seven days from or up to it.
    """
    start, end = fields.integer("startTime"), fields.integer("endTime")
    if start is None and end is None:
        # The upper end is open: a row stamped in this very millisecond belongs to "now".
        return TimeWindow(start_ms=now_ms - default_ms, end_ms=now_ms + DAY_MS)
    if start is None:
        assert end is not None
        start = end - WEEK_MS
    elif end is None:
        end = start + WEEK_MS
    if not 0 <= end - start <= WEEK_MS:
        raise bad("params error: startTime and endTime must be in order, at most 7 days apart")
    return TimeWindow(start_ms=start, end_ms=end)


def page(
    items: Sequence[Item], fields: Fields, *, limit: int, key: Callable[[Item], tuple[int, str]]
) -> tuple[list[Item], str]:
    """Return one page of ``items`` and the cursor of the next one, "" after the last.

    Parameters
    ----------
    items : sequence
        All rows, newest first.
    key : callable
        Time in milliseconds, or another number that falls from row to row, and id of a row; both
        together are unique. The cursor names the last row of its page, so rows
        that arrive or leave between two calls neither repeat nor skip others.
    """
    first = _position(items, fields.text("cursor"), key)
    rows = list(islice(items, first, first + limit))
    if not rows or first + limit >= len(items):
        return rows, ""
    time_ms, name = key(rows[-1])
    return rows, quote(f"{time_ms}:{name}", safe="")


def _position(items: Sequence[Item], cursor: str, key: Callable[[Item], tuple[int, str]]) -> int:
    if not cursor:
        return 0
    time_text, separator, name = unquote(cursor).partition(":")
    if not (separator and time_text.isascii() and time_text.isdigit() and len(time_text) < 17):
        raise bad("params error: cursor invalid")
    time_ms = int(time_text)
    older = len(items)
    for index, item in enumerate(items):
        item_ms, item_name = key(item)
        if (item_ms, item_name) == (time_ms, name):
            return index + 1
        if item_ms < time_ms:
            older = min(older, index)
    return older
