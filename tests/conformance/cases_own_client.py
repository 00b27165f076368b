"""The project's own Bybit client: its gateway in process and over loopback, its streams over it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from over import WAIT_S, WAYS, Over
from pydantic import SecretStr
from registry import CaseError, case, check, check_equal
from server_rig import TRADER

from trading_system.domain.errors import VenueError
from trading_system.domain.orders import (
    AttachedExit,
    OrderIntent,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    Trigger,
    TriggerDirection,
)
from trading_system.domain.ports import HttpReply, HttpRequest, HttpTiming
from trading_system.venues.bybit.account_queries import PositionMode
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.session_transport import SessionTransport
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks
from trading_system.venues.bybit.trade_stream import BybitTradeStream

SYMBOL = "ABCUSDT"
LIMIT_S = 3.0
NO_TIMES = HttpTiming(queue_ms=0.0, connect_ms=None, send_ms=None, response_ms=0.0, total_ms=0.0)


class _InProcess:
    """An ``HttpTransport`` that hands requests to the server without a socket."""

    silent_for_s = 0.0

    def __init__(self, over: Over) -> None:
        self._over = over

    async def request(self, request: HttpRequest, *, priority: int, timeout_s: float) -> HttpReply:
        del priority
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        async with asyncio.timeout(timeout_s):
            status, headers, body = await self._over.exchange_bytes(
                request.method, target, request.body or b"", dict(request.headers)
            )
        return HttpReply(status=status, headers=headers, body=body, timing=NO_TIMES)


def _signer() -> Signer:
    return Signer(TRADER.api_key, SecretStr(TRADER.api_secret), recv_window_ms=5000)


@asynccontextmanager
async def _gateway(
    over: Over, *, trade: BybitTradeStream | None = None
) -> AsyncIterator[BybitGateway]:
    if over.http is None:
        rest = BybitRest(
            "http://venue.test", signer=_signer(), clock=over.clock, transport=_InProcess(over)
        )
        yield BybitGateway(rest, clock=over.clock, trade=trade)
        return
    async with SessionTransport(clock=over.clock) as transport:
        rest = BybitRest(
            over.server.rest_url, signer=_signer(), clock=over.clock, transport=transport
        )
        yield BybitGateway(rest, clock=over.clock, trade=trade)


def gateway_case(name: str, code: int = 0) -> Callable[[Any], Any]:
    """Register a case of the gateway once for each way to the venue."""

    def register(function: Callable[[BybitGateway], Awaitable[Any]]) -> Any:
        async def run(over: Over) -> Any:
            async with _gateway(over) as gateway:
                return await function(gateway)

        for way in WAYS:
            case(name, f"own client {way}", code=code, phase="own")(run)
        return function

    return register


def stream_case(name: str, code: int = 0) -> Callable[[Any], Any]:
    """Register a case of the streams, which need sockets."""
    return case(name, "own client streams loopback", code=code, phase="own")


def _bid(link_id: str, quantity: str = "5", **terms: Any) -> OrderIntent:
    return OrderIntent(
        symbol=SYMBOL,
        side=terms.pop("side", Side.BUY),
        order_type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=Decimal(terms.pop("price", "9.90")),
        link_id=link_id,
        **terms,
    )


def _market(link_id: str, side: Side = Side.BUY, **terms: Any) -> OrderIntent:
    return OrderIntent(
        symbol=SYMBOL,
        side=side,
        order_type=OrderType.MARKET,
        quantity=Decimal(3),
        time_in_force=TimeInForce.IOC,
        link_id=link_id,
        **terms,
    )


async def _code(call: Awaitable[Any]) -> int:
    try:
        answer = await call
    except VenueError as e:
        return e.code or -1
    raise CaseError(f"not refused: {answer}")


async def _found(gateway: BybitGateway, link_id: str) -> Any:
    report = await gateway.find_order(link_id)
    check(report is not None, f"order {link_id} was not found")
    return report


@gateway_case("clock, instruments, ticker, book, account")
async def queries(gateway: BybitGateway) -> None:
    await gateway.synchronise_clock()
    (instrument,) = await gateway.instruments()
    check_equal((instrument.symbol, instrument.tick_size), (SYMBOL, Decimal("0.01")), "instrument")
    ticker = await gateway.ticker(SYMBOL)
    check(ticker is not None, "no ticker")
    book = await gateway.book(SYMBOL)
    check(book is not None, "no book")
    check((await gateway.account_info()).is_unified, "not unified")
    check(not (await gateway.api_key_info()).is_read_only, "a read-only key")
    rates = await gateway.fee_rates(SYMBOL)
    check_equal(rates.taker, Decimal("0.00055"), "taker fee")
    modes = await gateway.detect_position_modes([SYMBOL])
    check_equal(modes, {SYMBOL: PositionMode.ONE_WAY}, "position mode")


@gateway_case("submit, amend, cancel", code=110001)
async def life_of_an_order(gateway: BybitGateway) -> int:
    ack = await gateway.submit(_bid("a", time_in_force=TimeInForce.POST_ONLY), timeout_s=LIMIT_S)
    report = await _found(gateway, "a")
    check_equal((report.order_id, report.status), (ack.order_id, OrderStatus.NEW), "order")
    for _ in range(2):  # the second changes nothing, and that is done too
        await gateway.amend(SYMBOL, "a", quantity=Decimal(6), timeout_s=LIMIT_S)
    check_equal((await _found(gateway, "a")).quantity, Decimal(6), "amended quantity")
    await gateway.cancel(SYMBOL, "a", timeout_s=LIMIT_S)
    check_equal((await _found(gateway, "a")).status, OrderStatus.CANCELLED, "status")
    return await _code(gateway.cancel(SYMBOL, "a", timeout_s=LIMIT_S))


@gateway_case("market order, executions, position, reduce-only close", code=110017)
async def fills(gateway: BybitGateway) -> int:
    await gateway.submit(_market("m"), timeout_s=LIMIT_S)
    rows = await gateway.executions("m")
    prices = sorted((fill.price, fill.quantity) for fill in rows)
    wanted = [(Decimal("10.02"), Decimal(2)), (Decimal("10.03"), Decimal(1))]
    check_equal(prices, wanted, "executions")
    check_equal((await gateway.position(SYMBOL)).quantity, Decimal(3), "position")
    check_equal((await gateway.wallet()).wallet_balance, Decimal("9999.9834615"), "wallet")
    close = _market("c", Side.SELL, reduce_only=True)
    await gateway.submit(close, timeout_s=LIMIT_S)
    check_equal((await gateway.position(SYMBOL)).quantity, Decimal(0), "position after closing")
    again = _market("d", Side.SELL, reduce_only=True)
    return await _code(gateway.submit(again, timeout_s=LIMIT_S))


@gateway_case("batch: good items placed, a bad one refused", code=110094)
async def batch(gateway: BybitGateway) -> int:
    wanted = [_bid("b1"), _bid("b2", quantity="0.1"), _bid("b3")]
    placed = await gateway.submit_batch(wanted, timeout_s=LIMIT_S)
    codes = [item.error.code if item.error else 0 for item in placed]
    check_equal((codes[0], codes[2]), (0, 0), "codes of the good items")
    names = [(SYMBOL, "b1"), (SYMBOL, "b3")]
    gone = await gateway.cancel_batch(names, timeout_s=LIMIT_S)
    check(all(item.error is None for item in gone), "cancelled batch", gone)
    check_equal(await gateway.open_orders(), [], "open orders")
    return int(codes[1] or 0)


@gateway_case("cancel all takes conditional orders, spares stops")
async def cancel_all(gateway: BybitGateway) -> None:
    await gateway.submit(_market("m"), timeout_s=LIMIT_S)
    await gateway.protect(SYMBOL, Decimal("9.00"), timeout_s=LIMIT_S)
    await gateway.submit(_bid("a"), timeout_s=LIMIT_S)
    falls = Trigger(price=Decimal("9.50"), direction=TriggerDirection.FALL)
    await gateway.submit(_bid("t", price="9.40", trigger=falls), timeout_s=LIMIT_S)
    check_equal(len(await gateway.open_orders()), 3, "open orders")
    await gateway.cancel_all(SYMBOL, timeout_s=LIMIT_S)
    (left,) = await gateway.open_orders()
    check(left.is_protective, "what is left is no stop", left)


@gateway_case("attached take profit and stop loss")
async def attached(gateway: BybitGateway) -> None:
    exits = {
        "take_profit": AttachedExit(price=Decimal("11.00")),
        "stop_loss": AttachedExit(price=Decimal("9.00")),
    }
    await gateway.submit(_market("m", **exits), timeout_s=LIMIT_S)
    rows = await gateway.open_orders()
    levels = {row.trigger_price for row in rows}
    check_equal(levels, {Decimal("11.00"), Decimal("9.00")}, "trigger prices")
    check(all(row.is_protective for row in rows), "not protective", rows)


@gateway_case("unchanged leverage and stop count as done")
async def unchanged(gateway: BybitGateway) -> None:
    for _ in range(2):
        await gateway.set_leverage(SYMBOL, Decimal(5), timeout_s=LIMIT_S)
    await gateway.submit(_market("m"), timeout_s=LIMIT_S)
    for _ in range(2):
        await gateway.protect(SYMBOL, Decimal("9.00"), timeout_s=LIMIT_S)
    check_equal((await gateway.position(SYMBOL)).stop_price, Decimal("9.00"), "stop")


@gateway_case("no funds", code=110007)
async def no_funds(gateway: BybitGateway) -> int:
    for link_id in ("a", "b"):
        await gateway.submit(_bid(link_id, quantity="5000"), timeout_s=LIMIT_S)
    return await _code(gateway.submit(_bid("c", quantity="5000"), timeout_s=LIMIT_S))


@gateway_case("link id used before", code=110072)
async def link_twice(gateway: BybitGateway) -> int:
    await gateway.submit(_bid("a"), timeout_s=LIMIT_S)
    return await _code(gateway.submit(_bid("a"), timeout_s=LIMIT_S))


@stream_case("private stream: order, execution, position, wallet")
async def private_stream(over: Over) -> None:
    topics = ["order", "execution", "position", "wallet"]
    async with _listening(over, "/v5/private", topics, signer=_signer()) as frames:
        async with _gateway(over) as gateway:
            await gateway.submit(_market("m"), timeout_s=LIMIT_S)
            fills = {fill.exec_id for fill in await gateway.executions("m")}
        await _until(lambda: set(topics) <= {frame["topic"] for frame in frames}, "every topic")
        rows = [row for f in frames if f["topic"] == "execution" for row in f["data"]]
        check_equal({row["execId"] for row in rows}, fills, "executions of stream and REST")


@stream_case("public stream: book and trades")
async def public_stream(over: Over) -> None:
    topics = ["orderbook.50.ABCUSDT", "publicTrade.ABCUSDT"]
    async with _listening(over, "/v5/public/linear", topics) as frames:
        async with _gateway(over) as gateway:
            await gateway.submit(_market("m"), timeout_s=LIMIT_S)
        await _until(lambda: {f["topic"] for f in frames} == set(topics), "every topic")
        trades = [row for f in frames if f["topic"] == topics[1] for row in f["data"]]
        check_equal({row["S"] for row in trades}, {"Buy"}, "sides of the trades")


@stream_case("trade stream: submit, amend, cancel; refusal", code=110007)
async def trade_stream(over: Over) -> int:
    trade = BybitTradeStream(
        over.server.ws_url + "/v5/trade",
        signer=_signer(),
        clock=over.clock,
        jitter=random.Random(1),
    )
    async with _running(trade), _gateway(over, trade=trade) as gateway:
        await _until(lambda: trade.is_up, "the trade stream is up")
        await gateway.submit(_bid("a"), timeout_s=LIMIT_S)
        await gateway.amend(SYMBOL, "a", quantity=Decimal(6), timeout_s=LIMIT_S)
        await gateway.cancel(SYMBOL, "a", timeout_s=LIMIT_S)
        check_equal((gateway.sent_by_stream, gateway.sent_by_rest), (3, 0), "ways of the orders")
        for link_id in ("b", "c"):
            await gateway.submit(_bid(link_id, quantity="5000"), timeout_s=LIMIT_S)
        return await _code(gateway.submit(_bid("d", quantity="5000"), timeout_s=LIMIT_S))


@asynccontextmanager
async def _running(client: Any) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.run())
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def _listening(
    over: Over, path: str, topics: list[str], *, signer: Signer | None = None
) -> AsyncIterator[list[dict[str, Any]]]:
    frames: list[dict[str, Any]] = []
    up = asyncio.Event()
    callbacks = StreamCallbacks(
        on_frame=lambda frame, _ns: frames.append(json.loads(frame)),
        on_up=up.set,
        on_down=lambda _reason: None,
    )
    stream = BybitStream(
        over.server.ws_url + path,
        topics,
        callbacks=callbacks,
        clock=over.clock,
        jitter=random.Random(1),
        signer=signer,
    )
    async with _running(stream):
        await asyncio.wait_for(up.wait(), WAIT_S)
        yield frames


async def _until(wanted: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not wanted():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise CaseError(f"not within {WAIT_S:.0f} s: {what}") from None
