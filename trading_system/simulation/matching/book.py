"""A price-time priority book of one symbol, in whole ticks and lots.

Each price level is a doubly linked queue, so that any order joins, leaves or changes size in
constant time; the level prices of a side are kept in one sorted list whose last entry is the best.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from trading_system.domain.orders import Side


class RestingOrder:
    """One order in the book; only the book changes it.

    ``stamp`` grows with every entry into the book: at one price the smaller stamp trades first.
    """

    __slots__ = (
        "following",
        "level",
        "lots",
        "order_id",
        "owner",
        "preceding",
        "price_ticks",
        "side",
        "stamp",
    )

    def __init__(self, order_id: int, owner: int, side: Side, level: PriceLevel, lots: int) -> None:
        self.order_id = order_id
        self.owner = owner
        self.side = side
        self.level = level
        self.price_ticks = level.price_ticks
        self.lots = lots
        self.stamp = 0
        self.preceding: RestingOrder | None = None
        self.following: RestingOrder | None = None


class PriceLevel:
    """The queue of one price: ``head`` trades first."""

    __slots__ = ("head", "lots", "price_ticks", "tail")

    def __init__(self, price_ticks: int) -> None:
        self.price_ticks = price_ticks
        self.lots = 0
        self.head: RestingOrder | None = None
        self.tail: RestingOrder | None = None

    def append(self, order: RestingOrder) -> None:
        """Put ``order`` at the end of the queue."""
        tail = self.tail
        if tail is None:
            self.head = order
        else:
            tail.following = order
            order.preceding = tail
        self.tail = order
        self.lots += order.lots

    def prepend(self, order: RestingOrder) -> None:
        """Put ``order`` at the front of the queue."""
        head = self.head
        if head is None:
            self.tail = order
        else:
            head.preceding = order
            order.following = head
        self.head = order
        self.lots += order.lots

    def unlink(self, order: RestingOrder) -> None:
        """Take ``order`` out of the queue; its lots leave the level."""
        before, after = order.preceding, order.following
        if before is None:
            self.head = after
        else:
            before.following = after
        if after is None:
            self.tail = before
        else:
            after.preceding = before
        order.preceding = order.following = None
        self.lots -= order.lots


class _BookSide:
    # ``keys`` are prices times ``sign`` in ascending order, so the best price is always last.
    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: dict[int, PriceLevel] = {}
        self.keys: list[int] = []


class MatchingBook:
    """Orders of one symbol in price-time priority.

    The book does not match by itself: :func:`trading_system.simulation.matching.sweep.sweep`
    does, and the caller must not add an order that crosses.

    Attributes
    ----------
    sequence : int
        Grows by at least one with every change of displayed depth and every trade.
    """

    __slots__ = ("_asks", "_bids", "_orders", "_stamp", "sequence")

    def __init__(self) -> None:
        self.sequence = 0
        self._bids = _BookSide(1)
        self._asks = _BookSide(-1)
        self._orders: dict[int, RestingOrder] = {}
        self._stamp = 0

    def __len__(self) -> int:
        return len(self._orders)

    def best_bid(self) -> int | None:
        """Return the highest buy price in ticks, None when nobody buys."""
        keys = self._bids.keys
        return keys[-1] if keys else None

    def best_ask(self) -> int | None:
        """Return the lowest sell price in ticks, None when nobody sells."""
        keys = self._asks.keys
        return -keys[-1] if keys else None

    def top(self, side: Side, depth: int) -> list[tuple[int, int]]:
        """Return at most ``depth`` levels of ``side`` as (ticks, lots), best first."""
        if depth <= 0:
            return []
        half = self._half(side)
        sign, levels = half.sign, half.levels
        return [(key * sign, levels[key * sign].lots) for key in half.keys[: -depth - 1 : -1]]

    def levels(self, side: Side) -> Iterator[tuple[int, int]]:
        """Yield all levels of ``side`` as (ticks, lots), best first; the book must not change."""
        half = self._half(side)
        for key in reversed(half.keys):
            price = key * half.sign
            yield price, half.levels[price].lots

    def depth_levels(self, side: Side) -> int:
        """Return the number of price levels of ``side``."""
        return len(self._half(side).keys)

    def crosses(self, side: Side, price_ticks: int) -> bool:
        """Return whether an order of ``side`` at that price would trade at once."""
        if side is Side.BUY:
            keys = self._asks.keys
            return bool(keys) and price_ticks >= -keys[-1]
        keys = self._bids.keys
        return bool(keys) and price_ticks <= keys[-1]

    def get(self, order_id: int) -> RestingOrder | None:
        """Return the resting order with that id."""
        return self._orders.get(order_id)

    def first(self, side: Side) -> RestingOrder | None:
        """Return the order of ``side`` that trades next."""
        half = self._bids if side is Side.BUY else self._asks
        if not half.keys:
            return None
        return half.levels[half.keys[-1] * half.sign].head

    def first_at(self, side: Side, price_ticks: int) -> RestingOrder | None:
        """Return the order of ``side`` that trades next at exactly that price."""
        level = self._half(side).levels.get(price_ticks)
        return None if level is None else level.head

    def priority(self, side: Side) -> Iterator[RestingOrder]:
        """Yield the orders of ``side`` as they would trade; the book must not change meanwhile."""
        half = self._half(side)
        for key in reversed(half.keys):
            order = half.levels[key * half.sign].head
            while order is not None:
                yield order
                order = order.following

    def add(
        self,
        order_id: int,
        owner: int,
        *,
        side: Side,
        price_ticks: int,
        lots: int,
        in_front: bool = False,
    ) -> RestingOrder:
        """Let a new order rest behind everybody at its price, or in front of them.

        Parameters
        ----------
        order_id : int
            Unique among the resting orders.
        owner : int
            Account id, 0 for the house.
        price_ticks, lots : int
            Positive; the price must not cross the other side.
        """
        assert order_id not in self._orders
        assert lots > 0
        half = self._bids if side is Side.BUY else self._asks
        level = half.levels.get(price_ticks)
        if level is None:
            level = half.levels[price_ticks] = PriceLevel(price_ticks)
            insort(half.keys, price_ticks * half.sign)
        order = RestingOrder(order_id, owner, side, level, lots)
        self._stamp += 1
        if in_front:
            order.stamp = -self._stamp
            level.prepend(order)
        else:
            order.stamp = self._stamp
            level.append(order)
        self._orders[order_id] = order
        self.sequence += 1
        return order

    def remove(self, order_id: int) -> RestingOrder | None:
        """Take an order out; its ``lots`` become 0. Return None when it is not there."""
        order = self._orders.get(order_id)
        if order is None:
            return None
        self._drop(order)
        self.sequence += 1
        return order

    def resize(self, order_id: int, lots: int) -> bool:
        """Set the size of an order in place, keeping its time priority; 0 or less removes it.

        Returns
        -------
        bool
            Whether the order was there.
        """
        order = self._orders.get(order_id)
        if order is None:
            return False
        if lots <= 0:
            self._drop(order)
        elif lots != order.lots:
            order.level.lots += lots - order.lots
            order.lots = lots
        else:
            return True
        self.sequence += 1
        return True

    def take(self, order: RestingOrder, lots: int) -> None:
        """Trade ``lots`` of a resting order away; the caller counts the sequence of the trade."""
        assert 0 < lots <= order.lots
        if lots == order.lots:
            self._drop(order)
        else:
            order.lots -= lots
            order.level.lots -= lots

    def _half(self, side: Side) -> _BookSide:
        return self._bids if side is Side.BUY else self._asks

    def _drop(self, order: RestingOrder) -> None:
        level = order.level
        level.unlink(order)
        order.lots = 0
        del self._orders[order.order_id]
        if level.head is None:
            half = self._bids if order.side is Side.BUY else self._asks
            price = level.price_ticks
            del half.levels[price]
            keys = half.keys
            key = price * half.sign
            if keys[-1] == key:
                keys.pop()
            else:
                del keys[bisect_left(keys, key)]
