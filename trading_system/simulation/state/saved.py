"""What a state file says, added up: the newest word on everything, within the venue's bounds."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from trading_system.domain.errors import CorruptDataError
from trading_system.simulation.accounts.histories import HISTORY_LIMIT, LINK_ID_LIMIT
from trading_system.simulation.records import (
    ClosedPnlRecord,
    ExecutionRecord,
    LedgerEntry,
    OrderRecord,
)
from trading_system.simulation.state.entries import (
    AccountState,
    Entry,
    Head,
    Links,
    StakeState,
    Step,
    Tick,
)


@dataclass(slots=True)
class SavedAccount:
    """One account; ``wallet`` is None until the account was first touched."""

    wallet: AccountState | None = None
    stakes: dict[tuple[str, int], StakeState] = field(default_factory=dict)
    open_orders: dict[str, OrderRecord] = field(default_factory=dict)
    closed_orders: OrderedDict[str, OrderRecord] = field(default_factory=OrderedDict)
    executions: deque[ExecutionRecord] = field(default_factory=lambda: deque(maxlen=HISTORY_LIMIT))
    ledger: deque[LedgerEntry] = field(default_factory=lambda: deque(maxlen=HISTORY_LIMIT))
    closed_pnls: OrderedDict[str, ClosedPnlRecord] = field(default_factory=OrderedDict)
    links: OrderedDict[str, str] = field(default_factory=OrderedDict)

    def update(self, state: AccountState) -> None:
        """Take in one change."""
        self.wallet = state
        for stake in state.stakes:
            self.stakes[stake.symbol, stake.position_idx] = stake
        for order in state.orders:
            self._put_order(order)
        self.executions.extend(state.executions)
        self.ledger.extend(state.ledger)
        for record in state.closed_pnls:
            self.closed_pnls[record.order_id] = record
            self.closed_pnls.move_to_end(record.order_id)
            if len(self.closed_pnls) > HISTORY_LIMIT:
                self.closed_pnls.popitem(last=False)

    def link(self, link_id: str, order_id: str) -> None:
        """Remember a client order id."""
        self.links.setdefault(link_id, order_id)
        if len(self.links) > LINK_ID_LIMIT:
            self.links.popitem(last=False)

    def _put_order(self, order: OrderRecord) -> None:
        if order.link_id:
            self.link(order.link_id, order.order_id)
        if not order.state.is_final:
            self.open_orders[order.order_id] = order
            return
        self.open_orders.pop(order.order_id, None)
        self.closed_orders[order.order_id] = order
        if len(self.closed_orders) > HISTORY_LIMIT:
            self.closed_orders.popitem(last=False)


@dataclass(slots=True)
class SavedVenue:
    """A whole state file.

    Attributes
    ----------
    marks, sequences : dict
        Last mark price (quote currency) and book sequence by symbol.
    """

    head: Head
    accounts: dict[int, SavedAccount]
    now_ms: int = 0
    marks: dict[str, Decimal] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)

    def symbols_at_stake(self) -> set[str]:
        """Return the keys in which an account has a position, coins or an open order."""
        symbols = set()
        for account in self.accounts.values():
            stakes = account.stakes.values()
            symbols |= {stake.symbol for stake in stakes if stake.lots or stake.balance}
            symbols |= {order.symbol for order in account.open_orders.values()}
        return symbols


def add_up(entries: Iterable[Entry]) -> SavedVenue:
    """Return what the entries of one file say together.

    Raises
    ------
    CorruptDataError
        If the first entry is no head, another one is, or an account is unknown.
    """
    rest = iter(entries)
    head = next(rest, None)
    if not isinstance(head, Head):
        raise CorruptDataError("no head")
    saved = SavedVenue(head, {each.account_id: SavedAccount() for each in head.accounts})
    for entry in rest:
        _add(saved, entry)
    return saved


def _add(saved: SavedVenue, entry: Entry) -> None:
    try:
        if isinstance(entry, Step):
            for state in entry.accounts:
                saved.accounts[state.account_id].update(state)
        elif isinstance(entry, Links):
            for link_id, order_id in entry.pairs:
                saved.accounts[entry.account_id].link(link_id, order_id)
        elif isinstance(entry, Tick):
            saved.now_ms = entry.now_ms
            saved.marks |= entry.marks
            saved.sequences |= entry.sequences
        else:
            raise CorruptDataError("a second head")
    except KeyError as e:
        raise CorruptDataError(f"unknown account {e}") from e
