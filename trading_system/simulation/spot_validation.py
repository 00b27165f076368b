"""The rules for spot orders, checked in Bybit's order with Bybit's spot codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from trading_system.domain.errors import OffGridError
from trading_system.domain.instruments import Instrument, decimal_places
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts.account import Account, LiveOrder
from trading_system.simulation.accounts.holdings import Holding
from trading_system.simulation.conditions import StopKind, Trigger, TriggerBy, TriggerRequest
from trading_system.simulation.contracts import Contract
from trading_system.simulation.matching.sweep import budget_lots, walk_cost
from trading_system.simulation.records import OrderRequest, SelfMatch, VenueReject

ACTIVE_ORDER_LIMIT = 500
"""Resting spot orders per account, all pairs together."""

QUOTE_PRECISION = Decimal("1e-8")
"""Grid of order sizes in quote currency."""

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)


WAITING_LIMIT = 30
"""TP/SL orders, and conditional orders, per account and pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotTerms:
    """An accepted spot order in ticks and lots; a waiting market order has no price yet (0)."""

    price_ticks: int
    lots: int
    time_in_force: TimeInForce
    quote_amount: Decimal | None = None
    trigger: Trigger | None = None


def spot_terms(
    request: OrderRequest, *, contract: Contract, account: Account, holding: Holding
) -> SpotTerms:
    """Check a new spot order against every rule and return its terms.

    Raises
    ------
    VenueReject
        With the code of the first rule broken.
    """
    if not contract.index:
        raise VenueReject(170210, "New order rejected: the pair has no index price yet")
    if request.reduce_only or request.close_on_trigger:
        raise VenueReject(170130, "reduceOnly and closeOnTrigger exist in derivatives only")
    check_link_id(request.link_id, account)
    is_guarded = request.take_profit is not None or request.stop_loss is not None
    if is_guarded and (request.trigger is not None or request.order_type is OrderType.MARKET):
        raise VenueReject(170130, "takeProfit and stopLoss are for limit orders without a trigger")
    if request.trigger is not None:
        return _waiting_terms(request, request.trigger, account=account, holding=holding)
    if request.order_type is OrderType.MARKET:
        terms = _market_terms(request, contract, account)
    else:
        terms = _limit_terms(request, contract)
    check_funds(account, holding, side=request.side, terms=terms)
    rests = terms.time_in_force in {TimeInForce.GTC, TimeInForce.POST_ONLY}
    if rests and _resting(account) >= ACTIVE_ORDER_LIMIT:
        raise VenueReject(170810, f"more than {ACTIVE_ORDER_LIMIT} active spot orders")
    return terms


def limit_ticks(contract: Contract, side: Side, price: Decimal | None) -> int:
    """Return a limit price in ticks; outside the band around the index price it is refused.

    Raises
    ------
    VenueReject
        170134 off the grid, 170132 and 170133 out of the pair's range, 170193 and 170194 out of
        the band.
    """
    instrument = contract.instrument
    ticks = grid_ticks(instrument, price)
    band = contract.band_ticks(side)
    if side is Side.BUY and ticks > band:
        highest = instrument.ticks_to_price(band)
        raise VenueReject(170193, f"Buy order price cannot be higher than {highest}")
    if side is Side.SELL and ticks < band:
        lowest = instrument.ticks_to_price(band)
        raise VenueReject(170194, f"Sell order price cannot be lower than {lowest}")
    return ticks


def grid_ticks(instrument: Instrument, price: Decimal | None) -> int:
    """Return a price in ticks, without regard to the band."""
    if price is None:
        raise VenueReject(170105, "Parameter 'price' was empty.")
    if not price.is_finite() or price < instrument.min_price:
        raise VenueReject(170133, f"Order price lower than the minimum {instrument.min_price}")
    if price > instrument.max_price:
        raise VenueReject(170132, f"Order price higher than the maximum {instrument.max_price}")
    try:
        return instrument.price_to_ticks(price)
    except (OffGridError, InvalidOperation) as e:
        message = f"Order price has too many decimals: the tick is {instrument.tick_size}"
        raise VenueReject(170134, message) from e


def base_lots(instrument: Instrument, quantity: Decimal, *, largest: Decimal) -> int:
    """Return a base quantity in lots.

    Raises
    ------
    VenueReject
        170136 too small, 170124 too large, 170137 off the grid.
    """
    if not quantity.is_finite() or quantity < instrument.min_qty:
        raise VenueReject(170136, f"Order quantity below the minimum {instrument.min_qty}")
    if quantity > largest:
        raise VenueReject(170124, f"Order amount too large: at most {largest}")
    try:
        return instrument.qty_to_lots(quantity)
    except (OffGridError, InvalidOperation) as e:
        message = f"Order quantity has too many decimals: the step is {instrument.qty_step}"
        raise VenueReject(170137, message) from e


def check_value(contract: Contract, value: Decimal) -> None:
    """Refuse (170140) an order value below the pair's least one."""
    least = contract.instrument.min_notional
    if value < least:
        raise VenueReject(170140, f"Order value exceeded lower limit {least}")


def check_link_id(link_id: str, account: Account) -> None:
    """Refuse a malformed (10001) or used (170141) client order id."""
    if not link_id:
        return
    if _LINK_ID.fullmatch(link_id) is None:
        raise VenueReject(10001, "orderLinkId must be 1 to 36 characters of A-Z a-z 0-9 - _")
    if link_id in account.histories.links:
        raise VenueReject(170141, "Duplicate clientOrderId")


