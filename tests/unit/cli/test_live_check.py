"""The live check without a host: shapes, comparison, transcripts, refusals."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from trading_system.cli.live_check.__main__ import main, trusting
from trading_system.cli.live_check.guard import CONFIRMATION, allowed_access
from trading_system.cli.live_check.observing import Observations, compare
from trading_system.cli.live_check.shapes import Grade, Shape, differences
from trading_system.cli.live_check.transcript import Transcript
from trading_system.cli.live_check.watching import WatchedBooks
from trading_system.cli.output import ExitCode
from trading_system.config.settings import Settings, load_settings
from trading_system.domain.errors import ConfigurationError
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.wire import instrument

REQUIRED, NOTE = Grade.REQUIRED, Grade.NOTE
CONFIRMED = {"TRADING_LIVE_CONFIRM": CONFIRMATION}
KEY = {"bybit.api_key": "abcdefgh", "bybit.api_secret": "secret-secret"}


def shape(*values: object) -> Shape:
    merged = Shape()
    for value in values:
        merged.add(value)
    return merged


def graded(host: Shape, reference: Shape) -> set[tuple[str, Grade]]:
    return {(each.where, each.grade) for each in differences(host, reference, step="s")}


@pytest.mark.parametrize(
    ("host", "reference", "expected"),
    [
        ({"a": "1"}, {"a": "2"}, set()),
        ({"a": 1}, {"a": "1"}, {("a", REQUIRED)}),
        ({"a": True}, {"a": 1}, {("a", REQUIRED)}),
        ({"a": None}, {"a": "1"}, {("a", NOTE)}),
        ({"a": {}}, {"a": None}, {("a", NOTE)}),
        ({}, {"a": "1"}, {("a", REQUIRED)}),
        ({}, {"retExtInfo": {}}, {("retExtInfo", NOTE)}),
        ({"a": "1", "b": 2}, {"a": "1"}, {("b", NOTE)}),
        ({"l": [{"a": 1}]}, {"l": [{"a": "1"}]}, {("l[].a", REQUIRED)}),
        ({"l": [{"a": 1}, {}]}, {"l": [{"a": 1}]}, {("l[].a", REQUIRED)}),
        ({"l": []}, {"l": [{"a": 1}]}, set()),
        ({"l": [["1", "2"]]}, {"l": [["1", 2]]}, set()),
        ({"cumFeeDetail": {"USDT": "1"}}, {"cumFeeDetail": {}}, set()),
        ([], {}, {("(whole answer)", REQUIRED)}),
    ],
)
def test_difference_is_graded_by_what_a_client_needs(
    host: object, reference: object, expected: set[tuple[str, Grade]]
) -> None:
    assert graded(shape(host), shape(reference)) == expected


def test_key_that_the_reference_has_now_and_then_may_be_missing() -> None:
    assert graded(shape({}), shape({"a": 1}, {})) == set()


def test_depth_is_bounded() -> None:
    value: Any = "leaf"
    for _ in range(200):
        value = {"a": [value]}
    assert graded(shape(value), shape(value)) == set()


def test_codes_headers_and_life_cycles_are_compared() -> None:
    host, reference = Observations(), Observations()
    host.codes, reference.codes = {"x": "200 1", "y": "200 0"}, {"x": "200 0"}
    host.headers = {"x": frozenset()}
    reference.headers = {"x": frozenset({"x-bapi-limit"})}
    for state in ("New", "New", "Filled"):
        host.live("o", state)
    reference.live("o", "New")
    found = {(each.step, each.where, each.host) for each in compare(host, reference)}
    assert found == {
        ("x", "code", "200 1"),
        ("x", "x-bapi-limit", "missing"),
        ("order o", "life cycle", "New > Filled"),
    }


def test_required_differences_come_first() -> None:
    host, reference = Observations(), Observations()
    host.note("a", {"extra": 1})
    reference.note("a", {})
    host.note("b", {})
    reference.note("b", {"needed": 1})
    assert [each.grade for each in compare(host, reference)] == [REQUIRED, NOTE]


def test_transcript_masks_keys_signatures_and_persons(tmp_path: Path) -> None:
    with Transcript(tmp_path / "out", clock=ManualClock()) as transcript:
        transcript.write("private", "sent", {"op": "auth", "args": ["key", 1, "signature"]})
        asked = {"headers": {"X-BAPI-API-KEY": "mine", "X-BAPI-SIGN": "abcd", "X-Other": "open"}}
        transcript.write("rest", "request", asked)
        told = {"list": [{"userID": 42, "ips": ["10.0.0.1"], "uid": "", "symbol": "BTCUSDT"}]}
        transcript.write("rest", "answer", told)
    first, second, third = map(json.loads, transcript.path.read_text().splitlines())
    assert first["args"] == ["***"]
    assert second["headers"] == {"X-BAPI-API-KEY": "***", "X-BAPI-SIGN": "***", "X-Other": "open"}
    assert third["list"] == [{"userID": "***", "ips": "***", "uid": "", "symbol": "BTCUSDT"}]
    assert transcript.path.stat().st_mode & 0o077 == 0


def settings(folder: Path, environment: str = "testnet", **given: str) -> Settings:
    nowhere = folder / "nothing"
    values = {"data_dir": folder, "environment": environment, **given}
    return load_settings(values, environ=MAINNET, dotenv_path=nowhere, config_path=nowhere)


MAINNET = {"TRADING_LIVE_CONFIRM": "I-UNDERSTAND"}


@pytest.mark.parametrize("environment", ["testnet", "demo"])
def test_test_hosts_are_allowed_with_key_and_confirmation(tmp_path: Path, environment: str) -> None:
    access = allowed_access(settings(tmp_path, environment, **KEY), CONFIRMED)
    assert environment in access.endpoints.rest


@pytest.mark.parametrize(
    ("environment", "given", "environ", "expected"),
    [
        ("mainnet", KEY, CONFIRMED, "never runs on mainnet"),
        ("simulated", KEY, CONFIRMED, "never runs on simulated"),
        ("testnet", {}, CONFIRMED, "an API key is needed"),
        ("testnet", KEY, {}, "TRADING_LIVE_CONFIRM=LIVE-CHECK"),
        ("testnet", KEY, MAINNET, "TRADING_LIVE_CONFIRM=LIVE-CHECK"),
        ("testnet", KEY | {"bybit.rest_url": "https://api.bytick.com"}, CONFIRMED, "no host of"),
        ("testnet", KEY | {"bybit.rest_url": "https://api.bybit.com"}, CONFIRMED, "of mainnet"),
        ("demo", KEY | {"bybit.ws_url": "wss://example.org"}, CONFIRMED, "no host of demo"),
    ],
)
def test_everything_else_is_refused(
    tmp_path: Path,
    environment: str,
    given: dict[str, str],
    environ: dict[str, str],
    expected: str,
) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        allowed_access(settings(tmp_path, environment, **given), environ)


def test_command_without_a_test_host_is_misuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([], {}) == ExitCode.MISUSE
    assert "TRADING_ENVIRONMENT" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "601", "nan", "soon"])
def test_time_for_books_is_bounded(seconds: str) -> None:
    with pytest.raises(SystemExit):
        main(["--books", seconds], {})


def test_verification_of_certificates_is_never_off(tmp_path: Path) -> None:
    context = trusting(None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigurationError, match="--ca-file"):
        trusting(tmp_path / "empty.pem")


ROW = {
    "symbol": "ABCUSDT",
    "contractType": "LinearPerpetual",
    "status": "Trading",
    "baseCoin": "ABC",
    "quoteCoin": "USDT",
    "settleCoin": "USDT",
    "fundingInterval": 480,
    "leverageFilter": {"minLeverage": "1", "maxLeverage": "50.00", "leverageStep": "0.01"},
    "priceFilter": {"minPrice": "0.01", "maxPrice": "199999.98", "tickSize": "0.01"},
    "lotSizeFilter": {
        "minOrderQty": "0.1",
        "maxOrderQty": "5000.0",
        "maxMktOrderQty": "1000.0",
        "qtyStep": "0.1",
        "minNotionalValue": "5",
    },
}


def frame(depth: int, update: int, bid: str, ask: str, kind: str = "delta") -> bytes:
    data = {"s": "ABCUSDT", "b": [[bid, "1.0"]], "a": [[ask, "1.0"]], "u": update, "seq": update}
    topic = f"orderbook.{depth}.ABCUSDT"
    row = {"topic": topic, "type": kind, "ts": 1, "data": data, "cts": 1}
    return json.dumps(row).encode()


def watched(*frames: bytes) -> WatchedBooks:
    books = WatchedBooks(instrument(ROW))
    books.trust.on_connected(0)
    for number, each in enumerate(frames):
        books.on_frame(each, json.loads(each)["topic"], number * 1_000_000)
    return books


SNAPSHOTS = [frame(depth, 10, "10.00", "10.02", "snapshot") for depth in (1, 50, 200)]


def test_sound_books_are_no_problem() -> None:
    books = watched(*SNAPSHOTS, frame(50, 11, "9.99", "10.03"), b'{"topic":"tickers.ABCUSDT"}')
    assert books.problems() == []
    assert books.figures()["orderbook.50.ABCUSDT"]["messages"] == 2
    assert books.figures()["orderbook.50.ABCUSDT"]["longest_silence_ms"] == 2


def test_gaps_crossed_and_mute_books_are_problems() -> None:
    books = watched(SNAPSHOTS[0], SNAPSHOTS[1], frame(50, 9, "9.99", "10.03"))
    assert "orderbook.50.ABCUSDT: 1 gaps" in books.problems()
    assert "orderbook.200.ABCUSDT: no book that can be trusted at the end" in books.problems()
    crossed = watched(*SNAPSHOTS, frame(50, 11, "10.05", "10.03"))
    assert "orderbook.50.ABCUSDT: 1 messages crossed" in crossed.problems()


def test_stream_on_which_nothing_comes_is_a_problem() -> None:
    books = watched()
    books.settle(6_000_000_000)
    assert "orderbook.50.ABCUSDT: no snapshot came" in books.problems()
