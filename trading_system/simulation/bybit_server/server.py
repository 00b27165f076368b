"""The venue on loopback: one port for all of Bybit V5, and for OKX's public market data."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.ports import Clock
from trading_system.simulation.bybit_server.account_queries import AccountQueries
from trading_system.simulation.bybit_server.connection_guard import ConnectionGuard
from trading_system.simulation.bybit_server.connections import idle_limit_s
from trading_system.simulation.bybit_server.limits import RequestLimits
from trading_system.simulation.bybit_server.line import Line
from trading_system.simulation.bybit_server.market_queries import MarketQueries
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.order_desk import OrderDesk
from trading_system.simulation.bybit_server.pace import MarketPace
from trading_system.simulation.bybit_server.private_feeds import PrivateFeeds
from trading_system.simulation.bybit_server.public_feeds import PublicFeeds
from trading_system.simulation.bybit_server.rest import RestGateway
from trading_system.simulation.bybit_server.routes import NOT_IN_DEMO, routes
from trading_system.simulation.bybit_server.session import Session
from trading_system.simulation.bybit_server.streams import Channel, PrivateChannel, PublicChannel
from trading_system.simulation.bybit_server.trade_stream import TradeChannel
from trading_system.simulation.bybit_server.venue_faults import VenueFaults
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.faults.rules import Moment
from trading_system.simulation.latency import latency_of
from trading_system.simulation.okx_server.side import LISTENING_S, OkxSide
from trading_system.simulation.venue import SimulatedVenue

_LOGGER = logging.getLogger(__name__)
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_SWEEP_S = 1.0
_CLOSE_TIMEOUT_S = 0.5
_PUBLIC_PATHS = {
    "/v5/public/linear": "linear",
    "/v5/public/spot": "spot",
    "/v5/public/inverse": "inverse",
    "/v5/public/option": "option",
    "/v5/public/misc/status": "status",
}


class BybitServer:
    """Serves a prepared venue as Bybit V5 while its ``async with`` block runs.

    Inside the block the market advances and streams push by themselves; a failure of that work
    ends the block.

    Parameters
    ----------
    venue : SimulatedVenue
        A venue after ``prepare``; the server becomes one of its listeners.
    clock : Clock
        UTC of timestamps, quotas and the market.
    options : ServerOptions
        Address, limits and bounds.
    faults : FaultEngine or None
        What goes wrong and when; None arms nothing, which can be done later.

    Raises
    ------
    ConfigurationError
        On entering, if the port cannot be opened.
    """

    def __init__(
        self,
        venue: SimulatedVenue,
        *,
        clock: Clock,
        options: ServerOptions,
        faults: FaultEngine | None = None,
    ) -> None:
        self.faults = FaultEngine(seed=options.seed, clock=clock) if faults is None else faults
        self._clock = clock
        self._options = options
        self._venue_faults = VenueFaults(
            self.faults, clock=clock, history_lag_ms=options.history_lag_ms
        )
        self._port = 0
        self._numbers = count(1)
        self._sessions: dict[Session, None] = {}
        self._guard = ConnectionGuard(options)
        exchange = venue.exchange
        self._accounts = {account.api_key: account for account in exchange.accounts.values()}
        self._public = PublicFeeds(venue)
        self._private = PrivateFeeds(
            exchange, on_trades=self._public.add_trades, now_ms=self._now_ms
        )
        self._latency = latency_of(options.latency, seed=options.seed)
        self._queries = queries = AccountQueries(exchange, history_lag_ms=options.history_lag_ms)
        table = routes(MarketQueries(venue, books=self._public), queries)
        if options.profile == "demo":
            table = {path: route for path, route in table.items() if path not in NOT_IN_DEMO}
        limits = RequestLimits(is_enforced=options.limits == "documented")
        self._pace = MarketPace(venue, clock=clock)
        self._desk = OrderDesk(exchange, limits, advance=self._pace.advance)
        self._rest = RestGateway(
            table,
            desk=self._desk,
            limits=limits,
            accounts=self._accounts,
            options=options,
            now_ms=self._told_ms,
            market_ms=self._now_ms,
            faults=self.faults,
        )
        self._limits = limits
        self._okx = OkxSide(
            venue,
            clock=clock,
            is_limited=options.limits == "documented",
            has_checksums=options.okx_checksums == "real",
        )
        self._connections: Callable[[], list[RequestHandler]] = list
        self._context = self._running()
        venue.add_listener(self._private)

    @property
    def rest_url(self) -> str:
        """Address of the REST side, for example ``http://127.0.0.1:8443``."""
        return f"http://{self._options.host}:{self._port}"

    @property
    def ws_url(self) -> str:
        """Address of the WebSocket side, without a path."""
        return f"ws://{self._options.host}:{self._port}"

    @property
    def port(self) -> int:
        """The port in use, 0 before the server runs."""
        return self._port

    async def __aenter__(self) -> Self:
        await self._context.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._context.__aexit__(kind, error, trace)

    def pump(self) -> None:
        """Advance the market towards the clock's time and push what is due."""
        now_ms = self._now_ms()
        self._strike()
        self._pace.advance(now_ms)
        self._public.pump(now_ms)
        self._private.watch(now_ms)
        self._okx.pump()

    def _strike(self) -> None:
        if self._venue_faults.begins_restart():
            self._restart()
        self._queries.history_lag_ms = self._venue_faults.history_lag_ms
        if self.faults.watches(Moment.CONNECTION):
            for session in list(self._sessions):
                session.strike()

    def _restart(self) -> None:
        self._public.restart()
        for session in list(self._sessions):
            session.cut()
        for connection in self._connections():
            if connection.transport is not None:
                connection.transport.abort()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        server = web.Server(
            self._handle,
            access_log=None,
            keepalive_timeout=self._options.keepalive_timeout_s,
            lingering_time=2.0,
            auto_decompress=False,
            logger=_http_logger(),
        )
        self._connections = lambda: server.connections
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        try:
            self._port = await self._listen(runner)
            async with asyncio.TaskGroup() as group:
                pumping = group.create_task(self._pump_forever())
                try:
                    yield
                finally:
                    pumping.cancel()
        finally:
            for session in list(self._sessions):
                session.finish()
            await runner.cleanup()

    async def _listen(self, runner: web.ServerRunner) -> int:
        site = web.TCPSite(runner, self._options.host, self._options.port)
        try:
            await site.start()
        except OSError as e:
            where = f"{self._options.host}:{self._options.port}"
            reason = e.strerror or e
            raise ConfigurationError(
                f"cannot listen on {where} ({reason}); choose another port, 0 takes a free one"
            ) from e
        port = runner.addresses[0][1]
        assert isinstance(port, int)
        return port

    async def _pump_forever(self) -> None:
        pause_s = self._options.pump_interval_ms / 1000
        sweep_s = min(_SWEEP_S, self._options.header_timeout_s / 2)
        swept_s = 0.0
        while True:
            self.pump()
            now_s = self._clock.monotonic_ns() / _NS_PER_S
            if now_s - swept_s > sweep_s:
                swept_s = now_s
                self._guard.sweep(self._connections(), now_s=now_s)
            await asyncio.sleep(pause_s)

    def _now_ms(self) -> int:
        return self._clock.utc_ns() // _NS_PER_MS

    # Matching and streams keep the true clock whatever clients are told.
    def _told_ms(self) -> int:
        return self._venue_faults.told_ms

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._guard.note_request(request.protocol):
            raise web.HTTPServiceUnavailable
        path, _, query = request.raw_path.partition("?")
        make = self._channel_of(path)
        if make is None or request.headers.get("Upgrade", "").lower() != "websocket":
            return await self._answer(request)
        address, idle_s = request.remote or "", LISTENING_S
        if not self._okx.admits(path, address):
            raise web.HTTPTooManyRequests
        if not self._okx.serves_stream(path):
            if self._venue_faults.is_restarting:
                raise web.HTTPServiceUnavailable
            if not self._limits.take_connection(address, now_ms=self._now_ms()):
                raise web.HTTPForbidden
            idle_s = idle_limit_s(query, default_s=self._options.idle_timeout_s)
        return await self._converse(request, make, idle_s=idle_s)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        # A connection's requests follow each other, so nothing overtakes on the way.
        way_s = self._latency.one_way_s()
        if way_s:
            await asyncio.sleep(way_s)
        try:
            is_okx = self._okx.serves_rest(request.raw_path)
            if is_okx:
                response = self._answer_okx(request)
            elif self._venue_faults.is_restarting:
                response = self._rest.restarting()
            else:
                response = await self._rest.handle(request)
        except TimeoutError as e:
            raise web.HTTPRequestTimeout from e
        if way_s:
            await asyncio.sleep(way_s)
        return response

    def _answer_okx(self, request: web.BaseRequest) -> web.Response:
        status, body = self._okx.answer(request.method, request.raw_path)
        return web.Response(
            body=body, status=status, content_type="application/json", charset="utf-8"
        )

    def _channel_of(self, path: str) -> Callable[[Session], Channel] | None:
        is_demo = self._options.profile == "demo"
        if path in _PUBLIC_PATHS and not is_demo:
            category = _PUBLIC_PATHS[path]
            return lambda session: PublicChannel(
                session, self._public, category=category, now_ms=self._now_ms
            )
        if path == "/v5/private":
            return lambda session: PrivateChannel(
                session, self._private, accounts=self._accounts, now_ms=self._told_ms
            )
        if path == "/v5/trade" and not is_demo:
            return lambda session: TradeChannel(
                session,
                self._desk,
                accounts=self._accounts,
                now_ms=self._told_ms,
                market_ms=self._now_ms,
                faults=self.faults,
            )
        make = self._okx.channel_of(path)
        return None if make is None else lambda session: make(session, partial(_end, session))

    async def _converse(
        self, request: web.BaseRequest, make: Callable[[Session], Channel], *, idle_s: float
    ) -> web.StreamResponse:
        # Only frames to a client that offered compression are compressed, one by one.
        socket = web.WebSocketResponse(
            compress=self._options.compression,
            autoping=False,
            max_msg_size=self._options.max_message_bytes,
            timeout=_CLOSE_TIMEOUT_S,
        )
        await socket.prepare(request)
        transport = request.transport
        assert transport is None or isinstance(transport, asyncio.Transport)
        session = Session(
            f"c{next(self._numbers)}",
            options=self._options,
            line=Line(transport),
            path=request.path,
            address=request.remote or "",
            faults=self.faults,
            latency=self._latency,
        )
        channel = make(session)
        self._sessions[session] = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(session.write(socket))
                await _read(socket, session, channel, idle_s=idle_s)
                session.arrive_all()
                session.finish()
        finally:
            self._sessions.pop(session, None)
            channel.close()
            session.cut()
        return socket


