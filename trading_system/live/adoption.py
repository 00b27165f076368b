"""Which positions found at the start are this system's own, by what its journal shows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import structlog

from trading_system.domain.orders import Fill
from trading_system.execution.engine import LINK_PREFIX, ExecutionEngine
from trading_system.execution.journal.store import Journal
from trading_system.risk.portfolio import Portfolio

_LOG = structlog.get_logger(__name__)


def take_over(portfolio: Portfolio, *, engine: ExecutionEngine, journal: Journal) -> None:
    """Count as own what the journal shows that this system opened; leave the rest alone."""
    fills = journal.account_fills()
    for position in portfolio.positions:
        own = own_part(fills, position.symbol, position.quantity)
        if not own and position.quantity:
            _LOG.warning(
                "position left alone: the journal does not show that this system opened it",
                symbol=position.symbol,
                quantity=str(position.quantity),
            )
        engine.take_over(position.symbol, own)


def own_part(fills: Sequence[Fill], symbol: str, position: Decimal) -> Decimal:
    """Return the part of ``position`` that own orders opened, replayed from all its ``fills``.

    The same rule as while running: own orders add to the own part, and it ends whenever the
    position is flat. Executions of other orders move the position only. Where the fills, oldest
    first, do not add up to ``position``, somebody changed it unseen: then nothing counts as own,
    for a position that this system did not open is not its to close.
    """
    total = own = Decimal(0)
    for fill in fills:
        if fill.symbol != symbol:
            continue
        change = fill.quantity * fill.side.sign
        total += change
        own += change if fill.link_id.startswith(LINK_PREFIX) else Decimal(0)
        if not total:
            own = Decimal(0)
    if total != position or own * position <= 0:
        return Decimal(0)
    return min(own, position, key=abs)
