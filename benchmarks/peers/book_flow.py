"""Seeded book messages in Bybit's format: one snapshot, then deltas that keep the depth exact."""

from __future__ import annotations

import json
import random
import sys

_MID = 650_000
_CHANGES = 11
_MOVE = 0.25


def messages(depth: int, count: int, seed: int = 1) -> list[str]:
    """Return the snapshot and ``count`` deltas of BTCUSDT, tick 0.1 and lot 0.001."""
    rng = random.Random(seed)
    mid = _MID
    sides = {
        "b": {mid - 1 - i: rng.randint(1, 20_000) for i in range(depth)},
        "a": {mid + 1 + i: rng.randint(1, 20_000) for i in range(depth)},
    }
    lines = [_message("snapshot", depth, 1, sides)]
    for number in range(2, count + 2):
        changed: dict[str, dict[int, int]] = {"b": {}, "a": {}}
        for _ in range(_CHANGES):
            side = rng.choice("ba")
            offset = min(depth - 1, int(rng.expovariate(6 / depth)))
            price = mid - 1 - offset if side == "b" else mid + 1 + offset
            changed[side][price] = rng.randint(1, 20_000)
        if rng.random() < _MOVE:
            step = rng.choice((-1, 1))
            near, far = ("a", "b") if step > 0 else ("b", "a")
            changed[near][mid + step] = 0
            changed[near][mid + step * (depth + 1)] = rng.randint(1, 20_000)
            changed[far][mid] = rng.randint(1, 20_000)
            changed[far][mid - step * depth] = 0
            mid += step
        lines.append(_message("delta", depth, number, changed))
    return lines


def _message(kind: str, depth: int, number: int, sides: dict[str, dict[int, int]]) -> str:
    rows = {
        name: [
            [f"{price / 10:.1f}", f"{lots / 1000:g}"]
            for price, lots in sorted(levels.items(), reverse=name == "b")
        ]
        for name, levels in sides.items()
    }
    data = {"s": "BTCUSDT", "b": rows["b"], "a": rows["a"], "u": number, "seq": number * 10}
    frame = {
        "topic": f"orderbook.{depth}.BTCUSDT",
        "type": kind,
        "ts": 1_700_000_000_000 + number * 20,
        "data": data,
        "cts": 1_700_000_000_000 + number * 20 - 1,
    }
    return json.dumps(frame, separators=(",", ":"))


if __name__ == "__main__":
    sys.stdout.write("\n".join(messages(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
