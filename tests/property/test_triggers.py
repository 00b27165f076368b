"""Random conditional orders, take profits, stop losses and trailing stops, in both modes.

After each of many random operations: nothing waits that could no longer act, nothing waits twice,
what guards a position never exceeds it, and what closes never opens.
"""

import random

import pytest
from venue_rig import ABC, BUY, SELL, D, X, order

from trading_system.domain.orders import TimeInForce
from trading_system.simulation.conditions import (
    Amendment,
    GuardRequest,
    StopChange,
    StopKind,
    StopScope,
    TriggerBy,
)
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderState, PositionMode, VenueReject

# Heavy work on code that its unit tests cover: measuring it here would only double the time.
pytestmark = pytest.mark.no_cover

ACCOUNTS = (1, 2)
STOPS = [kind for kind in StopKind if kind.is_whole or kind.is_partial]


class Auditor:
    """Checks every event when it happens."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.states = {}
        self.fired = 0

    def on_order(self, record):
        before = self.states.get(record.order_id)
        assert before is None or not before.is_final
        if before is OrderState.UNTRIGGERED and record.state is not before:
            assert record.state in {OrderState.TRIGGERED, OrderState.DEACTIVATED}
        self.fired += record.state is OrderState.TRIGGERED
        self.states[record.order_id] = record.state

    def on_executions(self, executions):
        for each in executions:
            record = self.exchange.find_order(each.account_id, order_id=each.order_id)
            if record.reduce_only:
                assert each.closed_lots == each.lots

    def on_position(self, account_id, symbol, position_idx):
        pass

    def on_wallet(self, account_id):
        pass

    def on_trades(self, symbol, trades):
        pass


class Flow:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.now_ms = 0
        self.middle = 1000
        self.codes = set()
        specs = [
            AccountSpec(account_id=i, uid=i, api_key=f"k{i}", api_secret="s", balance=D(10**7))
            for i in ACCOUNTS
        ]
        self.exchange = Exchange([ABC], specs, seed=seed)
        self.exchange.set_reference(X, index_price=D(10), mark_price=D(10))
        self.exchange.switch_mode(2, PositionMode.HEDGE, symbol=X)
        self.exchange.listener = self.auditor = Auditor(self.exchange)
        self.house = []

    def run(self, count):
        actions = [
            (self.place, 6),
            (self.set_stops, 5),
            (self.amend, 2),
            (self.cancel, 1),
            (self.move, 6),
        ]
        names, weights = zip(*actions, strict=True)
        for action in self.rng.choices(names, weights, k=count):
            self.now_ms += 1
            try:
                action()
            except VenueReject as e:
                self.codes.add(e.code)
            self.check()

    def price(self, spread):
        return D(self.middle + self.rng.randint(-spread, spread)) / 100

    def index(self, account):
        return 0 if account == 1 else self.rng.choice((1, 2))

    def guard(self):
        if self.rng.random() < 0.6:
            return None
        limit = self.price(20) if self.rng.random() < 0.2 else None
        return GuardRequest(price=self.price(20), limit_price=limit, by=self.by())

    def by(self):
        return self.rng.choice((TriggerBy.LAST, TriggerBy.LAST, TriggerBy.MARK))

    def place(self):
        rng, account = self.rng, self.rng.choice(ACCOUNTS)
        is_conditional = rng.random() < 0.4
        request = order(
            rng.choice((BUY, SELL)),
            D(rng.randint(6, 40)) / 10,
            price=self.price(10) if rng.random() < 0.6 else None,
            trigger=self.price(20) if is_conditional else None,
            by=self.by(),
            time_in_force=rng.choice(list(TimeInForce)),
            position_idx=self.index(account),
            reduce_only=rng.random() < 0.3,
            close_on_trigger=rng.random() < 0.2,
            take_profit=None if is_conditional else self.guard(),
            stop_loss=None if is_conditional else self.guard(),
            scope=rng.choice(list(StopScope)),
        )
        self.exchange.place(account, request, now_ms=self.now_ms)

    def set_stops(self):
        account, changes = self.rng.choice(ACCOUNTS), []
        for kind in self.rng.sample(STOPS, k=2):
            is_trail = kind is StopKind.TRAILING_STOP
            price = D(self.rng.randint(1, 15)) / 100 if is_trail else self.price(20)
            changes.append(
                StopChange(
                    kind=kind,
                    price=D(0) if self.rng.random() < 0.1 else price,
                    quantity=D(self.rng.randint(1, 20)) / 10 if kind.is_partial else None,
                    active_price=self.price(20) if is_trail and self.rng.random() < 0.4 else None,
                )
            )
        self.exchange.set_stops(
            account, X, changes, position_idx=self.index(account), now_ms=self.now_ms
        )

    def any_order(self):
        account = self.rng.choice(ACCOUNTS)
        orders = [*self.exchange.open_orders(account), *self.exchange.stop_orders(account)]
        return self.rng.choice(orders) if orders else None

    def amend(self):
        record = self.any_order()
        if record is not None:
            change = Amendment(
                trigger_price=self.price(20) if record.trigger else None,
                price=self.price(10) if self.rng.random() < 0.5 else None,
                quantity=D(self.rng.randint(1, 40)) / 10 if self.rng.random() < 0.5 else None,
            )
            self.exchange.amend(
                record.account_id, X, order_id=record.order_id, change=change, now_ms=self.now_ms
            )

    def cancel(self):
        record = self.any_order()
        if record is not None and self.rng.random() < 0.9:
            self.exchange.cancel(record.account_id, X, order_id=record.order_id, now_ms=self.now_ms)
        elif record is not None:
            self.exchange.cancel_stops(record.account_id, now_ms=self.now_ms)

    def move(self):
        """Let the house trade to another price and make a new book there."""
        rng = self.rng
        for house_id in self.house:
            self.exchange.house_cancel(X, house_id)
        self.middle = max(900, min(1100, self.middle + rng.randint(-15, 15)))
        self.exchange.recorded_trade(X, BUY, self.middle, 1, now_ms=self.now_ms, at_level=False)
        mark = D(self.middle) / 100
        self.exchange.set_reference(X, index_price=mark, mark_price=mark, now_ms=self.now_ms)
        levels = [(side, side.sign * step) for side in (BUY, SELL) for step in (-1, -2, -3)]
        found = [
            self.exchange.house_limit(
                X, side, self.middle + offset, rng.randint(1, 60), now_ms=self.now_ms
            )
            for side, offset in levels
        ]
        self.house = [house_id for house_id in found if house_id is not None]

    def check(self):
        for account in ACCOUNTS:
            waiting = self.exchange.stop_orders(account)
            whole = []
            for record in waiting:
                assert record.state is OrderState.UNTRIGGERED
                assert record.cum_lots == 0
                kind = record.trigger.kind
                if kind is StopKind.STOP:
                    continue
                held = self.exchange.position(account, X, record.position_idx).lots
                assert held * record.side.sign < 0
                assert 0 < record.lots == record.leaves_lots <= abs(held)
                if kind.is_whole:
                    assert record.lots == abs(held)
                    whole.append((kind, record.position_idx))
            assert len(whole) == len(set(whole))
            announced = {
                order_id
                for order_id, state in self.auditor.states.items()
                if state is OrderState.UNTRIGGERED
                and self.exchange.find_order(account, order_id=order_id) is not None
            }
            assert announced == {record.order_id for record in waiting}
            if account == 2:
                assert self.exchange.position(2, X, 1).lots >= 0
                assert self.exchange.position(2, X, 2).lots <= 0


@pytest.mark.parametrize("seed", [1, 2])
def test_no_trigger_is_orphaned_and_none_trades_more_than_its_position(seed):
    flow = Flow(seed)
    flow.run(1_500)
    assert flow.auditor.fired > 50
    assert flow.codes >= {10001, 34040, 110017}
