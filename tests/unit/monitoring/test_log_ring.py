"""The newest log lines, bounded, JSON-safe and without secrets."""

from __future__ import annotations

import json
import logging
import threading

from hypothesis import given
from hypothesis import strategies as st

from trading_system.monitoring.log_ring import LOG, LogRing, RingHandler
from trading_system.monitoring.redaction import Redactor
from trading_system.runtime.clock import ManualClock


def opened(capacity=1000, *secrets):
    redact = Redactor()
    for secret in secrets:
        redact.add(secret)
    return LogRing(capacity, clock=ManualClock(), redact=redact)


def numbers(answer):
    return [line["number"] for line in answer["lines"]]


def test_a_line_is_kept_and_passed_on_unchanged():
    ring = opened()
    event = {"event": "stream down", "level": "warning", "timestamp": "x", "url": "wss://a"}
    assert ring(None, "warning", event) is event
    assert ring.lines()["lines"] == [
        {
            "number": 1,
            "time_ms": 1_700_000_000_000,
            "level": "warning",
            "event": "stream down",
            "fields": {"url": "wss://a"},
        }
    ]


def test_paging_gives_every_line_once_and_starts_with_the_newest():
    ring = opened(10)
    assert ring.lines() == {"lines": [], "next_after": 0}
    for number in range(15):
        ring.keep("info", f"line {number}", {})
    assert numbers(ring.lines(limit=3)) == [13, 14, 15]
    assert numbers(ring.lines(after=2, limit=4)) == [6, 7, 8, 9]
    assert ring.lines(after=9, limit=4)["next_after"] == 13
    assert ring.lines(after=15) == {"lines": [], "next_after": 15}


def test_a_number_of_an_earlier_run_starts_anew():
    ring = opened()
    ring.keep("info", "first", {})
    assert numbers(ring.lines(after=950)) == [1]


def test_a_traceback_is_kept_without_secrets():
    ring = opened(10, "canary-secret")
    try:
        raise ValueError("canary-secret")
    except ValueError as e:
        ring(None, "error", {"event": "a canary-secret", "exc_info": True})
        ring(None, "error", {"event": "b", "exc_info": e})
        ring(None, "error", {"event": "c", "exc_info": (ValueError, e, None)})
    ring(None, "error", {"event": "d", "exc_info": True})
    lines = ring.lines()["lines"]
    assert ["traceback" in line["fields"] for line in lines] == [True, True, True, False]
    assert "ValueError: ***" in lines[0]["fields"]["traceback"]
    assert "canary" not in json.dumps(lines)


def test_lines_of_standard_logging_are_kept_too():
    ring = opened()
    handler = RingHandler(ring)
    record = logging.LogRecord("aiohttp", logging.WARNING, "f", 1, "slow %s", ("x",), None)
    handler.handle(record)
    [line] = ring.lines()["lines"]
    assert (line["level"], line["event"]) == ("warning", "slow x")
    assert line["fields"] == {"logger": "aiohttp"}


def test_a_traceback_of_standard_logging_is_kept():
    ring = opened()
    error = ValueError("boom")
    info = (ValueError, error, None)
    RingHandler(ring).handle(logging.LogRecord("a", 40, "f", 1, "m", (), info))
    assert "boom" in ring.lines()["lines"][0]["fields"]["traceback"]


def test_a_record_that_cannot_be_formatted_breaks_nothing(capsys):
    ring = opened()
    RingHandler(ring).handle(logging.LogRecord("a", 40, "f", 1, "%d", ("x",), None))
    assert ring.lines()["lines"] == []
    assert "Logging error" in capsys.readouterr().err


def test_long_lines_are_cut_and_never_through_a_secret():
    ring = opened(10, "canary-secret")
    ring.keep("info", "e" * 490 + "canary-secret", {"a": "x" * 1985 + "canary-secret", "b": 1})
    [line] = ring.lines()["lines"]
    assert len(line["event"]) <= 500
    assert "cana" not in json.dumps(line)
    assert len(json.dumps(line["fields"])) <= 2000


@given(
    st.dictionaries(st.text(max_size=50), st.one_of(st.text(), st.lists(st.floats())), max_size=90)
)
def test_fields_are_json_and_bounded_whatever_they_are(fields):
    ring = opened()
    ring.keep("info", "x", {**fields, "long": "\n" * 3000, "next": ["y" * 5000]})
    kept = ring.lines()["lines"][0]["fields"]
    assert len(json.dumps(kept, allow_nan=False)) <= 2900


def test_threads_share_one_row_of_numbers():
    ring = opened()

    def write():
        for _ in range(100):
            ring.keep("info", "x", {})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(ring.lines(limit=500)) == list(range(1, 401))


def test_the_ring_of_the_process_tells_the_time_itself():
    before = LOG.lines()["next_after"]
    LOG.keep("info", "hello", {})
    line = LOG.lines(after=before)["lines"][-1] if before else LOG.lines()["lines"][-1]
    assert line["time_ms"] > 1_600_000_000_000
