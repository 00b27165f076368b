"""Everything between the system and one venue account: warm connections, requests, streams."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from optimizers.transport.pool import PooledTransport
from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError, CorruptDataError, VenueRejected
from trading_system.domain.events import WalletReport
from trading_system.domain.instruments import Instrument
from trading_system.domain.ports import Clock
from trading_system.live.access import Access, needs_embedded_venue
from trading_system.live.account import FAST_EXECUTIONS
from trading_system.live.quoting import check_one_way
from trading_system.monitoring.latency import StageLatency
from trading_system.strategies.signals import Costs
from trading_system.venues.bybit.account_queries import ApiKeyInfo, PositionMode
from trading_system.venues.bybit.budgets import Budgets
from trading_system.venues.bybit.gateway import BybitGateway, private_topics
from trading_system.venues.bybit.order_ways import WaysView
from trading_system.venues.bybit.position_settings import (
    DCP_TOPIC,
    NOT_OFFERED,
    CancelOnDisconnect,
)
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks
from trading_system.venues.bybit.trade_stream import BybitTradeStream
from trading_system.venues.link import LinkView

_LOG = structlog.get_logger(__name__)
_NO_SUCH_PATH = 10017
# Bybit's perpetual fees of VIP 0; the account's own rates win wherever the venue tells them.
_LOWEST_TIER = Costs(taker=0.00055, maker=0.0002)
_TRANSFER_RIGHTS = frozenset({"AccountTransfer", "SubMemberTransfer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the venue said of symbols and account before the first order.

    Parameters
    ----------
    hedged : frozenset[str]
        Symbols in hedge mode, which has one position per direction.
    disconnect : CancelOnDisconnect
        Whether the venue cancels orders when all connections are lost.
    """

    instruments: Mapping[str, Instrument]
    costs: Mapping[str, Costs]
    wallet: WalletReport
    clock_offset_ms: float
    hedged: frozenset[str] = frozenset()
    disconnect: CancelOnDisconnect = NOT_OFFERED
    is_sub_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Figures of a connection.

    Parameters
    ----------
    failures, requests : int
        Failures among the newest requests, and how many requests those are.
    waiting : int
        Requests that wait for a connection.
    trade_is_up, trade_connects : bool or None, int or None
        Of the order socket; None where the environment has none.
    orders_by_stream, orders_by_rest : int
        Order requests by the way they took.
    order_ways : WaysView
        Which way the next order takes, and why.
    quota_waits, quota_refusals : int
        Requests that waited for the venue's quota, and those for which it came too late.
    bytes_received, bytes_sent : int
        Of requests and all streams of this connection since the start: payloads of frames, and
        lines, headers and decompressed bodies of HTTP. Framing, TLS and TCP come on top.
    """

    failures: int
    requests: int
    waiting: int
    trade_is_up: bool | None
    trade_connects: int | None
    orders_by_stream: int
    orders_by_rest: int
    bytes_received: int
    bytes_sent: int
    order_ways: WaysView
    quota_waits: int
    quota_refusals: int


class VenueConnection:
    """Pool, requests, order socket and gateway of one account.

    Parameters
    ----------
    settings : Settings
        Pool size, queue size and deadlines.
    access : Access
        Addresses and key.
    clock : Clock
        All stamps.
    """

    def __init__(self, settings: Settings, access: Access, *, clock: Clock) -> None:
        self._settings = settings
        self._access = access
        self._clock = clock
        self._stack = AsyncExitStack()
        self._jitter = random.Random(access.account)
        self._streams: list[LinkView] = []
        self._disconnect = NOT_OFFERED
        self.latency = StageLatency(clock=clock)
        self.transport = PooledTransport(
            connections=settings.optimization.connection_pool_size,
            queue_size=settings.optimization.priority_queue_size,
            clock=clock,
        )
        self.budgets = None if _is_unlimited(settings) else Budgets(clock=clock)
        self.rest = BybitRest(
            access.endpoints.rest,
            signer=access.signer,
            clock=clock,
            transport=self.transport,
            on_post_sent=self._note_sent,
            budgets=self.budgets,
        )
        self.trade = self._trade_stream()
        self.gateway = BybitGateway(
            self.rest,
            clock=clock,
            timeout_s=settings.bybit.request_timeout_s,
            trade=self.trade,
        )

    async def open(self) -> None:
        """Open the pool and warm it."""
        await self._stack.enter_async_context(self.transport)
        await self._stack.enter_async_context(self.rest)
        await self.transport.pre_warm(self._access.endpoints.rest)

    async def close(self) -> None:
        """Close every connection."""
        await self._stack.aclose()

    def traffic(self) -> Traffic:
        """Return the figures as they stand."""
        failures, requests = self.rest.recent
        ways = self.gateway.order_ways
        links: list[LinkView] = [*self._streams, *([] if self.trade is None else [self.trade])]
        return Traffic(
            failures=failures,
            requests=requests,
            waiting=self.transport.waiting,
            trade_is_up=None if self.trade is None else self.trade.is_up,
            trade_connects=None if self.trade is None else self.trade.connects,
            orders_by_stream=ways.stream.sent,
            orders_by_rest=ways.rest.sent,
            order_ways=ways,
            quota_waits=0 if self.budgets is None else self.budgets.waited,
            quota_refusals=0 if self.budgets is None else self.budgets.refused,
            bytes_received=self.transport.bytes_received + sum(x.bytes_received for x in links),
            bytes_sent=self.transport.bytes_sent + sum(x.bytes_sent for x in links),
        )

    async def load(self, symbols: Sequence[str]) -> Account:
        """Read the clock, trading rules, fees and wallet.

        Raises
        ------
        ConfigurationError
            If the venue does not offer a symbol, or the key has rights that it must not have.
        VenueError
            If the venue cannot be reached or refuses the key.
        """
        offset_ms = await self.gateway.synchronise_clock()
        instruments: dict[str, Instrument] = {}
        costs: dict[str, Costs] = {}
        for symbol in symbols:
            instruments[symbol] = await self._instrument(symbol)
            costs[symbol] = await self._costs(symbol)
        await self._detect_modes(symbols)
        key = await self._check_key()
        self._disconnect = await self._cancel_on_disconnect()
        wallet = await self.gateway.wallet()
        return Account(
            instruments=instruments,
            costs=costs,
            wallet=wallet,
            clock_offset_ms=offset_ms,
            hedged=self.gateway.hedged,
            disconnect=self._disconnect,
            is_sub_account=bool(key.parent_id),
        )

    def private_stream(self, callbacks: StreamCallbacks) -> BybitStream:
        """Return the account's private stream, not yet running."""
        topics = (*private_topics(), FAST_EXECUTIONS)
        stream = BybitStream(
            self._access.endpoints.private,
            (*topics, DCP_TOPIC) if self._disconnect.is_armed else topics,
            callbacks=callbacks,
            clock=self._clock,
            signer=self._access.signer,
            jitter=self._jitter,
            offset_ns=lambda: self.rest.offset_ns,
            optional={FAST_EXECUTIONS},
            on_late=self.rest.venue_clock.doubt,
        )
        self._streams.append(stream)
        return stream

    def public_stream(self, topics: Sequence[str], callbacks: StreamCallbacks) -> BybitStream:
        """Return the market data stream, not yet running."""
        stream = BybitStream(
            self._access.endpoints.public_linear,
            topics,
            callbacks=callbacks,
            clock=self._clock,
            jitter=self._jitter,
        )
        self._streams.append(stream)
        return stream

    def _trade_stream(self) -> BybitTradeStream | None:
        address = self._access.endpoints.trade
        if address is None:
            return None
        return BybitTradeStream(
            address,
            signer=self._access.signer,
            clock=self._clock,
            jitter=self._jitter,
            offset_ns=lambda: self.rest.offset_ns,
            on_late=self.rest.venue_clock.doubt,
            on_sent=self._note_sent,
            budgets=self.budgets,
        )

    def _note_sent(self, elapsed_ns: int) -> None:
        self.latency.record("send", elapsed_ns)

    async def _costs(self, symbol: str) -> Costs:
        try:
            rates = await self.gateway.fee_rates(symbol)
        except VenueRejected as e:
            if e.code != _NO_SUCH_PATH:
                raise
            # Demo has no such request; its fees are those of the lowest tier.
            _LOG.warning("fee rates are not offered here; the lowest tier is assumed", error=str(e))
            return _LOWEST_TIER
        return Costs(taker=float(rates.taker), maker=float(rates.maker))

    async def _detect_modes(self, symbols: Sequence[str]) -> None:
        """Learn the position modes; orders are sent for them and nothing is switched.

        Raises
        ------
        ConfigurationError
            If a symbol that is to be quoted is in hedge mode.
        """
        modes = await self.gateway.detect_position_modes(symbols)
        hedged = sorted(symbol for symbol, mode in modes.items() if mode is PositionMode.HEDGE)
        if self._settings.strategy.name == "market-maker":
            check_one_way(hedged)
        if hedged:
            _LOG.warning("hedge mode: strategies trade the net position", symbols=hedged)

    async def _cancel_on_disconnect(self) -> CancelOnDisconnect:
        """Ask for the wanted window where there is one, and return what is in force."""
        found = await self.gateway.cancel_on_disconnect()
        wanted = self._settings.bybit.dcp_window_s
        if wanted is None or wanted == found.window_s:
            return found
        try:
            await self.gateway.set_disconnect_window(
                wanted, timeout_s=self._settings.bybit.request_timeout_s
            )
        except VenueRejected as e:
            raise ConfigurationError(
                f"the venue does not cancel on disconnect for this account ({e}); "
                "leave TRADING_BYBIT__DCP_WINDOW_S empty"
            ) from e
        return CancelOnDisconnect(window_s=wanted)

    async def _check_key(self) -> ApiKeyInfo:
        """Refuse a key that cannot trade, or that could move money out of the account."""
        key = await self.gateway.api_key_info()
        if key.is_read_only:
            raise ConfigurationError(
                "the API key is read-only; give it the right to trade contracts, or use "
                "another one in TRADING_BYBIT__API_KEY"
            )
        excess = set(key.money_rights)
        if self._settings.bybit.allow_transfer:
            excess -= _TRANSFER_RIGHTS
        if excess:
            raise ConfigurationError(
                f"the API key may move money ({', '.join(sorted(excess))}); take the right away "
                "at the venue, or use another key in TRADING_BYBIT__API_KEY"
            )
        return key

    async def _instrument(self, symbol: str) -> Instrument:
        try:
            return await self.gateway.instrument(symbol)
        except (VenueRejected, CorruptDataError) as e:
            raise ConfigurationError(
                f"the venue does not offer {symbol} ({e}); remove it from TRADING_SYMBOLS"
            ) from e


def _is_unlimited(settings: Settings) -> bool:
    return needs_embedded_venue(settings) and settings.venue.limits == "off"
