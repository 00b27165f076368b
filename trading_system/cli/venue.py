"""``trading-system venue``: the embedded venue alone, usable by any Bybit client."""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from trading_system.cli.output import emit_json, note
from trading_system.domain.errors import ConfigurationError
from trading_system.runtime.child import watch_lifeline
from trading_system.runtime.clock import SystemClock
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.server import BybitServer
from trading_system.simulation.state.entries import Head
from trading_system.simulation.state.file import StateFile
from trading_system.simulation.state.journal import StateJournal
from trading_system.simulation.state.restoring import restore
from trading_system.simulation.state.saved import SavedVenue
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
    state : Path or None
        Where accounts, orders and histories survive the process; None keeps them in memory.
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
        state: Path | None = None,
    ) -> None:
        if market == "replay" and not recordings:
            raise ConfigurationError("--market replay needs --recording PATH")
        if market == "synthetic" and recordings:
            raise ConfigurationError("--recording needs --market replay")
        self._market = market
        self._symbols = symbols
        self._recordings = recordings
        self._seed = seed
        self._edge_bps = edge_bps
        self._activity = activity
        self._speed = speed
        self._fill_model = fill_model
        self.options = options
        self.state = state

    def head(self, saved: SavedVenue | None) -> Head:
        """Return whose state this start writes; the accounts are those of the first start.

        Raises
        ------
        ConfigurationError
            If the saved state belongs to another market.
        """
        if saved is None:
            return Head(
                market=self._market,
                seed=self._seed,
                generation=0,
                accounts=list(default_accounts(seed=self._seed)),
            )
        if saved.head.market != self._market:
            raise ConfigurationError(
                f"--state {self.state} belongs to a {saved.head.market} market; use --market "
                f"{saved.head.market} or another file"
            )
        return Head(
            market=self._market,
            seed=self._seed,
            generation=saved.head.generation + 1,
            accounts=saved.head.accounts,
        )

    def build(self, head: Head, saved: SavedVenue | None) -> SimulatedVenue:
        """Return the venue in process, not yet prepared.

        Raises
        ------
        ConfigurationError
            If symbols or recordings are unusable, or the saved state needs others.
        """
        venue = self._build(head, {} if saved is None else saved.marks)
        listed = venue.exchange.instruments
        missing = sorted((saved.symbols_at_stake() if saved else set()) - set(listed))
        if missing:
            raise ConfigurationError(
                f"--state {self.state} holds positions or orders in {','.join(missing)}; serve "
                "these symbols too, or use another file"
            )
        return venue

    def _build(self, head: Head, prices: Mapping[str, Decimal]) -> SimulatedVenue:
        # No start repeats an id that a client may have kept, nor the random numbers of an earlier
        # start of the same accounts.
        seed, id_seed = self._seed, secrets.randbits(63)
        if head.generation:
            seed = random.Random(f"{seed}/{head.generation}").getrandbits(31)
        if self._market == "replay":
            return build_replay_venue(
                recordings=self._recordings,
                accounts=head.accounts,
                seed=id_seed,
                speed=self._speed,
                fill_model=self._fill_model,
            )
        return build_synthetic_venue(
            symbols=self._symbols,
            accounts=head.accounts,
            seed=seed,
            edge_bps=self._edge_bps,
            activity=self._activity,
            start_prices=prices,
            id_seed=id_seed,
        )


def serve(plan: VenuePlan) -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent that holds the lifeline."""
    # Ticks allocate and free at a steady rate: rarer collections of a frozen start-up heap keep
    # pauses off the request path.
    gc.set_threshold(*_GC_THRESHOLDS)
    with ExitStack() as stack:
        file = None if plan.state is None else stack.enter_context(StateFile(plan.state))
        saved = None if file is None else file.load()
        head = plan.head(saved)
        venue = plan.build(head, saved)
        try:
            asyncio.run(_serve(venue, plan, head=head, file=file, saved=saved))
        except* ConfigurationError as failures:
            # A recording can turn out to be damaged in the middle, a disk full.
            raise _first(failures) from None


def _first(failures: BaseExceptionGroup[ConfigurationError]) -> ConfigurationError:
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    assert isinstance(failure, ConfigurationError)
    return failure


async def _serve(
    venue: SimulatedVenue,
    plan: VenuePlan,
    *,
    head: Head,
    file: StateFile | None,
    saved: SavedVenue | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    venue.prepare(clock.utc_ns() // _NS_PER_MS)
    if saved is not None:
        restore(venue.exchange, saved, now_ms=venue.now_ms)
    journal = None if file is None else StateJournal(venue, file, head=head)
    async with BybitServer(venue, clock=clock, options=plan.options) as server:
        gc.collect()
        gc.freeze()
        emit_json(_ready_line(venue, server))
        note(f"embedded venue serves {server.rest_url} and {server.ws_url}; SIGTERM stops")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_until_orphaned(stop), name="lifeline"),
                group.create_task(_announce_end(venue), name="end of the market"),
            ]
            if journal is not None:
                tasks.append(group.create_task(journal.run(), name="state file"))
            await stop.wait()
            for task in tasks:
                task.cancel()
    if journal is not None:
        journal.save()


async def _until_orphaned(stop: asyncio.Event) -> None:
    await watch_lifeline()
    stop.set()


async def _announce_end(venue: SimulatedVenue) -> None:
    """Tell the parent once when a recording is over; the venue goes on answering."""
    while not venue.market.is_finished:  # noqa: ASYNC110 - the market is pure and has no loop
        await asyncio.sleep(_END_POLL_S)
    emit_json({"event": MARKET_FINISHED})


def _ready_line(venue: SimulatedVenue, server: BybitServer) -> dict[str, Any]:
    accounts = list(venue.exchange.accounts.values())
    return {
        "rest": server.rest_url,
        "ws": server.ws_url,
        "api_key": accounts[0].api_key,
        "api_secret": accounts[0].api_secret,
        "symbols": list(venue.exchange.instruments),
        "accounts": [
            {"uid": a.uid, "api_key": a.api_key, "api_secret": a.api_secret} for a in accounts
        ],
        "market": venue.market.description(),
    }
