"""Each part of the assembled session, degraded for real: the score falls and the reason names it.

The session is the real one; its venue, its sockets and time belong to the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from session_rig import PRICE, SessionRig, in_session

from trading_system.domain.errors import CorruptDataError
from trading_system.live import control
from trading_system.live.evidence import health_of, judged_health, snapshot_of
from trading_system.monitoring.health import Health, Part
from trading_system.monitoring.status import status_of

Degrade = Callable[[SessionRig], Awaitable[None]]


async def healthy(rig: SessionRig) -> Health:
    """Trade once, so that every part was measured, and return a flawless health."""
    await rig.enter()
    await rig.session.reconciler.check()
    health = rig.health()
    assert health.reasons == ()
    assert health.score == 100.0
    return health


async def no_market(rig: SessionRig) -> None:
    rig.is_ticking = False
    await asyncio.sleep(4.0)


async def bad_frames(rig: SessionRig) -> None:
    for _ in range(2):
        with contextlib.suppress(CorruptDataError):
            rig.session.feed.on_frame(b"no frame", rig.loop.monotonic_ns())


async def private_stream_down(rig: SessionRig) -> None:
    rig.private.goes_down("reset by peer")


async def foreign_position(rig: SessionRig) -> None:
    rig.venue.held *= 2
    await asyncio.sleep(6.0)


async def failing_requests(rig: SessionRig) -> None:
    rig.connection.rest.recent = (10, 100)


async def trade_socket_down(rig: SessionRig) -> None:
    assert rig.connection.trade is not None
    rig.connection.trade.is_up = False


async def slow_acks(rig: SessionRig) -> None:
    rig.venue.ack_s = 0.9
    await control.close(rig.session, "BTCUSDT")


async def costly_fills(rig: SessionRig) -> None:
    rig.venue.fill_price = PRICE * 98 / 100
    await control.close(rig.session, "BTCUSDT")


async def full_queue(rig: SessionRig) -> None:
    rig.connection.transport.queued = 60


async def full_disk(rig: SessionRig) -> None:
    rig.journal._connection.execute("PRAGMA query_only = 1")
    await asyncio.sleep(6.0)


async def blocked_loop(rig: SessionRig) -> None:
    for _ in range(20):
        rig.loop.elapsed_s += 0.2  # as a callback that does not return
        await asyncio.sleep(0.06)


async def wrong_clock(rig: SessionRig) -> None:
    rig.venue.offset_ms = -700.0
    await asyncio.sleep(61.0)


async def reduced(rig: SessionRig) -> None:
    control.reduce_only(rig.session, "news")


DEGRADATIONS: dict[Part, tuple[Degrade, str]] = {
    Part.MARKET_DATA: (no_market, "1 of 1 books not fresh"),
    Part.STREAM_QUALITY: (bad_frames, "2 stream gaps or bad frames"),
    Part.PRIVATE_STREAM: (private_stream_down, "down"),
    Part.RECONCILIATION: (foreign_position, "local and venue positions differ"),
    Part.VENUE_REQUESTS: (failing_requests, "10.0% of venue requests failed"),
    Part.TRADE_SOCKET: (trade_socket_down, "down"),
    Part.ORDER_ROUND_TRIP: (slow_acks, "target 500 ms"),
    Part.EXECUTION_QUALITY: (costly_fills, "success rate 50 %"),
    Part.REQUEST_QUEUE: (full_queue, "60 of 100 places"),
    Part.JOURNAL: (full_disk, "cannot be written"),
    Part.EVENT_LOOP: (blocked_loop, "lag p99"),
    Part.CLOCK: (wrong_clock, "offset to the venue 700 ms"),
    Part.TRADING_STATE: (reduced, "REDUCING (operator: reduce-only: news)"),
}
BY_AGENTS = {
    Part.SIGNAL_AGENTS: ("session_rig:BrokenAgent", "4 of 5 answer"),
    Part.CONSENSUS_TIME: ("session_rig:SlowAgent", "signal time p95 2.5e+03 ms, target 2e+03 ms"),
}


def test_every_part_is_degraded_by_one_of_these_tests() -> None:
    assert {*DEGRADATIONS, *BY_AGENTS} == set(Part)


def share(health: Health, part: Part) -> float:
    return dict(health.parts)[part.value]


def assert_named(health: Health, part: Part, text: str) -> None:
    (reason,) = [r for r in health.reasons if r.startswith(f"{part.value}:")]
    assert text in reason
    assert share(health, part) < 1.0


@pytest.mark.parametrize("part", DEGRADATIONS, ids=lambda part: part.name.lower())
def test_a_degraded_part_lowers_the_score_and_is_named(part: Part, tmp_path: Path) -> None:
    degrade, text = DEGRADATIONS[part]

    async def work(rig: SessionRig) -> None:
        before = await healthy(rig)
        await degrade(rig)
        after = rig.health()
        assert after.score < before.score
        assert_named(after, part, text)

    in_session(work, tmp_path)


@pytest.mark.parametrize("part", BY_AGENTS, ids=lambda part: part.name.lower())
def test_a_bad_signal_agent_of_the_user_is_named(part: Part, tmp_path: Path) -> None:
    signal, text = BY_AGENTS[part]

    async def work(rig: SessionRig) -> None:
        # The panel puts a bad agent aside after a while: it is named before that.
        for _ in range(100):
            await asyncio.sleep(0.1)
            if any(text in reason for reason in rig.health().reasons):
                break
        assert_named(rig.health(), part, text)

    in_session(work, tmp_path, strategy__signal=signal, risk__stale_book_s=30.0)


@pytest.mark.parametrize(
    ("lose", "cause"),
    [
        (private_stream_down, "private stream"),
        (foreign_position, "reconciliation"),
        (full_disk, "journal"),
    ],
)
def test_what_trading_cannot_do_without_caps_the_score(
    lose: Degrade, cause: str, tmp_path: Path
) -> None:
    async def work(rig: SessionRig) -> None:
        await healthy(rig)
        await lose(rig)
        health = rig.health()
        assert health.score < 40
        assert any(reason.startswith(f"outage ({cause})") for reason in health.reasons)

    in_session(work, tmp_path)


def test_a_dead_venue_process_halts_and_lowers_the_score_at_once(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await healthy(rig)
        rig.session.note_venue(is_up=False)
        health = rig.health()
        assert health.score < 40
        assert any("the embedded venue died" in reason for reason in health.reasons)
        rig.session.note_venue(is_up=True)
        await asyncio.sleep(1.0)
        assert rig.health().score == 100.0

    in_session(work, tmp_path)


def test_an_environment_without_order_socket_is_not_judged_by_it(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        health = await healthy(rig)
        assert Part.TRADE_SOCKET.value not in dict(health.parts)
        status = status_of(snapshot_of(rig.desk, health))
        assert status["streams"]["trade_connects"] is None

    in_session(work, tmp_path, has_trade=False)


def test_a_health_that_cannot_be_judged_is_none_and_says_so(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await healthy(rig)
        rig.session.private = None  # type: ignore[assignment] # a bug
        health = judged_health(rig.desk)
        assert (health.score, health.reasons) == (
            0.0,
            ("cannot be judged: AttributeError (-100.0)",),
        )

    in_session(work, tmp_path)


def test_quality_is_that_of_the_newest_parents_not_of_the_whole_run(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await healthy(rig)
        good = rig.session.trader.results[-1]
        late = replace(good, duration_ms=1e9)
        rig.session.trader.results.extend([good] * 400 + [late] * 20)
        assert any("success rate 0 %" in reason for reason in rig.health().reasons)
        rig.session.trader.results.extend([good] * 20)
        assert rig.health().score == 100.0

    in_session(work, tmp_path)


def test_without_a_session_nothing_is_proven(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.desk.session = None
        health = health_of(rig.desk)
        assert health.score <= 20
        assert len(health.reasons) >= len(Part)
        json.dumps(status_of(snapshot_of(rig.desk, health)), allow_nan=False)

    in_session(work, tmp_path)


COMPLIANT = {"success_rate_pct": 40.0, "system_health_score": 50.0}
BROKEN = {
    "signal_generation_target_met": {"signal_generation_time_ms": 0.5},
    "execution_latency_target_met": {"order_execution_time_ms": 0.6},
    "success_rate_target_met": {"success_rate_pct": 60.0},
    "health_target_met": {"system_health_score": 99.9},
}


@pytest.mark.parametrize("key", [None, *BROKEN])
def test_each_target_broken_on_purpose_turns_exactly_its_key_false(
    key: str | None, tmp_path: Path
) -> None:
    async def work(rig: SessionRig) -> None:
        await rig.enter()
        await costly_fills(rig)  # one parent of two ends outside its limits
        health = rig.health()
        status = status_of(snapshot_of(rig.desk, health))
        json.dumps(status, allow_nan=False)
        met = status["performance_compliance"]
        assert met == {name: name != key for name in BROKEN}
        assert status["success_rate_pct"] == 50.0
        assert status["stages"]["signal"]["p95_us"] == pytest.approx(1000, rel=0.01)

    targets = {**COMPLIANT, **(BROKEN[key] if key is not None else {})}
    in_session(work, tmp_path, **{f"targets__{name}": value for name, value in targets.items()})
