"""A stop that meets the venue's own quota still leaves nothing behind."""

import asyncio
from decimal import Decimal
from pathlib import Path

from live_rig import live_settings

from trading_system.bybit_client import BybitClient
from trading_system.domain.orders import OrderIntent, OrderType, Side, TimeInForce

BTC = "BTCUSDT"
LADDERS = 3


async def ladder(client: BybitClient, number: int) -> list[OrderIntent]:
    """Return eight small bids far below the market."""
    instrument, view = await client.instrument(BTC), client.quote_view(BTC)
    assert view is not None
    return [
        OrderIntent(
            symbol=BTC,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            quantity=instrument.min_qty,
            price=view.bid - instrument.tick_size * (300 + 10 * number + step),
            time_in_force=TimeInForce.POST_ONLY,
            link_id=client.next_link_id(),
        )
        for step in range(8)
    ]


async def test_a_client_with_more_quotes_than_the_quota_cancels_all_of_them(
    tmp_path: Path,
) -> None:
    settings = live_settings(tmp_path, risk__max_orders_per_second=10)
    async with BybitClient(settings) as client:
        for number in range(LADDERS):
            outcomes = await client.place_orders(await ladder(client, number))
            assert [one.error for one in outcomes] == [None] * 8
            await asyncio.sleep(1.2)  # the venue's quota of new orders
        resting = client.resting_orders(BTC)
        assert len(resting) == 8 * LADDERS
        assert sum(order.open_quantity for order in resting) > Decimal(0)
    desk = client._desk
    assert desk.left_behind is None
    assert desk.truth is not None
    assert desk.truth.own_open_orders == 0
