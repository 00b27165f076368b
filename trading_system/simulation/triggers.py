"""Orders that wait outside the book for a price: conditional orders and the stops of positions."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from trading_system.simulation.accounts.account import Account, LiveOrder, Stake
from trading_system.simulation.conditions import StopKind, Trigger, TriggerBy
from trading_system.simulation.contracts import Contract
from trading_system.simulation.levels import watched_price
from trading_system.simulation.records import OrderState, VenueReject
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.trailing import followed

CONDITIONAL_LIMIT = 10
"""Conditional orders per account and contract."""

PARTIAL_STOP_LIMIT = 20
"""Partial take profits, and partial stop losses, per position."""


class Triggers:
    """The waiting orders of all accounts, each found by its contract and its account.

    Parameters
    ----------
    settlement : Settlement
        Announces and closes orders.
    """

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement
        self._waiting: dict[str, dict[str, LiveOrder]] = {}

    def arm(self, live: LiveOrder, step: MatchingStep) -> None:
        """Let an order wait and announce that."""
        self.readmit(live)
        self._settlement.touch(live, step)

    def readmit(self, live: LiveOrder) -> None:
        """Let an order wait that waited in an earlier run, without an event."""
        record, kind = live.record, trigger_of(live).kind
        if kind.is_whole:
            live.stake.stops[kind] = live
        live.stake.hold(live)
        live.account.stops[record.order_id] = live
        self._waiting.setdefault(record.symbol, {})[record.order_id] = live

    def change(self, live: LiveOrder, trigger: Trigger, step: MatchingStep) -> None:
        """Give a waiting order another condition and announce that."""
        live.record.trigger = trigger
        self._settlement.touch(live, step)

    def cancel(self, live: LiveOrder, step: MatchingStep) -> None:
        """Deactivate a waiting order because its owner wishes so."""
        self._drop(live, step, cancel_type="CancelByUser", reason="EC_PerCancelRequest")

    def clear(
        self, live: LiveOrder, step: MatchingStep, *, cancel_type: str = "CancelByTpSlTsClear"
    ) -> None:
        """Deactivate a waiting order that has lost its reason: no position, a twin has fired."""
        self._drop(live, step, cancel_type=cancel_type, reason="EC_NoError")

    def of(self, stake: Stake) -> list[LiveOrder]:
        """Return everything of a stake that waits, oldest first."""
        waiting = self._waiting.get(stake.contract.symbol, {})
        return [live for live in waiting.values() if live.stake is stake]

    def check_room(self, account: Account, contract: Contract) -> None:
        """Refuse (110009) one more conditional order than a contract may have."""
        waiting = self._of(contract)
        count = sum(is_own_order(live) for live in waiting if live.account is account)
        if count >= CONDITIONAL_LIMIT:
            raise VenueReject(110009, f"more than {CONDITIONAL_LIMIT} conditional orders")

    def check_partial_room(self, stake: Stake, wanted: Collection[StopKind]) -> None:
        """Refuse (110061) one more stop of a ``wanted`` partial kind than a position may have."""
        kinds = [trigger_of(live).kind for live in self.of(stake)]
        for kind in wanted:
            if kinds.count(kind) >= PARTIAL_STOP_LIMIT:
                raise VenueReject(110061, f"more than {PARTIAL_STOP_LIMIT} {kind.value} orders")

    def follow(self, contract: Contract) -> None:
        """Let trailing stops follow the last price, which is not announced."""
        for live in self._of(contract):
            trigger = trigger_of(live)
            if trigger.trail is None:
                continue
            live.record.trigger = followed(trigger, watched_ticks(contract, trigger.by))

    def resize(self, contract: Contract, step: MatchingStep) -> None:
        """Fit stops to their positions; clear those without one."""
        for live in self._of(contract):
            kind = trigger_of(live).kind
            if not (kind.is_whole or kind.is_partial):
                continue
            record = live.record
            lots = live.stake.reducible(record.side)
            if kind.is_partial:
                lots = min(lots, record.lots)
            if not lots:
                self.clear(live, step)
            elif lots != record.lots:
                record.lots = record.leaves_lots = lots
                self._settlement.touch(live, step)

    def due(self, contract: Contract) -> LiveOrder | None:
        """Return the first order whose price has been reached."""
        for live in self._waiting.get(contract.symbol, {}).values():
            trigger = trigger_of(live)
            if not trigger.price_ticks:
                continue
            price = watched_price(contract, trigger.by)
            level = contract.instrument.ticks_to_price(trigger.price_ticks)
            if (price >= level) if trigger.on_rise else (price <= level):
                return live
        return None

    def release(self, live: LiveOrder, step: MatchingStep) -> None:
        """Let an order go and announce that; the twin of a stop is cleared."""
        self._disarm(live)
        live.record.state = OrderState.TRIGGERED
        self._settlement.touch(live, step)
        pair_id = trigger_of(live).pair_id
        for twin in self.of(live.stake) if pair_id else ():
            if trigger_of(twin).pair_id == pair_id:
                self.clear(twin, step)

    def _of(self, contract: Contract) -> Iterator[LiveOrder]:
        yield from list(self._waiting.get(contract.symbol, {}).values())

    def _disarm(self, live: LiveOrder) -> None:
        record, kind = live.record, trigger_of(live).kind
        if kind.is_whole:
            del live.stake.stops[kind]
        live.stake.let_go(live)
        del live.account.stops[record.order_id]
        del self._waiting[record.symbol][record.order_id]

    def _drop(self, live: LiveOrder, step: MatchingStep, *, cancel_type: str, reason: str) -> None:
        self._disarm(live)
        self._settlement.close(live, step, cancel_type=cancel_type, reason=reason)


def trigger_of(live: LiveOrder) -> Trigger:
    """Return the condition of an order that has one."""
    trigger = live.record.trigger
    assert trigger is not None
    return trigger


def is_waiting(live: LiveOrder) -> bool:
    """Return whether an order waits for its price."""
    return live.record.state is OrderState.UNTRIGGERED


def is_own_order(live: LiveOrder) -> bool:
    """Return whether a waiting order is a conditional order rather than a position's stop."""
    return trigger_of(live).kind in {StopKind.STOP, StopKind.TPSL}


def watched_ticks(contract: Contract, by: TriggerBy) -> int:
    """Return the watched price in ticks, rounded down."""
    return contract.instrument.floor_ticks(watched_price(contract, by))
