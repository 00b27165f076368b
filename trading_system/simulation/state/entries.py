"""The lines of a state file: typed entries, each behind the checksum of its text.

Every entry says how things *are* (an order, a balance), never how they change, so reading one
twice does no harm.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from trading_system.domain.errors import CorruptDataError
from trading_system.simulation.accounts.account import Account, Stake
from trading_system.simulation.accounts.holdings import Holding
from trading_system.simulation.records import (
    AccountSpec,
    ClosedPnlRecord,
    DcpProduct,
    ExecutionRecord,
    LedgerEntry,
    OrderRecord,
    PositionMode,
)

FORMAT = "trading-system-venue"
VERSION = 2
READABLE_VERSIONS = frozenset({1, VERSION})
"""A file of version 1 knows neither hedge mode nor spot; what it lacks has its defaults."""


class Head(msgspec.Struct, frozen=True, kw_only=True, tag="head"):
    """The first line: whose file this is.

    ``generation`` counts the starts of the venue; ids and random numbers depend on it, so that
    none ever comes back.
    """

    format: str = FORMAT
    version: int = VERSION
    market: str
    seed: int
    generation: int
    accounts: list[AccountSpec]


class StakeState(msgspec.Struct, frozen=True, kw_only=True):
    """Leverage and position of one account in one contract, or the coins of a spot pair."""

    symbol: str
    leverage: Decimal
    created_ms: int
    updated_ms: int
    lots: int
    entry_value: Decimal
    open_fee: Decimal
    session_realised: Decimal
    cumulative_realised: Decimal
    opened_ms: int
    sequence: int
    position_idx: int = 0
    balance: Decimal = Decimal(0)


class AccountState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One account: its wallet and settings as they are, and whatever of the rest has changed."""

    account_id: int
    cash: Decimal
    realised: Decimal
    fees: Decimal
    funding: Decimal
    traded: Decimal = Decimal(0)
    insurance: Decimal = Decimal(0)
    modes: dict[str, PositionMode] = {}
    coin_modes: dict[str, PositionMode] = {}
    dcp_windows_s: dict[DcpProduct, int] = {}
    stakes: list[StakeState] = []
    orders: list[OrderRecord] = []
    executions: list[ExecutionRecord] = []
    ledger: list[LedgerEntry] = []
    closed_pnls: list[ClosedPnlRecord] = []


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    """What one matching step changed, for every account it touched."""

    accounts: list[AccountState]


class Links(msgspec.Struct, frozen=True, kw_only=True, tag="links"):
    """Client order ids in use, each with its order id, oldest first."""

    account_id: int
    pairs: list[tuple[str, str]]


class Tick(msgspec.Struct, frozen=True, kw_only=True, tag="tick"):
    """The venue's time, and by symbol its mark price and book sequence."""

    now_ms: int
    marks: dict[str, Decimal]
    sequences: dict[str, int]


Entry = Head | Step | Links | Tick

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Entry)


def to_line(entry: Entry) -> bytes:
    """Return an entry as one line: checksum, space, JSON, newline."""
    text = _ENCODER.encode(entry)
    return b"%08x %b\n" % (zlib.crc32(text), text)


def to_text(line: bytes) -> bytes:
    """Return the JSON of a line without its newline.

    Raises
    ------
    CorruptDataError
        If the checksum differs or is missing.
    """
    text = line[9:]
    if line[:9] != b"%08x " % zlib.crc32(text):
        raise CorruptDataError("wrong checksum")
    return text


def to_entry(line: bytes) -> Entry:
    """Return the entry of a line without its newline.

    Raises
    ------
    CorruptDataError
        If the checksum differs or the entry has another shape.
    """
    try:
        entry: Entry = _DECODER.decode(to_text(line))
    except msgspec.DecodeError as e:
        raise CorruptDataError(str(e)) from e
    return entry


def account_state(
    account: Account,
    *,
    stakes: Iterable[Stake] = (),
    orders: Iterable[OrderRecord] = (),
    executions: Iterable[ExecutionRecord] = (),
    ledger: Iterable[LedgerEntry] = (),
    closed_pnls: Iterable[ClosedPnlRecord] = (),
) -> AccountState:
    """Return an account's wallet together with the given changes."""
    return AccountState(
        account_id=account.account_id,
        cash=account.cash,
        realised=account.realised,
        fees=account.fees,
        funding=account.funding,
        traded=account.traded,
        insurance=account.insurance,
        modes=dict(account.modes.by_key),
        coin_modes=dict(account.modes.by_coin),
        dcp_windows_s=dict(account.dcp_windows_s),
        stakes=[_stake_state(stake) for stake in stakes],
        orders=list(orders),
        executions=list(executions),
        ledger=list(ledger),
        closed_pnls=list(closed_pnls),
    )


def _stake_state(stake: Stake) -> StakeState:
    position = stake.position
    return StakeState(
        symbol=stake.contract.symbol,
        leverage=stake.leverage,
        created_ms=stake.created_ms,
        updated_ms=stake.updated_ms,
        lots=position.lots,
        entry_value=position.entry_value,
        open_fee=position.open_fee,
        session_realised=position.session_realised,
        cumulative_realised=position.cumulative_realised,
        opened_ms=position.opened_ms,
        sequence=position.sequence,
        position_idx=stake.position_idx,
        balance=stake.balance if isinstance(stake, Holding) else Decimal(0),
    )
