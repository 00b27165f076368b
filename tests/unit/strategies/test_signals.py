from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import BTC

from trading_system.config.sections import RiskSettings, StrategySettings
from trading_system.domain.orders import Side
from trading_system.domain.signals import MarketFeatures, Opinion
from trading_system.domain.parents import ExecutionStyle
from trading_system.live.session import signal_rules
from trading_system.strategies.signals import (
    Costs,
    ExitReason,
    SignalRules,
    Trip,
    entry,
    entry_quantity,
    exit_order,
    exit_reason,
    judged_move_bps,
    round_trip_cost_bps,
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
OPINION = Opinion(
    p_up=0.7,
    agent="a",
    symbol="BTCUSDT",
    expected_move_bps=20.0,
    uncertainty_bps=4.0,
    horizon_s=10.0,
    samples=50,
    ts_ns=0,
)
RULES = SignalRules(
    min_edge_bps=0.0,
    confidence=1.0,
    entry_notional=Decimal(1000),
    max_hold_s=60.0,
    stop_loss_bps=30.0,
    max_slippage_bps=10.0,
    time_limit_s=10.0,
    decision_interval_s=0.5,
)
COSTS = Costs(taker=0.00055, maker=0.0002)
TRIP = Trip(side=Side.BUY, entered_ns=95 * SECOND, entry_mid=50_000.0, renewed_ns=95 * SECOND)


def test_the_round_trip_costs_two_takers_and_the_spread() -> None:
    assert round_trip_cost_bps(FEATURES, COSTS) == pytest.approx(11.5)


@pytest.mark.parametrize(("move", "side"), [(20.0, Side.BUY), (-20.0, Side.SELL)])
def test_a_paying_move_is_entered_on_its_side(move: float, side: Side) -> None:
    opinion = replace(OPINION, expected_move_bps=move)
    parent = entry(FEATURES, opinion, rules=RULES, costs=COSTS, instrument=BTC)
    assert parent is not None
    assert (parent.side, parent.quantity) == (side, Decimal("0.020"))
    assert not parent.reduce_only


@pytest.mark.parametrize("move", [0.0, 11.0, -11.0, 15.0])
def test_a_move_that_does_not_pay_after_its_uncertainty_is_left_alone(move: float) -> None:
    opinion = replace(OPINION, expected_move_bps=move)
    assert entry(FEATURES, opinion, rules=RULES, costs=COSTS, instrument=BTC) is None


def test_a_relaxed_rule_trades_and_says_so() -> None:
    relaxed = replace(RULES, min_edge_bps=-20.0)
    opinion = replace(OPINION, expected_move_bps=1.0)
    assert relaxed.is_relaxed
    assert entry(FEATURES, opinion, rules=relaxed, costs=COSTS, instrument=BTC) is not None
    assert (
        entry(
            FEATURES,
            replace(opinion, expected_move_bps=0.0),
            rules=relaxed,
            costs=COSTS,
            instrument=BTC,
        )
        is None
    )


def test_uncertainty_shrinks_towards_zero_but_never_turns_the_sign() -> None:
    assert judged_move_bps(replace(OPINION, expected_move_bps=3.0), RULES) == 0.0
    assert judged_move_bps(replace(OPINION, expected_move_bps=-20.0), RULES) == -16.0


def test_an_entry_below_the_venue_minimum_is_not_made() -> None:
    small = replace(RULES, entry_notional=Decimal(4))
    assert entry_quantity(50_000.0, rules=small, instrument=BTC) is None
    assert entry(FEATURES, OPINION, rules=small, costs=COSTS, instrument=BTC) is None


@pytest.mark.parametrize(
    ("mid", "move", "reason"),
    [
        (49_840.0, 20.0, ExitReason.STOP_LOSS),
        (50_000.0, -20.0, ExitReason.REVERSED),
        (50_000.0, 20.0, None),
        (50_000.0, 0.0, None),
    ],
)
def test_a_trade_ends_for_the_right_reason(
    mid: float, move: float, reason: ExitReason | None
) -> None:
    features = replace(FEATURES, mid=mid)
    opinion = replace(OPINION, expected_move_bps=move)
    assert exit_reason(replace(TRIP), features, opinion, rules=RULES) is reason


def test_a_trade_without_support_ends_at_its_horizon_and_support_renews_it() -> None:
    late = replace(FEATURES, ts_ns=106 * SECOND)
    quiet = replace(OPINION, expected_move_bps=1.0)
    assert exit_reason(replace(TRIP), late, quiet, rules=RULES) is ExitReason.HORIZON
    trip = replace(TRIP)
    assert exit_reason(trip, late, OPINION, rules=RULES) is None
    assert trip.renewed_ns == late.ts_ns


def test_no_trade_outlives_the_longest_holding_time_even_without_an_opinion() -> None:
    late = replace(FEATURES, ts_ns=156 * SECOND)
    assert exit_reason(replace(TRIP), late, None, rules=RULES) is ExitReason.MAX_HOLD
    assert exit_reason(replace(TRIP), FEATURES, None, rules=RULES) is None


@pytest.mark.parametrize(
    ("position", "reason", "side", "style"),
    [
        ("0.02", ExitReason.HORIZON, Side.SELL, ExecutionStyle.PASSIVE),
        ("-0.02", ExitReason.STOP_LOSS, Side.BUY, ExecutionStyle.MARKET),
    ],
)
def test_an_exit_closes_the_whole_position_reduce_only(
    position: str, reason: ExitReason, side: Side, style: ExecutionStyle
) -> None:
    parent = exit_order("BTCUSDT", Decimal(position), reason, rules=RULES)
    assert (parent.side, parent.quantity, parent.style) == (side, Decimal("0.02"), style)
    assert parent.reduce_only


def test_an_entry_at_its_worst_price_stays_below_the_order_cap() -> None:
    rules = signal_rules(
        StrategySettings(entry_notional=Decimal(1000), max_slippage_bps=10.0),
        RiskSettings(max_order_notional=Decimal(1000)),
    )
    assert rules.entry_notional * (1 + Decimal("0.001")) <= 1000
    assert rules.entry_notional > 998
