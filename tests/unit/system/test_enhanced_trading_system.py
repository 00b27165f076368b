"""The life of the assembled system where no venue answers."""

import asyncio
import json
import socket
from pathlib import Path

import pytest

from trading_system.config.settings import Settings, load_settings
from trading_system.domain.errors import ConfigurationError, LifecycleError, VenueUnavailable
from trading_system.enhanced_trading_system import EnhancedTradingSystem
from trading_system.monitoring.latency import STAGES

NOBODY = "http://127.0.0.1:9"


def settings(tmp_path: Path, **values: object) -> Settings:
    given: dict[str, object] = {
        "bybit.rest_url": NOBODY,
        "bybit.ws_url": "ws://127.0.0.1:9",
        "bybit.api_key": "k",
        "bybit.api_secret": "s",
        **values,
    }
    nowhere = tmp_path / "nothing"
    return load_settings(given, environ={}, dotenv_path=nowhere, config_path=nowhere)


async def test_the_status_is_complete_before_anything_happened(tmp_path: Path) -> None:
    status = EnhancedTradingSystem(settings(tmp_path)).get_system_status()
    json.dumps(status, allow_nan=False)
    assert status["status"] == "no data yet"
    assert tuple(status["stages"]) == STAGES
    assert status["stages"]["ack"]["p95_us"] is None
    assert status["system_health"]["health_score"] == 0
    assert not any(status["performance_compliance"].values())


async def test_a_stop_before_the_start_does_nothing(tmp_path: Path) -> None:
    system = EnhancedTradingSystem(settings(tmp_path))
    await system.stop_system("too early")
    assert system.get_system_status()["state"] == "NEW"


async def test_a_failed_start_leaves_nothing_and_cannot_be_repeated(tmp_path: Path) -> None:
    system = EnhancedTradingSystem(settings(tmp_path))
    with pytest.raises(VenueUnavailable):
        await system.start_system()
    with pytest.raises(LifecycleError, match="started before"):
        await system.start_system()
    for reason in ("one", "two"):
        await system.stop_system(reason)
    status = system.get_system_status()
    json.dumps(status, allow_nan=False)
    assert (status["state"], status["system_active"]) == ("FAILED", False)
    assert len(asyncio.all_tasks()) == 1


async def test_a_stop_that_was_requested_first_wins(tmp_path: Path) -> None:
    system = EnhancedTradingSystem(settings(tmp_path))
    system.request_stop("changed my mind")
    with pytest.raises(LifecycleError, match="changed my mind"):
        await system.start_system()


async def test_a_request_to_stop_undoes_a_start_under_way(tmp_path: Path) -> None:
    with socket.socket() as mute:  # accepts and never answers
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        system = EnhancedTradingSystem(settings(tmp_path, **{"bybit.rest_url": url}))

        async def interrupt() -> None:
            while system.get_system_status()["state"] != "STARTING":
                await asyncio.sleep(0.01)
            system.request_stop("SIGINT")

        async with asyncio.timeout(4), asyncio.TaskGroup() as group:
            group.create_task(interrupt())
            with pytest.raises(LifecycleError, match="SIGINT"):
                await system.start_system()
    status = system.get_system_status()
    assert (status["state"], status["stop_reason"]) == ("STOPPED", "SIGINT")


async def test_settings_that_the_embedded_venue_refuses_are_misuse(tmp_path: Path) -> None:
    nothing = {"bybit.rest_url": None, "bybit.ws_url": None}
    system = EnhancedTradingSystem(settings(tmp_path, symbols="FOOUSDT", **nothing))
    with pytest.raises(ConfigurationError, match="FOOUSDT"):
        await system.start_system()