# The HTTP library answers a malformed request with 400 and closes; its traceback says nothing
# more, and untrusted clients must not be able to fill the log.
def _http_logger() -> logging.Logger:
    logger = _LOGGER.getChild("http")
    logger.addFilter(_is_not_malformed)
    return logger


def _is_not_malformed(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


def _end(session: Session, code: int, reason: str) -> None:
    session.push(code.to_bytes(2, "big") + reason.encode(), kind=WSMsgType.CLOSE)
    session.finish()


def _receive(session: Session, channel: Channel, text: str) -> None:
    if session.is_closed:
        return
    try:
        channel.receive(text)
    except Exception:  # The boundary to untrusted clients: only this one is dropped.
        _LOGGER.exception("a WebSocket request failed")
        session.finish()


async def _read(
    socket: web.WebSocketResponse, session: Session, channel: Channel, *, idle_s: float
) -> None:
    while not session.is_closed:
        try:
            message = await socket.receive(timeout=idle_s)
        except TimeoutError:
            return
        if message.type is WSMsgType.TEXT:
            session.arrive(partial(_receive, session, channel, message.data))
        elif message.type is WSMsgType.PING:
            session.arrive(partial(session.push, message.data, kind=WSMsgType.PONG))
        elif message.type is not WSMsgType.PONG:
            return
