"""Reads a finished journal without changing it: its runs and their closed trades.

No row is written and no lock is kept; SQLite may leave an empty log and its index beside the
file, which the next start takes over. While a system trades it holds its journal exclusively, so
that no reader can make an order wait; it cannot be read then.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trading_system.domain.errors import ConfigurationError, JournalError
from trading_system.domain.orders import Fill
from trading_system.execution.journal.records import RowKind, decode
from trading_system.execution.journal.store import first_bad_row
from trading_system.execution.journal.trips import ClosedTrade, OwnedFill, closed_trades

_LOCK_WAIT_S = 0.5
_SELECT = "SELECT kind, run_id, key, utc_ns, payload FROM entries WHERE kind IN (?, ?, ?) ORDER BY"
_NS_PER_MS = 1_000_000


class JournalInUseError(ConfigurationError):
    """A system holds the journal. Consequence: nothing was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """One run of a journal.

    Parameters
    ----------
    started_ms : int
        UTC milliseconds.
    trades : tuple of ClosedTrade
        Trades that this run alone opened and closed, oldest first.
    shared_trades : int
        Trades it had a part in together with other runs; they are in no run's ``trades``.
    fills : int
        Executions of its orders.
    """

    run_id: str
    started_ms: int
    trades: tuple[ClosedTrade, ...]
    shared_trades: int
    fills: int


def read_runs(path: Path) -> list[RecordedRun]:
    """Return the runs of the journal at ``path``, oldest first.

    A fill belongs to the run that recorded the intent of its order, a fill of a foreign order (a
    stop of the venue, a manual one) to the run during which it was seen. A run on a fresh account
    begins with flat positions.

    Raises
    ------
    JournalInUseError
        If a system holds it.
    ConfigurationError
        If it cannot be read, is no journal or is damaged.
    """
    try:
        with contextlib.closing(_opened(path)) as connection:
            bad = first_bad_row(connection)
            if bad is None:
                return list(_runs(connection))
    except sqlite3.OperationalError as e:
        if e.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise JournalInUseError(
                f"the journal {path} is in use by a running system; stop it with "
                "`trading-system stop`, or set TRADING_DATA_DIR to another directory"
            ) from e
        raise ConfigurationError(f"the journal {path} cannot be read: {e}") from e
    except (sqlite3.Error, JournalError, TypeError, ValueError) as e:
        raise ConfigurationError(f"the journal {path} is damaged or no journal: {e}") from e
    raise ConfigurationError(
        f"the journal {path} is damaged at row {bad}: its figures cannot be trusted; move it away"
    )


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCK_WAIT_S)


def _runs(connection: sqlite3.Connection) -> Iterator[RecordedRun]:
    started: dict[str, int] = {}
    owners: dict[str, str] = {}
    accounts: list[list[OwnedFill]] = [[]]
    kinds = (RowKind.RUN, RowKind.INTENT, RowKind.FILL)
    for kind, run_id, key, utc_ns, payload in connection.execute(f"{_SELECT} number", kinds):
        if kind == RowKind.RUN:
            started[key] = utc_ns // _NS_PER_MS
            if decode(payload, dict[str, str]).get("account") == "fresh":
                accounts.append([])
        elif kind == RowKind.INTENT:
            owners[key] = run_id
        else:
            fill = decode(payload, Fill)
            owner = owners.get(fill.link_id, run_id)
            accounts[-1].append(OwnedFill(run_id=owner, fill=fill))
    fills = [one for account in accounts for one in account]
    trades = [trade for account in accounts for trade in closed_trades(account)]
    for run_id, started_ms in started.items():
        mine = [trade for trade in trades if run_id in trade.run_ids]
        own = tuple(trade for trade in mine if trade.run_ids == {run_id})
        yield RecordedRun(
            run_id=run_id,
            started_ms=started_ms,
            trades=own,
            shared_trades=len(mine) - len(own),
            fills=sum(one.run_id == run_id for one in fills),
        )
