"""The dead man's switch beats while the system is well, and only then."""

from __future__ import annotations

import asyncio

from alert_receivers import receiver
from structlog.testing import capture_logs

from trading_system.config.operations import AlertSettings
from trading_system.monitoring.alerts.heartbeat import Heartbeat
from trading_system.runtime.clock import ManualClock


def heart(url, *, is_well=lambda: True, deadline_s=5.0, **given):
    clock = ManualClock()
    settings = AlertSettings(heartbeat_url=url, heartbeat_s=30)
    return Heartbeat(settings, clock=clock, is_well=is_well, deadline_s=deadline_s, **given), clock


async def test_a_heartbeat_reads_the_address():
    with receiver() as state:
        beating, clock = heart(f"http://127.0.0.1:{state.port}/ping/token-4711")
        await beating.beat()
        clock.advance(12.0)
    assert state.paths == ["/ping/token-4711"]
    assert beating.figures() == {
        "heartbeats": 1,
        "heartbeat_failed": 0,
        "heartbeat_withheld": 0,
        "heartbeat_age_s": 12.0,
    }


async def test_a_system_that_is_not_well_does_not_beat():
    with receiver() as state:
        beating, _ = heart(f"http://127.0.0.1:{state.port}/", is_well=lambda: False)
        await beating.beat()
    assert state.paths == []
    assert beating.figures()["heartbeat_withheld"] == 1


async def test_a_failure_is_counted_and_said_once_without_the_address():
    with receiver() as state, capture_logs() as lines:
        state.status = 500
        beating, _ = heart(f"http://127.0.0.1:{state.port}/canary-token")
        await beating.beat()
        await beating.beat()
        assert beating.figures()["heartbeat_failed"] == 2
        state.status = 200
        await beating.beat()
    assert beating.figures()["heartbeats"] == 1
    assert [line["error"] for line in lines] == ["the heartbeat was not taken: status 500"]


async def test_an_address_where_nobody_listens_is_a_failure():
    with receiver() as state:
        port = state.port
    with capture_logs() as lines:
        beating, _ = heart(f"http://127.0.0.1:{port}/canary-token")
        await beating.beat()
    assert beating.figures()["heartbeat_failed"] == 1
    assert "canary" not in str(lines)


async def test_a_server_that_hangs_costs_one_thread_and_no_more_than_the_deadline():
    with receiver() as state:
        state.open.clear()
        beating, _ = heart(f"http://127.0.0.1:{state.port}/", deadline_s=0.05)
        async with asyncio.timeout(3):
            await beating.beat()
            await beating.beat()
        assert beating.figures()["heartbeat_failed"] == 2


async def test_it_beats_at_its_pace_until_cancelled():
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    with receiver() as state:
        beating, _ = heart(f"http://127.0.0.1:{state.port}/", sleep=sleep)
        task = asyncio.get_running_loop().create_task(beating.run())
        await asyncio.wait({task})
    assert waits == [30, 30, 30]
    assert len(state.paths) == 3


async def test_without_an_address_nothing_is_done():
    beating, _ = heart(None)
    await beating.run()
    await beating.beat()
    assert beating.figures()["heartbeats"] == 0
