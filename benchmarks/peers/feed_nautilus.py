"""From the socket to nautilus_trader's book, by its live WebSocket client for Bybit.

Its client takes the address as an argument; the data client around it does not (only the REST
address can be set). So its socket, its handler, its decoding and its book are measured, and its
data engine and message bus are left out, which is in its favour.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import book_loop
import msgspec
import protocol
from nautilus_trader.adapters.bybit.schemas.ws import BybitWsMessageGeneral, decoder_ws_orderbook
from nautilus_trader.adapters.bybit.websocket.client import BybitWebSocketClient
from nautilus_trader.common.component import LiveClock
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId

_ID = InstrumentId.from_str("BTCUSDT-LINEAR.BYBIT")


class _Feed:
    """What its data client does with a frame, up to the book."""

    def __init__(self) -> None:
        self.clock = LiveClock()
        self.stamps: list[int] = []
        self.book = OrderBook(_ID, BookType.L2_MBP)
        self._messages = msgspec.json.Decoder(BybitWsMessageGeneral)
        self._books = decoder_ws_orderbook()

    def on_frame(self, raw: bytes) -> None:
        if not self._messages.decode(raw).topic:
            return
        message = self._books.decode(raw)
        deltas = message.data.parse_to_deltas(
            instrument_id=_ID,
            price_precision=1,
            size_precision=3,
            ts_event=message.ts * 1_000_000,
            ts_init=self.clock.timestamp_ns(),
            snapshot=message.type == "snapshot",
        )
        self.book.apply_deltas(deltas)
        self.book.best_bid_price()
        self.book.best_ask_price()
        self.stamps.append(time.perf_counter_ns())

    def figures(self) -> list[float]:
        bids, asks = self.book.bids(), self.book.asks()
        share = book_loop.imbalance(
            sum(level.size() for level in bids[:10]), sum(level.size() for level in asks[:10])
        )
        best = (self.book.best_bid_price(), self.book.best_ask_price())
        return [float(best[0]), float(best[1]), share]


async def main(url: str) -> None:
    loop = asyncio.get_running_loop()
    feed = _Feed()
    client = BybitWebSocketClient(
        clock=feed.clock,
        base_url=f"{url}/v5/public/linear?client=nautilus_trader",
        handler=feed.on_frame,
        handler_reconnect=None,
        api_key="",
        api_secret="",
        loop=loop,
    )
    await client.connect()
    await client.subscribe_order_book("BTCUSDT", 50)
    protocol.ready("nautilus_trader")
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await _answer(feed, protocol.parsed(line)["count"])


async def _answer(feed: _Feed, wanted: int) -> None:
    async with asyncio.timeout(20):
        while len(feed.stamps) < wanted:
            await asyncio.sleep(0.005)
    answer: dict[str, Any] = {"stamps": feed.stamps, "figures": feed.figures()}
    protocol.say(answer)
    feed.stamps.clear()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
