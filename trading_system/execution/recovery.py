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
    VenueRejected,
)
from trading_system.domain.orders import OrderReport
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

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of one order."""
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
    try:
        async with asyncio.timeout(deadline_s):
            attempt = 0
            while not await _round(desk, orders, cancelled, timeout_s=timeout_s):
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
    desk: RecoveryDesk, orders: Sequence[TrackedOrder], cancelled: set[str], *, timeout_s: float
) -> bool:
    """Do one round; return whether nothing rests and every order is settled."""
    try:
        resting = await desk.resting_orders()
        for report in resting:
            _LOG.info("cancelling an order of an earlier run", link_id=report.link_id)
            cancelled.add(report.link_id)
            try:
                await desk.cancel(report.symbol, report.link_id, timeout_s=timeout_s)
            except VenueRejected as e:  # it has just ended by itself; the next round tells
                _LOG.info("cancel had no effect", link_id=report.link_id, error=str(e))
    except VenueAuthError:
        raise
    except (VenueError, CorruptDataError) as e:
        _LOG.warning("recovery request failed", error=str(e))
        return False
    for order in orders:
        if not order.settled.is_set():
            await desk.look_up(order)
    return not resting and all(order.settled.is_set() for order in orders)
