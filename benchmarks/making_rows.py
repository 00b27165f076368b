"""mm.* and vol.*: what the market maker reads, its quotes, its cycles and its requests.

Cycles are the whole path: market maker, client, risk gate, journal, sockets, embedded venue in a
process of its own. A proxy in between passes everything on half of the delay late in each
direction, so an answer takes the delay longer.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from benchmarks.gated import gated
from benchmarks.interleaved import Child, child, venue
from benchmarks.rows import Row

_ROUNDS = 5
_CYCLES = 8
_QUIET_CYCLES = 10
_GATES_MS = {0: 20.0, 50: 130.0, 100: 250.0}
_GUIDES = {0: "303 ms", 50: "755-808 ms", 100: "1605 ms"}
_QUIET_ACTIVITY = "0.1"
_MOST_REQUESTS = 40


def run_price_cache() -> list[Row]:
    """Return the row of a cached price."""
    note = "price that a stream brought, true counters; means of 100"
    return _step("mm.price_cache", "price_cache", 200, gate=1.0, guide="1.5 us", note=note)


def run_quotes() -> list[Row]:
    """Return the row of the quotes of one symbol."""
    note = "three tiers a side, inventory skew, whole ticks; none under the fee floor"
    return _step("mm.quotes3", "quotes3", 1_000, gate=8.0, guide="7.9 us", note=note)


def run_cached() -> list[Row]:
    """Return the row of a live volatility."""
    note = "awaited like any other; means of 100"
    return _step("vol.cached", "vol_cached", 200, gate=0.5, guide="0.4 us", note=note)


def run_incremental() -> list[Row]:
    """Return the rows of an ATR that goes on."""
    whole = "value ended, candles kept: the whole request; equals the definition"
    bar = "one more candle alone, means of 100; equals the definition"
    return [
        *_step("vol.incremental", "vol_incremental", 500, gate=3.0, guide="11.5 us", note=whole),
        *_step("vol.next_candle", "vol_next", 200, gate=3.0, guide="11.5 us", note=bar),
    ]


def run_cold() -> list[Row]:
    """Return the row of an ATR of which nothing is known."""
    note = "100 candles checked one by one; reading them takes no time here"
    return _step("vol.cold", "vol_cold", 500, gate=15.0, guide="19.7 us", note=note)


def cycle_rows(delay_ms: int) -> Callable[[], list[Row]]:
    """Return what runs the row of whole cycles at one delay."""

    def run() -> list[Row]:
        with _maker(delay_ms) as one:
            one.ask({"what": "cycles", "count": 1})
            found = one.ask({"what": "cycles", "count": _CYCLES})
        note = (
            f"embedded venue behind a proxy of {delay_ms} ms, six quotes; {found['created']} "
            f"cycles from an empty book, {found['moved']} that moved quotes; the venue's orders "
            "equal the maker's"
        )
        return [
            gated(
                f"mm.cycle_{delay_ms}",
                [us / 1_000 for us in found["us"]],
                gate=_GATES_MS[delay_ms],
                guide=f"{_GUIDES[delay_ms]}, 14 calls one by one",
                note=note,
                unit="ms",
            )
        ]

    return run


def run_requests() -> list[Row]:
    """Return the row of requests in a quiet market."""
    with _maker(0, "--activity", _QUIET_ACTIVITY, "--edge", "0") as one:
        found = one.ask({"what": "quiet", "count": _QUIET_CYCLES})
    calls: dict[str, int] = found["calls"]
    assert found["denied"] == 0
    total = sum(calls.values())
    parts = ", ".join(f"{count} {name}" for name, count in calls.items() if count)
    return [
        Row(
            id="mm.requests",
            value=float(total),
            unit="requests",
            samples=_QUIET_CYCLES,
            bar=f"< {_MOST_REQUESTS} in 10 cycles",
            met=total < _MOST_REQUESTS,
            note=(
                f"guide's own 164-180; {parts or 'none'}, {found['skipped']} cycles had nothing "
                f"to do; six quotes, activity {_QUIET_ACTIVITY}; prices and orders come by stream"
            ),
        )
    ]


@contextmanager
def _maker(delay_ms: int, *options: str) -> Iterator[Child]:
    """Run a market maker behind a delay until left."""
    with venue(*options) as ready, tempfile.TemporaryDirectory() as folder:
        address = urlsplit(str(ready["rest"]))
        with child(
            "delay_proxy.py", str(delay_ms), str(address.hostname), str(address.port)
        ) as proxy:
            assert proxy is not None
            access: dict[str, Any] = {name: ready[name] for name in ("rest", "api_key")}
            access |= {"api_secret": ready["api_secret"], "host": proxy.ready["host"]}
            with child("making_cycle.py", json.dumps(access), folder) as one:
                assert one is not None
                yield one


def _step(row: str, what: str, count: int, *, gate: float, guide: str, note: str) -> list[Row]:
    with child("making_ours.py") as one:
        assert one is not None
        rounds = [one.ask({"what": what, "count": count})["us"] for _ in range(_ROUNDS + 1)]
    samples = [us for times in rounds[1:] for us in times]
    return [gated(row, samples, gate=gate, guide=guide, note=note)]
