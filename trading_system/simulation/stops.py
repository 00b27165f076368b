"""Stops that guard a whole position: untriggered reduce-only orders outside the book.

As on Bybit they follow the position's size, disappear when it is closed or turned, and become a
market order through the ordinary matching path when the price they watch reaches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from trading_system.domain.errors import OffGridError
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts.account import Account, LiveOrder, Stake
from trading_system.simulation.contracts import Contract
from trading_system.simulation.entry import OrderEntry
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.records import (
    OrderRecord,
    OrderState,
    StopChange,
    StopKind,
    Trigger,
    TriggerBy,
    VenueReject,
)
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.steps import MatchingStep

_NOT_MODIFIED = 34040


class PositionStops:
    """Keeps, moves and fires the stops of all accounts.

    Parameters
    ----------
    settlement : Settlement
        Announces and closes orders.
    entry : OrderEntry
        Matches a stop that has fired.
    identifiers : Identifiers
        Source of order ids.
    """

    def __init__(
        self, settlement: Settlement, *, entry: OrderEntry, identifiers: Identifiers
    ) -> None:
        self._settlement = settlement
        self._entry = entry
        self._identifiers = identifiers
        self._armed: dict[str, dict[str, LiveOrder]] = {}

    def change(
        self,
        account: Account,
        contract: Contract,
        *,
        changes: Sequence[StopChange],
        step: MatchingStep,
    ) -> None:
        """Set, move or remove stops of a position, all of them or none.

        Raises
        ------
        VenueReject
            34040 when nothing would change; 10001 without a position, off the tick grid, or on
            the wrong side of the watched price.
        """
        stake = account.stake(contract)
        wanted = [change for change in changes if _differs(stake, change)]
        if not wanted:
            raise VenueReject(_NOT_MODIFIED, "not modified")
        triggers = [_trigger(stake, change) for change in wanted]
        for change, trigger in zip(wanted, triggers, strict=True):
            live = stake.stops.get(change.kind)
            if trigger is None:
                assert live is not None
                self.cancel(live, step)
            elif live is None:
                self._arm(LiveOrder(self._record(account, stake, trigger, step), account, stake))
                self._settlement.touch(stake.stops[change.kind], step)
            else:
                live.record.trigger = trigger
                self._settlement.touch(live, step)

    def cancel(self, live: LiveOrder, step: MatchingStep) -> None:
        """Deactivate a stop because its owner wishes so."""
        self._drop(live, step, cancel_type="CancelByUser", reason="EC_PerCancelRequest")

    def readmit(self, live: LiveOrder) -> None:
        """Arm a stop that was armed in an earlier run, without an event."""
        self._arm(live)

    def follow(self, contract: Contract, step: MatchingStep) -> None:
        """Give stops the size their positions have now; deactivate those without one."""
        for live in list(self._armed.get(contract.symbol, {}).values()):
            record = live.record
            lots = live.stake.reducible(record.side)
            if not lots:
                self._drop(live, step, cancel_type="CancelByTpSlTsClear", reason="EC_NoError")
            elif lots != record.lots:
                record.lots = record.leaves_lots = lots
                self._settlement.touch(live, step)

    def due(self, contract: Contract) -> LiveOrder | None:
        """Return the first stop whose price has been reached."""
        for live in self._armed.get(contract.symbol, {}).values():
            trigger = live.record.trigger
            assert trigger is not None
            price = watched_price(contract, trigger.by)
            level = contract.instrument.ticks_to_price(trigger.price_ticks)
            if (price >= level) if trigger.on_rise else (price <= level):
                return live
        return None

    def trigger(self, live: LiveOrder, step: MatchingStep) -> None:
        """Let a stop go and announce that; :meth:`send` follows in a step of its own."""
        self._disarm(live)
        live.record.state = OrderState.TRIGGERED
        self._settlement.touch(live, step)

    def send(self, live: LiveOrder, step: MatchingStep) -> None:
        """Match a triggered stop as a market order over the whole position."""
        record, contract = live.record, live.stake.contract
        record.price_ticks = contract.protective_ticks(record.side)
        record.lots = record.leaves_lots = live.stake.reducible(record.side)
        self._entry.enter(live, step)

    def _arm(self, live: LiveOrder) -> None:
        record = live.record
        assert record.trigger is not None
        live.stake.stops[record.trigger.kind] = live
        live.account.stops[record.order_id] = live
        self._armed.setdefault(record.symbol, {})[record.order_id] = live

    def _disarm(self, live: LiveOrder) -> None:
        record = live.record
        assert record.trigger is not None
        del live.stake.stops[record.trigger.kind]
        del live.account.stops[record.order_id]
        del self._armed[record.symbol][record.order_id]

    def _drop(self, live: LiveOrder, step: MatchingStep, *, cancel_type: str, reason: str) -> None:
        self._disarm(live)
        self._settlement.close(live, step, cancel_type=cancel_type, reason=reason)

    def _record(
        self, account: Account, stake: Stake, trigger: Trigger, step: MatchingStep
    ) -> OrderRecord:
        contract = stake.contract
        lots = stake.position.lots
        last = contract.last_ticks
        return OrderRecord(
            order_id=self._identifiers.uuid(),
            link_id="",
            account_id=account.account_id,
            symbol=contract.symbol,
            side=Side.SELL if lots > 0 else Side.BUY,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.IOC,
            price_ticks=0,
            lots=abs(lots),
            leaves_lots=abs(lots),
            created_ms=step.now_ms,
            updated_ms=step.now_ms,
            reduce_only=True,
            close_on_trigger=True,
            state=OrderState.UNTRIGGERED,
            last_price_on_created=(
                None if last is None else contract.instrument.ticks_to_price(last)
            ),
            trigger=trigger,
        )


def watched_price(contract: Contract, by: TriggerBy) -> Decimal:
    """Return the price a trigger compares with; before the first trade the mark stands in."""
    if by is TriggerBy.INDEX:
        return contract.index
    if by is TriggerBy.MARK or contract.last_ticks is None:
        return contract.mark
    return contract.instrument.ticks_to_price(contract.last_ticks)


def _differs(stake: Stake, change: StopChange) -> bool:
    live = stake.stops.get(change.kind)
    if live is None:
        return change.price != 0
    trigger = live.record.trigger
    assert trigger is not None
    level = stake.contract.instrument.ticks_to_price(trigger.price_ticks)
    return change.price != level or change.by is not trigger.by


def _trigger(stake: Stake, change: StopChange) -> Trigger | None:
    # None removes the stop.
    if change.price == 0:
        return None
    contract, lots = stake.contract, stake.position.lots
    if not lots:
        raise VenueReject(10001, "can not set tp/sl/ts for zero position")
    instrument = contract.instrument
    if not (change.price.is_finite() and 0 < change.price <= instrument.max_price):
        raise VenueReject(10001, f"{change.kind.value} is out of range")
    try:
        ticks = instrument.price_to_ticks(change.price)
    except (OffGridError, InvalidOperation) as e:
        raise VenueReject(
            10001, f"{change.kind.value} is not a multiple of {instrument.tick_size}"
        ) from e
    on_rise = (change.kind is StopKind.TAKE_PROFIT) == (lots > 0)
    base = watched_price(contract, change.by)
    if change.price <= base if on_rise else change.price >= base:
        side, relation = ("Buy" if lots > 0 else "Sell"), ("higher" if on_rise else "lower")
        raise VenueReject(
            10001,
            f"{change.kind.value}:{change.price} set for {side} position should be {relation} "
            f"than base_price:{base} ({change.by.value})",
        )
    return Trigger(kind=change.kind, price_ticks=ticks, by=change.by, on_rise=on_rise)
