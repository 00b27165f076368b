"""``trading-system venue``: the embedded venue alone, usable by any Bybit client."""

from __future__ import annotations

import asyncio
import gc
import signal
from pathlib import Path
from typing import Any, Literal

from trading_system.cli.output import emit_json, note
from trading_system.domain.errors import ConfigurationError
from trading_system.runtime.child import watch_lifeline
from trading_system.runtime.clock import SystemClock
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.server import BybitServer
from trading_system.simulation.records import AccountSpec
from trading_system.simulation.venue import (
    SimulatedVenue,
    build_replay_venue,
    build_synthetic_venue,
    default_accounts,
)

MARKET_FINISHED = "market-finished"
_END_POLL_S = 0.25
_NS_PER_MS = 1_000_000
_GC_THRESHOLDS = (50_000, 20, 50)


class VenuePlan:
    """What to serve: a market and the server's options.

    Parameters
    ----------
    market : str
        ``synthetic`` or ``replay``.
    recordings : list of Path
        For ``replay`` only.
    """

    def __init__(
        self,
        *,
        market: Literal["synthetic", "replay"],
        symbols: list[str],
        recordings: list[Path],
        seed: int,
        edge_bps: float,
        activity: float,
        speed: float,
        fill_model: Literal["queue", "trade-through"],
        options: ServerOptions,
    ) -> None:
        if market == "replay" and not recordings:
            raise ConfigurationError("--market replay needs --recording PATH")
        if market == "synthetic" and recordings:
            raise ConfigurationError("--recording needs --market replay")
        self._accounts = default_accounts(seed=seed)
        self._market = market
        self._symbols = symbols
        self._recordings = recordings
        self._seed = seed
        self._edge_bps = edge_bps
        self._activity = activity
        self._speed = speed
        self._fill_model = fill_model
        self.options = options

    @property
    def accounts(self) -> tuple[AccountSpec, ...]:
        """The accounts that the ready line announces, the first one first."""
        return self._accounts

    def build(self) -> SimulatedVenue:
        """Return the venue in process, not yet prepared.

        Raises
        ------
        ConfigurationError
            If symbols or recordings are unusable.
        """
        if self._market == "replay":
            return build_replay_venue(
                recordings=self._recordings,
                accounts=self._accounts,
                seed=self._seed,
                speed=self._speed,
                fill_model=self._fill_model,
            )
        return build_synthetic_venue(
            symbols=self._symbols,
            accounts=self._accounts,
            seed=self._seed,
            edge_bps=self._edge_bps,
            activity=self._activity,
        )


def serve(plan: VenuePlan) -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent that holds the lifeline."""
    # Ticks allocate and free at a steady rate: rarer collections of a frozen start-up heap keep
    # pauses off the request path.
    gc.set_threshold(*_GC_THRESHOLDS)
    venue = plan.build()
    try:
        asyncio.run(_serve(venue, plan))
    except* ConfigurationError as failures:
        # A recording can turn out to be damaged in the middle.
        raise failures.exceptions[0] from None


async def _serve(venue: SimulatedVenue, plan: VenuePlan) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    venue.prepare(clock.utc_ns() // _NS_PER_MS)
    async with BybitServer(venue, clock=clock, options=plan.options) as server:
        gc.collect()
        gc.freeze()
        emit_json(_ready_line(venue, server, plan))
        note(f"embedded venue serves {server.rest_url} and {server.ws_url}; SIGTERM stops")
        async with asyncio.TaskGroup() as group:
            lifeline = group.create_task(_until_orphaned(stop), name="lifeline")
            ending = group.create_task(_announce_end(venue), name="end of the market")
            await stop.wait()
            lifeline.cancel()
            ending.cancel()


async def _until_orphaned(stop: asyncio.Event) -> None:
    await watch_lifeline()
    stop.set()


async def _announce_end(venue: SimulatedVenue) -> None:
    """Tell the parent once when a recording is over; the venue goes on answering."""
    while not venue.market.is_finished:  # noqa: ASYNC110 - the market is pure and has no loop
        await asyncio.sleep(_END_POLL_S)
    emit_json({"event": MARKET_FINISHED})


def _ready_line(venue: SimulatedVenue, server: BybitServer, plan: VenuePlan) -> dict[str, Any]:
    first = plan.accounts[0]
    return {
        "rest": server.rest_url,
        "ws": server.ws_url,
        "api_key": first.api_key,
        "api_secret": first.api_secret,
        "symbols": list(venue.exchange.instruments),
        "accounts": [
            {"uid": a.uid, "api_key": a.api_key, "api_secret": a.api_secret} for a in plan.accounts
        ],
        "market": venue.market.description(),
    }
