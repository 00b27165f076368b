"""Keeps the state file true: hears everything the exchange does and writes before anybody is told.

The journal must be the venue's listener before any protocol server is: a change is in the file
before its answer or push can leave the process.
"""

from __future__ import annotations

import asyncio

from trading_system.simulation.accounts.account import Account
from trading_system.simulation.conditions import StopKind, Trigger
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import (
    ExecutionRecord,
    LedgerEntry,
    OrderRecord,
    PublicTrade,
)
from trading_system.simulation.state.entries import (
    AccountState,
    Head,
    Step,
    account_state,
    to_line,
)
from trading_system.simulation.state.file import StateFile
from trading_system.simulation.state.restoring import snapshot, tick
from trading_system.simulation.venue import SimulatedVenue

_TICK_S = 1.0
_MIB = 1024 * 1024
COMPACT_BYTES = 64 * _MIB
"""Growth of the file after which it is rewritten without what is out of date."""


class _Changes:
    __slots__ = ("executions", "orders", "positions")

    def __init__(self) -> None:
        self.orders: dict[str, OrderRecord] = {}
        self.executions: list[ExecutionRecord] = []
        self.positions: dict[tuple[str, int], None] = {}


class StateJournal:
    """Writes every change of a venue's accounts to its state file; an exchange listener.

    Parameters
    ----------
    venue : SimulatedVenue
        A prepared and restored venue; the journal becomes one of its listeners.
    file : StateFile
        An open file; its content is replaced by the venue's present state at once.
    head : Head
        First line of the file.
    compact_bytes : int
        Growth after which the file is rewritten.
    """

    def __init__(
        self,
        venue: SimulatedVenue,
        file: StateFile,
        *,
        head: Head,
        compact_bytes: int = COMPACT_BYTES,
    ) -> None:
        self._venue = venue
        self._exchange: Exchange = venue.exchange
        self._file = file
        self._head = head
        self._compact_bytes = compact_bytes
        self._changes: dict[int, _Changes] = {}
        self._has_trades = False
        self._missed: list[bytes] | None = None
        self._levels: dict[tuple[int, str, int], Trigger | None] = {}
        self._ledger_counts = {
            key: account.histories.ledger.count
            for key, account in self._exchange.parts.accounts.items()
        }
        self.save()
        self._base_bytes = file.size_bytes
        venue.add_listener(self)

    def save(self) -> None:
        """Replace the file by the present state, safely on disk."""
        now_ms = self._venue.now_ms
        self._file.replace(snapshot(self._exchange, self._head, now_ms=now_ms))

    async def run(self, *, tick_s: float = _TICK_S) -> None:
        """Note time and prices every second and keep the file's size in bounds, until cancelled."""
        while True:
            await asyncio.sleep(tick_s)
            self.note_time()
            if self._file.size_bytes - self._base_bytes > self._compact_bytes:
                await self.compact()

    def note_time(self) -> None:
        """Write the venue's time and prices."""
        self._append(to_line(tick(self._exchange, now_ms=self._venue.now_ms)))

    async def compact(self) -> None:
        """Rewrite the file in a thread; changes meanwhile go to both versions."""
        lines = snapshot(self._exchange, self._head, now_ms=self._venue.now_ms)
        missed = self._missed = []
        try:
            path = await asyncio.to_thread(self._file.write_aside, lines)
        finally:
            self._missed = None
        self._file.adopt(path, missed=missed)
        self._base_bytes = self._file.size_bytes

    def on_order(self, order: OrderRecord) -> None:
        """Remember a changed order until its step is complete."""
        self._of(order.account_id).orders[order.order_id] = order

    def on_executions(self, executions: list[ExecutionRecord]) -> None:
        """Remember fills until their step is complete."""
        if executions:
            self._of(executions[0].account_id).executions += executions
            self._has_trades |= any(each.is_public for each in executions)

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None:
        """Remember a touched position until its step is complete."""
        self._of(account_id).positions[symbol, position_idx] = None

    def on_wallet(self, account_id: int) -> None:
        """Write a step without trades: this was its last event."""
        self._of(account_id)
        if not self._has_trades:
            self._flush()

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        """Write a step with trades, all accounts at once: this was its last event."""
        del trades
        if self._changes:
            self._flush()
        self._note_trails(symbol)

    # Trailing stops follow the last price without an event of their own.
    def _note_trails(self, symbol: str) -> None:
        parts = self._exchange.parts
        states = []
        for account in parts.accounts.values():
            for stake in account.stakes_of(parts.contracts[symbol]):
                live = stake.stops.get(StopKind.TRAILING_STOP)
                key = (account.account_id, symbol, stake.position_idx)
                trigger = None if live is None else live.record.trigger
                if live is not None and self._levels.get(key) != trigger:
                    states.append(account_state(account, orders=[live.record]))
                self._levels[key] = trigger
        if states:
            self._append(to_line(Step(accounts=states)))

    def _of(self, account_id: int) -> _Changes:
        changes = self._changes.get(account_id)
        if changes is None:
            changes = self._changes[account_id] = _Changes()
        return changes

    def _flush(self) -> None:
        accounts = self._exchange.parts.accounts
        changed, self._changes, self._has_trades = self._changes, {}, False
        states = [
            _state(accounts[key], each, ledger=self._fresh_ledger(accounts[key]))
            for key, each in changed.items()
        ]
        self._append(to_line(Step(accounts=states)))

    def _fresh_ledger(self, account: Account) -> list[LedgerEntry]:
        ledger, known = account.histories.ledger, self._ledger_counts[account.account_id]
        self._ledger_counts[account.account_id] = ledger.count
        return ledger.newest(ledger.count - known)

    def _append(self, line: bytes) -> None:
        self._file.append(line)
        if self._missed is not None:
            self._missed.append(line)


def _state(account: Account, changes: _Changes, *, ledger: list[LedgerEntry]) -> AccountState:
    histories = account.histories
    closing = {each.order_id: None for each in changes.executions if each.closed_lots}
    return account_state(
        account,
        stakes=(account.stakes[key] for key in changes.positions),
        orders=changes.orders.values(),
        executions=changes.executions,
        ledger=ledger,
        closed_pnls=(
            record for key in closing if (record := histories.closed_pnl(key)) is not None
        ),
    )
