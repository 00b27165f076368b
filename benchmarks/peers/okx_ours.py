"""OKX messages into our book, as the feed hands them in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import okx_flow
import protocol

from trading_system.domain.orders import Side
from trading_system.venues.okx.book import OkxBook
from trading_system.venues.okx.wire import read_books


def _by_bytes(book: OkxBook, messages: list[bytes]) -> list[float]:
    times = []
    for now_ns, message in enumerate(messages):
        began = time.perf_counter_ns()
        book.apply_frame(message, now_ns)
        times.append((time.perf_counter_ns() - began) / 1_000)
    return times


def _by_rows(book: OkxBook, messages: list[bytes]) -> list[float]:
    rows = [read_books(message).data[0] for message in messages]
    times = []
    for now_ns, row in enumerate(rows):
        began = time.perf_counter_ns()
        book.apply(row, now_ns, is_snapshot=False)
        times.append((time.perf_counter_ns() - began) / 1_000)
    return times


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Return times and the best levels; the whole book must equal the plain one."""
    what, count = question["what"], question["count"]
    first, messages, flow = okx_flow.cases(what, count)
    book = OkxBook(okx_flow.INST_ID)
    book.apply_frame(first, 0)
    run: Callable[[OkxBook, list[bytes]], list[float]]
    run = _by_rows if what == "update10" else _by_bytes
    times = run(book, messages)
    found = {"bids": book.levels(Side.BUY, 1_000), "asks": book.levels(Side.SELL, 1_000)}
    assert found == flow.book(1_000), "the book is not the plain one"
    assert (book.gaps, book.rejected, book.crossed) == (0, 0, 0)
    assert book.messages == count + 1
    return {"us": times, "top": {side: rows[: okx_flow.TOP] for side, rows in found.items()}}


def main() -> None:
    protocol.ready()
    for question in protocol.questions():
        protocol.say(answer(question))


if __name__ == "__main__":
    main()
