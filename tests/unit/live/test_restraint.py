"""A level of behaviour in force: order rate, pace of entries, and the one hold that is its own."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from engine_rig import Rig
from session_rig import SYMBOL, SessionRig, in_session

from trading_system.config.sections import StrategySettings
from trading_system.live.restraint import HEALTH, Restraint
from trading_system.monitoring.behaviour import Level
from trading_system.risk.limits import TradingState


def restraint(rig: Rig) -> Restraint:
    return Restraint(rig.engine, rules=StrategySettings(), clock=rig.clock)


@pytest.mark.parametrize(
    ("level", "state", "share"),
    [
        (Level.NORMAL, TradingState.ACTIVE, 1.0),
        (Level.THROTTLE, TradingState.ACTIVE, 0.5),
        (Level.REDUCE_ONLY, TradingState.REDUCING, 0.5),
        (Level.HALT, TradingState.HALTED, 0.5),
    ],
)
async def test_each_level_holds_and_throttles_and_is_taken_back(
    level: Level, state: TradingState, share: float
) -> None:
    rig = Rig()
    held = restraint(rig)
    held.apply(level, reason="health 63 below 70")
    assert (rig.engine.state, held.level) == (state, level)
    assert rig.engine._gate.order_share == share
    held.apply(Level.NORMAL, reason="")
    assert rig.engine.state is TradingState.ACTIVE
    assert rig.engine._gate.order_share == 1.0


async def test_only_its_own_hold_is_lifted() -> None:
    rig = Rig()
    held = restraint(rig)
    rig.engine.holds.set("operator", TradingState.HALTED, "kill: news")
    held.apply(Level.REDUCE_ONLY, reason="")
    assert rig.engine.holds.reasons == {
        "operator": "kill: news",
        HEALTH: "level reduce-only",
    }
    held.apply(Level.NORMAL, reason="")
    assert rig.engine.holds.reasons == {"operator": "kill: news"}
    assert rig.engine.state is TradingState.HALTED


async def test_a_throttled_symbol_is_entered_at_most_every_second_decision_interval() -> None:
    rig = Rig()
    held = restraint(rig)
    held.note_entry("BTCUSDT")
    assert held.may_enter("BTCUSDT")
    held.apply(Level.THROTTLE, reason="slow")
    assert not held.may_enter("BTCUSDT")
    assert held.may_enter("ETHUSDT")
    rig.clock.advance(0.999)
    assert not held.may_enter("BTCUSDT")
    rig.clock.advance(0.001)
    assert held.may_enter("BTCUSDT")


async def test_a_throttled_symbol_is_entered_at_half_its_usual_pace() -> None:
    rig = Rig()
    held = restraint(rig)
    for _ in range(20):
        held.note_entry("BTCUSDT")
        rig.clock.advance(10.0)
    held.note_entry("BTCUSDT")
    held.apply(Level.THROTTLE, reason="slow")
    rig.clock.advance(19.9)
    assert not held.may_enter("BTCUSDT")
    rig.clock.advance(0.1)
    assert held.may_enter("BTCUSDT")
    held.note_entry("BTCUSDT")  # the throttled pace is not taken for the usual one
    rig.clock.advance(20.0)
    assert held.may_enter("BTCUSDT")


async def test_a_pace_that_is_not_known_is_learnt_from_the_first_two_trades() -> None:
    rig = Rig()
    held = restraint(rig)
    held.apply(Level.THROTTLE, reason="slow from the start")
    held.note_entry("BTCUSDT")
    rig.clock.advance(10.0)
    assert held.may_enter("BTCUSDT")
    held.note_entry("BTCUSDT")
    rig.clock.advance(19.9)
    assert not held.may_enter("BTCUSDT")
    rig.clock.advance(0.1)
    assert held.may_enter("BTCUSDT")


async def test_a_symbol_hardly_traded_waits_no_longer_than_two_minutes() -> None:
    rig = Rig()
    held = restraint(rig)
    held.note_entry("BTCUSDT")
    rig.clock.advance(86_400.0)
    held.note_entry("BTCUSDT")
    held.apply(Level.THROTTLE, reason="slow")
    rig.clock.advance(119.9)
    assert not held.may_enter("BTCUSDT")
    rig.clock.advance(0.1)
    assert held.may_enter("BTCUSDT")


def test_a_throttled_session_spaces_its_own_trades(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        session, trader = rig.session, rig.session.trader
        trader.is_accepting = True
        begun: list[float] = []

        def decide() -> None:
            before = trader.counts.parents
            session._decide(rig.features(), rig.consensus(200.0))
            if trader.counts.parents > before and not rig.venue.held:
                begun.append(rig.loop.elapsed_s)

        async def begin_again(seconds: float) -> list[float]:
            begun.clear()
            for _ in range(round(seconds / 0.1)):
                decide()
                await asyncio.sleep(0.05)
                if rig.venue.held and SYMBOL not in trader.busy_symbols:
                    trader.request_exit(SYMBOL)
                await asyncio.sleep(0.05)
            return [late - early for early, late in itertools.pairwise(begun)]

        usual = await begin_again(10.0)
        session.restraint.apply(Level.THROTTLE, reason="slow")
        throttled = await begin_again(10.0)
        assert round(min(usual), 3) == 0.5
        assert round(min(throttled), 3) >= 1.0

    in_session(work, tmp_path)


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
def test_no_trade_is_begun_only_to_be_denied(tmp_path: Path, state: TradingState) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        session.trader.is_accepting = True
        session.engine.holds.set("operator", state, "tired")
        session._decide(rig.features(), rig.consensus(200.0))
        await rig.settled()
        assert session.trader.counts.parents == 0
        session.engine.holds.clear("operator")
        session._decide(rig.features(), rig.consensus(200.0))
        await rig.settled()
        assert session.trader.counts.parents == 1

    in_session(work, tmp_path)
