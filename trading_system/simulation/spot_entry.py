"""Order entry of spot pairs: place, amend and cancel, with spot's rules and codes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts.account import Account, LiveOrder
from trading_system.simulation.accounts.holdings import Holding
from trading_system.simulation.conditions import Amendment, TriggerRequest
from trading_system.simulation.contracts import Contract
from trading_system.simulation.entry import OrderEntry
from trading_system.simulation.records import OrderRecord, OrderRequest, OrderState, VenueReject
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.spot_guards import arm_guards, check_guards, checked_guard
from trading_system.simulation.spot_settlement import SpotIds
from trading_system.simulation.spot_validation import (
    SpotTerms,
    amount_lots,
    base_lots,
    check_funds,
    check_value,
    condition,
    limit_ticks,
    spot_terms,
)
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.triggers import Triggers, is_waiting, trigger_of

_ZERO = Decimal(0)


def holding_of(account: Account, contract: Contract) -> Holding:
    """Return an account's holding in a listed pair."""
    stake = account.stake(contract)
    assert isinstance(stake, Holding), f"{contract.symbol} is no spot pair"
    return stake


class SpotEntry:
    """Checks requests for spot orders, then lets them trade and rest.

    Parameters
    ----------
    settlement : Settlement
        Where fills and states are settled.
    entry : OrderEntry
        Lets an order outside the book trade, then rests or closes what is left.
    triggers : Triggers
        Where conditional orders wait.
    ids : SpotIds
        Source of order ids.
    """

    def __init__(
        self,
        settlement: Settlement,
        *,
        entry: OrderEntry,
        triggers: Triggers,
        ids: SpotIds,
    ) -> None:
        self._settlement = settlement
        self._entry = entry
        self._triggers = triggers
        self._ids = ids

    def place(
        self, account: Account, contract: Contract, *, request: OrderRequest, step: MatchingStep
    ) -> OrderRecord:
        """Accept a new order and match it, or raise ``VenueReject``."""
        holding = holding_of(account, contract)
        terms = spot_terms(request, contract=contract, account=account, holding=holding)
        record = self._record(request, terms, account=account, contract=contract, step=step)
        account.histories.links.add(record.link_id, record.order_id)
        live = LiveOrder(record, account, holding)
        rejection = account.next_rejection()
        if rejection:
            self._settlement.reject(live, step, reason=rejection)
        elif terms.trigger is None:
            self._entry.enter(live, step)
        else:
            self._triggers.arm(live, step)
        return record

    def amend(
        self,
        account: Account,
        contract: Contract,
        *,
        order_id: str,
        link_id: str,
        change: Amendment,
        step: MatchingStep,
    ) -> OrderRecord:
        """Change price or total size of a resting order, or raise ``VenueReject``.

        Of a waiting order the trigger price can change, of none its take profit or stop loss.
        """
        live = _find(account, contract, order_id=order_id, link_id=link_id)
        holding, record = holding_of(account, contract), live.record
        if is_waiting(live):
            self._move_trigger(live, change, step)
            return record
        if change != Amendment(price=change.price, quantity=change.quantity):
            raise VenueReject(170312, "only price and qty of an active order can be modified")
        ticks = record.price_ticks
        if change.price is not None:
            ticks = limit_ticks(contract, record.side, change.price)
            check_guards(record, order_ticks=ticks)
        lots = _amended_lots(record, contract, change.quantity)
        if (ticks, lots) == (record.price_ticks, record.lots):
            raise VenueReject(10001, "order not modified: no value differs")
        check_value(contract, contract.unit * (ticks * lots))
        former = (record.price_ticks, record.lots)
        keeps_priority = ticks == former[0] and lots < former[1]
        if not keeps_priority:
            self._check_funds(live, holding, ticks=ticks, lots=lots)
        holding.replace(record, price_ticks=ticks, lots=lots)
        if not record.leaves_lots:
            self._settlement.close(live, step, cancel_type="CancelByUser")
        elif keeps_priority:
            assert live.resting is not None
            contract.book.resize(live.resting.order_id, record.leaves_lots)
            self._settlement.touch(live, step)
        else:
            self._settlement.unrest(live)
            self._entry.enter(live, step)
        return record

    def cancel(
        self,
        account: Account,
        contract: Contract,
        *,
        order_id: str,
        link_id: str,
        step: MatchingStep,
    ) -> OrderRecord:
        """Cancel an order that rests or waits, or raise ``VenueReject``."""
        live = _find(account, contract, order_id=order_id, link_id=link_id)
        if is_waiting(live):
            self._triggers.cancel(live, step)
            return live.record
        self._settlement.close(live, step, cancel_type="CancelByUser", reason="EC_PerCancelRequest")
        return live.record

    def send(self, live: LiveOrder, step: MatchingStep) -> None:
        """Let a triggered order enter the market, or reject what is not paid for or off the band.

        A market order sized in quote currency gets its lots now.
        """
        record, holding = live.record, holding_of(live.account, live.stake.contract)
        contract, side = holding.contract, record.side
        record.state = OrderState.NEW
        if record.order_type is OrderType.MARKET:
            record.time_in_force = TimeInForce.IOC
            record.price_ticks = contract.protective_ticks(side)
            if record.quote_amount is not None:
                record.lots = record.leaves_lots = amount_lots(
                    contract, side, record.quote_amount, limit=record.price_ticks, without=None
                )
        terms = SpotTerms(
            price_ticks=record.price_ticks, lots=record.lots, time_in_force=record.time_in_force
        )
        try:
            if record.order_type is OrderType.LIMIT:
                limit_ticks(contract, side, contract.instrument.ticks_to_price(record.price_ticks))
            check_funds(live.account, holding, side=side, terms=terms)
        except VenueReject:
            self._settlement.reject(live, step, reason="EC_Others")
            return
        self._entry.enter(live, step)

    def follow(self, step: MatchingStep) -> None:
        """Let the guards of the orders that a step has filled wait for their prices."""
        for live, _ in step.guarded.values():
            if live.stake.contract.is_spot:
                arm_guards(live, self._triggers, ids=self._ids, step=step)

    def _move_trigger(self, live: LiveOrder, change: Amendment, step: MatchingStep) -> None:
        trigger = trigger_of(live)
        if change.trigger_price is None or change != Amendment(trigger_price=change.trigger_price):
            raise VenueReject(170312, "only the triggerPrice of a waiting order can be modified")
        moved = condition(
            live.stake.contract, TriggerRequest(price=change.trigger_price, kind=trigger.kind)
        )
        if moved.price_ticks == trigger.price_ticks:
            raise VenueReject(10001, "order not modified: no value differs")
        if trigger.parent_id and moved.on_rise is not trigger.on_rise:
            raise VenueReject(170130, "a take profit or stop loss cannot pass the last price")
        free = live.account.spendable()
        live.record.trigger = replace(trigger, price_ticks=moved.price_ticks, on_rise=moved.on_rise)
        if live.account.spendable() < min(free, _ZERO):
            live.record.trigger = trigger
            raise VenueReject(170131, "Insufficient balance.")
        self._triggers.change(live, live.record.trigger, step)

    def _check_funds(self, live: LiveOrder, holding: Holding, *, ticks: int, lots: int) -> None:
        # The order's own lock is free for its new terms.
        record = live.record
        former = (record.price_ticks, record.lots)
        terms = SpotTerms(
            price_ticks=ticks, lots=lots - record.cum_lots, time_in_force=TimeInForce.GTC
        )
        holding.replace(record, price_ticks=record.price_ticks, lots=record.cum_lots)
        try:
            check_funds(live.account, holding, side=record.side, terms=terms)
        finally:
            holding.replace(record, price_ticks=former[0], lots=former[1])

    def _record(
        self,
        request: OrderRequest,
        terms: SpotTerms,
        *,
        account: Account,
        contract: Contract,
        step: MatchingStep,
    ) -> OrderRecord:
        last = contract.last_ticks
        return OrderRecord(
            order_id=self._ids.number(),
            link_id=request.link_id or self._ids.number(),
            account_id=account.account_id,
            symbol=contract.symbol,
            side=request.side,
            order_type=request.order_type,
            time_in_force=terms.time_in_force,
            price_ticks=terms.price_ticks,
            lots=terms.lots,
            leaves_lots=terms.lots,
            created_ms=step.now_ms,
            updated_ms=step.now_ms,
            self_match=request.self_match,
            last_price_on_created=(
                None if last is None else contract.instrument.ticks_to_price(last)
            ),
            quote_amount=terms.quote_amount,
            trigger=terms.trigger,
            take_profit=checked_guard(
                contract,
                request.take_profit,
                order_ticks=terms.price_ticks,
                above=request.side is Side.BUY,
            ),
            stop_loss=checked_guard(
                contract,
                request.stop_loss,
                order_ticks=terms.price_ticks,
                above=request.side is Side.SELL,
            ),
            state=OrderState.NEW if terms.trigger is None else OrderState.UNTRIGGERED,
        )


def _find(account: Account, contract: Contract, *, order_id: str, link_id: str) -> LiveOrder:
    live = account.find_live(order_id, link_id)
    if live is None or live.stake.contract is not contract:
        raise VenueReject(170213, "Order does not exist.")
    return live


def _amended_lots(record: OrderRecord, contract: Contract, quantity: Decimal | None) -> int:
    if quantity is None:
        return record.lots
    lots = base_lots(contract.instrument, quantity, largest=contract.instrument.max_qty)
    if lots < record.cum_lots:
        raise VenueReject(170313, "the amended quantity is below the filled quantity")
    return lots
