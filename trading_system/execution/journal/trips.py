"""Closed trades from executions: from flat to flat, or to the other side.

A trade gathers every fill of a symbol until its position is gone; a fill that turns the position
around ends one trade and begins the next, its fee shared by quantity. All of a trade's quantity is
both opened and closed, so its profit is the value sold less the value bought, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading_system.domain.orders import Fill

_ZERO = Decimal(0)
_BPS = 10_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedFill:
    """One execution and the run whose order it belongs to."""

    run_id: str
    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """One trade from its first fill to its last.

    Parameters
    ----------
    run_ids : frozenset of str
        Runs whose orders took part; more than one if it was open across a restart.
    entry_value, exit_value, fees : Decimal
        Quote currency, values unsigned, fees positive when paid.
    sign : int
        +1 long, -1 short.
    opened_ns, closed_ns : int
        Venue times of the first and the last fill, UTC nanoseconds.
    """

    symbol: str
    run_ids: frozenset[str]
    sign: int
    entry_value: Decimal
    exit_value: Decimal
    fees: Decimal
    opened_ns: int
    closed_ns: int

    @property
    def pnl(self) -> Decimal:
        """Profit after fees, without funding, quote currency."""
        return self.sign * (self.exit_value - self.entry_value) - self.fees

    @property
    def pnl_bps(self) -> float:
        """Profit after fees over the entry value, basis points."""
        return float(self.pnl / self.entry_value * _BPS)

    @property
    def gross_bps(self) -> float:
        """Profit before fees over the entry value, basis points."""
        return float((self.pnl + self.fees) / self.entry_value * _BPS)

    @property
    def fees_bps(self) -> float:
        """Fees of entry and exit over the entry value, basis points; negative for a rebate."""
        return float(self.fees / self.entry_value * _BPS)

    @property
    def hold_s(self) -> float:
        """Seconds from the first to the last fill."""
        return (self.closed_ns - self.opened_ns) / _NS_PER_S


@dataclass(slots=True)
class _OpenTrade:
    """A position on its way; ``quantity`` is signed."""

    symbol: str
    opened_ns: int
    quantity: Decimal = _ZERO
    sign: int = 0
    entry_value: Decimal = _ZERO
    exit_value: Decimal = _ZERO
    fees: Decimal = _ZERO
    run_ids: frozenset[str] = frozenset()

    def take(self, signed: Decimal, fee: Decimal, owned: OwnedFill) -> None:
        value = abs(signed) * owned.fill.price
        if self.quantity * signed >= 0:
            self.sign = 1 if signed > 0 else -1
            self.entry_value += value
        else:
            self.exit_value += value
        self.quantity += signed
        self.fees += fee
        self.run_ids |= {owned.run_id}

    def closed(self, closed_ns: int) -> ClosedTrade:
        return ClosedTrade(
            symbol=self.symbol,
            run_ids=self.run_ids,
            sign=self.sign,
            entry_value=self.entry_value,
            exit_value=self.exit_value,
            fees=self.fees,
            opened_ns=self.opened_ns,
            closed_ns=closed_ns,
        )


def closed_trades(fills: Sequence[OwnedFill]) -> list[ClosedTrade]:
    """Return the closed trades of one account, in the order in which they ended.

    Fills are taken in the order of their venue times (equal times as given), each execution id
    once. The account must have been flat before the first of them.
    """
    trades: list[ClosedTrade] = []
    open_trades: dict[str, _OpenTrade] = {}
    seen: set[str] = set()
    for owned in sorted(fills, key=lambda one: one.fill.ts_exchange_ns):
        if owned.fill.exec_id not in seen:
            seen.add(owned.fill.exec_id)
            trades += _apply(open_trades, owned)
    return trades


def _apply(open_trades: dict[str, _OpenTrade], owned: OwnedFill) -> list[ClosedTrade]:
    fill = owned.fill
    trade = open_trades.setdefault(fill.symbol, _OpenTrade(fill.symbol, fill.ts_exchange_ns))
    signed = fill.quantity * fill.side.sign
    is_reducing = trade.quantity * signed < 0
    if not is_reducing or fill.quantity <= abs(trade.quantity):
        trade.take(signed, fill.fee, owned)
        if trade.quantity:
            return []
        del open_trades[fill.symbol]
        return [trade.closed(fill.ts_exchange_ns)]
    closing = -trade.quantity
    fee = fill.fee * abs(closing) / fill.quantity
    trade.take(closing, fee, owned)
    turned = open_trades[fill.symbol] = _OpenTrade(fill.symbol, fill.ts_exchange_ns)
    turned.take(signed - closing, fill.fee - fee, owned)
    return [trade.closed(fill.ts_exchange_ns)]
