"""The assembled system: start, run, stop, status. Wiring only."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import SecretStr

from trading_system.config.settings import Settings, load_settings
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
from trading_system.monitoring.health import Health
from trading_system.monitoring.status import SystemSnapshot, status_of
from trading_system.runtime.child import ChildError, ChildProcess, ChildSpec, launch
from trading_system.runtime.clock import SystemClock
from trading_system.runtime.lifecycle import Component, State, Supervisor
from trading_system.live.evidence import (
    milliseconds,
    session_health,
    trading_figures,
)
from trading_system.live.session import SessionOptions, TradingSession
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.hosts import Endpoints, endpoints
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.signing import Signer

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_VENUE_READY_S = 30.0
_SESSION_START_S = 45.0
_SESSION_STOP_S = 25.0
_STALE_STAMP = 10002
_MISUSE = 2


@dataclass(frozen=True, slots=True)
class VenueTruth:
    """What a separate client read from the venue after the stop."""

    positions: dict[str, str]
    open_orders: int
    own_open_orders: int


class EnhancedTradingSystem:
    """The trading system of the users' guides.

    Parameters
    ----------
    settings : Settings or None
        None loads them from environment, ``.env`` and ``config.json``.
    clock : Clock or None
        None uses the machine's clocks.
    """

    def __init__(self, settings: Settings | None = None, *, clock: Clock | None = None) -> None:
        self._settings = settings if settings is not None else load_settings({})
        self._clock = clock or SystemClock()
        self._run_id = secrets.token_hex(4)
        self._session: TradingSession | None = None
        self._supervisor: Supervisor | None = None
        self._venue: ChildProcess | None = None
        self._venue_context: AbstractAsyncContextManager[ChildProcess] | None = None
        self._truth: VenueTruth | None = None
        self._started_ns: int | None = None
        self._ended_ns: int | None = None
        self._final_health: Health | None = None
        self._stop_requested = asyncio.Event()
        self._requested_reason = "stopped"

    @property
    def run_id(self) -> str:
        """Eight hex digits that mark every order of this run."""
        return self._run_id

    async def start_system(self) -> None:
        """Start everything and return when the system is ready to trade.

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
        supervisor = Supervisor(name="trading-system")
        self._supervisor = supervisor
        self._started_ns = self._clock.monotonic_ns()
        if self._settings.environment == "simulated" and self._settings.bybit.rest_url is None:
            supervisor.add(
                Component(
                    name="venue",
                    start=self._start_venue,
                    stop=self._stop_venue,
                    start_deadline_s=_VENUE_READY_S + 5.0,
                    stop_deadline_s=10.0,
                )
            )
        supervisor.add(Component(name="final check", start=_nothing, stop=self._read_truth))
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

    async def run_forever(self) -> None:
        """Wait until a stop is requested or a part fails, then stop in order.

        Raises
        ------
        Exception
            The error of the part that failed, after the ordered stop.
        """
        supervisor = self._running()
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(_settled(supervisor), name="watch-supervisor")
            requested = group.create_task(self._stop_requested.wait(), name="watch-request")
            await asyncio.wait((ended, requested), return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            requested.cancel()
        await self.stop_system(self._requested_reason)
        await supervisor.wait()

    async def stop_system(self, reason: str = "stopped") -> None:
        """Stop in order: decisions, resting orders, final reports, streams, venue.

        Idempotent; the first reason is kept. Positions are left as they are. Before the start
        there is nothing to stop, and nothing happens.
        """
        supervisor = self._supervisor
        if supervisor is None:
            return
        if supervisor.state in {State.RUNNING, State.DEGRADED} and self._session is not None:
            await self._session.drain()
            # The last moment with live streams: what follows is the stop, not the run's health.
            self._final_health = self._final_health or self._health()
        await supervisor.stop(reason)
        if self._ended_ns is None:
            self._ended_ns = self._clock.monotonic_ns()

    def request_stop(self, reason: str) -> None:
        """Ask :meth:`run_forever` to stop; returns at once, the first reason is kept.

        A start that is under way is undone, and :meth:`start_system` raises.
        """
        if not self._stop_requested.is_set():
            self._requested_reason = reason
            self._stop_requested.set()
        if self._supervisor is not None and self._supervisor.state is State.STARTING:
            self._supervisor.request_stop(reason)

    def get_system_status(self) -> dict[str, Any]:
        """Return the full status; every documented key is present from the first call."""
        return status_of(self._snapshot())

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise ConfigurationError("the system was not started; call start_system() first")
        return self._supervisor

    async def _start_venue(self) -> None:
        venue = self._settings.venue
        command = [sys.executable, "-m", "trading_system", "venue", "--port", "0", "--json"]
        command += ["--market", venue.market, "--seed", str(venue.seed)]
        command += ["--edge", str(venue.edge_bps), "--activity", str(venue.activity)]
        command += ["--speed", str(venue.speed), "--fill-model", venue.fill_model]
        command += ["--limits", venue.limits, "--ack-delay-ms", str(venue.ack_delay_ms)]
        if venue.market == "synthetic":
            command += ["--symbols", ",".join(self._settings.symbols)]
        for path in venue.recording:
            command += ["--recording", str(path)]
        spec = ChildSpec(
            name="embedded venue",
            command=command,
            ready_deadline_s=_VENUE_READY_S,
            on_line=self._on_venue_line,
        )
        self._venue_context = launch(spec)
        try:
            self._venue = await self._venue_context.__aenter__()
        except ChildError as e:
            if e.exit_code != _MISUSE or not e.stderr_tail:
                raise
            reason = e.stderr_tail[-1].removeprefix("error: ")
            raise ConfigurationError(f"the embedded venue refuses its settings: {reason}") from e

    def _on_venue_line(self, stream: str, line: str) -> None:
        _LOG.debug("venue", stream=stream, line=line)
        if stream == "stdout" and '"market-finished"' in line:
            self.request_stop("the recording is over")

    async def _stop_venue(self) -> None:
        assert self._venue_context is not None
        await self._venue_context.__aexit__(None, None, None)

    async def _start_session(self) -> None:
        assert self._supervisor is not None
        addresses, signer = self._access()
        self._session = TradingSession(
            SessionOptions(
                symbols=self._symbols(),
                run_id=self._run_id,
                endpoints=addresses,
                signer=signer,
                request_timeout_s=self._settings.bybit.request_timeout_s,
                risk=self._settings.risk,
                strategy=self._settings.strategy,
            ),
            clock=self._clock,
        )
        await self._session.rest.__aenter__()
        try:
            await self._session.start(self._supervisor.spawn)
        except BaseException as e:
            await self._session.rest.__aexit__(None, None, None)
            if isinstance(e, VenueAuthError) and e.code != _STALE_STAMP:
                raise ConfigurationError(
                    f"the venue refuses the key ({e}); correct TRADING_BYBIT__API_KEY and "
                    "TRADING_BYBIT__API_SECRET"
                ) from e
            raise

    async def _stop_session(self) -> None:
        assert self._session is not None
        # After a failure nobody has judged the run yet.
        self._final_health = self._final_health or self._health()
        try:
            await self._session.stop()
        finally:
            await self._session.rest.__aexit__(None, None, None)

    def _symbols(self) -> list[str]:
        if self._venue is not None and self._settings.venue.market == "replay":
            listed = self._venue.ready["symbols"]
            assert isinstance(listed, list)
            return [str(symbol) for symbol in listed]
        return list(self._settings.symbols)

    def _access(self) -> tuple[Endpoints, Signer]:
        bybit = self._settings.bybit
        rest_url, ws_url = bybit.rest_url, bybit.ws_url
        key, secret = bybit.api_key, bybit.api_secret
        if self._venue is not None:
            ready = self._venue.ready
            rest_url, ws_url = str(ready["rest"]), str(ready["ws"])
            key, secret = SecretStr(str(ready["api_key"])), SecretStr(str(ready["api_secret"]))
        if key is None or secret is None:
            raise ConfigurationError(
                "an API key is needed; set TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET"
            )
        addresses = endpoints(self._settings.environment, rest_url=rest_url, ws_url=ws_url)
        signer = Signer(key.get_secret_value(), secret, recv_window_ms=bybit.recv_window_ms)
        return addresses, signer

    async def _read_truth(self) -> None:
        """Read positions and open orders with a client of its own, after everything stopped."""
        if self._session is None:
            return  # the session never began: there is nothing to prove
        addresses, signer = self._access()
        async with BybitRest(addresses.rest, signer=signer, clock=self._clock) as rest:
            gateway = BybitGateway(rest, clock=self._clock)
            try:
                await gateway.synchronise_clock()
                positions = await gateway.positions()
                orders = await gateway.open_orders()
            except (VenueError, CorruptDataError) as e:
                _LOG.error("the venue could not be read after the stop", error=str(e))
                return
        self._truth = VenueTruth(
            positions={p.symbol: plain(p.quantity) for p in positions if p.quantity},
            open_orders=len(orders),
            own_open_orders=sum(o.link_id.startswith(LINK_PREFIX) for o in orders),
        )

    def _snapshot(self) -> SystemSnapshot:
        session, supervisor, settings = self._session, self._supervisor, self._settings
        targets = settings.targets.model_dump()
        ack = session.latency.percentiles("ack") if session else None
        signal = session.latency.percentiles("signal") if session else None
        truth = self._truth
        return SystemSnapshot(
            state=supervisor.state.name if supervisor else State.NEW.name,
            environment=settings.environment,
            symbols=tuple(session.instruments if session else settings.symbols),
            uptime_s=self._uptime_s(),
            targets=targets,
            health=self._final_health or self._health(),
            signal_p95_ms=milliseconds(signal.p95_us) if signal else None,
            order_p95_ms=milliseconds(ack.p95_us) if ack else None,
            market=self._market(),
            cost_rule=self._cost_rule(),
            stop_reason=supervisor.reason if supervisor else None,
            position_venue=truth.positions if truth else self._last_compared(),
            open_orders=truth.open_orders if truth else None,
            own_open_orders=truth.own_open_orders if truth else None,
            **trading_figures(session),
        )

    def _health(self) -> Health:
        return session_health(
            self._session,
            max_book_age_s=self._settings.risk.stale_book_s,
            targets=self._settings.targets.model_dump(),
        )

    def _market(self) -> dict[str, Any] | None:
        market = self._venue.ready.get("market") if self._venue is not None else None
        return dict(market) if isinstance(market, dict) else None

    def _cost_rule(self) -> dict[str, Any]:
        least = self._settings.strategy.min_edge_bps
        rule = "relaxed" if least < 0 else "after costs"
        return {"cost_rule": f"cost rule {rule}", "min_edge_bps": least}

    def _last_compared(self) -> dict[str, str] | None:
        reconciler = self._session.reconciler if self._session is not None else None
        if reconciler is None or reconciler.venue is None:
            return None
        if self._supervisor is not None and self._supervisor.is_ended:
            return None  # only the final check counts now, and it got no answer
        return {symbol: plain(quantity) for symbol, quantity in reconciler.venue.items()}

    def _uptime_s(self) -> float:
        if self._started_ns is None:
            return 0.0
        end_ns = self._ended_ns if self._ended_ns is not None else self._clock.monotonic_ns()
        return (end_ns - self._started_ns) / _NS_PER_S


async def _nothing() -> None:
    return


async def _settled(supervisor: Supervisor) -> None:
    """Wait for the supervisor's end; its error is raised by the caller's own wait."""
    with contextlib.suppress(Exception):
        await supervisor.wait()
