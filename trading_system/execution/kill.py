"""The kill switch: cancel until nothing is open, then close positions if asked to.

The gate is closed before the first step here, so nothing new can leave meanwhile. Every step may
fail and is tried again until the deadline; none of them needs the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import structlog

from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    InvariantViolated,
    OrderDenied,
    VenueError,
)
from trading_system.domain.orders import OrderReport
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
            async with asyncio.timeout(deadline_s), self._lock:
                await self._note_open(seen)
                pause_s = _PAUSE_S
                left = await self._round(seen, set(self._symbols))
                while left is None or left:
                    await asyncio.sleep(pause_s)
                    pause_s = min(_LONGEST_PAUSE_S, pause_s * 2) if left is None else _PAUSE_S
                    left = await self._round(seen, self._stuck if left else set(self._symbols))
                if flatten:
                    await self._flatten()
        except TimeoutError:
            _LOG.error("kill not complete", open_orders=None if left is None else len(left))
        return KillOutcome(
            cancelled=len(seen - (left if left is not None else seen)),
            open_orders=None if left is None else len(left),
            flattened=flatten and left == set() and not self._desk.open_positions(),
        )

    async def _note_open(self, seen: set[str]) -> None:
        """Note what is open before the first cancel; cancelling does not wait for an answer."""
        try:
            async with asyncio.timeout(_REQUEST_S):
                seen |= {r.link_id or r.order_id for r in await self._desk.killable_orders()}
        except (VenueError, CorruptDataError, TimeoutError) as e:
            _LOG.warning("open orders could not be read", error=str(e))

    async def _round(self, seen: set[str], symbols: set[str]) -> set[str] | None:
        """Cancel ``symbols`` once; return what is still open, None if the venue did not say."""
        async with asyncio.TaskGroup() as group:
            for symbol in sorted(symbols):
                group.create_task(self._cancel(symbol), name=f"kill-{symbol}")
        try:
            reports = await self._desk.killable_orders()
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("open orders could not be read", error=str(e))
            return None
        left = {report.link_id or report.order_id for report in reports}
        seen |= left
        # A request of unknown outcome may still reach the venue: only its own look-up ends it.
        for order in self._desk.live_orders:
            await self._look_up(order)
        unsettled = [order.intent for order in self._desk.live_orders]
        self._stuck = {r.symbol for r in reports} | {intent.symbol for intent in unsettled}
        return left | {intent.link_id for intent in unsettled}

    async def _look_up(self, order: TrackedOrder) -> None:
        try:
            await self._desk.look_up(order)
        except InvariantViolated as e:  # the alarm is raised already; cancelling must go on
            _LOG.error("look-up found a violation", link_id=order.intent.link_id, error=str(e))

    async def _cancel(self, symbol: str) -> None:
        try:
            await self._desk.cancel_all(symbol, timeout_s=_REQUEST_S)
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("cancel-all failed", symbol=symbol, error=str(e))

    async def _flatten(self) -> None:
        while symbols := self._desk.open_positions():
            for symbol in symbols:
                try:
                    await self._desk.close_position(symbol, timeout_s=_REQUEST_S)
                except (VenueError, OrderDenied, DeadlineExceeded) as e:
                    _LOG.error("position not closed yet", symbol=symbol, error=str(e))
            if self._desk.open_positions():
                await asyncio.sleep(_PAUSE_S)
