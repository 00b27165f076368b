from trading_system.domain.orders import Side
from trading_system.simulation.replay.engine_order import HOLD_NS, EngineOrder
from trading_system.simulation.replay.messages import (
    DepthDiff,
    MarkPrice,
    RecordedTrade,
    Snapshot,
)


def snapshot(stamp_ns, engine_ms):
    return Snapshot(stamp_ns, 1, [], [], engine_ms)


def update(stamp_ns, engine_ms):
    return DepthDiff(stamp_ns, 2, 2, 1, [], [], engine_ms)


def trade(stamp_ns, engine_ms):
    return RecordedTrade(stamp_ns, Side.BUY, 100, 1, engine_ms)


def held(*messages):
    order = EngineOrder()
    for message in messages:
        order.add(message)
    return order


def test_a_trade_that_came_late_is_played_before_the_update_that_contains_it():
    order = held(update(1, engine_ms=5), trade(2, engine_ms=5))
    assert [type(message) for message in order.rest()] == [RecordedTrade, DepthDiff]


def test_messages_are_held_for_a_moment():
    order = held(update(1_000, engine_ms=5))
    assert list(order.due(1_000 + HOLD_NS - 1)) == []
    assert len(list(order.due(1_000 + HOLD_NS))) == 1
    assert list(order.rest()) == []


def test_receive_times_never_fall():
    stamps = [message.stamp_ns for message in held(update(9, 2), trade(20, 1)).rest()]
    assert stamps == [20, 20]


def test_trades_that_a_snapshot_contains_are_left_out():
    order = held(snapshot(1, engine_ms=5), trade(2, engine_ms=4), trade(3, engine_ms=6))
    assert [message.engine_ms for message in order.rest()] == [5, 6]


def test_references_never_come_before_the_snapshot():
    order = held(snapshot(1, engine_ms=5), MarkPrice(2, 1.0, 1.0, ""))
    assert [type(message) for message in order.rest()] == [Snapshot, MarkPrice]
