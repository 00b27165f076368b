from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import BTC

from trading_system.config.sections import StrategySettings
from trading_system.domain.orders import Side
from trading_system.domain.parents import ExecutionStyle
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.strategies.signals import (
    Costs,
    ExitReason,
    Target,
    Trip,
    begin_trip,
    entry_quantity,
    entry_target,
    exit_reason,
    exit_target,
    judged_move_bps,
    parent_towards,
    protective_price,
    round_trip_cost_bps,
    size_factor,
)

SECOND = 1_000_000_000
FEATURES = MarketFeatures(
    symbol="BTCUSDT",
    mid=50_000.0,
    spread_bps=0.5,
    imbalance=0.5,
    micro_deviation_bps=0.1,
    order_flow=0.2,
    trade_flow=0.1,
    ts_ns=100 * SECOND,
)
CONSENSUS = Consensus(
    symbol="BTCUSDT",
    p_up=0.7,
    expected_move_bps=20.0,
    uncertainty_bps=4.0,
    agreement=1.0,
    horizon_s=10.0,
    has_quorum=True,
    votes=(),
    ts_ns=0,
)
RULES = StrategySettings(confidence=1.0)
COSTS = Costs(taker=0.00055, maker=0.0002)
TRIP = begin_trip(Side.BUY, mid=50_000.0, now_ns=95 * SECOND)


def entry(consensus: Consensus, rules: StrategySettings = RULES) -> Target | None:
    return entry_target(FEATURES, consensus, rules=rules, costs=COSTS, instrument=BTC)


def with_rules(**changes: object) -> StrategySettings:
    return RULES.model_copy(update=changes)


def test_the_round_trip_costs_two_takers_and_the_spread() -> None:
    assert round_trip_cost_bps(FEATURES, COSTS) == pytest.approx(11.5)


@pytest.mark.parametrize(("move", "quantity"), [(20.0, "0.020"), (-20.0, "-0.020")])
def test_a_paying_move_is_entered_on_its_side(move: float, quantity: str) -> None:
    target = entry(replace(CONSENSUS, expected_move_bps=move))
    assert target is not None
    assert target.quantity == Decimal(quantity)


@pytest.mark.parametrize("move", [0.0, 11.0, -11.0, 15.0])
def test_a_move_that_does_not_pay_after_its_uncertainty_is_left_alone(move: float) -> None:
    assert entry(replace(CONSENSUS, expected_move_bps=move)) is None


def test_without_a_quorum_nothing_is_entered() -> None:
    assert entry(replace(CONSENSUS, has_quorum=False)) is None


def test_a_relaxed_rule_trades_and_says_so() -> None:
    relaxed = with_rules(min_edge_bps=-20.0)
    assert relaxed.is_relaxed
    assert entry(replace(CONSENSUS, expected_move_bps=1.0), relaxed) is not None
    assert entry(replace(CONSENSUS, expected_move_bps=0.0), relaxed) is None


def test_uncertainty_shrinks_towards_zero_but_never_turns_the_sign() -> None:
    assert judged_move_bps(replace(CONSENSUS, expected_move_bps=3.0), RULES) == 0.0
    assert judged_move_bps(replace(CONSENSUS, expected_move_bps=-20.0), RULES) == -16.0


def test_size_shrinks_with_disagreement() -> None:
    assert size_factor(FEATURES, CONSENSUS, rules=RULES) == 1.0
    assert size_factor(FEATURES, replace(CONSENSUS, agreement=0.25), rules=RULES) == 0.25


def test_size_keeps_the_loss_at_the_invalidation_level_when_volatility_rises() -> None:
    # Two sigmas over 10 s are 2 * 10 * sqrt(10) = 63.2 bps against a stop of 30 bps.
    wild = FEATURES._replace(volatility_bps=10.0)
    assert size_factor(wild, CONSENSUS, rules=RULES) == pytest.approx(30.0 / 63.2456, rel=1e-4)
    calm = FEATURES._replace(volatility_bps=1.0)
    assert size_factor(calm, CONSENSUS, rules=RULES) == 1.0


def test_an_entry_below_the_venue_minimum_is_not_made() -> None:
    small = with_rules(entry_notional=Decimal(4))
    assert entry_quantity(FEATURES, CONSENSUS, rules=small, instrument=BTC) is None
    assert entry(CONSENSUS, small) is None


