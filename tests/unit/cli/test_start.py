from typing import Any

import pytest

from trading_system.cli.output import ExitCode
from trading_system.cli.start import _verdict

CLEAN: dict[str, Any] = {
    "state": "STOPPED",
    "position": {"local": {"BTCUSDT": "0.1"}, "venue": {"BTCUSDT": "0.1"}},
    "own_open_orders": 0,
    "orders": {"unknown": 0},
}


def test_a_clean_end_is_success() -> None:
    assert _verdict(CLEAN) is ExitCode.OK


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "FAILED"},
        {"position": {"local": {}, "venue": None}},
        {"position": {"local": {}, "venue": {"BTCUSDT": "0.1"}}},
        {"own_open_orders": None},
        {"own_open_orders": 1},
        {"orders": {"unknown": 1}},
    ],
)
def test_anything_open_unknown_or_different_is_a_failure(changes: dict[str, Any]) -> None:
    assert _verdict({**CLEAN, **changes}) is ExitCode.FAILED
