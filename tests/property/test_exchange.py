"""The exchange against an obvious slow model, and its money and event invariants.

Seeded random order flow of three real accounts and the house: at least 100,000 operations, each
followed by a comparison of the whole book, all positions and all executions.
"""

import collections
import itertools
import random
from decimal import Decimal

import pytest

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import (
    HOUSE,
    AccountSpec,
    OrderRequest,
    OrderState,
    SelfMatch,
    VenueReject,
)

# Heavy work on code that its unit tests cover: measuring it here would only double the time.
pytestmark = pytest.mark.no_cover

D = Decimal
SYMBOL = "ABCUSDT"
ABC = Instrument(
    symbol=SYMBOL,
    base_coin="ABC",
    quote_coin="USDT",
    tick_size=D("0.01"),
    qty_step=D("0.1"),
    min_price=D("0.01"),
    max_price=D("199999.98"),
    min_qty=D("0.1"),
    max_qty=D("5000.0"),
    max_market_qty=D("1000.0"),
    min_notional=D(0),
    max_leverage=D(50),
)
ACCOUNTS = (1, 2, 3)
TICK, STEP = ABC.tick_size, ABC.qty_step
MIDDLE = 1000
RICH = D(10_000_000)
RESTING = {TimeInForce.GTC, TimeInForce.POST_ONLY}


class SlowOrder:
    def __init__(self, key, owner, side, price, lots, *, reduce_only=False):
        self.key = key
        self.owner = owner
        self.side = side
        self.price = price
        self.lots = lots
        self.reduce_only = reduce_only


class SlowModel:
    """Price-time matching in the most obvious way: one list in order of arrival, sorted anew."""

    def __init__(self):
        self.orders = []
        self.positions = dict.fromkeys((HOUSE, *ACCOUNTS), 0)
        self.fills = []

    def copy(self):
        twin = SlowModel()
        twin.positions = dict(self.positions)
        for o in self.orders:
            twin.orders.append(
                SlowOrder(o.key, o.owner, o.side, o.price, o.lots, reduce_only=o.reduce_only)
            )
        return twin

    def queue(self, side):
        return sorted(
            (o for o in self.orders if o.side is side), key=lambda o: -o.price * side.sign
        )

    def find(self, key):
        return next((o for o in self.orders if o.key == key), None)

    def reducible(self, owner, side):
        return max(0, -self.positions[owner] * side.sign)

    def crossing(self, side, limit):
        queue = self.queue(side.opposite)
        return queue[0] if queue and (limit - queue[0].price) * side.sign >= 0 else None

    def trade(self, maker, lots, taker):
        maker.lots -= lots
        self.fills.append((maker.key, maker.price, lots))
        self.positions[maker.owner] += maker.side.sign * lots
        self.positions[taker] -= maker.side.sign * lots
        self.orders = [o for o in self.orders if o.lots]
        for owner in (maker.owner, taker):
            self.enforce(owner)

    def enforce(self, owner):
        for o in self.orders:
            if o.owner == owner and o.reduce_only:
                o.lots = min(o.lots, self.reducible(owner, o.side))
        self.orders = [o for o in self.orders if o.lots]

    def match(self, order, limit, self_match=SelfMatch.NONE):
        """Trade ``order``; return whether self-match prevention stopped it."""
        while order.lots and (maker := self.crossing(order.side, limit)):
            if order.owner != HOUSE and maker.owner == order.owner:
                if self_match in {SelfMatch.CANCEL_MAKER, SelfMatch.CANCEL_BOTH}:
                    self.orders.remove(maker)
                if self_match in {SelfMatch.CANCEL_TAKER, SelfMatch.CANCEL_BOTH}:
                    return True
                if self_match is SelfMatch.CANCEL_MAKER:
                    continue
            lots = min(order.lots, maker.lots)
            order.lots -= lots
            self.trade(maker, lots, order.owner)
        return False

    def enter(self, order, limit, tif, self_match):
        """Do what the venue does with an accepted order."""
        if tif is TimeInForce.POST_ONLY and self.crossing(order.side, limit):
            return
        if tif is TimeInForce.FOK:
            trial = self.copy()
            probe = SlowOrder("?", order.owner, order.side, limit, order.lots)
            trial.match(probe, limit, self_match)
            if probe.lots:
                return
        blocked = self.match(order, limit, self_match)
        if order.lots and not blocked and tif in RESTING:
            self.orders.append(order)

    def recorded(self, side, price, lots, *, at_level):
        for maker in self.queue(side.opposite):
            if (
                lots
                and maker.owner != HOUSE
                and maker.lots
                and (price - maker.price) * side.sign > 0
            ):
                traded = min(lots, maker.lots)
                lots -= traded
                self.trade(maker, traded, HOUSE)
        while at_level and lots:
            makers = [o for o in self.queue(side.opposite) if o.price == price]
            if not makers:
                break
            traded = min(lots, makers[0].lots)
            lots -= traded
            self.trade(makers[0], traded, HOUSE)


