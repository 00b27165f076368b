"""A trading desk: the embedded venue where one is needed, the session, and the final check.

The desk owns the supervisor: it starts the parts in order, stops them in reverse, and afterwards
reads the venue with a client of its own to prove what was left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from trading_system.config.settings import Settings
from trading_system.domain.errors import (
    ConfigurationError,
    CorruptDataError,
    LifecycleError,
    VenueAuthError,
    VenueError,
)
from trading_system.domain.instruments import plain
from trading_system.domain.ports import Clock
from trading_system.execution.engine import LINK_PREFIX
from trading_system.execution.journal.store import Journal
from trading_system.live.access import Access, access_of, needs_embedded_venue
from trading_system.live.connection import VenueConnection
from trading_system.live.session import TradingSession
from trading_system.live.venue_process import EmbeddedVenue
from trading_system.runtime.lifecycle import Component, State, Supervisor
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.rest import BybitRest

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_VENUE_START_S = 35.0
_VENUE_STOP_S = 10.0
_SESSION_START_S = 60.0
_SESSION_STOP_S = 30.0
_CHECK_S = 20.0
_STALE_STAMP = 10002


@dataclass(frozen=True, slots=True)
class VenueTruth:
    """What a separate client read from the venue after the stop.

    ``open_orders`` counts every order that may still trade by itself; the stops that protect
    positions left open are counted apart.
    """

    positions: dict[str, str]
    open_orders: int
    own_open_orders: int
    protective_stops: int


class TradingDesk:
    """Lifecycle of one run.

    Parameters
    ----------
    settings : Settings
        Everything that can be set.
    clock : Clock
        All stamps.
    before_stop : Callable[[], None]
        Called once while the session still lives, just before the stop begins.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        before_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.run_id = secrets.token_hex(4)
        self.session: TradingSession | None = None
        self.venue: EmbeddedVenue | None = None
        self.truth: VenueTruth | None = None
        self._connection: VenueConnection | None = None
        self._journal: Journal | None = None
        self._before_stop = before_stop
        self._supervisor: Supervisor | None = None
        self._started_ns: int | None = None
        self._ended_ns: int | None = None
        self._stop_requested = asyncio.Event()
        self._requested_reason = "stopped"

    @property
    def state(self) -> State:
        """Where the run is in its life."""
        return self._supervisor.state if self._supervisor is not None else State.NEW

    @property
    def reason(self) -> str | None:
        """Why it stops or has stopped."""
        return self._supervisor.reason if self._supervisor is not None else None

    @property
    def is_live(self) -> bool:
        """Whether it is running now."""
        return self.state in {State.RUNNING, State.DEGRADED}

    @property
    def is_ended(self) -> bool:
        """Whether it has run and everything was left."""
        return self._supervisor is not None and self._supervisor.is_ended

    @property
    def uptime_s(self) -> float:
        """Seconds since the start, until the end."""
        if self._started_ns is None:
            return 0.0
        end_ns = self._ended_ns if self._ended_ns is not None else self.clock.monotonic_ns()
        return (end_ns - self._started_ns) / _NS_PER_S

    @property
    def left_behind(self) -> str | None:
        """What the stop could not bring to an end, None if nothing or if no session began."""
        if self.session is None or not self.is_ended:
            return None
        if self.truth is None:
            return "the venue could not be asked whether own orders are left"
        if self.truth.own_open_orders:
            return f"{self.truth.own_open_orders} own orders are still open at the venue"
        if unsettled := len(self.session.engine.live_orders):
            return f"{unsettled} own orders have no known outcome"
        return None

    def live_session(self) -> TradingSession:
        """Return the session of a running desk.

        Raises
        ------
        LifecycleError
            If it is not running.
        """
        if self.session is None or not self.is_live:
            known = "was not started" if self.state is State.NEW else f"is {self.state.name}"
            raise LifecycleError(f"the system is not running: it {known}")
        return self.session

    async def start(self) -> None:
        """Start everything and return when it is ready to trade.

        Raises
        ------
        ConfigurationError
            If a setting makes the start impossible.
        LifecycleError
            If it was started before, or a stop was requested meanwhile.
        TradingSystemError
            If the venue or a stream did not get ready; everything begun was undone.
        """
        if self._supervisor is not None:
            raise LifecycleError("the system was started before; make a new one for another run")
        if self._stop_requested.is_set():
            raise LifecycleError(f"stopped before the start: {self._requested_reason}")
        _make_folder(self.settings.data_dir)
        self._supervisor = supervisor = Supervisor(name="trading-system")
        self._started_ns = self.clock.monotonic_ns()
        if needs_embedded_venue(self.settings):
            supervisor.add(self._venue_component())
        supervisor.add(
            Component(
                name="final check", start=_nothing, stop=self._read_truth, stop_deadline_s=_CHECK_S
            )
        )
        supervisor.add(
            Component(
                name="session",
                start=self._start_session,
                stop=self._stop_session,
                start_deadline_s=_SESSION_START_S,
                stop_deadline_s=_SESSION_STOP_S,
            )
        )
        await supervisor.start()
        if self.venue is not None:
            _ = supervisor.spawn("venue-watch", self.venue.watch())

    async def run_forever(self) -> None:
        """Wait until a stop is requested or a part fails, then stop in order.

        Raises
        ------
        Exception
            The error of the part that failed, after the ordered stop.
        """
        supervisor = self._supervisor
        if supervisor is None:
            raise LifecycleError("the system was not started; call start_system() first")
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(_settled(supervisor), name="watch-supervisor")
            requested = group.create_task(self._stop_requested.wait(), name="watch-request")
            await asyncio.wait((ended, requested), return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            requested.cancel()
        await self.stop(self._requested_reason)
        await supervisor.wait()

    async def stop(self, reason: str) -> None:
        """Stop in order; idempotent, the first reason is kept; nothing happens before a start."""
        supervisor = self._supervisor
        if supervisor is None:
            return
        if self.is_live and self.session is not None:
            await self.session.drain()
            self._before_stop()
        await supervisor.stop(reason)
        if self._ended_ns is None:
            self._ended_ns = self.clock.monotonic_ns()

    def request_stop(self, reason: str) -> None:
        """Ask for the stop; returns at once, the first reason is kept; a start is undone."""
        if not self._stop_requested.is_set():
            self._requested_reason = reason
            self._stop_requested.set()
        if self._supervisor is not None and self._supervisor.state is State.STARTING:
            self._supervisor.request_stop(reason)

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run ``coroutine`` as a task that lives no longer than the run.

        It is cancelled first when the system stops; if it raises, the system fails and stops.

        Raises
        ------
        LifecycleError
            If the system is not starting or running; the coroutine is closed.
        """
        if self._supervisor is None:
            coroutine.close()
            raise LifecycleError(f"cannot run {name!r}: the system was not started")
        _ = self._supervisor.spawn(name, coroutine)

    def _venue_component(self) -> Component:
        self.venue = venue = EmbeddedVenue(
            self.settings,
            on_finished=lambda: self.request_stop("the recording is over"),
            on_down=lambda: self._on_venue(is_up=False),
            on_up=lambda: self._on_venue(is_up=True),
        )
        return Component(
            name="venue",
            start=venue.start,
            stop=venue.stop,
            start_deadline_s=_VENUE_START_S,
            stop_deadline_s=_VENUE_STOP_S,
        )

    def _on_venue(self, *, is_up: bool) -> None:
        if self.session is not None:
            self.session.note_venue(is_up=is_up)

    def _access(self) -> Access:
        return access_of(self.settings, self.venue.ready if self.venue is not None else None)

    def _symbols(self) -> list[str]:
        if self.venue is not None and self.settings.venue.market == "replay":
            return [str(symbol) for symbol in self.venue.ready["symbols"]]
        return list(self.settings.symbols)

    async def _start_session(self) -> None:
        assert self._supervisor is not None
        self._connection = VenueConnection(self.settings, self._access(), clock=self.clock)
        try:
            await self._open_session(self._connection)
        except BaseException as e:
            await self._close_session()
            if isinstance(e, VenueAuthError) and e.code != _STALE_STAMP:
                raise ConfigurationError(
                    f"the venue refuses the key ({e}); correct TRADING_BYBIT__API_KEY and "
                    "TRADING_BYBIT__API_SECRET"
                ) from e
            raise

    async def _open_session(self, connection: VenueConnection) -> None:
        assert self._supervisor is not None
        await connection.open()
        account = await connection.load(self._symbols())
        name = f"journal-{self._access().account}.sqlite"
        self._journal = Journal.open(self.settings.data_dir / name, clock=self.clock)
        self.session = TradingSession(
            self.settings,
            connection=connection,
            account=account,
            journal=self._journal,
            run_id=self.run_id,
            clock=self.clock,
            spawn=self._supervisor.spawn,
        )
        is_fresh = self.venue is not None and not self.venue.is_resumed
        await self.session.start(is_fresh_account=is_fresh)

    async def _stop_session(self) -> None:
        assert self.session is not None
        self._before_stop()  # after a failure nobody has judged the run yet
        try:
            await self.session.stop()
        finally:
            await self._close_session()

    async def _close_session(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        if self._journal is not None:
            self._journal.close()

    async def _read_truth(self) -> None:
        """Read positions and open orders with a client of its own, after everything stopped."""
        if self.session is None:
            return  # the session never began: there is nothing to prove
        access = self._access()
        async with BybitRest(access.endpoints.rest, signer=access.signer, clock=self.clock) as rest:
            gateway = BybitGateway(rest, clock=self.clock)
            try:
                await gateway.synchronise_clock()
                positions = await gateway.positions()
                orders = await gateway.open_orders()
            except (VenueError, CorruptDataError) as e:
                _LOG.error("the venue could not be read after the stop", error=str(e))
                return
        working = [o for o in orders if not o.is_protective]
        self.truth = VenueTruth(
            positions={p.symbol: plain(p.quantity) for p in positions if p.quantity},
            open_orders=len(working),
            own_open_orders=sum(o.link_id.startswith(LINK_PREFIX) for o in working),
            protective_stops=len(orders) - len(working),
        )


async def _settled(supervisor: Supervisor) -> None:
    """Wait for the supervisor's end; its error is raised by the caller's own wait."""
    with contextlib.suppress(Exception):
        await supervisor.wait()


async def _nothing() -> None:
    return


def _make_folder(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigurationError(
            f"cannot write to the data directory {data_dir}: {e.strerror}; set TRADING_DATA_DIR"
        ) from e
