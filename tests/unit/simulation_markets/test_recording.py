import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.replay.messages import (
    DepthDiff,
    Message,
    RecordedTrade,
    Snapshot,
)
from trading_system.simulation.replay.recording import Recording, open_recordings

NS = 1_723_161_255_000_000_000


def depth(at: int, first: int, last: int, previous: int | None, **sides: object) -> str:
    data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": last}
    data |= {} if previous is None else {"pu": previous}
    data |= {"b": sides.get("b", []), "a": sides.get("a", [])}
    return f"{NS + at} " + json.dumps({"stream": "x", "data": data}, separators=(",", ":"))


def snapshot(at: int, last: int) -> str:
    body = {"lastUpdateId": last, "bids": [["100.0", "5.000"]], "asks": [["100.1", "3.000"]]}
    return f"{NS + at} " + json.dumps(body, separators=(",", ":"))


def trade(at: int, price: str, quantity: str, *, sold: bool, kind: str = "MARKET") -> str:
    data = {"e": "trade", "s": "BTCUSDT", "p": price, "q": quantity, "X": kind, "m": sold}
    return f"{NS + at} " + json.dumps({"stream": "x", "data": data}, separators=(",", ":"))


def write(path: Path, *lines: str) -> Path:
    path.write_bytes(gzip.compress("".join(line + "\n" for line in lines).encode()))
    return path


def future(path: Path, *more: str) -> Path:
    return write(path, depth(0, 1, 9, 0), snapshot(1, 9), depth(2, 10, 12, 9), *more)


def play(*paths: Path) -> list[Message]:
    return [message for chain in open_recordings(paths).found for message in chain.messages()]


def opened(paths: list[Path]) -> tuple[Recording, ...]:
    return open_recordings(paths).found


def refusal(*paths: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        play(*paths)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_updates_covered_by_the_snapshot_are_left_out(tmp_path: Path) -> None:
    early = [depth(0, 1, 5, 0), depth(1, 6, 8, 5), depth(2, 9, 12, 8)]
    path = write(tmp_path / "a.gz", *early, snapshot(3, 10), depth(4, 13, 14, 12))
    (chain,) = opened([path])
    messages = list(chain.messages())
    assert isinstance(messages[0], Snapshot)
    assert [m.last_id for m in messages[1:] if isinstance(m, DepthDiff)] == [12, 14]


def test_prices_and_sizes_become_ticks_and_lots(tmp_path: Path) -> None:
    path = future(tmp_path / "a.gz", trade(5, "100.10", "0.250", sold=True))
    (chain,) = opened([path])
    *_, last = chain.messages()
    assert isinstance(last, RecordedTrade)
    assert (last.price_ticks, last.lots, last.taker_side.sign) == (1001, 250, -1)


def test_prints_outside_the_book_are_left_out(tmp_path: Path) -> None:
    path = future(tmp_path / "a.gz", trade(5, "90.0", "1", sold=True, kind="INSURANCE_FUND"))
    (chain,) = opened([path])
    assert not [m for m in chain.messages() if isinstance(m, RecordedTrade)]


def test_microsecond_stamps_are_understood(tmp_path: Path) -> None:
    lines = [depth(0, 1, 9, 0), snapshot(1_000, 9), depth(2_000_000, 10, 12, 9)]
    (chain,) = opened([write(tmp_path / "a.gz", *(line[:16] + line[19:] for line in lines))])
    stamps = [message.stamp_ns for message in chain.messages()]
    assert stamps[-1] == NS + 2_000_000


def test_a_continuation_joins_its_first_file_whatever_their_order(tmp_path: Path) -> None:
    first = future(tmp_path / "a.gz")
    second = write(tmp_path / "b.gz", depth(10, 13, 15, 12), depth(11, 16, 18, 15))
    (chain,) = opened([second, first])
    ids = [m.last_id for m in chain.messages() if isinstance(m, DepthDiff)]
    assert ids == [9, 12, 15, 18]


def test_a_continuation_alone_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "b.gz", depth(10, 13, 15, 12))
    assert "give its first file" in refusal(path)