LEGAL = {
    None: set(OrderState),
    OrderState.NEW: set(OrderState),
    OrderState.PARTIALLY_FILLED: set(OrderState) - {OrderState.NEW},
    OrderState.FILLED: set(),
    OrderState.CANCELLED: set(),
}


class Auditor:
    """Checks every event when it happens."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.states = {}
        self.bought = dict.fromkeys(ACCOUNTS, D(0))
        self.paid = dict.fromkeys(ACCOUNTS, D(0))
        self.fills = []
        self.seen = set()
        self.unannounced = set()
        self.pending = {}

    def on_executions(self, executions):
        assert len({e.account_id for e in executions}) == 1
        for e in executions:
            assert e.exec_id not in self.seen
            self.seen.add(e.exec_id)
            self.paid[e.account_id] += e.fee
            if e.exec_type == "Trade":
                self._trade(e)

    def _trade(self, e):
        order = self.exchange.find_order(e.account_id, order_id=e.order_id)
        better = (e.order_price_ticks * TICK - e.price) * e.side.sign
        assert better >= 0
        assert not (e.is_maker and better)
        assert e.fee == e.price * e.lots * STEP * e.fee_rate
        if order.reduce_only:
            assert e.closed_lots == e.lots
        self.bought[e.account_id] += e.side.sign * e.value
        self.unannounced.add(e.order_id)
        self.fills.append(e)

    def on_order(self, order):
        assert order.state in LEGAL[self.states.get(order.order_id)]
        self.states[order.order_id] = order.state
        self.unannounced.discard(order.order_id)
        assert order.leaves_lots >= 0
        if order.state is OrderState.CANCELLED:
            assert order.leaves_lots == 0
        else:
            assert order.cum_lots + order.leaves_lots == order.lots
        assert (order.state is OrderState.FILLED) == (order.cum_lots == order.lots)
        assert (order.state is OrderState.NEW) <= (order.cum_lots == 0)

    def on_position(self, account_id, symbol, position_idx):
        self.pending[account_id] = symbol

    def on_wallet(self, account_id):
        del self.pending[account_id]
        wallet = self.exchange.wallet(account_id)
        position = self.exchange.position(account_id, SYMBOL)
        cash = wallet.start_balance + wallet.realised - wallet.fees + wallet.funding
        assert wallet.wallet_balance == cash
        held = position.position_value * (1 if position.lots > 0 else -1)
        spent = self.bought[account_id] + self.paid[account_id]
        assert wallet.wallet_balance == wallet.start_balance - spent + held

    def on_trades(self, symbol, trades):
        assert all(trade.lots > 0 for trade in trades)

    def finish_step(self):
        assert not self.pending
        assert not self.unannounced
        fills, self.fills = self.fills, []
        return fills


class Flow:
    """Sends the same random operation to the exchange and to the slow model."""

    def __init__(self, seed, *, balance=RICH):
        self.rng = random.Random(seed)
        specs = [
            AccountSpec(
                account_id=i, uid=i, api_key=f"k{i}", api_secret="s", balance=balance, vip_level=i
            )
            for i in ACCOUNTS
        ]
        self.exchange = Exchange([ABC], specs, seed=seed)
        self.exchange.set_reference(SYMBOL, index_price=D(10), mark_price=D(10))
        self.exchange.listener = self.auditor = Auditor(self.exchange)
        self.model = SlowModel()
        self.now = 0
        self.refusals = collections.Counter()
        self.operations = [
            (self.place, 34),
            (self.cancel, 12),
            (self.amend, 12),
            (self.house_limit, 22),
            (self.house_market, 6),
            (self.house_cancel, 6),
            (self.house_resize, 4),
            (self.recorded, 4),
            (self.cancel_all, 0.3),
            (self.fund, 0.3),
        ]

    def run(self, count, *, compare):
        actions, weights = zip(*self.operations, strict=True)
        for action in self.rng.choices(actions, weights, k=count):
            self.now += 1
            self.model.fills.clear()
            action()
            compare()
            if len(self.model.orders) > 40:
                self.house_cancel()

    def price(self, side):
        return MIDDLE - side.sign * self.rng.randint(-4, 6)

    def side(self):
        return self.rng.choice((Side.BUY, Side.SELL))

    def guarded(self, call):
        """Run an account's request; on a refusal return None and check that nothing changed."""
        before = self.book(), self.exchange.book(SYMBOL).sequence
        try:
            return call()
        except VenueReject as e:
            self.refusals[e.code] += 1
            assert (self.book(), self.exchange.book(SYMBOL).sequence) == before
            return None

    def place(self):
        rng, side, owner = self.rng, self.side(), self.rng.choice(ACCOUNTS)
        order_type = OrderType.MARKET if rng.random() < 0.1 else OrderType.LIMIT
        tif = rng.choices(list(TimeInForce), (6, 1, 1, 2))[0]
        reduce_only = rng.random() < 0.25
        self_match = rng.choices(list(SelfMatch), (5, 1, 1, 1))[0]
        request = OrderRequest(
            symbol=SYMBOL,
            side=side,
            order_type=order_type,
            quantity=rng.randint(1, 12) * STEP,
            price=self.price(side) * TICK,
            time_in_force=tif,
            reduce_only=reduce_only,
            self_match=self_match,
        )
        reducible = self.model.reducible(owner, side)
        record = self.guarded(lambda: self.exchange.place(owner, request, now_ms=self.now))
        if record is None:
            return
        lots = int(request.quantity / STEP)
        lots = min(lots, reducible) if reduce_only else lots
        assert record.lots >= lots or reduce_only
        limit, key = record.price_ticks, record.order_id
        order = SlowOrder(key, owner, side, limit, lots, reduce_only=reduce_only)
        self.model.enter(order, limit, record.time_in_force, self_match)

    def own_order(self):
        owner = self.rng.choice(ACCOUNTS)
        orders = self.exchange.open_orders(owner)
        return self.rng.choice(orders) if orders else None

    def cancel(self):
        record = self.own_order()
        if record is not None:
            owner = record.account_id
            self.exchange.cancel(owner, SYMBOL, order_id=record.order_id, now_ms=self.now)
            self.model.orders.remove(self.model.find(record.order_id))

    def amend(self):
        record = self.own_order()
        if record is None:
            return
        rng, owner = self.rng, record.account_id
        price = self.price(record.side) if rng.random() < 0.5 else record.price_ticks
        lots = max(1, record.lots + rng.randint(-4, 4))
        old = record.price_ticks, record.lots, record.cum_lots
        reducible = self.model.reducible(owner, record.side)
        amended = self.guarded(
            lambda: self.exchange.amend(
                owner,
                SYMBOL,
                order_id=record.order_id,
                price=price * TICK,
                quantity=lots * STEP,
                now_ms=self.now,
            )
        )
        if amended is None:
            assert (record.price_ticks, record.lots, record.cum_lots) == old
            return
        order = self.model.find(record.order_id)
        if record.reduce_only:
            lots = min(lots, old[2] + reducible)
        if price == old[0] and lots < old[1]:
            order.lots = lots - old[2]
            return
        self.model.orders.remove(order)
        order.price, order.lots = price, lots - old[2]
        self.model.enter(order, price, record.time_in_force, record.self_match)

    def house_limit(self):
        side, lots = self.side(), self.rng.randint(1, 20)
        price, post_only = self.price(side), self.rng.random() < 0.4
        crosses = self.model.crossing(side, price)
        key = self.exchange.house_limit(
            SYMBOL, side, price, lots, now_ms=self.now, post_only=post_only
        )
        if post_only and crosses:
            assert key is None
            return
        order = SlowOrder(key, HOUSE, side, price, lots)
        self.model.enter(order, price, TimeInForce.GTC, SelfMatch.NONE)
        assert (key is None) == (order.lots == 0)

    def house_market(self):
        side, lots = self.side(), self.rng.randint(1, 25)
        limit = self.rng.choice((None, self.price(side)))
        filled = self.exchange.house_market(SYMBOL, side, lots, now_ms=self.now, limit_ticks=limit)
        worst = 10**9 if side is Side.BUY else 1
        order = SlowOrder("?", HOUSE, side, 0, lots)
        self.model.match(order, worst if limit is None else limit)
        assert filled == lots - order.lots

    def house_order(self):
        orders = [o for o in self.model.orders if o.owner == HOUSE]
        return self.rng.choice(orders) if orders else None

    def house_cancel(self):
        order = self.house_order()
        if order is not None:
            assert self.exchange.house_lots(SYMBOL, order.key) == order.lots
            assert self.exchange.house_cancel(SYMBOL, order.key)
            assert not self.exchange.house_cancel(SYMBOL, order.key)
            self.model.orders.remove(order)

    def house_resize(self):
        order = self.house_order()
        if order is not None:
            order.lots = self.rng.randint(0, 20)
            assert self.exchange.house_resize(SYMBOL, order.key, order.lots)
            self.model.orders = [o for o in self.model.orders if o.lots]

    def recorded(self):
        side, lots = self.side(), self.rng.randint(1, 15)
        price, at_level = self.price(side), self.rng.random() < 0.7
        self.exchange.recorded_trade(SYMBOL, side, price, lots, now_ms=self.now, at_level=at_level)
        self.model.recorded(side, price, lots, at_level=at_level)

    def cancel_all(self):
        owner = self.rng.choice(ACCOUNTS)
        self.exchange.cancel_all(owner, symbol=self.rng.choice((None, SYMBOL)), now_ms=self.now)
        self.model.orders = [o for o in self.model.orders if o.owner != owner]

    def fund(self):
        rate = D(self.rng.randint(-300, 300)) / 1_000_000
        mark = D(self.rng.randint(990, 1010)) / 100
        self.exchange.set_reference(SYMBOL, index_price=mark, mark_price=mark)
        self.exchange.settle_funding(SYMBOL, rate, now_ms=self.now)

    def book(self):
        book = self.exchange.book(SYMBOL)
        return [
            [(o.price_ticks, o.owner, o.lots) for o in book.priority(side)]
            for side in (Side.BUY, Side.SELL)
        ]

    def check_model(self):
        model = self.model
        assert self.book() == [
            [(o.price, o.owner, o.lots) for o in model.queue(side)]
            for side in (Side.BUY, Side.SELL)
        ]
        # Each model fill names its maker: the makers' executions must be the same, in that order.
        fills = self.auditor.finish_step()
        if not fills:
            return
        for owner in ACCOUNTS:
            made = [
                (e.order_id, int(e.price / TICK), e.lots)
                for e in fills
                if e.is_maker and e.account_id == owner
            ]
            assert made == [f for f in model.fills if self.owner_of(f[0]) == owner]

    def owner_of(self, key):
        for owner in ACCOUNTS:
            if isinstance(key, str) and self.exchange.find_order(owner, order_id=key):
                return owner
        return HOUSE

    def check_histories(self):
        for owner in ACCOUNTS:
            ledger, wallet = self.exchange.ledger(owner), self.exchange.wallet(owner)
            assert len(ledger) == len(self.exchange.executions(owner)) > 1_000
            assert ledger[-1].balance_after == wallet.wallet_balance
            for earlier, later in itertools.pairwise(ledger):
                assert later.balance_after == earlier.balance_after + later.change

    def check_invariants(self):
        book = self.exchange.book(SYMBOL)
        bid, ask = book.best_bid(), book.best_ask()
        assert bid is None or ask is None or bid < ask
        for side in (Side.BUY, Side.SELL):
            levels = book.top(side, 1000)
            assert sum(lots for _, lots in levels) == sum(o.lots for o in book.priority(side))
            assert all(lots > 0 for _, lots in levels)
        positions = {o: self.exchange.position(o, SYMBOL).lots for o in ACCOUNTS}
        positions[HOUSE] = -sum(positions.values())
        assert positions == self.model.positions
        for owner in ACCOUNTS:
            for record in self.exchange.open_orders(owner):
                assert record.leaves_lots > 0
                if record.reduce_only:
                    assert record.leaves_lots <= -positions[owner] * record.side.sign


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_exchange_equals_the_slow_model_in_25_000_operations(seed):
    flow = Flow(seed)

    def compare():
        flow.check_model()
        flow.check_invariants()

    flow.run(25_000, compare=compare)
    flow.check_histories()
    assert flow.refusals.total() < 5_000
    assert flow.refusals[110007] == 0


@pytest.mark.parametrize("seed", [11, 12])
def test_poor_accounts_are_refused_and_the_model_still_agrees(seed):
    flow = Flow(seed, balance=D(3))
    flow.operations = [
        (action, weight) for action, weight in flow.operations if action != flow.fund
    ]

    def compare():
        flow.check_model()
        flow.check_invariants()
        for owner in ACCOUNTS:
            wallet = flow.exchange.wallet(owner)
            assert wallet.equity == wallet.wallet_balance + wallet.unrealised
            assert wallet.position_margin >= wallet.maintenance_margin

    flow.run(5_000, compare=compare)
    assert flow.refusals[110007] > 100


def test_same_seed_gives_the_same_journal():
    def journal():
        flow = Flow(7)
        flow.run(2_000, compare=lambda: None)
        exchange = flow.exchange
        return [
            (exchange.executions(owner), exchange.ledger(owner), exchange.wallet(owner))
            for owner in ACCOUNTS
        ]

    assert journal() == journal()
