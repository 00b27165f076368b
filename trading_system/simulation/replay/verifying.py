"""Rebuild the books of a recording, slowly and plainly, and report what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from trading_system.simulation.replay.messages import (
    DepthDiff,
    Findings,
    Level,
    Message,
    RecordedTrade,
    Snapshot,
)
from trading_system.simulation.replay.recording import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a rebuild of one symbol found.

    ``span_s`` is recorded seconds from the first snapshot to the last message, ``rate`` messages
    per second of it; ``crossed`` counts messages after which the best bid was not below the best
    ask, ``one_sided`` those after which a side was empty.
    """

    symbol: str
    unit: str
    messages: int
    snapshots: int
    updates: int
    trades: int
    gaps: int
    interruptions: int
    crossed: int
    one_sided: int
    checksums: int
    checksum_failures: int
    span_s: float
    rate: float
    first_faults: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is missing or contradicts itself."""
        faults = self.gaps + self.interruptions + self.crossed + self.checksum_failures
        return faults == 0 and self.snapshots > 0


class PlainBook:
    """One side-by-side book as two dictionaries; the best prices are found by looking."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._best_bid: int | None = None
        self._best_ask: int | None = None

    def take(self, message: Message) -> None:
        """Apply a snapshot or an update; everything else leaves the book."""
        if isinstance(message, Snapshot):
            self.bids.clear()
            self.asks.clear()
        elif not isinstance(message, DepthDiff):
            return
        _set(self.bids, message.bids)
        _set(self.asks, message.asks)
        self._best_bid = _best(self.bids, self._best_bid, message.bids, sign=1)
        self._best_ask = _best(self.asks, self._best_ask, message.asks, sign=-1)

    @property
    def has_two_sides(self) -> bool:
        """Whether somebody buys and somebody sells."""
        return self._best_bid is not None and self._best_ask is not None

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is not below the best ask."""
        bid, ask = self._best_bid, self._best_ask
        return bid is not None and ask is not None and bid >= ask

    def top(self, depth: int) -> tuple[list[Level], list[Level]]:
        """Return the best ``depth`` levels of both sides, best first."""
        bids = sorted(self.bids.items(), reverse=True)[:depth]
        return bids, sorted(self.asks.items())[:depth]


def verify(recording: Recording) -> Verdict:
    """Read ``recording`` to its end and return what was found.

    Raises
    ------
    ConfigurationError
        If it cannot be read to its end.
    """
    findings = Findings(is_strict=False)
    book = PlainBook()
    kinds: Counter[type[Message]] = Counter()
    crossed = one_sided = 0
    first_ns = last_ns = 0
    for message in recording.messages(findings):
        kinds[type(message)] += 1
        last_ns = message.stamp_ns
        first_ns = first_ns or last_ns
        if isinstance(message, Snapshot | DepthDiff):
            book.take(message)
            crossed += book.is_crossed
            one_sided += not book.has_two_sides
    span_s = max(0, last_ns - first_ns) / 1e9
    messages = kinds.total()
    return Verdict(
        symbol=recording.symbol,
        unit=recording.unit,
        messages=messages,
        snapshots=kinds[Snapshot],
        updates=kinds[DepthDiff],
        trades=kinds[RecordedTrade],
        gaps=findings.gaps,
        interruptions=findings.interruptions,
        crossed=crossed,
        one_sided=one_sided,
        checksums=findings.checksums,
        checksum_failures=findings.checksum_failures,
        span_s=span_s,
        rate=messages / span_s if span_s else 0.0,
        first_faults=tuple(findings.first),
    )


def _set(held: dict[int, int], levels: list[Level]) -> None:
    for ticks, lots in levels:
        if lots:
            held[ticks] = lots
        else:
            held.pop(ticks, None)


def _best(
    held: dict[int, int], former: int | None, levels: list[Level], *, sign: int
) -> int | None:
    # The former best still stands unless it is gone or something better came.
    if former is None or former not in held:
        return max(held, key=lambda ticks: sign * ticks, default=None)
    better = (ticks for ticks, lots in levels if lots and sign * (ticks - former) > 0)
    return max(better, key=lambda ticks: sign * ticks, default=former)
