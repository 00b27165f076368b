"""Rows of the journal, page by page."""

from __future__ import annotations

from typing import Any

import msgspec

from trading_system.domain.errors import JournalError, ValidationError
from trading_system.execution.journal.records import NumberedRow, RowKind
from trading_system.live.inspection.texts import milliseconds
from trading_system.live.session import TradingSession


def journal(
    session: TradingSession | None,
    *,
    kind: str | None,
    key: str | None,
    before: int | None,
    limit: int,
) -> dict[str, Any]:
    """Return rows of the journal, newest first, older than row ``before``.

    A page of a rare kind or key may be short, or empty, while ``next_before`` is not None.

    Raises
    ------
    ValidationError
        If there is no such kind.
    """
    wanted = _kind(kind)
    if session is None:
        return {"rows": [], "next_before": None, "failure": None}
    try:
        page = session.journal.page(kind=wanted, key=key, before=before, limit=limit)
    except JournalError as e:
        return {"rows": [], "next_before": None, "failure": str(e)}
    return {
        "rows": [_row(row) for row in page.rows],
        "next_before": page.next_before,
        "failure": session.journal.failure,
    }


def _kind(name: str | None) -> RowKind | None:
    if name is None:
        return None
    kind = RowKind.__members__.get(name.upper())
    if kind is None:
        raise ValidationError(f"kind must be one of {', '.join(RowKind.__members__)}")
    return kind


def _row(row: NumberedRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "kind": row.kind.name,
        "run_id": row.run_id,
        "key": row.key,
        "time_ms": milliseconds(row.utc_ns),
        "payload": msgspec.json.decode(row.payload),
    }