@pytest.mark.parametrize(
    ("mid", "move", "reason"),
    [
        (49_840.0, 20.0, ExitReason.INVALIDATED),
        (50_000.0, -20.0, ExitReason.REVERSED),
        (50_000.0, 20.0, None),
        (50_000.0, 0.0, None),
    ],
)
def test_a_trade_ends_for_the_right_reason(
    mid: float, move: float, reason: ExitReason | None
) -> None:
    features = FEATURES._replace(mid=mid)
    consensus = replace(CONSENSUS, expected_move_bps=move)
    assert exit_reason(replace(TRIP), features, consensus, rules=RULES) is reason


@pytest.mark.parametrize(
    ("side", "best", "now"), [(Side.BUY, 50_200, 50_099), (Side.SELL, 49_800, 49_901)]
)
def test_a_trade_that_gives_back_too_much_of_its_best_is_ended(
    side: Side, best: float, now: float
) -> None:
    trip = begin_trip(side, mid=50_000.0, now_ns=95 * SECOND)
    assert exit_reason(trip, FEATURES._replace(mid=best), None, rules=RULES) is None
    leaves = exit_reason(trip, FEATURES._replace(mid=now), None, rules=RULES)
    assert leaves is ExitReason.TRAILING_STOP


def test_the_trailing_stop_waits_until_it_cannot_lock_in_a_loss() -> None:
    trip = begin_trip(Side.BUY, mid=50_000.0, now_ns=95 * SECOND)
    assert exit_reason(trip, FEATURES._replace(mid=50_095.0), None, rules=RULES) is None
    assert exit_reason(trip, FEATURES._replace(mid=49_900.0), None, rules=RULES) is None


def test_a_trade_without_support_ends_at_its_horizon_and_support_renews_it() -> None:
    late = FEATURES._replace(ts_ns=106 * SECOND)
    quiet = replace(CONSENSUS, expected_move_bps=1.0)
    assert exit_reason(replace(TRIP), late, quiet, rules=RULES) is ExitReason.HORIZON
    trip = replace(TRIP)
    assert exit_reason(trip, late, CONSENSUS, rules=RULES) is None
    assert trip.renewed_ns == late.ts_ns


def test_no_trade_outlives_the_longest_holding_time_even_without_a_consensus() -> None:
    late = FEATURES._replace(ts_ns=156 * SECOND)
    assert exit_reason(replace(TRIP), late, None, rules=RULES) is ExitReason.MAX_HOLD
    assert exit_reason(replace(TRIP), FEATURES, None, rules=RULES) is None


@pytest.mark.parametrize(
    ("position", "reason", "side", "style"),
    [
        ("0.02", ExitReason.HORIZON, Side.SELL, ExecutionStyle.PASSIVE),
        ("-0.02", ExitReason.INVALIDATED, Side.BUY, ExecutionStyle.MARKET),
    ],
)
def test_an_exit_closes_the_whole_position_reduce_only(
    position: str, reason: ExitReason, side: Side, style: ExecutionStyle
) -> None:
    target = exit_target("BTCUSDT", reason)
    parent = parent_towards(target, Decimal(position), rules=RULES)
    assert parent is not None
    assert (parent.side, parent.quantity, parent.style) == (side, Decimal("0.02"), style)
    assert parent.reduce_only


def test_a_position_at_its_target_needs_no_order_and_a_turn_is_not_reduce_only() -> None:
    target = replace(exit_target("BTCUSDT", ExitReason.REVERSED), quantity=Decimal("-0.01"))
    assert parent_towards(target, Decimal("-0.01"), rules=RULES) is None
    turn = parent_towards(target, Decimal("0.02"), rules=RULES)
    assert turn is not None
    assert (turn.quantity, turn.reduce_only) == (Decimal("0.03"), False)


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "49500.0"), (Side.SELL, "50500.0")])
def test_the_venues_stop_lies_on_the_losing_side_on_the_grid(side: Side, price: str) -> None:
    stop = protective_price(side, 50_000.0, rules=RULES, instrument=BTC)
    assert stop == Decimal(price)


def test_a_trip_follows_its_best_mid_only() -> None:
    trip = Trip(side=Side.SELL, entered_ns=0, entry_mid=100.0, renewed_ns=0, best_mid=100.0)
    for mid in (99.0, 98.0, 101.0):
        trip.follow(mid)
    assert trip.best_mid == 98.0
    assert trip.gain_bps(101.0) == pytest.approx(-100.0)
