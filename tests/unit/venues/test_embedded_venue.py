"""The client against the embedded venue, over real sockets: both sides read the protocol alike."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from bybit_rig import FAST, alive, becomes_true, jitter
from pydantic import SecretStr
from server_rig import TRADER, serving

from trading_system.domain.errors import Outcome, VenueAuthError, VenueRejected, VenueUnavailable
from trading_system.domain.orders import OrderIntent, OrderStatus, OrderType, Side
from trading_system.runtime.clock import SystemClock
from trading_system.venues.bybit.account_queries import PositionMode
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.hosts import endpoints
from trading_system.venues.bybit.reading import BybitReads
from trading_system.venues.bybit.refusals import unknown
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.session_transport import SessionTransport
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks
from trading_system.venues.bybit.trade_stream import BybitTradeStream

S = "ABCUSDT"


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
            gateway = BybitGateway(rest, clock=clock, trade=trade)
            gateway.hosts, gateway.key, gateway.trade = hosts, key, trade
            yield gateway


async def test_an_order_lives_and_dies_by_the_trade_stream():
    async with desk() as gateway:
        ack = await gateway.submit(order("lk-1"), timeout_s=2)
        await gateway.amend(S, "lk-1", price=Decimal("9.95"), timeout_s=2)
        (resting,) = await gateway.open_orders()
        assert (resting.order_id, resting.price) == (ack.order_id, Decimal("9.95"))
        await gateway.cancel(S, "lk-1", timeout_s=2)
        found = await gateway.find_order("lk-1")
        with pytest.raises(VenueRejected) as caught:
            await gateway.cancel(S, "lk-1", timeout_s=2)
    assert found.status is OrderStatus.CANCELLED
    assert caught.value.code == 110001
    assert (gateway.sent_by_stream, gateway.sent_by_rest) == (4, 0)


async def test_a_duplicate_link_id_is_recognised_and_the_order_found():
    async with desk() as gateway:
        await gateway.submit(order("lk-1"), timeout_s=2)
        with pytest.raises(VenueRejected) as caught:
            await gateway.submit(order("lk-1"), timeout_s=2)
        assert len(await gateway.open_orders()) == 1
    assert caught.value.code == 110072


class LossyTransport(SessionTransport):
    """Loses requests on their way there, or answers on their way back."""

    loses = ""

    async def request(self, request, *, priority, timeout_s):
        if request.method == "POST" and self.loses == "request":
            raise unknown("timed out", operation="lossy")
        reply = await super().request(request, priority=priority, timeout_s=timeout_s)
        if request.method == "POST" and self.loses == "answer":
            raise unknown("timed out", operation="lossy")
        return reply


@pytest.mark.parametrize(("loses", "exists"), [("request", False), ("answer", True)])
async def test_an_unknown_order_is_looked_up_by_its_link_id(loses, exists):
    key = Signer(TRADER.api_key, SecretStr(TRADER.api_secret), recv_window_ms=5000)
    clock = SystemClock()
    async with serving() as venue, LossyTransport(clock=clock) as transport:
        transport.loses = loses
        rest = BybitRest(venue.server.rest_url, signer=key, clock=clock, transport=transport)
        gateway = BybitGateway(rest, clock=clock)
        with pytest.raises(VenueUnavailable) as caught:
            await gateway.submit(order("lk-1"), timeout_s=2)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert (await gateway.find_order("lk-1") is not None) is exists
        assert len(await gateway.open_orders()) == exists


async def test_a_cut_trade_stream_leaves_one_order_that_can_be_looked_up():
    async with desk() as gateway:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_outcome(gateway))
            await asyncio.sleep(0)
            await gateway.trade._link.drop("cut")
        found = await gateway.find_order("lk-1")
        assert (sending.result() is None) or (sending.result() is Outcome.UNKNOWN)
        assert len(await gateway.open_orders()) == (found is not None)
        await becomes_true(lambda: gateway.trade.connects == 2 and gateway.trade.is_up)


async def _outcome(gateway):
    try:
        await gateway.submit(order("lk-1"), timeout_s=2)
    except VenueUnavailable as e:
        return e.outcome
    return None


async def test_batches_end_order_by_order():
    async with desk() as gateway:
        items = await gateway.submit_batch(
            [order("a"), order("b", quantity=Decimal("0.05"))], timeout_s=2
        )
        cancelled = await gateway.cancel_batch([(S, "a"), (S, "zz")], timeout_s=2)
    assert [item.error is None for item in items] == [True, False]
    assert [item.error and item.error.code for item in cancelled] == [None, 110001]


async def test_a_fill_is_read_as_execution_position_and_private_frames():
    frames, up = [], asyncio.Event()
    callbacks = StreamCallbacks(
        on_frame=lambda frame, _ns: frames.append(frame), on_up=up.set, on_down=lambda _r: None
    )
    async with desk() as gateway:
        private = BybitStream(
            gateway.hosts.private,
            ["order", "execution", "position", "wallet"],
            callbacks=callbacks,
            clock=SystemClock(),
            jitter=jitter(),
            signer=gateway.key,
        )
        async with alive(private):
            await up.wait()
            await gateway.submit(order("m", order_type=OrderType.MARKET, price=None), timeout_s=2)
            await becomes_true(lambda: any(b'"topic":"execution"' in f for f in frames))
        fills = await gateway.executions("m")
        since = await gateway.executions_since(SystemClock().utc_ns() // 1_000_000 - 60_000)
        position = await gateway.position(S)
        info = await BybitReads(gateway).get_position_info(S)
    assert {fill.exec_id for fill in since} == {fill.exec_id for fill in fills}
    assert sum(fill.quantity for fill in fills) == position.quantity == 5
    assert info[0]["side"] == "Buy"


async def test_every_read_understands_the_embedded_venue():
    async with desk() as gateway:
        reads = BybitReads(gateway)
        assert (await reads.test_connection())["connected"]
        assert (await reads.get_enhanced_market_data(S))["ask"] == 10.02
        assert (await reads.get_order_book_data(S, 1))["bids"] == [["10.00", "30.0"]]
        assert (await reads.get_account_balance())["total_equity"] == 10_000
        assert (await reads.get_instrument_info(S))["tick_size"] == "0.01"
        await reads.get_kline_data(S)
        await reads.get_funding_rate_history(S)
        await reads.get_open_interest_history(S)
        await reads.set_leverage(S, 3)
        await reads.set_leverage(S, 3)
        assert [rules.symbol for rules in await gateway.instruments()] == [S]
        assert await gateway.detect_position_modes([S]) == {S: PositionMode.ONE_WAY}
        assert (await gateway.account_info()).is_unified
        assert not (await gateway.api_key_info()).is_read_only
        assert "/v5/account/wallet-balance" in gateway.rest.quotas


async def test_a_key_the_host_does_not_know_is_refused_with_the_remedy():
    wrong = Signer("elsewhere", SecretStr("x"), recv_window_ms=5000)
    clock = SystemClock()
    async with (
        serving() as venue,
        BybitRest(venue.server.rest_url, signer=wrong, clock=clock) as rest,
    ):
        with pytest.raises(VenueAuthError, match="one environment"):
            await BybitGateway(rest, clock=clock).wallet()


async def test_a_protective_stop_rests_for_the_position_and_can_be_removed():
    async with desk() as gateway:
        await gateway.submit(order("m", order_type=OrderType.MARKET, price=None), timeout_s=2)
        await gateway.protect(S, Decimal("9.50"), timeout_s=2)
        await gateway.protect(S, Decimal("9.50"), timeout_s=2)
        assert (await gateway.position(S)).stop_price == Decimal("9.50")
        (stop,) = await gateway.open_orders()
        assert stop.is_protective
        await gateway.cancel_all(S, timeout_s=2)
        assert len(await gateway.open_orders()) == 1
        await gateway.protect(S, None, timeout_s=2)
        assert (await gateway.position(S)).stop_price is None
        assert await gateway.open_orders() == []
        await gateway.submit(
            order("c", order_type=OrderType.MARKET, price=None, side=Side.SELL, reduce_only=True),
            timeout_s=2,
        )
        await gateway.protect(S, None, timeout_s=2)
