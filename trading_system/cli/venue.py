"""``trading-system venue``: the embedded venue alone, usable by any Bybit client."""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import signal
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from trading_system.cli.output import emit_json, note
from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.domain.instruments import Category, Instrument
from trading_system.domain.ports import Clock
from trading_system.runtime.child import watch_lifeline
from trading_system.runtime.clock import SystemClock
from trading_system.simulation.bybit_server.fault_control import FaultControl
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.server import BybitServer
from trading_system.simulation.bybit_server.signing import read_key
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.faults.schedule import load_schedule
from trading_system.simulation.live_market.feed import BOOK_DEPTH, following
from trading_system.simulation.live_market.hosts import instrument_rows, public_host
from trading_system.simulation.live_market.market import LiveMarket
from trading_system.simulation.records import AccountSpec
from trading_system.simulation.replay.bybit import instrument_of_row
from trading_system.simulation.state.entries import Head
from trading_system.simulation.state.file import StateFile
from trading_system.simulation.state.journal import StateJournal
from trading_system.simulation.state.restoring import restore
from trading_system.simulation.state.saved import SavedVenue
from trading_system.simulation.venue import (
    SimulatedVenue,
    build_live_venue,
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
        ``synthetic``, ``replay`` or ``live``.
    recordings : list of Path
        For ``replay`` only.
    source : str
        For ``live`` only: testnet, mainnet or the address of another venue.
    state : Path or None
        Where accounts, orders and histories survive the process; None keeps them in memory.
    faults : Path or None
        Schedule of faults, armed when the venue is ready.
    has_fault_control : bool
        Whether faults can be armed and cleared through a port of their own.
    rsa_public_key : Path or None
        PEM file; a third account then signs with the private key to it.
    """

    def __init__(
        self,
        *,
        market: Literal["synthetic", "replay", "live"],
        symbols: list[str],
        recordings: list[Path],
        seed: int,
        edge_bps: float,
        activity: float,
        speed: float,
        fill_model: Literal["queue", "trade-through"],
        options: ServerOptions,
        state: Path | None = None,
        source: str = "testnet",
        faults: Path | None = None,
        has_fault_control: bool = False,
        rsa_public_key: Path | None = None,
    ) -> None:
        if market == "replay" and not recordings:
            raise ConfigurationError("--market replay needs --recording PATH")
        if market != "replay" and recordings:
            raise ConfigurationError("--recording needs --market replay")
        self._market = market
        self._host = public_host(source)
        self._symbols = symbols
        self._recordings = recordings
        self._seed = seed
        self._edge_bps = edge_bps
        self._activity = activity
        self._speed = speed
        self._fill_model = fill_model
        self._rsa_public_key = None if rsa_public_key is None else read_key(rsa_public_key)
        self.options = options
        self.state = state
        self.faults = [] if faults is None else load_schedule(faults)
        self.has_fault_control = has_fault_control

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
                accounts=self._accounts(),
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

    def _accounts(self) -> list[AccountSpec]:
        accounts = list(default_accounts(seed=self._seed))
        if self._rsa_public_key is not None:
            first = accounts[0]
            accounts.append(
                AccountSpec(
                    account_id=len(accounts) + 1,
                    uid=first.uid + 1,
                    api_key="sim-key-rsa",
                    api_secret="",
                    balance=first.balance,
                    rsa_public_key=self._rsa_public_key,
                )
            )
        return accounts

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
        if self._market == "live":
            return build_live_venue(
                instruments=self._listed_by_source(),
                accounts=head.accounts,
                seed=id_seed,
                source=self._host.name,
                depth=BOOK_DEPTH,
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
            has_spot=True,
        )

    def _listed_by_source(self) -> list[Instrument]:
        rows = asyncio.run(instrument_rows(self._host, self._symbols))
        try:
            return [instrument_of_row(row, category="linear") for row in rows.values()]
        except ValidationError as e:
            raise ConfigurationError(f"{self._host.name}: {e}") from e

    def market_source(
        self, venue: SimulatedVenue, clock: Clock
    ) -> AbstractAsyncContextManager[None]:
        """Return what brings the market its messages while the venue runs."""
        if not isinstance(venue.market, LiveMarket):
            return nullcontext()
        return following(venue.market, self._host, venue.exchange.instruments, clock=clock)


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
    async with plan.market_source(venue, clock):
        venue.prepare(clock.utc_ns() // _NS_PER_MS)
        if saved is not None:
            restore(venue.exchange, saved, now_ms=venue.now_ms)
        journal = None if file is None else StateJournal(venue, file, head=head)
        faults = FaultEngine(seed=plan.options.seed, clock=clock)
        async with (
            BybitServer(venue, clock=clock, options=plan.options, faults=faults) as server,
            FaultControl(faults) if plan.has_fault_control else nullcontext() as control,
        ):
            ready = _ready_line(venue, server)
            if control is not None:
                ready["control"] = control.url
            faults.arm(plan.faults)
            await _serve_until(stop, venue, server, journal, ready=ready)
        if journal is not None:
            journal.save()


async def _serve_until(
    stop: asyncio.Event,
    venue: SimulatedVenue,
    server: BybitServer,
    journal: StateJournal | None,
    *,
    ready: dict[str, Any],
) -> None:
    gc.collect()
    gc.freeze()
    emit_json(ready)
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
    instruments = venue.exchange.instruments.values()
    return {
        "rest": server.rest_url,
        "ws": server.ws_url,
        "api_key": accounts[0].api_key,
        "api_secret": accounts[0].api_secret,
        "symbols": [each.symbol for each in instruments if each.category is Category.LINEAR],
        "spot": [each.symbol for each in instruments if each.category is Category.SPOT],
        "accounts": [
            {"uid": a.uid, "api_key": a.api_key, "api_secret": a.api_secret} for a in accounts
        ],
        "market": venue.market.description(),
    }
