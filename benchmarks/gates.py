"""The guides' own operations beside ours: what they measured, the gate, and what ours costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks import queue_rows
from benchmarks.interleaved import Child, child

Samples = Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One operation of the guides; ``guide`` is what their own implementation was measured at."""

    id: str
    operation: str
    guide: str
    gate: str
    measured: str
    samples: int
    met: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Operation:
    id: str
    operation: str
    guide: str
    gate: str
    step: str
    count: int
    judge: Callable[[Samples], tuple[str, bool]]


def _below(**limits_us: float) -> Callable[[Samples], tuple[str, bool]]:
    """Return a judge of percentiles, each named ``p50`` and so on, microseconds."""

    def judge(samples: Samples) -> tuple[str, bool]:
        found = {name: float(np.percentile(samples, int(name[1:]))) for name in limits_us}
        text = ", ".join(f"{name} {_time(us)}" for name, us in found.items())
        return text, all(found[name] < limit for name, limit in limits_us.items())

    return judge


def _in_order(samples: Samples) -> tuple[str, bool]:
    return ",".join(f"{p:.0f}" for p in samples), list(samples) == sorted(samples)


def _once(samples: Samples) -> tuple[str, bool]:
    return f"sent {max(samples):.0f}x", set(samples) == {1.0}


def _time(us: float) -> str:
    return f"{us / 1_000:.3g} ms" if us >= 1_000 else f"{us:.3g} us"


_OPERATIONS = (
    _Operation(
        "B1", "priority GET, idle loop", "6003 ms", "p95 < 1 ms", "idle_get", 100,
        _below(p95=1_000),
    ),
    _Operation(
        "B2", "priority GET, busy loop", "p50 1.21 ms, p99 3.73 ms", "p50 < 0.4 ms, p99 < 2 ms",
        "busy_get", 1_000, _below(p50=400, p99=2_000),
    ),
    _Operation(
        "B4", "batch of 20, server 20 ms", "450 ms", "< 60 ms", "batch", 10, _below(p50=60_000)
    ),
    _Operation(
        "B5", "order of service of 12 queued", "fully inverted", "exact", "service_order", 12,
        _in_order,
    ),
    _Operation("B6", "POST on HTTP 500", "sent 4x", "sent once", "failed_post", 10, _once),
    _Operation(
        "B7", "market analysis, 50 levels of text", "29 us (zero liquidity)", "< 100 us",
        "analyzer", 1_000, _below(p50=100),
    ),
    _Operation(
        "B7", "market analysis, native book", "38 us", "< 40 us", "native_analysis", 1_000,
        _below(p50=40),
    ),
    _Operation(
        "B8", "market summary", "28 us", "< 25 us", "summary", 1_000, _below(p50=25)
    ),
    _Operation(
        "B11", "order execution without the venue", "100 % failure", "100 % result, < 1 ms",
        "execution", 500, _below(p95=1_000),
    ),
    _Operation(
        "B12", "AI signal, local models", "0.93 ms, always NONE by error", "p95 < 20 ms", "models",
        500, _below(p95=20_000),
    ),
    _Operation(
        "B13", "AI cache hit, 30 fields", "49 us, hit rate 0.0", "< 15 us, true counters",
        "cache_hit", 1_000, _below(p50=15),
    ),
    _Operation(
        "B14", "three stub models, uncached", "283 us", "< 250 us", "stubs", 500, _below(p50=250)
    ),
    _Operation(
        "B26", "rate-limit check", "0.2 us, no limiter", "< 2 us, spacing held", "rate_limit",
        2_000, _below(p50=2),
    ),
    _Operation("B32", "risk decision", "6.4 us", "< 10 us, fails closed", "gate", 2_000,
        _below(p50=10),
    ),
)  # fmt: skip


def run() -> list[Gate]:
    """Return every operation that there is a counterpart of."""
    with child("order_server.py") as server:
        assert server is not None
        with child("gates_ours.py", str(server.ready["url"])) as ours:
            assert ours is not None
            gates = [_measured(operation, ours) for operation in _OPERATIONS]
    return sorted([*gates, _throughput()], key=lambda gate: int(gate.id[1:]))


def _measured(operation: _Operation, ours: Child) -> Gate:
    samples = ours.ask({"what": operation.step, "count": operation.count})["us"]
    measured, met = operation.judge(samples)
    return Gate(
        id=operation.id,
        operation=operation.operation,
        guide=operation.guide,
        gate=operation.gate,
        measured=measured,
        samples=len(samples),
        met=met,
    )


def _throughput() -> Gate:
    row = queue_rows.run_throughput()[0]
    return Gate(
        id="B3",
        operation="1,000 concurrent requests",
        guide="1,135/s",
        gate="> 4,000/s",
        measured=f"{row.value:.0f}/s",
        samples=row.samples,
        met=row.met,
    )
