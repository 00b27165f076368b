"""The exchange core of the embedded venue: what accounts can ask of it.

What can be read is in :mod:`~trading_system.simulation.exchange_queries`, what moves the market in
:mod:`~trading_system.simulation.exchange_market`.

Deterministic: time is a parameter and ids come from the seed, so the same calls give the same
orders, executions and events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.instruments import Category, Instrument, category_of
from trading_system.simulation.accounts import settings
from trading_system.simulation.accounts.account import Account
from trading_system.simulation.accounts.holdings import open_account
from trading_system.simulation.conditions import Amendment, StopChange
from trading_system.simulation.contracts import Contract
from trading_system.simulation.entry import CANCEL_LIMIT
from trading_system.simulation.exchange_market import ExchangeMarket
from trading_system.simulation.precheck import MarginRates, margin_rates
from trading_system.simulation.records import (
    HOUSE,
    AccountSpec,
    DcpProduct,
    OrderRecord,
    OrderRequest,
    PositionMode,
    VenueReject,
)
from trading_system.simulation.steps import MatchingStep

DEFAULT_MAINTENANCE_RATE = Decimal("0.005")
"""Maintenance margin as a share of the position's value."""

_PROTECTED = {DcpProduct.DERIVATIVES: Category.LINEAR, DcpProduct.SPOT: Category.SPOT}


