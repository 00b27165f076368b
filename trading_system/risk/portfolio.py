"""Positions, cash and profit from own fills, exact to the last decimal.

Cash = start + realised - fees + funding. The entry value of a position is
kept exactly; on a partial reduction the closed share is rounded to 1e-8 and the rest stays, so
that no fraction of money appears or vanishes.

In hedge mode a symbol has two stakes, long and short, which are booked apart. What decides about
a symbol sees their net position; what limits risk sees each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import (
    LONG_INDEX,
    SHORT_INDEX,
    Fill,
    Side,
    position_index,
)

_VALUE_STEP = Decimal("0.00000001")
_ZERO = Decimal(0)
_SEEN_LIMIT = 100_000


@dataclass(slots=True)
class Position:
    """One symbol's position; ``quantity`` is signed, ``entry_value`` is its unsigned cost.

    ``position_idx`` is 0 in one-way mode; in hedge mode 1 is the long and 2 the short stake.
    """

    symbol: str
    quantity: Decimal = _ZERO
    entry_value: Decimal = _ZERO
    realised: Decimal = _ZERO
    fees: Decimal = _ZERO
    funding: Decimal = _ZERO
    trades_closed: int = 0
    trades_won: int = 0
    open_fees: Decimal = _ZERO
    position_idx: int = 0
    _trip_pnl: Decimal = _ZERO

    @property
    def entry_price(self) -> Decimal | None:
        """Average entry price, None while flat."""
        return self.entry_value / abs(self.quantity) if self.quantity else None

    def unrealised(self, mark: Decimal) -> Decimal:
        """Return the open profit at ``mark``, before fees."""
        if not self.quantity:
            return _ZERO
        value = abs(self.quantity) * mark
        gain = value - self.entry_value
        return gain if self.quantity > 0 else -gain

    def apply(self, fill: Fill) -> Decimal:
        """Book one fill and return the profit it realised, before fees."""
        signed = fill.quantity * fill.side.sign
        self.fees += fill.fee
        self._trip_pnl -= fill.fee
        realised = _ZERO
        closing = min(fill.quantity, abs(self.quantity)) if self._reduces(signed) else _ZERO
        if closing:
            realised = self._close(closing, fill.price)
        opening = fill.quantity - closing
        if opening:
            self.entry_value += opening * fill.price
        self.quantity += signed
        if closing and not (self.quantity and opening == 0):
            self._end_trip()
        return realised

    def _reduces(self, signed: Decimal) -> bool:
        return bool(self.quantity) and (self.quantity > 0) != (signed > 0)

    def _close(self, closing: Decimal, price: Decimal) -> Decimal:
        size = abs(self.quantity)
        if closing == size:
            cost = self.entry_value
        else:
            cost = (self.entry_value * closing / size).quantize(_VALUE_STEP)
        self.entry_value -= cost
        gain = closing * price - cost
        realised = gain if self.quantity > 0 else -gain
        self.realised += realised
        self._trip_pnl += realised
        return realised

    def _end_trip(self) -> None:
        self.trades_closed += 1
        self.trades_won += self._trip_pnl > 0
        self._trip_pnl = _ZERO


class Portfolio:
    """All positions of one account, fed by de-duplicated fills.

    Parameters
    ----------
    start_cash : Decimal
        Wallet balance when the run began, quote currency.
    hedged : Collection[str]
        Symbols in hedge mode.
    """

    def __init__(self, start_cash: Decimal, *, hedged: Collection[str] = ()) -> None:
        self.start_cash = start_cash
        self.hedged = frozenset(hedged)
        self._stakes: dict[tuple[str, int], Position] = {}
        self._marks: dict[str, Decimal] = {}
        self._seen: dict[str, tuple[Decimal, Decimal]] = {}
        self.fills = 0
        self.duplicate_fills = 0
        self.conflicting_fills = 0
        self.peak_equity = start_cash
        self._unvalued: dict[tuple[str, int], tuple[Decimal, Decimal]] = {}
        self._brought_in = _ZERO

    def position(self, symbol: str) -> Position:
        """Return the position of ``symbol``, flat if there was none; in hedge mode the net one.

        The net position is a copy; its entry price is the one that yields its open profit.
        """
        return _net(symbol, self.stakes_of(symbol)) if symbol in self.hedged else self.stake(symbol)

    @property
    def positions(self) -> tuple[Position, ...]:
        """The position of every symbol touched so far, flat and net ones included."""
        symbols = dict.fromkeys(symbol for symbol, _ in self._stakes)
        return tuple(self.position(symbol) for symbol in symbols)

    def stake(self, symbol: str, position_idx: int = 0) -> Position:
        """Return one stake of ``symbol``, flat if there was none; see ``domain.orders``."""
        key = (symbol, position_idx)
        found = self._stakes.get(key)
        if found is None:
            found = self._stakes[key] = Position(symbol, position_idx=position_idx)
        return found

    def stakes_of(self, symbol: str) -> tuple[Position, ...]:
        """Return every stake of ``symbol``: one, or long and short in hedge mode."""
        if symbol not in self.hedged:
            return (self.stake(symbol),)
        return self.stake(symbol, LONG_INDEX), self.stake(symbol, SHORT_INDEX)

    @property
    def stakes(self) -> tuple[Position, ...]:
        """All stakes touched so far, flat ones included."""
        return tuple(self._stakes.values())

    def stake_against(self, symbol: str, side: Side, *, reduce_only: bool) -> Position:
        """Return the stake that an order of ``side`` would open, enlarge or shrink."""
        index = position_index(side, reduce_only=reduce_only, is_hedged=symbol in self.hedged)
        return self.stake(symbol, index)

    def adopt(
        self, symbol: str, quantity: Decimal, entry_price: Decimal, *, position_idx: int = 0
    ) -> None:
        """Take over a position that existed at the venue before this run.

        Raises
        ------
        InvariantViolated
            If fills of the stake were booked already, or the index does not fit the mode.
        """
        if (position_idx != 0) != (symbol in self.hedged):
            raise InvariantViolated(f"{symbol} has no position with index {position_idx}")
        position = self.stake(symbol, position_idx)
        if position.quantity or position.fees:
            raise InvariantViolated(f"cannot adopt a {symbol} position over booked fills")
        position.quantity = quantity
        position.entry_value = abs(quantity) * entry_price
        self._unvalued[symbol, position_idx] = (quantity, entry_price)

    def book_fill(self, fill: Fill, *, is_closing: bool | None = None) -> Decimal | None:
        """Book ``fill`` once and return the realised profit before fees; None for a duplicate.

        Parameters
        ----------
        is_closing : bool or None
            Whether the order could only shrink a position, where that is known; it tells the
            stakes of hedge mode apart, and comes before what the fill itself says.

        Raises
        ------
        InvariantViolated
            If price or quantity is not positive; nothing was booked.
        """
        if not self.remember(fill):
            return None
        self.fills += 1
        if fill.symbol not in self.hedged:
            return self.stake(fill.symbol).apply(fill)
        return self._hedged_stake(fill, is_closing=is_closing).apply(fill)

    def _hedged_stake(self, fill: Fill, *, is_closing: bool | None) -> Position:
        known = is_closing if is_closing is not None else fill.is_closing
        closed = self.stake_against(fill.symbol, fill.side, reduce_only=True)
        if known is None:
            # A foreign fill of which nothing is said; the comparison with the venue would find
            # a wrong guess, and hold trading.
            known = abs(closed.quantity) >= fill.quantity
        return closed if known else self.stake_against(fill.symbol, fill.side, reduce_only=False)

    def remember(self, fill: Fill) -> bool:
        """Note ``fill`` as known without booking it; return whether it was new.

        For executions of an earlier run: the position that is adopted afterwards contains them.
        A known id with another price or quantity is counted, and the first one stands.

        Raises
        ------
        InvariantViolated
            If price or quantity is not positive; nothing was noted.
        """
        known = self._seen.get(fill.exec_id)
        if known is not None:
            self.duplicate_fills += 1
            self.conflicting_fills += known != (fill.price, fill.quantity)
            return False
        if not (fill.price > 0 and fill.quantity > 0 and fill.fee.is_finite()):
            raise InvariantViolated(f"fill {fill.exec_id} has an impossible price or quantity")
        self._note(fill.exec_id, (fill.price, fill.quantity))
        return True

    def book_funding(self, symbol: str, amount: Decimal, exec_id: str) -> bool:
        """Book one funding settlement into cash; return whether it was new.

        Parameters
        ----------
        symbol : str
            Perpetual that was settled.
        amount : Decimal
            Quote currency, positive when received, negative when paid.
        exec_id : str
            Venue id of the settlement, the key for de-duplication.

        Raises
        ------
        InvariantViolated
            If the amount is not finite; nothing was booked.
        """
        if exec_id in self._seen:
            self.duplicate_fills += 1
            return False
        if not amount.is_finite():
            raise InvariantViolated(f"funding {exec_id} has an impossible amount")
        self._note(exec_id, (amount, _ZERO))
        self.stakes_of(symbol)[0].funding += amount
        return True

    def remember_funding(self, exec_id: str) -> None:
        """Note a funding settlement as known: the wallet of the start contains it."""
        self._note(exec_id, (_ZERO, _ZERO))

    def _note(self, exec_id: str, figures: tuple[Decimal, Decimal]) -> None:
        self._seen[exec_id] = figures
        if len(self._seen) > _SEEN_LIMIT:
            del self._seen[next(iter(self._seen))]

    def mark(self, symbol: str, price: Decimal) -> None:
        """Note the newest mark price of ``symbol`` and update the equity peak."""
        self._marks[symbol] = price
        for index in (0, LONG_INDEX, SHORT_INDEX) if self._unvalued else ():
            adopted = self._unvalued.pop((symbol, index), None)
            if adopted is None:
                continue
            # The open profit that an adopted position brought along is not this run's; what this
            # run filled since then is.
            quantity, entry_price = adopted
            brought_in = quantity * price - quantity * entry_price
            self._brought_in += brought_in
            self.peak_equity += brought_in
        self.peak_equity = max(self.peak_equity, self.equity)

    @property
    def realised(self) -> Decimal:
        """Closed profit before fees."""
        return sum((p.realised for p in self._stakes.values()), _ZERO)

    @property
    def fees(self) -> Decimal:
        """Fees paid."""
        return sum((p.fees for p in self._stakes.values()), _ZERO)

    @property
    def funding(self) -> Decimal:
        """Funding received, negative when paid."""
        return sum((p.funding for p in self._stakes.values()), _ZERO)

    @property
    def cash(self) -> Decimal:
        """Start + realised - fees + funding."""
        return self.start_cash + self.realised - self.fees + self.funding

    @property
    def unrealised(self) -> Decimal:
        """Open profit at the newest marks; positions without a mark count as zero."""
        return sum(
            (
                p.unrealised(self._marks[p.symbol])
                for p in self._stakes.values()
                if p.symbol in self._marks
            ),
            _ZERO,
        )

    @property
    def equity(self) -> Decimal:
        """Cash plus open profit."""
        return self.cash + self.unrealised

    @property
    def unvalued(self) -> frozenset[str]:
        """Symbols of adopted positions without a mark, whose open profit equity leaves out."""
        return frozenset(symbol for symbol, _ in self._unvalued)

    @property
    def drawdown_pct(self) -> Decimal:
        """Fall of equity from its peak in this run, percent, at least 0."""
        if self.peak_equity <= 0:
            return _ZERO
        return max(_ZERO, (self.peak_equity - self.equity) / self.peak_equity * 100)

    @property
    def pnl(self) -> Decimal:
        """Profit of this run: equity less start cash and what adopted positions brought along."""
        return self.equity - self.start_cash - self._brought_in

    def gross_notional(self) -> Decimal:
        """Return the sum of absolute position values at the newest marks (entry if unmarked)."""
        return sum(
            (
                abs(p.quantity) * self._marks[p.symbol]
                if p.symbol in self._marks
                else p.entry_value
                for p in self._stakes.values()
            ),
            _ZERO,
        )


def _net(symbol: str, stakes: Collection[Position]) -> Position:
    """Return the sum of a symbol's stakes."""
    net = Position(symbol)
    value = _ZERO
    for stake in stakes:
        net.quantity += stake.quantity
        value += stake.entry_value if stake.quantity > 0 else -stake.entry_value
        net.realised += stake.realised
        net.fees += stake.fees
        net.funding += stake.funding
        net.trades_closed += stake.trades_closed
        net.trades_won += stake.trades_won
        net.open_fees += stake.open_fees
    if net.quantity:
        net.entry_value = value if net.quantity > 0 else -value
    return net
