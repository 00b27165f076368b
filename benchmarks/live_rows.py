"""api.*, watch.tick and latency.record: what watching a running system costs its trading.

All but ``latency.record`` run a whole system (``peers/live_system.py``): session on the embedded
venue, control API and watch in one loop, as ``start`` has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.interleaved import Child, child
from benchmarks.rows import Row

_PAIRS = 5
_TICKS = 3_000
_COST_BAR = 1.15
_CALLS = 300
_LOOK_EVERY_S = 0.5
_STATUS_EVERY_S = 0.5
_SHARE_BAR_PCT = 0.3
_RECORD_BAR_NS = 1_000.0
_RECORDS = 300
_ROUNDS = 3
_MARKET_HZ = 2.0
_NS_PER_US = 1_000.0
_US_PER_S = 1_000_000.0
_PCT = 100.0


@dataclass(frozen=True, slots=True)
class Block:
    """Ticks measured in a row.

    Parameters
    ----------
    us : list of float
        Tick to trade, microseconds.
    cpu_s, seconds : float
        CPU time of the trading process, and how long the block took.
    """

    us: list[float]
    cpu_s: float
    seconds: float

    def __add__(self, other: Block) -> Block:
        """Return both as one."""
        return Block(self.us + other.us, self.cpu_s + other.cpu_s, self.seconds + other.seconds)


def run_client_cost() -> list[Row]:
    """Return the row of what one dashboard costs the trading process.

    The trading process is a whole running system (``live_system``): a session with both symbols on
    the embedded venue, the watch, and the control API in the same loop. In that loop, and besides
    all this, the product path of ``tick_to_trade.product`` trades against ``stream_server``: every
    book message is answered by an order, timed from wire to wire by the server, its price checked.
    So the ticks are many and sharp, and wait for whatever else the process does.

    The client is a process of its own: the dashboard's link with all pages open, that is ten
    topics of the stream and every page's reads. A block of ticks with it lies between two halves of
    one without, so that a drift of the machine meets both alike; each such pair gives the ratio of
    its medians, the row is the median of five. The first pair is warm-up.
    """
    with ExitStack() as stack:
        server = _started(stack, "stream_server.py", "50")
        folder = stack.enter_context(TemporaryDirectory())
        system = stack.enter_context(_system(folder, str(server.ready["url"])))
        client = _started(stack, "api_client.py", folder)
        pairs, seen = [], []
        for _ in range(_PAIRS + 1):
            before = _block(server, system, _TICKS // 2)
            client.ask({"what": "open"})
            visited = _block(server, system, _TICKS)
            seen.append(client.ask({"what": "close"}))
            pairs.append((before + _block(server, system, _TICKS // 2), visited))
    return [cost_row(pairs[1:], seen=described(seen))]


def cost_row(pairs: list[tuple[Block, Block]], *, seen: str) -> Row:
    """Return the row of pairs of blocks, each without and with the client."""
    without = [us for block, _ in pairs for us in block.us]
    visited = [us for _, block in pairs for us in block.us]
    ratios = sorted(median(b.us) / median(a.us) for a, b in pairs)
    share = median((b.cpu_s - a.cpu_s) / b.seconds for a, b in pairs)  # of equally many ticks
    p50, p95, p99 = (round(float(p), 1) for p in np.percentile(visited, (50, 95, 99)))
    base, base_p95 = (round(float(p), 1) for p in np.percentile(without, (50, 95)))
    return Row(
        id="api.client_cost",
        value=p50,
        unit="us p50",
        p50=p50,
        p95=p95,
        p99=p99,
        samples=len(visited),
        peer="without a client,",
        peer_version="p50",
        peer_value=base,
        ratio=round(median(ratios), 4),
        bar=f"<= {_COST_BAR:g} x, median of {len(ratios)} pairs",
        met=median(ratios) <= _COST_BAR,
        note=(
            f"tick to trade of a live system; p95 {p95:g} us with the client, {base_p95:g} "
            f"without; ratios {', '.join(f'{ratio:.3f}' for ratio in ratios)}; {seen}; the client "
            f"costs {_PCT * share:.1f} % of a core"
        ),
    )


def run_status() -> list[Row]:
    """Return the row of one ``get_system_status`` of a live session."""
    times, cpu_us = _calls("status")
    p50, p95, p99 = (round(float(p), 1) for p in np.percentile(times, (50, 95, 99)))
    return [
        Row(
            id="api.status",
            value=p50,
            unit="us p50",
            p50=p50,
            p95=p95,
            p99=p99,
            samples=len(times),
            bar="none",
            met=True,
            note=f"get_system_status of a live session, {_CALLS} calls 20 ms apart; "
            f"{_share_pct(cpu_us, every_s=_STATUS_EVERY_S):.3f} % of a core at two per s",
        )
    ]


def run_watch() -> list[Row]:
    """Return the row of one round of the watch and of its share of a core.

    Every second look also records, every tenth searches for changes: the mean has them all.
    """
    return [watch_row(*_calls("look"))]


def watch_row(times: list[float], cpu_us: list[float]) -> Row:
    """Return the row of looks of ``times`` and of what they took of the processor."""
    share = _share_pct(cpu_us, every_s=_LOOK_EVERY_S)
    p50, p95, p99 = (round(float(p), 1) for p in np.percentile(times, (50, 95, 99)))
    return Row(
        id="watch.tick",
        value=round(float(np.mean(cpu_us)), 1),
        unit="us CPU mean",
        p50=p50,
        p95=p95,
        p99=p99,
        samples=len(times),
        bar=f"<= {_SHARE_BAR_PCT:g} % of a core",
        met=share <= _SHARE_BAR_PCT,
        note=f"{share:.3f} % of a core at one look in {_LOOK_EVERY_S:g} s; percentiles by the wall "
        "clock; health, behaviour, alerts, histories",
    )


def run_record() -> list[Row]:
    """Return the row of ``StageLatency.record``, without the loop around it."""
    with ExitStack() as stack:
        one = _started(stack, "latency_ours.py")
        rounds = [one.ask({"count": _RECORDS}) for _ in range(_ROUNDS + 1)][1:]
    empty = median(us for found in rounds for us in found["empty_us"])
    times = [(us - empty) * _NS_PER_US for found in rounds for us in found["us"]]
    p50, p95, p99 = (round(float(p), 1) for p in np.percentile(times, (50, 95, 99)))
    return [
        Row(
            id="latency.record",
            value=p50,
            unit="ns p50",
            p50=p50,
            p95=p95,
            p99=p99,
            samples=len(times),
            bar=f"p50 < {_RECORD_BAR_NS:g} ns",
            met=p50 < _RECORD_BAR_NS,
            note="means of blocks of 100; rolling and since the start; every duration counted",
        )
    ]


def _started(stack: ExitStack, script: str, *arguments: str) -> Child:
    one = stack.enter_context(child(script, *arguments))
    assert one is not None
    return one


@contextmanager
def _system(folder: str, *arguments: str) -> Iterator[Child]:
    """Run a whole system with its data in ``folder``; it and its venue end in order."""
    with child("live_system.py", folder, *arguments) as system:
        assert system is not None
        yield system
        assert system.ask({"what": "end"})["ended"]


def _share_pct(cpu_us: list[float], *, every_s: float) -> float:
    return _PCT * float(np.mean(cpu_us)) / (every_s * _US_PER_S)


def _calls(what: str) -> tuple[list[float], list[float]]:
    with TemporaryDirectory() as folder, _system(folder) as system:
        answer = system.ask({"what": what, "count": _CALLS})
    assert answer["score"] > 0, "the system is not well: its figures are those of a broken one"
    return answer["us"], answer["cpu_us"]


def _block(server: Child, system: Child, ticks: int) -> Block:
    before = system.ask({"what": "used"})
    question = {"what": "trade", "client": "product", "is_priced": True, "count": ticks}
    us = server.ask(question)["us"]
    after = system.ask({"what": "used"})
    return Block(us, after["cpu_s"] - before["cpu_s"], after["at_s"] - before["at_s"])


def described(seen: list[dict[str, Any]]) -> str:
    """Return what the client was sent per second; it must have been kept up to date."""
    seconds = sum(visit["seconds"] for visit in seen)
    rates = {
        kind: sum(count for visit in seen for t, count in visit["frames"].items() if is_it(t))
        / seconds
        for kind, is_it in (
            ("market", lambda topic: topic.startswith("market:")),
            ("other", lambda topic: not topic.startswith("market:")),
        )
    }
    reads = sum(visit["reads"] for visit in seen) / seconds
    assert rates["market"] >= _MARKET_HZ, f"the client was not kept up to date: {seen}"
    return (
        f"{rates['market']:.1f} market and {rates['other']:.1f} other frames, {reads:.1f} reads "
        "per s"
    )
