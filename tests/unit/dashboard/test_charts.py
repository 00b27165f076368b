import json

import pytest
from page_desk import opened

from trading_system.dashboard import charts
from trading_system.dashboard.charts import Chart, merged
from trading_system.dashboard.theme import DARK, LIGHT

MAKERS = [
    charts.candles,
    charts.depth,
    charts.cost_curve,
    charts.reach,
    charts.schedule,
    charts.profit_bars,
    charts.profit_lines,
]
MINUTE = 60_000


def candle(start_ms, close=100.5):
    return {
        "start_ms": start_ms,
        "open": 99.0,
        "high": 101.0,
        "low": 98.0,
        "close": close,
        "volume": 5.0,
    }


def fill(time_ms, side="Buy", price="99.5"):
    return {"time_ms": time_ms, "side": side, "price": price, "quantity": "1"}


@pytest.mark.parametrize("make", MAKERS)
def test_every_chart_is_plain_json_without_scripts(make):
    text = json.dumps(charts.frame(DARK, "a chart") | make(DARK), allow_nan=False)
    assert '":' not in text.replace('": ', "")  # a key with a leading colon would be a script
    assert "function" not in text


@pytest.mark.parametrize("make", MAKERS)
def test_every_chart_has_its_own_colours_in_each_theme(make):
    dark, light = json.dumps(make(DARK)), json.dumps(make(LIGHT))
    assert DARK.muted in dark
    assert DARK.muted not in light
    assert LIGHT.muted in light
    assert LIGHT.muted not in dark


@pytest.mark.parametrize("make", MAKERS)
def test_no_line_marks_each_of_its_points(make):
    lines = [series for series in make(DARK)["series"] if series["type"] == "line"]
    assert all(series["showSymbol"] is False for series in lines)


def test_charts_are_still_described_and_their_tooltips_are_text():
    options = charts.frame(DARK, "depth of BTCUSDT")
    assert options["animation"] is False
    assert options["aria"]["label"]["description"] == "depth of BTCUSDT"
    assert options["tooltip"]["renderMode"] == "richText"


def test_rising_candles_are_not_red():
    style = charts.candles(DARK)["series"][0]["itemStyle"]
    assert (style["color"], style["color0"]) == (DARK.buy, DARK.sell)


def test_candles_stand_in_the_order_that_echarts_reads():
    data = charts.candles_data({"candles": [candle(0)], "fills": []})
    assert data["series"][0]["data"] == [[99.0, 100.5, 98.0, 101.0]]
    assert data["series"][1]["data"] == [5.0]


def test_the_last_price_is_a_line_with_the_instruments_decimals():
    data = charts.candles_data({"candles": [candle(0, close=65_000.5)]}, precision=1)
    (line,) = data["series"][0]["markLine"]["data"]
    assert line == {"yAxis": 65_000.5, "label": {"formatter": "65,000.5"}}


def test_a_fill_stands_at_the_candle_it_happened_in():
    answer = {
        "candles": [candle(0), candle(MINUTE), candle(2 * MINUTE)],
        "fills": [fill(MINUTE + 59_999), fill(2 * MINUTE, side="Sell")],
    }
    series = charts.candles_data(answer)["series"]
    assert series[2]["data"] == [[1, 99.5]]
    assert series[3]["data"] == [[2, 99.5]]


def test_fills_outside_the_candles_or_of_no_side_are_left_out():
    answer = {
        "candles": [candle(MINUTE), candle(2 * MINUTE)],
        "fills": [fill(MINUTE - 1), fill(3 * MINUTE), fill(MINUTE, side="None")],
    }
    series = charts.candles_data(answer)["series"]
    assert series[2]["data"] == []
    assert series[3]["data"] == []


def test_fills_of_a_single_candle_are_within_a_minute():
    answer = {"candles": [candle(0)], "fills": [fill(59_999), fill(MINUTE)]}
    assert charts.candles_data(answer)["series"][2]["data"] == [[0, 99.5]]


def test_without_candles_there_is_nothing_and_no_line():
    data = charts.candles_data({"candles": [], "fills": [fill(0)]})
    assert data["series"][0] == {"data": [], "markLine": {"data": []}}
    assert data["series"][2]["data"] == []


def test_depth_rises_away_from_the_mid_on_both_sides():
    data = charts.depth_data([[100.0, 1.0], [99.0, 2.0]], [[101.0, 0.1], [102.0, 0.2]])
    bids, asks = (series["data"] for series in data["series"])
    assert bids == [[99.0, 3.0], [100.0, 1.0]]
    assert asks == [[101.0, 0.1], [102.0, 0.3]]
    assert data["xAxis"] == {"min": 99.0, "max": 102.0}


def test_depth_of_no_book_is_empty():
    assert charts.depth_data([], []) == {"xAxis": {}, "series": [{"data": []}, {"data": []}]}


