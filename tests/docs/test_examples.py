"""Examples are run, not only shown."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from frozen_books import FrozenFeed
from quoting_venue import FakeQuotingVenue

from agents import MarketMaker
from agents.conformance import check_signal_model
from trading_system.config.settings import Settings
from trading_system.cost_simulator.simulator import CostSimulator
from trading_system.domain.orders import Side
from trading_system.runtime.clock import ManualClock, SystemClock

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def said_by(name: str, folder: Path) -> str:
    """Run an example as its first lines say and return what it printed."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("TRADING_")}
    done = subprocess.run(
        [sys.executable, f"examples/{name}.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), "TRADING_DATA_DIR": str(folder)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_of_an_own_agent_conforms_and_speaks() -> None:
    report = check_signal_model(loaded("my_signal").MySignal, clock=SystemClock())
    assert report.agent == "my_signal"
    assert report.opinions > 100


def test_the_example_of_an_own_agent_is_short() -> None:
    lines = (EXAMPLES / "my_signal.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 25


async def test_the_cost_example_finds_costs_that_do_not_fall_with_size() -> None:
    example, clock = loaded("cost_comparison"), ManualClock()
    feeds = []
    for exchange, instrument in example.MARKETS:
        feed = FrozenFeed(exchange, instrument, clock=clock)
        feed.show(instrument)
        feeds.append(feed)
    async with CostSimulator(Settings(), feeds=feeds, clock=clock) as simulator:
        small, large = (example.net_costs_bps(simulator, usd) for usd in (100, 1_000))
    assert small.keys() == large.keys() == {"bybit", "okx"}
    assert all(0 < small[exchange] < large[exchange] for exchange in small)


@pytest.mark.timeout(90)
@pytest.mark.xdist_group("processes")
def test_the_cost_example_runs_as_printed(tmp_path: Path) -> None:
    said = re.findall(
        r"^buy for ([\d,]+) USD: bybit ([\d.]+) bps, okx ([\d.]+) bps; cheapest: (\w+)$",
        said_by("cost_comparison", tmp_path),
        flags=re.MULTILINE,
    )
    assert [size for size, *_ in said] == ["1,000", "50,000", "1,000,000"]
    assert all(winner in {"bybit", "okx"} for *_, winner in said)


async def test_the_market_maker_example_pulls_its_quotes_when_it_gets_wild() -> None:
    example = loaded("calm_quotes")
    venue = FakeQuotingVenue(example.SYMBOL)
    maker = MarketMaker(
        venue, symbols=(example.SYMBOL,), settings=example.SETTINGS, clock=venue.clock
    )
    limit = example.CALM_BPS
    assert await example.quote_if_calm(maker)
    assert {order.side for order in venue.orders.values()} == set(Side)
    example.CALM_BPS = 0.0
    assert not await example.quote_if_calm(maker)
    assert not venue.orders
    example.CALM_BPS = limit
    venue.clock.advance(1.0)
    venue.refresh()
    assert await example.quote_if_calm(maker)
    assert len(venue.orders) == 2


@pytest.mark.timeout(90)
@pytest.mark.xdist_group("processes")
def test_the_market_maker_example_quotes_and_leaves_nothing(tmp_path: Path) -> None:
    said = said_by("calm_quotes", tmp_path)
    assert len(re.findall(r"^(?:calm|wild): \d+ quotes in the book$", said, re.MULTILINE)) == 5
    assert "calm: 2 quotes in the book" in said
    assert "All quotes cancelled: True" in said
