"""Two accounts, one hedged and one one-way, in a market that moves far enough to liquidate both.

After every operation: the wallet says what the fills, funding and insurance add up to, nobody's
side has turned negative, and all positions together with the house's add up to nothing.
"""

import random
from collections import Counter
from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.conditions import StopChange, StopKind
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderRequest, PositionMode, VenueReject

# Heavy work on code that its unit tests cover: measuring it here would only double the time.
pytestmark = pytest.mark.no_cover

D = Decimal
SYMBOLS = ("ABCUSDT", "XYZUSDT")
SIDES = (Side.BUY, Side.SELL)
ACCOUNTS = (1, 2)
HEDGED = 1
START = D(150)


def instrument(symbol):
    return Instrument(
        symbol=symbol,
        base_coin=symbol[:3],
        quote_coin="USDT",
        tick_size=D("0.01"),
        qty_step=D("0.1"),
        min_price=D("0.01"),
        max_price=D(1000),
        min_qty=D("0.1"),
        max_qty=D(5000),
        max_market_qty=D(1000),
        max_leverage=D(50),
    )


class Books:
    """Keeps every account's money and the house's positions from what is announced alone."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.cash = dict.fromkeys(ACCOUNTS, START)
        self.house = Counter()
        self.pending = []
        self.kinds = Counter()

    def on_order(self, order):
        assert order.leaves_lots >= 0
        self.kinds[order.cancel_type] += 1

    def on_executions(self, executions):
        for fill in executions:
            self.cash[fill.account_id] -= fill.fee
            self.kinds[fill.exec_type] += 1
            if fill.exec_type == "Funding":
                continue
            self.cash[fill.account_id] -= fill.side.sign * fill.value
            if fill.is_public:
                self.pending.append(fill)
            else:
                self.house[fill.symbol] -= fill.side.sign * fill.lots

    def on_position(self, account_id, symbol, position_idx):
        lots = self.exchange.position(account_id, symbol, position_idx).lots
        assert lots * {0: 0, 1: 1, 2: -1}[position_idx] >= 0

    def on_wallet(self, account_id):
        wallet = self.exchange.wallet(account_id)
        moved = wallet.realised - wallet.fees + wallet.funding + wallet.insurance
        assert wallet.wallet_balance == wallet.start_balance + moved

    def on_trades(self, symbol, trades):
        # Whatever of a trade no account took or made, the house did.
        side = trades[0].taker_side
        lots = sum(trade.lots for trade in trades)
        taken = sum(fill.lots for fill in self.pending if not fill.is_maker)
        made = sum(fill.lots for fill in self.pending if fill.is_maker)
        assert max(taken, made) <= lots
        assert all((fill.side is side) != fill.is_maker for fill in self.pending)
        self.house[symbol] += side.sign * ((lots - taken) - (lots - made))
        self.pending.clear()


class Market:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        specs = [
            AccountSpec(
                account_id=i, uid=i, api_key=f"k{i}", api_secret="s", balance=START, leverage=D(50)
            )
            for i in ACCOUNTS
        ]
        self.exchange = Exchange([instrument(name) for name in SYMBOLS], specs, seed=seed)
        self.exchange.switch_mode(HEDGED, PositionMode.HEDGE, coin="USDT")
        self.ticks = dict.fromkeys(SYMBOLS, 1000)
        self.now_ms = 0
        for symbol in SYMBOLS:
            self.move(symbol, 1000)
        self.exchange.listener = self.books = Books(self.exchange)

    def move(self, symbol, ticks):
        self.ticks[symbol] = ticks
        price = D(ticks) / 100
        self.exchange.set_reference(symbol, index_price=price, mark_price=price, now_ms=self.now_ms)

    def step(self):
        rng, exchange = self.rng, self.exchange
        self.now_ms += 500
        symbol, side = rng.choice(SYMBOLS), rng.choice(SIDES)
        ticks, kind = self.ticks[symbol], rng.random()
        if kind < 0.25:
            price = ticks - side.sign * rng.randint(-3, 8)
            exchange.house_limit(symbol, side, price, rng.randint(1, 60), now_ms=self.now_ms)
        elif kind < 0.3:
            exchange.house_market(symbol, side, rng.randint(1, 40), now_ms=self.now_ms)
        elif kind < 0.4:
            self.move(symbol, max(200, ticks + rng.choice((-90, -30, 30, 90))))
        elif kind < 0.42:
            exchange.settle_funding(symbol, D(rng.randint(-9, 9)) / 1000, now_ms=self.now_ms)
        else:
            self.act(symbol, side, kind)

    def act(self, symbol, side, kind):
        owner = self.rng.choice(ACCOUNTS)
        try:
            if kind < 0.47:
                self.guard(owner, symbol)
            elif kind < 0.5:
                self.exchange.cancel_all(owner, symbol=symbol, now_ms=self.now_ms)
            else:
                self.exchange.place(owner, self.request(owner, symbol, side), now_ms=self.now_ms)
        except VenueReject as e:
            self.books.kinds[e.code] += 1

    def guard(self, owner, symbol):
        index = self.rng.choice((1, 2)) if owner == HEDGED else 0
        kind = self.rng.choice((StopKind.STOP_LOSS, StopKind.TAKE_PROFIT))
        price = D(self.ticks[symbol] + self.rng.randint(-20, 20)) / 100
        change = [StopChange(kind=kind, price=price)]
        self.exchange.set_stops(owner, symbol, change, now_ms=self.now_ms, position_idx=index)

    def request(self, owner, symbol, side):
        rng = self.rng
        is_market = rng.random() < 0.4
        price = self.ticks[symbol] - side.sign * rng.randint(-5, 8)
        return OrderRequest(
            symbol=symbol,
            side=side,
            order_type=OrderType.MARKET if is_market else OrderType.LIMIT,
            quantity=D(rng.randint(1, 900)) / 10,
            price=None if is_market else D(price) / 100,
            time_in_force=rng.choice(list(TimeInForce)),
            position_idx=rng.choice((1, 2)) if owner == HEDGED else 0,
            reduce_only=rng.random() < 0.15,
        )

    def check(self):
        exchange, books = self.exchange, self.books
        assert not books.pending
        for symbol in SYMBOLS:
            held = [view.lots for owner in ACCOUNTS for view in exchange.positions(owner, symbol)]
            assert sum(held) + books.house[symbol] == 0
        for owner in ACCOUNTS:
            views = [view for symbol in SYMBOLS for view in exchange.positions(owner, symbol)]
            value = sum(view.position_value * (1 if view.lots > 0 else -1) for view in views)
            wallet = exchange.wallet(owner)
            assert wallet.wallet_balance == books.cash[owner] + value + wallet.insurance
            assert not wallet.maintenance_margin or wallet.equity > wallet.maintenance_margin
            for order in exchange.open_orders(owner):
                view = exchange.position(owner, order.symbol, order.position_idx)
                reducible = -view.lots * order.side.sign
                assert not order.reduce_only or order.leaves_lots <= reducible


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_money_and_positions_add_up_through_hedging_funding_and_liquidation(seed):
    market = Market(seed)
    for _ in range(700):
        market.step()
        market.check()
    kinds = market.books.kinds
    assert kinds["BustTrade"] > 0
    assert kinds["CancelAllBeforeLiq"] > 0
    assert min(kinds["Trade"], kinds["Funding"]) > 10
