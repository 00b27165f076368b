"""Which desk works a parent order."""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from trading_system.api.address import ApiAddress, write_address
from trading_system.cli.execute import parent_request, rows, run
from trading_system.cli.output import ExitCode, NotRunningError
from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError

REQUEST = parent_request(
    symbol="btcusdt", side="SELL", quantity="0.5", algorithm="MARKET", urgency="high"
)


class Desk:
    def __init__(self, *, success: bool) -> None:
        self.success = success
        self.asked: list[tuple[Any, ...]] = []
        self.is_open = False

    async def execute(
        self, symbol: str, side: str, quantity: str, *, algorithm: str | None, urgency: str
    ) -> dict[str, Any]:
        assert self.is_open
        self.asked.append((symbol, side, quantity, algorithm, urgency))
        return {"success": self.success}

    @asynccontextmanager
    async def alone(self, _settings: Settings) -> AsyncIterator["Desk"]:
        self.is_open = True
        yield self
        self.is_open = False


def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize(("success", "code"), [(True, ExitCode.OK), (False, ExitCode.FAILED)])
def test_without_a_running_system_a_session_of_its_own_works_the_order(
    tmp_path: Path, success: bool, code: ExitCode
) -> None:
    desk = Desk(success=success)
    assert run(settings(tmp_path), REQUEST, stand_alone=desk.alone)[0] is code
    assert desk.asked == [("BTCUSDT", "Sell", "0.5", "market", "HIGH")]
    assert not desk.is_open


def test_a_stale_address_leads_to_a_session_of_its_own(tmp_path: Path) -> None:
    write_address(tmp_path, ApiAddress("http://127.0.0.1:9", "t"))
    desk = Desk(success=True)
    run(settings(tmp_path), REQUEST, stand_alone=desk.alone)
    assert len(desk.asked) == 1


def test_with_nothing_to_work_it_the_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="trading-system start"):
        run(settings(tmp_path), REQUEST)


def test_a_system_that_starts_or_hangs_is_never_joined_by_a_second_one(tmp_path: Path) -> None:
    desk = Desk(success=True)
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="another system"):
            run(settings(tmp_path), REQUEST, stand_alone=desk.alone)
    finally:
        os.close(descriptor)
    assert desk.asked == []


ORDER: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "side": "Buy",
    "chunks_executed": 2,
    "total_filled": 0.05,
    "total_quantity": 0.05,
    "average_price": 65_100.5,
    "arrival_mid": 65_090.0,
    "average_slippage_bps": 1.613,
    "fees": 1.79,
    "fees_bps": 5.5,
    "duration_ms": 120.0,
    "reason": "",
}


def test_a_parent_order_is_told_in_six_rows() -> None:
    told = rows({"success": True, "error": None, "order_result": ORDER, "microstructure": {"a": 1}})
    assert told == [
        ("result", "done in 0.12 s"),
        ("order", "Buy 0.05 BTCUSDT"),
        ("filled", "0.05 in 2 orders"),
        ("price", "65,100.5, middle at arrival 65,090"),
        ("slippage", "1.61 bps, + is cost"),
        ("fees", "1.7900 USDT, 5.50 bps of traded value"),
    ]


def test_a_refusal_says_why_first() -> None:
    nothing = dict.fromkeys(("average_price", "average_slippage_bps", "fees_bps"))
    order = ORDER | nothing | {"total_filled": 0.0, "chunks_executed": 0, "fees": 0.0}
    told = rows({"success": False, "error": "self_cross: no", "order_result": order})
    assert len(told) == 6
    assert told[0] == ("result", "refused or failed: self_cross: no")
    assert told[3] == ("price", "n/a: nothing filled")
    partly = ORDER | {"total_filled": 0.01, "reason": "time is over", "arrival_mid": None}
    told = rows({"success": False, "error": None, "order_result": partly})
    assert told[0] == ("result", "partly done: time is over")
    assert told[3] == ("price", "65,100.5")
    told = rows({"success": False, "error": "no quote", "order_result": None})
    assert told == [("result", "refused or failed: no quote")]


def test_nested_figures_become_rows() -> None:
    answer = {"success": True, "metrics": {"a": {"b": 1}, "c": None}}
    assert rows(answer) == [("success", "True"), ("metrics.a.b", "1"), ("metrics.c", "None")]
