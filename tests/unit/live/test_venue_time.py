"""The venue's clock is followed, and an unanswered question changes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine_rig import unavailable
from session_rig import SessionRig, in_session

from trading_system.domain.errors import Outcome
from trading_system.risk.limits import TradingState


def test_an_unanswered_question_for_the_time_leaves_the_old_offset(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.offset_ms = 7.0
        await rig.session.venue_time.synchronise()
        rig.venue.fails = unavailable(Outcome.UNKNOWN)
        await rig.session.venue_time.synchronise()
        assert rig.session.venue_time.offset_ms == 7.0

    in_session(work, tmp_path)


def test_ages_of_messages_are_told_by_the_clock_that_requests_are_stamped_with(
    tmp_path: Path,
) -> None:
    async def work(rig: SessionRig) -> None:
        seen = rig.connection.rest.venue_clock
        seen.note(sent_ns=0, back_ns=0, server_ns=rig.loop.utc_ns() + 3_000_000)
        await rig.session.venue_time.synchronise()
        assert rig.session.feed.offset_ns == rig.connection.rest.offset_ns != 0

    in_session(work, tmp_path)


def test_a_clock_in_doubt_is_measured_again_unless_the_venue_wants_no_http(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rest, venue = rig.connection.rest, rig.venue
        readings = venue.clock_readings
        rest.banned_for_s = 600.0
        rest.venue_clock.doubt()
        await asyncio.sleep(1.0)
        assert venue.clock_readings == readings
        rest.banned_for_s = 0.0
        await asyncio.sleep(0.6)
        assert venue.clock_readings > readings

    in_session(work, tmp_path)


def test_holds_do_not_wait_for_the_venues_time(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.tells_time.clear()
        rig.connection.rest.venue_clock.doubt()
        await asyncio.sleep(0.6)
        rig.connection.rest.banned_for_s = 600.0
        await asyncio.sleep(0.6)
        assert rig.session.engine.state is TradingState.REDUCING

    in_session(work, tmp_path)
