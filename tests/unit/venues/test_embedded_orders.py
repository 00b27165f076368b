"""Conditional orders, exits, trailing stops and hedge mode against the embedded venue."""

from contextlib import asynccontextmanager
from decimal import Decimal

from bybit_rig import FAST, alive, becomes_true, jitter
from pydantic import SecretStr
from server_rig import TRADER, serving

from trading_system.domain.orders import (
    AttachedExit,
    OrderIntent,
    OrderStatus,
    OrderType,
    Side,
    TrailingStop,
    Trigger,
    TriggerDirection,
)
from trading_system.runtime.clock import SystemClock
from trading_system.venues.bybit.account_queries import PositionMode
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.hosts import endpoints
from trading_system.venues.bybit.rest import PRIORITY_ORDER, BybitRest
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.trade_stream import BybitTradeStream

S = "ABCUSDT"
MARKET = {"order_type": OrderType.MARKET, "price": None}
ABOVE = Trigger(price=Decimal("12.00"), direction=TriggerDirection.RISE)


def order(link_id, **changes):
    settings = {"symbol": S, "side": Side.BUY, "order_type": OrderType.LIMIT}
    settings |= {"quantity": Decimal(5), "price": Decimal("9.90")} | changes
    return OrderIntent(link_id=link_id, **settings)


@asynccontextmanager
async def desk():
    """Give a gateway whose orders go by the trade stream."""
    key = Signer(TRADER.api_key, SecretStr(TRADER.api_secret), recv_window_ms=5000)
    clock = SystemClock()
    async with serving() as venue:
        hosts = endpoints("simulated", rest_url=venue.server.rest_url, ws_url=venue.server.ws_url)
        trade = BybitTradeStream(hosts.trade, signer=key, clock=clock, jitter=jitter(), timing=FAST)
        async with BybitRest(hosts.rest, signer=key, clock=clock) as rest, alive(trade):
            await becomes_true(lambda: trade.is_up)
            yield BybitGateway(rest, clock=clock, trade=trade)


async def test_a_conditional_order_waits_moves_and_is_cancelled():
    async with desk() as gateway:
        await gateway.submit(order("c", price=Decimal("12.01"), trigger=ABOVE), timeout_s=2)
        (waiting,) = await gateway.open_orders()
        assert (waiting.status, waiting.trigger_price) == (OrderStatus.UNTRIGGERED, ABOVE.price)
        assert not waiting.is_protective
        terms = {"price": Decimal("13.01"), "trigger_price": Decimal("13.00")}
        await gateway.amend(S, "c", **terms, timeout_s=2)
        (moved,) = await gateway.open_orders()
        assert (moved.price, moved.trigger_price) == (terms["price"], terms["trigger_price"])
        await gateway.cancel(S, "c", timeout_s=2)
        assert (await gateway.find_order("c")).status is OrderStatus.DEACTIVATED


async def test_cancelling_everything_takes_what_waits_and_leaves_the_stops_of_a_position():
    async with desk() as gateway:
        await gateway.submit(order("m", **MARKET), timeout_s=2)
        await gateway.protect(S, Decimal("9.50"), timeout_s=2)
        await gateway.submit(order("c", price=Decimal("12.01"), trigger=ABOVE), timeout_s=2)
        await gateway.submit(order("r"), timeout_s=2)
        assert len(await gateway.open_orders()) == 3
        await gateway.cancel_all(None, timeout_s=2)
        (stop,) = await gateway.open_orders()
        assert stop.is_protective


async def test_exits_of_an_order_protect_the_position_that_it_opens():
    exits = {
        "take_profit": AttachedExit(price=Decimal("11.00")),
        "stop_loss": AttachedExit(price=Decimal("9.00")),
    }
    async with desk() as gateway:
        await gateway.submit(order("m", **MARKET, **exits), timeout_s=2)
        assert (await gateway.position(S)).stop_price == Decimal("9.00")
        found = await gateway.open_orders()
        assert [stop.is_protective for stop in found] == [True, True]
        assert {stop.trigger_price for stop in found} == {Decimal("11.00"), Decimal("9.00")}


async def test_a_trailing_stop_rests_twice_without_complaint_and_is_removed():
    async with desk() as gateway:
        await gateway.submit(order("m", **MARKET), timeout_s=2)
        stop = TrailingStop(distance=Decimal("0.50"))
        for _ in range(2):
            await gateway.trail(S, stop, timeout_s=2)
        assert len(await gateway.open_orders()) == 1
        await gateway.trail(S, None, timeout_s=2)
        assert await gateway.open_orders() == []
        assert not (await gateway.cancel_on_disconnect()).is_armed


async def test_in_hedge_mode_both_sides_are_held_and_closed_apart():
    async with desk() as gateway:
        body = {"category": "linear", "symbol": S, "mode": 3}
        for _ in range(2):  # the second one changes nothing, which is success
            await gateway.rest.post(
                "/v5/position/switch-mode", body, timeout_s=2, priority=PRIORITY_ORDER
            )
        assert await gateway.detect_position_modes([S]) == {S: PositionMode.HEDGE}
        await gateway.submit(order("l", **MARKET), timeout_s=2)
        short = {"side": Side.SELL, "quantity": Decimal(3)}
        await gateway.submit(order("s", **MARKET, **short), timeout_s=2)
        held = {p.position_idx: p.quantity for p in await gateway.positions()}
        assert held == {1: 5, 2: -3}
        await gateway.protect(S, Decimal("9.50"), position_idx=1, timeout_s=2)
        exit_ = {"side": Side.SELL, "reduce_only": True}
        await gateway.submit(order("x", **MARKET, **exit_), timeout_s=2)
        assert {p.position_idx: p.quantity for p in await gateway.positions()} == {2: -3}