def row(quantity, net=5.5):
    return {
        "quantity": quantity,
        "net_cost_bps": net,
        "slippage_bps": 0.1,
        "fees_bps": 5.4,
        "market_impact_bps": 0.0,
    }


def test_the_size_asked_for_is_marked_on_the_cost_curve():
    data = charts.cost_curve_data([row(1.0), row(10.0, net=6.0)], asked=4.0, unit="BTC")
    assert data["series"][0]["data"] == [[1.0, 5.5], [10.0, 6.0]]
    assert data["series"][0]["markLine"]["data"] == [{"xAxis": 4.0}]
    assert data["xAxis"] == {"name": "quantity, BTC", "min": 1.0, "max": 10.0}


def test_a_cost_curve_of_nothing_has_no_bounds():
    assert charts.cost_curve_data([], asked=4.0, unit="BTC")["xAxis"] == {"name": "quantity, BTC"}


def test_the_schedule_starts_with_the_whole_order_and_holds_to_the_horizon():
    steps = [
        {"start_s": 0.0, "remaining_base": 0.6},
        {"start_s": 5.0, "remaining_base": 0.0},
    ]
    data = charts.schedule_data(steps, quantity=1.0, unit="BTC", horizon_s=60.0)
    assert data["series"][0]["data"] == [[0.0, 1.0], [0.0, 0.6], [5.0, 0.0], [60.0, 0.0]]
    assert data["series"][1]["data"] == [[0.0, 1.0], [5.0, 0.0]]
    assert data["yAxis"]["name"] == "left, BTC"


def test_an_empty_schedule_draws_nothing():
    data = charts.schedule_data([], quantity=1.0, unit="BTC", horizon_s=60.0)
    assert [series["data"] for series in data["series"]] == [[], []]


def test_profits_are_coloured_by_their_sign():
    data = charts.profit_bars_data({"spread": 3.456, "fees": -1.0}, DARK)["series"][0]["data"]
    by_name = dict(zip(charts.PROFIT_PARTS, data, strict=True))
    assert by_name["spread"] == {"value": 3.46, "itemStyle": {"color": DARK.buy}}
    assert by_name["fees"]["itemStyle"]["color"] == DARK.sell
    assert by_name["funding"]["value"] == 0.0


def test_profit_lines_stand_in_the_order_of_the_legend():
    data = charts.profit_lines_data({"total": [(1, 2.0)]})["series"]
    assert [series["data"] for series in data] == [[], [], [], [], [[1, 2.0]]]


def test_both_sides_of_the_reach_and_their_unit_are_shown():
    data = charts.reach_data([[-1.0, 2.0]], [[1.0, 3.0]], unit="ETH")
    assert data == {
        "yAxis": {"name": "ETH"},
        "series": [{"data": [[-1.0, 2.0]]}, {"data": [[1.0, 3.0]]}],
    }


def test_merging_keeps_what_is_not_named_and_goes_through_lists_of_parts():
    base = {"a": 1, "series": [{"type": "line", "data": []}, {"type": "bar"}, {"type": "pie"}]}
    whole = merged(base, {"b": 2, "series": [{"data": [1]}, {"data": [2]}]})
    assert whole["series"] == [
        {"type": "line", "data": [1]},
        {"type": "bar", "data": [2]},
        {"type": "pie"},
    ]
    assert (whole["a"], whole["b"]) == (1, 2)
    assert base["series"][0]["data"] == []


def test_merging_replaces_lists_of_values():
    assert merged({"data": [1, 2, 3]}, {"data": [4]}) == {"data": [4]}


def test_the_time_of_day_is_utc():
    assert charts.clock_text(1_700_000_000_000) == "22:13"
    assert charts.clock_text(1_700_000_000_000, seconds=True) == "22:13:20"


async def test_what_is_shown_already_is_not_sent_again():
    made = []
    build = lambda context: made.append(Chart(charts.depth, label="depth"))  # noqa: E731 - one expression
    async with opened(build) as desk:
        chart = made[0]
        with desk.user:
            sent = [chart.show(charts.depth_data([[1.0, size]], [])) for size in (1.0, 2.0, 3.0)]
            assert sent == [True, True, True]
            assert not chart.show(charts.depth_data([[1.0, 3.0]], []))
        # The first two were whole charts, the third a part: a new page would get the second.
        assert chart.element.props["options"]["series"][0]["data"] == [[1.0, 2.0]]


async def test_repainting_keeps_the_newest_data():
    made = []
    build = lambda context: made.append(Chart(charts.depth, label="depth"))  # noqa: E731 - one expression
    async with opened(build) as desk:
        with desk.user:
            made[0].show(charts.depth_data([[1.0, 5.0]], []))
            made[0].repaint(is_dark=False)
        options = made[0].element.props["options"]
        assert options["series"][0]["data"] == [[1.0, 5.0]]
        assert options["textStyle"]["color"] == LIGHT.muted
