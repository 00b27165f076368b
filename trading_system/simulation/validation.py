"""The venue's rules for requests, checked in Bybit's order with Bybit's codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from trading_system.domain.errors import OffGridError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts.account import Account, Stake
from trading_system.simulation.contracts import Contract
from trading_system.simulation.matching.sweep import walk_cost
from trading_system.simulation.records import OrderRequest, VenueReject

ACTIVE_ORDER_LIMIT = 500
"""Resting orders per account and contract."""

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """An accepted order in ticks and lots, after re-pricing and cutting."""

    price_ticks: int
    lots: int
    time_in_force: TimeInForce


def limit_ticks(contract: Contract, side: Side, price: Decimal | None) -> int:
    """Return a limit price in ticks, re-priced to the band around the mark price.

    Raises
    ------
    VenueReject
        10001 off the grid or absent, 110003 outside the instrument's range.
    """
    instrument = contract.instrument
    if price is None:
        raise VenueReject(10001, "price is required for a limit order")
    if not price.is_finite():
        raise VenueReject(10001, "price invalid")
    outside = (
        "order price is out of permissible range: "
        f"must be between {instrument.min_price} and {instrument.max_price}"
    )
    if abs(price) > instrument.max_price * 1000:
        raise VenueReject(110003, outside)
    try:
        ticks = instrument.price_to_ticks(price)
    except (OffGridError, InvalidOperation) as e:
        raise VenueReject(10001, f"price is not a multiple of {instrument.tick_size}") from e
    if ticks <= 0 or not instrument.min_price <= price <= instrument.max_price:
        raise VenueReject(110003, outside)
    band = contract.band_ticks(side)
    return min(ticks, band) if side is Side.BUY else max(ticks, band)


def qty_lots(instrument: Instrument, quantity: Decimal, order_type: OrderType) -> int:
    """Return a quantity in lots.

    Raises
    ------
    VenueReject
        10001 when it is off the grid or out of range.
    """
    largest = instrument.max_qty
    if order_type is OrderType.MARKET:
        largest = instrument.max_market_qty
    if not (quantity.is_finite() and instrument.min_qty <= quantity <= largest):
        raise VenueReject(10001, f"Qty invalid: must be between {instrument.min_qty} and {largest}")
    try:
        return instrument.qty_to_lots(quantity)
    except (OffGridError, InvalidOperation) as e:
        raise VenueReject(10001, f"Qty invalid: not a multiple of {instrument.qty_step}") from e


def check_notional(contract: Contract, value: Decimal) -> None:
    """Refuse an order value below the instrument's least one (110094)."""
    least = contract.instrument.min_notional
    if value < least:
        raise VenueReject(110094, f"Order does not meet minimum order value {least}")


def new_terms(
    request: OrderRequest, *, contract: Contract, account: Account, stake: Stake
) -> Terms:
    """Check a new order against every rule and return its terms.

    Raises
    ------
    VenueReject
        With the code of the first rule broken.
    """
    if not contract.mark:
        raise VenueReject(110074, "contract is not live: it has no mark price yet")
    is_market = request.order_type is OrderType.MARKET
    side = request.side
    if is_market:
        price_ticks = contract.protective_ticks(side)
    else:
        price_ticks = limit_ticks(contract, side, request.price)
    lots = _requested_lots(request, contract.instrument, stake)
    if not request.reduce_only:
        ticks_value = contract.unit * (price_ticks * lots)
        check_notional(contract, contract.value(lots) if is_market else ticks_value)
    _check_link_id(request.link_id, account)
    if request.position_idx != 0:
        raise VenueReject(10001, "position idx not match position mode: one-way needs 0")
    if request.reduce_only:
        lots = min(lots, stake.reducible(side))
        if not lots:
            raise VenueReject(110017, "current position is zero, cannot fix reduce-only order qty")
    else:
        _check_margin(account, stake, side=side, price_ticks=price_ticks, lots=lots)
    time_in_force = TimeInForce.IOC if is_market else request.time_in_force
    rests = time_in_force in {TimeInForce.GTC, TimeInForce.POST_ONLY}
    if rests and len(stake.orders) >= ACTIVE_ORDER_LIMIT:
        raise VenueReject(
            110020, f"not allowed to have more than {ACTIVE_ORDER_LIMIT} active orders"
        )
    return Terms(price_ticks=price_ticks, lots=lots, time_in_force=time_in_force)


def _requested_lots(request: OrderRequest, instrument: Instrument, stake: Stake) -> int:
    closes = request.reduce_only and request.close_on_trigger
    if not (closes and request.quantity == 0):
        return qty_lots(instrument, request.quantity, request.order_type)
    is_market = request.order_type is OrderType.MARKET
    largest = instrument.max_market_qty if is_market else instrument.max_qty
    return min(stake.reducible(request.side), instrument.floor_lots(largest))


def _check_link_id(link_id: str, account: Account) -> None:
    if not link_id:
        return
    if _LINK_ID.fullmatch(link_id) is None:
        raise VenueReject(10001, "orderLinkId must be 1 to 36 characters of A-Z a-z 0-9 - _")
    if link_id in account.histories.links:
        raise VenueReject(110072, "OrderLinkedID is duplicate")


def _check_margin(
    account: Account, stake: Stake, *, side: Side, price_ticks: int, lots: int
) -> None:
    cost = walk_cost(stake.contract.book, side, limit_ticks=price_ticks, lots=lots)
    needed = stake.entry_margin(side, lots=lots, ticklots=cost)
    if needed and needed > account.available():
        raise VenueReject(110007, "ab not enough for new order")
