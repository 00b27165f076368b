"""A venue whose market is another venue's public stream, over real loopback sockets."""

import asyncio
import random
from contextlib import asynccontextmanager

from server_rig import ABC, serving

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.clock import SystemClock
from trading_system.simulation.live_market.feed import BOOK_DEPTH, following
from trading_system.simulation.live_market.hosts import instrument_rows, public_host
from trading_system.simulation.records import OrderRequest, OrderState
from trading_system.simulation.replay.bybit import instrument_of_row
from trading_system.simulation.venue import build_live_venue, default_accounts

SOON = Backoff(first_s=0.02, max_s=0.05, attempts=3)


class Follower:
    """The second venue, pumped by the test."""

    def __init__(self, venue, clock):
        self.venue = venue
        self.exchange = venue.exchange
        self.clock = clock

    def advance(self):
        self.venue.advance(self.clock.utc_ns() // 1_000_000)

    async def until(self, is_true):
        async with asyncio.timeout(5):
            while not is_true():
                await asyncio.sleep(0.005)
                self.advance()

    def buy(self, price, quantity="1.0"):
        request = OrderRequest(
            symbol="ABCUSDT",
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            quantity=ABC.lots_to_qty(round(float(quantity) * 10)),
            price=ABC.ticks_to_price(price),
            time_in_force=TimeInForce.GTC,
        )
        return self.exchange.place(1, request, now_ms=self.venue.now_ms)

    def top(self, side):
        return self.exchange.book("ABCUSDT").top(side, 3)


@asynccontextmanager
async def chained(source):
    clock = SystemClock()
    host = public_host(source.server.rest_url)
    rows = await instrument_rows(host, ["ABCUSDT"])
    venue = build_live_venue(
        instruments=[instrument_of_row(rows["ABCUSDT"], category="linear")],
        accounts=default_accounts(seed=1),
        seed=random.Random(2).getrandbits(31),
        source=host.name,
        depth=BOOK_DEPTH,
        fill_model="queue",
    )
    instruments = venue.exchange.instruments
    async with following(venue.market, host, instruments, clock=clock, backoff=SOON):
        venue.prepare(clock.utc_ns() // 1_000_000)
        yield Follower(venue, clock)


async def test_the_second_venue_lists_and_shows_what_the_first_does():
    async with serving() as source, chained(source) as follower:
        listed = follower.exchange.instruments["ABCUSDT"]
        assert (listed.tick_size, listed.qty_step) == (ABC.tick_size, ABC.qty_step)
        assert follower.top(Side.BUY) == [(1000, 300)]
        assert follower.top(Side.SELL) == [(1002, 20), (1003, 500)]
        source.market.house(Side.SELL, 1004, 7, source.now_ms())
        await follower.until(lambda: (1004, 7) in follower.top(Side.SELL))


async def test_orders_on_the_second_fill_against_the_flow_of_the_first():
    async with serving() as source, chained(source) as follower:
        order = follower.buy(1000)
        sell = {"symbol": "ABCUSDT", "category": "linear", "side": "Sell", "orderType": "Market"}
        await source.create(**sell, qty="29.5")
        await follower.until(lambda: follower.top(Side.BUY) == [(1000, 15)])
        assert order.cum_lots == 0
        source.market.house(Side.BUY, 1000, 6, source.now_ms())
        await follower.until(lambda: follower.top(Side.BUY) == [(1000, 21)])
        await source.create(**sell, qty="0.9")
        await follower.until(lambda: order.cum_lots == 4)


async def test_a_dead_source_stops_fills_and_its_return_brings_the_book_back():
    async with serving() as first:
        port = first.server.port
        following_it = chained(first)
        follower = await following_it.__aenter__()
        order = follower.buy(1000)
    try:
        await follower.until(lambda: follower.venue.market.stale_symbols == ["ABCUSDT"])
        taking = follower.buy(1003)
        follower.exchange.cancel(
            1, "ABCUSDT", order_id=taking.order_id, now_ms=follower.venue.now_ms
        )
        assert (taking.cum_lots, order.state) == (0, OrderState.NEW)
        async with serving(port=port):
            await follower.until(lambda: not follower.venue.market.stale_symbols)
            assert follower.top(Side.BUY) == [(1000, 310)]
            assert order.cum_lots == 0
    finally:
        await following_it.__aexit__(None, None, None)
