"""What the stream computes, when, and what each client gets of it."""

import json
from typing import Any

import pytest
from inspection import SYMBOLS, FakeInspection, full_status
from structlog.testing import capture_logs

from trading_system.api.stream import MAX_CLIENTS, TOPICS, Stream, StreamClient
from trading_system.runtime.clock import ManualClock


class Source:
    calls = 0

    def get_system_status(self) -> dict[str, Any]:
        self.calls += 1
        return full_status()


class Rig:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.source = Source()
        self.inspection = FakeInspection()
        self.stream = Stream(self.source, self.inspection, clock=self.clock)

    def client(self, *topics: str) -> StreamClient:
        client = self.stream.admit()
        assert client is not None
        client.want(topics)
        return client

    def tick(self, seconds: float = 0.1) -> None:
        self.clock.advance(seconds)
        self.stream.tick()

    def frames(self, client: StreamClient) -> list[dict[str, Any]]:
        found = []
        while (frame := client.fresh(self.stream)) is not None:
            found.append(json.loads(frame))
        return found


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_nothing_is_computed_for_nobody(rig: Rig) -> None:
    rig.client()
    for _ in range(20):
        rig.tick()
    assert (rig.source.calls, rig.inspection.calls) == (0, {})


def test_a_client_slower_than_its_fastest_topic_gets_every_topic_all_the_same(rig: Rig) -> None:
    topics = ["status", "alerts", *(f"market:{symbol}" for symbol in SYMBOLS)]
    client = rig.client(*topics)
    seen: dict[str, int] = dict.fromkeys(topics, 0)
    for _ in range(60):  # one frame for each tick, while two books change at every tick
        rig.inspection.book_version += 1
        rig.tick()
        frame = client.fresh(rig.stream)
        assert frame is not None
        seen[json.loads(frame)["topic"]] += 1
    assert min(seen.values()) >= 8, seen


def test_every_topic_has_the_shape_of_its_answer(rig: Rig) -> None:
    client = rig.client(*TOPICS, "market:BTCUSDT")
    rig.tick()
    frames = {frame["topic"]: frame for frame in rig.frames(client)}
    assert set(frames) == {*TOPICS, "market:BTCUSDT"}
    assert frames["status"]["data"] == full_status()
    assert frames["positions"]["data"] == FakeInspection().positions()
    assert frames["equity"]["data"] == {
        "start": "100000",
        "points": FakeInspection().equity()["points"][-1:],
    }
    assert frames["status"]["time_ms"] == rig.clock.utc_ns() // 1_000_000


@pytest.mark.parametrize(
    ("topic", "method", "calls"),
    [
        ("alerts", "alerts", 20),
        ("positions", "positions", 20),
        ("market-maker", "market_maker", 20),
        ("equity", "equity", 10),
        ("market:BTCUSDT", "market", 100),
    ],
)
def test_a_topic_is_computed_no_more_often_than_it_may(
    rig: Rig, topic: str, method: str, calls: int
) -> None:
    clients = [rig.client(topic) for _ in range(5)]
    for _ in range(100):
        rig.inspection.book_version += 1
        rig.tick()
        for client in clients:
            rig.frames(client)
    assert rig.inspection.calls[method] == calls


def test_a_market_is_sent_only_when_the_book_changed(rig: Rig) -> None:
    client = rig.client("market:BTCUSDT")
    counts = []
    for change in (0, 0, 1, 0, 1):
        rig.inspection.book_version += change
        rig.tick()
        counts.append(len(rig.frames(client)))
    assert counts == [1, 0, 1, 0, 1]


def test_a_late_client_gets_the_newest_book_though_it_did_not_change(rig: Rig) -> None:
    rig.client("market:BTCUSDT")
    rig.tick()
    late = rig.client("market:BTCUSDT")
    assert len(rig.frames(late)) == 1


def test_a_slow_client_skips_frames_and_gets_the_newest(rig: Rig) -> None:
    slow = rig.client("market:BTCUSDT")
    for _ in range(50):
        rig.inspection.book_version += 1
        rig.tick()
    (frame,) = rig.frames(slow)
    assert frame["data"]["time_ms"] == rig.inspection.market("BTCUSDT", depth=1)["time_ms"]


def test_one_encoding_is_shared_by_all(rig: Rig) -> None:
    first, second = rig.client("status", "log"), rig.client("status", "log")
    rig.tick()
    ours = {id(first.fresh(rig.stream)) for _ in range(2)}
    theirs = {id(second.fresh(rig.stream)) for _ in range(2)}
    assert ours == theirs
    assert rig.source.calls == 1


