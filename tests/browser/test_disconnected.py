"""When the trading process dies: said at once, nothing looks fresh, and found again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from browser_rig import System, log_in, opened, until, violations
from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]


@pytest.fixture
def attached(bare: System) -> Iterator[System]:
    """A system whose dashboard was started by ``trading-system dashboard``."""
    with (bare.data_dir / "dashboard.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "trading_system", "dashboard", "--json"],
            stdout=log,
            stderr=log,
            env=bare.environ,
        )
    try:
        until((bare.data_dir / "dashboard.json").exists, within_s=40, what="a dashboard")
        yield bare
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)


def lost(text: str) -> bool:
    """Whether a message of the browser only says that the server is gone."""
    words = ("ERR_CONNECTION_REFUSED", "WebSocket connection", "401")
    return any(word in text for word in words)


def test_a_dead_system_is_told_on_every_page_and_its_successor_found(
    browser: Browser, attached: System
) -> None:
    with opened(browser, attached) as watched:
        for path in ("/", "/market", "/risk"):
            watched.open(path)
        attached.kill()
        until(lambda: watched.fact("Connection") == "disconnected", what="disconnected")
        problem = watched.page.locator(".problem:not(.lost)")
        until(problem.is_visible, what="the notice")
        assert "Figures on this page are old" in problem.inner_text()
        for path in ("/", "/market", "/risk", "/alerts", "/cost", "/market-maker"):
            watched.page.goto(watched.base + path)
            until(lambda: watched.fact("Connection") == "disconnected", what=f"told on {path}")
            until(problem.is_visible, what=f"the notice on {path}")
            until(lambda: watched.page.locator(".content.is-old").count(), what="dimmed")
            filters = watched.page.locator(".content").evaluate("c => getComputedStyle(c).filter")
            assert filters == "saturate(0)", path
            assert watched.page.locator(".top [data-kind=good]").count() == 0, path
            assert violations(watched) == [], path
            watched.shot(f"disconnected-{path.strip('/') or 'overview'}")
        watched.page.goto(watched.base + "/risk")
        until(lambda: re.search(r"\d", watched.fact("Updated")), what="the age of the old figures")
        updated = watched.fact("Updated")
        assert watched.fact("Updated") == updated
        attached.start()
        until(lambda: watched.fact("Connection") == "live", within_s=30, what="live again")
        until(lambda: watched.fact("Trading") == "ACTIVE", within_s=30, what="ACTIVE again")
        assert problem.is_hidden()
        until(lambda: re.search(r"\d", watched.figure("Equity")))


def test_a_dashboard_that_was_started_again_asks_for_a_login(
    browser: Browser, disposable: System
) -> None:
    with opened(browser, disposable) as watched:
        watched.open("/market")
        watched.forgiven = lost
        dashboard = json.loads((disposable.data_dir / "dashboard.json").read_text())
        os.kill(dashboard["pid"], signal.SIGKILL)
        watched.page.wait_for_url("**/login")
        assert "trading-system dashboard" in watched.page.locator("body").inner_text()
        assert log_in(disposable, watched.page) == watched.base
        watched.open("/market")
        assert disposable.ask("/status")["state"] == "RUNNING"


def test_a_dashboard_that_ends_with_its_system_is_missed_by_the_page(
    browser: Browser, disposable: System
) -> None:
    with opened(browser, disposable) as watched:
        watched.open("/")
        watched.forgiven = lost
        disposable.kill()
        notice = watched.page.get_by_text("no longer answers")
        until(notice.is_visible, what="a notice by the page itself")
        until(lambda: watched.page.locator("body.is-lost .content").count(), what="dimmed")
        watched.shot("lost")
        assert (
            watched.page.locator(".fact-link .fact-value").evaluate(
                "one => getComputedStyle(one, '::after').content"
            )
            == '"disconnected"'
        )
