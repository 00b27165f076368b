"""The cost simulator behind its page: a process of its own, started when somebody looks.

``trading-system cost serve`` does the arithmetic, so that an estimate never stands in the way of
the dashboard's event loop. There is one process for each exchange, because an exchange that
cannot be reached must not take the other one away. It inherits the dashboard's environment: where
``TRADING_BYBIT__REST_URL`` and its siblings name the embedded venue of a running system, costs are
those of the same market.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import aiohttp
import structlog

from trading_system.domain.errors import TradingSystemError
from trading_system.domain.ports import Clock
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.child import ChildError, ChildProcess, ChildSpec, launch
from trading_system.runtime.clock import SystemClock

_LOG = structlog.get_logger(__name__)

EXCHANGES: Final = ("bybit", "okx")
"""Exchanges whose costs can be shown."""
IDLE_S: Final = 300.0
"""Seconds without an estimate after which the process is ended."""
MAX_INSTRUMENTS: Final = 4
"""Instruments of one process, so that its books stay cheap."""

_READY_S: Final = 150.0  # the first start ever compiles the book's kernels
_ESTIMATE_S: Final = 3.0
_LOOK_S: Final = 2.0
_STEADY_S: Final = 60.0
_NS_PER_S: Final = 1_000_000_000
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
_RETRY: Final = Backoff(first_s=1.0, max_s=30.0, attempts=6)
_REMEDY: Final = "see the dashboard's log, or run: trading-system cost serve"

Launch = Callable[[ChildSpec], AbstractAsyncContextManager[ChildProcess]]


class CostServerError(TradingSystemError):
    """There is no estimate now. Consequence: show why; the next one may succeed.

    Parameters
    ----------
    message : str
        What is the matter.
    remedy : str
        What can be done about it.
    code : str
        Short name: of the simulator's error, or ``starting``, ``failed``, ``unreachable``.
    """

    def __init__(self, message: str, *, remedy: str, code: str) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code


class CostServer:
    """One ``cost serve`` process after another, only while somebody asks.

    Parameters
    ----------
    exchange : str
        Whose costs, ``bybit`` or ``okx``.
    clock : Clock
        For idleness.
    command : sequence of str
        Program and leading arguments; the instruments are added.
    environ : mapping of str to str
        Variables added to the dashboard's own environment.
    idle_s : float
        Seconds without an estimate after which the process is ended.
    retry : Backoff
        When a process that was lost is started again.
    look_s : float
        How often idleness is looked at, seconds.
    """

    def __init__(
        self,
        exchange: str,
        *,
        clock: Clock,
        rng: random.Random,
        command: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        idle_s: float = IDLE_S,
        retry: Backoff = _RETRY,
        look_s: float = _LOOK_S,
        start: Launch = launch,
    ) -> None:
        self.exchange = exchange
        self._clock = clock
        self._rng = rng
        self._command = tuple(command) or serve_command()
        self._environ = dict(environ or {})
        self._idle_s = idle_s
        self._retry = retry
        self._look_s = look_s
        self._launch = start
        self._instruments: tuple[str, ...] = ()
        self._asked_ns = 0
        self._wanted = asyncio.Event()
        self._url: str | None = None
        self._http: aiohttp.ClientSession | None = None
        self._problem = ""
        self.starts = 0

    @property
    def is_ready(self) -> bool:
        """Whether the process answers now."""
        return self._url is not None

    @property
    def problem(self) -> str:
        """Why the process is not there, empty while it is or has not been asked for."""
        return self._problem

    def offer(self, instruments: Sequence[str]) -> None:
        """Name the instruments of the next process; the first ones are taken."""
        self._instruments = tuple(dict.fromkeys(instruments))[:MAX_INSTRUMENTS]

    async def run(self) -> None:
        """Start, watch and end the processes, until cancelled; then none is left."""
        pauses = self._pauses()
        while True:
            await self._wanted.wait()
            began_ns = self._clock.monotonic_ns()
            try:
                await self._serve()
            except ChildError as e:
                self._problem = str(e)
                _LOG.warning("the cost simulator is not there", exchange=self.exchange, error=e)
            else:
                self._wanted.clear()
                continue
            if self._clock.monotonic_ns() - began_ns > _STEADY_S * _NS_PER_S:
                pauses = self._pauses()
            pause_s = next(pauses, None)
            if pause_s is None:
                self._wanted.clear()  # given up until somebody asks for another try
                pauses = self._pauses()
            else:
                await asyncio.sleep(pause_s)

    def _pauses(self) -> Iterator[float]:
        return self._retry.delays(self._rng)

    async def _serve(self) -> None:
        spec = ChildSpec(
            name=f"cost simulator of {self.exchange}",
            command=self._with_instruments(),
            environ=self._environ,
            ready_deadline_s=_READY_S,
        )
        async with self._launch(spec) as child, aiohttp.ClientSession(trust_env=False) as http:
            self._url, self._http, self._problem = str(child.ready["url"]), http, ""
            self.starts += 1
            self._asked_ns = self._clock.monotonic_ns()
            try:
                await self._watch(child)
            finally:
                self._url = self._http = None

    async def _watch(self, child: ChildProcess) -> None:
        while self._clock.monotonic_ns() - self._asked_ns < self._idle_s * _NS_PER_S:
            try:
                async with asyncio.timeout(self._look_s):
                    exit_code = await child.wait()
            except TimeoutError:
                continue
            raise ChildError(
                f"the cost simulator of {self.exchange} ended",
                exit_code=exit_code,
                stderr_tail=child.stderr_tail,
            )

    def _with_instruments(self) -> list[str]:
        command = [*self._command]
        for name in self._instruments:
            command += ["--exchange", self.exchange, "--instrument", name]
        if not self._instruments:
            raise ChildError("no instrument is named", exit_code=None, stderr_tail=())
        return command

    def retry(self) -> None:
        """Try again at once what was given up."""
        self._problem = ""
        self._wanted.set()

    async def estimate(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return one estimate; starts the process if there is none, without waiting for it.

        Parameters
        ----------
        query : mapping
            Keys of ``docs/cost_simulator.md``; None means not given.

        Raises
        ------
        CostServerError
            If there is none; the message and the remedy are for people.
        """
        return await self._ask("/estimate", {k: v for k, v in query.items() if v is not None})

    async def status(self) -> dict[str, Any]:
        """Return the process's own status: fee tiers, feeds, latency.

        Raises
        ------
        CostServerError
            As :meth:`estimate`.
        """
        return await self._ask("/status", None)

    async def _ask(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        url, http = self._address()
        try:
            async with asyncio.timeout(_ESTIMATE_S):
                asking = http.get(url + path) if body is None else http.post(url + path, json=body)
                async with asking as answer:
                    content = _object(await answer.content.read(_MAX_ANSWER_BYTES), answer.status)
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise CostServerError(
                "the cost simulator did not answer", remedy=_REMEDY, code="unreachable"
            ) from e
        if "error" in content:
            raise CostServerError(
                str(content.get("message", "")),
                remedy=str(content.get("remedy", "")),
                code=str(content["error"]),
            )
        return content

    def _address(self) -> tuple[str, aiohttp.ClientSession]:
        self._asked_ns = self._clock.monotonic_ns()
        if self._url is not None and self._http is not None:
            return self._url, self._http
        if self._problem:
            raise CostServerError(self._problem, remedy=_REMEDY, code="failed")
        self._wanted.set()
        raise CostServerError(
            "the cost simulator is starting", remedy="a few seconds, please", code="starting"
        )


class CostServers:
    """The cost servers of all exchanges.

    Parameters
    ----------
    servers : sequence of CostServer
        One for each exchange.
    """

    def __init__(self, servers: Sequence[CostServer]) -> None:
        self._servers = {server.exchange: server for server in servers}

    def of(self, exchange: str) -> CostServer:
        """Return the server of ``exchange``."""
        return self._servers[exchange]

    async def run(self) -> None:
        """Run all of them until cancelled; the dashboard's own task."""
        async with asyncio.TaskGroup() as group:
            for server in self._servers.values():
                group.create_task(server.run(), name=f"cost-server-{server.exchange}")


def serve_command() -> tuple[str, ...]:
    """Return the command of ``cost serve`` without instruments, on a free port."""
    return (sys.executable, "-m", "trading_system", "cost", "serve", "--json", "--port", "0")


def instruments_of(exchange: str, symbols: Sequence[str]) -> list[str]:
    """Return ``symbols`` (Bybit's spelling) as ``exchange`` spells its perpetuals.

    A dollar perpetual whose name begins with a number (a multiple of the coin) is left out of
    OKX, which has none of these.
    """
    found = list(symbols)
    if exchange == "okx":
        coins = [s.removesuffix("USDT") for s in symbols if s.endswith("USDT")]
        found = [f"{coin}-USDT-SWAP" for coin in coins if coin and not coin[0].isdigit()]
    default = "BTCUSDT" if exchange == "bybit" else "BTC-USDT-SWAP"
    return (found or [default])[:MAX_INSTRUMENTS]


def _object(raw: bytes, status: int) -> dict[str, Any]:
    content = json.loads(raw)
    if not isinstance(content, dict):
        raise ValueError(f"an answer with status {status} is no JSON object")  # noqa: TRY004 - bad data
    return content


COSTS: Final = CostServers(
    [CostServer(e, clock=SystemClock(), rng=random.Random()) for e in EXCHANGES]
)
"""The dashboard process's own cost servers; its application runs :meth:`CostServers.run`."""
