"""Turns trades of the matching core into positions, money, histories and order states."""

from __future__ import annotations

from decimal import Decimal

from trading_system.domain.orders import Side
from trading_system.simulation import spot_settlement
from trading_system.simulation.accounts.account import Account, LiveOrder, Stake
from trading_system.simulation.accounts.holdings import Holding
from trading_system.simulation.bookkeeping import Bookkeeping
from trading_system.simulation.contracts import Contract, money
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.matching.book import RestingOrder
from trading_system.simulation.matching.sweep import sweep
from trading_system.simulation.records import (
    HOUSE,
    OrderState,
    SelfMatch,
)
from trading_system.simulation.spot_settlement import SpotIds
from trading_system.simulation.steps import MatchingStep

_ZERO = Decimal(0)


class Settlement:
    """Owner of the orders that rest for real accounts, and of everything a fill changes.

    Parameters
    ----------
    identifiers : Identifiers
        Source of execution and trade ids.
    spot_ids : SpotIds
        The same for spot, so that neither category changes the other's ids.
    """

    def __init__(self, identifiers: Identifiers, *, spot_ids: SpotIds) -> None:
        self.resting: dict[int, LiveOrder] = {}
        self._identifiers = identifiers
        self._books = Bookkeeping(identifiers)
        self._spot_ids = spot_ids

    def sweep(
        self,
        contract: Contract,
        side: Side,
        *,
        limit_ticks: int,
        lots: int,
        step: MatchingStep,
        taker: LiveOrder | None = None,
    ) -> tuple[int, str]:
        """Trade an incoming order; ``taker`` None is the house.

        Returns
        -------
        tuple of int and str
            Lots left, and the id of the own order at which self-match prevention stopped the
            taker, empty when it did not.
        """
        if not contract.book.crosses(side, limit_ticks):
            return lots, ""
        hooks = _TakerFills(self, contract, side=side, taker=taker, step=step)
        result = sweep(
            contract.book,
            side,
            limit_ticks=limit_ticks,
            lots=lots,
            hooks=hooks,
            owner=HOUSE if taker is None else taker.account.account_id,
            self_match=SelfMatch.NONE if taker is None else taker.record.self_match,
        )
        return result.lots, hooks.own_order_id if result.is_blocked else ""

    def rest(self, live: LiveOrder, book_id: int) -> None:
        """Let the remaining lots of an order rest under a fresh book id."""
        record = live.record
        live.resting = live.stake.contract.book.add(
            book_id,
            record.account_id,
            side=record.side,
            price_ticks=record.price_ticks,
            lots=record.leaves_lots,
        )
        self.resting[book_id] = live
        live.account.add_order(live)

    def unrest(self, live: LiveOrder) -> None:
        """Take an order out of the book while it stays alive."""
        if live.resting is not None:
            del self.resting[live.resting.order_id]
            live.stake.contract.book.remove(live.resting.order_id)
            live.resting = None

    def close(
        self,
        live: LiveOrder,
        step: MatchingStep,
        *,
        cancel_type: str = "UNKNOWN",
        reason: str = "EC_NoError",
        smp_order_id: str = "",
    ) -> None:
        """Cancel what is left of an order, wherever it is; a waiting stop is deactivated."""
        self.unrest(live)
        record = live.record
        record.cancel_type = cancel_type
        record.reject_reason = reason
        record.smp_order_id = smp_order_id
        self._finish(live, _closed_state(live))
        self.touch(live, step)

    def reject(self, live: LiveOrder, step: MatchingStep, *, reason: str) -> None:
        """Reject an order in matching that its owner was told is accepted."""
        live.record.reject_reason = reason
        self._finish(live, OrderState.REJECTED)
        self.touch(live, step)

    def insure(self, account: Account, contract: Contract, step: MatchingStep) -> None:
        """Let the insurance fund pay what a wallet lacks after a liquidation in ``contract``."""
        amount = -account.cash
        account.credit(insurance=amount)
        self._books.note_insurance(account, contract, amount=amount, step=step)
        step.touch_wallet(account.account_id)

    def touch(self, live: LiveOrder, step: MatchingStep) -> None:
        """Stamp and announce a changed order."""
        live.record.updated_ms = step.now_ms
        live.stake.touch(step.now_ms)
        step.touch_order(live.record)

    def fill(
        self, live: LiveOrder, lots: int, *, price_ticks: int, is_maker: bool, step: MatchingStep
    ) -> None:
        """Settle one fill of one account's order; reduce-only orders are not yet enforced."""
        record, account, stake = live.record, live.account, live.stake
        if isinstance(stake, Holding):
            spot_settlement.settle_fill(
                live,
                stake,
                lots,
                price_ticks=price_ticks,
                is_maker=is_maker,
                step=step,
                ids=self._spot_ids,
            )
            if record.take_profit or record.stop_loss:
                step.note_guarded(live, lots)
            self._advance(live, step)
            return
        contract = stake.contract
        lot_value = contract.unit * price_ticks
        rate = account.maker_rate if is_maker else account.taker_rate
        change = stake.position.apply(
            lots if record.side is Side.BUY else -lots,
            lot_value=lot_value,
            fee_rate=rate,
            now_ms=step.now_ms,
        )
        stake.position.sequence = contract.book.sequence
        live.account.take(live, lots)
        record.cum_lots += lots
        record.cum_value += lot_value * lots
        record.cum_fee += change.fee
        record.closed_pnl += change.net
        if record.take_profit or record.stop_loss:
            step.note_guarded(live, lots)
        account.credit(realised=change.realised, fee=change.fee)
        self._books.note_fill(
            live, lots, price_ticks=price_ticks, is_maker=is_maker, change=change, step=step
        )
        if change.closed_lots:
            self._books.note_closed(live, change, step)
        self._advance(live, step)

    def _advance(self, live: LiveOrder, step: MatchingStep) -> None:
        # The state of an order after a fill.
        if live.record.leaves_lots:
            live.record.state = OrderState.PARTIALLY_FILLED
        else:
            if live.resting is not None:
                del self.resting[live.resting.order_id]
                live.resting = None
            self._finish(live, OrderState.FILLED)
        self.touch(live, step)

    def print_trade(
        self, contract: Contract, side: Side, *, price_ticks: int, lots: int, step: MatchingStep
    ) -> None:
        """Publish one trade with the aggressor's ``side``."""
        step.trades.append(
            contract.print_trade(
                spot_settlement.print_id(
                    contract, identifiers=self._identifiers, ids=self._spot_ids
                ),
                price_ticks=price_ticks,
                lots=lots,
                taker_side=side,
                now_ms=step.now_ms,
            )
        )

    def settle(
        self,
        maker: RestingOrder,
        lots: int,
        *,
        step: MatchingStep,
        taker: LiveOrder | None = None,
    ) -> None:
        """Settle one trade for both sides; of the house nothing is kept."""
        live = None if maker.owner == HOUSE else self.resting[maker.order_id]
        price_ticks = maker.price_ticks
        if live is not None:
            self.fill(live, lots, price_ticks=price_ticks, is_maker=True, step=step)
        if taker is not None:
            self.fill(taker, lots, price_ticks=price_ticks, is_maker=False, step=step)
        for order in (live, taker):
            if order is not None and order.stake.reduce_only:
                self.enforce_reduce_only(order.stake, step)

    def enforce_reduce_only(self, stake: Stake, step: MatchingStep) -> None:
        """Shrink or cancel reduce-only orders that the position no longer covers."""
        for live in list(stake.reduce_only.values()):
            record = live.record
            allowed = stake.reducible(record.side)
            excess = record.leaves_lots - allowed
            if excess <= 0:
                continue
            if not allowed:
                self.close(live, step, cancel_type="CancelByReduceOnly")
                continue
            record.lots -= excess
            live.account.take(live, excess)
            if live.resting is not None:
                stake.contract.book.resize(live.resting.order_id, allowed)
            self.touch(live, step)

    def fund(self, account: Account, stake: Stake, *, rate: Decimal, step: MatchingStep) -> None:
        """Settle one funding payment; a long pays when the rate is positive."""
        position = stake.position
        side = Side.BUY if position.lots > 0 else Side.SELL
        received = money(-rate * stake.contract.value(abs(position.lots)) * side.sign)
        account.credit(funding=received)
        position.add_funding(received)
        stake.touch(step.now_ms)
        self._books.note_funding(account, stake, side=side, rate=rate, received=received, step=step)

    def _finish(self, live: LiveOrder, state: OrderState) -> None:
        live.account.discard_order(live)
        live.record.leaves_lots = 0
        live.record.state = state
        live.account.histories.orders.add(live.record)


