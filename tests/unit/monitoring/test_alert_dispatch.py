"""Telling people: bounded, paced, retried, and never in the way."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import pytest
from alert_receivers import SteeredSink, receiver

from trading_system.config.operations import AlertSettings
from trading_system.monitoring.alerts.book import Notice, NoticeKind
from trading_system.monitoring.alerts.dispatch import (
    CAPACITY,
    Dispatcher,
    Patience,
    compose,
    pause,
)
from trading_system.monitoring.alerts.figures import Severity
from trading_system.monitoring.alerts.sinks import sinks_of
from trading_system.monitoring.redaction import Redactor
from trading_system.runtime.clock import ManualClock

QUICK = Patience(deadline_s=0.05, flush_s=0.3, first_retry_s=0.001, max_retry_s=0.002)
CALM = Patience(deadline_s=5.0, flush_s=5.0, first_retry_s=0.001, max_retry_s=0.002)


def notice(rule="r", severity=Severity.WARNING, kind=NoticeKind.FIRED, subject=""):
    return Notice(
        kind=kind,
        alert_id=f"id-{rule}",
        rule=rule,
        subject=subject,
        severity=severity,
        message=f"{rule} is wrong",
        remedy="mend it.",
        since_ms=1_700_000_000_000,
        time_ms=1_700_000_000_000,
    )


class Room:
    """A dispatcher with its clock; waiting for the budget moves the clock."""

    def __init__(self, *sinks, patience=CALM, **settings):
        self.clock = ManualClock()
        self.sent_ids = []
        self.pauses = []
        self.log = SteeredSink("log")
        redact = Redactor()
        redact.add("canary-secret")
        self.dispatcher = Dispatcher(
            AlertSettings(**settings),
            sinks=sinks,
            clock=self.clock,
            redact=redact,
            on_sent=self.sent_ids.extend,
            log=self.log,
            patience=patience,
            pause=self.pause,
            rng=random.Random(1),
        )

    async def pause(self, event, seconds):
        self.pauses.append(seconds)
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self):
        task = asyncio.get_running_loop().create_task(self.dispatcher.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.002)


async def test_what_is_offered_reaches_every_sink_and_the_log():
    one, two = SteeredSink("one"), SteeredSink("two")
    room = Room(one, two)
    async with room.running():
        room.dispatcher.offer([notice(severity=Severity.CRITICAL, subject="BTCUSDT")])
        await room.until(lambda: one.messages and two.messages and len(room.sent_ids) == 2)
    assert one.messages == two.messages == room.log.messages
    title, text = one.messages[0]
    assert title == "CRITICAL fired: r (BTCUSDT)"
    assert text == "r is wrong\nSince 2023-11-14 22:13:20 UTC. What to do: mend it."
    assert room.dispatcher.figures()["sent"] == 2


async def test_less_severe_notices_go_to_the_log_only():
    sink = SteeredSink()
    room = Room(sink)
    async with room.running():
        room.dispatcher.offer([notice("small", Severity.INFO), notice("big")])
        await room.until(lambda: sink.messages)
    assert len(room.log.messages) == 2
    assert [title for title, _ in sink.messages] == ["WARNING fired: big"]


async def test_a_failed_message_is_retried_with_growing_bounded_pauses():
    sink = SteeredSink(failures=4)
    room = Room(sink)
    async with room.running():
        room.dispatcher.offer([notice()])
        await room.until(lambda: sink.messages)
    figures = room.dispatcher.figures()
    assert (figures["sent"], figures["failed"], figures["last_error"]) == (1, 4, "refused")
    assert all(0 < wait_s <= CALM.max_retry_s for wait_s in room.pauses)
    assert sink.most_at_work == 1


async def test_a_sink_that_never_works_is_given_up_and_counted():
    sink = SteeredSink(failures=1000, error=ValueError("canary-secret"))
    room = Room(sink)
    async with room.running():
        room.dispatcher.offer([notice()])
        await room.until(lambda: room.dispatcher.figures()["dropped"] == 1)
        calls = sink.calls
        room.dispatcher.offer([notice("next", Severity.INFO)])
    assert sink.calls == calls == 20
    assert room.dispatcher.figures()["last_error"] == "fake: ValueError"


async def test_a_hanging_sink_stops_neither_others_nor_the_stop():
    hanging, working = SteeredSink("hanging"), SteeredSink("working")
    hanging.gate.clear()
    room = Room(hanging, working, patience=QUICK)
    try:
        async with asyncio.timeout(3):
            async with room.running():
                room.dispatcher.offer([notice("first")])
                await room.until(lambda: room.dispatcher.figures()["failed"] == 1)
                room.dispatcher.offer([notice("second")])
                await room.until(lambda: len(working.messages) == 2)
        assert hanging.calls == 1
        assert "no answer within" in room.dispatcher.figures()["last_error"]
    finally:
        hanging.gate.set()


async def test_a_late_answer_counts_as_sent_and_is_not_sent_again():
    sink = SteeredSink()
    sink.gate.clear()
    room = Room(sink, patience=QUICK)
    async with room.running():
        room.dispatcher.offer([notice("slow")])
        await room.until(lambda: room.dispatcher.figures()["failed"] == 1)
        sink.gate.set()
        await room.until(lambda: room.dispatcher.figures()["sent"] == 1)
    assert [title for title, _ in sink.messages] == ["WARNING fired: slow"]


async def test_more_than_the_budget_is_summed_up_in_one_message_a_minute_later():
    sink = SteeredSink()
    room = Room(sink, max_per_minute=2)
    async with room.running():
        room.dispatcher.offer([notice("a")])
        await room.until(lambda: len(sink.messages) == 1)
        room.dispatcher.offer([notice("b"), notice("c"), notice("d")])
        await room.until(lambda: len(sink.messages) == 2)
    assert room.pauses == [60.0]
    assert sink.messages[1][0] == "3 alerts, first: WARNING fired: b"


async def test_the_last_message_of_the_budget_is_kept_for_what_is_critical():
    sink = SteeredSink()
    room = Room(sink, max_per_minute=2)
    async with room.running():
        room.dispatcher.offer([notice("a")])
        await room.until(lambda: len(sink.messages) == 1)
        room.dispatcher.offer([notice("b"), notice("kill", Severity.CRITICAL)])
        await room.until(lambda: len(sink.messages) == 2)
    assert room.pauses == []
    assert sink.messages[1][0] == "2 alerts, first: CRITICAL fired: kill"


async def test_a_full_queue_drops_the_oldest_of_the_lowest_severity():
    sink = SteeredSink()
    room = Room(sink, min_severity="info")
    room.dispatcher.offer([notice("bad", Severity.CRITICAL), notice("old", Severity.INFO)])
    room.dispatcher.offer([notice(f"n{number}") for number in range(CAPACITY)])
    assert room.dispatcher.figures()["dropped"] == 2
    async with room.running():
        await room.until(lambda: sink.messages)
    title, text = sink.messages[0]
    assert title == f"{CAPACITY} alerts, first: CRITICAL fired: bad"
    assert "old" not in text
    assert "n0," not in text
    assert "and 54 more: " in text


async def test_what_is_left_at_the_end_is_flushed_once():
    sink = SteeredSink()
    room = Room(sink, max_per_minute=1)
    async with room.running():
        room.dispatcher.offer([notice("a")])
        await room.until(lambda: len(sink.messages) == 1)
        room.clock.advance(1.0)
        room.dispatcher.offer([notice("b"), notice("c")])
    assert [title for title, _ in sink.messages][1:] == ["2 alerts, first: WARNING fired: b"]


async def test_without_sinks_only_the_log_is_told_and_run_returns():
    room = Room()
    room.dispatcher.offer([notice()])
    await room.dispatcher.run()
    assert room.dispatcher.figures() == {
        "sinks": [],
        "sent": 0,
        "failed": 0,
        "dropped": 0,
        "last_error": None,
    }
    assert len(room.log.messages) == 1


async def test_no_secret_is_in_a_message():
    sink = SteeredSink()
    room = Room(sink)
    async with room.running():
        room.dispatcher.offer([notice("canary-secret", subject="canary-secret")])
        await room.until(lambda: sink.messages)
    assert "canary" not in str(sink.messages) + str(room.log.messages)


def test_cleared_alerts_come_last_and_say_that_they_are_over():
    title, text = compose([notice("gone", Severity.CRITICAL, NoticeKind.CLEARED), notice("new")])
    assert title == "2 alerts, first: WARNING fired: new"
    assert text.endswith("gone is wrong\nIt began 2023-11-14 22:13:20 UTC and is over.")


async def test_a_pause_ends_with_its_event_or_its_time():
    event = asyncio.Event()
    await pause(event, 0.001)
    event.set()
    async with asyncio.timeout(1):
        await pause(event, 3600)


@pytest.mark.parametrize(("status", "sent"), [(200, 1), (500, 0)])
async def test_a_real_receiver_gets_the_message_by_apprise(status, sent):
    with receiver() as state:
        state.status = status
        settings = AlertSettings(urls=f"json://127.0.0.1:{state.port}/hook-4711-token")
        room = Room(*sinks_of(settings))
        async with room.running():
            room.dispatcher.offer([notice("kill-switch", Severity.CRITICAL)])
            figure = "sent" if sent else "failed"
            await room.until(lambda: room.dispatcher.figures()[figure] >= 1)
    assert b"CRITICAL fired: kill-switch" in state.bodies[0]
    assert room.dispatcher.figures()["sinks"] == ["json"]
    assert (room.dispatcher.figures()["sent"] >= 1) is bool(sent)
