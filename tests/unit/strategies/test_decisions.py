"""The sentence about this moment agrees with what the trader does; the record is bounded."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from engine_rig import BTC, Rig, rejected

from trading_system.config.sections import StrategySettings
from trading_system.domain.orders import Side
from trading_system.domain.parents import ExecutionStyle, ParentOrder, ParentResult
from trading_system.domain.signals import Consensus, MarketFeatures, Vote
from trading_system.execution.executor import Executor
from trading_system.live.symbol_state import BestPrices
from trading_system.strategies.decisions import (
    Decision,
    DecisionLog,
    Hindrance,
    Situation,
    verdict,
)
from trading_system.strategies.signals import Costs, begin_trip, entry_target
from trading_system.strategies.trader import SignalTrader

RULES = StrategySettings(confidence=1.0)
COSTS = Costs(taker=0.00055, maker=0.0002)
FEATURES = MarketFeatures(
    symbol="BTCUSDT",
    mid=50_000.0,
    spread_bps=0.04,
    imbalance=0.5,
    micro_deviation_bps=0.1,
    order_flow=0.2,
    trade_flow=0.1,
    ts_ns=0,
)
VOTES = (
    Vote(agent="a", family="f", weight=0.6, opinion=None),
    Vote(agent="b", family="g", weight=0.0, opinion=None, note="late"),
)
UP = Consensus(
    symbol="BTCUSDT",
    p_up=0.7,
    expected_move_bps=30.0,
    uncertainty_bps=1.0,
    agreement=1.0,
    horizon_s=10.0,
    has_quorum=True,
    votes=VOTES,
    ts_ns=0,
)
FLAT = Situation()


def said(consensus: Consensus | None, situation: Situation = FLAT, *, mid: float = 50_000.0) -> str:
    return verdict(
        FEATURES._replace(mid=mid),
        consensus,
        situation,
        rules=RULES,
        costs=COSTS,
        instrument=BTC,
    )


class Stage:
    """A trader over a fake venue; spawned work is kept until the test runs it."""

    def __init__(self) -> None:
        self.rig = Rig(rate=100)
        self.rig.venue.auto_fill = True
        self.work: list[Coroutine[Any, Any, None]] = []
        self.has_quote = True
        executor = Executor(
            engine=self.rig.engine,
            instruments={"BTCUSDT": BTC},
            quote=lambda _symbol: (
                BestPrices(Decimal("49999.9"), Decimal("50000.1"))
                if self.has_quote
                else BestPrices(None, None)
            ),
            clock=self.rig.clock,
            request_timeout_s=1.0,
        )
        self.execute = executor.execute
        self.own_quantity = executor.own_quantity
        self.trader = SignalTrader(
            desk=self,
            portfolio=self.rig.portfolio,
            instruments={"BTCUSDT": BTC},
            costs={"BTCUSDT": COSTS},
            rules=RULES,
            clock=self.rig.clock,
            spawn=lambda _name, coroutine: self.work.append(coroutine),
        )

    async def protect(self, symbol: str, stop_price: Decimal) -> None:
        """Rest nothing."""

    def now(self, mid: float = 50_000.0) -> MarketFeatures:
        return FEATURES._replace(ts_ns=self.rig.clock.monotonic_ns(), mid=mid)

    def said(self, consensus: Consensus | None, mid: float = 50_000.0) -> str:
        return self.trader.verdict(self.now(mid), consensus)

    async def run(self) -> None:
        work, self.work = self.work, []
        for coroutine in work:
            await coroutine


@pytest.mark.parametrize(
    ("consensus", "reason"),
    [
        (None, "no trade: there is no consensus yet"),
        (replace(UP, has_quorum=False), "too few independent agents took part (1 of 2)"),
        (replace(UP, uncertainty_bps=40.0), "no move is left after the uncertainty"),
        (
            replace(UP, expected_move_bps=10.0),
            "(-2.0 bps, needed +0.0; expected +10.0 bps with a standard error of 1.0, round trip",
        ),
        (replace(UP, agreement=0.0), "the quantity would be below the venue's smallest"),
    ],
)
def test_why_no_trade_is_begun(consensus: Consensus | None, reason: str) -> None:
    text = said(consensus)
    assert text.startswith("no trade: ")
    assert reason in text
    if consensus is not None:
        found = entry_target(FEATURES, consensus, rules=RULES, costs=COSTS, instrument=BTC)
        assert found is None


def test_a_trade_that_pays_is_named_with_its_edge() -> None:
    expected = "0.02 (expected +29.0 bps, edge +18.0 bps after costs)"
    assert said(UP) == f"trades: buy {expected}"
    withheld = Situation(withheld="it is paused: lunch")
    assert said(UP, withheld) == f"no trade: would buy {expected}, but it is paused: lunch"
    assert said(replace(UP, expected_move_bps=-30.0)).startswith("trades: sell 0.02 ")


def test_what_hinders_a_decision_comes_first() -> None:
    assert "an order of this symbol is at work" in said(UP, Situation(hindrance=Hindrance.BUSY))
    waiting = Situation(hindrance=Hindrance.WAITING, wait_s=0.34)
    assert said(UP, waiting) == "no decision yet: the pause of this symbol lasts 0.3 s more"
    assert "takes no new decisions" in said(UP, Situation(hindrance=Hindrance.NOT_ACCEPTING))


def test_somebody_elses_position_is_left_alone() -> None:
    assert "a position of -0.5 that this system did not open" in said(
        UP, Situation(position=Decimal("-0.5"))
    )


def test_an_open_trade_is_judged_without_being_changed() -> None:
    trip = begin_trip(Side.BUY, mid=50_000.0, now_ns=0)
    holding = Situation(own=Decimal("0.02"), position=Decimal("0.02"), trip=trip)
    kept = said(UP, holding, mid=50_050.0)
    assert kept == "holds 0.02 at +10.0 bps since the entry: the judged move is +29.0 bps"
    assert trip.best_mid == 50_000.0
    assert said(None, holding).endswith("no reason to close it, and no consensus")
    lost = said(UP, holding, mid=49_000.0)
    assert lost == "closes 0.02 at -200.0 bps since the entry: the invalidation level was reached"


async def test_the_traders_own_verdict_follows_a_trade() -> None:
    stage = Stage()
    assert stage.said(UP).startswith("trades: buy 0.02 ")
    stage.trader.consider(stage.now(), UP)
    assert stage.said(UP) == "no decision: an order of this symbol is at work"
    (decision,) = stage.trader.decisions.newest(5)
    assert (decision.action, decision.outcome) == ("enter", None)
    assert decision.cost_bps == pytest.approx(11.04)
    await stage.run()
    assert decision.outcome == "filled 0.02 at 0.0 bps"
    assert "lasts 0.5 s more" in stage.said(UP)
    stage.rig.clock.advance(0.6)
    assert stage.said(UP).startswith("holds 0.02 ")
    stage.trader.pause("lunch")
    assert stage.trader.request_exit("BTCUSDT")
    await stage.run()
    last, first = stage.trader.decisions.newest(5)
    assert (last.action, last.features, last.cost_bps) == ("exit", None, None)
    assert first is decision
    assert "but it is paused: lunch" in stage.said(UP)
    stage.trader.stop_accepting()
    assert "takes no new decisions" in stage.said(UP)


async def test_a_position_of_an_earlier_run_is_judged_from_now_on() -> None:
    stage = Stage()
    stage.trader.consider(stage.now(), UP)
    await stage.run()
    stage.rig.clock.advance(1.0)
    stage.trader._trips.clear()
    assert stage.said(UP, mid=51_000.0).startswith("holds 0.02 at +0.0 bps")
    assert stage.trader.trips == {}


async def test_a_decision_that_came_to_nothing_says_so() -> None:
    stage = Stage()
    stage.rig.venue.failures.append(rejected(110007))
    stage.trader.consider(stage.now(), UP)
    await stage.run()
    (refused,) = stage.trader.decisions.newest(1)
    assert refused.outcome is not None
    assert refused.outcome.startswith("not filled: ")
    stage.has_quote = False
    stage.rig.clock.advance(60.0)
    stage.trader.consider(stage.now(), UP)
    await stage.run()
    assert stage.trader.decisions.newest(1)[0].outcome == "not sent: no quote to start from"


def test_the_record_keeps_the_newest_and_finds_a_symbol() -> None:
    log = DecisionLog(3)
    for number in range(5):
        parent = ParentOrder(
            symbol="BTCUSDT" if number % 2 else "ETHUSDT",
            side=Side.BUY,
            quantity=Decimal(1),
            style=ExecutionStyle.MARKET,
            reduce_only=False,
            max_slippage_bps=1.0,
            time_limit_s=1.0,
            purpose=str(number),
        )
        log.add(Decision(utc_ns=0, parent=parent, features=None, consensus=None, costs=COSTS))
    assert [d.parent.purpose for d in log.newest(10)] == ["4", "3", "2"]
    assert [d.parent.purpose for d in log.newest(1)] == ["4"]
    assert [d.parent.purpose for d in log.newest(10, symbol="BTCUSDT")] == ["3"]


def test_a_parent_without_a_fill_and_a_reason_ran_out_of_time() -> None:
    parent = ParentOrder(
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity=Decimal(1),
        style=ExecutionStyle.MARKET,
        reduce_only=False,
        max_slippage_bps=1.0,
        time_limit_s=1.0,
        purpose="entry",
    )
    decision = Decision(
        utc_ns=0, parent=parent, features=None, consensus=None, costs=COSTS, has_ended=True
    )
    decision.result = ParentResult(parent=parent, arrival_mid=Decimal(1))
    assert decision.outcome == "not filled: the time limit was over"
