"""What an order would do to an account's margin rates, without placing it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading_system.domain.orders import Side
from trading_system.simulation.accounts.account import Account
from trading_system.simulation.accounts.views import wallet_view
from trading_system.simulation.contracts import Contract
from trading_system.simulation.records import OrderRequest
from trading_system.simulation.validation import Terms, margin_needed


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRates:
    """Initial and maintenance margin as shares of the margin balance, before and after."""

    initial_before: Decimal
    maintenance_before: Decimal
    initial_after: Decimal
    maintenance_after: Decimal


def margin_rates(
    account: Account, contract: Contract, *, request: OrderRequest, terms: Terms
) -> MarginRates:
    """Return the rates now and with a checked order.

    The order takes its own initial margin, and the maintenance margin of the position that it
    leaves when it fills. A conditional order takes nothing before its trigger.
    """
    wallet = wallet_view(account)
    initial = wallet.position_margin + wallet.order_margin
    added_initial = added_maintenance = Decimal(0)
    if terms.trigger is None:
        added_initial, added_maintenance = _added(account, contract, request, terms)
    return MarginRates(
        initial_before=_share(initial, wallet.equity),
        maintenance_before=_share(wallet.maintenance_margin, wallet.equity),
        initial_after=_share(initial + added_initial, wallet.equity),
        maintenance_after=_share(wallet.maintenance_margin + added_maintenance, wallet.equity),
    )


def _added(
    account: Account, contract: Contract, request: OrderRequest, terms: Terms
) -> tuple[Decimal, Decimal]:
    stake = account.stake_for(contract, request.position_idx)
    initial = Decimal(0)
    if not request.reduce_only:
        initial = margin_needed(stake, request.side, price_ticks=terms.price_ticks, lots=terms.lots)
    held = stake.position.lots
    left = held + (terms.lots if request.side is Side.BUY else -terms.lots)
    rate = contract.maintenance_rate + stake.taker_rate
    return initial, (contract.value(abs(left)) - contract.value(abs(held))) * rate


def _share(margin: Decimal, balance: Decimal) -> Decimal:
    return margin / balance if balance > 0 else Decimal(0)
