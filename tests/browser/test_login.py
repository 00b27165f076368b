"""Who gets in: a link once, a cookie until log-out, nobody else."""

from __future__ import annotations

import pytest
from browser_rig import DESK, System
from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]


def test_a_link_works_once_and_log_out_ends_it(browser: Browser, signals: System) -> None:
    link = signals.printed("dashboard")["login"]
    base = link.split("/login")[0]
    one, two = (browser.new_context(viewport={"width": DESK[0], "height": DESK[1]}) for _ in "12")
    try:
        page, other = one.new_page(), two.new_page()
        answer = page.goto(base)
        assert answer is not None
        assert answer.status == 401
        assert "trading-system dashboard" in page.locator("body").inner_text()
        page.goto(link)
        other.goto(link)
        page.get_by_role("button").click()
        page.locator(".content").wait_for()
        assert page.url == f"{base}/"
        assert "code=" not in page.evaluate("JSON.stringify(performance.getEntries())")
        with other.expect_response("**/login") as refused:
            other.get_by_role("button").click()
        assert refused.value.status == 401
        assert "used up" in other.locator("body").inner_text()
        (cookie,) = one.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        watching = one.new_page()
        watching.goto(base)
        watching.locator(".content").wait_for()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        watching.wait_for_url("**/login")
        answer = page.goto(base)
        assert answer is not None
        assert answer.status == 401
    finally:
        one.close()
        two.close()
