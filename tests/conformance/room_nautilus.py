"""nautilus_trader's clients for Bybit as its users have them, pointed at the venue.

Its HTTP client, instrument provider, data client and execution client with its own message bus,
data engine, execution engine and portfolio. Only the addresses are the venue's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any

from nautilus_trader.adapters.bybit.common.enums import (
    BybitOrderSide,
    BybitOrderType,
    BybitProductType,
)
from nautilus_trader.adapters.bybit.common.symbol import BybitSymbol
from nautilus_trader.adapters.bybit.config import BybitDataClientConfig, BybitExecClientConfig
from nautilus_trader.adapters.bybit.data import BybitDataClient
from nautilus_trader.adapters.bybit.execution import BybitExecutionClient
from nautilus_trader.adapters.bybit.http.account import BybitAccountHttpAPI
from nautilus_trader.adapters.bybit.http.client import BybitHttpClient
from nautilus_trader.adapters.bybit.http.errors import BybitError
from nautilus_trader.adapters.bybit.http.market import BybitMarketHttpAPI
from nautilus_trader.adapters.bybit.providers import BybitInstrumentProvider
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus, init_logging
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LiveRiskEngineConfig,
    StrategyConfig,
)
from nautilus_trader.live.data_engine import LiveDataEngine
from nautilus_trader.live.execution_engine import LiveExecutionEngine
from nautilus_trader.live.risk_engine import LiveRiskEngine
from nautilus_trader.model.enums import OrderSide, OrderStatus, OrderType
from nautilus_trader.model.identifiers import InstrumentId, TraderId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.trading.strategy import Strategy
from protocol import Pacer
from registry import CaseError
from venue_process import Account, Ready

LINEAR = InstrumentId.from_str("BTCUSDT-LINEAR.BYBIT")
OTHER = InstrumentId.from_str("ETHUSDT-LINEAR.BYBIT")
SPOT = InstrumentId.from_str("BTCUSDT-SPOT.BYBIT")
PRODUCTS = {BybitProductType.LINEAR: "linear", BybitProductType.SPOT: "spot"}
WAIT_S = 10.0
TURN_S = 0.002
TRADER = TraderId("CONFORMANCE-001")
_LOGGING: list[Any] = []


def _quiet_logging() -> None:
    """Start the library's logger once per process, and silence it."""
    if not _LOGGING:
        _LOGGING.append(init_logging(bypass=True))


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
        has_data: bool = False,
        **options: Any,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.venue = venue
        self._loop = loop
        self._account = account
        self._pacer = pacer
        self._has_data = has_data
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
        self.risk_engine = LiveRiskEngine(
            loop,
            self.portfolio,
            self.bus,
            self.cache,
            self.clock,
            LiveRiskEngineConfig(bypass=True),
        )
        self.endpoints = BybitAccountHttpAPI(client=self.http, clock=self.clock)
        self._markets = BybitMarketHttpAPI(client=self.http, clock=self.clock)
        names = StrategyConfig(strategy_id="CASES", use_uuid_client_order_ids=True)
        self.strategy = Strategy(names)
        self.strategy.register(TRADER, self.portfolio, self.bus, self.cache, self.clock)
        self.orders = self.strategy.order_factory

    async def open(self) -> None:
        """Start the engines, load the instruments, log in."""
        self.data_engine.register_client(self.data)
        self.engine.register_client(self.client)
        self.data_engine.start()
        self.risk_engine.start()
        self.engine.start()
        if self._has_data:
            self.data.connect()
            await self.until(lambda: self.data.is_connected, "the data client connects")
        self.client.connect()
        await self.until(lambda: self.client.is_connected, "the execution client connects")
        for instrument in self.provider.list_all():
            self.cache.add_instrument(instrument)
        self.strategy.start()

    async def close(self) -> None:
        """Disconnect the clients and stop the engines."""
        self.strategy.stop()
        self.client.disconnect()
        await self.until(lambda: not self.client.is_connected, "the execution client leaves")
        if self._has_data:
            self.data.disconnect()
            await self.until(lambda: not self.data.is_connected, "the data client leaves")
        for engine in (self.engine, self.risk_engine, self.data_engine):
            engine.stop()

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

    async def submit(self, order: Order, *wanted: OrderStatus) -> Order:
        """Submit an order; return it once it has one of the ``wanted`` states."""
        await self.pace("create")
        self.strategy.submit_order(order)
        return await self.becomes(order, *wanted)

    async def submit_list(self, orders: list[Order]) -> None:
        """Submit several orders as one batch; return once each is open."""
        await self.pace("create-batch", len(orders))
        self.strategy.submit_order_list(self.orders.create_list(orders))
        for order in orders:
            await self.becomes(order, OrderStatus.ACCEPTED)

    async def modify(self, order: Order, **fields: Any) -> None:
        """Send a change of an order; return once the venue has confirmed it."""
        await self.pace("amend")
        self.strategy.modify_order(order, **fields)
        await self.becomes(order, OrderStatus.ACCEPTED)

    async def cancel(self, order: Order) -> None:
        """Cancel one order; return once it is gone."""
        await self.pace("cancel")
        self.strategy.cancel_order(order)
        await self.becomes(order, OrderStatus.CANCELED)

    async def cancel_batch(self, orders: list[Order]) -> None:
        """Cancel several orders as one batch; return once each is gone."""
        await self.pace("cancel-batch", len(orders))
        self.strategy.cancel_orders(orders)
        for order in orders:
            await self.becomes(order, OrderStatus.CANCELED)

    async def cancel_all(self, orders: list[Order]) -> None:
        """Cancel everything of one instrument; return once each of ``orders`` is gone."""
        await self.pace("cancel-all")
        self.strategy.cancel_all_orders(orders[0].instrument_id)
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
        """Send an order by the client's own endpoint; return the code of the refusal."""
        await self.pace("create")
        kind = BybitSymbol(order.instrument_id.symbol.value)
        is_limit = order.order_type is OrderType.LIMIT
        wanted: dict[str, Any] = {
            "product_type": kind.product_type,
            "symbol": kind.raw_symbol,
            "side": BybitOrderSide.BUY if order.side is OrderSide.BUY else BybitOrderSide.SELL,
            "order_type": BybitOrderType.LIMIT if is_limit else BybitOrderType.MARKET,
            "quantity": str(order.quantity),
            "quote_quantity": False,
            "price": str(order.price) if is_limit else None,
            "client_order_id": order.client_order_id.value,
            "reduce_only": order.is_reduce_only or None,
        }
        try:
            answer = await self.endpoints.place_order(**wanted)
        except BybitError as e:
            return int(e.code)
        raise CaseError(f"not refused: {answer}")

    def book(self, instrument_id: InstrumentId) -> Any:
        """Return the book that the data engine keeps, None before its first snapshot."""
        book = self.cache.order_book(instrument_id)
        return book if book is not None and book.bids() and book.asks() else None

    async def top(self, instrument_id: InstrumentId) -> tuple[Decimal, Decimal]:
        """Return best bid and best ask, from REST's ticker."""
        wanted = BybitSymbol(instrument_id.symbol.value)
        (row,) = await self._markets.fetch_tickers(
            product_type=wanted.product_type, symbol=wanted.raw_symbol
        )
        return Decimal(row.bid1Price), Decimal(row.ask1Price)

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
        return self.quantity(
            instrument_id, Decimal(value_usdt) / (await self.top(instrument_id))[1]
        )

    async def away(self, instrument_id: InstrumentId, *, percent: str = "2") -> Price:
        """Return a bid price on the grid below the best bid; above the ask for a negative."""
        bid = (await self.top(instrument_id))[0]
        return self.price(instrument_id, bid * (1 - Decimal(percent) / 100))


class NautilusRoom:
    """A desk that trades over REST and has market data, and one over the trade WebSocket."""

    def __init__(self, venue: Ready, pacer: Pacer) -> None:
        self.venue = venue
        self.pacer = pacer
        self._desks: list[Desk] = []

    async def open(self) -> None:
        """Open both desks."""
        _quiet_logging()
        self.rest = await self.new_desk(has_data=True)
        self.socket = await self.new_desk(over_socket=True)

    async def new_desk(self, **options: Any) -> Desk:
        """Open a desk for both products; it is closed with the room."""
        account = self.venue.accounts[0]
        desk = Desk(self.venue, account, self.pacer, products=tuple(PRODUCTS), **options)
        self._desks.append(desk)
        await desk.open()
        return desk

    async def close(self) -> None:
        """Close every desk."""
        async with asyncio.TaskGroup() as group:
            for desk in self._desks:
                group.create_task(desk.close())
