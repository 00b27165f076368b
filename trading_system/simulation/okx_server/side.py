"""The OKX side of the venue's server: paths, connections, quotas and the pump."""

from __future__ import annotations

from collections.abc import Callable

from trading_system.domain.ports import Clock
from trading_system.simulation.okx_server.catalogue import Endpoint
from trading_system.simulation.okx_server.feeds import OkxFeeds
from trading_system.simulation.okx_server.limits import ConnectionRate
from trading_system.simulation.okx_server.market import OkxMarket
from trading_system.simulation.okx_server.rest import PREFIX, OkxRest, Reply
from trading_system.simulation.okx_server.stream import Client, End, OkxChannel, RelayChannel
from trading_system.simulation.records import ExecutionRecord, OrderRecord, PublicTrade
from trading_system.simulation.venue import SimulatedVenue

Channel = OkxChannel | RelayChannel

LISTENING_S = 86_400.0
"""How long a client may say nothing: whoever only listens is normal here."""

_ENDPOINTS: dict[str, Endpoint] = {
    "/ws/v5/public": "public",
    "/ws/v5/business": "business",
    "/ws/v5/private": "private",
}
_RELAY_PATH = "/ws/l2-orderbook/okx/"
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_SWEEP_S = 0.5


class OkxSide:
    """Serves a prepared venue's market data as OKX V5.

    Parameters
    ----------
    venue : SimulatedVenue
        A venue after ``prepare``; this becomes one of its listeners.
    is_limited : bool
        Enforce three new connections a second per address and 480 requests an hour.
    has_checksums : bool
        Send real checksums on ``books`` instead of today's constant 0.
    """

    def __init__(
        self, venue: SimulatedVenue, *, clock: Clock, is_limited: bool, has_checksums: bool
    ) -> None:
        self._clock = clock
        self._is_limited = is_limited
        self._market = OkxMarket(venue)
        self._feeds = OkxFeeds(self._market, has_checksums=has_checksums)
        self._rest = OkxRest(self._market, self._feeds, now_ms=self._now_ms)
        self._rate = ConnectionRate()
        self._channels: set[OkxChannel] = set()
        self._swept_s = 0.0
        venue.add_listener(_TradeListener(self._feeds))

    @staticmethod
    def serves_rest(path: str) -> bool:
        """Return whether REST requests to ``path`` are OKX's."""
        return path.startswith(PREFIX)

    @staticmethod
    def serves_stream(path: str) -> bool:
        """Return whether WebSockets on ``path`` are OKX's or the relay's."""
        return path in _ENDPOINTS or path.startswith(_RELAY_PATH)

    def answer(self, method: str, raw_path: str) -> Reply:
        """Answer a REST request; ``raw_path`` has the query."""
        return self._rest.handle(method, raw_path)

    def admits(self, path: str, address: str) -> bool:
        """Count a new WebSocket connection; return whether its address may open it."""
        if not self._is_limited or path not in _ENDPOINTS:
            return True
        return self._rate.take(address, self._now_s())

    def channel_of(self, path: str) -> Callable[[Client, End], Channel] | None:
        """Return what serves a client that connects to ``path``, None if nothing does."""
        if path in _ENDPOINTS:
            endpoint = _ENDPOINTS[path]
            return lambda client, end: self._open(client, end, endpoint)
        name = path.removeprefix(_RELAY_PATH)
        if name != path and name in self._market.contracts:
            return lambda client, _: RelayChannel(client, self._feeds, name=name, clock=self._clock)
        return None

    def pump(self) -> None:
        """Push what is due, and close connections that have been quiet for too long."""
        self._feeds.pump(self._now_ms())
        now_s = self._now_s()
        if now_s - self._swept_s >= _SWEEP_S:
            self._swept_s = now_s
            self._channels = {each for each in self._channels if not each.is_ended}
            for channel in self._channels:
                channel.sweep()

    def _open(self, client: Client, end: End, endpoint: Endpoint) -> OkxChannel:
        channel = OkxChannel(
            client,
            self._feeds,
            self._market,
            end=end,
            endpoint=endpoint,
            clock=self._clock,
            is_limited=self._is_limited,
        )
        self._channels.add(channel)
        return channel

    def _now_ms(self) -> int:
        return self._clock.utc_ns() // _NS_PER_MS

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / _NS_PER_S


class _TradeListener:
    # Of everything that happens on the exchange only public trades matter here.
    def __init__(self, feeds: OkxFeeds) -> None:
        self._feeds = feeds

    def on_order(self, order: OrderRecord) -> None: ...

    def on_executions(self, executions: list[ExecutionRecord]) -> None: ...

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None: ...

    def on_wallet(self, account_id: int) -> None: ...

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        self._feeds.add_trades(symbol, trades)
