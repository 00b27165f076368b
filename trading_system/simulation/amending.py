"""What an amendment makes of an order, checked before anything changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.accounts.account import LiveOrder
from trading_system.simulation.conditions import (
    Amendment,
    Guard,
    GuardChange,
    GuardRequest,
    StopKind,
    Trigger,
)
from trading_system.simulation.levels import (
    check_ahead,
    check_side,
    grid_ticks,
    guards,
    watched_price,
)
from trading_system.simulation.records import VenueReject
from trading_system.simulation.triggers import is_own_order, trigger_of
from trading_system.simulation.validation import (
    check_notional,
    limit_ticks,
    price_ticks_in_range,
    qty_lots,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendedTerms:
    """An order after its amendment, in ticks and lots."""

    price_ticks: int
    lots: int
    take_profit: Guard | None = None
    stop_loss: Guard | None = None
    trigger: Trigger | None = None


def active_terms(live: LiveOrder, change: Amendment) -> AmendedTerms:
    """Return the new terms of an order in the book.

    Raises
    ------
    VenueReject
        10001 when nothing differs, 110064 when no more than what is filled would be wanted,
        110059 for guards of a partly filled order, and the codes of new orders.
    """
    record, contract = live.record, live.stake.contract
    if change.trigger_price is not None:
        raise VenueReject(10001, "triggerPrice: the order is not conditional, or was triggered")
    price_ticks = record.price_ticks
    if change.price is not None:
        price_ticks = limit_ticks(contract, record.side, change.price)
    lots = _active_lots(live, change)
    take_profit, stop_loss = _guards(live, change, price_ticks)
    terms = AmendedTerms(
        price_ticks=price_ticks,
        lots=lots,
        take_profit=take_profit,
        stop_loss=stop_loss,
        trigger=record.trigger,
    )
    _check_differs(live, terms)
    if not record.reduce_only:
        check_notional(contract, contract.unit * (price_ticks * lots))
    return terms


def waiting_terms(live: LiveOrder, change: Amendment) -> AmendedTerms:
    """Return the new terms of an order that waits for its price.

    Raises
    ------
    VenueReject
        10001 when nothing differs or the order has no such term, 110092 or 110093 when the
        trigger price is reached already, 110057 for guards, and the codes of new orders.
    """
    if change.take_profit is not None or change.stop_loss is not None:
        raise VenueReject(110057, "a conditional order cannot have takeProfit or stopLoss")
    record = live.record
    terms = AmendedTerms(
        price_ticks=_waiting_price(live, change),
        lots=_waiting_lots(live, change),
        trigger=_moved(live, change),
    )
    _check_differs(live, terms)
    if is_own_order(live) and not record.reduce_only:
        assert terms.trigger is not None
        ticks = terms.price_ticks or terms.trigger.price_ticks
        check_notional(live.stake.contract, live.stake.contract.unit * (ticks * terms.lots))
    return terms


def _check_differs(live: LiveOrder, terms: AmendedTerms) -> None:
    record = live.record
    present = AmendedTerms(
        price_ticks=record.price_ticks,
        lots=record.lots,
        take_profit=record.take_profit,
        stop_loss=record.stop_loss,
        trigger=record.trigger,
    )
    if terms == present:
        raise VenueReject(10001, "order not modified: no value differs")


def _active_lots(live: LiveOrder, change: Amendment) -> int:
    record = live.record
    if change.quantity is None:
        return record.lots
    lots = qty_lots(live.stake.contract.instrument, change.quantity, record.order_type)
    if lots <= record.cum_lots:
        raise VenueReject(110064, "the amended quantity must exceed the filled quantity")
    if record.reduce_only:
        lots = min(lots, record.cum_lots + live.stake.reducible(record.side))
    return lots


def _guards(
    live: LiveOrder, change: Amendment, price_ticks: int
) -> tuple[Guard | None, Guard | None]:
    record = live.record
    is_changed = change.take_profit is not None or change.stop_loss is not None
    if is_changed and record.cum_lots:
        raise VenueReject(110059, "takeProfit and stopLoss of a partly filled order are fixed")
    if is_changed and record.reduce_only:
        raise VenueReject(10001, "a reduceOnly order cannot have takeProfit or stopLoss")
    if not is_changed and price_ticks == record.price_ticks:
        return record.take_profit, record.stop_loss
    instrument = live.stake.contract.instrument
    return guards(
        live.stake.contract,
        record.side,
        order_type=record.order_type,
        price_ticks=price_ticks,
        take_profit=_wish(change.take_profit, record.take_profit, instrument),
        stop_loss=_wish(change.stop_loss, record.stop_loss, instrument),
        scope=record.scope,
    )


def _wish(
    change: GuardChange | None, former: Guard | None, instrument: Instrument
) -> GuardRequest | None:
    # What a change leaves open stays as it was.
    wish = None
    if former is not None:
        limit = instrument.ticks_to_price(former.limit_ticks) if former.limit_ticks else None
        price = instrument.ticks_to_price(former.price_ticks)
        wish = GuardRequest(price=price, by=former.by, limit_price=limit)
    if change is None:
        return wish
    if wish is None:
        if change.price is None:
            raise VenueReject(10001, "the order has no takeProfit or stopLoss to change")
        wish = GuardRequest(price=change.price)
    return GuardRequest(
        price=wish.price if change.price is None else change.price,
        by=change.by or wish.by,
        limit_price=wish.limit_price if change.limit_price is None else change.limit_price,
    )


def _waiting_price(live: LiveOrder, change: Amendment) -> int:
    record = live.record
    if change.price is None or record.order_type is OrderType.MARKET:
        return record.price_ticks
    return price_ticks_in_range(live.stake.contract.instrument, change.price)


def _waiting_lots(live: LiveOrder, change: Amendment) -> int:
    record = live.record
    if change.quantity is None:
        return record.lots
    lots = qty_lots(live.stake.contract.instrument, change.quantity, record.order_type)
    kind = trigger_of(live).kind
    if kind.is_whole and lots != record.lots:
        raise VenueReject(10001, "the quantity of a Full stop is that of its position")
    if kind.is_partial and lots > live.stake.reducible(record.side):
        raise VenueReject(10001, "the quantity exceeds the position")
    return lots


def _moved(live: LiveOrder, change: Amendment) -> Trigger:
    trigger, contract = trigger_of(live), live.stake.contract
    if change.trigger_price is None and change.trigger_by is None:
        return trigger
    if trigger.kind is StopKind.TRAILING_STOP:
        raise VenueReject(10001, "a trailing stop is changed by position/trading-stop")
    by = change.trigger_by or trigger.by
    price = change.trigger_price
    if price is None:
        price = contract.instrument.ticks_to_price(trigger.price_ticks)
    ticks = grid_ticks(contract.instrument, price, what="triggerPrice")
    base = watched_price(contract, by)
    if is_own_order(live):
        check_ahead(price=price, base=base, on_rise=trigger.on_rise)
    else:
        check_side(
            what=trigger.kind.value,
            price=price,
            base=base,
            by=by,
            side=Side.SELL if live.record.side is Side.BUY else Side.BUY,
            above=trigger.on_rise,
        )
    return replace(trigger, price_ticks=ticks, by=by)
