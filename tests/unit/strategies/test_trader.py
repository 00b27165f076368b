from collections.abc import Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any

from engine_rig import BTC, Rig, fill, rejected, report

from trading_system.config.sections import StrategySettings
from trading_system.domain.orders import OrderIntent, OrderStatus, OrderType, Side
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.execution.executor import Executor
from trading_system.live.symbol_state import BestPrices
from trading_system.strategies.signals import Costs
from trading_system.strategies.trader import SignalTrader

SECOND = 1_000_000_000
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
UP = Consensus(
    symbol="BTCUSDT",
    p_up=0.7,
    expected_move_bps=30.0,
    uncertainty_bps=1.0,
    agreement=1.0,
    horizon_s=10.0,
    has_quorum=True,
    votes=(),
    ts_ns=0,
)


class EngineDesk:
    """A desk over the real executor and engine that notes the stops asked for."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.stops: dict[str, Decimal] = {}

    async def execute(self, parent: ParentOrder) -> ParentResult | None:
        return await self._executor.execute(parent)

    async def protect(self, symbol: str, stop_price: Decimal) -> None:
        self.stops[symbol] = stop_price

    def own_quantity(self, symbol: str) -> Decimal:
        return self._executor.own_quantity(symbol)


class Floor:
    """A trader on a fake venue; spawned work is kept until the test runs it."""

    def __init__(self) -> None:
        self.rig = Rig(rate=100)
        self.rig.venue.auto_fill = True
        self.work: list[Coroutine[Any, Any, None]] = []
        executor = Executor(
            engine=self.rig.engine,
            instruments={"BTCUSDT": BTC},
            quote=lambda _symbol: BestPrices(Decimal("49999.9"), Decimal("50000.1")),
            clock=self.rig.clock,
            request_timeout_s=1.0,
        )
        self.desk = EngineDesk(executor)
        self.trader = SignalTrader(
            desk=self.desk,
            portfolio=self.rig.portfolio,
            instruments={"BTCUSDT": BTC},
            costs={"BTCUSDT": Costs(taker=0.00055, maker=0.0002)},
            rules=StrategySettings(confidence=1.0),
            clock=self.rig.clock,
            spawn=lambda _name, coroutine: self.work.append(coroutine),
        )

    def consider(
        self, consensus: Consensus | None, mid: float = 50_000.0, *, may_enter: bool = True
    ) -> None:
        features = FEATURES._replace(ts_ns=self.rig.clock.monotonic_ns(), mid=mid)
        self.trader.consider(features, consensus, may_enter=may_enter)

    async def run(self) -> None:
        work, self.work = self.work, []
        for coroutine in work:
            await coroutine


async def test_a_signal_is_traded_and_its_reversal_closes_the_trade() -> None:
    floor = Floor()
    floor.consider(UP)
    await floor.run()
    assert floor.rig.portfolio.position("BTCUSDT").quantity == Decimal("0.02")
    floor.rig.clock.advance(0.5)
    floor.consider(replace(UP, expected_move_bps=-30.0))
    await floor.run()
    assert floor.rig.portfolio.position("BTCUSDT").quantity == 0
    counts = floor.trader.counts
    assert (counts.parents_ended, counts.exits, counts.signal_orders) == (2, 1, 2)
    assert floor.trader.success_rate_pct() == 100.0


async def test_only_one_parent_works_on_a_symbol_at_a_time() -> None:
    floor = Floor()
    floor.consider(UP)
    floor.consider(UP)
    assert len(floor.work) == 1
    assert floor.trader.busy_symbols == {"BTCUSDT"}
    await floor.run()
    assert floor.trader.busy_symbols == frozenset()


async def test_a_refusal_is_backed_off_so_that_it_cannot_become_a_storm() -> None:
    floor = Floor()
    for _ in range(3):
        floor.rig.venue.failures.append(rejected(110007))
    floor.consider(UP)
    await floor.run()
    floor.consider(UP)
    assert floor.work == []
    floor.rig.clock.advance(0.51)
    floor.consider(UP)
    assert len(floor.work) == 1
    await floor.run()
    floor.rig.clock.advance(0.51)
    floor.consider(UP)
    assert floor.work == []


async def test_a_position_of_somebody_else_is_left_alone() -> None:
    floor = Floor()
    floor.rig.portfolio.adopt("BTCUSDT", Decimal(1), Decimal(50_000))
    floor.consider(UP)
    assert floor.work == []


async def test_after_the_stop_no_parent_starts() -> None:
    floor = Floor()
    floor.trader.stop_accepting()
    floor.consider(UP)
    assert floor.work == []


async def test_no_consensus_is_no_signal() -> None:
    floor = Floor()
    floor.consider(None)
    assert floor.work == []
    assert floor.trader.counts.signals == 0


async def test_figures_are_absent_until_measured_and_weighted_by_value_then() -> None:
    floor = Floor()
    assert floor.trader.success_rate_pct() is None
    assert floor.trader.slippage_bps() is None
    assert floor.trader.fees_bps() is None
    floor.rig.venue.fill_price = Decimal(50_005)
    floor.consider(UP)
    await floor.run()
    assert floor.trader.slippage_bps() == 1.0
    assert floor.trader.fees_bps() == 5.5


async def test_a_fill_that_comes_after_its_parent_is_watched_and_closed() -> None:
    floor = Floor()
    rig = floor.rig
    rig.venue.auto_fill = False
    order = OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.02"),
        price=Decimal(50_000),
        link_id=rig.engine.next_link_id(),
    )
    await rig.engine.submit(order, timeout_s=1)
    rig.engine.on_report(report(order, OrderStatus.CANCELLED, Decimal(0)))
    rig.engine.on_fill(fill(order, Decimal("0.02"), Decimal(50_000)))
    rig.venue.auto_fill = True
    floor.consider(None)
    assert floor.work == []
    rig.clock.advance(1)
    floor.consider(None, mid=49_800.0)  # the stop loss
    await floor.run()
    assert rig.portfolio.position("BTCUSDT").quantity == 0


async def test_an_exit_closes_only_what_this_run_opened() -> None:
    floor = Floor()
    floor.consider(UP)
    await floor.run()
    bought = floor.rig.venue.sent[0]
    manual = replace(bought, link_id="manual")
    floor.rig.engine.on_fill(fill(manual, Decimal("0.5"), Decimal(50_000)))
    floor.rig.clock.advance(1)
    floor.consider(replace(UP, expected_move_bps=-30.0))
    await floor.run()
    assert floor.rig.portfolio.position("BTCUSDT").quantity == Decimal("0.5")


async def test_without_the_private_stream_trades_are_left_but_not_begun() -> None:
    floor = Floor()
    floor.consider(UP, may_enter=False)
    assert floor.work == []
    floor.consider(UP)
    await floor.run()
    floor.rig.clock.advance(1)
    floor.consider(None, mid=49_800.0, may_enter=False)
    await floor.run()
    assert floor.rig.portfolio.position("BTCUSDT").quantity == 0


async def test_an_exit_without_a_fill_is_tried_again_within_two_seconds() -> None:
    floor = Floor()
    floor.consider(UP)
    await floor.run()
    floor.rig.venue.fill_share = Decimal(0)
    floor.rig.clock.advance(1)
    for _ in range(8):
        floor.consider(None, mid=49_000.0)
        assert len(floor.work) == 1
        await floor.run()
        floor.rig.clock.advance(2.01)


async def test_an_entry_rests_a_stop_for_its_position_at_the_venue() -> None:
    floor = Floor()
    floor.consider(UP)
    await floor.run()
    assert floor.desk.stops == {"BTCUSDT": Decimal("49500.0")}


async def test_a_position_whose_stop_is_missing_at_the_venue_is_named() -> None:
    floor = Floor()
    floor.consider(UP)
    assert floor.trader.unprotected({}) == {}  # its parent is still at work
    await floor.run()
    assert floor.trader.unprotected({"BTCUSDT": None}) == {"BTCUSDT": Decimal("49500.0")}
    assert floor.trader.unprotected({"BTCUSDT": Decimal(49_500)}) == {}


async def test_while_paused_trades_are_closed_but_not_begun() -> None:
    floor = Floor()
    floor.trader.pause("test")
    floor.consider(UP)
    assert floor.work == []
    floor.trader.resume()
    floor.consider(UP)
    await floor.run()
    floor.trader.pause("test")
    floor.rig.clock.advance(1)
    floor.consider(None, mid=49_800.0)
    await floor.run()
    assert floor.rig.portfolio.position("BTCUSDT").quantity == 0


async def test_a_requested_exit_closes_once_and_only_own_positions() -> None:
    floor = Floor()
    assert not floor.trader.request_exit("BTCUSDT")
    floor.consider(UP)
    await floor.run()
    assert floor.trader.request_exit("BTCUSDT")
    assert not floor.trader.request_exit("BTCUSDT")
    await floor.run()
    assert floor.rig.portfolio.position("BTCUSDT").quantity == 0
    assert floor.trader.trips == {}
