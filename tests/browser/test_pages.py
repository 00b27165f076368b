"""Every page against the running system: what it shows, that it moves, that nothing is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from browser_rig import DESK, PHONE, System, Watched, opened, until, violations
from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PAGES = {
    "/": "Overview",
    "/market": "Market",
    "/risk": "Risk",
    "/alerts": "Alerts and log",
    "/cost": "Cost simulator",
    "/market-maker": "Market maker",
}
FIGURES = {
    "/": {"Equity": "USDT", "P&L, all in": "USDT", "Drawdown": "%", "Slippage": "bps"},
    "/market": {"Bid": "", "Ask": "", "Spread": "bps", "Funding": "%"},
    "/risk": {"Trading state": "", "Equity": "USDT", "Drawdown": "%"},
    "/cost": {"Expected slippage": "bps", "Fees": "bps", "Notional": "USDT"},
    "/market-maker": {"Profit": "USDT", "Traded value": "USDT", "Quoting interval": "s"},
}
MOVING = {
    "/": ".fig:has-text('Up for') .fig-value",
    "/market": ".ladder",
    "/risk": "table[aria-label=Limits]",
    "/alerts": ".fact-time .fact-value",
    "/cost": "table[aria-label=Latency]",
    "/market-maker": ".fig:has-text('Cycles') .fig-value",
}
VIEWS = [(size, theme) for size in (DESK, PHONE) for theme in ("dark", "light")]

FOCUS = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at);
  const near = [at, at.closest('.q-field__control'), at.closest('.q-field')].filter(Boolean);
  const isSeen = near.some((one) => {
    const s = getComputedStyle(one);
    const after = getComputedStyle(one, '::after');
    return (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1)
      || (one === at && s.boxShadow.includes('4px'))
      || (one.matches('.q-field__control') && after.borderStyle !== 'none');
  });
  return { tag: at.tagName, text: (at.getAttribute('aria-label') || at.innerText || '').trim(),
    href: at.getAttribute('href'), isSeen, where: at.outerHTML.slice(0, 120) };
}"""
SMALL = """() => [...document.querySelectorAll("a,button,input,select,textarea,[role=button]")]
  .filter((one) => one.offsetParent !== null && !one.closest('.skip') && one.type !== 'hidden')
  .map((one) => one.closest('.q-field__control, .q-checkbox') || one)
  .map((one) => [one.outerHTML.slice(0, 90), one.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24))
  .map(([html, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`)"""
CONTROLS = """() => [...document.querySelectorAll('a[href],button,input,select,textarea')]
  .filter((one) => one.offsetParent !== null && !one.disabled && one.tabIndex >= 0).length"""


Views = Callable[[str, tuple[int, int], str], Watched]


@pytest.fixture(scope="module")
def views(browser: Browser, signals: System, maker: System) -> Iterator[Views]:
    """Give a page of the system that has it, in a size and theme; logged in once for each."""
    with ExitStack() as stack:
        known: dict[object, Watched] = {}

        def view(path: str, size: tuple[int, int], theme: str) -> Watched:
            system = maker if path == "/market-maker" else signals
            key = (system.data_dir, size, theme)
            if key not in known:
                known[key] = stack.enter_context(opened(browser, system, size=size, theme=theme))
            watched = known[key]
            assert watched.wrong == []
            watched.open(path)
            return watched

        yield view


@pytest.fixture(params=PAGES)
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def page(views: Views, path: str) -> Iterator[Watched]:
    watched = views(path, DESK, "dark")
    yield watched
    assert watched.wrong == []


def test_a_page_has_its_title_its_figures_with_units_and_moves(page: Watched, path: str) -> None:
    assert page.page.title() == f"{PAGES[path]} · trading system"
    assert page.page.locator("h1").inner_text() == PAGES[path]
    assert page.page.locator("nav a[aria-current=page]").inner_text().endswith(PAGES[path])
    assert page.fact("Trading") == "ACTIVE"
    assert page.page.locator(".env").inner_text() == "SIMULATED"
    for label, unit in FIGURES.get(path, {}).items():
        shown = until(
            lambda label=label: re.search(r"\d|ACTIVE", page.figure(label)) and page.figure(label),
            within_s=40,
            what=f"a value of {label}",
        )
        assert shown.endswith(unit), (label, shown)
    moving = page.page.locator(MOVING[path]).first
    before = moving.inner_text()
    until(lambda: moving.inner_text() != before, what=f"{MOVING[path]} moves from {before}")
    assert page.page.locator(".problem:not(.lost)").is_hidden()


