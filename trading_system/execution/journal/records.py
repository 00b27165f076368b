"""What the journal writes: record types, their encoding, and the chain that ties rows together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple, TypeVar

import msgspec

from trading_system.domain.errors import JournalError
from trading_system.domain.orders import OrderIntent
from trading_system.execution.transitions import OrderEvent, TrackedStatus
from trading_system.risk.limits import TradingState

FIRST_DIGEST = bytes(32)
"""What the first row is chained to."""

_Record = TypeVar("_Record")


class RowKind(IntEnum):
    """What a row records; the numbers are part of the file format."""

    RUN = 1
    INTENT = 2
    EVENT = 3
    SETTLED = 4
    FILL = 5
    FUNDING = 6
    LATCH = 7
    LIMITS = 8
    AMEND = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """An order went to ``status`` because of ``event``; both by name."""

    event: OrderEvent
    status: TrackedStatus
    order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The end of an order: its final status and the quantity that was booked, base currency."""

    status: TrackedStatus
    booked_quantity: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """A hold that survives a restart; ``ACTIVE`` records that it was lifted."""

    state: TradingState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournaledIntent:
    """An intent as it was recorded before its first byte was sent."""

    run_id: str
    intent: OrderIntent
    utc_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the file without its number and digest."""

    kind: RowKind
    run_id: str
    key: str
    utc_ns: int
    payload: bytes


class NumberedRow(NamedTuple):
    """One row as it was read back; ``number`` counts from 1, the oldest."""

    number: int
    kind: RowKind
    run_id: str
    key: str
    utc_ns: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows, newest first.

    Parameters
    ----------
    next_before : int or None
        Where the next page begins; None when everything older was looked at.
    """

    rows: tuple[NumberedRow, ...]
    next_before: int | None


_ENCODER = msgspec.json.Encoder()


def encode(record: object) -> bytes:
    """Return ``record`` as JSON; decimals become exact texts."""
    return _ENCODER.encode(record)


def decode(payload: bytes, kind: type[_Record]) -> _Record:
    """Return the record that :func:`encode` wrote.

    Raises
    ------
    JournalError
        If the payload is none.
    """
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.DecodeError as e:
        raise JournalError(f"a journal row holds no {kind.__name__}: {e}") from e


def digest(
    previous: bytes,
    number: int,
    *,
    kind: int,
    run_id: str,
    key: str,
    utc_ns: int,
    payload: bytes,
) -> bytes:
    """Return the SHA-256 of a row and everything before it; every field is delimited."""
    head = f"{number}|{kind}|{utc_ns}|{run_id}|{len(key)}|{key}|"
    return hashlib.sha256(previous + head.encode() + payload).digest()