def _closed_state(live: LiveOrder) -> OrderState:
    if live.record.state is OrderState.UNTRIGGERED:
        return OrderState.DEACTIVATED
    if live.stake.contract.is_spot and live.record.cum_lots:
        return OrderState.PARTIALLY_FILLED_CANCELED
    return OrderState.CANCELLED


class _TakerFills:
    # Hooks of one sweep; ``taker`` None is the house.
    __slots__ = ("_contract", "_settlement", "_side", "_step", "_taker", "own_order_id")

    def __init__(
        self,
        settlement: Settlement,
        contract: Contract,
        *,
        side: Side,
        taker: LiveOrder | None,
        step: MatchingStep,
    ) -> None:
        self.own_order_id = ""
        self._settlement = settlement
        self._contract = contract
        self._side = side
        self._taker = taker
        self._step = step

    def filled(self, maker: RestingOrder, lots: int) -> None:
        """Settle a trade with ``maker`` for both sides."""
        self._settlement.print_trade(
            self._contract, self._side, price_ticks=maker.price_ticks, lots=lots, step=self._step
        )
        self._settlement.settle(maker, lots, taker=self._taker, step=self._step)

    def met_own(self, maker: RestingOrder) -> None:
        """Remember the order that self-match prevention acts on."""
        self.own_order_id = self._settlement.resting[maker.order_id].record.order_id

    def prevented(self, maker: RestingOrder) -> None:
        """Finish a resting order that self-match prevention cancelled."""
        taker = self._taker
        assert taker is not None
        self._settlement.close(
            self._settlement.resting[maker.order_id],
            self._step,
            cancel_type="CancelBySmp",
            reason="EC_BySelfMatch",
            smp_order_id=taker.record.order_id,
        )
