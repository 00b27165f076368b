"""Order entry of real accounts: place, amend and cancel."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from trading_system.domain.orders import TimeInForce
from trading_system.simulation.accounts.account import Account, LiveOrder
from trading_system.simulation.contracts import Contract
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.matching.book import RestingOrder
from trading_system.simulation.matching.sweep import is_fillable
from trading_system.simulation.records import HOUSE, OrderRecord, OrderRequest, VenueReject
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.validation import (
    Terms,
    check_notional,
    limit_ticks,
    new_terms,
    qty_lots,
)

CANCEL_LIMIT = 500
"""Orders that one cancel-all takes at most."""


class OrderEntry:
    """Checks requests, then lets orders trade and rest.

    Parameters
    ----------
    settlement : Settlement
        Where fills and states are settled.
    identifiers : Identifiers
        Source of order ids.
    book_ids : Iterator[int]
        Unique ids for orders in the books.
    """

    def __init__(
        self, settlement: Settlement, *, identifiers: Identifiers, book_ids: Iterator[int]
    ) -> None:
        self._settlement = settlement
        self._identifiers = identifiers
        self._book_ids = book_ids

    def place(
        self, account: Account, contract: Contract, *, request: OrderRequest, step: MatchingStep
    ) -> OrderRecord:
        """Accept a new order and match it, or raise ``VenueReject``."""
        stake = account.stake(contract)
        terms = new_terms(request, contract=contract, account=account, stake=stake)
        record = self._record(request, terms, account=account, contract=contract, step=step)
        if record.link_id:
            account.histories.links.add(record.link_id, record.order_id)
        self.enter(LiveOrder(record, account, stake), step)
        return record

    def amend(
        self,
        account: Account,
        contract: Contract,
        *,
        order_id: str,
        link_id: str,
        price: Decimal | None,
        quantity: Decimal | None,
        step: MatchingStep,
    ) -> OrderRecord:
        """Change price or total size of a resting order, or raise ``VenueReject``."""
        live = _find(account, contract, order_id=order_id, link_id=link_id)
        record = live.record
        if record.state.is_conditional:
            raise VenueReject(10001, "a position's stop is changed by position/trading-stop")
        price_ticks = record.price_ticks
        if price is not None:
            price_ticks = limit_ticks(contract, record.side, price)
        lots = _amended_lots(live, quantity)
        if (price_ticks, lots) == (record.price_ticks, record.lots):
            raise VenueReject(10001, "order not modified: no value differs")
        if not record.reduce_only:
            check_notional(contract, contract.unit * (price_ticks * lots))
        keeps_priority = price_ticks == record.price_ticks and lots < record.lots
        _reserve(live, price_ticks=price_ticks, lots=lots)
        if keeps_priority:
            assert live.resting is not None
            contract.book.resize(live.resting.order_id, record.leaves_lots)
            self._settlement.touch(live, step)
        else:
            self._settlement.unrest(live)
            self.enter(live, step)
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
        """Cancel a resting order, or raise ``VenueReject``."""
        live = _find(account, contract, order_id=order_id, link_id=link_id)
        self._cancel_by_user(live, step)
        return live.record

    def cancel_all(
        self, account: Account, *, contract: Contract | None, step: MatchingStep
    ) -> list[OrderRecord]:
        """Cancel up to 500 orders, oldest first, of one contract or of all."""
        if contract is None:
            orders = account.orders
        else:
            stake = account.stakes.get(contract.symbol)
            orders = stake.orders if stake is not None else {}
        chosen = list(orders.values())[:CANCEL_LIMIT]
        for live in chosen:
            self._cancel_by_user(live, step)
        return [live.record for live in chosen]

    def _cancel_by_user(self, live: LiveOrder, step: MatchingStep) -> None:
        self._settlement.close(live, step, cancel_type="CancelByUser", reason="EC_PerCancelRequest")

    def _record(
        self,
        request: OrderRequest,
        terms: Terms,
        *,
        account: Account,
        contract: Contract,
        step: MatchingStep,
    ) -> OrderRecord:
        last = contract.last_ticks
        return OrderRecord(
            order_id=self._identifiers.uuid(),
            link_id=request.link_id,
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
            reduce_only=request.reduce_only,
            close_on_trigger=request.close_on_trigger,
            self_match=request.self_match,
            last_price_on_created=(
                None if last is None else contract.instrument.ticks_to_price(last)
            ),
        )

    def enter(self, live: LiveOrder, step: MatchingStep) -> None:
        """Trade what crosses of an order outside the book, then rest or close what is left."""
        record, contract = live.record, live.stake.contract
        refusal = self._refusal(live)
        if refusal:
            self._settlement.close(live, step, reason=refusal)
            return
        _, blocker = self._settlement.sweep(
            contract,
            record.side,
            limit_ticks=record.price_ticks,
            lots=record.leaves_lots,
            step=step,
            taker=live,
        )
        if blocker:
            self._settlement.close(
                live,
                step,
                cancel_type="CancelBySmp",
                reason="EC_BySelfMatch",
                smp_order_id=blocker,
            )
        elif record.state.is_final:
            return
        elif record.time_in_force in {TimeInForce.GTC, TimeInForce.POST_ONLY}:
            self._settlement.rest(live, next(self._book_ids))
            self._settlement.touch(live, step)
        else:
            self._settlement.close(live, step, reason="EC_NoImmediateQtyToFill")

    def _refusal(self, live: LiveOrder) -> str:
        # Why the order may not even begin to trade; empty when it may.
        record, book = live.record, live.stake.contract.book
        if record.time_in_force is TimeInForce.POST_ONLY:
            crosses = book.crosses(record.side, record.price_ticks)
            return "EC_PostOnlyWillTakeLiquidity" if crosses else ""
        if record.time_in_force is TimeInForce.FOK and not is_fillable(
            book,
            record.side,
            limit_ticks=record.price_ticks,
            lots=record.leaves_lots,
            room=_ReducingRoom(self._settlement, record.account_id),
            owner=record.account_id,
            self_match=record.self_match,
        ):
            return "EC_NoEnoughQtyToFill"
        return ""


class _ReducingRoom:
    # How many lots of reduce-only makers can trade before their position is used up. The taker's
    # own makers never run out: trading with oneself leaves the position as it is.
    def __init__(self, settlement: Settlement, taker: int) -> None:
        self._settlement = settlement
        self._taker = taker
        self._room: dict[int, int] = {}

    def usable(self, maker: RestingOrder) -> int:
        """Return the lots of ``maker`` that its position leaves tradable."""
        if maker.owner in {HOUSE, self._taker}:
            return maker.lots
        live = self._settlement.resting[maker.order_id]
        room = self._room.get(maker.owner)
        if room is None:
            room = live.stake.reducible(maker.side)
        usable = min(maker.lots, room) if live.record.reduce_only else maker.lots
        self._room[maker.owner] = max(0, room - usable)
        return usable


def _find(account: Account, contract: Contract, *, order_id: str, link_id: str) -> LiveOrder:
    live = account.find_live(order_id, link_id)
    if live is None or live.stake.contract is not contract:
        raise VenueReject(110001, "order not exists or too late to cancel")
    return live


def _amended_lots(live: LiveOrder, quantity: Decimal | None) -> int:
    record = live.record
    if quantity is None:
        return record.lots
    lots = qty_lots(live.stake.contract.instrument, quantity, record.order_type)
    if lots <= record.cum_lots:
        raise VenueReject(110064, "the amended quantity must exceed the filled quantity")
    if record.reduce_only:
        lots = min(lots, record.cum_lots + live.stake.reducible(record.side))
    return lots


def _reserve(live: LiveOrder, *, price_ticks: int, lots: int) -> None:
    # Gives the order its new terms; restores the old ones when the margin does not suffice.
    account, stake, record = live.account, live.stake, live.record
    former = (record.price_ticks, record.lots)
    margin_before = stake.order_margin()
    available = account.available()
    stake.replace(record, price_ticks=price_ticks, lots=lots)
    added = stake.order_margin() - margin_before
    if added > 0 and added > available:
        stake.replace(record, price_ticks=former[0], lots=former[1])
        raise VenueReject(110007, "ab not enough for new order")
