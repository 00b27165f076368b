"""Closing the positions of an account whose maintenance margin rate has reached 100 %.

All its open orders are cancelled. Then its positions are closed, the largest maintenance margin
first, until the rate is below 100 %: an order at the bankruptcy price trades with the book, and
the venue takes over at that price what the book did not take. At the bankruptcy price the account
has nothing left, so its wallet does not fall below zero; what the limits of the price grid leave
lacking is paid by the insurance fund and written to the ledger. Bybit closes large positions in
parts by risk tier; this venue has one tier and closes each position whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts.account import Account, LiveOrder, Stake
from trading_system.simulation.accounts.margins import bankruptcy_ticks, health
from trading_system.simulation.entry import OrderEntry
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.records import (
    CREATED_BY_LIQUIDATION,
    CREATED_BY_TAKEOVER,
    LiquidationRecord,
    OrderRecord,
    OrderState,
)
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.stops import PositionStops
from trading_system.simulation.triggers import Triggers

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationParts:
    """What a liquidation works with."""

    settlement: Settlement
    entry: OrderEntry
    stops: PositionStops
    triggers: Triggers
    identifiers: Identifiers


class Liquidation:
    """Liquidates accounts, in steps that are told one by one.

    Parameters
    ----------
    parts : LiquidationParts
        The exchange's order flow.
    tell : callable
        Tells the listener a finished step.

    Attributes
    ----------
    recent : deque of LiquidationRecord
        The newest 1,000, oldest first.
    """

    def __init__(self, parts: LiquidationParts, *, tell: Callable[[MatchingStep], None]) -> None:
        self.recent: deque[LiquidationRecord] = deque(maxlen=_REMEMBERED)
        self._settlement = parts.settlement
        self._entry = parts.entry
        self._stops = parts.stops
        self._triggers = parts.triggers
        self._identifiers = parts.identifiers
        self._tell = tell
        self._count = 0

    def run(self, account: Account, *, now_ms: int) -> None:
        """Cancel an exhausted account's orders and close positions until it is not exhausted."""
        self._prepare(account, now_ms)
        step = MatchingStep(now_ms)
        while health(account).is_exhausted:
            stakes = [stake for stake in account.stakes.values() if stake.position.lots]
            stake = max(stakes, key=_maintenance)
            self._take_over(account, stake, now_ms)
            if account.cash < 0 and not any(each.position.lots for each in stakes):
                self._settlement.insure(account, stake.contract, step)
        for stake in account.stakes.values():
            if stake.is_liquidating:
                stake.is_liquidating = False
                step.touch_position(account.account_id, stake.contract.symbol, stake.position_idx)
        self._tell(step)

    def _prepare(self, account: Account, now_ms: int) -> None:
        step = MatchingStep(now_ms)
        for stake in account.stakes.values():
            if stake.position.lots:
                stake.is_liquidating = True
                step.touch_position(account.account_id, stake.contract.symbol, stake.position_idx)
        for live in list(account.stops.values()):
            self._triggers.clear(live, step, cancel_type="CancelAllBeforeLiq")
        for live in list(account.orders.values()):
            self._settlement.close(live, step, cancel_type="CancelAllBeforeLiq")
        self._tell(step)

    def _take_over(self, account: Account, stake: Stake, now_ms: int) -> None:
        price_ticks = bankruptcy_ticks(account, stake)
        self._remember(stake, price_ticks, now_ms)
        live = self._order(account, stake, price_ticks, now_ms, created_by=CREATED_BY_LIQUIDATION)
        step = MatchingStep(now_ms)
        self._entry.enter(live, step)
        self._stops.follow(stake.contract, step)
        self._tell(step)
        if stake.position.lots:
            live = self._order(account, stake, price_ticks, now_ms, created_by=CREATED_BY_TAKEOVER)
            step = MatchingStep(now_ms)
            lots = live.record.leaves_lots
            self._settlement.fill(live, lots, price_ticks=price_ticks, is_maker=False, step=step)
            self._tell(step)

    def _order(
        self, account: Account, stake: Stake, price_ticks: int, now_ms: int, *, created_by: str
    ) -> LiveOrder:
        contract, lots = stake.contract, stake.position.lots
        last = contract.last_ticks
        record = OrderRecord(
            order_id=self._identifiers.uuid(),
            link_id="",
            account_id=account.account_id,
            symbol=contract.symbol,
            position_idx=stake.position_idx,
            side=Side.SELL if lots > 0 else Side.BUY,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.IOC,
            price_ticks=price_ticks,
            lots=abs(lots),
            leaves_lots=abs(lots),
            created_ms=now_ms,
            updated_ms=now_ms,
            reduce_only=True,
            state=OrderState.NEW,
            last_price_on_created=(
                None if last is None else contract.instrument.ticks_to_price(last)
            ),
            created_by=created_by,
        )
        return LiveOrder(record, account, stake)

    def _remember(self, stake: Stake, price_ticks: int, now_ms: int) -> None:
        self._count += 1
        lots = stake.position.lots
        self.recent.append(
            LiquidationRecord(
                number=self._count,
                symbol=stake.contract.symbol,
                side=Side.BUY if lots > 0 else Side.SELL,
                lots=abs(lots),
                price_ticks=price_ticks,
                time_ms=now_ms,
            )
        )


def _maintenance(stake: Stake) -> tuple[object, str, int]:
    return (stake.position_margins()[1], stake.contract.symbol, stake.position_idx)
