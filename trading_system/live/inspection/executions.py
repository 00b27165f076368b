"""Parent orders that have ended, with what they cost."""

from __future__ import annotations

from typing import Any

from optimizers.execution.records import Execution
from trading_system.domain.instruments import plain
from trading_system.live.desk import TradingDesk
from trading_system.live.evidence import execution_summary
from trading_system.live.inspection.texts import (
    figure,
    json_safe,
    milliseconds,
    money,
    money_or_none,
    side_name,
)


def executions(desk: TradingDesk, *, limit: int) -> dict[str, Any]:
    """Return the newest parent orders, newest first, and the summary of all that are kept."""
    session = desk.session
    newest = [] if session is None else session.optimizers.performance.newest_executions(limit)
    return {
        "executions": [_row(execution) for execution in newest],
        "summary": json_safe(execution_summary(desk)),
    }


def _row(execution: Execution) -> dict[str, Any]:
    parent, result = execution.parent, execution.result
    reason = execution.error or ("" if result is None else result.reason)
    return {
        "time_ms": milliseconds(execution.utc_ns),
        "symbol": parent.symbol,
        "side": side_name(parent.side),
        "purpose": parent.purpose,
        "quantity": plain(parent.quantity),
        "filled": "0" if result is None else plain(result.filled_quantity),
        "arrival_mid": None if result is None else money(result.arrival_mid),
        "average_price": None if result is None else money_or_none(result.average_price),
        "slippage_bps": None if result is None else figure(result.slippage_bps, digits=4),
        "fees": None if result is None else money(result.fees),
        "duration_ms": None if result is None else figure(result.duration_ms, digits=3),
        "success": result is not None and result.is_success,
        "reason": reason,
        "children": 0 if result is None else len(result.children),
    }
