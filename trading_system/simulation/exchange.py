"""The exchange core of the embedded venue: books, accounts and order flow of all contracts.

Deterministic: time is a parameter and ids come from the seed, so the same calls give the same
orders, executions and events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count
from types import MappingProxyType
from typing import NamedTuple

from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.domain.instruments import Category, Instrument, category_of
from trading_system.domain.orders import Side
from trading_system.simulation.accounts import settings
from trading_system.simulation.accounts.account import Account
from trading_system.simulation.accounts.holdings import open_account
from trading_system.simulation.accounts.margins import health
from trading_system.simulation.conditions import Amendment, StopChange
from trading_system.simulation.contracts import Contract, money
from trading_system.simulation.entry import CANCEL_LIMIT, OrderEntry
from trading_system.simulation.exchange_queries import ExchangeQueries
from trading_system.simulation.house import HouseFlow
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.liquidation import Liquidation, LiquidationParts
from trading_system.simulation.precheck import MarginRates, margin_rates
from trading_system.simulation.records import (
    HOUSE,
    AccountSpec,
    DcpProduct,
    ExchangeListener,
    LiquidationRecord,
    OrderRecord,
    OrderRequest,
    PositionMode,
    VenueReject,
)
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.spot_entry import SpotEntry
from trading_system.simulation.spot_settlement import SpotIds
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.stops import PositionStops
from trading_system.simulation.triggers import Triggers

DEFAULT_MAINTENANCE_RATE = Decimal("0.005")
"""Maintenance margin as a share of the position's value."""


class ExchangeParts(NamedTuple):
    """The inside of an exchange, for the state file only."""

    contracts: Mapping[str, Contract]
    accounts: Mapping[int, Account]
    entry: OrderEntry
    spot: SpotEntry
    stops: PositionStops
    triggers: Triggers


