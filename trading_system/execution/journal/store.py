"""The journal file: one append-only, hash-chained SQLite table.

Durability, measured on 2 cores, ext4 on a virtual disk, Python 3.11, SQLite 3.40, 250-byte rows:

* Every row is committed inline with ``synchronous=NORMAL`` (p50 10 us, p99 31 us of 5,000): it is
  in the kernel when the call returns and so survives ``kill -9`` of this process. For an intent
  that is all, because nothing may wait for a disk between decision and send; what a power loss
  takes is covered by the order-id prefix and the reconciliation at start.
* Rows that must also survive a power loss (fills, funding, latches, limits) wake a thread that
  calls ``fdatasync`` on the write-ahead log, which is all that ``synchronous=FULL`` adds to a
  commit. Requests that come while it works share the next call, so there is never more than one
  waiting. Chosen over ``PRAGMA synchronous=FULL`` around the commit, which costs the event loop
  113 us at p50 and 15 ms at p99.9 for each fill, and over a second connection, whose commit would
  hold the write lock for that long and so make an intent wait for the disk.

The database is held exclusively: a second process cannot open it, and none can make an order wait
for a lock. Rows that could not be written (full disk) are kept in order, bounded, and written as
soon as there is room again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from trading_system.domain.errors import ConfigurationError, JournalError, ValidationError
from trading_system.domain.orders import Fill, Funding, OrderIntent, PriceChange
from trading_system.domain.ports import Clock
from trading_system.execution.journal.records import (
    FIRST_DIGEST,
    JournaledIntent,
    Latch,
    NumberedRow,
    Page,
    Row,
    RowKind,
    Settlement,
    StateChange,
    decode,
    digest,
    encode,
)
from trading_system.execution.journal.syncer import LogSyncer
from trading_system.monitoring.latency import LatencyRing
from trading_system.risk.limits import TradingState
from trading_system.risk.losses import LossState

SCHEMA_VERSION = 3
"""Format of the file, in ``PRAGMA user_version``; older ones are read on.

2 added price changes, 3 conditional orders with their states and attached exits.
"""

IN_MEMORY = ":memory:"
"""A path that keeps the journal in memory, for tests and simulation."""

_LOG = structlog.get_logger(__name__)
_APPLICATION_ID = 0x54534A31
_READABLE = range(1, SCHEMA_VERSION + 1)
_LOCK_WAIT_S = 0.2
_CHECKPOINT_ROWS = 2000
_MAX_BACKLOG = 10_000
_ACCOUNT, _FRESH, _CONTINUED = "account", "fresh", "continued"
_SYNC_WAIT_S = 5.0
_PAGE_SCAN = 10_000
_CREATE = """
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    key TEXT NOT NULL,
    utc_ns INTEGER NOT NULL,
    payload BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT
