"""The course of a latency benchmark: warm up, measure, end early when nothing answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from optimizers.latency.courier import Courier, Delivery
from optimizers.latency.figures import Targets
from optimizers.latency.grading import benchmark_result
from optimizers.latency.guard import checked_call
from optimizers.transport.pool import TIME_PATH, PooledTransport
from optimizers.transport.queue import HIGHEST
from trading_system.domain.errors import ValidationError

WARM_UP = 10
"""Requests before the measurement, in no figure of its result."""

_PROBE_TIMEOUT_S = 5.0
_MAX_ITERATIONS = 10_000
_UNPACED_ITERATIONS = 300
_PACE_S = 0.01
_ERRORS_IN_A_ROW = 5


def checked_iterations(iterations: int) -> int:
    """Return ``iterations`` if it is 1 to 10,000.

    Raises
    ------
    ValidationError
        Otherwise.
    """
    if isinstance(iterations, bool) or iterations not in range(1, _MAX_ITERATIONS + 1):
        raise ValidationError(f"iterations must be 1 to {_MAX_ITERATIONS}, was {iterations!r}")
    return iterations


async def run_benchmark(
    transport: PooledTransport,
    courier: Courier,
    base_url: str,
    *,
    iterations: int,
    targets: Targets,
    is_kept_alive: bool = True,
) -> dict[str, Any]:
    """Pre-warm, warm up, measure sequential requests at priority 1 and return the result.

    Caches and retries are bypassed. Above 300 iterations one request is sent per 10 ms at most,
    which stays inside Bybit's limit of 600 requests per address and 5 seconds. It ends early after
    five errors in a row.
    """
    connections = await transport.pre_warm(base_url, TIME_PATH)
    call = checked_call("GET", TIME_PATH, params=None, headers=None, base_url=base_url)

    async def probe() -> Delivery:
        return await courier.deliver(
            transport, call, priority=HIGHEST, timeout_s=_PROBE_TIMEOUT_S, retries=False
        )

    deliveries = await _measured(probe, iterations)
    samples = [delivery.sample for delivery in deliveries if delivery.sample is not None]
    return {
        **benchmark_result(
            samples,
            errors=len(deliveries) - len(samples),
            warm_up=WARM_UP,
            connects_ms=transport.connect_ms,
            targets=targets,
            is_kept_alive=is_kept_alive,
        ),
        "connections_ready": sum(connection.is_ready for connection in connections),
    }


async def _measured(probe: Callable[[], Awaitable[Delivery]], iterations: int) -> list[Delivery]:
    pace_s = _PACE_S if iterations > _UNPACED_ITERATIONS else 0.0
    for _ in range(WARM_UP):
        await probe()
    deliveries: list[Delivery] = []
    errors_in_a_row = 0
    while len(deliveries) < iterations and errors_in_a_row < _ERRORS_IN_A_ROW:
        delivery = await probe()
        deliveries.append(delivery)
        errors_in_a_row = 0 if delivery.sample is not None else errors_in_a_row + 1
        await asyncio.sleep(pace_s)
    return deliveries
