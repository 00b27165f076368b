from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from engine_rig import unavailable
from session_rig import SYMBOL, SessionRig, in_session

from trading_system.domain.errors import OrderDenied, Outcome
from trading_system.live.address_ban import BANNED, hold_while_banned
from trading_system.risk.holds import Holds
from trading_system.risk.limits import TradingState
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.clock_offset import VenueClock


def test_banned_address_reduces_until_the_ban_is_over():
    holds = Holds()
    hold_while_banned(600.0, holds)
    hold_while_banned(1.0, holds)
    assert holds.state is TradingState.REDUCING
    assert holds.reasons[BANNED].endswith("no HTTP for 600 s")
    hold_while_banned(0.0, holds)
    assert holds.state is TradingState.ACTIVE


def test_session_reduces_while_its_address_is_refused(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.connection.rest.banned_for_s = 600.0
        await asyncio.sleep(1.0)
        assert rig.session.engine.state is TradingState.REDUCING
        rig.connection.rest.banned_for_s = 0.0
        await asyncio.sleep(1.0)
        assert rig.session.engine.state is TradingState.ACTIVE

    in_session(work, tmp_path)


def test_clock_that_is_set_blocks_new_orders_at_once_and_is_measured_again(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        clock = ManualClock()
        seen = rig.connection.rest.venue_clock = VenueClock(clock)
        seen.note(sent_ns=0, back_ns=0, server_ns=clock.utc_ns())
        rig.venue.fails = unavailable(Outcome.NOT_SENT)
        readings = rig.venue.clock_readings
        clock.set_utc_ns(clock.utc_ns() + 2_000_000_000)
        await asyncio.sleep(0.6)
        assert rig.session.venue_time.offset_ms == -2_000.0
        assert rig.venue.clock_readings > readings
        with pytest.raises(OrderDenied, match="clock"):
            await rig.session.client.place_order(
                SYMBOL, "Buy", quantity="0.01", order_type="Limit", price="49990"
            )

    in_session(work, tmp_path)
