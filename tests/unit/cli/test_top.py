"""The one-screen view: what it shows, that missing figures are dashes, and how it ends."""

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from snapshots import NEW_SNAPSHOT

from trading_system.cli import top
from trading_system.domain.errors import TradingSystemError
from trading_system.monitoring.health import Health
from trading_system.monitoring.status import OrderCounts, WatchFigures, status_of

WATCHED = WatchFigures(
    behaviour={"level": "reduce-only", "reason": "health 48 below 55", "score": 48.0},
    alerts={"firing": 1},
    process={"cpu_pct": 12.4, "rss_mib": 201.7},
    time_in_compliance={},
    degradation={},
)
RUNNING = replace(
    NEW_SNAPSHOT,
    state="RUNNING",
    trading_state="REDUCING",
    uptime_s=3723.0,
    orders=OrderCounts(sent=7, filled=5),
    success_rate_pct=83.0,
    slippage_bps=0.7,
    equity_quote="99998.5",
    pnl_quote="-1.5",
    market={"market": "synthetic", "edge_bps": 25.0},
    health=Health(score=48.0, reasons=("private stream: down (-12.0)",)),
    watch=WATCHED,
)
POSITION = {
    "symbol": "BTCUSDT",
    "quantity": "-0.015",
    "entry_price": "65000.1",
    "mark_price": None,
    "notional": None,
    "unrealised_pnl": None,
    "protective_stop": "65700",
}
ALERT = {
    "rule": "component-failure",
    "subject": "private stream",
    "severity": "critical",
    "state": "firing",
    "message": "private stream is down",
    "remedy": "look at the network",
}


def answers(**changes: Any) -> dict[str, Any]:
    return {
        "status": status_of(RUNNING),
        "positions": {"positions": [POSITION]},
        "alerts": {"alerts": [ALERT]},
        **changes,
    }


def text_of(shown: dict[str, Any]) -> str:
    console = Console(file=StringIO(), width=160, color_system=None)
    console.print(top.screen(shown))
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_one_screen_names_state_score_reason_position_and_alert() -> None:
    text = text_of(answers())
    for wanted in (
        *("SIMULATED", "RUNNING", "REDUCING", "reduce-only: health 48 below 55", "up 1:02:03"),
        *("synthetic market, edge 25 bps", "health 48", "private stream: down", "7 sent, 5 filled"),
        *("99998.50 USDT", "-1.50 USDT", "83 %", "+0.70 bps", "12 % of a core", "-0.015", "65700"),
        "critical component-failure private stream: private stream is down → look at the network",
    ):
        assert wanted in text, wanted


def test_what_was_not_measured_is_a_dash_and_never_a_number() -> None:
    shown = answers(
        status=status_of(NEW_SNAPSHOT), positions={"positions": []}, alerts={"alerts": []}
    )
    text = text_of(shown)
    assert "no open position" in text
    assert "no alert" in text
    assert "success / wins   - / -" in text
    assert "equity           -" in text


def test_flat_symbols_and_cleared_alerts_are_not_listed() -> None:
    shown = answers(
        positions={"positions": [{**POSITION, "quantity": "0"}]},
        alerts={"alerts": [{**ALERT, "state": "cleared"}]},
    )
    assert "65700" not in text_of(shown)
    assert "no alert" in text_of(shown)


def test_more_alerts_than_fit_are_counted() -> None:
    assert "and 3 more" in text_of(answers(alerts={"alerts": [ALERT] * 9}))


class Wire:
    """Answers until it is told to fail."""

    def __init__(self) -> None:
        self.is_down = False
        self.asked: list[str] = []

    def __call__(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if self.is_down:
            raise TradingSystemError("gone away")
        return answers()[path.removeprefix("/")]


def test_a_lost_system_is_said_and_asked_again_until_ctrl_c() -> None:
    wire, out = Wire(), StringIO()
    steps = iter([False, True, False])

    def sleep(seconds: float) -> None:
        assert seconds == 2.0
        down = next(steps, None)
        if down is None:
            raise KeyboardInterrupt
        wire.is_down = down

    console = Console(file=out, width=160, force_terminal=True, color_system=None)
    top.watch(wire, interval_s=2.0, console=console, sleep=sleep)
    assert "no answer: gone away" in out.getvalue()
    assert wire.asked == [*top.PATHS, *top.PATHS, "/status", *top.PATHS]


def test_a_system_that_never_answered_is_an_error() -> None:
    wire = Wire()
    wire.is_down = True
    with pytest.raises(TradingSystemError, match="gone away"):
        top.watch(wire, interval_s=1.0)
