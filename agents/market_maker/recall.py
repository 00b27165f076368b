"""Takes quotes out of the book: asks, asks again, and never waits for an answer to do so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog

from agents.market_maker.budget import Budget, Kind
from agents.market_maker.desk import Desk
from agents.market_maker.quoting import Silence
from agents.market_maker.sending import Sender, nearest_first
from trading_system.domain.ports import QuotingVenue

_LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S: Final = 0.1
_TRIES: Final = 5
_LOOKS: Final = 10
_PAUSE_S: Final = 0.05


class Recall:
    """Cancels of one market maker.

    Parameters
    ----------
    desks : Mapping of str to Desk
        Symbols quoted.
    exchange, sender, budget :
        What the maker works with.
    wait : Callable
        Waits a number of seconds.

    Attributes
    ----------
    pulling : frozenset of str
        Symbols that :meth:`cancel_all` is at work on; :meth:`keep` leaves them to it.
    """

    def __init__(
        self,
        desks: Mapping[str, Desk],
        *,
        exchange: QuotingVenue,
        sender: Sender,
        budget: Budget,
        wait: Callable[[float], Awaitable[None]],
    ) -> None:
        self._desks = desks
        self._exchange = exchange
        self._sender = sender
        self._budget = budget
        self._wait = wait
        self.pulling: frozenset[str] = frozenset()

    def resting(self, symbols: Iterable[str]) -> list[tuple[str, str]]:
        """Return (symbol, link id) of the quotes that are or may be in the book, nearest first."""
        # Before a symbol has its quoter, the client need not be connected.
        ready = [symbol for symbol in symbols if self._desks[symbol].quoter is not None]
        return nearest_first([self._exchange.resting_orders(symbol) for symbol in ready])

    async def keep(self, group: asyncio.TaskGroup, silence: Callable[[], Silence | None]) -> None:
        """Look every 0.1 s, until cancelled, whether quotes rest that should not."""
        while True:
            self.ask(group, [s for s in self._desks if s not in self.pulling], silence())
            await self._wait(_LOOK_EVERY_S)

    def ask(
        self, group: asyncio.TaskGroup, symbols: Iterable[str], silence: Silence | None
    ) -> None:
        """Ask for the cancellation of what should not rest; takes no lock, waits for nothing."""
        unwanted = [self._desks[symbol].unwanted(silence) for symbol in symbols]
        room = self._budget.free(Kind.CANCEL, is_emergency=True)
        orders = self._sender.overdue(unwanted)[:room]
        if orders:
            _LOG.info("recalling quotes", orders=len(orders))
            self._sender.start_cancels(group, orders)

    async def cancel_all(
        self, group: asyncio.TaskGroup, symbols: Iterable[str], reason: str
    ) -> None:
        """Cancel every quote of ``symbols`` inside the venue's quota, some times over."""
        for _ in range(_TRIES):
            orders = self.resting(symbols)
            if not orders:
                return
            _LOG.info("pulling quotes", reason=reason, orders=len(orders))
            room = self._budget.free(Kind.CANCEL, is_emergency=True)
            if not room:
                await self._wait(self._budget.wait_s(Kind.CANCEL, 1))
                room = self._budget.free(Kind.CANCEL, is_emergency=True)
            self._sender.start_cancels(group, orders[:room])
            await self.until_gone(symbols)

    async def until_gone(self, symbols: Iterable[str]) -> None:
        """Wait at most half a second until nothing of ``symbols`` rests."""
        for _ in range(_LOOKS):
            if not self.resting(symbols):
                return
            await self._wait(_PAUSE_S)
