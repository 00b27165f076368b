"""``trading-system benchmark latency``: the way to the venue; needs no running system."""

from __future__ import annotations

import random
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from optimizers.latency.courier import RETRY, Courier
from optimizers.latency.figures import LatencyFigures, Targets
from optimizers.latency.measuring import checked_iterations, run_benchmark
from optimizers.transport.pool import PooledTransport
from trading_system.config.settings import Settings
from trading_system.domain.errors import (
    ConfigurationError,
    Outcome,
    ValidationError,
    VenueUnavailable,
)
from trading_system.live.access import needs_embedded_venue
from trading_system.live.venue_process import EmbeddedVenue
from trading_system.runtime.clock import SystemClock
from trading_system.venues.bybit.hosts import endpoints


class _PublicHost:
    # Only public paths are asked for, so that the benchmark needs no key.

    def __init__(self, rest_url: str) -> None:
        self._rest_url = rest_url

    @property
    def rest_url(self) -> str:
        return self._rest_url

    def auth_headers(self, payload: bytes) -> dict[str, str]:
        del payload
        return {}


async def benchmark_latency(settings: Settings, iterations: int) -> dict[str, Any]:
    """Return the latency of the venue's REST host, split into connect, queue, send and response.

    In the environment ``simulated`` an embedded venue is started for the measurement alone, with
    accounts of its own. No key is needed and no order is sent.

    Parameters
    ----------
    iterations : int
        Requests to measure, 1 to 10,000.

    Returns
    -------
    dict
        The keys of ``LatencyOptimizer.benchmark_performance`` with ``environment`` and
        ``base_url``.

    Raises
    ------
    ConfigurationError
        If ``iterations`` or a setting is wrong.
    VenueUnavailable
        If the host answered not once.
    """
    try:
        checked_iterations(iterations)
    except ValidationError as e:
        raise ConfigurationError(f"--{e}") from e
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        base_url = await _base_url(settings, stack)
        transport = await stack.enter_async_context(
            PooledTransport(
                connections=settings.optimization.connection_pool_size,
                queue_size=settings.optimization.priority_queue_size,
                clock=clock,
            )
        )
        courier = Courier(
            _PublicHost(base_url),
            figures=LatencyFigures(),
            clock=clock,
            backoff=RETRY,
            rng=random.Random(),
        )
        result = await run_benchmark(
            transport, courier, base_url, iterations=iterations, targets=Targets()
        )
    if not result["iterations_completed"]:
        raise VenueUnavailable(
            f"{base_url} did not answer; check the network and TRADING_BYBIT__REST_URL",
            venue="bybit",
            operation="benchmark",
            outcome=Outcome.UNKNOWN,
        )
    return {"environment": settings.environment, "base_url": base_url, **result}


async def _base_url(settings: Settings, stack: AsyncExitStack) -> str:
    bybit = settings.bybit
    if bybit.rest_url is not None:
        return bybit.rest_url
    if not needs_embedded_venue(settings):
        return endpoints(settings.environment, rest_url=None, ws_url=None).rest
    # A folder of its own: a running system keeps the accounts of its venue in the usual one.
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trading-benchmark-")))
    alone = settings.model_copy(
        update={"data_dir": folder, "venue": settings.venue.model_copy(update={"state": None})}
    )
    venue = EmbeddedVenue(alone, on_finished=_nothing, on_down=_nothing, on_up=_nothing)
    await venue.start()
    stack.push_async_callback(venue.stop)
    return str(venue.ready["rest"])


def _nothing() -> None:
    return
