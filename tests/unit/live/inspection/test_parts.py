"""Positions, orders, signals, risk, latency and the market maker in detail."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from decimal import Decimal
from pathlib import Path

from engine_rig import unavailable
from inspection_rig import Bench, inspected, safe
from session_rig import PRICE, SYMBOL, SessionRig

from trading_system.domain.errors import Outcome, VenueUnavailable
from trading_system.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading_system.live import control
from trading_system.live.inspection.texts import figure, json_safe, money
from trading_system.monitoring.behaviour import Level
from trading_system.venues.bybit.market_rows import Candle


def frame(topic: str, data: object) -> bytes:
    return json.dumps({"topic": topic, "type": "snapshot", "ts": 1_000, "data": data}).encode()


def say_ticker(rig: SessionRig, mark: str) -> None:
    row = {"symbol": SYMBOL, "markPrice": mark, "fundingRate": "0.0001"}
    rig.session.feed.on_frame(frame(f"tickers.{SYMBOL}", row), rig.loop.monotonic_ns())


def say_trades(rig: SessionRig, count: int) -> None:
    rows = [
        {
            "T": i,
            "s": SYMBOL,
            "S": "Buy" if i % 2 else "Sell",
            "v": "0.5",
            "p": "50000",
            "i": f"t{i}",
        }
        for i in range(count)
    ]
    rig.session.feed.on_frame(frame(f"publicTrade.{SYMBOL}", rows), rig.loop.monotonic_ns())


async def rest(rig: SessionRig, *, price: Decimal = PRICE - 10) -> OrderIntent:
    intent = OrderIntent(
        symbol=SYMBOL,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=price,
        time_in_force=TimeInForce.POST_ONLY,
        link_id=rig.session.engine.next_link_id(),
    )
    await rig.session.engine.submit_batch([intent], timeout_s=1.0)
    return intent


def test_a_position_is_valued_at_the_mark_and_compared_with_the_venue(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.rig.enter()
        await asyncio.sleep(6.0)  # a comparison
        say_ticker(bench.rig, "50100")
        (row,) = bench.inspection.positions()["positions"]
        quantity = Decimal(row["quantity"])
        assert row["venue_quantity"] == row["quantity"]
        assert row["venue_age_s"] is not None
        assert Decimal(row["notional"]) == quantity * 50_100
        assert Decimal(row["unrealised_pnl"]) == quantity * 100
        assert Decimal(row["protective_stop"]) < PRICE

    inspected(work, tmp_path)


def test_without_a_mark_nothing_is_valued(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.rig.enter()
        (row,) = bench.inspection.positions()["positions"]
        assert (row["mark_price"], row["notional"], row["unrealised_pnl"]) == (None, None, None)
        (exposed,) = bench.inspection.risk()["exposure"]  # by its cost then
        assert Decimal(exposed["notional"]) == Decimal(row["quantity"]) * PRICE

    inspected(work, tmp_path)


def test_a_resting_order_is_live_in_orders_market_and_risk(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        intent = await rest(bench.rig)
        await asyncio.sleep(1.0)
        (live,) = bench.inspection.orders()["live"]
        assert (live["link_id"], live["price"], live["status"]) == (intent.link_id, "49990", "open")
        assert live["age_s"] >= 1.0
        (shown,) = bench.inspection.market(SYMBOL, depth=1)["own_orders"]
        assert shown == {
            "side": "Buy",
            "price": 49_990.0,
            "quantity": 0.01,
            "link_id": intent.link_id,
        }
        limits = {row["name"]: row for row in bench.inspection.risk()["limits"]}
        assert limits["gross exposure"]["used"] == "499.9"
        assert limits["largest open order"]["used"] == "499.9"
        assert (limits["open orders"]["used"], limits["open orders"]["limit"]) == ("1", "50")
        assert Decimal(limits[f"position {SYMBOL}"]["used"]) == PRICE / 100
        assert limits["gross exposure"]["used_pct"] == 1.0

    inspected(work, tmp_path)


def test_the_market_shows_book_ticker_and_the_newest_thirty_trades(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        say_ticker(bench.rig, "50100.5")
        say_trades(bench.rig, 40)
        found = safe(bench.inspection.market(SYMBOL, depth=3))
        assert [price for price, _ in found["bids"]] == [49_999.9, 49_999.8, 49_999.7]
        assert [price for price, _ in found["asks"]] == [50_000.1, 50_000.2, 50_000.3]
        assert (found["mid"], found["bid"], found["ask"]) == (50_000.0, 49_999.9, 50_000.1)
        assert found["spread_bps"] == 0.04
        assert -1 <= found["imbalance"] <= 1
        assert found["bid"] <= found["microprice"] <= found["ask"]
        assert (found["mark_price"], found["funding_rate"]) == (50_100.5, 0.0001)
        assert [t["time_ms"] for t in found["trades"]] == list(range(39, 9, -1))
        assert found["trades"][0]["side"] == "Buy"

    inspected(work, tmp_path)


def test_a_book_that_lost_its_place_is_not_shown(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.rig.is_ticking = False
        bench.rig.session.feed.reset()
        found = bench.inspection.market(SYMBOL, depth=3)
        assert (found["is_ready"], found["bids"], found["age_s"]) == (False, [], None)
        assert found["tick_size"] == 0.1
        limits = {row["name"]: row for row in bench.inspection.risk()["limits"]}
        assert limits["oldest book"]["used"] is None

    inspected(work, tmp_path)


def test_a_consensus_is_shown_with_its_votes_and_a_verdict(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.rig.session.trader.is_accepting = True
        await bench.vote()
        (row,) = safe(bench.inspection.signals(symbol=SYMBOL, limit=5))["current"]
        assert (row["direction"], row["has_quorum"]) == ("up", True)
        assert row["votes"][0]["note"] == "abstained"
        assert row["verdict"].startswith("trades: buy ")
        assert bench.inspection.signals(symbol="ETHUSDT", limit=5)["current"] == []
        control.pause(bench.rig.session, "lunch")
        (row,) = bench.inspection.signals(symbol=None, limit=5)["current"]
        assert row["verdict"].endswith("but it is paused: lunch")

    inspected(work, tmp_path, strategy__name="signals")


def test_what_holds_trading_is_named_in_the_verdict(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        session = bench.rig.session
        await bench.vote(-200.0)
        control.reduce_only(session, "news")

        def verdict() -> str:
            (row,) = bench.inspection.signals(symbol=None, limit=5)["current"]
            return str(row["verdict"])

        assert verdict().startswith("no trade: would sell ")
        assert verdict().endswith("but trading is REDUCING: reduce-only: news")
        control.resume(session, reset_limits=False)
        assert verdict().startswith("trades: sell ")
        bench.rig.private.goes_down("reset")
        assert verdict().endswith("but the private stream is down")

    inspected(work, tmp_path, strategy__name="signals")


def test_signals_that_another_strategy_does_not_trade_say_so(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.vote(0.0)
        (row,) = bench.inspection.signals(symbol=None, limit=5)["current"]
        assert row["direction"] == "flat"
        assert row["verdict"] == "no trade: signals are only shown, TRADING_STRATEGY__NAME is none"

    inspected(work, tmp_path)


def test_stages_and_queues_are_told(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        found = safe(bench.inspection.latency())
        assert found["stages"]["book"]["since_start"]["samples"] > 0
        assert found["queues"]["journal_backlog"] == 0
        assert found["process"] == {"rss_mib": 80.0, "cpu_pct": None}
        assert found["event_loop"]["samples"] > 0

    inspected(work, tmp_path)


def test_candles_are_read_once_for_all_and_again_after_two_seconds(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        asked: list[str] = []
        klines = bench.rig.venue.klines

        async def counted(symbol: str, **how: object) -> object:
            asked.append(symbol)
            return await klines(symbol, **how)

        bench.rig.venue.klines = counted
        await bench.rig.enter()
        first = await bench.inspection.candles(SYMBOL, interval="1", limit=5)
        second = await bench.inspection.candles(SYMBOL, interval="1", limit=3)
        assert len(asked) == 1
        assert second["candles"] == first["candles"][-3:]
        assert {"start_ms", "open", "high", "low", "close", "volume"} == set(first["candles"][0])
        await asyncio.sleep(2.1)
        await bench.inspection.candles(SYMBOL, interval="1", limit=5)
        assert len(asked) == 2

    inspected(work, tmp_path)


def test_own_fills_inside_the_candles_are_shown(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.rig.enter()
        (fill,) = bench.inspection.fills(symbol=SYMBOL, limit=5)["fills"]
        starts: list[int] = []

        async def klines(_symbol: str, **_how: object) -> list[Candle]:
            price = Decimal(50_000)
            return [
                Candle(
                    start_ms=start,
                    open=price,
                    high=price,
                    low=price,
                    close=price,
                    volume=Decimal(1),
                    turnover=price,
                )
                for start in starts
            ]

        bench.rig.venue.klines = klines
        assert await bench.inspection.candles(SYMBOL, interval="5", limit=5) == {
            "symbol": SYMBOL,
            "interval": "5",
            "candles": [],
            "fills": [],
        }
        starts.append(fill["time_ms"])
        found = await bench.inspection.candles(SYMBOL, interval="15", limit=5)
        (shown,) = safe(found)["fills"]
        assert (shown["price"], shown["quantity"]) == (50_000.0, float(fill["quantity"]))
        starts[0] += 1
        later = await bench.inspection.candles(SYMBOL, interval="30", limit=5)
        assert later["fills"] == []

    inspected(work, tmp_path)


def test_a_throttled_entry_is_named(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.vote()
        session = bench.rig.session
        session.restraint.apply(Level.THROTTLE, reason="health 60")
        session.restraint.note_entry(SYMBOL)
        (row,) = bench.inspection.signals(symbol=None, limit=5)["current"]
        assert row["verdict"].endswith("but the health score throttles new trades")

    inspected(work, tmp_path, strategy__name="signals")


def test_a_picture_of_the_market_costs_the_loop_little(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        say_trades(bench.rig, 30)
        taken = []
        for _ in range(200):
            began_ns = time.perf_counter_ns()
            bench.inspection.market(SYMBOL, depth=25)
            taken.append(time.perf_counter_ns() - began_ns)
        assert statistics.median(taken) < 150_000

    inspected(work, tmp_path)


def test_a_venue_that_gives_no_candles_is_left_alone_for_two_seconds(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        asked: list[str] = []

        async def refuse(symbol: str, **_how: object) -> object:
            asked.append(symbol)
            raise unavailable(Outcome.NOT_SENT)

        bench.rig.venue.klines = refuse
        for _ in range(3):
            try:
                await bench.inspection.candles(SYMBOL, interval="1", limit=5)
            except VenueUnavailable:
                continue
            raise AssertionError("the failure was hidden")
        assert len(asked) == 1

    inspected(work, tmp_path)


def test_the_market_makers_quotes_are_shown(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await asyncio.sleep(5.0)
        found = safe(bench.inspection.market_maker())
        assert found["active"] is True
        assert {quote["side"] for quote in found["quotes"]} == {"Buy", "Sell"}
        assert found["figures"]["pnl"]["total"] is not None
        bench.rig.session.making = None

    inspected(work, tmp_path, strategy__name="market-maker")


def test_figures_are_plain_and_finite() -> None:
    assert figure(float("nan")) is None
    assert figure(None) is None
    assert money(Decimal("1E+3")) == "1000"
    assert json_safe({"a": [1.5, float("inf"), Decimal("2.50"), None, True], 3: {1}}) == {
        "a": [1.5, None, "2.5", None, True],
        "3": "{1}",
    }


def test_an_execution_without_a_quote_is_told_with_its_reason(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.rig.is_ticking = False
        bench.rig.session.feed.reset()
        await control.execute(
            bench.rig.session, SYMBOL, "Buy", "0.01", algorithm="market", urgency="HIGH"
        )
        (row,) = bench.inspection.executions(limit=5)["executions"]
        assert (row["success"], row["filled"], row["children"]) == (False, "0", 0)
        assert row["reason"]

    inspected(work, tmp_path)
