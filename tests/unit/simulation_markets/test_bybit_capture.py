import json

import public_frames as frames
import pytest
import zstandard

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.replay.messages import (
    DepthDiff,
    Findings,
    MarkPrice,
    RecordedTrade,
    Snapshot,
)
from trading_system.simulation.replay.recording import open_recordings
from trading_system.simulation.replay.verifying import verify

AT = 1_786_310_817.5


def line(kind, **given):
    return {"t": kind, "conn": "ws.2", "ts": AT, **given}


def received(frame, after_s=0.0, conn="ws.2"):
    return line("recv", conn=conn, ts=AT + after_s, data=frame)


def connect(category="linear", conn="ws.2"):
    return line("connect", conn=conn, addr=f"wss://stream.bybit.com/v5/public/{category}")


def rows(category="linear", row=frames.ROW):
    answer = {"retCode": 0, "result": {"category": category, "list": [row]}}
    url = "https://api.bybit.com/v5/market/instruments-info?category=" + category
    return line("http", url=url, data=json.dumps(answer))


def write(folder, *lines):
    path = folder / "capture.jsonl.zst"
    text = "".join(json.dumps(each) + "\n" for each in lines)
    path.write_bytes(zstandard.compress(text.encode()))
    return path


def play(path, findings=None):
    (recording,) = open_recordings([path]).found
    return list(recording.messages(findings))


def test_a_capture_plays_from_its_first_snapshot_on(tmp_path):
    early = received(frames.trade("10.00", "1.0"))
    later = [
        received(frames.snapshot(7)),
        received(frames.book(8, bids=[("10.00", "0")]), 0.25),
        received(frames.trade("10.02", "0.3", "Buy"), 0.5),
    ]
    first, diff, trade = play(write(tmp_path, line("header"), rows(), connect(), early, *later))
    assert isinstance(first, Snapshot)
    assert first.bids == [(1000, 50), (999, 70)]
    assert isinstance(diff, DepthDiff)
    assert diff.stamp_ns - first.stamp_ns == 250_000_000
    assert isinstance(trade, RecordedTrade)
    assert (trade.price_ticks, trade.lots, trade.taker_side.sign) == (1002, 3, 1)


def test_the_deepest_book_is_followed(tmp_path):
    both = [received(frames.snapshot(7)), received(frames.snapshot(3, depth=200))]
    (only,) = play(write(tmp_path, rows(), connect(), *both))
    assert only.last_update_id == 3


def test_trades_outside_the_displayed_book_are_left_out(tmp_path):
    hidden = [frames.trade("10.00", "1.0", BT=True), frames.trade("10.00", "1.0", RPI=True)]
    path = write(tmp_path, rows(), connect(), received(frames.snapshot(7)), *map(received, hidden))
    assert len(play(path)) == 1


def test_references_are_told_when_they_change(tmp_path):
    told = [
        frames.ticker(markPrice="10.01"),
        frames.ticker(indexPrice="10.00", fundingRate="0.0001", openInterest="55"),
        frames.ticker(bid1Price="10.00"),
    ]
    path = write(tmp_path, rows(), connect(), received(frames.snapshot(7)), *map(received, told))
    _, mark = play(path)
    assert isinstance(mark, MarkPrice)
    assert (mark.mark, mark.index, mark.rate, mark.open_interest) == (10.01, 10.0, "0.0001", "55")


def test_a_missing_update_is_refused_in_replay_and_counted_by_verify(tmp_path):
    frames_ = [received(frames.snapshot(7)), received(frames.book(9))]
    path = write(tmp_path, rows(), connect(), *frames_)
    with pytest.raises(
        ConfigurationError, match=r"line 4: orderbook.50.ABCUSDT update 9 follows 7"
    ):
        play(path)
    verdict = verify(open_recordings([path]).found[0])
    assert (verdict.gaps, verdict.is_sound) == (1, False)


def test_a_new_connection_needs_a_snapshot_and_is_an_interruption(tmp_path):
    path = write(
        tmp_path,
        rows(),
        connect(),
        received(frames.snapshot(7)),
        connect(),
        received(frames.book(8)),
        received(frames.snapshot(90)),
    )
    findings = Findings()
    assert [type(message) for message in play(path, findings)] == [Snapshot, Snapshot]
    assert findings.interruptions == 1


def test_a_spot_pair_stands_beside_the_contract_of_the_same_name(tmp_path):
    spot = received(frames.snapshot(5), conn="ws.3")
    path = write(
        tmp_path,
        rows(),
        rows("spot", frames.SPOT_ROW),
        connect(),
        connect("spot", "ws.3"),
        received(frames.snapshot(7)),
        spot,
    )
    found = open_recordings([path]).found
    assert [each.symbol for each in found] == ["ABCUSDT", "ABCUSDT.SPOT"]
    assert [len(list(each.messages())) for each in found] == [1, 1]


@pytest.mark.parametrize(
    "bad",
    [
        frames.trade("10.005", "1.0"),
        frames.trade("10.00", "1.0", "Up"),
        frames.ticker(markPrice="-1", indexPrice="1"),
        frames.ticker(markPrice="1", indexPrice="1", fundingRate="1e-4"),
        '{"topic":"orderbook.50.ABCUSDT","type":"delta"}',
        '{"topic":"orderbook.50.ABCUSDT"',
    ],
)
def test_a_damaged_frame_is_refused_with_its_line(tmp_path, bad):
    path = write(tmp_path, rows(), connect(), received(frames.snapshot(7)), received(bad))
    with pytest.raises(ConfigurationError, match=r"capture.jsonl.zst line 4"):
        play(path)


def test_captures_without_book_or_instrument_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no order book"):
        play(write(tmp_path, rows(), connect()))
    with pytest.raises(ConfigurationError, match="does not describe linear ABCUSDT"):
        play(write(tmp_path, connect(), received(frames.snapshot(7))))
    broken = {**frames.ROW, "lotSizeFilter": {}}
    with pytest.raises(ConfigurationError, match="unusable instrument row"):
        play(write(tmp_path, rows(row=broken), connect(), received(frames.snapshot(7))))
