"""nautilus_trader's Bybit clients: instruments, market data, orders, reports; linear and spot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import aiohttp
from nautilus_trader.adapters.bybit.common.enums import BybitPositionMode
from nautilus_trader.adapters.bybit.common.symbol import BybitSymbol
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    GenerateFillReports,
    GenerateOrderStatusReport,
    GenerateOrderStatusReports,
    GeneratePositionStatusReports,
)
from nautilus_trader.model.enums import (
    LiquiditySide,
    OrderSide,
    OrderStatus,
    PositionSide,
    TimeInForce,
)
from nautilus_trader.model.events import OrderUpdated
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Currency
from nautilus_trader.model.orders import Order
from registry import case, check, check_equal
from room_nautilus import LINEAR, OTHER, SPOT, WAIT_S, Desk, NautilusRoom

CLIENT = "nautilus_trader"
SOCKET_CLIENT = "nautilus_trader WS"
EQUAL_BOOKS = 3
KINDS = {LINEAR: "linear", SPOT: "spot"}
USDT = Currency.from_str("USDT")


def desk_case(name: str, code: int = 0) -> Callable[[Any], Any]:
    """Register a case of this module."""
    return case(name, CLIENT, code=code, phase="nautilus")


def each_product(name: str, code: int = 0, *, sockets: bool = False) -> Callable[[Any], Any]:
    """Register a case for the perpetual and for the spot pair, over REST or over sockets too."""

    def register(function: Callable[[Desk, InstrumentId], Awaitable[Any]]) -> Any:
        for instrument_id, kind in KINDS.items():
            _register(f"{name} ({kind})", code, instrument_id, function, way="rest")
            if sockets:
                _register(f"{name} ({kind})", code, instrument_id, function, way="socket")
        return function

    return register


def _register(
    name: str,
    code: int,
    instrument_id: InstrumentId,
    function: Callable[[Desk, InstrumentId], Awaitable[Any]],
    *,
    way: str,
) -> None:
    client = CLIENT if way == "rest" else SOCKET_CLIENT

    @case(name, client, code=code, phase="nautilus")
    async def run(room: NautilusRoom) -> Any:
        return await function(getattr(room, way), instrument_id)


async def _bid(desk: Desk, instrument_id: InstrumentId, **fields: Any) -> Order:
    quantity = await desk.sized(instrument_id, "700")
    price = await desk.away(instrument_id)
    terms = {"post_only": True} | fields
    return desk.orders.limit(instrument_id, OrderSide.BUY, quantity, price, **terms)


async def _market(desk: Desk, side: OrderSide, quantity: Any, **fields: Any) -> Order:
    order = desk.orders.market(
        fields.pop("instrument_id"), side, quantity, time_in_force=TimeInForce.IOC, **fields
    )
    return await desk.submit(order, OrderStatus.FILLED)


@desk_case("instruments, wallet")
async def instruments(room: NautilusRoom) -> None:
    desk = room.rest
    found = {str(each.id): str(each.price_increment) for each in desk.provider.list_all()}
    wanted = {
        "BTCUSDT-LINEAR.BYBIT": "0.1",
        "ETHUSDT-LINEAR.BYBIT": "0.01",
        "BTCUSDT-SPOT.BYBIT": "0.01",
        "ETHUSDT-SPOT.BYBIT": "0.01",
    }
    check_equal(found, wanted, "price increments")
    pair, contract = desk.cache.instrument(SPOT), desk.cache.instrument(LINEAR)
    fees = (pair.taker_fee, contract.taker_fee, contract.maker_fee)
    check_equal(fees, (Decimal("0.001"), Decimal("0.00055"), Decimal("0.0002")), "fees")
    (account,) = desk.cache.accounts()
    check_equal(account.balance_total(USDT).as_decimal(), Decimal(100_000), "balance")


@each_product("order book")
async def order_book(desk: Desk, instrument_id: InstrumentId) -> None:
    desk.strategy.subscribe_order_book_deltas(instrument_id, depth=50)
    await desk.until(lambda: desk.book(instrument_id), "a book")
    agreed = 0
    async with asyncio.timeout(2 * WAIT_S), aiohttp.ClientSession() as http:
        while agreed < EQUAL_BOOKS:
            agreed += await _equals_rest(desk, instrument_id, http)
    book = desk.book(instrument_id)
    check(book.best_bid_price() < book.best_ask_price(), "crossed")


async def _equals_rest(
    desk: Desk, instrument_id: InstrumentId, http: aiohttp.ClientSession
) -> bool:
    """Whether the client's book is REST's book before or after the reply (a quiet moment)."""
    query = {"category": KINDS[instrument_id], "symbol": "BTCUSDT", "limit": "50"}
    async with http.get(desk.venue.rest + "/v5/market/orderbook", params=query) as reply:
        rest = (await reply.json())["result"]
    book = desk.book(instrument_id)
    wanted = [[(Decimal(p), Decimal(q)) for p, q in rest[side]] for side in ("b", "a")]
    found = [
        [(level.price.as_decimal(), Decimal(str(level.orders()[0].size))) for level in side[:50]]
        for side in (book.bids(), book.asks())
    ]
    return found == wanted


@each_product("trades and quotes")
async def ticks(desk: Desk, instrument_id: InstrumentId) -> None:
    desk.strategy.subscribe_trade_ticks(instrument_id)
    desk.strategy.subscribe_quote_ticks(instrument_id)
    await desk.until(lambda: desk.cache.trade_tick_count(instrument_id) >= 5, "five trades")
    await desk.until(lambda: desk.cache.quote_tick_count(instrument_id) >= 3, "three quotes")
    quote = desk.cache.quote_tick(instrument_id)
    check(quote.bid_price < quote.ask_price, "crossed quote", quote)
    names = {str(each.trade_id) for each in desk.cache.trade_ticks(instrument_id)}
    check_equal(len(names), desk.cache.trade_tick_count(instrument_id), "different trades")


@each_product("place, amend, cancel", sockets=True)
async def life_of_an_order(desk: Desk, instrument_id: InstrumentId) -> None:
    order = await desk.submit(await _bid(desk, instrument_id), OrderStatus.ACCEPTED)
    await _change(desk, order)
    await desk.cancel(order)


async def _change(desk: Desk, order: Order) -> None:
    quantity = await desk.sized(order.instrument_id, "900")
    price = await desk.away(order.instrument_id, percent="2.2")
    await desk.modify(order, quantity=quantity, price=price)
    check_equal((order.quantity, order.price), (quantity, price), "changed order")


@each_product("batch create and cancel", sockets=True)
async def batch(desk: Desk, instrument_id: InstrumentId) -> None:
    orders = [await _bid(desk, instrument_id) for _ in range(3)]
    await desk.submit_list(orders)
    await desk.cancel_batch(orders)


@each_product("cancel all")
async def cancel_all(desk: Desk, instrument_id: InstrumentId) -> None:
    orders = [
        await desk.submit(await _bid(desk, instrument_id), OrderStatus.ACCEPTED) for _ in range(2)
    ]
    await desk.cancel_all(orders)


@each_product("market and limit fills", sockets=True)
async def fills(desk: Desk, instrument_id: InstrumentId) -> None:
    quantity = await desk.sized(instrument_id, "1500")
    bought = await _market(desk, OrderSide.BUY, quantity, instrument_id=instrument_id)
    across = await desk.away(instrument_id, percent="0.3")
    left = bought.filled_qty.as_decimal()
    if instrument_id == SPOT:  # the fee was paid in the coin
        left *= Decimal("0.999")
    order = desk.orders.limit(
        instrument_id, OrderSide.SELL, desk.quantity(instrument_id, left), across
    )
    await desk.submit(order, OrderStatus.FILLED)
    fill = order.events[-1]
    rate = fill.commission.as_decimal() / (fill.last_qty.as_decimal() * fill.last_px.as_decimal())
    wanted = Decimal("0.001") if instrument_id == SPOT else Decimal("0.00055")
    check(abs(rate - wanted) < Decimal("0.000001"), "fee rate", rate)
    check_equal(fill.liquidity_side, LiquiditySide.TAKER, "liquidity side")


@each_product("post-only that would cross")
async def post_only(desk: Desk, instrument_id: InstrumentId) -> None:
    across = await desk.away(instrument_id, percent="-0.3")
    order = await _bid(desk, instrument_id)
    order = desk.orders.limit(instrument_id, OrderSide.BUY, order.quantity, across, post_only=True)
    await desk.submit(order, OrderStatus.REJECTED, OrderStatus.CANCELED)
    check_equal(order.filled_qty.as_decimal(), Decimal(0), "filled")


@each_product("reports of orders and fills")
async def reports(desk: Desk, instrument_id: InstrumentId) -> None:
    resting = await desk.submit(await _bid(desk, instrument_id), OrderStatus.ACCEPTED)
    bought = await _market(
        desk, OrderSide.BUY, await desk.sized(instrument_id, "300"), instrument_id=instrument_id
    )
    both = {"command_id": UUID4(), "ts_init": desk.clock.timestamp_ns(), "start": None, "end": None}
    wanted = GenerateOrderStatusReports(instrument_id=None, open_only=True, **both)
    rows = await desk.client.generate_order_status_reports(wanted)
    check_equal([row.client_order_id for row in rows], [resting.client_order_id], "open orders")
    check_equal(rows[0].order_status, OrderStatus.ACCEPTED, "reported state")
    wanted = GenerateOrderStatusReports(instrument_id=None, open_only=False, **both)
    rows = await desk.client.generate_order_status_reports(wanted)
    states = {row.client_order_id: row.order_status for row in rows}
    check_equal(states[bought.client_order_id], OrderStatus.FILLED, "state in the history")
    one = GenerateOrderStatusReport(
        instrument_id=instrument_id,
        client_order_id=bought.client_order_id,
        venue_order_id=None,
        command_id=UUID4(),
        ts_init=desk.clock.timestamp_ns(),
    )
    report = await desk.client.generate_order_status_report(one)
    check_equal(report.filled_qty, bought.filled_qty, "filled in the report")
    rows = await desk.client.generate_fill_reports(
        GenerateFillReports(instrument_id=None, venue_order_id=None, **both)
    )
    mine = [row for row in rows if row.venue_order_id == bought.venue_order_id]
    total = sum((row.last_qty.as_decimal() for row in mine), start=Decimal(0))
    check_equal(total, bought.filled_qty.as_decimal(), "sum of the reported fills")
    await desk.cancel(resting)
    left = bought.filled_qty.as_decimal()
    if instrument_id == SPOT:
        left *= Decimal("0.999")
    quantity = desk.quantity(instrument_id, left)
    await _market(desk, OrderSide.SELL, quantity, instrument_id=instrument_id)


@desk_case("reports of positions, reduce-only close")
async def positions(room: NautilusRoom) -> None:
    desk = room.rest
    await _market(desk, OrderSide.SELL, await desk.sized(OTHER, "1500"), instrument_id=OTHER)
    (report,) = await _positions(desk, OTHER)
    check_equal(report.position_side, PositionSide.SHORT, "side")
    (held,) = desk.cache.positions_open(instrument_id=OTHER)
    check_equal(report.quantity, held.quantity, "quantity of report and cache")
    await _market(desk, OrderSide.BUY, held.quantity, instrument_id=OTHER, reduce_only=True)
    (report,) = await _positions(desk, OTHER)
    check_equal(report.position_side, PositionSide.FLAT, "side after closing")
    check_equal(desk.cache.positions_open(instrument_id=OTHER), [], "open positions")


async def _positions(desk: Desk, instrument_id: InstrumentId) -> list[Any]:
    command = GeneratePositionStatusReports(
        instrument_id=instrument_id,
        start=None,
        end=None,
        command_id=UUID4(),
        ts_init=desk.clock.timestamp_ns(),
    )
    rows: list[Any] = await desk.client.generate_position_status_reports(command)
    return rows


@desk_case("conditional order")
async def conditional(room: NautilusRoom) -> None:
    desk = room.rest
    level, further = [await desk.away(LINEAR, percent=each) for each in ("-3", "-4")]
    order = desk.orders.market_if_touched(
        LINEAR, OrderSide.BUY, await desk.sized(LINEAR, "700"), level
    )
    # The adapter answers an untriggered order with an update, never with an acceptance.
    await desk.submit(order, OrderStatus.SUBMITTED)
    await desk.until(lambda: isinstance(order.events[-1], OrderUpdated), "the order waits")
    await desk.pace("amend")
    desk.strategy.modify_order(order, trigger_price=further)
    await desk.until(lambda: order.trigger_price == further, "the moved trigger")
    await desk.cancel(order)


async def _too_large(desk: Desk, instrument_id: InstrumentId) -> Order:
    quantity = await desk.sized(instrument_id, "2500000")
    price = await desk.away(instrument_id)
    return desk.orders.limit(instrument_id, OrderSide.BUY, quantity, price)


@each_product("no funds: the order is rejected", sockets=True)
async def rejected(desk: Desk, instrument_id: InstrumentId) -> None:
    order = await desk.submit(await _too_large(desk, instrument_id), OrderStatus.REJECTED)
    wanted = "Insufficient balance" if instrument_id == SPOT else "ab not enough for new order"
    check(wanted in order.events[-1].reason, "reason", order.events[-1].reason)


@desk_case("no funds (linear)", code=110007)
async def no_funds(room: NautilusRoom) -> int:
    return await room.rest.refused(await _too_large(room.rest, LINEAR))


@desk_case("no funds (spot)", code=170131)
async def no_funds_on_spot(room: NautilusRoom) -> int:
    return await room.rest.refused(await _too_large(room.rest, SPOT))


@desk_case("duplicate client order id", code=110072)
async def duplicate(room: NautilusRoom) -> int:
    desk = room.rest
    order = await desk.submit(await _bid(desk, LINEAR), OrderStatus.ACCEPTED)
    code = await desk.refused(order)
    await desk.cancel(order)
    return code


@desk_case("reduce-only without position", code=110017)
async def reduce_only(room: NautilusRoom) -> int:
    desk = room.rest
    quantity = await desk.sized(LINEAR, "700")
    order = desk.orders.market(
        LINEAR, OrderSide.SELL, quantity, time_in_force=TimeInForce.IOC, reduce_only=True
    )
    return await desk.refused(order)


@desk_case("start with leverage and position mode")
async def configured_start(room: NautilusRoom) -> None:
    symbol = BybitSymbol("BTCUSDT-LINEAR")
    for _ in range(2):  # the second start is told "not modified"
        await room.new_desk(
            futures_leverages={symbol: 12},
            position_mode={symbol: BybitPositionMode.MERGED_SINGLE},
        )
