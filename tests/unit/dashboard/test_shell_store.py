from __future__ import annotations

from trading_system.dashboard.store import MAX_LINES, MAX_TOPICS, Store
from trading_system.runtime.clock import ManualClock


def make():
    clock = ManualClock()
    return Store(clock=clock), clock


def test_nothing_is_known_at_first():
    store, _ = make()
    assert store.status is None
    assert store.newest("alerts") is None
    assert store.age_s("status") is None
    assert not store.is_connected
    assert store.problem


def test_the_newest_frame_wins_and_grows_old():
    store, clock = make()
    store.put("status", {"state": "RUNNING"})
    clock.advance(2.0)
    store.put("status", {"state": "STOPPED"})
    clock.advance(1.5)
    assert store.status == {"state": "STOPPED"}
    assert store.age_s("status") == 1.5


def test_a_lost_connection_keeps_old_frames_and_says_why():
    store, _ = make()
    store.connected()
    assert (store.is_connected, store.problem) == (True, "")
    store.put("status", {"state": "RUNNING"})
    store.lost("gone")
    assert (store.is_connected, store.problem) == (False, "gone")
    assert store.status is not None
    store.forget()
    assert store.status is None


def test_topics_are_bounded():
    store, _ = make()
    for number in range(MAX_TOPICS + 5):
        store.put(f"market:{number}", {})
    assert store.newest("market:4") is None
    assert store.newest("market:5") == {}


def test_log_lines_are_kept_once_newest_first_and_bounded():
    store, _ = make()
    store.add_lines({"lines": [{"number": 1, "event": "a"}, {"number": 2, "event": "b"}]})
    store.put("log", {"lines": [{"number": 2, "event": "b"}, {"number": 3, "event": "c"}]})
    assert [line["number"] for line in store.log_lines()] == [3, 2, 1]
    store.put("log", {"lines": [{"number": n} for n in range(4, MAX_LINES + 10)]})
    assert len(store.log_lines()) == MAX_LINES


def test_broken_log_lines_are_left_out():
    store, _ = make()
    store.put("log", {"lines": [None, {"number": "x"}, {}]})
    store.put("log", {})
    store.put("log", {"lines": 3})
    assert store.log_lines() == []
