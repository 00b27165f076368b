"""Public trades as OKX shows them: one row per taker order and price, numbered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from trading_system.domain.orders import Side
from trading_system.simulation.records import PublicTrade

_RETAINED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TakerTrade:
    """Matches of one taker order at one price; ``trade_id`` is the number of the last of them."""

    trade_id: int
    price_ticks: int
    lots: int
    taker_side: Side
    time_ms: int
    sequence: int
    count: int = 1


class TradeLog:
    """The newest 500 rows of one instrument; match numbers count from 1."""

    def __init__(self) -> None:
        self._rows: deque[TakerTrade] = deque(maxlen=_RETAINED)
        self._matches = 0

    @property
    def last_lots(self) -> int:
        """Size of the newest row, 0 before the first."""
        return self._rows[-1].lots if self._rows else 0

    def newest_first(self, limit: int) -> list[TakerTrade]:
        """Return at most ``limit`` rows."""
        return list(self._rows)[: -limit - 1 : -1]

    def add(self, trades: Sequence[PublicTrade]) -> list[TakerTrade]:
        """Take in the matches of one step and return them one by one, numbered."""
        matches = []
        for trade in trades:
            self._matches += 1
            matches.append(
                TakerTrade(
                    trade_id=self._matches,
                    price_ticks=trade.price_ticks,
                    lots=trade.lots,
                    taker_side=trade.taker_side,
                    time_ms=trade.time_ms,
                    sequence=trade.sequence,
                )
            )
        self._rows.extend(aggregated(matches))
        return matches


def aggregated(matches: Iterable[TakerTrade]) -> list[TakerTrade]:
    """Return one row per run of matches of one taker order at one price."""
    rows: list[TakerTrade] = []
    for match in matches:
        if rows and _is_same(rows[-1], match):
            rows[-1] = replace(
                match, lots=rows[-1].lots + match.lots, count=rows[-1].count + match.count
            )
        else:
            rows.append(match)
    return rows


# All matches of a taker order share the book's sequence number.
def _is_same(row: TakerTrade, match: TakerTrade) -> bool:
    return (row.sequence, row.price_ticks, row.taker_side) == (
        match.sequence,
        match.price_ticks,
        match.taker_side,
    )
