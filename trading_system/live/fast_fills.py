"""Executions that the fast stream told first, until the full one tells their fee.

A fast row carries no fee, and a fill is journaled once and for good: it is booked when its fee is
known. What the fast row said of price and quantity stands; one whose full row does not follow is
fetched by a query.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from decimal import Decimal
from typing import Final

import structlog

from trading_system.domain.orders import Fill

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_KEEP: Final = 1_000
_PATIENCE_NS: Final = 1 * _NS_PER_S
_GIVE_UP_NS: Final = 60 * _NS_PER_S

_Terms = tuple[Decimal, Decimal]


class FastFills:
    """Merges both execution streams by execution id; the first word on price and quantity wins.

    Attributes
    ----------
    first : int
        Executions that the fast stream told first.
    conflicts : int
        Executions of which both streams told different prices or quantities.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, tuple[_Terms, int]] = OrderedDict()
        self._told: OrderedDict[str, _Terms] = OrderedDict()
        self.first = 0
        self.conflicts = 0

    def on_fast(self, exec_id: str, price: Decimal, quantity: Decimal, *, now_ns: int) -> None:
        """Take a row of the fast stream."""
        terms = (price, quantity)
        known = self._told.get(exec_id)
        if known is None and exec_id in self._waiting:
            known = self._waiting[exec_id][0]
        if known is not None:
            self._compare(exec_id, known, terms)
            return
        self.first += 1
        self._waiting[exec_id] = (terms, now_ns)
        if len(self._waiting) > _KEEP:
            self._waiting.popitem(last=False)

    def merged(self, fill: Fill) -> Fill:
        """Take a fill of the full stream or a query; return it with what was told first."""
        waiting = self._waiting.pop(fill.exec_id, None)
        terms = (fill.price, fill.quantity)
        if waiting is not None and not self._compare(fill.exec_id, waiting[0], terms):
            terms = waiting[0]
            fill = replace(fill, price=terms[0], quantity=terms[1])
        self._told.setdefault(fill.exec_id, terms)
        if len(self._told) > _KEEP:
            self._told.popitem(last=False)
        return fill

    def overdue_ns(self, now_ns: int) -> int | None:
        """Return how long the oldest execution waits for its full row, None within a second."""
        oldest = next(iter(self._waiting.values()), None)
        if oldest is None or now_ns - oldest[1] <= _PATIENCE_NS:
            return None
        return now_ns - oldest[1]

    def asked_in_vain(self, waited_ns: int) -> None:
        """Give up the oldest execution if it was not found for a minute, ``waited_ns``."""
        if waited_ns >= _GIVE_UP_NS and self._waiting:
            exec_id, _ = self._waiting.popitem(last=False)
            _LOG.error("an execution that one stream told is nowhere else", exec_id=exec_id)

    def _compare(self, exec_id: str, first: _Terms, second: _Terms) -> bool:
        if first == second:
            return True
        self.conflicts += 1
        _LOG.error("two streams tell an execution differently", exec_id=exec_id)
        return False
