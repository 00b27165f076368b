import json

import public_frames as frames
import pytest

from trading_system.data.parts import PartWriter, Row, RowKind
from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.replay.messages import RecordedTrade, Snapshot
from trading_system.simulation.replay.recording import open_recordings
from trading_system.simulation.replay.verifying import verify

INSTRUMENT = (RowKind.INSTRUMENT, "ABCUSDT", json.dumps(frames.ROW))
CONNECTED = (RowKind.CONNECTED, "", "ws://host")


def said(frame):
    return RowKind.FRAME, "ABCUSDT", frame


def record(folder, *rows):
    writer = PartWriter(folder / "own", longest_ns=1)
    for number, (kind, symbol, body) in enumerate(rows):
        writer.add(Row(1_000 + number, kind, "linear", symbol, body))
        writer.store(writer.take())
    return folder / "own"


def test_an_own_recording_replays(tmp_path):
    rows = [said(frames.snapshot(7)), said(frames.trade("10.00", "0.5"))]
    folder = record(tmp_path, INSTRUMENT, CONNECTED, *rows)
    (recording,) = open_recordings([folder]).found
    first, last = recording.messages()
    assert isinstance(first, Snapshot)
    assert isinstance(last, RecordedTrade)
    assert (recording.names, last.stamp_ns) == (("own",), 1_003)


def test_a_second_connection_makes_the_recording_unsound(tmp_path):
    snapshot = said(frames.snapshot(7))
    folder = record(tmp_path, INSTRUMENT, CONNECTED, snapshot, CONNECTED, snapshot)
    verdict = verify(open_recordings([folder]).found[0])
    assert (verdict.interruptions, verdict.snapshots, verdict.is_sound) == (1, 2, False)


def test_verify_counts_crossed_and_one_sided_books(tmp_path):
    rows = [
        said(frames.snapshot(7)),
        said(frames.book(8, bids=[("10.02", "1.0")])),
        said(frames.book(9, bids=[("10.02", "0")])),
        said(frames.book(10, asks=[("10.02", "0")])),
    ]
    folder = record(tmp_path, INSTRUMENT, CONNECTED, *rows)
    verdict = verify(open_recordings([folder]).found[0])
    assert (verdict.crossed, verdict.one_sided, verdict.updates, verdict.gaps) == (1, 1, 3, 0)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([INSTRUMENT, CONNECTED], "no order book"),
        ([(RowKind.INSTRUMENT, "ABCUSDT", "{}")], "unusable instrument row"),
        ([(RowKind.INSTRUMENT, "ABCUSDT", "{")], "ABCUSDT"),
        ([INSTRUMENT, said(frames.snapshot(7)), said(frames.book(9))], "update 9 follows 7"),
    ],
)
def test_unusable_recordings_are_refused(tmp_path, rows, reason):
    folder = record(tmp_path, *rows)
    with pytest.raises(ConfigurationError, match=reason):
        list(open_recordings([folder]).found[0].messages())
