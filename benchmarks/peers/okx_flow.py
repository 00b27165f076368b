"""Seeded book messages in OKX's format, and the plain book that they lead to; stdlib only.

Sizes are contracts. Every price belongs to one of ``depth`` places per side around a fixed middle;
places fall empty and are filled again, so best prices move and the depth is never exceeded.
"""

from __future__ import annotations

import json
import random
from typing import Any

INST_ID = "BTC-USDT-SWAP"
TOP = 25

_MID = 650_000
_FEWEST = 0.75
_EMPTIED = 0.3

Side = dict[str, str]


class Flow:
    """Messages of one book.

    Parameters
    ----------
    depth : int
        Places per side.
    channel : str
        Book channel of the frames.
    """

    def __init__(self, depth: int, *, channel: str = "books", seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self._depth = depth
        self._arg = {"channel": channel, "instId": INST_ID}
        self._number = 1
        self.sides: dict[str, Side] = {
            side: {self._price(side, place): self._size() for place in range(depth)}
            for side in ("bids", "asks")
        }

    def snapshot(self) -> bytes:
        """Return the whole book as a message."""
        rows = {side: self._rows(side, levels) for side, levels in self.sides.items()}
        return self._frame("snapshot", rows, before=-1)

    def update(self, changes: int) -> bytes:
        """Return a message of ``changes`` levels, most of them near the middle."""
        chosen: dict[str, Side] = {"bids": {}, "asks": {}}
        while sum(map(len, chosen.values())) < changes:
            side = self._rng.choice(("bids", "asks"))
            place = min(int(self._rng.expovariate(6 / self._depth)), self._depth - 1)
            price = self._price(side, place)
            if price not in chosen[side]:
                chosen[side][price] = self._next_size(side, price)
        before, self._number = self._number, self._number + self._rng.randint(1, 9)
        rows = {side: self._rows(side, levels) for side, levels in chosen.items()}
        return self._frame("update", rows, before=before)

    def book(self, count: int) -> dict[str, list[tuple[float, float]]]:
        """Return up to ``count`` (price, size) of each side, best first."""
        return {
            side: [
                (float(price), float(size)) for price, size in self._sorted(side, levels)[:count]
            ]
            for side, levels in self.sides.items()
        }

    def _next_size(self, side: str, price: str) -> str:
        levels = self.sides[side]
        can_empty = price in levels and len(levels) > _FEWEST * self._depth
        if can_empty and self._rng.random() < _EMPTIED:
            del levels[price]
            return "0"
        levels[price] = self._size()
        return levels[price]

    def _size(self) -> str:
        return f"{self._rng.randint(1, 200_000) / 100:.2f}"

    def _price(self, side: str, place: int) -> str:
        ticks = _MID - 1 - place if side == "bids" else _MID + 1 + place
        return f"{ticks / 10:.1f}"

    def _rows(self, side: str, levels: Side) -> list[list[str]]:
        rows = self._sorted(side, levels)
        return [[price, size, "0", "0" if size == "0" else "3"] for price, size in rows]

    @staticmethod
    def _sorted(side: str, levels: Side) -> list[tuple[str, str]]:
        return sorted(levels.items(), key=lambda row: float(row[0]), reverse=side == "bids")

    def _frame(self, action: str, rows: dict[str, Any], *, before: int) -> bytes:
        stamp = str(1_700_000_000_000 + self._number)
        numbers = {"ts": stamp, "checksum": 0, "prevSeqId": before, "seqId": self._number}
        frame = {"arg": self._arg, "action": action, "data": [rows | numbers]}
        return json.dumps(frame, separators=(",", ":")).encode()


def cases(what: str, count: int) -> tuple[bytes, list[bytes], Flow]:
    """Return the first snapshot, the ``count`` messages to be timed, and the flow after them.

    ``snapshot400``, ``message50`` and ``message100`` repeat whole books of as many levels a side;
    ``delta3`` and ``update10`` change as many levels of a book of 400.
    """
    if what in {"delta3", "update10"}:
        flow = Flow(400)
        first = flow.snapshot()
        changes = 3 if what == "delta3" else 10
        return first, [flow.update(changes) for _ in range(count)], flow
    flow = Flow({"snapshot400": 400, "message100": 100, "message50": 50}[what])
    first = flow.snapshot()
    return first, [first] * count, flow
