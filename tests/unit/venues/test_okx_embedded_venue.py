"""The OKX client against the embedded venue, over real sockets: both sides read OKX alike."""

from decimal import Decimal

import pytest
from okx_server import FAST, alive, becomes_true, jitter
from server_rig import serving

from trading_system.domain.errors import VenueRejected
from trading_system.domain.orders import Side
from trading_system.runtime.clock import SystemClock
from trading_system.venues.okx.feed import OkxExtras, OkxPublicFeed
from trading_system.venues.okx.hosts import okx_hosts
from trading_system.venues.okx.instruments import OkxInstType
from trading_system.venues.okx.relay import RelayFeed
from trading_system.venues.okx.rest import OkxPublicRest

NAME = "ABC-USDT-SWAP"
# The rig's book in base currency: bids 30 at 10.00, asks 2 at 10.02 and 50 at 10.03.
BIDS, ASKS = [(10.0, 30.0)], [(10.02, 2.0), (10.03, 50.0)]


def hosts_of(venue):
    return okx_hosts("simulated", rest_url=venue.server.rest_url, ws_url=venue.server.ws_url)


async def described(venue):
    async with OkxPublicRest(hosts_of(venue), clock=SystemClock()) as rest:
        return await rest.instrument(NAME)


def feed(venue, instrument, **options):
    return OkxPublicFeed(
        hosts_of(venue).public,
        {NAME: instrument},
        clock=SystemClock(),
        jitter=jitter(),
        timing=FAST,
        **options,
    )


async def test_rest_and_stream_tell_of_the_same_book_in_base_currency():
    async with serving() as venue:
        async with OkxPublicRest(hosts_of(venue), clock=SystemClock()) as rest:
            instrument = await rest.instrument(NAME)
            book = await rest.book(NAME)
            assert (await rest.instruments(OkxInstType.SWAP))[NAME] == instrument
            assert (await rest.ticker(instrument)).bid_qty == 30
            assert abs(await rest.time_ns() - SystemClock().utc_ns()) < 60_000_000_000
        client = feed(venue, instrument)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            assert client.depth(NAME) == (BIDS, ASKS)
    assert instrument.base_levels(book.levels(Side.BUY, 400)) == BIDS
    assert instrument.base_levels(book.levels(Side.SELL, 400)) == ASKS


@pytest.mark.parametrize("channel", ["books", "books5", "bbo-tbt"])
async def test_an_order_changes_the_book_and_its_trade_is_heard(channel):
    trades, tops, tickers = [], [], []
    async with serving(okx_checksums="real") as venue:
        client = feed(
            venue,
            await described(venue),
            channel=channel,
            on_trade=trades.append,
            on_ticker=tickers.append,
            extras=OkxExtras(on_top=tops.append),
        )
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            await venue.create(orderType="Market", qty="3")
            await becomes_true(lambda: client.depth(NAME)[1][:1] == [(10.03, 49.0)] and trades)
            await venue.create(price="9.99", qty="4")
            if channel != "bbo-tbt":
                await becomes_true(lambda: client.depth(NAME)[0] == [*BIDS, (9.99, 4.0)])
        book = client.book(NAME)
        assert (client.resyncs, client.reconnects, book.gaps, book.rejected) == (0, 0, 0, 0)
        assert (book.checksums > 0) == (channel == "books")
    assert [(each.side, each.price, each.quantity) for each in trades[:2]] == [
        (Side.BUY, 10.02, 2.0),
        (Side.BUY, 10.03, 1.0),
    ]
    assert tickers[0].bid_price == Decimal(10)


async def test_the_relay_tells_of_the_same_book():
    async with serving() as venue:
        client = RelayFeed(
            venue.server.ws_url,
            await described(venue),
            clock=SystemClock(),
            jitter=jitter(),
            timing=FAST,
        )
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            assert client.depth(NAME) == (BIDS, ASKS)


async def test_a_channel_above_the_fee_tier_is_refused_by_name():
    async with serving() as venue:
        client = feed(venue, await described(venue), channel="books50-l2-tbt")
        with pytest.raises(VenueRejected, match=r"books50-l2-tbt ABC-USDT-SWAP: 64003"):
            await client.run()


async def test_an_unknown_instrument_is_refused():
    async with serving() as venue, OkxPublicRest(hosts_of(venue), clock=SystemClock()) as rest:
        with pytest.raises(VenueRejected):
            await rest.instrument("NO-USDT-SWAP")
        with pytest.raises(VenueRejected):
            await rest.book("NO-USDT-SWAP")
