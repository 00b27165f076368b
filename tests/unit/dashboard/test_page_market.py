import pytest
from page_desk import Desk, FakeLink, opened

from trading_system.dashboard.ladder import Ladder
from trading_system.dashboard.pages import market
from trading_system.dashboard.theme import NOTHING

pytestmark = pytest.mark.browser

STATUS = {"symbols": ["BTCUSDT", "ETHUSDT"]}


def book(symbol="BTCUSDT", **more):
    return {
        "symbol": symbol,
        "time_ms": 1_700_000_000_000,
        "age_s": 0.02,
        "is_ready": True,
        "bid": 100.0,
        "ask": 100.5,
        "mid": 100.25,
        "microprice": 100.31,
        "spread_bps": 49.875,
        "imbalance": -0.4,
        "tick_size": "0.5",
        "qty_step": "0.01",
        "mark_price": 100.2,
        "funding_rate": 0.0001,
        "bids": [[100.0, 2.0], [99.5, 1.0]],
        "asks": [[100.5, 1.0], [101.0, 4.0]],
        "own_orders": [],
        "trades": [
            {"time_ms": 1_700_000_001_000, "price": 100.5, "quantity": 0.25, "side": "Buy"},
            {"time_ms": 1_700_000_000_000, "price": 100.0, "quantity": 1.0, "side": "Sell"},
        ],
        **more,
    }


def candle(start_ms, close=100.0):
    return {
        "start_ms": start_ms,
        "open": 99.0,
        "high": 101.0,
        "low": 98.0,
        "close": close,
        "volume": 5.0,
    }


def linked(**frames) -> FakeLink:
    link = FakeLink()
    link.store.put("status", STATUS)
    link.store.put("market:BTCUSDT", frames.get("book", book()))
    return link


def chart_names(desk: Desk) -> list[dict]:
    return [
        e.props["options"]
        for e in desk.client.elements.values()
        if isinstance(e.props.get("options"), dict) and "series" in e.props["options"]
    ]


async def test_the_figures_of_a_live_book_are_shown_with_the_ticks_decimals():
    async with opened(market.build, link=linked()) as desk:
        await desk.tick()
        shown = desk.texts()
    assert {"100.0", "100.5", "100.25", "100.310", "49.875", "-0.40", "+0.0100"} <= set(shown)
    assert "below 0.1 s" in shown


async def test_the_newest_trades_are_a_table_newest_first():
    async with opened(market.build, link=linked()) as desk:
        await desk.tick()
        rows = desk.cells("Newest trades of the market")
    assert rows == [["22:13:21", "Buy", "100.5", "0.25"], ["22:13:20", "Sell", "100.0", "1.00"]]


async def test_the_trades_have_the_units_of_the_symbol_and_lose_them_with_it():
    async with opened(market.build, link=linked()) as desk:
        await desk.tick()
        columns = desk.grid("Newest trades of the market").props["columns"]
    assert [(c["label"], c["unit"]) for c in columns] == [
        ("Time", "UTC"),
        ("Side", ""),
        ("Price", "USDT"),
        ("Size", "BTC"),
    ]


async def test_the_other_symbol_is_wanted_once_it_is_chosen_and_the_first_no_more():
    async with opened(market.build, link=linked()) as desk:
        await desk.tick()
        assert desk.link.wanted == {"market:BTCUSDT"}
        with desk.user:
            desk.field("Symbol").set_value("ETHUSDT")
        assert desk.link.wanted == {"market:ETHUSDT"}
        await desk.tick()
        assert "no data yet" in desk.texts()


async def test_symbols_are_offered_as_soon_as_the_first_status_names_them():
    async with opened(market.build) as desk:
        await desk.tick()
        assert desk.field("Symbol").value is None
        desk.store.put("status", STATUS)
        await desk.tick()
        assert desk.field("Symbol").value == "BTCUSDT"
        assert desk.link.wanted == {"market:BTCUSDT"}


async def test_a_book_that_is_not_ready_shows_dashes_instead_of_old_figures():
    link = linked(book=book(is_ready=False))
    async with opened(market.build, link=link) as desk:
        await desk.tick()
        shown = desk.texts()
    assert "the book is not ready: it is being rebuilt" in shown
    assert NOTHING in shown
    assert "100.5" not in shown


