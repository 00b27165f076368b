"""Hosts, instruments and books over loopback sockets, against a host that shows one book."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from frozen_books import frozen_bybit

from trading_system.config.settings import Settings, load_settings
from trading_system.cost_simulator.connecting import own_folder
from trading_system.cost_simulator.faults import UnknownInstrumentError
from trading_system.cost_simulator.simulator import CostSimulator
from trading_system.domain.errors import ConfigurationError, VenueError


def settings(rest: str, ws: str) -> Settings:
    environ = {"TRADING_BYBIT__REST_URL": rest, "TRADING_BYBIT__WS_URL": ws}
    return load_settings({}, environ=environ)


async def test_a_hand_made_book_over_sockets_gives_hand_computed_numbers() -> None:
    async with frozen_bybit() as (rest, ws), CostSimulator(settings(rest, ws)) as simulator:
        answer = simulator.estimate(side="buy", quantity=6, volatility_bps=1)
        assert answer["slippage_bps"] == pytest.approx(21.0 + 2 / 3, abs=1e-9)
        assert answer["book"]["sequence"] == 77
        assert simulator.status()["feeds"]["bybit"]["is_up"] is True


async def test_an_instrument_that_is_not_offered_is_refused_with_one_that_is() -> None:
    async with frozen_bybit() as (rest, ws):
        with pytest.raises(UnknownInstrumentError, match=r"does not offer NOUSDT.*BTCUSDT"):
            async with CostSimulator(settings(rest, ws), instrument="NOUSDT"):
                pass


async def test_a_host_that_is_not_there_is_named() -> None:
    with pytest.raises(VenueError):
        async with CostSimulator(settings("http://127.0.0.1:9", "ws://127.0.0.1:9")):
            pass


async def test_an_address_without_its_other_half_is_refused() -> None:
    half = load_settings({}, environ={"TRADING_BYBIT__REST_URL": "http://127.0.0.1:9"})
    with pytest.raises(ConfigurationError, match="TRADING_BYBIT__WS_URL"):
        async with CostSimulator(half):
            pass


def test_a_folder_that_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left, alive, foreign = (
        tmp_path / name for name in ("cost-999999999-x", f"cost-{os.getpid()}-y", "costs")
    )
    for each in (left, alive, foreign):
        each.mkdir()
    (left / "venue-state").touch()
    with own_folder(tmp_path) as mine:
        assert mine.parent == tmp_path
        assert mine.is_dir()
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted([alive, foreign])


def test_a_data_directory_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match="TRADING_DATA_DIR"),
        own_folder(tmp_path / "file"),
    ):
        pass


def test_compiled_kernels_are_not_loaded_before_a_bybit_market_is_named() -> None:
    code = (
        "import sys, trading_system.cost_simulator.server, trading_system.cost_simulator.okx\n"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
