"""Stops that rest at the real venue, and the engine's face, on a running system."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from live_rig import BTC, ETH, eventually, live_settings, reader_of, running

from trading_system.bybit_client import BybitClient
from trading_system.domain.errors import LifecycleError, ValidationError
from trading_system.domain.orders import Side
from trading_system.enhanced_trading_engine import EnhancedTradingEngine
from trading_system.enhanced_trading_system import short_session
from trading_system.live.session import TradingSession

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("processes")]


async def test_a_position_that_lost_its_stop_gets_one_again_and_closing_takes_it_away(
    tmp_path: Path,
) -> None:
    async with running(live_settings(tmp_path, strategy__name="none")) as system:
        engine, reader = EnhancedTradingEngine(system), reader_of(system.desk)
        assert await engine.close_position(ETH) is False
        await system.bybit_client.place_order(ETH, "Buy", quantity="0.5")
        assert len(await reader.rows("/v5/order/realtime", symbol=ETH)) == 1
        session = system.desk.live_session()
        await session.engine.protect(ETH, None, timeout_s=2.0)
        await no_open_orders(reader.rows, ETH)
        await session.reconciler.check()
        assert session.reconciler.venue_stops[ETH] is None
        # Within a round of the comparison, and seen in the next one.
        await eventually(lambda: session.reconciler.venue_stops.get(ETH) is not None, within_s=14)
        (stop,) = await reader.rows("/v5/order/realtime", symbol=ETH)
        assert (stop["stopOrderType"], stop["side"]) == ("StopLoss", "Sell")
        (details,) = engine.get_engine_status()["active_position_details"]
        assert details["own_quantity"] == "0.5"
        assert Decimal(details["protective_stop"]) == Decimal(stop["triggerPrice"])
        assert system.get_system_status()["protective_stops"] == 1
        closed = await engine.close_position(ETH)
        assert closed is not False
        assert closed["order_result"]["is_complete"] is True
        assert await reader.positions() == {}
        await no_open_orders(reader.rows, ETH)
        assert engine.get_engine_status()["active_positions"] == 0
        # Pausing and resuming by the engine's face leaves the system running.
        await engine.stop_engine("lunch")
        assert engine.get_engine_status()["engine_active"] is False
        await engine.start_engine()
        assert system.desk.is_live


async def no_open_orders(rows, symbol: str) -> None:
    async with asyncio.timeout(5):
        while await rows("/v5/order/realtime", symbol=symbol):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
async def test_a_stop_at_the_venue_closes_the_position_without_the_system(
    side: Side, tmp_path: Path
) -> None:
    async with running(live_settings(tmp_path, strategy__name="none")) as system:
        session, reader = system.desk.live_session(), reader_of(system.desk)
        name = side.name.title()
        await system.bybit_client.place_order(
            BTC, name, quantity="0.02", stop_loss=near(session, side, ticks=3000)
        )
        assert session.own_quantity(BTC) == side.sign * Decimal("0.02")
        sent = session.engine.sent
        async with asyncio.timeout(30):
            while session.own_quantity(BTC):  # drawn up to the market until the market takes it
                await session.protection.protect(BTC, near(session, side, ticks=3))
                await asyncio.sleep(0.2)
        assert session.engine.sent == sent  # the venue's own order, not one of the system's
        assert session.portfolio.position(BTC).quantity == 0
        assert await reader.positions() == {}
        assert session.portfolio.position(BTC).fees > 0
        past = await reader.rows("/v5/order/history", symbol=BTC)
        (fired,) = [row for row in past if row["stopOrderType"] == "StopLoss" and filled(row)]
        assert fired["reduceOnly"] is True
        assert await session.reconciler.compare() is True
    status = system.get_system_status()
    assert status["position"]["local"] == status["position"]["venue"] == {}
    assert (status["open_orders"], status["protective_stops"]) == (0, 0)


def filled(row: dict[str, str]) -> bool:
    return Decimal(row["cumExecQty"]) > 0


def near(session: TradingSession, side: Side, *, ticks: int) -> Decimal:
    """Return a price so many ticks on the losing side of the mark."""
    state = session.feed.symbols[BTC]
    assert state.ticker is not None
    assert state.ticker.mark_price is not None
    mark_ticks = state.instrument.floor_ticks(state.ticker.mark_price)
    return state.instrument.ticks_to_price(mark_ticks - side.sign * ticks)


async def test_a_client_of_its_own_opens_on_first_use_and_reads_everything(
    tmp_path: Path,
) -> None:
    settings = live_settings(tmp_path)
    client = BybitClient(settings)
    with pytest.raises(LifecycleError):
        _ = client.rest_url
    # Two first uses at once start one venue.
    async with asyncio.TaskGroup() as group:
        tests = [group.create_task(client.test_connection()) for _ in range(2)]
    assert all(test.result()["connected"] for test in tests)
    assert (await client.get_account_balance())["total_equity"] > 0
    assert (await client.get_market_data(BTC))["symbol"] == BTC
    assert (await client.get_enhanced_market_data(BTC))["symbol"] == BTC
    book = await client.get_order_book_data(BTC, limit=5)
    assert (len(book["bids"]), len(book["asks"])) == (5, 5)
    assert len(await client.get_kline_data(BTC, limit=3)) <= 3
    assert (await client.get_funding_rate(BTC))["symbol"] == BTC
    assert isinstance(await client.get_funding_rate_history(BTC), list)
    assert (await client.get_open_interest(BTC))["symbol"] == BTC
    assert isinstance(await client.get_open_interest_history(BTC), list)
    assert "note" in await client.get_liquidation_data(BTC)
    assert (await client.get_instrument_info(BTC))["symbol"] == BTC
    assert (await client.set_leverage(BTC, 5))["symbol"] == BTC
    assert (await client.get_position_info(BTC))[0]["quantity"] == 0
    assert (await client.instrument(BTC)).symbol == BTC
    assert client.features(BTC) is not None
    assert client.features("FOOUSDT") is None
    assert client.rest_url.startswith("http://127.0.0.1:")
    assert "X-BAPI-SIGN" in client.auth_headers(b"a=1")
    for wrong in ({"quantity": "-1"}, {"quantity": "1", "leverage": 3}, {}):
        with pytest.raises(ValidationError):
            await client.place_order(BTC, "Buy", **wrong)
    with pytest.raises(ValidationError, match="side"):
        await client.place_order(BTC, "Long", quantity="1")
    await client.close()
    await client.close()
    with pytest.raises(LifecycleError):
        await client.get_market_data(BTC)
    assert len(asyncio.all_tasks()) == 1
    assert not (settings.data_dir / "venue-state").exists()


async def test_a_short_session_trades_no_strategy_and_ends_with_its_block(tmp_path: Path) -> None:
    async with short_session(live_settings(tmp_path, venue__edge=60.0)) as system:
        answer = await system.execute(ETH, "Sell", "0.1", algorithm="market")
        assert answer["success"] is True
        assert not system.desk.live_session().trader.is_active
        assert (await system.pause("lunch"))["paused"] == "lunch"
        assert (await system.reduce_only("news"))["trading_state"] == "REDUCING"
        assert (await system.resume(reset_limits=True))["trading_state"] == "ACTIVE"
        await asyncio.sleep(0)
    status = system.get_system_status()
    assert (status["state"], status["stop_reason"]) == ("STOPPED", "the command is done")
    assert status["position"]["local"] == status["position"]["venue"] == {ETH: "-0.1"}
