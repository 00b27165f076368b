"""An independent, slow rebuild of recorded books, and a raw client that watches a venue's book.

Nothing here is shared with the system: lines are read by the standard library's JSON, books are
dictionaries, and the client knows three message fields.
"""

from __future__ import annotations

import gzip
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median

DEPTH = 50
Top = tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]


@dataclass(frozen=True)
class Units:
    """Price and quantity steps, as the recording spells them and as the venue does."""

    tick: Decimal
    recorded_lot: Decimal
    venue_lot: Decimal

    def ticks(self, text: str) -> int:
        return int(Decimal(text) / self.tick)

    def recorded_lots(self, text: str) -> int:
        quantity = Decimal(text)
        return max(1, int(quantity / self.recorded_lot)) if quantity else 0

    def venue_lots(self, text: str) -> int:
        return round(Decimal(text) / self.venue_lot)


@dataclass
class Sample:
    """What the raw client held at one moment; ``found`` are the recorded moments that equal it."""

    venue_s: float
    top: Top
    found: list[float] = field(default_factory=list)


class WatchedBook:
    """The raw client's book, from the frames of one ``orderbook`` topic."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._sides: dict[str, dict[int, int]] = {"b": {}, "a": {}}
        self._last = 0
        self.frames = 0
        self.gaps = 0

    def take(self, frame: dict) -> None:
        data = frame["data"]
        if frame["type"] == "snapshot":
            for side in self._sides.values():
                side.clear()
        elif data["u"] != self._last + 1:
            self.gaps += 1
        self._last = data["u"]
        self.frames += 1
        for name, side in self._sides.items():
            for price, size in data[name]:
                ticks, lots = self._units.ticks(price), self._units.venue_lots(size)
                if lots:
                    side[ticks] = lots
                else:
                    side.pop(ticks, None)

    def top(self) -> Top:
        return top_of(self._sides["b"], self._sides["a"])


def top_of(bids: dict[int, int], asks: dict[int, int]) -> Top:
    best_bids = heapq.nlargest(DEPTH, bids.items())
    return tuple(best_bids), tuple(heapq.nsmallest(DEPTH, asks.items()))


def lines(paths: list[Path]) -> Iterator[tuple[int, dict]]:
    for path in paths:
        with gzip.open(path, "rt") as file:
            for line in file:
                stamp, _, body = line.partition(" ")
                yield int(stamp), json.loads(body)


class RecordedBook:
    """The recorded book, with the documented effect of trades: they thin the level they hit until
    the next depth update, which shows every level as recorded again.
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        self._recorded: dict[str, dict[int, int]] = {"b": {}, "a": {}}
        self._shown: dict[str, dict[int, int]] = {"b": {}, "a": {}}
        self._thinned: set[tuple[str, int]] = set()
        self.last_id = 0

    def start(self, answer: dict) -> None:
        self.last_id = answer["lastUpdateId"]
        self._set({"b": answer["bids"], "a": answer["asks"]})

    def update(self, data: dict) -> bool:
        if data["u"] < self.last_id:
            return False
        for name, ticks in self._thinned:
            self._show(name, ticks)
        self._thinned.clear()
        self._set(data)
        return True

    def trade(self, data: dict) -> bool:
        name = "b" if data["m"] else "a"
        ticks, lots = self._units.ticks(data["p"]), self._units.recorded_lots(data["q"])
        shown = self._shown[name]
        if data.get("X", "MARKET") != "MARKET" or ticks not in shown:
            return False
        shown[ticks] -= min(lots, shown[ticks])
        if not shown[ticks]:
            del shown[ticks]
        self._thinned.add((name, ticks))
        return True

    def best(self) -> tuple[int, int]:
        return max(self._shown["b"], default=0), min(self._shown["a"], default=0)

    def top(self) -> Top:
        return top_of(self._shown["b"], self._shown["a"])

    def _set(self, data: dict) -> None:
        for name, recorded in self._recorded.items():
            for price, size in data[name]:
                ticks, lots = self._units.ticks(price), self._units.recorded_lots(size)
                if lots:
                    recorded[ticks] = lots
                else:
                    recorded.pop(ticks, None)
                self._show(name, ticks)

    def _show(self, name: str, ticks: int) -> None:
        lots = self._recorded[name].get(ticks)
        if lots:
            self._shown[name][ticks] = lots
        else:
            self._shown[name].pop(ticks, None)


def states(paths: list[Path], units: Units) -> Iterator[tuple[float, RecordedBook]]:
    """Yield recorded seconds since the snapshot and the book, after each change."""
    book = RecordedBook(units)
    early: list[dict] = []
    start_ns = 0
    for stamp_ns, body in lines(paths):
        data = body.get("data", body)
        kind = data.get("e")
        if "lastUpdateId" in body and not start_ns:
            start_ns = stamp_ns
            book.start(body)
            for diff in early:
                book.update(diff)
            yield 0.0, book
        elif kind == "depthUpdate" and not start_ns:
            early.append(data)
        elif (kind == "depthUpdate" and start_ns and book.update(data)) or (
            kind == "trade" and start_ns and book.trade(data)
        ):
            yield (stamp_ns - start_ns) / 1e9, book


def match(samples: list[Sample], paths: list[Path], units: Units, *, until_s: float) -> None:
    """Note in each sample the recorded moments, in seconds, whose book equals it."""
    waiting: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        bids, asks = sample.top
        waiting.setdefault((bids[0][0], asks[0][0]), []).append(sample)
    for at_s, book in states(paths, units):
        if at_s > until_s:
            return
        candidates = waiting.get(book.best())
        if candidates:
            top = book.top()
            for sample in candidates:
                if sample.top == top:
                    sample.found.append(at_s)


def in_step(samples: list[Sample], *, speed: float, tolerance_s: float) -> int:
    """Return how many samples equal the recording at the moment that the clock says.

    ``tolerance_s`` is venue time; the common start is the median over all matches.
    """
    starts = [at_s / speed - sample.venue_s for sample in samples for at_s in sample.found]
    if not starts:
        return 0
    start_s = median(starts)
    return sum(
        any(abs(at_s / speed - sample.venue_s - start_s) <= tolerance_s for at_s in sample.found)
        for sample in samples
    )
