"""Each part of the health brought down in virtual time: score, reason, level and alert follow.

A part that is measured at intervals (positions every 5 s, the clock every minute) is noticed when
it is measured next; from then on everything has to follow within two seconds. The session is the
real one; its venue, its sockets and time belong to the test.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from session_rig import PRICE, SYMBOL, SessionRig, SwitchedAgent, in_session

from trading_system.domain.errors import CorruptDataError
from trading_system.live import control
from trading_system.live.restraint import HEALTH
from trading_system.live.watch import JUDGE_S, Watch
from trading_system.monitoring.behaviour import Level
from trading_system.monitoring.health import Part
from trading_system.risk.limits import TradingState

pytestmark = pytest.mark.timeout(60)

FOLLOWS_S = 2.0
STRICT = {
    "health__recover_margin": 0.0,
    "health__recover_after_s": 1.0,
    "strategy__signal": "session_rig:SwitchedAgent",
}
Step = Callable[[SessionRig], Awaitable[None]]


class Watched:
    """A session under watch, healthy at first."""

    def __init__(self, rig: SessionRig) -> None:
        rig.desk.session = rig.session
        self.rig = rig
        self.watch = Watch(rig.desk)

    async def look_for(self, seconds: float) -> None:
        ends = self.rig.loop.elapsed_s + seconds
        while self.rig.loop.elapsed_s < ends:
            self.watch.look()
            await asyncio.sleep(JUDGE_S)

    async def until(self, condition: Callable[[], bool], *, within_s: float) -> float:
        """Look until the condition holds; return the virtual seconds that took."""
        began = self.rig.loop.elapsed_s
        while True:
            self.watch.look()
            took = self.rig.loop.elapsed_s - began
            if condition():
                return took
            assert took <= within_s, (self.watch.health, self.watch.behaviour.figures())
            await asyncio.sleep(JUDGE_S)

    @property
    def score(self) -> float:
        assert self.watch.health is not None
        return self.watch.health.score

    def has_named(self, part: Part) -> bool:
        assert self.watch.health is not None
        return any(r.startswith(f"{part.value}:") for r in self.watch.health.reasons)

    def firing(self) -> set[tuple[str, str]]:
        rows = self.watch.alerts.rows()["alerts"]
        return {(row["rule"], row["subject"]) for row in rows if row["state"] == "firing"}


async def healthy(rig: SessionRig) -> Watched:
    await rig.enter()
    await rig.session.reconciler.check()
    await asyncio.sleep(6.0)
    watched = Watched(rig)
    await watched.look_for(2.0)
    assert watched.score == 100.0, watched.watch.health
    assert watched.firing() == set()
    assert watched.watch.behaviour.level is Level.NORMAL
    return watched


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How a part is brought down and up, and how long it may take until that is measured.

    ``below`` is the score that counts as low; an agent of the panel that this still market bores
    costs 1.2 points after a minute.
    """

    down: Step
    up: Step
    noticed_s: float = 0.0
    cleared_s: float = 0.0
    below: float = 98.5


async def no_market(rig: SessionRig) -> None:
    rig.is_ticking = False


async def market_again(rig: SessionRig) -> None:
    rig.is_ticking = True


async def bad_frames(rig: SessionRig) -> None:
    for _ in range(3):
        with contextlib.suppress(CorruptDataError):
            rig.session.feed.on_frame(b"no frame", rig.loop.monotonic_ns())


async def nothing(rig: SessionRig) -> None:
    await asyncio.sleep(0)


async def private_stream_down(rig: SessionRig) -> None:
    rig.private.goes_down("reset by peer")


async def private_stream_up(rig: SessionRig) -> None:
    rig.private.comes_up()


async def foreign_position(rig: SessionRig) -> None:
    rig.venue.held *= 2


async def position_gone(rig: SessionRig) -> None:
    rig.venue.held /= 2


async def failing_requests(rig: SessionRig) -> None:
    rig.connection.rest.recent = (20, 100)


async def requests_again(rig: SessionRig) -> None:
    rig.connection.rest.recent = (0, 100)


async def trade_socket_down(rig: SessionRig) -> None:
    assert rig.connection.trade is not None
    rig.connection.trade.is_up = False


async def trade_socket_up(rig: SessionRig) -> None:
    assert rig.connection.trade is not None
    rig.connection.trade.is_up = True


async def round_trips(rig: SessionRig, *, count: int) -> None:
    for _ in range(count):
        await control.close(rig.session, SYMBOL)
        await asyncio.sleep(1.0)
        await rig.enter()
        await asyncio.sleep(1.0)


