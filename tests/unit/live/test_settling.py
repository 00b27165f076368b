"""Orders whose answer is overdue are looked up again and again, whatever the strategy does."""

import asyncio

import pytest
from virtual_time import VirtualLoop, in_virtual_time

from trading_system.live.settling import settle_silent


class CountingEngine:
    def __init__(self) -> None:
        self.looks = 0

    async def look_up_silent(self) -> int:
        self.looks += 1
        return 0


def test_overdue_orders_are_looked_up_every_second_until_cancelled() -> None:
    engine = CountingEngine()

    async def live(_loop: VirtualLoop) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.5):
                await settle_silent(engine)

    in_virtual_time(live)
    assert engine.looks == 3
