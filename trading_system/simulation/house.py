"""Order flow of the market's own participants, and of recorded markets."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from trading_system.domain.orders import Side
from trading_system.simulation.accounts.account import Account, LiveOrder
from trading_system.simulation.contracts import Contract
from trading_system.simulation.matching.book import RestingOrder
from trading_system.simulation.records import HOUSE
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.steps import MatchingStep


class HouseFlow:
    """The fast path: no margin, no fees, no private events for the house.

    Parameters
    ----------
    settlement : Settlement
        Settles the accounts' side of trades.
    accounts : Collection[Account]
        All real accounts, to find their orders for recorded trades.
    book_ids : Iterator[int]
        Unique ids for orders in the books.
    """

    def __init__(
        self, settlement: Settlement, *, accounts: Collection[Account], book_ids: Iterator[int]
    ) -> None:
        self._settlement = settlement
        self._accounts = accounts
        self._book_ids = book_ids

    def limit(
        self, contract: Contract, side: Side, *, price_ticks: int, lots: int, step: MatchingStep
    ) -> int | None:
        """Trade what crosses and let the rest rest; return the house id of the rest, if any."""
        left, _ = self._settlement.sweep(
            contract, side, limit_ticks=price_ticks, lots=lots, step=step
        )
        return self.rest(contract, side, price_ticks=price_ticks, lots=left) if left else None

    def rest(
        self,
        contract: Contract,
        side: Side,
        *,
        price_ticks: int,
        lots: int,
        in_front: bool = False,
    ) -> int:
        """Let an order rest that does not cross; return its house id."""
        house_id = next(self._book_ids)
        contract.book.add(
            house_id, HOUSE, side=side, price_ticks=price_ticks, lots=lots, in_front=in_front
        )
        return house_id

    def take(
        self,
        contract: Contract,
        side: Side,
        *,
        lots: int,
        limit_ticks: int | None,
        step: MatchingStep,
    ) -> int:
        """Trade immediately or cancel; return the filled lots."""
        if limit_ticks is None:
            worst = (
                contract.instrument.max_price if side is Side.BUY else contract.instrument.tick_size
            )
            limit_ticks = contract.instrument.floor_ticks(worst)
        left, _ = self._settlement.sweep(
            contract, side, limit_ticks=limit_ticks, lots=lots, step=step
        )
        return lots - left

    def recorded(
        self,
        contract: Contract,
        taker_side: Side,
        *,
        price_ticks: int,
        lots: int,
        at_level: bool,
        step: MatchingStep,
    ) -> None:
        """Print a recorded trade and fill account orders that it would have reached."""
        book = contract.book
        book.sequence += 1
        self._settlement.print_trade(
            contract, taker_side, price_ticks=price_ticks, lots=lots, step=step
        )
        for live in self._better(contract, taker_side, price_ticks):
            resting = live.resting
            if lots and resting is not None:
                lots -= self._consume(contract, resting, lots=lots, step=step)
        maker_side = taker_side.opposite
        while at_level and lots:
            maker = book.first_at(maker_side, price_ticks)
            if maker is None:
                break
            lots -= self._consume(contract, maker, lots=lots, step=step)

    def _consume(
        self,
        contract: Contract,
        maker: RestingOrder,
        *,
        lots: int,
        step: MatchingStep,
    ) -> int:
        traded = min(lots, maker.lots)
        contract.book.take(maker, traded)
        self._settlement.settle(maker, traded, step=step)
        return traded

    def _better(self, contract: Contract, taker_side: Side, price_ticks: int) -> list[LiveOrder]:
        # Account orders that trade before those at ``price_ticks``, in price-time priority.
        sign = 1 if taker_side is Side.BUY else -1
        found: list[tuple[int, int, LiveOrder]] = []
        for account in self._accounts:
            stakes = account.stakes_of(contract)
            for live in (live for stake in stakes for live in stake.orders.values()):
                resting = live.resting
                if resting is None or resting.side is taker_side:
                    continue
                if (price_ticks - resting.price_ticks) * sign > 0:
                    found.append((resting.price_ticks * sign, resting.stamp, live))
        return [live for _, _, live in sorted(found, key=lambda entry: entry[:2])]
