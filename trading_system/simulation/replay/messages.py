"""What a recording says, on the grid of one instrument, whichever exchange it came from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from trading_system.domain.orders import Side

_GRID_TOLERANCE = 1e-4
_LARGEST = 1e15
_REMEMBERED = 5

Level = tuple[int, int]
"""Price in ticks and displayed quantity in lots; 0 lots removes the level."""


class BadLine(ValueError):
    """A line is not what the format says. Consequence: the recording is refused."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole book: what it does not name is gone; ``engine_ms`` is 0 where it is not told."""

    stamp_ns: int
    last_update_id: int
    bids: list[Level]
    asks: list[Level]
    engine_ms: int = 0


@dataclass(frozen=True, slots=True)
class DepthDiff:
    """One depth update; ``previous_id`` is None where the exchange does not name it."""

    stamp_ns: int
    first_id: int
    last_id: int
    previous_id: int | None
    bids: list[Level]
    asks: list[Level]
    engine_ms: int = 0


@dataclass(frozen=True, slots=True)
class RecordedTrade:
    """One public trade of the recording."""

    stamp_ns: int
    taker_side: Side
    price_ticks: int
    lots: int
    engine_ms: int = 0


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """Reference prices as floats; rate and open interest as spelt, empty where unknown."""

    stamp_ns: int
    mark: float
    index: float
    rate: str
    open_interest: str = ""
    engine_ms: int = 0


Message = Snapshot | DepthDiff | RecordedTrade | MarkPrice


@dataclass(slots=True, kw_only=True)
class Findings:
    """What is wrong with a recording, counted while it is read.

    Parameters
    ----------
    is_strict : bool
        Raise :class:`BadLine` at the first fault instead of counting on.

    Attributes
    ----------
    gaps, interruptions, checksums, checksum_failures : int
        Updates that do not follow their predecessor; new connections in the middle; checksums
        compared, and those that differ.
    first : list of str
        The first few faults in words.
    """

    is_strict: bool = True
    gaps: int = 0
    interruptions: int = 0
    checksums: int = 0
    checksum_failures: int = 0
    first: list[str] = field(default_factory=list)

    def gap(self, text: str) -> None:
        """Note an update that does not follow."""
        self.gaps += 1
        self._note(text)

    def checksum(self, text: str, *, is_right: bool) -> None:
        """Note a comparison of a checksum."""
        self.checksums += 1
        if not is_right:
            self.checksum_failures += 1
            self._note(text)

    def interruption(self) -> None:
        """Note that the recorder had to connect again; a snapshot follows, so replay goes on."""
        self.interruptions += 1

    def _note(self, text: str) -> None:
        if self.is_strict:
            raise BadLine(text)
        if len(self.first) < _REMEMBERED:
            self.first.append(text)


class Grid:
    """Turns the texts of a recording into ticks and lots.

    Parameters
    ----------
    tick, lot : Decimal
        Price step in quote currency; quantity step in the recording's own unit, which is
        contracts where the exchange counts contracts.
    """

    def __init__(self, tick: Decimal, lot: Decimal) -> None:
        self._tick = float(tick)
        self._lot = float(lot)

    def ticks(self, text: str) -> int:
        """Return a positive price in ticks.

        Raises
        ------
        BadLine
            If it is no number or off the grid.
        """
        exact = number(text) / self._tick
        ticks = round(exact)
        if ticks <= 0 or abs(exact - ticks) > _GRID_TOLERANCE:
            raise BadLine(f"price {text} is not a positive multiple of {self._tick}")
        return ticks

    def lots(self, text: str) -> int:
        """Return a quantity in lots; a rest finer than a lot is cut, but never to nothing."""
        quantity = number(text)
        if quantity < 0.0:
            raise BadLine(f"quantity {text} is negative")
        return max(1, int(quantity / self._lot + _GRID_TOLERANCE)) if quantity > 0.0 else 0

    def levels(self, raw: Iterable[tuple[str, str]]) -> list[Level]:
        """Return price and quantity texts as levels."""
        return [(self.ticks(price), self.lots(quantity)) for price, quantity in raw]

    def trade(
        self, stamp_ns: int, side: Side, *, price: str, quantity: str, engine_ms: int = 0
    ) -> RecordedTrade:
        """Return a trade of a positive quantity."""
        lots = self.lots(quantity)
        if lots == 0:
            raise BadLine("trade of quantity 0")
        return RecordedTrade(stamp_ns, side, self.ticks(price), lots, engine_ms)


def number(text: str) -> float:
    """Return the number that ``text`` spells, below 1e15.

    Raises
    ------
    BadLine
        If it spells none.
    """
    try:
        value = float(text)
    except ValueError as e:
        raise BadLine(f"no number: {text[:40]!r}") from e
    if not (math.isfinite(value) and abs(value) < _LARGEST):
        raise BadLine(f"no usable number: {text[:40]!r}")
    return value