class Exchange(ExchangeMarket):
    """A price-time exchange with cross-margined accounts, one-way or hedged.

    Methods of real accounts raise :class:`VenueReject` on a broken rule; nothing has changed then.
    All others raise ``KeyError`` for an unknown symbol or account.

    Parameters
    ----------
    instruments : Sequence[Instrument]
        Contracts to list.
    accounts : Sequence[AccountSpec]
        Real accounts with unique ids of 1 and more.
    seed : int
        Decides all ids.
    maintenance_rate : Decimal
        Maintenance margin rate of every contract.

    Attributes
    ----------
    listener : ExchangeListener or None
        Told of everything that happens, synchronously.
    parts : ExchangeParts
        The inside; only the state file may change it.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        accounts: Sequence[AccountSpec],
        *,
        seed: int,
        maintenance_rate: Decimal = DEFAULT_MAINTENANCE_RATE,
    ) -> None:
        _check_unique(instruments, accounts)
        self.instruments: Mapping[str, Instrument] = MappingProxyType(
            {instrument.key: instrument for instrument in instruments}
        )
        self.accounts: Mapping[int, AccountSpec] = MappingProxyType(
            {spec.account_id: spec for spec in accounts}
        )
        contracts = {
            instrument.key: Contract(instrument, maintenance_rate) for instrument in instruments
        }
        super().__init__(
            contracts,
            {spec.account_id: open_account(spec, contracts.values()) for spec in accounts},
            seed=seed,
        )
        self._entry, self._spot = self.parts.entry, self.parts.spot
        self._stops, self._triggers = self.parts.stops, self.parts.triggers

    def place(self, account_id: int, request: OrderRequest, *, now_ms: int) -> OrderRecord:
        """Accept and match a new order.

        An order refused in matching (crossing post-only, unfillable FOK, IOC with nothing to hit)
        is accepted and comes back cancelled.
        """
        contract = self._tradable(request.symbol)
        step = MatchingStep(now_ms)
        entry = self._spot if contract.is_spot else self._entry
        record = entry.place(self._accounts[account_id], contract, request=request, step=step)
        self._aftermath.conclude(contract, step)
        return record

    def pre_check(self, account_id: int, request: OrderRequest) -> MarginRates:
        """Return what a new order would do to the margin rates, or raise ``VenueReject``."""
        contract = self._tradable(request.symbol)
        account = self._accounts[account_id]
        request, terms = self._entry.checked(account, contract, request)
        return margin_rates(account, contract, request=request, terms=terms)

    def amend(
        self,
        account_id: int,
        symbol: str,
        *,
        order_id: str = "",
        link_id: str = "",
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        change: Amendment | None = None,
        now_ms: int,
    ) -> OrderRecord:
        """Change an order that rests or waits: its price or total quantity, or by ``change``.

        A higher quantity or another price loses time priority, a pure decrease keeps it.
        """
        contract = self._tradable(symbol)
        step = MatchingStep(now_ms)
        entry = self._spot if contract.is_spot else self._entry
        record = entry.amend(
            self._accounts[account_id],
            contract,
            order_id=order_id,
            link_id=link_id,
            change=change or Amendment(price=price, quantity=quantity),
            step=step,
        )
        self._aftermath.conclude(contract, step)
        return record

    def cancel(
        self, account_id: int, symbol: str, *, order_id: str = "", link_id: str = "", now_ms: int
    ) -> OrderRecord:
        """Cancel an order that rests or waits; ``order_id`` wins over ``link_id``."""
        step = MatchingStep(now_ms)
        contract = self._tradable(symbol)
        entry = self._spot if contract.is_spot else self._entry
        record = entry.cancel(
            self._accounts[account_id],
            contract,
            order_id=order_id,
            link_id=link_id,
            step=step,
        )
        self._tell(step)
        return record

    def cancel_all(
        self,
        account_id: int,
        *,
        symbol: str | None = None,
        now_ms: int,
        limit: int = CANCEL_LIMIT,
    ) -> list[OrderRecord]:
        """Cancel at most ``limit`` resting orders, oldest first, of one listing or of all."""
        contract = None if symbol is None else self._tradable(symbol)
        step = MatchingStep(now_ms)
        records = self._entry.cancel_all(
            self._accounts[account_id], contract=contract, step=step, limit=limit
        )
        self._tell(step)
        return records

    def cancel_stops(
        self,
        account_id: int,
        *,
        symbol: str | None = None,
        now_ms: int,
        own_only: bool = False,
        limit: int = CANCEL_LIMIT,
    ) -> list[OrderRecord]:
        """Deactivate waiting orders, oldest first, of one listing or of all contracts.

        With ``own_only`` conditional orders only, no stops of positions.
        """
        contract = None if symbol is None else self._tradable(symbol)
        step = MatchingStep(now_ms)
        records = self._entry.cancel_waiting(
            self._accounts[account_id],
            contract=contract,
            step=step,
            own_only=own_only,
            limit=limit,
        )
        self._tell(step)
        return records

    def set_stops(
        self,
        account_id: int,
        symbol: str,
        changes: Sequence[StopChange],
        *,
        now_ms: int,
        position_idx: int = 0,
    ) -> None:
        """Set, move or remove the stops of a position.

        Raises
        ------
        VenueReject
            34040 when nothing would change; 10001 without a position, off the tick grid, or on
            the wrong side of the watched price.
        """
        contract = self._tradable(symbol)
        step = MatchingStep(now_ms)
        self._stops.change(
            self._accounts[account_id],
            contract,
            changes=changes,
            step=step,
            position_idx=position_idx,
        )
        self._aftermath.conclude(contract, step)

    def set_leverage(self, account_id: int, symbol: str, leverage: Decimal) -> None:
        """Set the leverage of an account in a contract.

        Raises
        ------
        VenueReject
            110043 unchanged, 110013 out of range, 110007 when margin would not suffice.
        """
        contract = self._tradable(symbol)
        account = self._accounts[account_id]
        settings.set_leverage(account, contract, leverage)
        self._tell_settings(account, [contract])

    def switch_mode(
        self, account_id: int, mode: PositionMode, *, symbol: str = "", coin: str = ""
    ) -> None:
        """Switch the position mode of one contract, or of all idle ones of a settlement coin.

        Raises
        ------
        VenueReject
            110025 unchanged, 110029 no hedge mode, 110024 a position, 110028 an open order.
        """
        account = self._accounts[account_id]
        if symbol:
            contract = self._tradable(symbol)
            settings.switch_mode(account, contract, mode)
            changed = [contract]
        else:
            changed = settings.switch_modes(account, self._contracts.values(), coin, mode)
        self._tell_settings(account, changed)

    def set_disconnect_window(self, account_id: int, product: DcpProduct, window_s: int) -> None:
        """Set how long an institutional account's connections may be down, 3 to 300 s.

        Raises
        ------
        VenueReject
            10005 for other accounts, 10001 out of range.
        """
        account = self._accounts[account_id]
        settings.set_disconnect_window(account, product, window_s)
        self._tell_settings(account, [])

    def cancel_disconnected(self, account_id: int, product: DcpProduct, *, now_ms: int) -> int:
        """Cancel all orders of a product, resting or waiting; return how many."""
        account, step = self._accounts[account_id], MatchingStep(now_ms)
        category = _PROTECTED.get(product)
        resting = [each for each in account.orders.values() if each.category is category]
        waiting = [each for each in account.stops.values() if each.category is category]
        for live in resting:
            self._settlement.close(live, step, cancel_type="CancelByDCP")
        for live in waiting:
            self._triggers.clear(live, step, cancel_type="CancelByDCP")
        self._tell(step)
        return len(resting) + len(waiting)

    def reject_next(self, account_id: int, reason: str, count: int = 1) -> None:
        """Let the next ``count`` orders be accepted and then rejected; 0 ends that."""
        self._accounts[account_id].reject_next(reason, count)

    def _tell_settings(self, account: Account, contracts: Sequence[Contract]) -> None:
        # Settings carry no time: nothing of the step is stamped with it.
        step = MatchingStep(0)
        step.touch_wallet(account.account_id)
        for contract in contracts:
            for index in account.modes.indices(contract):
                account.stake(contract, index)
                step.touch_position(account.account_id, contract.symbol, index)
        self._tell(step)

    def _tradable(self, symbol: str) -> Contract:
        contract = self._contracts.get(symbol)
        if contract is None:
            if category_of(symbol) is Category.SPOT:
                raise VenueReject(170121, "Invalid symbol.")
            contracts = (key for key in self.instruments if category_of(key) is Category.LINEAR)
            known = ", ".join(contracts)
            raise VenueReject(10001, f"Not supported symbols, this venue lists {known}")
        return contract


def _check_unique(instruments: Sequence[Instrument], accounts: Sequence[AccountSpec]) -> None:
    symbols = {instrument.key for instrument in instruments}
    account_ids = {spec.account_id for spec in accounts}
    if len(symbols) != len(instruments) or len(account_ids) != len(accounts):
        raise ConfigurationError("symbols and account ids must be unique")
    if any(account_id <= HOUSE for account_id in account_ids):
        raise ConfigurationError("account ids must be 1 or more")
