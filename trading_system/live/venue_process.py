"""The embedded venue as a child process: started, watched, and started again when it dies.

It keeps its accounts in a state file, so that a restart on the same port continues the same
market for the same keys; the system reconciles before the first new order.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.child import ChildError, ChildProcess, ChildSpec, launch

_LOG = structlog.get_logger(__name__)
_READY_S = 30.0
_MISUSE = 2
_STATE_FILE = "venue-state"
_MAX_RESTARTS = 20
_BACKOFF = Backoff(first_s=0.2, max_s=5.0, attempts=20)


class EmbeddedVenue:
    """One venue process after another, all on the same port.

    Parameters
    ----------
    settings : Settings
        Market, symbols and data directory.
    on_finished : Callable[[], None]
        Called when a replayed recording is over.
    on_down, on_up : Callable[[], None]
        Called when the process was lost, and when another one is ready.
    backoff : Backoff
        How often and when a lost process is started again.
    max_restarts : int
        Losses in one run after which it is given up.

    Attributes
    ----------
    restarts : int
        Processes started after the first.
    is_resumed : bool
        Whether the first one continued accounts of an earlier run.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_finished: Callable[[], None],
        on_down: Callable[[], None],
        on_up: Callable[[], None],
        backoff: Backoff = _BACKOFF,
        max_restarts: int = _MAX_RESTARTS,
    ) -> None:
        self._settings = settings
        self._backoff = backoff
        self._max_restarts = max_restarts
        self._on_finished = on_finished
        self._on_down = on_down
        self._on_up = on_up
        self._stack = contextlib.AsyncExitStack()
        self._child: ChildProcess | None = None
        self._ready: dict[str, Any] = {}
        self.restarts = 0
        self.is_resumed = False

    @property
    def ready(self) -> Mapping[str, Any]:
        """The ready line: addresses, key and secret, symbols, market."""
        return self._ready

    @property
    def pid(self) -> int | None:
        """Process id, None while no process is ready."""
        return self._child.pid if self._child is not None else None

    @property
    def state_file(self) -> Path:
        """Where the accounts are kept."""
        return self._settings.venue.state or self._settings.data_dir / _STATE_FILE

    async def start(self) -> None:
        """Launch the venue and wait until it is ready.

        Raises
        ------
        ConfigurationError
            If it refuses its settings.
        ChildError
            If it does not get ready.
        """
        self.is_resumed = self.state_file.exists()
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            await self._launch(port=0)
        except ChildError as e:
            if e.exit_code != _MISUSE or not e.stderr_tail:
                raise
            reason = e.stderr_tail[-1].removeprefix("error: ")
            raise ConfigurationError(f"the embedded venue refuses its settings: {reason}") from e

    async def stop(self) -> None:
        """End the process; without a setting that keeps them, its accounts end with it."""
        self._child = None
        await self._stack.aclose()
        if self._settings.venue.state is None:
            self._forget()

    async def watch(self) -> None:
        """Start the venue again whenever it dies; runs until it is cancelled.

        Raises
        ------
        ChildError
            If it does not come back, or dies too often.
        """
        while True:
            assert self._child is not None
            exit_code = await self._child.wait()
            _LOG.error("the embedded venue died", exit_code=exit_code, restarts=self.restarts)
            self._child = None
            self._on_down()
            await self._stack.aclose()
            if self.restarts >= self._max_restarts:
                raise ChildError(
                    "the embedded venue died too often", exit_code=exit_code, stderr_tail=()
                )
            self.restarts += 1
            await self._relaunch()
            self._on_up()

    async def _relaunch(self) -> None:
        error: ChildError | None = None
        for delay_s in self._backoff.delays(random.Random(self._port)):
            await asyncio.sleep(delay_s)
            try:
                await self._launch(port=self._port)
            except ChildError as e:
                _LOG.warning("the embedded venue did not come back", error=str(e))
                error = e
            else:
                return
        assert error is not None
        raise error

    async def _launch(self, *, port: int) -> None:
        spec = ChildSpec(
            name="embedded venue",
            command=self._command(port),
            ready_deadline_s=_READY_S,
            on_line=self._on_line,
        )
        self._child = await self._stack.enter_async_context(launch(spec))
        self._ready = dict(self._child.ready)

    @property
    def _port(self) -> int:
        return urlsplit(str(self._ready["rest"])).port or 0

    def _command(self, port: int) -> list[str]:
        venue = self._settings.venue
        command = [sys.executable, "-m", "trading_system", "venue", "--port", str(port), "--json"]
        command += ["--market", venue.market, "--seed", str(venue.seed)]
        command += ["--edge", str(venue.edge_bps), "--activity", str(venue.activity)]
        command += ["--speed", str(venue.speed), "--fill-model", venue.fill_model]
        command += ["--limits", venue.limits, "--ack-delay-ms", str(venue.ack_delay_ms)]
        command += ["--latency", venue.latency]
        if venue.market == "live":
            command += ["--source", venue.source]
        if venue.market != "replay":
            command += ["--symbols", ",".join(self._settings.symbols)]
            command += ["--state", str(self.state_file)]
        for path in venue.recording:
            command += ["--recording", str(path)]
        return command

    def _on_line(self, stream: str, line: str) -> None:
        _LOG.debug("venue", stream=stream, line=line)
        if stream == "stdout" and '"market-finished"' in line:
            self._on_finished()

    def _forget(self) -> None:
        # The venue's own files only: what a user copied beside them is the user's.
        name = self.state_file.name
        for path in (
            self.state_file,
            self.state_file.with_name(f"{name}.lock"),
            *self.state_file.parent.glob(f"{name}.new-*"),
        ):
            path.unlink(missing_ok=True)
