"""One spot pair with its perpetual and a hand-made book, for accounts that trade both."""

from decimal import Decimal

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.conditions import TriggerRequest
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.instruments import INSTRUMENTS, SPOT_INSTRUMENTS
from trading_system.simulation.records import AccountSpec, OrderRequest

D = Decimal
LINEAR, PAIR = "BTCUSDT", "BTCUSDT.SPOT"
START_MS = 1_700_000_000_000
INDEX = D(50_000)
TRADER = AccountSpec(account_id=1, uid=101, api_key="k", api_secret="s", balance=D(10_000))
OTHER = AccountSpec(account_id=2, uid=102, api_key="k2", api_secret="s2", balance=D(10_000))


def spot_exchange(*, seed=1):
    """Bid 49,999.99 and ask 50,000.01, 0.1 BTC each, with 0.2 BTC a dollar further out."""
    exchange = Exchange([INSTRUMENTS[LINEAR], SPOT_INSTRUMENTS[LINEAR]], [TRADER, OTHER], seed=seed)
    for key in (LINEAR, PAIR):
        exchange.set_reference(key, index_price=INDEX, mark_price=INDEX)
    for side, ticks, lots in (
        (Side.BUY, 4_999_999, 100_000),
        (Side.BUY, 4_999_900, 200_000),
        (Side.SELL, 5_000_001, 100_000),
        (Side.SELL, 5_000_100, 200_000),
    ):
        exchange.house_limit(PAIR, side, ticks, lots, now_ms=START_MS)
    return exchange


def limit(side, quantity, price, **terms):
    return OrderRequest(
        symbol=PAIR,
        side=side,
        order_type=OrderType.LIMIT,
        quantity=D(str(quantity)),
        price=D(str(price)),
        **terms,
    )


def market(side, quantity, **terms):
    return OrderRequest(
        symbol=PAIR,
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(str(quantity)),
        time_in_force=TimeInForce.IOC,
        **terms,
    )


def waits_for(price, kind):
    return TriggerRequest(price=D(str(price)), kind=kind)


class Books:
    """What an account has: USDT free and locked, BTC free and locked."""

    def __init__(self, exchange, account_id=1):
        view = exchange.wallet(account_id)
        (coin,) = view.coins
        self.usdt = view.wallet_balance
        self.usdt_locked = view.locked
        self.available = view.available
        self.btc = coin.balance
        self.btc_locked = coin.locked
