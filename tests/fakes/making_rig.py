"""A market maker on the venue in memory, without its budget, driven by hand."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from quoting_venue import (
    FakeQuotingVenue,
)

from agents import MarketMaker
from trading_system.config.sections import MarketMakerSettings, RiskSettings

D = Decimal


def maker(venue: FakeQuotingVenue, **more) -> MarketMaker:
    settings = MarketMakerSettings(**{"atr_multiple": 0.25} | more.pop("settings", {}))
    symbols = tuple(venue.instruments)

    async def pause(_seconds: float) -> None:
        await asyncio.sleep(0)

    without_budget = {
        "risk": RiskSettings(max_orders_per_second=1_000, max_amends_per_second=1_000),
        "venue_rate": 1_000,
    }
    return MarketMaker(
        venue,
        symbols=symbols,
        settings=settings,
        clock=venue.clock,
        **({"pause": pause} | without_budget | more),
    )


async def step(venue: FakeQuotingVenue, mm: MarketMaker, seconds: float = 2.0) -> None:
    venue.clock.advance(seconds)
    venue.refresh()
    await mm.cycle()