async def test_an_old_frame_is_called_stale_with_its_age():
    async with opened(market.build, link=linked()) as desk:
        desk.link.clock.advance(12.0)
        await desk.tick()
        assert "stale, last update 12 s ago" in desk.texts()


async def test_a_fresh_frame_of_an_old_book_is_called_stale_too():
    async with opened(market.build, link=linked(book=book(age_s=30.0))) as desk:
        await desk.tick()
        assert "stale book, last update 30 s ago" in desk.texts()


async def test_a_book_of_unknown_age_is_not_taken_for_a_live_one():
    async with opened(market.build, link=linked(book=book(age_s=None))) as desk:
        await desk.tick()
        assert "the age of the book is not known" in desk.texts()


async def test_a_lost_connection_is_said_beside_the_symbol():
    async with opened(market.build, link=linked()) as desk:
        desk.store.lost("gone")
        await desk.tick()
        assert any(text.startswith("disconnected") for text in desk.texts())


async def test_candles_are_asked_for_by_symbol_and_interval():
    link = linked()
    link.answers["/candles/BTCUSDT"] = {"candles": [candle(0), candle(60_000)], "fills": []}
    async with opened(market.build, link=link) as desk:
        await desk.tick()
        path, query = link.asked[-1]
        assert (path, query["interval"]) == ("/candles/BTCUSDT", "1")
        candles = chart_names(desk)[0]
    assert candles["xAxis"][0]["data"] == ["00:00", "00:01"]
    assert candles["series"][0]["data"][0] == [99.0, 100.0, 98.0, 101.0]
    assert candles["yAxis"][0]["name"] == "USDT"


async def test_candles_that_do_not_come_are_said_and_nothing_else_stops():
    async with opened(market.build, link=linked()) as desk:
        await desk.tick()
        shown = desk.texts()
    assert "candles are not updated: the trading system did not answer in time" in shown
    assert "100.25" in shown


async def test_no_candle_yet_is_said():
    link = linked()
    link.answers["/candles/BTCUSDT"] = {"candles": [], "fills": []}
    async with opened(market.build, link=link) as desk:
        await desk.tick()
        assert "no candle yet" in desk.texts()


async def test_candles_of_a_symbol_left_meanwhile_are_dropped():
    link = linked()
    link.answers["/candles/BTCUSDT"] = {"candles": [candle(0)], "fills": []}
    async with opened(market.build, link=link) as desk:
        asking = link.get

        async def slowly(path, query):
            answer = await asking(path, query)
            desk.field("Symbol").set_value("ETHUSDT")
            return answer

        link.get = slowly
        await desk.tick()
        assert chart_names(desk)[0]["xAxis"][0]["data"] == []


async def test_a_hidden_page_asks_for_nothing():
    async with opened(market.build, link=linked()) as desk:
        await desk.tick()
        desk.context.visibility_changed(is_visible=False)
        before = len(desk.link.asked)
        await desk.tick()
        assert len(desk.link.asked) == before
        assert desk.link.wanted == frozenset()


async def test_the_charts_take_the_colours_of_the_other_theme():
    async with opened(market.build, link=linked()) as desk:
        await desk.tick()
        dark = chart_names(desk)[1]["textStyle"]["color"]
        with desk.user:
            desk.context.theme_changed(is_dark=False)
        light = chart_names(desk)[1]
    assert light["textStyle"]["color"] != dark
    assert light["series"][0]["data"]  # the newest data stay


async def test_the_same_book_is_drawn_on_the_ladder_once():
    async with opened(market.build, link=linked()) as desk:
        await desk.tick()
        (ladder,) = desk.all(Ladder)
        with desk.user:
            assert not ladder.show(book())
            assert ladder.show(book(bid=99.5))


@pytest.mark.parametrize(("share", "kind"), [(0.3, "buy"), (-0.3, "sell"), (0.0, ""), (None, "")])
def test_the_imbalance_is_coloured_by_the_side_it_leans_to(share, kind):
    assert market._lean(share) == kind


async def test_a_symbol_that_is_no_longer_traded_is_given_up():
    async with opened(market.build, link=linked()) as desk:
        await desk.tick()
        desk.store.put("status", {"symbols": ["SOLUSDT"]})
        await desk.tick()
        assert desk.link.wanted == {"market:SOLUSDT"}
        desk.store.put("status", {"symbols": []})
        await desk.tick()
        assert desk.link.wanted == frozenset()
