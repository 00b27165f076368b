"""Whole cycles of the market maker through the client, the gate and the venue.

``cycles`` pulls all quotes before every second cycle, so creations and moves of quotes are both
measured. ``quiet`` counts what ten cycles ask the venue for.
Afterwards the venue itself, asked without the delay, must hold the quotes that the maker knows of.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import engine_kit
import protocol
from pydantic import SecretStr

from agents.market_maker.maker import MarketMaker
from trading_system.bybit_client import BybitClient
from trading_system.config.settings import load_settings
from trading_system.domain.orders import OrderReport, Side
from trading_system.venues.bybit.account_queries import AccountQueries
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.signing import Signer

_SYMBOL = "BTCUSDT"
_QUOTES = 6
_LOOKS = 50
_PAUSE_S = 1.1  # a venue's second, so that each cycle has its whole quota
_READY_S = 20.0
_ENOUGH_ORDERS = 100
_CALLS = ("place_orders", "amend_orders", "cancel_orders", "get_kline_data")


class Counted:
    """The client, with every request that a maker makes counted."""

    def __init__(self, client: BybitClient) -> None:
        self._client = client
        self.calls = dict.fromkeys(_CALLS, 0)

    @property
    def sent(self) -> int:
        """Requests that created, moved or cancelled orders."""
        return sum(count for name, count in self.calls.items() if name.endswith("_orders"))

    def __getattr__(self, name: str) -> Any:
        if name in self.calls:
            self.calls[name] += 1
        return getattr(self._client, name)


def _settings(access: dict[str, str], folder: Path) -> Any:
    given = {
        "data_dir": str(folder),
        "symbols": _SYMBOL,
        "bybit.rest_url": f"http://{access['host']}",
        "bybit.ws_url": f"ws://{access['host']}",
        "bybit.api_key": access["api_key"],
        "bybit.api_secret": access["api_secret"],
        # A cycle shall be measured, not the wait for the next second's orders.
        "risk.max_orders_per_second": _ENOUGH_ORDERS,
        "risk.max_amends_per_second": _ENOUGH_ORDERS,
    }
    nowhere = folder / "nothing"
    return load_settings(given, environ={}, dotenv_path=nowhere, config_path=nowhere)


async def _settle(maker: MarketMaker, venue: Counted) -> None:
    async with asyncio.timeout(_READY_S):
        while len(venue.resting_orders(_SYMBOL)) < _QUOTES:
            await maker.cycle()
            await asyncio.sleep(_PAUSE_S)


async def cycles(maker: MarketMaker, venue: Counted, count: int) -> dict[str, Any]:
    """Time ``count`` cycles from an empty book, and as many of a standing one as moved a quote."""
    created: list[float] = []
    moved: list[float] = []
    for number in range(2 * count):
        is_new = number % 2 == 0
        if is_new:
            assert await maker.pull("to quote anew")
        await asyncio.sleep(_PAUSE_S)
        before = venue.sent
        began = time.perf_counter_ns()
        await maker.cycle()
        us = (time.perf_counter_ns() - began) / 1_000
        if is_new:
            assert venue.sent - before >= 1
            created.append(us)
            await _until_all_rest(venue)
        elif venue.sent > before:
            moved.append(us)
    return {"us": created + moved, "created": len(created), "moved": len(moved)}


async def _until_all_rest(venue: Counted) -> None:
    # What was filled already is no fault of the cycle; most of the quotes have to be there.
    async with asyncio.timeout(_PAUSE_S):
        while len(venue.resting_orders(_SYMBOL)) <= _QUOTES / 2:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


async def quiet(maker: MarketMaker, venue: Counted, count: int) -> dict[str, Any]:
    """Count the requests of ``count`` cycles at the maker's own interval."""
    await _settle(maker, venue)
    before, skipped = dict(venue.calls), maker.collect_performance_stats()["skipped"]
    for _ in range(count):
        await asyncio.sleep(maker.settings.update_interval_s)
        await maker.cycle()
    stats = maker.collect_performance_stats()
    return {
        "calls": {name: venue.calls[name] - before[name] for name in before},
        "skipped": stats["skipped"] - skipped,
        "denied": stats["errors"]["denied"],
    }


async def _require_same(venue: Counted, queries: AccountQueries) -> None:
    # Fills and moves may be on their way, so a difference has to last to be one.
    for _ in range(_LOOKS):
        known = {o.link_id: o.price for o in venue.resting_orders(_SYMBOL)}
        orders = [o for o in await queries.open_orders() if not o.is_protective]
        if {o.link_id: o.price for o in orders} == known:
            _require_paid(orders, maker_fee=venue.maker_fee(_SYMBOL))
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the venue does not hold what the maker knows, {known}: {orders}")


def _require_paid(orders: list[OrderReport], *, maker_fee: float) -> None:
    bids = [o.price for o in orders if o.price is not None and o.side is Side.BUY]
    asks = [o.price for o in orders if o.price is not None and o.side is Side.SELL]
    if bids and asks:
        width = float((min(asks) - max(bids)) / (min(asks) + max(bids)) * 2)
        assert width >= 2 * maker_fee, f"{width} does not pay the fees"


async def main(access: dict[str, str], folder: Path) -> None:
    engine_kit.quiet()
    signer = Signer(access["api_key"], SecretStr(access["api_secret"]), recv_window_ms=5000)
    settings = _settings(access, folder)
    async with BybitClient(settings) as client:
        venue = Counted(client)
        maker = MarketMaker(
            venue,
            symbols=[_SYMBOL],
            settings=settings.market_maker,
            performance=settings.performance,
            risk=settings.risk,
        )
        await _settle(maker, venue)
        protocol.ready()
        async with BybitRest(access["rest"], signer=signer, clock=engine_kit.CLOCK) as rest:
            queries = AccountQueries(rest, clock=engine_kit.CLOCK)
            async for question in engine_kit.questions():
                step = quiet if question["what"] == "quiet" else cycles
                answer = await step(maker, venue, question["count"])
                await _require_same(venue, queries)
                protocol.say(answer)
            assert await maker.wind_down()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=engine_kit.loop_factory()) as runner:
        runner.run(main(json.loads(sys.argv[1]), Path(sys.argv[2])))
