"""Where a cross-margined account stands, and the prices at which it would fall.

With equity ``E``, maintenance margin ``M``, mark price ``m``, and over all stakes of one contract
net quantity ``N``, gross quantity ``G`` and margin rate ``r`` (maintenance plus closing fee),
equity and maintenance margin at another mark price ``p`` of that contract are ``E + N (p - m)``
and ``M + G r (p - m)``. They are equal at the liquidation price. Other contracts stand still.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from trading_system.simulation.accounts.account import Account, Stake
from trading_system.simulation.contracts import Contract


class Health(NamedTuple):
    """Equity and maintenance margin of an account, quote currency."""

    equity: Decimal
    maintenance: Decimal

    @property
    def is_exhausted(self) -> bool:
        """Whether the maintenance margin rate has reached 100 %."""
        return self.maintenance > 0 and self.equity <= self.maintenance


def health(account: Account) -> Health:
    """Return where an account stands at the present mark prices."""
    equity, maintenance = account.cash, Decimal(0)
    for stake in account.stakes.values():
        if stake.position.lots:
            equity += stake.unrealised()
            maintenance += stake.position_margins()[1]
    return Health(equity, maintenance)


def liquidation_price(account: Account, contract: Contract) -> Decimal | None:
    """Return the mark price of ``contract`` that would start a liquidation.

    Rounded to the first tick at which it does start; None where no price in range does.
    """
    stakes = [stake for stake in account.stakes_of(contract) if stake.position.lots]
    if not stakes:
        return None
    step = contract.instrument.qty_step
    net = step * sum(stake.position.lots for stake in stakes)
    gross = step * sum(abs(stake.position.lots) for stake in stakes)
    slope = net - gross * (contract.maintenance_rate + stakes[0].taker_rate)
    if not slope:
        return None
    state = health(account)
    price = contract.mark - (state.equity - state.maintenance) / slope
    return _on_grid(contract, price, ROUND_FLOOR if slope > 0 else ROUND_CEILING)


def bankruptcy_ticks(account: Account, stake: Stake) -> int:
    """Return the price at which closing a position, fee included, leaves no equity.

    Rounded so that none is lacking, and kept inside the instrument's range: a loss beyond it is
    more than the account has.
    """
    instrument = stake.contract.instrument
    price = _bankruptcy(account, stake)
    rounding = ROUND_CEILING if stake.position.lots > 0 else ROUND_FLOOR
    ticks = int((price / instrument.tick_size).to_integral_value(rounding))
    lowest = max(1, instrument.ceil_ticks(instrument.min_price))
    return min(max(ticks, lowest), instrument.floor_ticks(instrument.max_price))


def bankruptcy_price(account: Account, stake: Stake) -> Decimal | None:
    """Return the same price, None without a position and where it is out of range."""
    lots = stake.position.lots
    if not lots:
        return None
    rounding = ROUND_CEILING if lots > 0 else ROUND_FLOOR
    return _on_grid(stake.contract, _bankruptcy(account, stake), rounding)


def _bankruptcy(account: Account, stake: Stake) -> Decimal:
    contract, lots = stake.contract, stake.position.lots
    per_unit = health(account).equity / (contract.instrument.qty_step * abs(lots))
    if lots > 0:
        return (contract.mark - per_unit) / (1 - stake.taker_rate)
    return (contract.mark + per_unit) / (1 + stake.taker_rate)


def _on_grid(contract: Contract, price: Decimal, rounding: str) -> Decimal | None:
    instrument = contract.instrument
    if not instrument.min_price <= price <= instrument.max_price:
        return None
    return (price / instrument.tick_size).to_integral_value(rounding) * instrument.tick_size
