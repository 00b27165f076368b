"""Take profit and stop loss of spot limit orders: one-cancels-other orders for what was traded."""

from __future__ import annotations

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts.account import LiveOrder
from trading_system.simulation.accounts.holdings import Holding
from trading_system.simulation.conditions import Guard, GuardRequest, StopKind, Trigger
from trading_system.simulation.contracts import Contract
from trading_system.simulation.records import OrderRecord, OrderState, VenueReject
from trading_system.simulation.spot_settlement import SpotIds
from trading_system.simulation.spot_validation import grid_ticks
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.triggers import Triggers


def checked_guard(
    contract: Contract, wish: GuardRequest | None, *, order_ticks: int, above: bool
) -> Guard | None:
    """Return a guard that lies on its side of the order's price, None if none is wished for.

    Raises
    ------
    VenueReject
        170130 on the wrong side, 170134 and its like off the grid.
    """
    if wish is None:
        return None
    ticks = grid_ticks(contract.instrument, wish.price)
    _check_side(ticks, order_ticks=order_ticks, above=above)
    limit = 0 if wish.limit_price is None else grid_ticks(contract.instrument, wish.limit_price)
    return Guard(price_ticks=ticks, by=wish.by, limit_ticks=limit)


def check_guards(record: OrderRecord, *, order_ticks: int) -> None:
    """Refuse (170130) a price of an order that its take profit or stop loss does not allow."""
    is_buy = record.side is Side.BUY
    for guard, above in ((record.take_profit, is_buy), (record.stop_loss, not is_buy)):
        if guard is not None:
            _check_side(guard.price_ticks, order_ticks=order_ticks, above=above)


def arm_guards(live: LiveOrder, triggers: Triggers, *, ids: SpotIds, step: MatchingStep) -> None:
    """Let the guards of a completely filled order wait; of two the first to fire clears the other.

    They close what the order traded, as far as the coins of either currency are there.
    """
    record, holding = live.record, live.stake
    assert isinstance(holding, Holding)
    if record.state is not OrderState.FILLED:
        return
    lots = record.cum_lots
    if record.side is Side.BUY:
        lots = min(lots, holding.contract.instrument.floor_lots(holding.free))
    else:
        lots = min(lots, _payable_lots(live, holding.contract))
    for guard, takes_profit in ((record.take_profit, True), (record.stop_loss, False)):
        if guard is not None and lots > 0:
            child = _child(live, guard, lots=lots, ids=ids, step=step)
            child.trigger = Trigger(
                kind=StopKind.TPSL,
                price_ticks=guard.price_ticks,
                by=guard.by,
                on_rise=takes_profit == (record.side is Side.BUY),
                pair_id=record.order_id,
                parent_id=record.order_id,
                parent_link_id=record.link_id,
            )
            live.account.histories.links.add(child.link_id, child.order_id)
            triggers.arm(LiveOrder(child, live.account, holding), step)


def _check_side(ticks: int, *, order_ticks: int, above: bool) -> None:
    if ticks == order_ticks or (ticks > order_ticks) != above:
        where = "above" if above else "below"
        raise VenueReject(170130, f"takeProfit or stopLoss must be {where} the order's price")


# What can be bought back at the dearer of the two guards; one of them fires.
def _payable_lots(live: LiveOrder, contract: Contract) -> int:
    record = live.record
    dearest = max(
        guard.limit_ticks or guard.price_ticks
        for guard in (record.take_profit, record.stop_loss)
        if guard is not None
    )
    return int(live.account.spendable() / (contract.unit * dearest))


def _child(
    parent: LiveOrder, guard: Guard, *, lots: int, ids: SpotIds, step: MatchingStep
) -> OrderRecord:
    record = parent.record
    is_limit = bool(guard.limit_ticks)
    return OrderRecord(
        order_id=ids.number(),
        link_id=ids.number(),
        account_id=record.account_id,
        symbol=record.symbol,
        side=record.side.opposite,
        order_type=OrderType.LIMIT if is_limit else OrderType.MARKET,
        time_in_force=TimeInForce.GTC if is_limit else TimeInForce.IOC,
        price_ticks=guard.limit_ticks,
        lots=lots,
        leaves_lots=lots,
        created_ms=step.now_ms,
        updated_ms=step.now_ms,
        state=OrderState.UNTRIGGERED,
    )
