"""How long the end of a session waits, and for what."""

from __future__ import annotations

import pytest
from virtual_time import VirtualLoop, in_virtual_time

from trading_system.live.ending import becomes_true


@pytest.mark.parametrize(("holds_after_s", "has_held"), [(0.0, True), (1.0, True), (9.0, False)])
def test_a_condition_is_waited_for_within_its_time(holds_after_s: float, has_held: bool) -> None:
    async def work(loop: VirtualLoop) -> None:
        assert await becomes_true(lambda: loop.time() >= holds_after_s, within_s=3.0) is has_held
        assert loop.time() == pytest.approx(min(holds_after_s, 3.0), abs=0.03)

    in_virtual_time(work)
