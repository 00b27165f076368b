"""Stops that guard a position: waiting reduce-only orders outside the book.

As on Bybit, stops over a whole position follow its size, partial ones never exceed it; all
disappear when it is closed or turned. Orders bring theirs along and hand them over as they fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts.account import Account, LiveOrder, Stake
from trading_system.simulation.conditions import (
    Guard,
    StopChange,
    StopKind,
    StopScope,
    Trail,
    Trigger,
)
from trading_system.simulation.contracts import Contract
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.levels import check_side, grid_ticks, watched_price
from trading_system.simulation.records import OrderRecord, OrderState, VenueReject
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.trailing import followed
from trading_system.simulation.triggers import Triggers, trigger_of, watched_ticks
from trading_system.simulation.validation import qty_lots

_NOT_MODIFIED = 34040
_KINDS = {
    (StopScope.FULL, True): StopKind.TAKE_PROFIT,
    (StopScope.FULL, False): StopKind.STOP_LOSS,
    (StopScope.PARTIAL, True): StopKind.PARTIAL_TAKE_PROFIT,
    (StopScope.PARTIAL, False): StopKind.PARTIAL_STOP_LOSS,
}


class PositionStops:
    """Sets, moves and hands over the stops of all positions.

    Parameters
    ----------
    settlement : Settlement
        Announces orders.
    triggers : Triggers
        Where stops wait.
    identifiers : Identifiers
        Source of order ids.
    """

    def __init__(
        self, settlement: Settlement, *, triggers: Triggers, identifiers: Identifiers
    ) -> None:
        self._settlement = settlement
        self._triggers = triggers
        self._identifiers = identifiers

    def change(
        self,
        account: Account,
        contract: Contract,
        *,
        changes: Sequence[StopChange],
        step: MatchingStep,
        position_idx: int = 0,
    ) -> None:
        """Set, move or remove stops of a position, all of them or none.

        Partial stops are always added; a take profit and a stop loss added together are a pair,
        of which one fires.

        Raises
        ------
        VenueReject
            34040 when nothing would change; 10001 without a position, off the tick grid, or on
            the wrong side of the watched price; 110058 and 110061 for a partial stop that is too
            small or one too many.
        """
        stake = account.stake_for(contract, position_idx)
        if stake.position_idx != position_idx:
            raise VenueReject(10001, "position idx not match position mode")
        wanted = [change for change in changes if _differs(stake, change)]
        if not wanted:
            raise VenueReject(_NOT_MODIFIED, "not modified")
        partial = [change.kind for change in wanted if change.kind.is_partial]
        self._triggers.check_partial_room(stake, partial)
        made = [self._made(account, stake, change, step) for change in wanted]
        pair_id = ""
        if len(made) > 1 and made[0] is not None and wanted[0].kind.is_partial:
            pair_id = made[0].order_id
        for change, record in zip(wanted, made, strict=True):
            former = stake.stops.get(change.kind)
            if record is None:
                assert former is not None
                self._triggers.cancel(former, step)
            elif former is not None and record.trigger is not None:
                self._triggers.change(former, record.trigger, step)
            else:
                assert record.trigger is not None
                if change.kind.is_partial:
                    record.trigger = replace(record.trigger, pair_id=pair_id)
                self._triggers.arm(LiveOrder(record, account, stake), step)

    def follow(self, contract: Contract, step: MatchingStep) -> None:
        """Fit stops to the positions and prices of now, and hand over those of filled orders."""
        self._triggers.resize(contract, step)
        for live, lots in step.guarded.values():
            self._hand_over(live, lots, step)
        self._triggers.follow(contract)

    def clear(
        self, live: LiveOrder, step: MatchingStep, *, cancel_type: str = "CancelByTpSlTsClear"
    ) -> None:
        """Deactivate a waiting order because the venue wishes so."""
        self._triggers.clear(live, step, cancel_type=cancel_type)

    def _made(
        self, account: Account, stake: Stake, change: StopChange, step: MatchingStep
    ) -> OrderRecord | None:
        # The order a change asks for; None removes the stop.
        if change.price == 0:
            return None
        held = stake.position.lots
        if not held:
            raise VenueReject(10001, "can not set tp/sl/ts for zero position")
        trigger = _trail(stake, change) or _trigger(stake, change)
        lots, limit_ticks = abs(held), 0
        if change.kind.is_partial:
            lots = _partial_lots(stake, change)
            if change.limit_price is not None:
                limit_ticks = grid_ticks(
                    stake.contract.instrument,
                    change.limit_price,
                    what=f"{change.kind.value} limit price",
                )
        return self._record(
            account, stake, trigger=trigger, lots=lots, limit_ticks=limit_ticks, step=step
        )

    def _hand_over(self, parent: LiveOrder, lots: int, step: MatchingStep) -> None:
        # The guards of an order become stops of the position it has opened.
        record, stake = parent.record, parent.stake
        room = stake.reducible(record.side.opposite)
        if not room:
            return
        is_first = lots == record.cum_lots
        for guard, takes_profit in ((record.take_profit, True), (record.stop_loss, False)):
            if guard is not None:
                kind = _KINDS[record.scope, takes_profit]
                self._guard(
                    parent, guard, kind=kind, lots=min(lots, room), is_first=is_first, step=step
                )

    def _guard(
        self,
        parent: LiveOrder,
        guard: Guard,
        *,
        kind: StopKind,
        lots: int,
        is_first: bool,
        step: MatchingStep,
    ) -> None:
        # A stop over the whole position is set by the first fill; what its owner makes of it
        # afterwards stays.
        record, stake = parent.record, parent.stake
        trigger = Trigger(
            kind=kind,
            price_ticks=guard.price_ticks,
            by=guard.by,
            on_rise=kind.takes_profit == (record.side is Side.BUY),
            pair_id=record.order_id if kind.is_partial else "",
            parent_id=record.order_id,
            parent_link_id=record.link_id,
        )
        former = self._former(stake, trigger)
        if former is None:
            if kind.is_whole:
                lots = stake.reducible(record.side.opposite)
            stop = self._record(
                parent.account,
                stake,
                trigger=trigger,
                lots=lots,
                limit_ticks=guard.limit_ticks,
                step=step,
            )
            self._triggers.arm(LiveOrder(stop, parent.account, stake), step)
        elif kind.is_partial:
            room = stake.reducible(former.record.side)
            former.record.lots = former.record.leaves_lots = min(former.record.lots + lots, room)
            self._settlement.touch(former, step)
        elif is_first and former.record.trigger != trigger:
            self._triggers.change(former, trigger, step)

    def _former(self, stake: Stake, trigger: Trigger) -> LiveOrder | None:
        if trigger.kind.is_whole:
            return stake.stops.get(trigger.kind)
        for live in self._triggers.of(stake):
            waiting = trigger_of(live)
            if (waiting.kind, waiting.parent_id) == (trigger.kind, trigger.parent_id):
                return live
        return None

    def _record(
        self,
        account: Account,
        stake: Stake,
        *,
        trigger: Trigger,
        lots: int,
        limit_ticks: int,
        step: MatchingStep,
    ) -> OrderRecord:
        contract = stake.contract
        last = contract.last_ticks
        return OrderRecord(
            order_id=self._identifiers.uuid(),
            link_id="",
            account_id=account.account_id,
            symbol=contract.symbol,
            position_idx=stake.position_idx,
            side=Side.SELL if stake.position.lots > 0 else Side.BUY,
            order_type=OrderType.LIMIT if limit_ticks else OrderType.MARKET,
            time_in_force=TimeInForce.GTC if limit_ticks else TimeInForce.IOC,
            price_ticks=limit_ticks,
            lots=lots,
            leaves_lots=lots,
            created_ms=step.now_ms,
            updated_ms=step.now_ms,
            reduce_only=True,
            close_on_trigger=True,
            state=OrderState.UNTRIGGERED,
            last_price_on_created=(
                None if last is None else contract.instrument.ticks_to_price(last)
            ),
            trigger=trigger,
            scope=StopScope.PARTIAL if trigger.kind.is_partial else StopScope.FULL,
        )


def _differs(stake: Stake, change: StopChange) -> bool:
    if change.kind.is_partial:
        return change.price != 0
    live = stake.stops.get(change.kind)
    if live is None:
        return change.price != 0
    trigger, instrument = trigger_of(live), stake.contract.instrument
    if trigger.trail is None:
        level = instrument.ticks_to_price(trigger.price_ticks)
        return change.price != level or change.by is not trigger.by
    active = instrument.ticks_to_price(trigger.trail.active_ticks)
    is_moved = change.active_price is not None and change.active_price != active
    return is_moved or change.price != instrument.ticks_to_price(trigger.trail.distance_ticks)


def _trigger(stake: Stake, change: StopChange) -> Trigger:
    contract = stake.contract
    ticks = grid_ticks(contract.instrument, change.price, what=change.kind.value)
    side = Side.BUY if stake.position.lots > 0 else Side.SELL
    on_rise = change.kind.takes_profit == (side is Side.BUY)
    base = watched_price(contract, change.by)
    check_side(
        what=change.kind.value,
        price=change.price,
        base=base,
        by=change.by,
        side=side,
        above=on_rise,
    )
    return Trigger(kind=change.kind, price_ticks=ticks, by=change.by, on_rise=on_rise)


def _trail(stake: Stake, change: StopChange) -> Trigger | None:
    if change.kind is not StopKind.TRAILING_STOP:
        return None
    contract = stake.contract
    instrument = contract.instrument
    side = Side.BUY if stake.position.lots > 0 else Side.SELL
    base = watched_price(contract, change.by)
    distance_ticks = grid_ticks(instrument, change.price, what=change.kind.value)
    if change.price >= base:
        raise VenueReject(10001, f"trailingStop must be less than the price {base}")
    active_ticks = 0
    if change.active_price:
        active_ticks = grid_ticks(instrument, change.active_price, what="activePrice")
        check_side(
            what="activePrice",
            price=change.active_price,
            base=base,
            by=change.by,
            side=side,
            above=side is Side.BUY,
        )
    trail = Trail(distance_ticks=distance_ticks, active_ticks=active_ticks)
    trigger = Trigger(
        kind=change.kind, price_ticks=0, by=change.by, on_rise=side is Side.SELL, trail=trail
    )
    return followed(trigger, watched_ticks(contract, change.by))


def _partial_lots(stake: Stake, change: StopChange) -> int:
    quantity = Decimal(0) if change.quantity is None else change.quantity
    instrument = stake.contract.instrument
    if not quantity.is_finite() or quantity < instrument.min_qty:
        raise VenueReject(110058, f"TP/SL size below the minimum {instrument.min_qty}")
    lots = qty_lots(instrument, quantity, OrderType.LIMIT)
    if lots > abs(stake.position.lots):
        raise VenueReject(10001, "TP/SL size exceeds the position")
    return lots
