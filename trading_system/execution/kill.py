"""The kill switch: cancel until nothing is open, then close positions if asked to.

The gate is closed before the first step here, so nothing new can leave meanwhile. Every step may
fail and is tried again until the deadline; none of them needs the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    InvariantViolated,
    OrderDenied,
    VenueError,
)
from trading_system.domain.orders import BatchOutcome, OrderReport
from trading_system.execution.tracking import TrackedOrder

_LOG = structlog.get_logger(__name__)
_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_REQUEST_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KillOutcome:
    """What a kill reached by its deadline.

    Parameters
    ----------
    cancelled : int
        Orders that were open when it began, or seen since, and are open no more.
    open_orders : int or None
        Orders that are still open or of unknown outcome, protective stops not counted; None if
        the venue did not answer.
    flattened : bool
        Whether closing was asked for and no position of a tradable symbol is left.
    """

    cancelled: int
    open_orders: int | None
    flattened: bool

    @property
    def is_confirmed(self) -> bool:
        """Whether the venue itself said that no order is open."""
        return self.open_orders == 0


class KillDesk(Protocol):
    """What the kill switch needs of the engine."""

    @property
    def live_orders(self) -> tuple[TrackedOrder, ...]:
        """Own orders without a settled outcome."""
        ...

    async def look_up(self, order: TrackedOrder) -> None:
        """Ask the venue for one order and apply what it says."""
        ...

    async def killable_orders(self) -> list[OrderReport]:
        """Return the venue's open orders, protective stops left out."""
        ...

    async def cancel_all(self, symbol: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of every order of ``symbol``."""
        ...

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Ask for the cancellation of (symbol, link id) pairs."""
        ...

    def open_positions(self) -> tuple[str, ...]:
        """Return the tradable symbols with a position."""
        ...

    async def close_position(self, symbol: str, *, timeout_s: float) -> None:
        """Send one reduce-only order for the whole position and wait for its end."""
        ...


class KillSwitch:
    """One kill at a time; a second call waits for the first and then finds nothing left to do.

    Parameters
    ----------
    desk : KillDesk
        The engine.
    symbols : Collection[str]
        Symbols to cancel even if the venue cannot say what is open.
    """

    def __init__(self, desk: KillDesk, symbols: Collection[str]) -> None:
        self._desk = desk
        self._symbols = tuple(symbols)
        self._lock = asyncio.Lock()
        self._stuck: set[str] = set()

    async def run(self, *, flatten: bool, deadline_s: float) -> KillOutcome:
        """Cancel, confirm and flatten within ``deadline_s``; never raises for a silent venue."""
        seen = {order.intent.link_id for order in self._desk.live_orders}
        left: set[str] | None = None
        try:
            async with asyncio.timeout(deadline_s) as scope, self._lock:
                late_s = (scope.when() or 0.0) - deadline_s / 2
                await self._cancel(self._symbols, self._note_open(seen))
                left, pause_s = await self._what_is_left(seen), _PAUSE_S
                while not await self._is_done(left, flatten=flatten, late_s=late_s):
                    await asyncio.sleep(pause_s)
                    pause_s = min(_LONGEST_PAUSE_S, pause_s * 2) if left is None else _PAUSE_S
                    await self._cancel(self._symbols if left is None else self._stuck)
                    left = await self._what_is_left(seen)
        except TimeoutError:
            _LOG.error("kill not complete", open_orders=None if left is None else len(left))
        return KillOutcome(
            cancelled=len(seen - (left if left is not None else seen)),
            open_orders=None if left is None else len(left),
            flattened=flatten and left == set() and not self._desk.open_positions(),
        )

    async def _is_done(self, left: set[str] | None, *, flatten: bool, late_s: float) -> bool:
        """Close what is held if asked to; return whether nothing is open any more.

        Positions are closed before the venue confirms that no opening order is left only where it
        does not say what is open, or half of the time is over.
        """
        if not flatten:
            return left == set()
        exits = {o.intent.link_id for o in self._desk.live_orders if o.intent.reduce_only}
        if (left or set()) <= exits or asyncio.get_running_loop().time() >= late_s:
            await self._close_positions()
        return left == set() and not self._desk.open_positions()

    async def _note_open(self, seen: set[str]) -> None:
        """Note what was open when the cancels were sent."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REQUEST_S):
                seen |= {_id(report) for report in await self._open_orders() or ()}

    async def _open_orders(self) -> list[OrderReport] | None:
        try:
            return await self._desk.killable_orders()
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("open orders could not be read", error=str(e))
            return None

    async def _cancel(self, symbols: Iterable[str], *beside: Coroutine[Any, Any, None]) -> None:
        """Ask for the end of every own order and of all orders of ``symbols``, all at once.

        Own orders are named beside that: such requests take the faster way, and another one where
        HTTP is refused.
        """
        async with asyncio.TaskGroup() as group:
            for coroutine in beside:
                group.create_task(coroutine)
            group.create_task(self._cancel_own(), name="kill-own")
            for symbol in sorted(symbols):
                group.create_task(self._cancel_all(symbol), name=f"kill-{symbol}")

    async def _cancel_own(self) -> None:
        intents = [o.intent for o in self._desk.live_orders if not o.status.is_final]
        own = [(intent.symbol, intent.link_id) for intent in intents]
        try:
            async with asyncio.timeout(_REQUEST_S):
                outcomes = await self._desk.cancel_batch(own, timeout_s=_REQUEST_S)
        except (CorruptDataError, InvariantViolated, TimeoutError) as e:  # alarms are raised
            _LOG.error("own orders not all cancelled", error=str(e))
            return
        for failed in [outcome for outcome in outcomes if outcome.error is not None]:
            _LOG.info("cancel had no effect", link_id=failed.link_id, error=str(failed.error))

    async def _cancel_all(self, symbol: str) -> None:
        try:
            await self._desk.cancel_all(symbol, timeout_s=_REQUEST_S)
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("cancel-all failed", symbol=symbol, error=str(e))

    async def _what_is_left(self, seen: set[str]) -> set[str] | None:
        """Return what is still open or of unknown outcome, None if the venue did not say."""
        reports: list[OrderReport] | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REQUEST_S):
                reports = await self._open_orders()
                # A request of unknown outcome may still reach the venue: only its own look-up
                # ends it.
                for order in self._desk.live_orders if reports is not None else ():
                    await self._look_up(order)
        if reports is None:
            return None
        left = {_id(report) for report in reports}
        seen |= left
        unsettled = [order.intent for order in self._desk.live_orders]
        self._stuck = {r.symbol for r in reports} | {intent.symbol for intent in unsettled}
        return left | {intent.link_id for intent in unsettled}

    async def _look_up(self, order: TrackedOrder) -> None:
        try:
            await self._desk.look_up(order)
        except InvariantViolated as e:  # the alarm is raised already; cancelling must go on
            _LOG.error("look-up found a violation", link_id=order.intent.link_id, error=str(e))

    async def _close_positions(self) -> None:
        for symbol in self._desk.open_positions():
            try:
                await self._desk.close_position(symbol, timeout_s=_REQUEST_S)
            except (VenueError, OrderDenied, DeadlineExceeded) as e:
                _LOG.error("position not closed yet", symbol=symbol, error=str(e))


def _id(report: OrderReport) -> str:
    return report.link_id or report.order_id
