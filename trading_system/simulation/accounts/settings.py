"""What an account may change about its contracts: position mode, leverage, disconnect protection.

Every function raises ``VenueReject`` on a broken rule; nothing has changed then.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from trading_system.domain.instruments import Category
from trading_system.simulation.accounts.account import Account
from trading_system.simulation.contracts import Contract
from trading_system.simulation.records import DcpProduct, PositionMode, VenueReject

HEDGED_COIN = "USDT"
"""Settlement coin of the contracts that can be hedged."""

DCP_WINDOW_S = range(3, 301)
"""Windows of disconnect protection that may be set, seconds."""


def switch_mode(account: Account, contract: Contract, mode: PositionMode) -> None:
    """Switch one contract.

    Raises
    ------
    VenueReject
        110025 unchanged, 110029 no hedge mode, 110024 a position, 110028 an open order.
    """
    modes = account.modes
    if modes.of(contract) is mode:
        raise VenueReject(110025, "Position mode is not modified")
    if not can_hedge(contract):
        raise VenueReject(110029, "this contract does not support hedge mode")
    _check_idle(account, contract)
    modes.by_key[contract.symbol] = mode


def switch_modes(
    account: Account, contracts: Collection[Contract], coin: str, mode: PositionMode
) -> list[Contract]:
    """Switch all contracts of a settlement coin that are idle; return those that changed.

    ``mode`` becomes the coin's default; contracts with a position or an order keep theirs.

    Raises
    ------
    VenueReject
        110025 when nothing would change, 110029 no hedge mode; the code of the first contract
        that is not idle when no other one could be switched.
    """
    if coin != HEDGED_COIN:
        raise VenueReject(110029, f"contracts settled in {coin} do not support hedge mode")
    modes = account.modes
    kin = [each for each in contracts if can_hedge(each)]
    others = [each for each in kin if modes.of(each) is not mode]
    if not others and modes.by_coin.get(coin, PositionMode.ONE_WAY) is mode:
        raise VenueReject(110025, "Position mode is not modified")
    idle = [each for each in others if not _obstacle(account, each)]
    if others and not idle:
        _check_idle(account, others[0])
    # Fixed first, so that the new default does not reach contracts that are in use.
    for contract in kin:
        modes.by_key[contract.symbol] = mode if contract in idle else modes.of(contract)
    modes.by_coin[coin] = mode
    return idle


def set_leverage(account: Account, contract: Contract, leverage: Decimal) -> None:
    """Set the leverage of a contract, both sides of a hedged one: margin is crossed.

    Raises
    ------
    VenueReject
        110043 unchanged, 110013 out of range, 110007 when margin would not suffice.
    """
    highest = contract.instrument.max_leverage
    if not (leverage.is_finite() and 1 <= leverage <= highest):
        raise VenueReject(110013, f"cannot set leverage due to risk limit: 1 to {highest}")
    stakes = [account.stake(contract, index) for index in account.modes.indices(contract)]
    stakes += [each for each in account.stakes_of(contract) if each not in stakes]
    former = stakes[0].leverage
    if leverage == former:
        raise VenueReject(110043, "leverage not modified")
    is_idle = all(stake.is_idle for stake in stakes)
    for stake in stakes:
        stake.leverage = leverage
    if leverage < former and not is_idle and account.available() < 0:
        for stake in stakes:
            stake.leverage = former
        raise VenueReject(110007, "ab not enough for new leverage")


def set_disconnect_window(account: Account, product: DcpProduct, window_s: int) -> None:
    """Protect an institutional account's orders against a lost connection.

    Raises
    ------
    VenueReject
        10005 for other accounts, 10001 out of range.
    """
    if not account.spec.institutional:
        raise VenueReject(10005, "disconnect protection is for institutional accounts only")
    if window_s not in DCP_WINDOW_S:
        raise VenueReject(10001, "params error: timeWindow must be 3 to 300 seconds")
    account.dcp_windows_s[product] = window_s


def can_hedge(contract: Contract) -> bool:
    """Return whether a contract has two position sides to offer: USDT perpetuals do."""
    instrument = contract.instrument
    return instrument.category is Category.LINEAR and instrument.quote_coin == HEDGED_COIN


def _check_idle(account: Account, contract: Contract) -> None:
    obstacle = _obstacle(account, contract)
    if obstacle == "position":
        raise VenueReject(110024, "you have an existing position, so position mode cannot switch")
    if obstacle == "order":
        raise VenueReject(110028, "you have existing open orders, so position mode cannot switch")


def _obstacle(account: Account, contract: Contract) -> str:
    if any(stake.position.lots for stake in account.stakes_of(contract)):
        return "position"
    waiting = (*account.orders.values(), *account.stops.values())
    return "order" if any(live.stake.contract is contract for live in waiting) else ""
