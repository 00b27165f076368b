"""Binance recordings on disk: what a file is, which files belong together, messages in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.simulation.replay.binance import (
    MessageDecoder,
    RawDepth,
    RawSnapshot,
    is_depth,
    raw_depth,
    raw_snapshot,
    split_line,
)
from trading_system.simulation.replay.files import lines, refusal
from trading_system.simulation.replay.instruments import (
    Listing,
    first_mid,
    inverse_listing,
    recorded_listing,
)
from trading_system.simulation.replay.messages import (
    BadLine,
    DepthDiff,
    Findings,
    Message,
    Snapshot,
)

_SNAPSHOT_WITHIN_LINES = 5_000
_MOST_BUFFERED = 10_000
_FACE_USD = {"BTC": Decimal(100)}
_OTHER_FACE_USD = Decimal(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFile:
    """What one pass over a file found out.

    Stamps are receive times in nanoseconds; ids are Binance update ids of the first and last
    depth update in the file; ``snapshot`` is None in a continuation.
    """

    path: Path
    symbol: str
    is_futures: bool
    first_stamp_ns: int
    last_stamp_ns: int
    first_depth: RawDepth
    last_update_id: int
    snapshot: RawSnapshot | None


def inspect_file(path: Path) -> RecordingFile:
    """Read ``path`` once from end to end and return what it is.

    Raises
    ------
    ConfigurationError
        If it is missing, no gzip, cut off, or no raw Binance recording.
    """
    first_stamp_ns = last_stamp_ns = 0
    first_depth: RawDepth | None = None
    last_depth_body = b""
    snapshot: RawSnapshot | None = None
    for number, line in lines(path):
        try:
            last_stamp_ns, body = split_line(line)
            if number == 1:
                first_stamp_ns = last_stamp_ns
            if is_depth(body):
                last_depth_body = body
                first_depth = first_depth or raw_depth(body)
            elif snapshot is None and number <= _SNAPSHOT_WITHIN_LINES:
                snapshot = raw_snapshot(body)
        except BadLine as e:
            raise refusal(path, number, str(e)) from e
    last_depth = raw_depth(last_depth_body) if last_depth_body else None
    if first_depth is None or last_depth is None:
        raise ConfigurationError(
            f"recording {path} holds no depth updates: give a raw Binance recording"
        )
    return RecordingFile(
        path=path,
        symbol=first_depth.symbol,
        is_futures=first_depth.previous_id is not None,
        first_stamp_ns=first_stamp_ns,
        last_stamp_ns=last_stamp_ns,
        first_depth=first_depth,
        last_update_id=last_depth.last_id,
        snapshot=snapshot,
    )


class RecordingChain:
    """One symbol's recording: a first file with its snapshot, then continuations without a gap.

    Parameters
    ----------
    files : Sequence of RecordingFile
        In order of time; the first has a snapshot.
    """

    def __init__(self, files: Sequence[RecordingFile]) -> None:
        first = files[0]
        assert first.snapshot is not None, "a chain starts with a snapshot"
        self._paths = tuple(file.path for file in files)
        self._is_futures = first.is_futures
        self.names = tuple(path.name for path in self._paths)
        self.first_stamp_ns = first.first_stamp_ns
        self.last_stamp_ns = files[-1].last_stamp_ns
        try:
            self._listing = _listing(first, first.snapshot)
        except ValidationError as e:
            raise ConfigurationError(f"recording {first.path}: bad snapshot: {e}") from e
        self.instrument = self._listing.instrument
        self.symbol = self.instrument.key
        self.unit = self._listing.unit

    def messages(self, findings: Findings | None = None) -> Iterator[Message]:
        """Yield the snapshot, then every message after it, in recorded order.

        Depth updates received before the snapshot but not covered by it follow it at once;
        updates it covers (``u`` below its ``lastUpdateId``) are left out.

        Raises
        ------
        ConfigurationError
            If a line is damaged or, with strict findings, an update is missing; the text names
            file and line.
        """
        decoder = MessageDecoder(self._listing.grid)
        join = _Join(is_futures=self._is_futures, findings=findings or Findings())
        for path in self._paths:
            for number, line in lines(path):
                try:
                    message = decoder.decode(line)
                    due = () if message is None else join.take(message)
                except BadLine as e:
                    raise refusal(path, number, str(e)) from e
                yield from due


class _Join:
    # Puts the snapshot in front of the updates that follow it and checks that none is missing.
    def __init__(self, *, is_futures: bool, findings: Findings) -> None:
        self._is_futures = is_futures
        self._findings = findings
        self._early: list[DepthDiff] = []
        self._last_id: int | None = None
        self._is_first = True

    def take(self, message: Message) -> Sequence[Message]:
        if self._last_id is None:
            return self._start(message)
        if isinstance(message, Snapshot):
            return ()
        if isinstance(message, DepthDiff):
            return self._follow(message)
        return (message,)

    def _start(self, message: Message) -> Sequence[Message]:
        if isinstance(message, DepthDiff):
            if len(self._early) >= _MOST_BUFFERED:
                raise BadLine("too many depth updates before the snapshot")
            self._early.append(message)
        if not isinstance(message, Snapshot):
            return ()
        self._last_id = message.last_update_id
        due: list[Message] = [message]
        for early in self._early:
            due.extend(self._follow(early))
        self._early.clear()
        return due

    def _follow(self, diff: DepthDiff) -> Sequence[Message]:
        last_id = self._last_id
        assert last_id is not None, "a snapshot comes first"
        if self._is_first and diff.last_id < last_id:
            return ()
        # Spot counts each update; futures name the update they follow.
        bound = last_id if self._is_futures else last_id + 1
        link = diff.previous_id if self._is_futures else diff.first_id
        if not (diff.first_id <= bound if self._is_first else link == bound):
            self._findings.gap(f"depth update {diff.first_id} does not follow {last_id}")
        self._last_id = diff.last_id
        self._is_first = False
        return (diff,)


def chain_files(files: list[RecordingFile]) -> RecordingChain:
    """Return the chain of one symbol's files, given in any order.

    Raises
    ------
    ConfigurationError
        If the first lacks its snapshot or one does not continue the one before.
    """
    files = sorted(files, key=lambda file: file.first_stamp_ns)
    if files[0].snapshot is None:
        raise ConfigurationError(
            f"recording {files[0].path} holds no depth snapshot, it continues another one: "
            "give its first file too"
        )
    for before, after in pairwise(files):
        depth = after.first_depth
        follows = (
            depth.previous_id == before.last_update_id
            if after.is_futures
            else depth.first_id == before.last_update_id + 1
        )
        if before.is_futures != after.is_futures or not follows:
            raise ConfigurationError(
                f"recording {after.path} does not continue {before.path}: "
                "give one recording per symbol"
            )
    return RecordingChain(files)


def _listing(file: RecordingFile, snapshot: RawSnapshot) -> Listing:
    levels = snapshot.bids + snapshot.asks
    pair, _, suffix = file.symbol.partition("_")
    if not suffix:
        return recorded_listing(file.symbol, is_futures=file.is_futures, levels=levels)
    base = pair.removesuffix("USD")
    return inverse_listing(
        pair if suffix == "PERP" else f"{pair}-{suffix}",
        base=base,
        face=_FACE_USD.get(base, _OTHER_FACE_USD),
        levels=levels,
        mid=first_mid(snapshot.bids, snapshot.asks),
    )