async def slow_acks(rig: SessionRig) -> None:
    rig.venue.ack_s = 1.5
    await control.close(rig.session, SYMBOL)


async def fast_acks(rig: SessionRig) -> None:
    rig.venue.ack_s = 0.001
    await asyncio.sleep(61.0)
    await rig.enter()


async def costly_fill(rig: SessionRig) -> None:
    rig.venue.fill_price = PRICE * 995 / 1000
    await control.close(rig.session, SYMBOL)


async def fair_fills(rig: SessionRig) -> None:
    rig.venue.fill_price = PRICE
    await rig.enter()
    await round_trips(rig, count=8)


async def full_queue(rig: SessionRig) -> None:
    rig.connection.transport.queued = 90


async def empty_queue(rig: SessionRig) -> None:
    rig.connection.transport.queued = 0


async def full_disk(rig: SessionRig) -> None:
    rig.journal._connection.execute("PRAGMA query_only = 1")


async def disk_again(rig: SessionRig) -> None:
    rig.journal._connection.execute("PRAGMA query_only = 0")


async def blocked_loop(rig: SessionRig) -> None:
    for _ in range(20):
        rig.loop.elapsed_s += 0.2  # as a callback that does not return
        await asyncio.sleep(0.06)


async def wrong_clock(rig: SessionRig) -> None:
    rig.venue.offset_ms = -900.0


async def right_clock(rig: SessionRig) -> None:
    rig.venue.offset_ms = 0.0


async def broken_agent(rig: SessionRig) -> None:
    SwitchedAgent.is_broken = True


async def sound_agent(rig: SessionRig) -> None:
    SwitchedAgent.is_broken = False


async def slow_signals(rig: SessionRig) -> None:
    for _ in range(100):  # one in ten of the newest minute
        rig.session.latency.record("signal", 3_200_000_000)


async def reduced(rig: SessionRig) -> None:
    control.reduce_only(rig.session, "news")


async def resumed(rig: SessionRig) -> None:
    control.resume(rig.session, reset_limits=False)


FAULTS: dict[Part, Fault] = {
    Part.MARKET_DATA: Fault(down=no_market, up=market_again, noticed_s=3.5),
    Part.STREAM_QUALITY: Fault(down=bad_frames, up=nothing, cleared_s=61.0),
    Part.PRIVATE_STREAM: Fault(down=private_stream_down, up=private_stream_up),
    Part.RECONCILIATION: Fault(
        down=foreign_position, up=position_gone, noticed_s=7.0, cleared_s=5.0
    ),
    Part.VENUE_REQUESTS: Fault(down=failing_requests, up=requests_again),
    Part.TRADE_SOCKET: Fault(down=trade_socket_down, up=trade_socket_up),
    Part.ORDER_ROUND_TRIP: Fault(down=slow_acks, up=fast_acks),
    Part.SIGNAL_AGENTS: Fault(
        down=broken_agent, up=sound_agent, noticed_s=2.0, cleared_s=120.0, below=99.9
    ),
    Part.CONSENSUS_TIME: Fault(down=slow_signals, up=nothing, cleared_s=61.0),
    Part.EXECUTION_QUALITY: Fault(down=costly_fill, up=fair_fills),
    Part.REQUEST_QUEUE: Fault(down=full_queue, up=empty_queue),
    Part.JOURNAL: Fault(down=full_disk, up=disk_again, noticed_s=5.0, cleared_s=5.0),
    Part.EVENT_LOOP: Fault(down=blocked_loop, up=nothing, cleared_s=31.0),
    Part.CLOCK: Fault(down=wrong_clock, up=right_clock, noticed_s=61.0, cleared_s=61.0),
    Part.TRADING_STATE: Fault(down=reduced, up=resumed),
}


def test_every_part_is_brought_down() -> None:
    assert set(FAULTS) == set(Part)


@pytest.fixture(autouse=True)
def _agents_are_sound() -> object:
    yield
    SwitchedAgent.is_broken = False