def check_funds(account: Account, holding: Holding, *, side: Side, terms: SpotTerms) -> None:
    """Refuse (170131) an order that its own coin does not pay for; nothing is ever borrowed."""
    contract = holding.contract
    if side is Side.SELL:
        is_paid = contract.instrument.lots_to_qty(terms.lots) <= holding.free
    else:
        cost = walk_cost(contract.book, side, limit_ticks=terms.price_ticks, lots=terms.lots)
        is_paid = contract.unit * cost <= account.spendable()
    if not is_paid:
        raise VenueReject(170131, "Insufficient balance.")


def _limit_terms(request: OrderRequest, contract: Contract) -> SpotTerms:
    instrument = contract.instrument
    if request.in_quote is not None:
        raise VenueReject(170130, "marketUnit is for market orders only")
    ticks = limit_ticks(contract, request.side, request.price)
    lots = base_lots(instrument, request.quantity, largest=instrument.max_qty)
    check_value(contract, contract.unit * (ticks * lots))
    return SpotTerms(price_ticks=ticks, lots=lots, time_in_force=request.time_in_force)


def _market_terms(request: OrderRequest, contract: Contract, account: Account) -> SpotTerms:
    instrument, side = contract.instrument, request.side
    ticks = contract.protective_ticks(side)
    if not _is_in_quote(request):
        lots = base_lots(instrument, request.quantity, largest=instrument.max_market_qty)
        check_value(contract, instrument.lots_to_qty(lots) * contract.index)
        return SpotTerms(price_ticks=ticks, lots=lots, time_in_force=TimeInForce.IOC)
    amount = request.quantity
    check_amount(contract, amount)
    guarded = request.self_match is not SelfMatch.NONE
    lots = amount_lots(
        contract, side, amount, limit=ticks, without=account.account_id if guarded else None
    )
    return SpotTerms(
        price_ticks=ticks, lots=lots, time_in_force=TimeInForce.IOC, quote_amount=amount
    )


def amount_lots(
    contract: Contract, side: Side, amount: Decimal, *, limit: int, without: int | None
) -> int:
    """Return how many lots ``amount`` of quote currency trades down the book to ``limit`` ticks."""
    budget = int(amount / contract.unit)
    return budget_lots(contract.book, side, limit_ticks=limit, budget=budget, without=without)


def check_amount(contract: Contract, amount: Decimal) -> None:
    """Check the size of a market order given in quote currency.

    Raises
    ------
    VenueReject
        170140 too small, 170148 too many decimals, 170124 too large.
    """
    if not amount.is_finite() or amount <= 0:
        raise VenueReject(170140, "Order value must be positive")
    if amount % QUOTE_PRECISION:
        places = decimal_places(QUOTE_PRECISION)
        raise VenueReject(170148, f"Market order amount has too many decimals: at most {places}")
    check_value(contract, amount)
    if amount > contract.instrument.max_market_qty * contract.index:
        raise VenueReject(170124, "Order amount too large")


def _is_in_quote(request: OrderRequest) -> bool:
    return request.side is Side.BUY if request.in_quote is None else request.in_quote


def _waiting_terms(
    request: OrderRequest, wish: TriggerRequest, *, account: Account, holding: Holding
) -> SpotTerms:
    contract, side = holding.contract, request.side
    instrument = contract.instrument
    waiting = [live for live in account.stops.values() if live.stake is holding]
    kin = sum(trigger_kind(live) is wish.kind for live in waiting)
    if kin >= WAITING_LIMIT:
        raise VenueReject(170810, f"more than {WAITING_LIMIT} {wish.kind.value} orders of the pair")
    trigger = condition(contract, wish)
    is_market = request.order_type is OrderType.MARKET
    ticks = 0 if is_market else grid_ticks(instrument, request.price)
    amount = None
    if is_market and _is_in_quote(request):
        amount = request.quantity
        check_amount(contract, amount)
        lots = max(1, int(amount / contract.unit) // trigger.price_ticks)
    else:
        largest = instrument.max_market_qty if is_market else instrument.max_qty
        lots = base_lots(instrument, request.quantity, largest=largest)
        check_value(contract, contract.unit * ((ticks or trigger.price_ticks) * lots))
    if wish.kind is StopKind.TPSL:
        cost = (
            amount
            if amount is not None
            else contract.unit * ((ticks or trigger.price_ticks) * lots)
        )
        free = holding.free if side is Side.SELL else account.spendable()
        needed = instrument.lots_to_qty(lots) if side is Side.SELL else cost
        if needed > free:
            raise VenueReject(170131, "Insufficient balance.")
    return SpotTerms(
        price_ticks=ticks,
        lots=lots,
        time_in_force=request.time_in_force,
        quote_amount=amount,
        trigger=trigger,
    )


def trigger_kind(live: LiveOrder) -> StopKind | None:
    """Return what kind of waiting order it is."""
    trigger = live.record.trigger
    return None if trigger is None else trigger.kind


def condition(contract: Contract, wish: TriggerRequest) -> Trigger:
    """Return the condition of a waiting order: the last price comes to ``wish.price``.

    Raises
    ------
    VenueReject
        170134 and its like for the price, 170130 when it is the last price now.
    """
    ticks = grid_ticks(contract.instrument, wish.price)
    last = contract.last_ticks
    if last is None:
        last = contract.instrument.floor_ticks(contract.index)
    if ticks == last:
        raise VenueReject(170130, "triggerPrice is the last price, the order would fire at once")
    return Trigger(kind=wish.kind, price_ticks=ticks, by=TriggerBy.LAST, on_rise=ticks > last)


def _resting(account: Account) -> int:
    return sum(live.stake.contract.is_spot for live in account.orders.values())