class Exchange(ExchangeQueries):
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
        self.listener: ExchangeListener | None = None
        self.instruments: Mapping[str, Instrument] = MappingProxyType(
            {instrument.key: instrument for instrument in instruments}
        )
        self.accounts: Mapping[int, AccountSpec] = MappingProxyType(
            {spec.account_id: spec for spec in accounts}
        )
        _check_unique(instruments, accounts)
        contracts = {
            instrument.key: Contract(instrument, maintenance_rate) for instrument in instruments
        }
        super().__init__(
            contracts,
            {spec.account_id: open_account(spec, contracts.values()) for spec in accounts},
        )
        identifiers = Identifiers(seed)
        book_ids = count(1)
        spot_ids = SpotIds(seed)
        self._settlement = Settlement(identifiers, spot_ids=spot_ids)
        self._triggers = Triggers(self._settlement)
        self._entry = OrderEntry(
            self._settlement,
            triggers=self._triggers,
            identifiers=identifiers,
            book_ids=book_ids,
        )
        self._spot = SpotEntry(
            self._settlement, entry=self._entry, triggers=self._triggers, ids=spot_ids
        )
        self._stops = PositionStops(
            self._settlement, triggers=self._triggers, identifiers=identifiers
        )
        self._house = HouseFlow(
            self._settlement, accounts=self._accounts.values(), book_ids=book_ids
        )
        self._liquidation = Liquidation(
            LiquidationParts(
                settlement=self._settlement,
                entry=self._entry,
                stops=self._stops,
                triggers=self._triggers,
                identifiers=identifiers,
            ),
            tell=lambda step: step.tell(self.listener),
        )
        self.parts = ExchangeParts(
            self._contracts, self._accounts, self._entry, self._spot, self._stops, self._triggers
        )

    # Real accounts.

    def place(self, account_id: int, request: OrderRequest, *, now_ms: int) -> OrderRecord:
        """Accept and match a new order.

        An order refused in matching (crossing post-only, unfillable FOK, IOC with nothing to hit)
        is accepted and comes back cancelled.
        """
        contract = self._tradable(request.symbol)
        step = MatchingStep(now_ms)
        entry = self._spot if contract.is_spot else self._entry
        record = entry.place(self._accounts[account_id], contract, request=request, step=step)
        self._conclude(contract, step)
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
        self._conclude(contract, step)
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
        step.tell(self.listener)
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
        step.tell(self.listener)
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
        step.tell(self.listener)
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
        self._conclude(contract, step)

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
        is_spot = product is DcpProduct.SPOT
        resting = [
            each for each in account.orders.values() if each.stake.contract.is_spot == is_spot
        ]
        waiting = [
            each for each in account.stops.values() if each.stake.contract.is_spot == is_spot
        ]
        for live in resting:
            self._settlement.close(live, step, cancel_type="CancelByDCP")
        for live in waiting:
            self._triggers.clear(live, step, cancel_type="CancelByDCP")
        step.tell(self.listener)
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
        step.tell(self.listener)

    # Reference prices.

    def set_reference(
        self, symbol: str, *, index_price: Decimal, mark_price: Decimal, now_ms: int | None = None
    ) -> None:
        """Set index and mark price (quote currency, positive, kept to 1e-8).

        Stops that watch them fire at ``now_ms``; without it, with the next order or trade.
        """
        if not all(price.is_finite() and price > 0 for price in (index_price, mark_price)):
            raise ValidationError(f"{symbol} reference prices must be positive")
        contract = self._contracts[symbol]
        contract.index = money(index_price)
        contract.mark = money(mark_price)
        if now_ms is not None:
            contract.sample_premium(now_ms)
            self._fire_stops(contract, now_ms)
            self._liquidate(now_ms)

    def liquidations(self, symbol: str, *, after: int = 0) -> list[LiquidationRecord]:
        """Return recent liquidations in a contract, those numbered above ``after``."""
        recent = self._liquidation.recent
        return [each for each in recent if each.symbol == symbol and each.number > after]

    def settle_funding(self, symbol: str, rate: Decimal, *, now_ms: int) -> None:
        """Settle funding of every position: longs pay ``rate`` times value when it is positive.

        Payments are rounded half-even to 1e-8.
        """
        if not rate.is_finite():
            raise ValidationError(f"{symbol} funding rate must be finite, was {rate}")
        contract = self._contracts[symbol]
        step = MatchingStep(now_ms)
        for account in self._accounts.values():
            for stake in account.stakes_of(contract):
                if stake.position.lots:
                    self._settlement.fund(account, stake, rate=rate, step=step)
        step.tell(self.listener)
        self._liquidate(now_ms)

    # House flow.

    def house_limit(
        self,
        symbol: str,
        side: Side,
        price_ticks: int,
        lots: int,
        *,
        now_ms: int,
        post_only: bool = False,
        in_front: bool = False,
    ) -> int | None:
        """Place a limit order of the house; return its id if some of it rests.

        With ``post_only`` a crossing order does nothing and returns None; with ``in_front`` one
        that does not cross rests before all others at its price.
        """
        assert price_ticks > 0
        assert lots > 0
        contract = self._contracts[symbol]
        if not contract.book.crosses(side, price_ticks):
            return self._house.rest(
                contract, side, price_ticks=price_ticks, lots=lots, in_front=in_front
            )
        if post_only:
            return None
        step = MatchingStep(now_ms)
        house_id = self._house.limit(contract, side, price_ticks=price_ticks, lots=lots, step=step)
        self._conclude(contract, step)
        return house_id

    def house_market(
        self, symbol: str, side: Side, lots: int, *, now_ms: int, limit_ticks: int | None = None
    ) -> int:
        """Trade at once up to ``limit_ticks`` (None: any price); return the filled lots."""
        assert lots > 0
        contract = self._contracts[symbol]
        step = MatchingStep(now_ms)
        filled = self._house.take(contract, side, lots=lots, limit_ticks=limit_ticks, step=step)
        self._conclude(contract, step)
        return filled

    def house_cancel(self, symbol: str, house_id: int) -> bool:
        """Take a house order out; return False when it is already gone."""
        return self.house_resize(symbol, house_id, 0)

    def house_resize(self, symbol: str, house_id: int, lots: int) -> bool:
        """Set the size of a house order in place, 0 removes it; False when it is gone.

        It keeps its time priority even when it grows.
        """
        book = self._contracts[symbol].book
        order = book.get(house_id)
        if order is None or order.owner != HOUSE:
            return False
        return book.resize(house_id, lots)

    def house_lots(self, symbol: str, house_id: int) -> int:
        """Return what rests of a house order, 0 when it is gone."""
        order = self._contracts[symbol].book.get(house_id)
        return order.lots if order is not None and order.owner == HOUSE else 0

    def recorded_trade(
        self,
        symbol: str,
        taker_side: Side,
        price_ticks: int,
        lots: int,
        *,
        now_ms: int,
        at_level: bool = True,
    ) -> None:
        """Play one recorded trade against the book.

        One public trade of the recorded size is printed. Account orders at better prices than
        ``price_ticks`` fill first at their own price; then, with ``at_level``, the queue at
        ``price_ticks`` is consumed in order, house orders absorbing their share. No more than
        ``lots`` is filled.
        """
        assert lots > 0
        contract = self._contracts[symbol]
        step = MatchingStep(now_ms)
        self._house.recorded(
            contract,
            taker_side,
            price_ticks=price_ticks,
            lots=lots,
            at_level=at_level,
            step=step,
        )
        self._conclude(contract, step)

    def _conclude(self, contract: Contract, step: MatchingStep) -> None:
        # Stops follow the positions of a step before it is told, and fire in steps of their own.
        self._follow(contract, step)
        step.tell(self.listener)
        self._fire_stops(contract, step.now_ms)
        if step.account_ids:
            self._liquidate(step.now_ms)

    def _liquidate(self, now_ms: int) -> None:
        # The trades of a liquidation may exhaust their other side and fire stops; every run
        # leaves its account with fewer positions or healthy, so this ends.
        while (account := self._exhausted()) is not None:
            self._liquidation.run(account, now_ms=now_ms)
            for contract in self._contracts.values():
                self._fire_stops(contract, now_ms)

    def _exhausted(self) -> Account | None:
        accounts = self._accounts.values()
        return next((each for each in accounts if health(each).is_exhausted), None)

    def _fire_stops(self, contract: Contract, now_ms: int) -> None:
        # A stop's own trades may reach further stops; each fires once, so this ends.
        while (live := self._triggers.due(contract)) is not None:
            step = MatchingStep(now_ms)
            self._triggers.release(live, step)
            step.tell(self.listener)
            step = MatchingStep(now_ms)
            (self._spot if contract.is_spot else self._entry).send(live, step)
            self._follow(contract, step)
            step.tell(self.listener)

    def _follow(self, contract: Contract, step: MatchingStep) -> None:
        if contract.is_spot:
            self._spot.follow(step)
        else:
            self._stops.follow(contract, step)

    def _tradable(self, symbol: str) -> Contract:
        contract = self._contracts.get(symbol)
        if contract is None:
            if category_of(symbol) is Category.SPOT:
                raise VenueReject(170121, "Invalid symbol.")
            known = ", ".join(self.instruments)
            raise VenueReject(10001, f"Not supported symbols, this venue lists {known}")
        return contract


def _check_unique(instruments: Sequence[Instrument], accounts: Sequence[AccountSpec]) -> None:
    symbols = {instrument.key for instrument in instruments}
    account_ids = {spec.account_id for spec in accounts}
    if len(symbols) != len(instruments) or len(account_ids) != len(accounts):
        raise ConfigurationError("symbols and account ids must be unique")
    if any(account_id <= HOUSE for account_id in account_ids):
        raise ConfigurationError("account ids must be 1 or more")
