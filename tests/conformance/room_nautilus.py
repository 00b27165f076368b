"""nautilus_trader's clients for Bybit as its users have them, pointed at the venue.

Its HTTP client, instrument provider, data client and execution client with its own message bus,
data engine, execution engine and portfolio. Only the addresses are the venue's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any

from nautilus_trader.adapters.bybit.common.enums import BybitProductType
from nautilus_trader.adapters.bybit.config import BybitDataClientConfig, BybitExecClientConfig
from nautilus_trader.adapters.bybit.data import BybitDataClient
from nautilus_trader.adapters.bybit.execution import BybitExecutionClient
from nautilus_trader.adapters.bybit.http.client import BybitHttpClient
from nautilus_trader.adapters.bybit.providers import BybitInstrumentProvider
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus, init_logging
from nautilus_trader.common.enums import LogLevel
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.config import InstrumentProviderConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.data.messages import DataCommand
from nautilus_trader.execution.messages import (
    BatchCancelOrders,
    CancelAllOrders,
    CancelOrder,
    ModifyOrder,
    SubmitOrder,
    SubmitOrderList,
)
from nautilus_trader.live.data_engine import LiveDataEngine
from nautilus_trader.live.execution_engine import LiveExecutionEngine
from nautilus_trader.model.enums import OrderStatus
from nautilus_trader.model.identifiers import InstrumentId, StrategyId, TraderId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import Order, OrderList
from nautilus_trader.portfolio.portfolio import Portfolio
from protocol import Pacer
from registry import CaseError, check, check_equal
from venue_process import Account, Ready

LINEAR = InstrumentId.from_str("BTCUSDT-LINEAR.BYBIT")
OTHER = InstrumentId.from_str("ETHUSDT-LINEAR.BYBIT")
SPOT = InstrumentId.from_str("BTCUSDT-SPOT.BYBIT")
PRODUCTS = {BybitProductType.LINEAR: "linear", BybitProductType.SPOT: "spot"}
WAIT_S = 10.0
TURN_S = 0.002
TRADER = TraderId("CONFORMANCE-001")
STRATEGY = StrategyId("CASES-001")
_LOGGING: list[Any] = []


def _quiet_logging() -> None:
    """Start the library's logger once per process, for errors only."""
    if not _LOGGING:
        _LOGGING.append(init_logging(level_stdout=LogLevel.ERROR))


