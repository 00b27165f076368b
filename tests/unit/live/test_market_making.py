"""A session whose strategy is the market maker, over a test's venue and in virtual time."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import unavailable
from session_rig import PRICE, SYMBOL, SessionRig, in_session

from trading_system.domain.errors import Outcome, ValidationError
from trading_system.domain.instruments import plain
from trading_system.domain.orders import Fill, Side, TimeInForce
from trading_system.execution.journal.store import Journal
from trading_system.live import control
from trading_system.live.evidence import snapshot_of
from trading_system.live.inventory_stops import InventoryStops
from trading_system.live.market_making import MarketMaking
from trading_system.monitoring.health import Part
from trading_system.monitoring.status import status_of
from trading_system.risk.limits import TradingState
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.clock import ManualClock

MAKER = {"strategy__name": "market-maker"}


def making(rig: SessionRig) -> MarketMaking:
    found = rig.session.making
    assert found is not None
    return found


def sides(rig: SessionRig) -> set[Side]:
    return {intent.side for intent in rig.venue.resting.values()}


def test_a_session_quotes_both_sides_as_maker_only(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        quotes = list(rig.venue.resting.values())
        assert making(rig).fees_bps() is None
        assert len(quotes) == 6
        assert sides(rig) == {Side.BUY, Side.SELL}
        assert {quote.time_in_force for quote in quotes} == {TimeInForce.POST_ONLY}
        assert all((q.price - PRICE) * q.side.sign < 0 for q in quotes if q.price is not None)
        assert rig.session.is_trading

    in_session(work, tmp_path, **MAKER)


def test_the_signal_trader_neither_enters_nor_closes_the_inventory(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        rig.venue.take(Side.BUY)
        for move in (-500.0, 500.0):
            rig.session.trader.consider(rig.features(), rig.consensus(move))
        await asyncio.sleep(1.0)
        assert rig.session.trader.counts.parents == 0
        assert rig.session.own_quantity(SYMBOL) > 0

    in_session(work, tmp_path, **MAKER)


def test_a_fill_rests_a_stop_and_is_split_into_its_parts(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        bought = rig.venue.take(Side.BUY)
        await asyncio.sleep(0.5)
        assert rig.venue.stop is not None
        assert rig.venue.stop < PRICE
        making(rig).on_mark(SYMBOL, PRICE)
        rig.session.portfolio.mark(SYMBOL, PRICE)
        figures = making(rig).figures()
        json.dumps(figures, allow_nan=False)
        pnl = figures["pnl"]
        assert Decimal(pnl["spread_capture"]) == (PRICE - bought.price) * bought.quantity
        assert Decimal(pnl["fees"]) == bought.fee
        assert Decimal(pnl["inventory"]) == Decimal(pnl["funding"]) == Decimal(pnl["difference"])
        assert Decimal(pnl["total"]) == rig.session.portfolio.pnl
        assert figures["maker_share_pct"] == 100.0
        assert figures["inventory"] == {SYMBOL: plain(bought.quantity)}
        assert figures["protective_stops"] == 1

    in_session(work, tmp_path, **MAKER)


def test_an_inventory_that_turns_gets_a_stop_on_its_other_side(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        for _ in range(2):
            rig.venue.take(Side.SELL)
            await asyncio.sleep(0.5)
        assert rig.venue.stop is not None
        assert rig.venue.stop > PRICE
        for _ in range(3):
            await asyncio.sleep(8.0)  # the quotes that were taken come back
            rig.venue.take(Side.BUY)
        await asyncio.sleep(0.5)
        assert rig.venue.held > 0
        assert rig.venue.stop is not None
        assert rig.venue.stop < PRICE

    in_session(work, tmp_path, **MAKER)


def test_a_stop_that_was_taken_away_is_found_by_the_comparison(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        rig.venue.take(Side.BUY)
        await asyncio.sleep(0.5)
        first, rig.venue.stop = rig.venue.stop, None
        await asyncio.sleep(11.0)
        assert rig.venue.stop == first

    in_session(work, tmp_path, **MAKER)


def test_a_pause_pulls_the_quotes_until_the_resume(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        control.pause(rig.session, "lunch")
        assert not rig.session.is_trading
        await asyncio.sleep(3.0)
        assert rig.venue.resting == {}
        control.resume(rig.session, reset_limits=False)
        await asyncio.sleep(6.0)
        assert sides(rig) == {Side.BUY, Side.SELL}

    in_session(work, tmp_path, **MAKER)


@pytest.mark.parametrize("stream", ["private", "public"])
def test_a_lost_stream_pulls_the_quotes_until_both_sides_were_compared(
    stream: str, tmp_path: Path
) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        lost = getattr(rig, stream)
        rig.is_ticking = stream == "private"
        lost.goes_down("reset")
        await asyncio.sleep(3.0)
        assert rig.venue.resting == {}
        rig.is_ticking, rig.update_id = True, 0
        lost.comes_up()
        await asyncio.sleep(10.0)
        assert rig.session.engine.state is TradingState.ACTIVE
        assert sides(rig) == {Side.BUY, Side.SELL}

    in_session(work, tmp_path, **MAKER)


def test_a_position_that_differs_is_found_although_quotes_are_always_at_work(
    tmp_path: Path,
) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        rig.venue.held += Decimal("0.5")
        await asyncio.sleep(50.0)
        assert rig.session.reconciler.positions_agree is False
        assert rig.session.engine.state is TradingState.REDUCING
        assert rig.venue.resting == {}

    in_session(work, tmp_path, **MAKER)


def test_reduce_only_pulls_the_quotes_and_keeps_the_stop(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        rig.venue.take(Side.BUY)
        await asyncio.sleep(0.5)
        control.reduce_only(rig.session, "news")
        await asyncio.sleep(3.0)
        assert rig.venue.resting == {}
        assert rig.venue.stop is not None

    in_session(work, tmp_path, **MAKER)


def test_after_a_kill_nothing_is_quoted(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        await control.kill(rig.session, "enough", flatten=False)
        sent = len(rig.venue.sent)
        await asyncio.sleep(10.0)
        assert rig.venue.resting == {}
        assert len(rig.venue.sent) == sent

    in_session(work, tmp_path, **MAKER)


def test_a_drain_cancels_every_quote_and_keeps_the_inventory(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        rig.venue.take(Side.BUY)
        await rig.session.drain()
        assert rig.venue.resting == {}
        assert rig.session.engine.live_orders == ()
        assert rig.session.own_quantity(SYMBOL) > 0
        assert not rig.session.may_open()
        sent = len(rig.venue.sent)
        await asyncio.sleep(6.0)
        assert len(rig.venue.sent) == sent
        await rig.session.stop()

    in_session(work, tmp_path, **MAKER)


def test_a_drain_closes_the_inventory_when_asked_to(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        rig.venue.take(Side.BUY)
        rig.venue.take(Side.BUY)
        await rig.session.drain()
        assert rig.venue.held == 0
        assert rig.session.own_quantity(SYMBOL) == 0
        assert rig.venue.sent[-1].reduce_only
        figures = making(rig).figures()
        assert 0 < figures["maker_share_pct"] < 100  # closing was taking
        assert abs(Decimal(figures["pnl"]["difference"])) < Decimal("0.01")
        await rig.session.stop()

    in_session(work, tmp_path, strategy__flatten_on_stop=True, **MAKER)


def test_what_a_thin_book_left_open_is_closed_by_another_parent(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        rig.venue.take(Side.BUY)
        rig.venue.fill_share = Decimal("0.5")
        await rig.session.drain()
        assert rig.session.trader.counts.parents == 3  # not for ever
        assert 0 < rig.session.own_quantity(SYMBOL) < Decimal("0.01")

    in_session(work, tmp_path, strategy__flatten_on_stop=True, **MAKER)


def test_quotes_that_cannot_be_cancelled_do_not_keep_the_drain_for_ever(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        rig.venue.cancel_failure = unavailable(Outcome.UNKNOWN)
        began_s = rig.loop.time()
        await rig.session.drain()
        assert rig.loop.time() - began_s < 30.0
        assert rig.venue.resting
        rig.venue.cancel_failure = None
        for order in rig.session.engine.live_orders:
            await rig.session.engine.cancel(SYMBOL, order.intent.link_id, timeout_s=1.0)

    in_session(work, tmp_path, **MAKER)


def test_the_status_has_the_makers_figures_and_no_success_rate(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        rig.venue.take(Side.SELL)
        await asyncio.sleep(1.0)
        health = rig.health()
        assert Part.EXECUTION_QUALITY.value not in dict(health.parts)
        status = status_of(snapshot_of(rig.desk, health))
        json.dumps(status, allow_nan=False)
        assert status["market_maker"]["cycles"] > 0
        assert status["success_rate_pct"] is None
        assert status["fees_bps"] == 2.0
        assert status["performance_compliance"]["success_rate_target_met"] is True
        row = next(r for r in status["compliance_targets"] if r["name"] == "success_rate")
        assert (row["measured"], row["judged"]) == (None, False)
        assert row["reason"].startswith("not applicable")
        making_figures = status["market_maker"]
        assert making_figures["half_spread_bps"][SYMBOL] > 2.0
        assert Decimal(making_figures["traded_value"]) > 0
        assert status["own_open_orders"] == len(rig.session.engine.live_orders) > 0
        assert status["open_orders"] is None  # the venue is read at the stop
        assert status["position"]["venue_age_s"] is not None

    in_session(work, tmp_path, **MAKER)


def test_an_order_of_the_operator_trades_where_own_quotes_stood(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        assert len(rig.venue.resting) == 6
        rig.venue.auto_fill = True
        answer = await control.execute(
            rig.session, SYMBOL, "Buy", "0.01", algorithm="market", urgency="NORMAL"
        )
        assert answer["success"] is True, answer["error"]
        assert len(rig.venue.cancelled) == 6  # they made room first
        rig.venue.auto_fill = False
        await asyncio.sleep(8.0)
        assert sides(rig) == {Side.BUY, Side.SELL}  # and came back after it

    in_session(work, tmp_path, **MAKER)


def test_an_order_that_makes_no_sense_pulls_no_quote(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(6.0)
        with pytest.raises(ValidationError):
            await control.execute(
                rig.session, SYMBOL, "Buy", "0.01", algorithm="no", urgency="NORMAL"
            )
        assert rig.venue.cancelled == []

    in_session(work, tmp_path, **MAKER)


def test_under_another_strategy_there_are_no_makers_figures(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.session.engine.on_funding(SYMBOL, Decimal("0.5"), "f1")
        status = status_of(snapshot_of(rig.desk, rig.health()))
        assert status["market_maker"] is None
        assert rig.session.is_trading is rig.session.trader.is_active is False

    in_session(work, tmp_path)


def test_funding_and_an_adopted_position_reconcile_with_equity(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.sqlite", clock=ManualClock())
    journal.note_fill(
        Fill(
            exec_id="e",
            order_id="o",
            link_id="by-hand",
            symbol=SYMBOL,
            side=Side.BUY,
            price=PRICE,
            quantity=Decimal("0.02"),
            fee=Decimal(0),
            is_maker=False,
            ts_exchange_ns=0,
        )
    )

    def prepare(rig: SessionRig) -> None:
        rig.venue.held = Decimal("0.02")

    async def work(rig: SessionRig) -> None:
        mark = PRICE + 10
        making(rig).on_mark(SYMBOL, mark)
        rig.session.portfolio.mark(SYMBOL, mark)
        rig.session.engine.on_funding(SYMBOL, Decimal("-0.25"), "f1")
        await asyncio.sleep(6.0)
        assert not rig.venue.resting  # quotes would trade away what is not this system's
        making(rig).on_mark(SYMBOL, PRICE)
        rig.session.portfolio.mark(SYMBOL, PRICE)
        pnl = making(rig).figures()["pnl"]
        assert Decimal(pnl["funding"]) == Decimal("-0.25")
        assert Decimal(pnl["difference"]) == 0
        assert Decimal(pnl["inventory"]) == Decimal("-0.2")  # what somebody else holds, fell by 10

    in_session(work, tmp_path, journal=journal, prepare=prepare, **MAKER)
    journal.close()


class StuckMaker:
    """Never gets its quotes out of the book."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def wind_down(self) -> bool:
        await asyncio.Event().wait()
        return False

    def standing_aside(self, symbol: str, reason: str) -> AbstractAsyncContextManager[bool]:
        return nullcontext(enter_result=False)

    def on_book_change(self, symbol: str) -> None: ...

    def collect_performance_stats(self) -> dict[str, Any]:
        return {}


def test_a_maker_that_does_not_end_is_left_to_the_sessions_own_cancels(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        portfolio = Portfolio(Decimal(0))
        stuck = MarketMaking(
            StuckMaker(),
            stops=InventoryStops(
                rig.session.engine,
                portfolio=portfolio,
                market=rig.session.feed.market_view,
                instruments=rig.session.instruments,
                rules=rig.desk.settings.strategy,
                timeout_s=1.0,
            ),
            portfolio=portfolio,
            book_of=rig.session.feed.symbols.__getitem__,
        )
        began_s = rig.loop.time()
        await stuck.wind_down()
        assert 10.0 < rig.loop.time() - began_s < 15.0

    in_session(work, tmp_path)