"""
_KINDS = frozenset(int(kind) for kind in RowKind)
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)"
_SELECT = "SELECT number, kind, run_id, key, utc_ns, payload, digest FROM entries"
_PAGE = f"""
{_SELECT} WHERE number < ? AND number >= ? AND kind = coalesce(?, kind) AND key = coalesce(?, key)
ORDER BY number DESC LIMIT ?
"""
_UNSETTLED = """
SELECT run_id, utc_ns, payload FROM entries WHERE kind = ? AND key NOT IN
(SELECT key FROM entries WHERE kind = ?) ORDER BY number
"""


class Journal:
    """Append-only record of runs, intents, order events, fills, latches and loss references.

    Made by :meth:`open`; used from one thread.
    """

    def __init__(
        self, connection: sqlite3.Connection, *, clock: Clock, syncer: LogSyncer | None
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._syncer = syncer
        self._run_id = ""
        self._number, self._digest = _last_row(connection)
        self._since_checkpoint = 0
        self._backlog: deque[Row] = deque()
        self._failure: str | None = None
        self.lost = 0
        self.intent_latency = LatencyRing()

    @classmethod
    def open(cls, path: Path | str, *, clock: Clock) -> Journal:
        """Open or create the journal at ``path``, or :data:`IN_MEMORY`, and check its chain.

        Raises
        ------
        ConfigurationError
            If the file is in use, cannot be written, is no journal, has another format or is
            damaged; the message names the file and the remedy.
        """
        connection = _connect(path)
        try:
            _prepare(connection, path)
            syncer = None if path == IN_MEMORY else _syncer(Path(path))
        except BaseException:
            connection.close()
            raise
        return cls(connection, clock=clock, syncer=syncer)

    def close(self) -> None:
        """Write what is left, make it durable and let go of the file; safe to call twice."""
        self.retry()
        if self._syncer is not None:
            self._syncer.stop()
            self._syncer = None
        self._connection.close()

    def __enter__(self) -> Self:
        """Return the open journal."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @property
    def failure(self) -> str | None:
        """Why the journal cannot be written now, None while it can."""
        if self._syncer is not None and self._syncer.failure is not None:
            return self._syncer.failure
        return self._failure

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return self._number

    @property
    def waiting(self) -> int:
        """Rows that wait for the file to become writable again."""
        return len(self._backlog)

    def begin_run(self, run_id: str, *, is_fresh_account: bool = False) -> None:
        """Record the start of a run; every later row belongs to it.

        Parameters
        ----------
        is_fresh_account : bool
            Whether the account has no past: what was recorded before belongs to another one.

        Raises
        ------
        ValidationError
            If the run id was used before: its link ids could repeat.
        JournalError
            If it cannot be written.
        """
        query = "SELECT 1 FROM entries WHERE kind = ? AND key = ?"
        if self._connection.execute(query, (RowKind.RUN, run_id)).fetchone():
            raise ValidationError(f"run id {run_id} was used before")
        self._run_id = run_id
        details = {_ACCOUNT: _FRESH if is_fresh_account else _CONTINUED}
        self._write(self._row(RowKind.RUN, run_id, details))

    def write_intent(self, intent: OrderIntent) -> None:
        """Record an intent before its first byte is sent.

        Raises
        ------
        JournalError
            If it cannot be written now, or earlier rows could not; it must not be sent then.
        """
        self.write_intents([intent])

    def write_intents(self, intents: Sequence[OrderIntent]) -> None:
        """Record intents in one commit, all or none, before the first byte of any is sent.

        Raises
        ------
        JournalError
            If they cannot be written now, or earlier rows could not; none must be sent then.
        """
        started_ns = self._clock.monotonic_ns()
        self._write_all([self._row(RowKind.INTENT, one.link_id, one) for one in intents])
        taken_ns = self._clock.monotonic_ns() - started_ns
        for _ in intents:
            self.intent_latency.record(taken_ns // len(intents))

    def write_price_changes(self, changes: Sequence[PriceChange]) -> None:
        """Record requests for other prices in one commit, all or none, before they are sent.

        Raises
        ------
        JournalError
            If they cannot be written now, or earlier rows could not; none must be sent then.
        """
        self._write_all([self._row(RowKind.AMEND, one.link_id, one) for one in changes])

    def note_change(self, link_id: str, change: StateChange) -> None:
        """Record a change of an order's status."""
        self._note(self._row(RowKind.EVENT, link_id, change))

    def note_settled(self, link_id: str, settlement: Settlement) -> None:
        """Record that nothing of an order is open any more."""
        self._note(self._row(RowKind.SETTLED, link_id, settlement))
        self._checkpoint()

    def note_fill(self, fill: Fill) -> None:
        """Record one execution, durable soon."""
        self._note(self._row(RowKind.FILL, fill.exec_id, fill), is_durable=True)

    def note_funding(self, funding: Funding) -> None:
        """Record one funding settlement, durable soon."""
        self._note(self._row(RowKind.FUNDING, funding.exec_id, funding), is_durable=True)

    def note_latch(self, source: str, latch: Latch) -> None:
        """Record that a hold is latched, or lifted, durable soon."""
        self._note(self._row(RowKind.LATCH, source, latch), is_durable=True)

    def note_limits(self, state: LossState) -> None:
        """Record the references of the loss limits, durable soon."""
        self._note(self._row(RowKind.LIMITS, "losses", state), is_durable=True)

    def retry(self) -> bool:
        """Write what waits; return whether the journal can be written."""
        try:
            while self._backlog:
                self._append(self._backlog[0])
                self._backlog.popleft()
        except sqlite3.Error as e:
            self._fail(e)
            return False
        self._failure = None
        return self.failure is None

    def probe(self) -> bool:
        """Find out whether a row could be written now, without adding one."""
        if not self.retry():
            return False
        try:
            self._touch()
        except sqlite3.Error as e:
            self._fail(e)
            return False
        return True

    def sync(self) -> bool:
        """Block until everything asked to be durable is; return whether it is."""
        return self._syncer is None or self._syncer.wait(_SYNC_WAIT_S)

    def unsettled_intents(self) -> list[JournaledIntent]:
        """Return the intents of all runs without a known end, oldest first."""
        found = self._connection.execute(_UNSETTLED, (RowKind.INTENT, RowKind.SETTLED))
        return [
            JournaledIntent(run_id=run_id, intent=decode(payload, OrderIntent), utc_ns=utc_ns)
            for run_id, utc_ns, payload in found
        ]

    def fills(self, *, link_id: str | None = None) -> list[Fill]:
        """Return the recorded executions, of one order or of all, oldest first."""
        found = [decode(row.payload, Fill) for row in self._of(RowKind.FILL)]
        return found if link_id is None else [fill for fill in found if fill.link_id == link_id]

    def account_fills(self) -> list[Fill]:
        """Return the executions since the account's beginning, own and foreign, oldest first."""
        found: list[Fill] = []
        rows = self._connection.execute(
            f"{_SELECT} WHERE kind IN (?, ?) ORDER BY number", (RowKind.RUN, RowKind.FILL)
        )
        for _, kind, _, _, _, payload, _ in rows:
            if kind == RowKind.FILL:
                found.append(decode(payload, Fill))
            elif decode(payload, dict[str, str]).get(_ACCOUNT) == _FRESH:
                found.clear()
        return found

    def fundings(self) -> list[Funding]:
        """Return the recorded funding settlements, oldest first."""
        return [decode(row.payload, Funding) for row in self._of(RowKind.FUNDING)]

    def latches(self) -> dict[str, Latch]:
        """Return the holds that are latched now, by source."""
        newest = {row.key: decode(row.payload, Latch) for row in self._of(RowKind.LATCH)}
        return {s: latch for s, latch in newest.items() if latch.state is not TradingState.ACTIVE}

    def limits(self) -> LossState | None:
        """Return the newest references of the loss limits, None if there are none."""
        rows = list(self._of(RowKind.LIMITS))
        return decode(rows[-1].payload, LossState) if rows else None

    def changes(self, link_id: str) -> list[StateChange]:
        """Return the recorded changes of one order, oldest first."""
        return [decode(row.payload, StateChange) for row in self._of(RowKind.EVENT, link_id)]

    def price_story(self, link_id: str) -> list[tuple[int, PriceChange | StateChange]]:
        """Return the price changes and status changes of one order with their UTC nanoseconds."""
        rows = self._connection.execute(
            f"{_SELECT} WHERE kind IN (?, ?) AND key = ? ORDER BY number",
            (RowKind.EVENT, RowKind.AMEND, link_id),
        )
        return [
            (
                utc_ns,
                decode(payload, PriceChange)
                if kind == RowKind.AMEND
                else decode(payload, StateChange),
            )
            for _, kind, _, _, utc_ns, payload, _ in rows
        ]

    def runs(self) -> list[str]:
        """Return the ids of all runs, oldest first."""
        return [row.key for row in self._of(RowKind.RUN)]

    def page(
        self,
        *,
        kind: RowKind | None = None,
        key: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Page:
        """Return up to ``limit`` rows that are older than row ``before``, newest first.

        One call looks at 10,000 rows at most, by the primary key, so that it cannot stall the
        loop. A page of a rare kind or key may so be short, or empty, while ``next_before`` says
        where to look on.

        Raises
        ------
        JournalError
            If the file cannot be read, as after :meth:`close`.
        """
        end = self._number + 1 if before is None else max(1, min(before, self._number + 1))
        start = max(1, end - _PAGE_SCAN)
        asked = (end, start, kind, key, limit)
        try:
            found = self._connection.execute(_PAGE, asked).fetchall()
        except sqlite3.Error as e:
            raise JournalError(f"the journal cannot be read: {e}") from e
        oldest = found[-1][0] if len(found) == limit else start
        rows = tuple(
            NumberedRow(number, RowKind(read), run_id, of, utc_ns, payload)
            for number, read, run_id, of, utc_ns, payload, _ in found
        )
        return Page(rows=rows, next_before=oldest if oldest > 1 else None)

    def verify(self) -> int | None:
        """Return the number of the first row that breaks the chain, None if all are sound."""
        return first_bad_row(self._connection)

    def _of(self, kind: RowKind, key: str | None = None) -> Iterator[Row]:
        query = f"{_SELECT} WHERE kind = ? AND key = coalesce(?, key) ORDER BY number"
        for _, _, run_id, found, utc_ns, payload, _ in self._connection.execute(query, (kind, key)):
            yield Row(kind=kind, run_id=run_id, key=found, utc_ns=utc_ns, payload=payload)

    def _row(self, kind: RowKind, key: str, record: object) -> Row:
        return Row(
            kind=kind,
            run_id=self._run_id,
            key=key,
            utc_ns=self._clock.utc_ns(),
            payload=encode(record),
        )

    def _write(self, row: Row) -> None:
        try:
            self._append(row)
        except sqlite3.Error as e:
            self._fail(e)
            raise JournalError(f"the journal cannot be written: {e}") from e

    def _write_all(self, rows: Sequence[Row]) -> None:
        if not self.retry():
            raise JournalError(self.failure or "the journal cannot be written")
        if len(rows) == 1:
            self._write(rows[0])
            return
        former = (self._number, self._digest, self._since_checkpoint)
        try:
            self._connection.execute("BEGIN")
            for row in rows:
                self._append(row)
            self._connection.execute("COMMIT")
        except sqlite3.Error as e:
            self._number, self._digest, self._since_checkpoint = former
            self._roll_back()
            self._fail(e)
            raise JournalError(f"the journal cannot be written: {e}") from e

    def _roll_back(self) -> None:
        # A full disk may have ended the transaction already. If it cannot be ended at all, the next
        # row fails too, and trading stays held.
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")

    def _note(self, row: Row, *, is_durable: bool = False) -> None:
        # What has happened must not be lost because the disk is full: it waits, in order.
        if len(self._backlog) >= _MAX_BACKLOG:
            self._backlog.popleft()
            self.lost += 1
        self._backlog.append(row)
        if self.retry() and is_durable and self._syncer is not None:
            self._syncer.ask()

    def _append(self, row: Row) -> None:
        number, kind = self._number + 1, int(row.kind)
        chained = digest(
            self._digest,
            number,
            kind=kind,
            run_id=row.run_id,
            key=row.key,
            utc_ns=row.utc_ns,
            payload=row.payload,
        )
        self._connection.execute(
            _INSERT, (number, kind, row.run_id, row.key, row.utc_ns, row.payload, chained)
        )
        self._number, self._digest = number, chained
        self._since_checkpoint += 1

    def _touch(self) -> None:
        # A commit that changes a page needs the same room and the same rights as a row.
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _checkpoint(self) -> None:
        # Here, at the end of an order, and not where an intent waits to be sent.
        if self._since_checkpoint < _CHECKPOINT_ROWS:
            return
        self._since_checkpoint = 0
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            # The first commit into an emptied log waits for the disk: no intent shall be it.
            self._touch()
        except sqlite3.Error as e:
            self._fail(e)

    def _fail(self, error: sqlite3.Error) -> None:
        if self._failure is None:
            _LOG.error("the journal cannot be written", error=str(error))
        self._failure = f"the journal cannot be written: {error}"


def first_bad_row(connection: sqlite3.Connection) -> int | None:
    """Return the number of the first row that is missing, renumbered or changed, None if none."""
    chained = FIRST_DIGEST
    rows = connection.execute(f"{_SELECT} ORDER BY number")
    for expected, (number, kind, run_id, key, utc_ns, payload, found) in enumerate(rows, start=1):
        if number != expected or kind not in _KINDS:
            return expected
        chained = digest(
            chained, number, kind=kind, run_id=run_id, key=key, utc_ns=utc_ns, payload=payload
        )
        if chained != found:
            return expected
    return None


def _last_row(connection: sqlite3.Connection) -> tuple[int, bytes]:
    last = connection.execute(f"{_SELECT} ORDER BY number DESC LIMIT 1").fetchone()
    return (last[0], last[6]) if last else (0, FIRST_DIGEST)


def _connect(path: Path | str) -> sqlite3.Connection:
    try:
        if path != IN_MEMORY:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        return sqlite3.connect(path, isolation_level=None, timeout=_LOCK_WAIT_S)
    except (OSError, sqlite3.Error) as e:
        raise ConfigurationError(
            f"the journal {path} cannot be opened ({e}); make its folder writable or set "
            "TRADING_DATA_DIR"
        ) from e


def _syncer(path: Path) -> LogSyncer:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the names of new files must be durable too
    finally:
        os.close(folder)
    return LogSyncer(path.with_name(f"{path.name}-wal"))


def _prepare(connection: sqlite3.Connection, path: Path | str) -> None:
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # The first write takes the lock that is then kept.
        connection.execute("BEGIN IMMEDIATE")
        with contextlib.closing(connection.cursor()) as cursor:
            _check_format(cursor, path)
        connection.execute("COMMIT")
        bad = first_bad_row(connection)
    except sqlite3.OperationalError as e:
        if e.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise ConfigurationError(
                f"the journal {path} is in use by another process; stop it or set TRADING_DATA_DIR"
            ) from e
        raise ConfigurationError(
            f"the journal {path} cannot be written ({e}); make the file writable or set "
            "TRADING_DATA_DIR"
        ) from e
    except (sqlite3.Error, TypeError, ValueError) as e:
        raise ConfigurationError(
            f"the journal {path} is damaged or no journal ({e}); move it away to begin a new one"
        ) from e
    if bad is not None:
        raise ConfigurationError(
            f"the journal {path} is damaged at row {bad}; move it away to begin a new one"
        )


def _check_format(cursor: sqlite3.Cursor, path: Path | str) -> None:
    (version,) = cursor.execute("PRAGMA user_version").fetchone()
    (application,) = cursor.execute("PRAGMA application_id").fetchone()
    (tables,) = cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not version:
        cursor.execute(_CREATE)
        cursor.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        cursor.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    elif application != _APPLICATION_ID or version not in _READABLE:
        raise ConfigurationError(
            f"the journal {path} has format {version}, this program writes {SCHEMA_VERSION}; "
            "move it away to begin a new one"
        )
    elif version != SCHEMA_VERSION:
        cursor.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
