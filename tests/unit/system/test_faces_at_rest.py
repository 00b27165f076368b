"""Client and engine where nothing runs: complete answers, clear refusals, nothing left behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from live_rig import live_settings

from trading_system.bybit_client import BybitClient
from trading_system.config.settings import Settings
from trading_system.domain.errors import LifecycleError, VenueUnavailable
from trading_system.enhanced_trading_engine import EnhancedTradingEngine
from trading_system.enhanced_trading_system import EnhancedTradingSystem

KEYS = {
    "engine_active",
    "account_balance",
    "active_positions",
    "trades_executed",
    "trades_successful",
    "success_rate",
    "total_pnl",
    "risk_status",
    "config",
    "active_position_details",
}


def unreachable(folder: Path) -> Settings:
    return live_settings(
        folder,
        bybit__rest_url="http://127.0.0.1:9",
        bybit__ws_url="ws://127.0.0.1:9",
        bybit__api_key="k",
        bybit__api_secret="s",
    )


def test_the_engine_has_every_key_from_the_first_call(tmp_path: Path) -> None:
    status = EnhancedTradingEngine(settings=unreachable(tmp_path)).get_engine_status()
    assert set(status) == KEYS
    assert status["engine_active"] is False
    assert status["risk_status"]["trading_state"] == "HALTED"
    assert status["active_position_details"] == []
    json.dumps(status, allow_nan=False)


async def test_an_engine_at_rest_refuses_to_act(tmp_path: Path) -> None:
    engine = EnhancedTradingEngine(settings=unreachable(tmp_path))
    with pytest.raises(LifecycleError):
        await engine.close_position("BTCUSDT")
    with pytest.raises(LifecycleError):
        await engine.emergency_close_all_positions()
    await engine.stop_engine("twice")
    await engine.stop_engine("twice")


async def test_an_engine_of_a_system_at_rest_starts_and_stops_nothing(tmp_path: Path) -> None:
    system = EnhancedTradingSystem(unreachable(tmp_path))
    engine = EnhancedTradingEngine(system)
    with pytest.raises(LifecycleError, match="not running"):
        await engine.start_engine()
    await engine.stop_engine()
    assert system.get_system_status()["state"] == "NEW"


async def test_an_engine_whose_venue_is_away_says_so_and_undoes_its_start(tmp_path: Path) -> None:
    engine = EnhancedTradingEngine(settings=unreachable(tmp_path))
    with pytest.raises(VenueUnavailable):
        await engine.start_engine()
    assert len(asyncio.all_tasks()) == 1


async def test_a_client_of_a_system_at_rest_starts_nothing(tmp_path: Path) -> None:
    client = EnhancedTradingSystem(unreachable(tmp_path)).bybit_client
    with pytest.raises(LifecycleError, match="start_system"):
        await client.get_market_data("BTCUSDT")
    for use in (lambda: client.rest_url, lambda: client.auth_headers(b""), features(client)):
        with pytest.raises(LifecycleError, match="not running"):
            use()
    await client.close()


def features(client: BybitClient):
    return lambda: client.features("BTCUSDT")


async def test_a_client_whose_venue_is_away_says_so_every_time(tmp_path: Path) -> None:
    client = BybitClient(unreachable(tmp_path))
    for _ in range(2):  # a failed first call can be tried again
        with pytest.raises(VenueUnavailable, match="cannot connect to"):
            await client.test_connection()
    for _ in range(2):
        await client.close()
    with pytest.raises(LifecycleError, match="closed"):
        await client.test_connection()
    assert len(asyncio.all_tasks()) == 1


async def test_a_client_that_was_never_used_closes_without_a_venue(tmp_path: Path) -> None:
    client = BybitClient(unreachable(tmp_path))
    await client.close()
    assert len(asyncio.all_tasks()) == 1


class DirtyDesk:
    """A desk that leaves an order behind."""

    left_behind = "1 own orders are still open at the venue"
    is_live = True

    async def stop(self, reason: str) -> None:
        self.reason = reason


async def test_a_client_that_leaves_orders_behind_says_so(tmp_path: Path) -> None:
    client = BybitClient(unreachable(tmp_path))
    client._desk = DirtyDesk()  # type: ignore[assignment]  # no venue can be made to do this
    with pytest.raises(VenueUnavailable, match="still open"):
        await client.close()
    with pytest.raises(VenueUnavailable, match="still open"):
        async with client:
            pass


async def test_leaving_orders_behind_does_not_hide_the_callers_own_error(tmp_path: Path) -> None:
    client = BybitClient(unreachable(tmp_path))
    client._desk = DirtyDesk()  # type: ignore[assignment]  # no venue can be made to do this
    with pytest.raises(ZeroDivisionError):
        async with client:
            raise ZeroDivisionError
