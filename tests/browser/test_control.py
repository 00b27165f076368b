"""Read only until the control token is typed; then commands do what they say, confirmed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser_rig import System, Watched, opened, until, violations
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

COMMANDS = ("Pause", "Reduce only", "Resume", "Kill switch")


@pytest.fixture
def risk(browser: Browser, signals: System) -> Iterator[Watched]:
    with opened(browser, signals) as watched:
        watched.open("/risk")
        yield watched
    if signals.ask("/status")["trading_state"] != "ACTIVE" or signals.ask("/risk")["holds"]:
        signals.ask("/resume", {"reset_limits": True})


def unlock(page: Page, token: str) -> None:
    page.get_by_label("Control token").fill(token)
    page.get_by_label("Control token").press("Enter")


def say(page: Page, label: str, **fields: str) -> str:
    """Press a command, fill its dialog and return the answer shown."""
    page.get_by_role("button", name=label, exact=True).click()
    dialog = page.get_by_role("dialog")
    for name, text in fields.items():
        dialog.get_by_label(name.replace("_", " ")).fill(text)
    dialog.get_by_role("button", name=label.removesuffix(" switch"), exact=True).click()
    answer = page.locator(".commands + .answer")
    until(
        lambda: answer.inner_text().startswith(label) and "waiting" not in answer.inner_text(),
        what=f"an answer to {label}",
    )
    return answer.inner_text()


def test_nothing_can_be_done_before_the_control_token(risk: Watched, signals: System) -> None:
    page = risk.page
    for name in COMMANDS:
        assert page.get_by_role("button", name=name, exact=True).is_disabled(), name
    read_token = (signals.data_dir / "read.token").read_text().strip()
    for token, reason in (("wrong", "does not know"), (read_token, "cannot control")):
        unlock(page, token)
        until(lambda reason=reason: reason in page.locator(".unlock .answer").inner_text())
        assert page.get_by_role("button", name="Kill switch").is_disabled()
    assert page.get_by_label("Control token").input_value() == ""
    assert page.get_by_label("Control token").get_attribute("type") == "password"


def test_pause_and_kill_are_confirmed_shown_and_lifted(risk: Watched, signals: System) -> None:
    page = risk.page
    unlock(page, signals.printed("token")["token"])
    page.get_by_text("Control is unlocked for").wait_for()
    assert "no new trade begins" in say(page, "Pause", Reason="lunch")
    until(lambda: risk.fact("Trading") == "PAUSED", what="PAUSED in the header")
    until(lambda: risk.figure("Trading state") == "PAUSED", what="PAUSED among the figures")
    assert "lunch" in page.get_by_role("table", name="Holds").inner_text()
    risk.shot("paused")
    assert "trading is ACTIVE" in say(page, "Resume")
    until(lambda: risk.fact("Trading") == "ACTIVE", what="ACTIVE again")

    page.get_by_role("button", name="Kill switch").click()
    dialog = page.get_by_role("dialog")
    kill = dialog.get_by_role("button", name="Kill", exact=True)
    assert kill.is_disabled()
    dialog.get_by_label("Type KILL to confirm").fill("kill")
    assert kill.is_disabled()
    assert violations(risk, within=".dialog") == []
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert signals.ask("/status")["trading_state"] == "ACTIVE"

    words = say(page, "Kill switch", Type_KILL_to_confirm="KILL", Reason="drill")
    assert "trading is HALTED" in words
    assert signals.ask("/status")["trading_state"] == "HALTED"
    assert signals.ask("/status")["own_open_orders"] == 0
    until(lambda: risk.fact("Trading") == "HALTED", what="HALTED in the header")
    risk.shot("killed")
    until(lambda: "drill" in page.get_by_role("table", name="Holds").inner_text())
    assert "trading is ACTIVE" in say(page, "Resume")
    until(lambda: signals.ask("/status")["trading_state"] == "ACTIVE")
    until(lambda: risk.fact("Trading") == "ACTIVE", what="ACTIVE again")

    page.get_by_role("button", name="Lock", exact=True).click()
    until(lambda: page.get_by_role("button", name="Kill switch").is_disabled())


def test_closing_positions_with_the_kill_is_told_as_it_went(risk: Watched, signals: System) -> None:
    page = risk.page
    unlock(page, signals.printed("token")["token"])
    page.get_by_text("Control is unlocked for").wait_for()
    page.get_by_role("button", name="Kill switch").click()
    page.get_by_role("dialog").get_by_role("checkbox").click()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.get_by_role("button", name="Kill switch").click()
    dialog = page.get_by_role("dialog")
    assert not dialog.get_by_role("checkbox").is_checked(), "a new dialog begins anew"
    dialog.get_by_role("checkbox").click()
    dialog.get_by_label("Type KILL to confirm").fill("KILL")
    dialog.get_by_role("button", name="Kill", exact=True).click()
    answer = page.locator(".commands + .answer")
    until(lambda: "HALTED" in answer.inner_text(), within_s=40, what="the outcome")
    risk.shot("killed-and-flat")
    assert "positions are closed" in answer.inner_text()
    held = signals.ask("/status")["position"]["own"]
    assert not any(float(quantity) for quantity in held.values())


def test_what_others_wrote_is_text_and_never_markup(browser: Browser, signals: System) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>{{ 7*7 }}"
    signals.ask("/pause", {"reason": hostile})
    try:
        with opened(browser, signals) as watched:
            asked: list[str] = []
            watched.page.on("dialog", lambda dialog: asked.append(dialog.message))
            for path in ("/risk", "/alerts"):
                watched.open(path)
                content = watched.page.locator(".content")
                until(lambda content=content: hostile in content.inner_text(), what=path)
                assert content.locator("img, script").count() == 0
            assert asked == []
    finally:
        signals.ask("/resume", {"reset_limits": True})


def test_acknowledging_without_control_names_the_remedy(browser: Browser, signals: System) -> None:
    signals.ask("/kill", {"confirm": "KILL", "flatten": False, "reason": "to fire an alert"})
    try:
        until(lambda: signals.ask("/status")["alerts"]["firing"], what="an alert")
        with opened(browser, signals) as watched:
            watched.open("/alerts")
            table = watched.page.get_by_role("table", name="Alerts")
            until(lambda: "firing" in table.inner_text(), what="the alert on the page")
            watched.shot("alert")
            table.get_by_role("button", name="Acknowledge").first.click()
            dialog = watched.page.get_by_role("dialog")
            dialog.get_by_role("button", name="Acknowledge").click()
            watched.page.get_by_text("type the control token").wait_for()
    finally:
        signals.ask("/resume", {"reset_limits": True})
