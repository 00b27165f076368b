"""OKX recordings (``.txt.zst``): what a connection sent and received, one text line each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.simulation.replay.files import lines, refusal
from trading_system.simulation.replay.instruments import (
    Listing,
    finest,
    first_mid,
    inverse_listing,
    listing,
)
from trading_system.simulation.replay.messages import BadLine, Findings, Message, number
from trading_system.simulation.replay.okx import (
    BOOK_CHANNELS,
    InstrumentFrames,
    RawBook,
    address_of,
    book_frame,
)

_QUOTES = ("USDT", "USDC", "USD")
_FACE_USD = {"BTC": Decimal(100)}
_OTHER_FACE_USD = Decimal(10)
_LINEAR_SIZE = {"BTC": Decimal("0.01"), "ETH": Decimal("0.1")}
_FINEST_TICK = Decimal("1e-8")


class NotListableError(ValueError):
    """An instrument cannot be replayed as a linear contract; the text says why."""


@dataclass(slots=True)
class _Seen:
    # What one pass found out about one instrument.
    channels: set[str] = field(default_factory=set)
    first: RawBook | None = None
    levels: list[tuple[str, str]] = field(default_factory=list)


class OkxCapture:
    """One instrument of a recording.

    Parameters
    ----------
    path : Path
        The file.
    instrument_id, channel : str
        The instrument and its book channel as OKX spells them.
    listing : Listing
        As what it is listed.
    span_ns : (int, int)
        Receive times of the file's first and last frame.
    """

    def __init__(
        self,
        path: Path,
        instrument_id: str,
        *,
        channel: str,
        listing: Listing,
        span_ns: tuple[int, int],
    ) -> None:
        self._path = path
        self._id = instrument_id
        self._channel = channel
        self._grid = listing.grid
        self.names = (path.name,)
        self.instrument = listing.instrument
        self.symbol = self.instrument.key
        self.unit = listing.unit
        self.first_stamp_ns, self.last_stamp_ns = span_ns

    def messages(self, findings: Findings | None = None) -> Iterator[Message]:
        """Yield the instrument's messages from its first snapshot on, in recorded order.

        Raises
        ------
        ConfigurationError
            If a line is damaged or, with strict findings, an update is missing or a checksum
            differs.
        """
        frames = InstrumentFrames(
            self._id, channel=self._channel, grid=self._grid, findings=findings or Findings()
        )
        mark = f'"instId":"{self._id}"'.encode()
        for number_, stamp_ns, frame in _frames(self._path):
            if mark not in frame[:120]:
                continue
            try:
                channel, instrument_id = address_of(frame)
                if instrument_id == self._id:
                    yield from frames.decode(channel, frame, stamp_ns=stamp_ns)
            except BadLine as e:
                raise refusal(self._path, number_, str(e)) from e


def open_okx(path: Path) -> tuple[list[OkxCapture], dict[str, str]]:
    """Read ``path`` once; return its instruments, and why others are left out.

    Raises
    ------
    ConfigurationError
        If it is damaged or holds no book that can be replayed.
    """
    seen: dict[str, _Seen] = {}
    first_ns = last_ns = 0
    for number_, stamp_ns, frame in _frames(path):
        first_ns, last_ns = first_ns or stamp_ns, stamp_ns
        try:
            _note(seen, frame)
        except BadLine as e:
            raise refusal(path, number_, str(e)) from e
    captures: list[OkxCapture] = []
    left_out: dict[str, str] = {}
    for instrument_id, what in seen.items():
        try:
            found = _listing(instrument_id, what)
        except (NotListableError, ValidationError) as e:
            left_out[instrument_id] = str(e)
            continue
        channel = next(name for name in BOOK_CHANNELS if name in what.channels)
        captures.append(
            OkxCapture(
                path, instrument_id, channel=channel, listing=found, span_ns=(first_ns, last_ns)
            )
        )
    if not captures:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "no book at all"
        raise ConfigurationError(f"recording {path} holds no OKX book to replay ({reasons[:300]})")
    return captures, left_out


def _frames(path: Path) -> Iterator[tuple[int, int, bytes]]:
    # Lines about the connection itself begin with its address.
    for number_, line in lines(path):
        stamp, colon, frame = line.partition(b": ")
        if line.startswith(b"wss://"):
            continue
        frame = frame.strip()
        try:
            stamp_ns = round(number(stamp.decode("ascii", "replace")) * 1_000_000) * 1_000
        except BadLine as e:
            raise refusal(path, number_, "no receive stamp") from e
        if not (colon and frame.startswith(b"{")):
            raise refusal(path, number_, "no JSON object")
        yield number_, stamp_ns, frame


def _note(seen: dict[str, _Seen], frame: bytes) -> None:
    channel, instrument_id = address_of(frame)
    if channel not in BOOK_CHANNELS:
        return
    what = seen.setdefault(instrument_id, _Seen())
    what.channels.add(channel)
    found = book_frame(frame)
    for row in found.data:
        if what.first is None and found.action == "snapshot":
            what.first = row
        what.levels += _pairs(row.bids) + _pairs(row.asks)


def _listing(instrument_id: str, seen: _Seen) -> Listing:
    first = seen.first
    if first is None or not (first.bids and first.asks):
        raise NotListableError("no two-sided book at its start")
    base, quote, *rest = instrument_id.split("-")
    if len(rest) > 1:
        raise NotListableError("an option")
    if quote not in _QUOTES:
        raise NotListableError(f"quoted in {quote}, accounts hold USDT")
    tick, lot = finest(seen.levels)
    if tick < _FINEST_TICK:
        raise NotListableError(f"price step {tick:f} is finer than {_FINEST_TICK:f}")
    dated = f"-{rest[0]}" if rest and rest[0] != "SWAP" else ""
    symbol = f"{base}{quote}{dated}"
    if rest and quote == "USD":
        mid = first_mid(_pairs(first.bids), _pairs(first.asks))
        face = _FACE_USD.get(base, _OTHER_FACE_USD)
        return inverse_listing(symbol, base=base, face=face, levels=seen.levels, mid=mid)
    size = _LINEAR_SIZE.get(base) if rest else Decimal(1)
    if size is None:
        raise NotListableError(f"the size of a {instrument_id} contract is not known")
    quote = "USDT" if quote == "USD" else quote
    return listing(symbol, base=base, quote=quote, tick=tick, lot=lot, base_per_unit=size)


def _pairs(levels: list[tuple[str, str, str, str]]) -> list[tuple[str, str]]:
    return [(level[0], level[1]) for level in levels]
