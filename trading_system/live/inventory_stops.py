"""One stop at the venue behind each inventory, renewed when the inventory turns or moves on.

The stop guards the whole position, so it follows the size by itself; the venue drops it when the
position is flat or turns. What is asked for here is the stop of a new position, and another price
once the entry has moved far from where the stop was put.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import structlog

from trading_system.config.sections import StrategySettings
from trading_system.domain.errors import TradingSystemError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.risk.limits import MarketView
from trading_system.risk.portfolio import Portfolio
from trading_system.strategies.signals import protective_price

_LOG = structlog.get_logger(__name__)
_SPACING_S = 0.2
_RENEW_SHARE = Decimal("0.1")
_BPS = 10_000


class StopDesk(Protocol):
    """What rests the stops."""

    def own_quantity(self, symbol: str) -> Decimal:
        """Return the part of the position that this system opened, signed."""
        ...

    async def protect(self, symbol: str, stop_price: Decimal | None, *, timeout_s: float) -> None:
        """Let a stop for the whole position rest at the venue; None removes it."""
        ...


@dataclass(frozen=True, slots=True)
class _Rested:
    side: Side
    price: Decimal


class InventoryStops:
    """Decides which stop each inventory needs, and rests it soon after a fill.

    Parameters
    ----------
    desk : StopDesk
        The engine.
    portfolio : Portfolio
        Positions and their entries.
    market : Callable[[str], MarketView]
        Newest mid of a symbol.
    instruments : Mapping[str, Instrument]
        Price grids.
    rules : StrategySettings
        Distance of the stop.
    timeout_s : float
        Deadline of one request, seconds.
    pause : Callable
        Waits between two rounds, seconds, so that a burst of fills costs one request.

    Attributes
    ----------
    requests : int
        Stops that were asked for.
    """

    def __init__(
        self,
        desk: StopDesk,
        *,
        portfolio: Portfolio,
        market: Callable[[str], MarketView],
        instruments: Mapping[str, Instrument],
        rules: StrategySettings,
        timeout_s: float,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._desk = desk
        self._portfolio = portfolio
        self._market = market
        self._instruments = instruments
        self._rules = rules
        self._timeout_s = timeout_s
        self._pause = pause
        self._rested: dict[str, _Rested] = {}
        self._turns: dict[str, int] = {}
        self._signs: dict[str, int] = {}
        self._due: set[str] = set()
        self._changed = asyncio.Event()
        self.requests = 0

    def note(self, symbol: str) -> None:
        """Look at one position again after a fill was booked; sends nothing itself."""
        own, rested = self._own_part(symbol), self._rested.get(symbol)
        if rested is not None and own * rested.side.sign <= 0:
            del self._rested[symbol]  # the venue dropped the stop with the position it guarded
        if own * self._signs.get(symbol, 0) <= 0:
            # Flat or turned, even if it turns back before the answer to a request comes.
            self._turns[symbol] = self._turns.get(symbol, 0) + 1
        self._signs[symbol] = (own > 0) - (own < 0)
        if not own:
            return
        if self._needs(symbol, own):
            self._due.add(symbol)
            self._changed.set()

    async def serve(self) -> None:
        """Rest stops as they become due; runs until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            due, self._due = self._due, set()
            for symbol in sorted(due):
                await self.keep(symbol)
            await self._pause(_SPACING_S)

    async def keep(self, symbol: str) -> None:
        """Rest the stop that the inventory of ``symbol`` needs now, if it needs another.

        A failure is logged; the comparison with the venue finds the missing stop.
        """
        own = self._own_part(symbol)
        if not own or not self._needs(symbol, own):
            return
        side, price, turn = _side_of(own), self._price(symbol, own), self._turns.get(symbol, 0)
        assert price is not None  # else nothing would be needed
        self.requests += 1
        try:
            await self._desk.protect(symbol, price, timeout_s=self._timeout_s)
        except TradingSystemError as e:
            _LOG.warning("no protective stop yet", symbol=symbol, error=str(e))
            return
        # A position that went flat or turned meanwhile took its stop with it.
        is_same = turn == self._turns.get(symbol, 0)
        if is_same and self._own_part(symbol) * side.sign > 0:
            self._rested[symbol] = _Rested(side, price)

    def missing(self, venue_stops: Mapping[str, Decimal | None]) -> dict[str, Decimal]:
        """Return the stop that each own inventory without one at the venue should get."""
        wanted: dict[str, Decimal] = {}
        for symbol in self._instruments:
            own = self._own_part(symbol)
            price = self._price(symbol, own) if own else None
            if price is not None and venue_stops.get(symbol) is None:
                wanted[symbol] = price
        return wanted

    def _needs(self, symbol: str, own: Decimal) -> bool:
        rested, wanted = self._rested.get(symbol), self._price(symbol, own)
        if rested is None or wanted is None or rested.side is not _side_of(own):
            return wanted is not None
        if wanted != self._behind_entry(symbol, own):
            return False  # the market is past it: a stop is never drawn away from the market
        distance = wanted * Decimal(str(self._rules.protective_stop_bps)) / _BPS
        return abs(wanted - rested.price) > distance * _RENEW_SHARE

    def _price(self, symbol: str, own: Decimal) -> Decimal | None:
        """Return where the stop belongs: behind the entry, or the mid where that is passed."""
        mid, price, side = self._market(symbol).mid, self._behind_entry(symbol, own), _side_of(own)
        if mid is None:
            return None
        return price if (mid - price) * side.sign > 0 else self._behind(symbol, side, mid)

    def _behind_entry(self, symbol: str, own: Decimal) -> Decimal:
        entry = self._portfolio.position(symbol).entry_price
        assert entry is not None  # the position is not flat
        return self._behind(symbol, _side_of(own), entry)

    def _behind(self, symbol: str, side: Side, price: Decimal) -> Decimal:
        return protective_price(
            side, float(price), rules=self._rules, instrument=self._instruments[symbol]
        )

    def _own_part(self, symbol: str) -> Decimal:
        """Return what this system opened of the position; the rest is somebody else's."""
        position = self._portfolio.position(symbol).quantity
        own = self._desk.own_quantity(symbol)
        return min(own, position, key=abs) if own * position > 0 else Decimal(0)


def _side_of(quantity: Decimal) -> Side:
    return Side.BUY if quantity > 0 else Side.SELL
