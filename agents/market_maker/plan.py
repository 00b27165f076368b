"""What has to change so that the orders in the book become the quotes that should be there.

A pure difference: as much as possible is kept, a price is amended where the size still fits, and
only the rest is cancelled and created. Two properties hold for any input, and also if any part of
a step fails or the venue works its orders in any sequence:

- no own bid ever stands at or above an own ask, nor nearer to it than the fee floor allows, unless
  orders of unknown fate already do;
- position and all own orders of one side together never pass the inventory limit by a new order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, NamedTuple, TypeVar

from agents.market_maker.quoting import Quote, Quoter, QuoteSet
from trading_system.domain.orders import RestingOrder, Side

_LEAST_SIZE: Final = 0.5
_MOST_SIZE: Final = 1.1

T = TypeVar("T")


class Move(NamedTuple):
    """A new price, ticks, for one resting order, which then is the quote of ``tier``.

    ``is_forced`` where it stands at or through the opposite best price, or under the fee floor.
    """

    link_id: str
    side: Side
    ticks: int
    tier: int
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Requests that may be sent at the same time, in any sequence."""

    cancels: tuple[str, ...] = ()
    amends: tuple[Move, ...] = ()
    creates: tuple[Quote, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cancels or self.amends or self.creates)


@dataclass(frozen=True, slots=True)
class Plan:
    """Two steps, the second of which only follows if all of the first was accepted.

    Parameters
    ----------
    kept : int
        Orders that stay as they are.
    pending : int
        Orders that hold their place but are left alone because a request about them is open.
    """

    first: Step = Step()
    second: Step = Step()
    kept: int = 0
    pending: int = 0

    def __bool__(self) -> bool:
        return bool(self.first) or bool(self.second)


class _Held(NamedTuple):
    # An order in the book, in ticks and lots; lots rounded up.
    link_id: str
    ticks: int
    lots: int
    is_settled: bool


@dataclass(slots=True)
class _SidePlan:
    # One side while it is planned. ``depth`` counts ticks towards the opposite side as positive.
    side: Side
    held: list[_Held]
    wanted: list[Quote]
    keeps: list[tuple[Quote, _Held]] = field(default_factory=list)
    amends: list[tuple[Quote, _Held]] = field(default_factory=list)
    cancels: list[_Held] = field(default_factory=list)
    creates: list[Quote] = field(default_factory=list)
    pending: list[_Held] = field(default_factory=list)
    forced: set[str] = field(default_factory=set)

    def final_ticks(self) -> Iterator[int]:
        yield from (held.ticks for _, held in self.keeps)
        yield from (quote.ticks for quote, _ in self.amends)
        yield from (quote.ticks for quote in self.creates)
        yield from (held.ticks for held in self.pending)

    def lots_left(self) -> int:
        orders = [held for _, held in self.keeps + self.amends]
        return sum(held.lots for held in orders + self.pending)


def plan(target: QuoteSet, resting: Sequence[RestingOrder], quoter: Quoter) -> Plan:
    """Return what turns ``resting``, the own orders of one symbol, into ``target``."""
    bids = _SidePlan(Side.BUY, _held(resting, Side.BUY, quoter), list(target.bids))
    asks = _SidePlan(Side.SELL, _held(resting, Side.SELL, quoter), list(target.asks))
    _give_way(bids, asks, quoter)
    threshold = quoter.requote * target.mid_ticks
    for part, touch in ((bids, target.ask_touch), (asks, target.bid_touch)):
        _assign(part, threshold=threshold, touch=touch)
    _keep_apart(bids, asks, quoter)
    for part in (bids, asks):
        if target.silence is None:
            _stay_inside(part, target)
    return _in_steps(bids, asks, quoter)


def needs_move(
    target_touch: tuple[int, int], resting: Iterable[RestingOrder], quoter: Quoter
) -> bool:
    """Return whether an own settled order stands at or through the opposite best price, ticks."""
    bid_touch, ask_touch = target_touch
    for order in resting:
        ticks = quoter.instrument.floor_ticks(order.price)
        if order.is_settled_in and (
            ticks >= ask_touch if order.side is Side.BUY else ticks <= bid_touch
        ):
            return True
    return False


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Return ``items`` in their order, at most ``size`` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _held(resting: Sequence[RestingOrder], side: Side, quoter: Quoter) -> list[_Held]:
    # Nearest to the opposite side first; of equal prices the older one.
    instrument = quoter.instrument
    held = [
        _Held(
            order.link_id,
            instrument.floor_ticks(order.price),
            math.ceil(order.open_quantity / instrument.qty_step),
            order.is_settled_in,
        )
        for order in resting
        if order.side is side
    ]
    return sorted(held, key=lambda order: -order.ticks * side.sign)


def _give_way(bids: _SidePlan, asks: _SidePlan, quoter: Quoter) -> None:
    # Orders of unknown fate cannot be moved, so the quotes opposite to them have to give way.
    pending_asks = [held.ticks for held in asks.held if not held.is_settled]
    pending_bids = [held.ticks for held in bids.held if not held.is_settled]
    if pending_asks:
        bids.wanted = _behind(bids.wanted, quoter.highest_bid(min(pending_asks)))
    if pending_bids:
        asks.wanted = _behind(asks.wanted, quoter.lowest_ask(max(pending_bids)))


def _behind(quotes: list[Quote], limit: int) -> list[Quote]:
    moved = []
    for quote in quotes:
        sign = quote.side.sign
        ticks = min(quote.ticks * sign, limit * sign) * sign
        if ticks > 0:
            moved.append(quote._replace(ticks=ticks))
        limit = ticks - sign
    return moved


