"""``cost estimate``: the numbers of the Python interface, and exit 2 for misuse."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from frozen_books import frozen_bybit

from trading_system.cli.cost_table import plain
from trading_system.config.settings import load_settings
from trading_system.cost_simulator.simulator import CostSimulator

Command = Callable[..., Awaitable[Any]]
TRADE = ("cost", "estimate", "--side", "buy", "--quantity", "6", "--volatility-bps", "1")


@pytest.fixture
async def frozen(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    async with frozen_bybit() as (rest, ws):
        monkeypatch.setenv("TRADING_BYBIT__REST_URL", rest)
        monkeypatch.setenv("TRADING_BYBIT__WS_URL", ws)
        yield


async def test_the_command_prints_what_python_answers(command: Command, frozen: None) -> None:
    done = await command(*TRADE, "--json")
    async with CostSimulator(load_settings({})) as simulator:
        expected = simulator.estimate(side="buy", quantity=6, volatility_bps=1)
    answer = json.loads(done.out)
    for passing in (answer, expected):
        passing.pop("latency")
        passing["book"].pop("age_ms")
        passing["book"].pop("message_age_ms")
        passing["book"].pop("ticks_per_s")
    assert (done.code, answer) == (0, expected)
    assert answer["slippage_bps"] == pytest.approx(21.0 + 2 / 3, abs=1e-9)


async def test_people_get_a_table_with_units(command: Command, frozen: None) -> None:
    done = await command(*TRADE)
    assert done.code == 0
    assert "buy 6 base BTCUSDT on bybit, market" in done.out
    for text in ("21.667 bps", "USDT", "0.0 % / 100.0 %", "tier VIP 0", "1.000 bps, given"):
        assert text in done.out
    for text in ("interval: volatility", "instead, in slices", "spread and walk of the book"):
        assert text in done.out


async def test_the_table_of_a_limit_order_says_what_is_assumed(
    command: Command, frozen: None
) -> None:
    limit = ("--order-type", "limit", "--price", "99.5")
    done = await command(*TRADE, *limit)
    for text in ("maker fill (assumed)", "within 60 s at", "99.5", "completed at the market"):
        assert text in done.out
    assert "slices" not in done.out
    cancelled = await command(*TRADE, *limit, "--unfilled", "cancelled")
    assert "cancelled: the figures below" in cancelled.out
    crossing = await command(*TRADE, "--order-type", "limit", "--price", "100.15")
    assert "taken at once" in crossing.out
    whole = await command(*TRADE, "--order-type", "limit", "--price", "100.5")
    assert "crosses whole" in whole.out
    own = await command(*TRADE, "--taker-bps", "3", "--unit", "usd")
    assert "own rates, given with the request" in own.out
    assert "buy 6 USD BTCUSDT (0.06 base)" in own.out


def test_quantities_have_no_exponents() -> None:
    assert [plain(value) for value in (6.0, 1e-5, 1234567.5, 2e-15)] == [
        "6", "0.00001", "1,234,567.5", "0.000000000000002",
    ]  # fmt: skip


async def test_watch_ends_after_the_count_and_writes_one_document_each(
    command: Command, frozen: None
) -> None:
    done = await command(*TRADE, "--watch", "--count", "2", "--json")
    assert (done.code, len([json.loads(line) for line in done.out.splitlines()])) == (0, 2)
    shown = await command(*TRADE, "--watch", "--count", "1")
    assert (shown.code, "21.667 bps" in shown.out) == (0, True)


async def test_volatility_that_cannot_be_measured_in_time_is_said(
    command: Command, frozen: None
) -> None:
    done = await command("cost", "estimate", "--side", "sell", "--quantity", "1", "--wait", "0.2")
    assert (done.code, done.out) == (4, "")
    assert "0 of 10" in done.err
    assert "volatility_bps" in done.err


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--quantity", "-1"), "positive"),
        (("--quantity", "nan"), "positive"),
        (("--side", "hold"), "buy or sell"),
        (("--order-type", "limit"), "no price"),
        (("--price", "5"), "market order"),
        (("--exchange", "kraken"), "bybit or okx"),
        (("--count", "2"), "--watch"),
        (("--instrument", "NOUSDT"), "BTCUSDT"),
        (("--tier", "VIP 99"), "VIP 0"),
    ],
)
async def test_misuse_is_exit_2_with_a_remedy(
    command: Command, frozen: None, more: tuple[str, ...], word: str
) -> None:
    done = await command(*TRADE, *more)
    assert (done.code, done.out) == (2, "")
    assert word in done.err
    assert len(done.err.splitlines()) == 1


async def test_serve_wants_an_exchange_for_each_instrument(command: Command) -> None:
    done = await command(
        "cost", "serve", "--exchange", "okx", "--exchange", "bybit", "--instrument", "BTCUSDT"
    )
    assert (done.code, "one for each" in done.err) == (2, True)


async def test_serve_on_a_port_in_use_is_one_line(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = await command("cost", "serve", "--port", str(taken.getsockname()[1]))
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "TRADING_COST__PORT" in done.err


async def test_the_wait_bounds_the_wait_for_the_book_too(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with frozen_bybit(asks=[]) as (rest, ws):
        monkeypatch.setenv("TRADING_BYBIT__REST_URL", rest)
        monkeypatch.setenv("TRADING_BYBIT__WS_URL", ws)
        for more in ((), ("--watch",)):
            done = await command(*TRADE, *more, "--wait", "0.3")
            assert (done.code, done.out) == (4, "")
            assert "no valid book of bybit BTCUSDT within 0.3 s" in done.err
