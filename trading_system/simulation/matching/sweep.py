"""How an incoming order trades against the book: price first, then time.

Pure like the book: what a fill means for money is the business of the hooks.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from trading_system.domain.orders import Side
from trading_system.simulation.matching.book import MatchingBook, RestingOrder
from trading_system.simulation.records import HOUSE, SelfMatch


class SweepHooks(Protocol):
    """Told about each thing that happens to a resting order, after the book has changed."""

    def filled(self, maker: RestingOrder, lots: int) -> None:
        """Note a trade at the maker's price; other resting orders may be shrunk here."""
        ...

    def met_own(self, maker: RestingOrder) -> None:
        """Note that self-match prevention acts on ``maker``, which still rests."""
        ...

    def prevented(self, maker: RestingOrder) -> None:
        """Note that self-match prevention took ``maker`` out of the book."""
        ...


class RoomLimit(Protocol):
    """Says how many lots of a resting order can really trade."""

    def usable(self, maker: RestingOrder) -> int:
        """Return the lots of ``maker`` that can trade, given those asked about before."""
        ...


class SweepResult(NamedTuple):
    """What is left of an incoming order, and whether an own resting order stopped it."""

    lots: int
    is_blocked: bool


def sweep(
    book: MatchingBook,
    side: Side,
    *,
    limit_ticks: int,
    lots: int,
    hooks: SweepHooks,
    owner: int = HOUSE,
    self_match: SelfMatch = SelfMatch.NONE,
) -> SweepResult:
    """Trade an incoming order against everything that it crosses.

    Parameters
    ----------
    book : MatchingBook
        Changed in place; all trades of the call share one sequence number.
    side : Side
        Side of the incoming order.
    limit_ticks, lots : int
        Worst acceptable price and size, positive.
    hooks : SweepHooks
        Informed of each fill.
    owner : int
        Account of the incoming order; the house is never kept from trading with itself.
    self_match : SelfMatch
        What to do on meeting an own resting order.
    """
    guarded = owner != HOUSE and self_match is not SelfMatch.NONE
    opposite = side.opposite
    book.sequence += 1
    while lots and book.crosses(side, limit_ticks):
        maker = book.first(opposite)
        assert maker is not None
        if guarded and maker.owner == owner:
            hooks.met_own(maker)
            if self_match is not SelfMatch.CANCEL_TAKER:
                book.remove(maker.order_id)
                hooks.prevented(maker)
            if self_match is not SelfMatch.CANCEL_MAKER:
                return SweepResult(lots, is_blocked=True)
            continue
        traded = min(lots, maker.lots)
        book.take(maker, traded)
        lots -= traded
        hooks.filled(maker, traded)
    return SweepResult(lots, is_blocked=False)


def is_fillable(
    book: MatchingBook,
    side: Side,
    *,
    limit_ticks: int,
    lots: int,
    room: RoomLimit,
    owner: int = HOUSE,
    self_match: SelfMatch = SelfMatch.NONE,
) -> bool:
    """Return whether an incoming order would trade completely, without changing anything."""
    guarded = owner != HOUSE and self_match is not SelfMatch.NONE
    sign = 1 if side is Side.BUY else -1
    for maker in book.priority(side.opposite):
        if (limit_ticks - maker.price_ticks) * sign < 0:
            return False
        if guarded and maker.owner == owner:
            if self_match is not SelfMatch.CANCEL_MAKER:
                return False
            continue
        lots -= min(lots, room.usable(maker))
        if lots == 0:
            return True
    return False


def walk_cost(book: MatchingBook, side: Side, *, limit_ticks: int, lots: int) -> int:
    """Return what an incoming order would cost, in ticks times lots.

    What the displayed book cannot fill within the limit is priced at the limit.
    """
    sign = 1 if side is Side.BUY else -1
    cost = 0
    for ticks, available in book.levels(side.opposite):
        if not lots or (limit_ticks - ticks) * sign < 0:
            break
        traded = min(lots, available)
        cost += traded * ticks
        lots -= traded
    return cost + lots * limit_ticks


def budget_lots(
    book: MatchingBook, side: Side, *, limit_ticks: int, budget: int, without: int | None
) -> int:
    """Return how many lots an incoming order can trade for ``budget``, in ticks times lots.

    What the displayed book cannot fill within the limit is priced at the limit, a sale's at the
    last bid within it. Orders of the account ``without`` are passed over.
    """
    sign = 1 if side is Side.BUY else -1
    lots, price = 0, limit_ticks
    for maker in book.priority(side.opposite):
        if (limit_ticks - maker.price_ticks) * sign < 0:
            break
        if maker.owner == without:
            continue
        price = maker.price_ticks
        traded = min(maker.lots, budget // price)
        lots += traded
        budget -= traded * price
        if traded < maker.lots:
            return lots
    return lots + budget // (limit_ticks if side is Side.BUY else price)