def _assign(part: _SidePlan, *, threshold: float, touch: int) -> None:
    wanted = part.wanted
    held = _dismiss_surplus(part, len(wanted))
    places = min(
        combinations(range(len(wanted)), len(held)),
        key=lambda tiers: sum(
            abs(wanted[tier].ticks - order.ticks) for tier, order in zip(tiers, held, strict=True)
        ),
    )
    for tier, order in zip(places, held, strict=True):
        _judge(part, wanted[tier], order, threshold=threshold, touch=touch)
    part.creates.extend(
        quote for quote in wanted if quote.tier not in {wanted[tier].tier for tier in places}
    )
    part.creates.sort(key=lambda quote: quote.tier)


def _dismiss_surplus(part: _SidePlan, places: int) -> list[_Held]:
    # What has no place goes: the outermost first, and never what cannot be acted upon.
    surplus = len(part.held) - places
    staying = []
    for order in reversed(part.held):
        if surplus > 0 and order.is_settled:
            part.cancels.append(order)
            surplus -= 1
        else:
            staying.append(order)
    staying.reverse()
    part.pending.extend(staying[places:])
    return staying[:places]


def _judge(part: _SidePlan, quote: Quote, order: _Held, *, threshold: float, touch: int) -> None:
    sign = part.side.sign
    if not order.is_settled:
        part.pending.append(order)
    elif not _LEAST_SIZE * quote.lots <= order.lots <= _MOST_SIZE * quote.lots:
        part.cancels.append(order)
        part.creates.append(quote)
    elif order.ticks == quote.ticks:
        part.keeps.append((quote, order))
    elif order.ticks * sign >= touch * sign:
        part.forced.add(order.link_id)
        part.amends.append((quote, order))
    elif abs(order.ticks - quote.ticks) < threshold * (1 + quote.tier):
        part.keeps.append((quote, order))
    else:
        part.amends.append((quote, order))


def _keep_apart(bids: _SidePlan, asks: _SidePlan, quoter: Quoter) -> None:
    # A kept order may stand a little nearer than wanted; not if that costs the fee floor.
    bid = max(bids.final_ticks(), default=None)
    ask = min(asks.final_ticks(), default=None)
    if bid is None or ask is None or bid <= quoter.highest_bid(ask):
        return
    for part, limit in ((bids, quoter.highest_bid(ask)), (asks, quoter.lowest_ask(bid))):
        sign = part.side.sign
        near = [
            (quote, held)
            for quote, held in part.keeps
            if held.ticks * sign > max(quote.ticks * sign, limit * sign)
        ]
        part.keeps = [pair for pair in part.keeps if pair not in near]
        part.amends += near


def _stay_inside(part: _SidePlan, target: QuoteSet) -> None:
    limit = target.limit_lots - part.side.sign * target.position_lots
    excess = part.lots_left() - limit
    for pairs in (part.keeps, part.amends):
        for pair in sorted(pairs, key=lambda pair: -pair[0].tier):
            if excess > 0:
                pairs.remove(pair)
                part.cancels.append(pair[1])
                excess -= pair[1].lots
    # Until its cancellation is confirmed an order may fill: it still counts.
    room = limit - sum(held.lots for held in part.held)
    creates = []
    for quote in part.creates:
        if quote.lots <= room:
            creates.append(quote)
            room -= quote.lots
    part.creates = creates


def _in_steps(bids: _SidePlan, asks: _SidePlan, quoter: Quoter) -> Plan:
    nearest_ask = min((held.ticks for held in asks.held), default=None)
    nearest_bid = max((held.ticks for held in bids.held), default=None)
    highest = math.inf if nearest_ask is None else quoter.highest_bid(nearest_ask)
    lowest = -math.inf if nearest_bid is None else quoter.lowest_ask(nearest_bid)
    away: list[Move] = []
    towards: list[Move] = []
    later: list[Move] = []
    creates: tuple[list[Quote], list[Quote]] = ([], [])
    for part in (bids, asks):
        sign = part.side.sign
        limit = highest if sign > 0 else lowest
        for quote, held in sorted(part.amends, key=lambda pair: pair[0].tier):
            is_forced = held.link_id in part.forced or held.ticks * sign > limit * sign
            move = Move(held.link_id, part.side, quote.ticks, quote.tier, is_forced)
            is_free = quote.ticks * sign <= limit * sign
            is_away = (quote.ticks - held.ticks) * sign < 0
            (away if is_away else towards if is_free else later).append(move)
        for quote in part.creates:
            is_free = quote.ticks * sign <= limit * sign
            creates[0 if is_free else 1].append(quote)
    for side_creates in creates:
        side_creates.sort(key=lambda quote: quote.tier)
    return Plan(
        first=Step(_nearest_first(bids, asks), tuple(away + towards), tuple(creates[0])),
        second=Step((), tuple(later), tuple(creates[1])),
        kept=len(bids.keeps) + len(asks.keeps),
        pending=len(bids.pending) + len(asks.pending),
    )


def _nearest_first(bids: _SidePlan, asks: _SidePlan) -> tuple[str, ...]:
    # From both sides in turn: whatever part of the cancellations goes out, it is the urgent one.
    places = [
        (place, held.link_id)
        for part in (bids, asks)
        for place, held in enumerate(
            sorted(part.cancels, key=lambda held: -held.ticks * part.side.sign)
        )
    ]
    return tuple(link_id for _, link_id in sorted(places, key=lambda entry: entry[0]))