def test_files_that_do_not_join_are_refused(tmp_path: Path) -> None:
    first = future(tmp_path / "a.gz")
    second = write(tmp_path / "b.gz", depth(10, 99, 100, 98))
    assert "does not continue" in refusal(first, second)


def test_a_missing_update_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = future(tmp_path / "a.gz", depth(5, 20, 21, 19))
    assert "a.gz line 4: depth update 20 does not follow 12" in refusal(path)


def test_spot_counts_updates_by_their_first_id(tmp_path: Path) -> None:
    good = [depth(0, 5, 9, None), snapshot(1, 9), depth(2, 10, 12, None)]
    (chain,) = opened([write(tmp_path / "a.gz", *good)])
    assert chain.instrument.qty_decimals == 5
    assert len(list(chain.messages())) == 3
    bad = write(tmp_path / "b.gz", *good, depth(3, 14, 15, None))
    assert "does not follow" in refusal(bad)


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        f"{NS} [1,2]",
        f"{NS} " + '{"e":"trade"',
        f"{NS} " + '{"data":{"e":"trade","p":1}}',
        trade(3, "nan", "1", sold=True),
        trade(3, "100.05", "1", sold=True),
        trade(3, "100.0", "-1", sold=True),
        trade(3, "100.0", "0", sold=True),
        depth(3, 13, 14, 12, b=[["-1.0", "1"]]),
        depth(3, 13, 14, 12, b=[["1.0", "inf"]]),
    ],
)
def test_a_garbage_line_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    assert "line 4" in refusal(future(tmp_path / "a.gz", line))


def test_files_that_are_no_recordings_are_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("hello")
    assert "cannot be read as gzip" in refusal(plain)
    assert "holds no depth updates" in refusal(write(tmp_path / "e.gz"))
    assert "does not exist" in refusal(tmp_path / "no.gz")
    assert "holds no finished part" in refusal(tmp_path)


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = future(tmp_path / "a.gz", *[trade(9, "100.0", "1", sold=True)] * 500)
    path.write_bytes(path.read_bytes()[:-20])
    assert "is cut off" in refusal(path)


def test_coin_margined_contracts_are_lots_of_a_fixed_size(tmp_path: Path) -> None:
    lines = [depth(0, 1, 9, 0), snapshot(1, 9), trade(2, "100.1", "4", sold=False)]
    lines = [
        line.replace("BTCUSDT", "BTCUSD_PERP").replace("5.000", "5").replace("3.000", "3")
        for line in lines
    ]
    (chain,) = opened([write(tmp_path / "c.gz", *lines)])
    assert (chain.symbol, chain.instrument.quote_coin) == ("BTCUSD", "USDT")
    assert chain.instrument.qty_step == Decimal("0.9995")  # 100 USD at the first mid of 100.05
    first, _, last = chain.messages()
    assert isinstance(first, Snapshot)
    assert first.bids == [(1000, 5)]
    assert isinstance(last, RecordedTrade)
    assert last.lots == 4


def test_one_file_twice_is_refused(tmp_path: Path) -> None:
    path = future(tmp_path / "a.gz")
    assert "twice" in refusal(path, path)


def test_the_grid_of_an_unlisted_symbol_is_the_finest_seen(tmp_path: Path) -> None:
    lines = [depth(0, 1, 9, 0), snapshot(1, 9)]
    path = write(tmp_path / "a.gz", *(line.replace("BTCUSDT", "XYZUSDC") for line in lines))
    (chain,) = opened([path])
    instrument = chain.instrument
    assert (instrument.price_decimals, instrument.qty_decimals) == (1, 0)
    assert (instrument.base_coin, instrument.quote_coin) == ("XYZ", "USDC")
