"""Order entry of real accounts: place, amend and cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts.account import Account, LiveOrder, Stake
from trading_system.simulation.amending import AmendedTerms, active_terms, waiting_terms
from trading_system.simulation.conditions import Amendment, StopKind, StopScope
from trading_system.simulation.contracts import Contract
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.matching.book import RestingOrder
from trading_system.simulation.matching.sweep import is_fillable
from trading_system.simulation.records import (
    HOUSE,
    OrderRecord,
    OrderRequest,
    OrderState,
    VenueReject,
)
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.triggers import Triggers, is_own_order, is_waiting, trigger_of
from trading_system.simulation.validation import (
    Terms,
    banded_ticks,
    check_exposure,
    check_margin,
    check_room,
    market_ticks,
    new_terms,
)

CANCEL_LIMIT = 500
"""Orders that one cancel-all takes at most."""


class OrderEntry:
    """Checks requests, then lets orders trade and rest, or wait for their price.

    Parameters
    ----------
    settlement : Settlement
        Where fills and states are settled.
    triggers : Triggers
        Where conditional orders wait.
    identifiers : Identifiers
        Source of order ids.
    book_ids : Iterator[int]
        Unique ids for orders in the books.
    """

    def __init__(
        self,
        settlement: Settlement,
        *,
        triggers: Triggers,
        identifiers: Identifiers,
        book_ids: Iterator[int],
    ) -> None:
        self._settlement = settlement
        self._triggers = triggers
        self._identifiers = identifiers
        self._book_ids = book_ids

    def place(
        self, account: Account, contract: Contract, *, request: OrderRequest, step: MatchingStep
    ) -> OrderRecord:
        """Accept a new order and match it, or raise ``VenueReject``."""
        stake = account.stake_for(contract, request.position_idx)
        request, terms = self.checked(account, contract, request)
        record = self._record(request, terms, account=account, contract=contract, step=step)
        if record.link_id:
            account.histories.links.add(record.link_id, record.order_id)
        live = LiveOrder(record, account, stake)
        rejection = account.next_rejection()
        if rejection:
            self._settlement.reject(live, step, reason=rejection)
        elif terms.trigger is None:
            self.enter(live, step)
        else:
            self._triggers.arm(live, step)
        return record

    def checked(
        self, account: Account, contract: Contract, request: OrderRequest
    ) -> tuple[OrderRequest, Terms]:
        """Return a request as it is meant, with its terms; nothing changes.

        Raises
        ------
        VenueReject
            With the code of the first rule broken.
        """
        stake = account.stake_for(contract, request.position_idx)
        closes = request.trigger is not None and request.close_on_trigger
        if stake.closes(request.side) or closes:
            request = replace(request, reduce_only=True)
        terms = new_terms(request, contract=contract, account=account, stake=stake)
        if terms.trigger is not None:
            self._triggers.check_room(account, contract)
        if request.scope is StopScope.PARTIAL:
            self._triggers.check_partial_room(stake, _partial_kinds(terms))
        return request, terms

    def amend(
        self,
        account: Account,
        contract: Contract,
        *,
        order_id: str,
        link_id: str,
        change: Amendment,
        step: MatchingStep,
    ) -> OrderRecord:
        """Change an order that rests or waits, or raise ``VenueReject``."""
        live = _find(account, contract, order_id=order_id, link_id=link_id)
        record = live.record
        if is_waiting(live):
            terms = waiting_terms(live, change)
            assert terms.trigger is not None
            record.price_ticks = terms.price_ticks
            record.lots = record.leaves_lots = terms.lots
            self._triggers.change(live, terms.trigger, step)
            return record
        terms = active_terms(live, change)
        is_same = (terms.price_ticks, terms.lots) == (record.price_ticks, record.lots)
        keeps_priority = terms.price_ticks == record.price_ticks and terms.lots < record.lots
        _reserve(live, terms)
        record.take_profit, record.stop_loss = terms.take_profit, terms.stop_loss
        if is_same:
            self._settlement.touch(live, step)
        elif keeps_priority:
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
        """Cancel an order that rests or waits, or raise ``VenueReject``."""
        live = _find(account, contract, order_id=order_id, link_id=link_id)
        self._cancel_by_user(live, step)
        return live.record

    def cancel_all(
        self,
        account: Account,
        *,
        contract: Contract | None,
        step: MatchingStep,
        limit: int = CANCEL_LIMIT,
    ) -> list[OrderRecord]:
        """Cancel active orders, oldest first, of one contract or of all."""
        return self._cancel_chosen(account.orders, contract, step=step, limit=limit)

    def cancel_waiting(
        self,
        account: Account,
        *,
        contract: Contract | None,
        step: MatchingStep,
        own_only: bool = False,
        limit: int = CANCEL_LIMIT,
    ) -> list[OrderRecord]:
        """Deactivate waiting orders, oldest first; with ``own_only`` no stops of positions."""

        def is_chosen(live: LiveOrder) -> bool:
            return not own_only or is_own_order(live)

        return self._cancel_chosen(
            account.stops, contract, step=step, limit=limit, is_chosen=is_chosen
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

    def send(self, live: LiveOrder, step: MatchingStep) -> None:
        """Let a triggered order enter the market, on the terms of this moment.

        What only reduces is cut to the position; anything else needs margin and a place now, and
        is rejected without them.
        """
        record, stake = live.record, live.stake
        contract = stake.contract
        record.state = OrderState.NEW
        if record.order_type is OrderType.MARKET:
            record.price_ticks = market_ticks(contract, record.side, record.slippage)
        else:
            record.price_ticks = banded_ticks(contract, record.side, record.price_ticks)
        if record.reduce_only:
            lots = stake.reducible(record.side)
            if record.lots and not trigger_of(live).kind.is_whole:
                lots = min(lots, record.lots)
            record.lots = record.leaves_lots = lots
            if not lots:
                self._settlement.close(live, step, cancel_type="CancelByReduceOnly")
                return
        elif _lacks_backing(live):
            self._settlement.reject(live, step, reason="EC_Others")
            return
        self.enter(live, step)

    def _cancel_by_user(self, live: LiveOrder, step: MatchingStep) -> None:
        if is_waiting(live):
            self._triggers.cancel(live, step)
            return
        self._settlement.close(live, step, cancel_type="CancelByUser", reason="EC_PerCancelRequest")

    def _cancel_chosen(
        self,
        orders: dict[str, LiveOrder],
        contract: Contract | None,
        *,
        step: MatchingStep,
        limit: int,
        is_chosen: Callable[[LiveOrder], bool] = lambda _: True,
    ) -> list[OrderRecord]:
        chosen = [live for live in orders.values() if live.is_within(contract) and is_chosen(live)][
            :limit
        ]
        for live in chosen:
            self._cancel_by_user(live, step)
        return [live.record for live in chosen]

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
            position_idx=request.position_idx,
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
            state=OrderState.NEW if terms.trigger is None else OrderState.UNTRIGGERED,
            last_price_on_created=(
                None if last is None else contract.instrument.ticks_to_price(last)
            ),
            trigger=terms.trigger,
            take_profit=terms.take_profit,
            stop_loss=terms.stop_loss,
            scope=request.scope,
            slippage=request.slippage,
        )

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
            room=_ReducingRoom(self._settlement, live.stake),
            owner=record.account_id,
            self_match=record.self_match,
        ):
            return "EC_NoEnoughQtyToFill"
        return ""


class _ReducingRoom:
    # How many lots of reduce-only makers can trade before their position is used up. Makers of the
    # taker's own position never run out: trading with oneself leaves it as it is.
    def __init__(self, settlement: Settlement, taker: Stake) -> None:
        self._settlement = settlement
        self._taker = taker
        self._room: dict[Stake, int] = {}

    def usable(self, maker: RestingOrder) -> int:
        """Return the lots of ``maker`` that its position leaves tradable."""
        if maker.owner == HOUSE:
            return maker.lots
        live = self._settlement.resting[maker.order_id]
        if live.stake is self._taker:
            return maker.lots
        room = self._room.get(live.stake)
        if room is None:
            room = live.stake.reducible(maker.side)
        usable = min(maker.lots, room) if live.record.reduce_only else maker.lots
        self._room[live.stake] = max(0, room - usable)
        return usable


def _find(account: Account, contract: Contract, *, order_id: str, link_id: str) -> LiveOrder:
    live = account.find_live(order_id, link_id)
    if live is None or live.stake.contract is not contract:
        raise VenueReject(110001, "order not exists or too late to cancel")
    return live


def _partial_kinds(terms: Terms) -> list[StopKind]:
    kinds = (
        (terms.take_profit, StopKind.PARTIAL_TAKE_PROFIT),
        (terms.stop_loss, StopKind.PARTIAL_STOP_LOSS),
    )
    return [kind for guard, kind in kinds if guard is not None]


def _reserve(live: LiveOrder, terms: AmendedTerms) -> None:
    # Gives the order its new terms; restores the old ones when margin or risk limit forbid them.
    account, stake, record = live.account, live.stake, live.record
    former = (record.price_ticks, record.lots)
    margin, exposure = stake.order_margin(), stake.exposure(record.side)
    available = account.available()
    stake.replace(record, price_ticks=terms.price_ticks, lots=terms.lots)
    try:
        _check_grown(stake, record.side, margin=margin, exposure=exposure, available=available)
    except VenueReject:
        stake.replace(record, price_ticks=former[0], lots=former[1])
        raise


def _check_grown(
    stake: Stake, side: Side, *, margin: Decimal, exposure: Decimal, available: Decimal
) -> None:
    # Refuses what an amendment has made of a stake; the amounts are those before it.
    added = stake.order_margin() - margin
    if added > 0 and added > available:
        raise VenueReject(110007, "ab not enough for new order")
    if stake.exposure(side) > exposure:
        check_exposure(stake, side)


def _lacks_backing(live: LiveOrder) -> bool:
    record = live.record
    try:
        check_margin(
            live.account,
            live.stake,
            side=record.side,
            price_ticks=record.price_ticks,
            lots=record.lots,
        )
        check_room(live.account, live.stake, record.time_in_force)
    except VenueReject:
        return True
    return False
