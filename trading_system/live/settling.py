"""How a session's orders get their outcome when the stream is silent, and at its end."""

from __future__ import annotations

import asyncio

import structlog

from trading_system.domain.errors import VenueError
from trading_system.domain.orders import OrderIntent
from trading_system.domain.ports import Clock
from trading_system.execution.engine import ExecutionEngine

_LOG = structlog.get_logger(__name__)
_SETTLE_S = 12.0
_SETTLE_PAUSE_S = 0.3
_LOOK_EVERY_S = 1.0
_NS_PER_S = 1_000_000_000


async def settle_silent(engine: ExecutionEngine) -> None:
    """Look up, until cancelled, every order whose answer or report is overdue."""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        await engine.look_up_silent()


async def cancel_and_settle(engine: ExecutionEngine, *, clock: Clock, timeout_s: float) -> int:
    """Cancel every own order that may still rest; return how many have no known outcome.

    Orders that somebody else placed in the same account are left alone.

    Parameters
    ----------
    timeout_s : float
        Deadline of one cancel, seconds.
    """
    async with asyncio.TaskGroup() as group:
        for order in engine.live_orders:
            group.create_task(
                _cancel(engine, order.intent, timeout_s=timeout_s),
                name=f"cancel-{order.intent.link_id}",
            )
    ends_ns = clock.monotonic_ns() + round(_SETTLE_S * _NS_PER_S)
    while engine.live_orders:
        for order in engine.live_orders:
            await engine.look_up(order)
        if clock.monotonic_ns() >= ends_ns:
            break
        await asyncio.sleep(_SETTLE_PAUSE_S)
    return len(engine.live_orders)


async def _cancel(engine: ExecutionEngine, intent: OrderIntent, *, timeout_s: float) -> None:
    try:
        await engine.cancel(intent.symbol, intent.link_id, timeout_s=timeout_s)
    except VenueError as e:  # final already, or unreachable: the look-ups tell
        _LOG.info("cancel had no effect", link_id=intent.link_id, error=str(e))
