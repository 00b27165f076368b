from contextlib import asynccontextmanager

import pytest
from nicegui import ui
from page_desk import FakeLink, opened

from trading_system.dashboard.pages import maker
from trading_system.dashboard.pages.maker import (
    HOW_TO_START,
    ProfitHistory,
    inventory_limit,
    inventory_rows,
    profit_parts,
    quote_rows,
    request_rows,
    signed_series,
    spread_rows,
)
from trading_system.dashboard.theme import NOTHING
from trading_system.runtime.clock import ManualClock

pytestmark = pytest.mark.browser

FIGURES = {
    "quotes": {"resting": 11, "wanted": 12},
    "cycles": 1200,
    "requests": {"creates": 120, "amends": 340, "cancels": 80, "calls": 540, "per_10_cycles": 4.5},
    "errors": {"denied": 2, "failed": 0, "denials": {"price band": 2}, "last": "price band"},
    "inventory": {"BTCUSDT": "0.021", "ETHUSDT": "-0.4"},
    "inventory_value": {"BTCUSDT": "2900.00", "ETHUSDT": None},
    "half_spread_bps": {"BTCUSDT": 2.4, "ETHUSDT": None},
    "interval": 2.0,
    "maker_share_pct": 98.25,
    "traded_value": "123456.70",
    "markout": {"1_s": {"mean_bps": -0.42, "fills": 50}, "5_s": {"mean_bps": None, "fills": 0}},
    "fills": 53,
    "protective_stops": 3,
    "pnl": {
        "spread_capture": "12.50",
        "inventory": "-3.00",
        "fees": "4.25",
        "funding": "0.10",
        "total": "5.35",
    },
    "max_inventory_notional": "3000",
}
QUOTES = [
    {"symbol": "BTCUSDT", "side": "Buy", "price": "64990", "quantity": "0.007", "age_s": 3.2},
    {"symbol": "BTCUSDT", "side": "Sell", "price": "65010", "quantity": "0.007", "age_s": None},
]


def frame(**more):
    return {"active": True, "figures": FIGURES, "quotes": QUOTES, "pnl_series": None, **more}


@asynccontextmanager
async def page(data):
    link = FakeLink()
    link.store.put("status", {"symbols": ["BTCUSDT"]})
    if data is not None:
        link.store.put("market-maker", data)
    async with opened(maker.build, link=link) as desk:
        yield desk


def drawn(desk, label):
    for element in desk.all(ui.echart):
        if element.props["options"]["aria"]["label"]["description"] == label:
            return element.props["options"]["series"]
    raise AssertionError(label)


async def test_without_a_market_maker_the_page_says_how_to_start_one():
    async with page({"active": False, "figures": None, "quotes": [], "pnl_series": None}) as desk:
        await desk.tick()
        assert HOW_TO_START in desk.texts()
        assert "Profit" not in desk.texts()


async def test_before_the_first_frame_the_page_says_that_there_is_no_data():
    async with page(None) as desk:
        await desk.tick()
        assert "no data yet" in desk.texts()
        assert {"market-maker", "market:BTCUSDT"} >= desk.link.wanted


async def test_a_running_maker_shows_its_session():
    async with page(frame()) as desk:
        await desk.tick()
        await desk.tick()
        shown = set(desk.texts())
    assert {"+5.35", "53", "98.2", "123,457", "2.00", "1,200", "11 of 12", "3"} <= shown
    assert HOW_TO_START not in shown
    assert "last error: price band" in shown


async def test_the_quotes_and_the_inventory_are_tables():
    async with page(frame()) as desk:
        await desk.tick()
        assert desk.cells("Resting quotes")[0][:4] == ["BTCUSDT", "Sell", "65,010", "0.007"]
        assert desk.cells("Inventory")[0] == ["BTCUSDT", "0.021", "+2,900.00", "96.7 %"]


