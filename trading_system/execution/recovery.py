"""Concluding what earlier runs left open, before the first new order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    VenueAuthError,
    VenueError,
)
from trading_system.domain.orders import BatchOutcome, OrderReport
from trading_system.execution.pacing import CancelPacer
from trading_system.execution.tracking import TrackedOrder, TrackedStatus

_LOG = structlog.get_logger(__name__)
_PAUSES_S = (0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a start found and concluded.

    Parameters
    ----------
    outcomes : dict[TrackedStatus, int]
        How the intents ended that earlier runs had left without a known end.
    fills : int
        Executions of these that no run had recorded.
    cancelled : int
        Resting orders of earlier runs that were cancelled.
    latched : tuple of str
        Sources of holds that are still in force.
    """

    outcomes: dict[TrackedStatus, int]
    fills: int
    cancelled: int
    latched: tuple[str, ...]


class RecoveryDesk(Protocol):
    """What the recovery needs of the engine."""

    async def look_up(self, order: TrackedOrder) -> None:
        """Ask the venue for one order and apply what it says."""
        ...

    async def resting_orders(self) -> list[OrderReport]:
        """Return the venue's open orders that carry this project's prefix."""
        ...

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Ask for the cancellation of (symbol, link id) pairs."""
        ...


async def conclude(
    desk: RecoveryDesk, orders: Sequence[TrackedOrder], *, deadline_s: float, timeout_s: float
) -> int:
    """Cancel what rests and look ``orders`` up until all are settled; return how many rested.

    Raises
    ------
    DeadlineExceeded
        If not everything was concluded in time; no new order may be sent then.
    VenueAuthError
        If the venue refuses the key.
    """
    cancelled: set[str] = set()
    pacer = CancelPacer(again_s=0.0)
    try:
        async with asyncio.timeout(deadline_s):
            attempt = 0
            while not await _round(desk, orders, cancelled, pacer, timeout_s=timeout_s):
                await asyncio.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
                attempt += 1
    except TimeoutError as e:
        left = [o.intent.link_id for o in orders if not o.settled.is_set()]
        raise DeadlineExceeded(
            f"orders of earlier runs not concluded within {deadline_s:g} s: "
            f"{', '.join(left[:5]) or 'some still rest at the venue'}"
        ) from e
    return len(cancelled)


async def _round(
    desk: RecoveryDesk,
    orders: Sequence[TrackedOrder],
    cancelled: set[str],
    pacer: CancelPacer,
    *,
    timeout_s: float,
) -> bool:
    """Do one round; return whether nothing rests and every order is settled."""
    try:
        resting = await desk.resting_orders()
        await _cancel(desk, resting, pacer, timeout_s=timeout_s)
    except VenueAuthError:
        raise
    except (VenueError, CorruptDataError) as e:
        _LOG.warning("recovery request failed", error=str(e))
        return False
    cancelled.update(report.link_id for report in resting)
    for order in orders:
        if not order.settled.is_set():
            await desk.look_up(order)
    return not resting and all(order.settled.is_set() for order in orders)


async def _cancel(
    desk: RecoveryDesk, resting: Sequence[OrderReport], pacer: CancelPacer, *, timeout_s: float
) -> None:
    """Ask for the cancellation of as many as the venue's quota admits now."""
    now_s = asyncio.get_running_loop().time()
    due = pacer.take([(report.symbol, report.link_id) for report in resting], now_s=now_s)
    if not due:
        return
    _LOG.info("cancelling orders of an earlier run", link_ids=[link_id for _, link_id in due])
    for outcome in await desk.cancel_batch(due, timeout_s=timeout_s):
        if isinstance(outcome.error, VenueAuthError):
            raise outcome.error
        if outcome.error is not None:  # it may have just ended by itself; the next round tells
            _LOG.info("cancel had no effect", link_id=outcome.link_id, error=str(outcome.error))
