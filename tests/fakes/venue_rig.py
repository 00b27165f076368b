"""An exchange with a hand-made book around 10.00 and one account, and short ways to use it."""

from decimal import Decimal

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.conditions import StopChange, StopKind, TriggerBy, TriggerRequest
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderRequest

D = Decimal
X = "ABCUSDT"
BUY, SELL = Side.BUY, Side.SELL
ABC = Instrument(
    symbol=X,
    base_coin="ABC",
    quote_coin="USDT",
    tick_size=D("0.01"),
    qty_step=D("0.1"),
    min_price=D("0.01"),
    max_price=D(1000),
    min_qty=D("0.1"),
    max_qty=D(5000),
    max_market_qty=D(1000),
    min_notional=D(5),
    max_leverage=D(50),
)


class Heard:
    """Remembers what the account was told of its orders."""

    def __init__(self):
        self.orders = []
        self.records = []

    def on_order(self, order):
        self.orders.append((order.state.value, order.lots))
        self.records.append(order)

    def on_executions(self, executions):
        pass

    def on_position(self, account_id, symbol, position_idx):
        pass

    def on_wallet(self, account_id):
        pass

    def on_trades(self, symbol, trades):
        pass


def fresh_exchange(*, balance=10_000, depth=1000):
    """Bids 9.95, 9.90, 9.80; asks 10.05, 10.10, 10.20; no trade yet, mark and index 10."""
    account = AccountSpec(account_id=1, uid=1, api_key="k", api_secret="s", balance=D(balance))
    exchange = Exchange([ABC], [account], seed=3)
    exchange.set_reference(X, index_price=D(10), mark_price=D(10))
    for ticks in (995, 990, 980):
        exchange.house_limit(X, BUY, ticks, depth, now_ms=1)
    for ticks in (1005, 1010, 1020):
        exchange.house_limit(X, SELL, ticks, depth, now_ms=1)
    exchange.listener = Heard()
    return exchange


def order(side, quantity, *, price=None, trigger=None, by=TriggerBy.LAST, on_rise=None, **changes):
    """A request: limit with ``price``, else market; conditional with ``trigger``."""
    order_type = OrderType.MARKET if price is None else OrderType.LIMIT
    condition = None
    if trigger is not None:
        condition = TriggerRequest(price=D(trigger), by=by, on_rise=on_rise)
    return OrderRequest(
        symbol=X,
        side=side,
        order_type=order_type,
        quantity=D(quantity),
        price=None if price is None else D(price),
        trigger=condition,
        **changes,
    )


def stop(price, *, kind=StopKind.STOP_LOSS, by=TriggerBy.LAST, **changes):
    """A change of one stop; sizes and further prices by their field names, as text."""
    return StopChange(
        kind=kind, price=D(price), by=by, **{name: D(value) for name, value in changes.items()}
    )


def print_at(exchange, ticks, *, now_ms=60):
    """Trade once at a price, without touching the book."""
    exchange.recorded_trade(X, BUY, ticks, 1, now_ms=now_ms, at_level=False)
