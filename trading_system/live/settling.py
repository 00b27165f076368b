"""How a session's orders get their outcome when the stream is silent, and at its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import structlog

from trading_system.domain.errors import TradingSystemError
from trading_system.execution.engine import ExecutionEngine
from trading_system.execution.pacing import CancelPacer

_LOG = structlog.get_logger(__name__)
_SETTLE_S = 12.0
_MARGIN_S = 1.0
_SETTLE_PAUSE_S = 0.3
_ASK_PAUSE_S = 0.1
_ASK_AGAIN_S = 1.1
_LOOK_EVERY_S = 1.0


async def settle_silent(
    engine: ExecutionEngine, *, fetch_missing: Callable[[], Awaitable[object]] | None = None
) -> None:
    """Look up, until cancelled, every order whose answer or report is overdue.

    ``fetch_missing`` is called as often and asks for executions whose full row is overdue.
    """
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        await engine.look_up_silent()
        if fetch_missing is not None:
            await fetch_missing()


async def cancel_and_settle(engine: ExecutionEngine, *, timeout_s: float) -> int:
    """Cancel every own order that may still rest; return how many have no known outcome.

    Each is asked for again until its end is known: a request may be lost, refused for the venue's
    quota, or arrive before the order it is to cancel. No request waits for the answer to another.
    Orders that somebody else placed in the same account are left alone.

    Parameters
    ----------
    timeout_s : float
        Deadline of one request, seconds.
    """
    deadline_s = max(_SETTLE_S, engine.doubt_s + _MARGIN_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(deadline_s), asyncio.TaskGroup() as group:
            asking = group.create_task(_keep_asking(engine, timeout_s=timeout_s), name="cancelling")
            while engine.live_orders:
                await asyncio.sleep(_SETTLE_PAUSE_S)
                await _look_up_all(engine)
            asking.cancel()
    if left := [order.intent.link_id for order in engine.live_orders]:
        _LOG.error("orders without a known outcome", link_ids=left)
    return len(left)


async def _keep_asking(engine: ExecutionEngine, *, timeout_s: float) -> None:
    """Ask, until cancelled, for the cancellation of what is not at its end, ten orders at once."""
    pacer, loop = CancelPacer(again_s=_ASK_AGAIN_S), asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        while True:
            intents = [o.intent for o in engine.live_orders if not o.status.is_final]
            due = pacer.take([(i.symbol, i.link_id) for i in intents], now_s=loop.time())
            if due:
                group.create_task(_cancel(engine, due, timeout_s=timeout_s), name="cancel-batch")
            await asyncio.sleep(_ASK_PAUSE_S)


async def _cancel(
    engine: ExecutionEngine, orders: Sequence[tuple[str, str]], *, timeout_s: float
) -> None:
    try:
        outcomes = await engine.cancel_batch(orders, timeout_s=timeout_s)
    except TradingSystemError as e:  # a violation has raised its alarm; cancelling must go on
        _LOG.error("cancelling failed", error=str(e))
        return
    for outcome in outcomes:
        if outcome.error is not None:  # final already, or unreachable: the look-ups tell
            _LOG.info("cancel had no effect", link_id=outcome.link_id, error=str(outcome.error))


async def _look_up_all(engine: ExecutionEngine) -> None:
    for order in engine.live_orders:
        try:
            await engine.look_up(order)
        except TradingSystemError as e:  # likewise
            _LOG.error("look-up failed", link_id=order.intent.link_id, error=str(e))