@pytest.mark.parametrize(("size", "theme"), VIEWS)
def test_a_page_fits_and_is_accessible(
    views: Views, path: str, size: tuple[int, int], theme: str
) -> None:
    watched = views(path, size, theme)
    page = watched.page
    settled(watched, path)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size[0], f"{wide} px wide"
    for title in PAGES.values():
        entry = page.get_by_role("link", name=title, exact=True)
        box = entry.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= size[0]
        assert 0 <= box["y"] <= box["y"] + box["height"] <= size[1]
    assert page.evaluate(SMALL) == []
    watched.shot(f"{PAGES[path].lower().replace(' ', '-')}-{theme}-{size[0]}")
    assert violations(watched) == []
    assert watched.wrong == []


def settled(watched: Watched, path: str) -> None:
    """Wait until the page shows what it is for."""
    if path == "/cost":
        until(lambda: re.search(r"\d", watched.figure("Fees")), within_s=40, what="an estimate")
    if path in {"/market", "/market-maker"}:
        until(lambda: re.search(r"\d", watched.page.locator(".ladder").inner_text()))


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Watched, path: str) -> None:
    settled(page, path)
    page.page.evaluate("document.activeElement && document.activeElement.blur()")
    count = page.page.evaluate(CONTROLS)
    seen: list[dict[str, Any]] = []
    for _ in range(count + 15):
        page.page.keyboard.press("Tab")
        at = page.page.evaluate(FOCUS)
        if at is None:
            break
        seen.append(at)
    assert seen[0]["href"] == "#content", seen[0]
    assert {one["href"] for one in seen} >= set(PAGES)
    assert len([one for one in seen if one["tag"] in {"A", "BUTTON", "INPUT"}]) >= count
    assert [one["where"] for one in seen if not one["isSeen"]] == []


def test_the_skip_link_leads_to_the_content(page: Watched) -> None:
    page.page.keyboard.press("Tab")
    page.page.keyboard.press("Enter")
    assert page.page.evaluate("document.activeElement.id") == "content"


def test_the_market_follows_another_symbol_and_interval(browser: Browser, signals: System) -> None:
    with opened(browser, signals) as watched:
        watched.open("/market")
        settled(watched, "/market")
        watched.page.get_by_label("Symbol").first.click()
        watched.page.get_by_role("option", name="ETHUSDT").click()
        until(
            lambda: "Size ETH" in watched.page.locator(".ladder").inner_text().replace("\n", " "),
            what="the other book",
        )
        until(
            lambda: 500 < float(watched.figure("Bid").replace(",", "")) < 20_000,
            what="the price of the other coin",
        )
        watched.page.get_by_role("button", name="5 min", exact=True).click()
        watched.page.locator(".ladder").wait_for()


def test_the_theme_button_switches_and_is_kept(browser: Browser, signals: System) -> None:
    with opened(browser, signals, theme="dark") as watched:
        watched.open("/")
        body = watched.page.locator("body")
        until(lambda: "body--dark" in (body.get_attribute("class") or ""))
        watched.page.get_by_role("button", name="Dark theme").click()
        until(lambda: "body--light" in (body.get_attribute("class") or ""))
        watched.open("/risk")
        until(lambda: "body--light" in (body.get_attribute("class") or ""))


def test_costs_are_those_of_the_running_venue_at_both_exchanges(
    browser: Browser, signals: System
) -> None:
    with opened(browser, signals) as watched:
        watched.open("/cost")
        settled(watched, "/cost")
        paid = float(watched.figure("Mean fill price").replace(",", ""))
        ask = signals.ask("/market/BTCUSDT")["ask"]
        assert paid == pytest.approx(ask, rel=0.01)
        watched.page.get_by_role("checkbox", name="Measure volatility").click()
        watched.page.get_by_label("Volatility, bps per root second").wait_for(state="visible")
        watched.page.get_by_label("Exchange").first.click()
        watched.page.get_by_role("option", name="OKX").click()
        until(
            lambda: "BTC-USDT-SWAP" in watched.page.locator(".form").inner_html(),
            what="an instrument of OKX",
        )
        until(lambda: watched.figure("Fees").startswith("5.000"), within_s=60, what="OKX's fees")
        watched.shot("cost-okx")
        paid = float(watched.figure("Mean fill price").replace(",", ""))
        assert paid == pytest.approx(signals.ask("/market/BTCUSDT")["ask"], rel=0.01)
