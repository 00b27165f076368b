import json
from decimal import Decimal

import pytest
import zstandard

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.replay.messages import DepthDiff, RecordedTrade, Snapshot
from trading_system.simulation.replay.recording import open_recordings
from trading_system.simulation.replay.verifying import verify

BIDS = [("100.5", "3"), ("100.4", "1.25"), ("100", "7")]
ASKS = [("100.6", "2"), ("101", "0.5")]
SUM = -1163817780  # worked by hand in the protocol notes, from exactly these levels
SPOT = "ABC-USDT"


def book(action, *, bids=(), asks=(), name=SPOT, channel="books", **more):
    sides = {"bids": [[*level, "0", "1"] for level in bids]}
    sides["asks"] = [[*level, "0", "1"] for level in asks]
    data = [{**sides, "ts": "1", **more}]
    return {"arg": {"channel": channel, "instId": name}, "action": action, "data": data}


def start(**more):
    return book("snapshot", bids=BIDS, asks=ASKS, **more)


def trade(price, size, side):
    row = {"instId": SPOT, "tradeId": "1", "px": price, "sz": size, "side": side, "ts": "1"}
    return {"arg": {"channel": "trades", "instId": SPOT}, "data": [row]}


def write(folder, *said):
    head = ["wss://ws.okx.com:8443/ws/v5/public <-> 1646003666.6"]
    lines = [
        f"{1646003667 + number}.25: " + json.dumps(frame, separators=(",", ":"))
        for number, frame in enumerate(said)
    ]
    path = folder / "okx.txt.zst"
    path.write_bytes(zstandard.compress("\n".join(head + lines).encode()))
    return path


def play(path):
    (recording,) = open_recordings([path]).found
    return list(recording.messages())


def test_books_and_trades_play_on_the_grid_that_was_seen(tmp_path):
    ack = {"event": "subscribe", "arg": {"channel": "books", "instId": SPOT}}
    update = book("update", bids=[("100.5", "0")])
    said = [ack, trade("100.5", "1", "sell"), start(), update, trade("100.6", "0.25", "buy")]
    first, diff, last = play(write(tmp_path, *said))
    assert isinstance(first, Snapshot)
    assert first.bids == [(1005, 300), (1004, 125), (1000, 700)]
    assert isinstance(diff, DepthDiff)
    assert diff.bids == [(1005, 0)]
    assert isinstance(last, RecordedTrade)
    assert (last.price_ticks, last.lots, last.taker_side.sign) == (1006, 25, 1)


def test_checksums_are_compared_and_zero_means_none(tmp_path):
    right = write(tmp_path, start(checksum=SUM), book("update", checksum=0))
    verdict = verify(open_recordings([right]).found[0])
    assert (verdict.checksums, verdict.checksum_failures) == (1, 0)
    wrong = write(tmp_path, start(checksum=SUM + 1))
    with pytest.raises(ConfigurationError, match="checksum -1163817779 does not match"):
        play(wrong)
    assert not verify(open_recordings([wrong]).found[0]).is_sound


def test_a_missing_update_is_refused(tmp_path):
    said = [start(seqId=5, prevSeqId=-1), book("update", seqId=9, prevSeqId=7)]
    with pytest.raises(ConfigurationError, match="update 9 does not follow 5"):
        play(write(tmp_path, *said))


def test_inverse_contracts_are_lots_of_a_fixed_size(tmp_path):
    path = write(tmp_path, start(name="ABC-USD-SWAP"))
    (recording,) = open_recordings([path]).found
    assert recording.symbol == "ABCUSD"
    # 10 USD at the first mid of 100.55, and lots of a hundredth of a contract.
    assert recording.instrument.qty_step == Decimal("0.0009945")


def test_linear_swaps_need_a_known_contract_size(tmp_path):
    known = write(tmp_path, start(name="BTC-USDT-SWAP"))
    assert open_recordings([known]).found[0].instrument.qty_step == Decimal("0.0001")
    with pytest.raises(ConfigurationError, match="contract is not known"):
        open_recordings([write(tmp_path, start(name="ABC-USDT-SWAP"))])


def test_what_cannot_be_listed_is_left_out_with_the_reason(tmp_path):
    other = [
        start(name="ABC-USD-220624-20000-C"),
        start(name="ABC-ETH"),
        book("snapshot", bids=BIDS, name="DEF-USDT"),
        book("snapshot", bids=[("0.000000001", "1")], asks=[("0.000000002", "1")], name="E-USDT"),
    ]
    opened = open_recordings([write(tmp_path, start(), *other)])
    assert [each.symbol for each in opened.found] == ["ABCUSDT"]
    reasons = [why.split()[0] for why in opened.left_out.values()]
    assert reasons == ["an", "quoted", "no", "price"]


@pytest.mark.parametrize(
    "bad",
    [
        trade("100.5", "0", "sell"),
        trade("100.5", "1", "up"),
        {"arg": {"channel": "trades", "instId": SPOT}, "data": [{}]},
    ],
)
def test_a_damaged_frame_is_refused_with_its_line(tmp_path, bad):
    with pytest.raises(ConfigurationError, match=r"okx.txt.zst line 3"):
        play(write(tmp_path, start(), bad))


@pytest.mark.parametrize("text", ["hello", "x: {}", "1.0: []", '1.0: {"arg":5}'])
def test_files_that_are_no_recordings_are_refused(tmp_path, text):
    path = tmp_path / "okx.txt.zst"
    path.write_bytes(zstandard.compress(text.encode()))
    with pytest.raises(ConfigurationError, match="line 1"):
        play(path)


def test_a_file_that_is_not_compressed_is_refused(tmp_path):
    path = tmp_path / "okx.txt.zst"
    path.write_text("hello")
    with pytest.raises(ConfigurationError, match="cannot be read as zstandard"):
        play(path)