def test_log_lines_come_once_and_none_is_lost_by_a_slow_client(rig: Rig) -> None:
    fast, slow = rig.client("log"), rig.client("log")
    seen: dict[str, list[int]] = {"fast": [], "slow": []}
    rig.tick()
    for step in range(6):
        seen["fast"] += numbers(rig.frames(fast))
        if step in {0, 5}:
            seen["slow"] += numbers(rig.frames(slow))
        rig.inspection.last_line += 3
        rig.tick(0.5)
    seen["fast"] += numbers(rig.frames(fast))
    seen["slow"] += numbers(rig.frames(slow))
    assert seen["fast"] == seen["slow"] == list(range(1, 24))


def test_a_newcomer_gets_the_newest_200_log_lines(rig: Rig) -> None:
    rig.inspection.last_line = 950
    client = rig.client("log")
    rig.tick()
    assert numbers(rig.frames(client)) == list(range(751, 951))


def test_without_new_lines_nothing_is_sent(rig: Rig) -> None:
    client = rig.client("log")
    rig.tick()
    rig.frames(client)
    rig.tick(0.6)
    assert rig.frames(client) == []


def test_an_empty_log_is_no_frame(rig: Rig) -> None:
    rig.inspection.last_line = 0
    client = rig.client("log")
    rig.tick()
    assert rig.frames(client) == []


def test_lines_lost_from_the_ring_are_not_waited_for(rig: Rig) -> None:
    client = rig.client("log")
    rig.tick()
    rig.frames(client)
    rig.inspection.last_line = 5000
    rig.tick(0.6)
    assert numbers(rig.frames(client))[-1] == 5000
    assert rig.frames(client) == []


def numbers(frames: list[dict[str, Any]]) -> list[int]:
    return [line["number"] for frame in frames for line in frame["data"]["lines"]]


def test_topics_are_replaced_and_forgotten_when_nobody_wants_them(rig: Rig) -> None:
    client = rig.client("status", "log", "market:BTCUSDT")
    rig.tick()
    rig.frames(client)
    client.want(["alerts"])
    rig.tick()
    assert [frame["topic"] for frame in rig.frames(client)] == ["alerts"]
    assert set(rig.stream.newest) == {"alerts"}
    assert rig.stream.log_end is None


def test_a_topic_that_stays_is_not_sent_twice(rig: Rig) -> None:
    client = rig.client("status")
    rig.tick()
    rig.frames(client)
    client.want(["status", "alerts"])
    assert rig.frames(client) == []


def test_more_clients_than_16_are_not_admitted_until_one_leaves(rig: Rig) -> None:
    clients = [rig.client("status") for _ in range(MAX_CLIENTS)]
    assert rig.stream.admit() is None
    rig.stream.dismiss(clients[0])
    assert rig.stream.admit() is not None
    assert rig.stream.clients == MAX_CLIENTS


def test_a_broken_topic_takes_no_other_with_it_and_is_logged_once_a_minute(rig: Rig) -> None:
    client = rig.client("status", "alerts", "log")
    rig.inspection.failure = RuntimeError("broken")
    with capture_logs() as lines:
        for _ in range(3):
            rig.tick(0.5)
    assert {frame["topic"] for frame in rig.frames(client)} == {"status"}
    assert len(lines) == 1
    rig.inspection.failure = None
    rig.tick(0.5)
    assert {frame["topic"] for frame in rig.frames(client)} == {"status", "alerts", "log"}


@pytest.mark.parametrize(
    "topic", ["", "Status", "market:", "market:btc", "market:NOSUCH", "market:../x", "x" * 500]
)
def test_an_unknown_topic_is_named_as_such(rig: Rig, topic: str) -> None:
    reason = rig.stream.checked(["status", topic])
    assert reason
    assert len(reason) < 200


def test_known_topics_are_not_refused(rig: Rig) -> None:
    assert rig.stream.checked([*TOPICS, *(f"market:{symbol}" for symbol in SYMBOLS)]) is None


def test_clients_are_woken_only_by_news(rig: Rig) -> None:
    client = rig.client("market:BTCUSDT")
    rig.tick()
    client.wake.clear()
    rig.tick()
    assert not client.wake.is_set()
    rig.inspection.book_version += 1
    rig.tick()
    assert client.wake.is_set()