async def test_profit_is_drawn_from_the_pages_own_history_when_the_system_keeps_none():
    async with page(frame()) as desk:
        await desk.tick()
        await desk.tick()
        series = drawn(desk, "Profit by source over the session")
        assert series[4]["data"][0][1] == 5.35
        assert "since this page was opened" in desk.texts()


async def test_the_systems_own_series_is_preferred():
    kept = {"total": [[1000, "1.5"], [2000, None]], "fees": [[1000, "0.5"]]}
    async with page(frame(pnl_series=kept)) as desk:
        await desk.tick()
        await desk.tick()
        series = drawn(desk, "Profit by source over the session")
        assert series[4]["data"] == [[1000.0, 1.5]]
        assert "since this page was opened" not in desk.texts()


async def test_a_maker_that_stops_gives_way_to_the_sentence():
    async with page(frame()) as desk:
        await desk.tick()
        desk.store.put("market-maker", frame(active=False))
        await desk.tick()
        assert HOW_TO_START in desk.texts()


async def test_an_old_frame_is_called_stale_and_makes_no_new_points():
    async with page(frame()) as desk:
        await desk.tick()
        before = len(drawn(desk, "Profit by source over the session")[4]["data"])
        desk.link.clock.advance(30.0)
        await desk.tick()
        assert "stale, last update 30 s ago" in desk.texts()
        assert len(drawn(desk, "Profit by source over the session")[4]["data"]) == before


async def test_the_charts_follow_the_theme():
    async with page(frame()) as desk:
        await desk.tick()
        await desk.tick()
        with desk.user:
            desk.context.theme_changed(is_dark=False)
        assert drawn(desk, "Profit by source")[0]["data"][0]["value"] == 12.5


def test_paid_fees_are_a_loss():
    assert profit_parts(FIGURES) == {
        "spread": 12.5,
        "inventory": -3.0,
        "fees": -4.25,
        "funding": 0.1,
        "total": 5.35,
    }


def test_profit_that_was_not_measured_has_no_part():
    assert profit_parts({"pnl": {"total": None}}) == {}
    assert profit_parts({}) == {}


def test_an_inventory_near_its_limit_is_marked():
    near, unknown = inventory_rows(FIGURES, limit=inventory_limit({"figures": FIGURES}))
    assert near.cells[3].kind == "warn"
    assert unknown.cells[3].text == NOTHING
    assert inventory_rows(FIGURES, limit=None)[0].cells[3].bar_pct is None


def test_quotes_stand_as_on_a_ladder():
    assert [row.cells[2] for row in quote_rows(QUOTES)] == ["65,010", "64,990"]


def test_refused_requests_are_listed_with_their_reason():
    rows = {row.key: row.cells for row in request_rows(FIGURES)}
    assert rows["denied"][1].kind == "bad"
    assert rows["failed"][1].kind == ""
    assert rows["denial price band"] == ["denied: price band", "2"]
    assert rows["slow"] == ["Slow answers", NOTHING]


def test_half_spreads_and_mark_outs_are_told_with_their_fills():
    rows = {row.key: row.cells for row in spread_rows(FIGURES)}
    assert rows["half BTCUSDT"][1] == "2.40"
    assert rows["markout 1_s"][0] == "Mark-out after 1 s"
    assert (rows["markout 1_s"][1].text, rows["markout 1_s"][1].kind) == ("-0.42", "bad")
    assert rows["markout 5_s"][1].text == NOTHING


def test_the_history_forgets_its_oldest_points():
    clock = ManualClock(utc_ns=0)
    history = ProfitHistory(clock=clock)
    for second in range(1000):
        history.add({"total": float(second)})
        clock.advance(1.0)
    points = history.series()["total"]
    assert (len(points), points[0], points[-1]) == (900, [100_000.0, 100.0], [999_000.0, 999.0])
    assert history.series()["fees"] == []


def test_series_are_understood_in_either_spelling():
    found = signed_series({"spread_capture": [[1, "2"]], "fees": [[1, "3"]]})
    assert found["spread"] == [[1.0, 2.0]]
    assert found["fees"] == [[1.0, -3.0]]