class Desk:
    """One execution client of nautilus_trader with engines of its own."""

    def __init__(
        self,
        venue: Ready,
        account: Account,
        pacer: Pacer,
        *,
        products: tuple[BybitProductType, ...],
        over_socket: bool = False,
        **options: Any,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._account = account
        self._pacer = pacer
        self.clock = LiveClock()
        self.bus = MessageBus(TRADER, self.clock)
        self.cache = Cache()
        self.portfolio = Portfolio(self.bus, self.cache, self.clock)
        self.data_engine = LiveDataEngine(loop, self.bus, self.cache, self.clock)
        self.engine = LiveExecutionEngine(loop, self.bus, self.cache, self.clock)
        self.http = BybitHttpClient(
            self.clock, api_key=account.key, api_secret=account.secret, base_url=venue.rest
        )
        self.provider = BybitInstrumentProvider(
            self.http, self.clock, list(products), InstrumentProviderConfig(load_all=True)
        )
        keys = {"api_key": account.key, "api_secret": account.secret}
        self.data = BybitDataClient(
            loop=loop,
            client=self.http,
            msgbus=self.bus,
            cache=self.cache,
            clock=self.clock,
            instrument_provider=self.provider,
            product_types=list(products),
            ws_base_urls={each: f"{venue.ws}/v5/public/{PRODUCTS[each]}" for each in products},
            config=BybitDataClientConfig(**keys),
            name=None,
        )
        self.client = BybitExecutionClient(
            loop=loop,
            client=self.http,
            msgbus=self.bus,
            cache=self.cache,
            clock=self.clock,
            instrument_provider=self.provider,
            product_types=list(products),
            base_url_ws_private=f"{venue.ws}/v5/private",
            base_url_ws_trade=f"{venue.ws}/v5/trade",
            config=BybitExecClientConfig(**keys, use_ws_trade_api=over_socket, **options),
            name=None,
        )
        self.orders = OrderFactory(TRADER, STRATEGY, self.clock, use_uuid_client_order_ids=True)
        self.events: list[Any] = []

    async def open(self) -> None:
        """Start the engines, load the instruments, log in."""
        self.bus.subscribe("events.order.*", self.events.append)
        self.data_engine.register_client(self.data)
        self.engine.register_client(self.client)
        self.data_engine.start()
        self.engine.start()
        self.data.connect()
        await self.until(lambda: self.data.is_connected, "the data client is connected")
        self.client.connect()
        await self.until(lambda: self.client.is_connected, "the execution client is connected")

    async def close(self) -> None:
        """Disconnect both clients and stop the engines."""
        self.client.disconnect()
        self.data.disconnect()
        await self.until(
            lambda: not (self.client.is_connected or self.data.is_connected), "disconnected"
        )
        self.engine.stop()
        self.data_engine.stop()

    async def until(self, wanted: Callable[[], Any], what: str, *, seconds: float = WAIT_S) -> Any:
        """Return what ``wanted`` returns as soon as it is true."""
        ends = self._loop.time() + seconds
        while not (found := wanted()):
            if self._loop.time() > ends:
                raise CaseError(f"not within {seconds:.0f} s: {what}")
            await asyncio.sleep(TURN_S)
        return found

    async def pace(self, operation: str, cost: int = 1) -> None:
        """Wait until the account's quota of ``operation`` has room."""
        await asyncio.sleep(self._pacer.reserve(self._account.key + operation, cost))

    def subscribe(self, kind: type[DataCommand], instrument_id: InstrumentId, **fields: Any) -> None:
        """Send a subscription to the data engine."""
        command = kind(
            instrument_id=instrument_id,
            client_id=self.data.id,
            venue=None,
            command_id=UUID4(),
            ts_init=self.clock.timestamp_ns(),
            **fields,
        )
        self.bus.send(endpoint="DataEngine.execute", msg=command)

    def _execute(self, kind: type[Any], **fields: Any) -> None:
        command = kind(
            trader_id=TRADER,
            strategy_id=STRATEGY,
            command_id=UUID4(),
            ts_init=self.clock.timestamp_ns(),
            **fields,
        )
        self.bus.send(endpoint="ExecEngine.execute", msg=command)

    async def submit(self, order: Order, *wanted: OrderStatus) -> Order:
        """Submit an order; return it once it has one of the ``wanted`` states."""
        await self.pace("create")
        self._execute(SubmitOrder, order=order)
        return await self.becomes(order, *wanted)

    async def submit_list(self, orders: list[Order]) -> None:
        """Submit several orders as one batch; return once each is open."""
        await self.pace("create-batch", len(orders))
        self._execute(
            SubmitOrderList,
            order_list=OrderList(self.orders.generate_order_list_id(), orders),
        )
        for order in orders:
            await self.becomes(order, OrderStatus.ACCEPTED)

    async def modify(self, order: Order, **fields: Any) -> None:
        """Send a change of an order."""
        await self.pace("amend")
        wanted = {"quantity": None, "price": None, "trigger_price": None} | fields
        self._execute(ModifyOrder, **self._names(order), **wanted)

    def _names(self, order: Order) -> dict[str, Any]:
        return {
            "instrument_id": order.instrument_id,
            "client_order_id": order.client_order_id,
            "venue_order_id": order.venue_order_id,
        }

    async def cancel(self, order: Order, *wanted: OrderStatus) -> None:
        """Cancel one order; return once it has one of the ``wanted`` states."""
        await self.pace("cancel")
        self._execute(CancelOrder, **self._names(order))
        await self.becomes(order, *(wanted or (OrderStatus.CANCELED,)))

    async def cancel_batch(self, orders: list[Order]) -> None:
        """Cancel several orders as one batch; return once each is gone."""
        await self.pace("cancel-batch", len(orders))
        now = self.clock.timestamp_ns()
        cancels = [
            CancelOrder(
                trader_id=TRADER,
                strategy_id=STRATEGY,
                command_id=UUID4(),
                ts_init=now,
                **self._names(order),
            )
            for order in orders
        ]
        self._execute(
            BatchCancelOrders, instrument_id=orders[0].instrument_id, cancels=cancels
        )
        for order in orders:
            await self.becomes(order, OrderStatus.CANCELED)

    async def cancel_all(self, orders: list[Order]) -> None:
        """Cancel everything of one instrument; return once each of ``orders`` is gone."""
        await self.pace("cancel-all")
        instrument_id = orders[0].instrument_id
        side = orders[0].side
        self._execute(CancelAllOrders, instrument_id=instrument_id, order_side=side)
        for order in orders:
            await self.becomes(order, OrderStatus.CANCELED)

    async def becomes(self, order: Order, *wanted: OrderStatus) -> Order:
        """Return ``order`` once it has one of the ``wanted`` states."""
        try:
            await self.until(lambda: order.status in wanted, "order state")
        except CaseError:
            last = order.events[-1]
            raise CaseError(f"{order.status_string()}, wanted {wanted}; last: {last}") from None
        return order

    async def refused(self, order: Order) -> int:
        """Submit an order that must be rejected; return the venue's code."""
        await self.submit(order, OrderStatus.REJECTED)
        return code_in(order.events[-1].reason)

    def book(self, instrument_id: InstrumentId) -> Any:
        """Return the book that the data engine keeps, None before its first snapshot."""
        book = self.cache.order_book(instrument_id)
        return book if book is not None and book.bids() and book.asks() else None

    async def top(self, instrument_id: InstrumentId) -> tuple[Decimal, Decimal]:
        """Return best bid and best ask, from REST's ticker."""
        product = instrument_id.symbol.value.rpartition("-")[2].lower()
        found = await self._ticker(product, instrument_id.symbol.value.partition("-")[0])
        return Decimal(found.bid1Price), Decimal(found.ask1Price)

    async def _ticker(self, product: str, symbol: str) -> Any:
        api = self.data._http_market  # noqa: SLF001 - the client's own endpoints
        kinds = {name: kind for kind, name in PRODUCTS.items()}
        (row,) = await api.fetch_tickers(product_type=kinds[product], symbol=symbol)
        return row

    def quantity(self, instrument_id: InstrumentId, value: Decimal) -> Quantity:
        """Return ``value`` as a quantity of the instrument, cut to its step."""
        instrument = self.cache.instrument(instrument_id)
        step = Decimal(str(instrument.size_increment))
        return instrument.make_qty((value / step).quantize(Decimal(1), ROUND_DOWN) * step)

    def price(self, instrument_id: InstrumentId, value: Decimal) -> Price:
        """Return ``value`` as a price of the instrument, cut to its tick."""
        instrument = self.cache.instrument(instrument_id)
        tick = Decimal(str(instrument.price_increment))
        return instrument.make_price((value / tick).quantize(Decimal(1), ROUND_DOWN) * tick)

    async def sized(self, instrument_id: InstrumentId, value_usdt: str) -> Quantity:
        """Return a quantity worth about ``value_usdt``."""
        return self.quantity(instrument_id, Decimal(value_usdt) / (await self.top(instrument_id))[1])

    async def away(self, instrument_id: InstrumentId, *, percent: str = "2") -> Price:
        """Return a bid price on the grid below the best bid; above the ask for a negative."""
        bid = (await self.top(instrument_id))[0]
        return self.price(instrument_id, bid * (1 - Decimal(percent) / 100))


def code_in(reason: str) -> int:
    """Return the venue's code in the text of a rejection, 0 if it has none."""
    digits = [word.strip("(),:=") for word in reason.replace("=", " ").split()]
    return next((int(word) for word in digits if word.isdigit() and len(word) >= 5), 0)


class NautilusRoom:
    """A desk for both products over REST, and one whose orders go over the trade WebSocket."""

    def __init__(self, venue: Ready, pacer: Pacer) -> None:
        self.venue = venue
        self.pacer = pacer
        self._desks: list[Desk] = []

    async def open(self) -> None:
        """Open the desks."""
        _quiet_logging()
        self.desk = await self.keep(Desk(
            self.venue,
            self.venue.accounts[0],
            self.pacer,
            products=tuple(PRODUCTS),
        ))

    async def keep(self, desk: Desk) -> Desk:
        """Open a desk and close it with the room."""
        self._desks.append(desk)
        await desk.open()
        return desk

    async def close(self) -> None:
        """Close every desk."""
        async with asyncio.TaskGroup() as group:
            for desk in self._desks:
                group.create_task(desk.close())
