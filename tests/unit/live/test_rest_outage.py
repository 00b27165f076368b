"""While REST does not answer and the streams live, positions may soon only shrink."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine_rig import unavailable
from session_rig import SessionRig, in_session

from trading_system.domain.errors import Outcome
from trading_system.risk.limits import TradingState


def test_twelve_seconds_without_an_answer_allow_only_to_reduce(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.fails = unavailable(Outcome.NOT_SENT)
        await asyncio.sleep(12.0)
        assert rig.session.engine.state is TradingState.REDUCING
        assert "reconciliation" in rig.session.engine.holds.reasons
        rig.venue.fails = None
        await asyncio.sleep(1.5)
        assert rig.session.engine.state is TradingState.ACTIVE

    in_session(work, tmp_path)