@pytest.mark.parametrize("part", FAULTS, ids=lambda part: part.name.lower())
def test_a_part_that_goes_down_is_followed_by_score_reason_level_and_alert_and_clears(
    part: Part, tmp_path: Path
) -> None:
    fault = FAULTS[part]

    async def work(rig: SessionRig) -> None:
        watched = await healthy(rig)
        watch = watched.watch
        await fault.down(rig)
        await watched.until(
            lambda: watched.score < 100 and watched.has_named(part),
            within_s=fault.noticed_s + JUDGE_S,
        )
        holds = rig.session.engine.holds.reasons
        if part is Part.TRADING_STATE:  # somebody's own hold is in force by itself
            await watched.until(lambda: bool(watched.firing()), within_s=FOLLOWS_S)
            assert watch.behaviour.level is Level.NORMAL
            assert set(holds) == {"operator"}
        else:
            await watched.until(
                lambda: watch.behaviour.level > Level.NORMAL and bool(watched.firing()),
                within_s=FOLLOWS_S,
            )
            assert part.value in watch.behaviour.reason
            assert rig.session.restraint.level is watch.behaviour.level
        await fault.up(rig)
        await watched.until(
            lambda: not watched.has_named(part) and watch.behaviour.level is Level.NORMAL,
            within_s=fault.cleared_s + 6.0,
        )
        await watched.look_for(3.0)
        assert watched.firing() == set()
        assert rig.session.engine.state is TradingState.ACTIVE
        assert rig.session.restraint.level is Level.NORMAL

    low = {"health__throttle_below": fault.below, "alerts__health_below": fault.below}
    in_session(work, tmp_path, **STRICT, **low)


LOST = {
    "private stream": (private_stream_down, private_stream_up, 0.0),
    "reconciliation": (foreign_position, position_gone, 7.0),
    "journal": (full_disk, disk_again, 5.0),
}


@pytest.mark.parametrize("name", LOST)
def test_at_the_default_thresholds_an_outage_reduces_and_comes_back_step_by_step(
    name: str, tmp_path: Path
) -> None:
    down, up, noticed_s = LOST[name]

    async def work(rig: SessionRig) -> None:
        watched = await healthy(rig)
        engine, behaviour = rig.session.engine, watched.watch.behaviour
        await down(rig)
        await watched.until(
            lambda: behaviour.level is Level.REDUCE_ONLY, within_s=noticed_s + FOLLOWS_S
        )
        held = engine.holds.get(HEALTH)
        assert held is not None
        assert held.state is TradingState.REDUCING
        assert f"({name}" in held.reason
        await up(rig)
        await watched.until(lambda: behaviour.level is Level.THROTTLE, within_s=12.0)
        assert engine.holds.get(HEALTH) is None
        assert await watched.until(lambda: behaviour.level is Level.NORMAL, within_s=7.0) >= 5.0
        assert behaviour.figures()["changes"] == 3

    in_session(work, tmp_path)


def test_without_a_market_no_order_leaves_until_it_is_back(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        watched = await healthy(rig)
        behaviour = watched.watch.behaviour
        await no_market(rig)
        await watched.until(lambda: behaviour.level is Level.HALT, within_s=3.5 + FOLLOWS_S)
        assert rig.session.engine.state is TradingState.HALTED
        await market_again(rig)
        await watched.until(lambda: behaviour.level is Level.NORMAL, within_s=20.0)
        assert rig.session.engine.state is TradingState.ACTIVE

    in_session(work, tmp_path)


def test_a_kill_is_neither_doubled_nor_lifted_by_the_health(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        watched = await healthy(rig)
        engine, behaviour = rig.session.engine, watched.watch.behaviour
        await control.kill(rig.session, "enough", flatten=False)
        await watched.look_for(5.0)
        assert watched.score < 40
        assert behaviour.level is Level.NORMAL
        await private_stream_down(rig)
        await watched.look_for(2.0)
        assert behaviour.level is Level.REDUCE_ONLY
        await private_stream_up(rig)
        await watched.look_for(20.0)
        assert behaviour.level is Level.NORMAL
        assert set(engine.holds.reasons) == {"operator"}
        assert engine.state is TradingState.HALTED

    in_session(work, tmp_path)


@pytest.mark.parametrize("strategy", ["signals", "market-maker", "none"])
def test_a_young_healthy_system_scores_at_least_eighty_and_stays_at_its_level(
    strategy: str, tmp_path: Path
) -> None:
    async def work(rig: SessionRig) -> None:
        rig.desk.session = rig.session
        watched = Watched(rig)
        scores = []
        for _ in range(120):
            await watched.look_for(JUDGE_S)
            scores.append(watched.score)
        assert min(scores) >= 80, watched.watch.health
        assert watched.watch.behaviour.figures()["changes"] == 0
        assert watched.firing() == set()
        assert watched.watch.failures == {}

    in_session(work, tmp_path, strategy__name=strategy)
