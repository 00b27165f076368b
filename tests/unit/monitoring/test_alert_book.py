"""One alert per rule and subject: fire, worsen, repeat, acknowledge, clear."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.config.operations import AlertSettings
from trading_system.domain.errors import ValidationError
from trading_system.monitoring.alerts.book import (
    HOLD_DOWN_S,
    MAX_CLEARED,
    MAX_FIRING,
    AlertBook,
    NoticeKind,
)
from trading_system.monitoring.alerts.figures import Condition, Severity
from trading_system.monitoring.redaction import Redactor
from trading_system.runtime.clock import ManualClock


def wrong(rule="r", subject="", severity=Severity.WARNING, message="broken"):
    return Condition(
        rule=rule, subject=subject, severity=severity, message=message, remedy="mend it."
    )


def opened(repeat_s=60.0, **given_):
    clock = ManualClock()
    return AlertBook(AlertSettings(repeat_s=repeat_s), clock=clock, **given_), clock


def kinds(notices):
    return [notice.kind for notice in notices]


def test_a_condition_fires_at_once_and_only_once():
    book, _ = opened()
    assert kinds(book.observe([wrong(), wrong()])) == [NoticeKind.FIRED]
    assert book.observe([wrong()]) == []
    assert book.summary()["firing"] == 1


def test_a_condition_clears_only_after_the_hold_down():
    book, clock = opened()
    book.observe([wrong()])
    assert book.observe([]) == []
    clock.advance(HOLD_DOWN_S - 0.001)
    assert book.observe([]) == []
    clock.advance(0.001)
    assert kinds(book.observe([])) == [NoticeKind.CLEARED]
    row = book.rows()["alerts"][0]
    assert row["state"] == "cleared"
    assert row["cleared_ms"] - row["since_ms"] == 2000


def test_a_short_flicker_is_counted_but_told_to_nobody():
    book, clock = opened()
    book.observe([wrong()])
    book.observe([])
    clock.advance(HOLD_DOWN_S / 2)
    assert book.observe([wrong()]) == []
    assert book.rows()["alerts"][0]["times"] == 2


def test_only_a_worse_severity_is_told_and_it_never_sinks_while_firing():
    book, _ = opened()
    book.observe([wrong()])
    assert kinds(book.observe([wrong(severity=Severity.CRITICAL)])) == [NoticeKind.ESCALATED]
    assert book.observe([wrong()]) == []
    assert book.observe([wrong(severity=Severity.CRITICAL)]) == []
    assert book.summary()["worst"] == "critical"


def test_an_alert_is_repeated_until_somebody_acknowledges_it():
    book, clock = opened(repeat_s=60.0)
    book.observe([wrong()])
    clock.advance(60.0)
    assert kinds(book.observe([wrong()])) == [NoticeKind.REPEATED]
    row = book.acknowledge(book.rows()["alerts"][0]["id"], note="on it")
    clock.advance(3600.0)
    assert book.observe([wrong()]) == []
    assert (row["state"], row["note"]) == ("acknowledged", "on it")
    assert book.summary()["unacknowledged"] == 0


def test_an_acknowledged_alert_still_tells_that_it_got_worse_and_keeps_its_state():
    book, _ = opened()
    [fired] = book.observe([wrong()])
    book.acknowledge(fired.alert_id, note="")
    assert kinds(book.observe([wrong(severity=Severity.CRITICAL)])) == [NoticeKind.ESCALATED]
    assert book.rows()["alerts"][0]["state"] == "acknowledged"


def test_after_clearing_it_fires_anew_as_another_unacknowledged_alert():
    book, clock = opened()
    [first] = book.observe([wrong()])
    book.acknowledge(first.alert_id, note="")
    book.observe([])
    clock.advance(HOLD_DOWN_S)
    book.observe([])
    [second] = book.observe([wrong()])
    assert second.alert_id != first.alert_id
    assert book.summary()["unacknowledged"] == 1


def test_an_alert_that_does_not_fire_cannot_be_acknowledged():
    book, clock = opened()
    [fired] = book.observe([wrong()])
    book.observe([])
    clock.advance(HOLD_DOWN_S)
    book.observe([])
    with pytest.raises(ValidationError, match="no alert with this id fires"):
        book.acknowledge(fired.alert_id, note="too late")


def test_the_worst_is_listed_first_and_the_newest_cleared_last():
    book, clock = opened()
    book.observe([wrong("a"), wrong("b", severity=Severity.CRITICAL), wrong("c")])
    book.observe([wrong("a"), wrong("b", severity=Severity.CRITICAL)])
    clock.advance(HOLD_DOWN_S)
    book.observe([wrong("a"), wrong("b", severity=Severity.CRITICAL)])
    rows = book.rows()["alerts"]
    assert [row["rule"] for row in rows] == ["b", "a", "c"]
    json.dumps(book.rows(), allow_nan=False)


def test_memory_is_bounded_and_makes_room_for_what_is_worse():
    book, clock = opened()
    book.observe([wrong("r", f"s{number}") for number in range(MAX_FIRING + 10)])
    assert book.summary()["firing"] == MAX_FIRING
    assert book.overlooked == 10
    many = [wrong("r", f"s{number}") for number in range(10, MAX_FIRING)]
    notices = book.observe([*many, wrong("bad", severity=Severity.CRITICAL)])
    assert [notice.rule for notice in notices] == ["bad"]
    for _ in range(3):
        book.observe([])
        clock.advance(HOLD_DOWN_S)
        book.observe([])
        book.observe([wrong("r", f"s{number}") for number in range(MAX_FIRING)])
    assert len(book.rows()["alerts"]) == MAX_FIRING + MAX_CLEARED


def test_what_was_delivered_is_counted_and_shown():
    book, _ = opened()
    book.attach(lambda: {"sinks": ["mailto"], "sent": 3, "failed": 1, "dropped": 2}, dict)
    [fired] = book.observe([wrong()])
    book.note_sent([fired.alert_id, "unknown"])
    assert book.rows()["alerts"][0]["sent"] == 1
    assert book.rows()["delivery"]["sinks"] == ["mailto"]
    assert (book.summary()["sent"], book.summary()["dropped"], book.summary()["failed"]) == (
        3,
        2,
        1,
    )


def test_no_secret_is_kept_and_texts_are_bounded():
    redact = Redactor()
    redact.add("canary-secret")
    book, _ = opened(redact=redact)
    [fired] = book.observe([wrong(subject="canary-secret", message="x" * 600 + "canary-secret")])
    book.acknowledge(fired.alert_id, note="it is canary-secret")
    assert "canary" not in json.dumps(book.rows())
    assert len(book.rows()["alerts"][0]["message"]) == 500


STEP = st.tuples(
    st.integers(0, 5),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(list(Severity)), max_size=3),
)


def slowly(history, repeat_ticks, hold_ticks):
    """Tell from the whole history of one subject, second by second, what it said at the end."""
    said, worst, told, last_seen, gone = [], None, 0, None, None
    for now, severity in history:
        if severity is not None:
            if worst is None:
                said.append((now, NoticeKind.FIRED))
                worst, told = severity, now
            elif severity > worst:
                said.append((now, NoticeKind.ESCALATED))
                worst, told = severity, now
            elif now - told >= repeat_ticks:
                said.append((now, NoticeKind.REPEATED))
                told = now
            last_seen, gone = now, None
        elif last_seen is not None and worst is not None:
            gone = now if gone is None else gone
            if now - gone >= hold_ticks:
                said.append((now, NoticeKind.CLEARED))
                worst = None
    return said


@given(st.lists(STEP, max_size=40))
def test_the_book_says_what_a_slow_look_at_each_history_says(steps):
    book, clock = opened(repeat_s=5.0)
    now, said, histories = 0, {key: [] for key in "abc"}, {key: [] for key in "abc"}
    for wait_s, present in steps:
        clock.advance(wait_s)
        now += wait_s
        for notice in book.observe([wrong(key, severity=sev) for key, sev in present.items()]):
            said[notice.rule].append((now, notice.kind))
        for key, history in histories.items():
            history.append((now, present.get(key)))
    for key, history in histories.items():
        assert said[key] == slowly(history, 5, 2)
