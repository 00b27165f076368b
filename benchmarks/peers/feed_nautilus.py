"""From the socket to nautilus_trader's book, by its live client for Bybit as its users have it.

Its data client with its own socket, decoder and deltas, its message bus, its data engine and the
book that this engine keeps. Only the addresses are ours, and the one instrument is put into its
cache instead of being loaded over REST.
"""

from __future__ import annotations

import asyncio
import sys
import time
from decimal import Decimal
from typing import Any

import book_loop
import protocol
from nautilus_trader.adapters.bybit.common.enums import BybitProductType
from nautilus_trader.adapters.bybit.config import BybitDataClientConfig
from nautilus_trader.adapters.bybit.data import BybitDataClient
from nautilus_trader.adapters.bybit.http.client import BybitHttpClient
from nautilus_trader.adapters.bybit.providers import BybitInstrumentProvider
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.data.messages import SubscribeOrderBook
from nautilus_trader.live.data_engine import LiveDataEngine
from nautilus_trader.model.data import OrderBookDelta
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Currency, Price, Quantity

_ID = InstrumentId.from_str("BTCUSDT-LINEAR.BYBIT")
_LINEAR = BybitProductType.LINEAR
_INSTRUMENT = CryptoPerpetual(
    instrument_id=_ID,
    raw_symbol=Symbol("BTCUSDT"),
    base_currency=Currency.from_str("BTC"),
    quote_currency=Currency.from_str("USDT"),
    settlement_currency=Currency.from_str("USDT"),
    is_inverse=False,
    price_precision=1,
    size_precision=3,
    price_increment=Price.from_str("0.1"),
    size_increment=Quantity.from_str("0.001"),
    margin_init=Decimal("0.1"),
    margin_maint=Decimal("0.05"),
    maker_fee=Decimal("0.0002"),
    taker_fee=Decimal("0.00055"),
    ts_event=0,
    ts_init=0,
)


class _Feed:
    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        clock = LiveClock()
        self._bus = MessageBus(TraderId("BENCH-001"), clock)
        self._cache = Cache()
        self._cache.add_instrument(_INSTRUMENT)
        self._clock = clock
        self.engine = LiveDataEngine(loop, self._bus, self._cache, clock)
        http = BybitHttpClient(
            clock, api_key="none", api_secret="none", base_url="http://127.0.0.1:9"
        )
        self.client = BybitDataClient(
            loop=loop,
            client=http,
            msgbus=self._bus,
            cache=self._cache,
            clock=clock,
            instrument_provider=BybitInstrumentProvider(http, clock, [_LINEAR]),
            product_types=[_LINEAR],
            ws_base_urls={_LINEAR: f"{url}/v5/public/linear?client=nautilus_trader"},
            config=BybitDataClientConfig(api_key="none", api_secret="none"),
            name=None,
        )
        self.stamps: list[int] = []

    async def start(self) -> None:
        self.engine.register_client(self.client)
        self.engine.start()
        await self.client._ws_clients[_LINEAR].connect()  # noqa: SLF001 - its start asks REST
        self._bus.subscribe(topic="data.book.deltas.BYBIT.BTCUSDT-LINEAR", handler=self.on_deltas)
        command = SubscribeOrderBook(
            instrument_id=_ID,
            book_data_type=OrderBookDelta,
            book_type=BookType.L2_MBP,
            client_id=self.client.id,
            venue=None,
            command_id=UUID4(),
            ts_init=self._clock.timestamp_ns(),
            depth=50,
        )
        self._bus.send(endpoint="DataEngine.execute", msg=command)

    def on_deltas(self, _deltas: object) -> None:
        book = self._cache.order_book(_ID)
        book.best_bid_price()
        book.best_ask_price()
        self.stamps.append(time.perf_counter_ns())

    def figures(self) -> list[float]:
        book = self._cache.order_book(_ID)
        bids, asks = book.bids(), book.asks()
        share = book_loop.imbalance(
            sum(level.size() for level in bids[:10]), sum(level.size() for level in asks[:10])
        )
        return [float(book.best_bid_price()), float(book.best_ask_price()), share]


async def main(url: str) -> None:
    loop = asyncio.get_running_loop()
    feed = _Feed(url, loop)
    await feed.start()
    await asyncio.sleep(0.5)
    protocol.ready("nautilus_trader")
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await _answer(feed, protocol.parsed(line)["count"])


async def _answer(feed: _Feed, wanted: int) -> None:
    async with asyncio.timeout(20):
        while len(feed.stamps) < wanted:  # noqa: ASYNC110 - another thread adds them
            await asyncio.sleep(0.005)
    answer: dict[str, Any] = {"stamps": feed.stamps, "figures": feed.figures()}
    feed.stamps = []  # its threads may be at the next messages as soon as this is said
    protocol.say(answer)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
