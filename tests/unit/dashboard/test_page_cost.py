from contextlib import asynccontextmanager

import pytest
from nicegui import ui
from page_desk import FakeLink, opened

from trading_system.dashboard.cost_server import CostServerError
from trading_system.dashboard.pages import cost
from trading_system.dashboard.pages.cost import Order, latency_rows, warnings_of

pytestmark = pytest.mark.browser


def answer(query=None, **more):
    asked = query or {}
    size = float(asked.get("quantity") or 50_000.0)
    return {
        "instrument": asked.get("instrument", "BTCUSDT"),
        "quantity": size,
        "quantity_base": 0.75,
        "notional_quote": 50_000.0,
        "net_cost_bps": 5.566,
        "net_cost_quote": 27.83,
        "interval": {"p10_bps": 4.7, "p90_bps": 6.6, "source": "model", "fitted_on": "synthetic"},
        "slippage_bps": 0.066,
        "fees_bps": 5.5,
        "market_impact_bps": 0.0,
        "fill_price_quote": 65_127.28,
        "maker_pct": 25.0,
        "is_extrapolated": size > 1_000_000,
        "limit": None,
        "volatility_bps": 2.77,
        "volatility_samples": 12,
        "fees": {"tier": "VIP 0", "as_of": "2026-10-16"},
        "schedule": {
            "horizon_s": 60.0,
            "cost_bps": 5.53,
            "risk_bps": 11.4,
            "note": "2 steps of 5 s",
            "steps": [
                {"start_s": 0.0, "quantity_base": 0.4, "remaining_base": 0.35},
                {"start_s": 5.0, "quantity_base": 0.35, "remaining_base": 0.0},
            ],
        },
        "book": {"spread_bps": 0.015, "age_ms": 82.3},
        "latency": {"total_pipeline_us": 706.0, "maker_taker_us": None},
        **more,
    }


class FakeServer:
    def __init__(self, exchange):
        self.exchange = exchange
        self.is_ready = True
        self.problem = None
        self.refused_above = float("inf")
        self.queries = []
        self.offered = []
        self.tries = 0

    def offer(self, instruments):
        self.offered.append(instruments)

    def retry(self):
        self.tries += 1

    async def estimate(self, query):
        if self.problem is not None:
            raise self.problem
        self.queries.append(query)
        if query["quantity"] > self.refused_above:
            raise CostServerError("too large", remedy="smaller", code="invalid_request")
        return answer(query)

    async def status(self):
        tiers = ["VIP 0", "VIP 1"]
        return {"markets": [{"instrument": "BTCUSDT", "fee_tiers": tiers}]}


class FakeServers:
    def __init__(self):
        self.made = {name: FakeServer(name) for name in ("bybit", "okx")}

    def of(self, exchange):
        return self.made[exchange]


@asynccontextmanager
async def page():
    costs = FakeServers()
    link = FakeLink()
    link.store.put("status", {"symbols": ["BTCUSDT", "ETHUSDT"]})
    async with opened(lambda context: cost.build_with(context, costs), link=link) as desk:
        desk.costs = costs
        yield desk


def line_count(desk, label):
    for chart in desk.all(ui.echart):
        if chart.props["options"]["aria"]["label"]["description"] == label:
            return len(chart.props["options"]["series"][0]["data"])
    raise AssertionError(label)


async def test_the_estimate_of_the_form_is_shown_with_its_parts():
    async with page() as desk:
        await desk.tick()
        shown = set(desk.texts())
    assert {"5.566", "27.83", "4.70 to 6.60", "0.066", "5.500", "0.000", "65,127.28"} <= shown
    assert {"maker 25.0 %", "taker 75.0 %", "2.77", "0.015"} <= shown
    assert "2 steps of 5 s; 5.530 ± 11.40 bps" in shown


async def test_the_first_question_is_the_form_as_it_stands():
    async with page() as desk:
        await desk.tick()
        assert desk.costs.of("bybit").queries[0] == {
            "exchange": "bybit",
            "instrument": "BTCUSDT",
            "side": "buy",
            "order_type": "market",
            "price": None,
            "quantity": 50_000.0,
            "unit": "usd",
            "volatility_bps": None,
            "tier": None,
            "horizon_s": 60.0,
        }


async def test_latency_and_warnings_are_tables():
    async with page() as desk:
        await desk.tick()
        assert desk.cells("Latency") == [
            ["total pipeline", "706 µs"],
            ["age of the book", "82.3 ms"],
        ]
        assert ["The cost model was fitted on: synthetic."] in desk.cells("Warnings")


async def test_the_curves_are_drawn_at_once_and_then_only_now_and_then():
    async with page() as desk:
        await desk.tick()
        first = len(desk.costs.of("bybit").queries)
        assert first == 1 + 3 * len(cost._SIZES)
        assert line_count(desk, "Cost against size") == len(cost._SIZES)
        await desk.tick()
        assert len(desk.costs.of("bybit").queries) == first + 1


async def test_sizes_that_cannot_be_priced_have_no_point():
    async with page() as desk:
        desk.costs.of("bybit").refused_above = 50_000.0
        await desk.tick()
        assert line_count(desk, "Cost against size") == sum(size <= 1.0 for size in cost._SIZES)


async def test_a_changed_form_draws_the_curves_anew():
    async with page() as desk:
        await desk.tick()
        before = len(desk.costs.of("bybit").queries)
        with desk.user:
            desk.field("Quantity").set_value(80_000.0)
        await desk.tick()
        queries = desk.costs.of("bybit").queries
        assert queries[before]["quantity"] == 80_000.0
        assert len(queries) == before + 1 + 3 * len(cost._SIZES)


async def test_another_exchange_is_asked_in_its_own_spelling():
    async with page() as desk:
        await desk.tick()
        with desk.user:
            desk.field("Exchange").set_value("okx")
        await desk.tick()
        query = desk.costs.of("okx").queries[0]
        assert (query["exchange"], query["instrument"]) == ("okx", "BTC-USDT-SWAP")


async def test_the_simulators_own_fee_tiers_are_offered():
    async with page() as desk:
        await desk.tick()
        with desk.user:
            desk.field("Fee tier").set_value("VIP 1")
        await desk.tick()
        assert desk.costs.of("bybit").queries[-1]["tier"] == "VIP 1"


async def test_a_limit_order_without_a_price_is_asked_for_one_and_not_priced():
    async with page() as desk:
        with desk.user:
            desk.field("Order type").set_value("limit")
        await desk.tick()
        assert "a limit order needs a limit price" in desk.texts()
        assert desk.costs.of("bybit").queries == []
        with desk.user:
            desk.field("Limit price, quote").set_value(64_000.0)
        await desk.tick()
        assert desk.costs.of("bybit").queries[0]["price"] == 64_000.0


async def test_a_simulator_that_starts_is_waited_for_with_its_instruments_named():
    async with page() as desk:
        server = desk.costs.of("bybit")
        server.is_ready = False
        server.problem = CostServerError("it is starting", remedy="wait", code="starting")
        await desk.tick()
        assert server.offered == [["BTCUSDT", "ETHUSDT"]]
        assert "it is starting; wait" in desk.texts()
        assert not button(desk).visible


async def test_a_simulator_that_failed_can_be_tried_again():
    async with page() as desk:
        server = desk.costs.of("bybit")
        server.problem = CostServerError("it ended", remedy="", code="failed")
        await desk.tick()
        assert "it ended" in desk.texts()
        assert button(desk).visible
        desk.user.find("Try again").click()
        assert server.tries == 1


async def test_a_server_lost_while_the_curves_are_drawn_is_said():
    async with page() as desk:
        server = desk.costs.of("bybit")
        asking = server.estimate

        async def once(query):
            found = await asking(query)
            server.problem = CostServerError("it is gone", remedy="", code="unreachable")
            return found

        server.estimate = once
        await desk.tick()
        assert "it is gone" in desk.texts()


async def test_an_answer_to_a_form_that_has_changed_is_dropped():
    async with page() as desk:
        server = desk.costs.of("bybit")
        asking = server.estimate

        async def slowly(query):
            found = await asking(query)
            desk.field("Side").set_value("sell")
            return found

        server.estimate = slowly
        await desk.tick()
        assert "5.566" not in desk.texts()


async def test_a_hidden_page_asks_for_nothing():
    async with page() as desk:
        desk.context.visibility_changed(is_visible=False)
        await desk.tick()
        assert desk.costs.of("bybit").queries == []


async def test_the_charts_follow_the_theme():
    async with page() as desk:
        await desk.tick()
        with desk.user:
            desk.context.theme_changed(is_dark=False)
        assert line_count(desk, "Cost against size") == len(cost._SIZES)


async def test_the_page_of_the_dashboard_takes_the_processs_own_servers():
    async with opened(cost.build) as desk:
        assert desk.field("Exchange").value == "bybit"


def button(desk):
    (found,) = [e for e in desk.all(ui.button) if e.text == "Try again"]
    return found


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        (Order(), ""),
        (Order(quantity=None), "give a quantity above zero"),
        (Order(quantity=-1.0), "give a quantity above zero"),
        (Order(order_type="limit", price=None), "a limit order needs a limit price"),
        (Order(order_type="limit", price=1.0), ""),
        (
            Order(is_measured=False, volatility_bps=None),
            "give a volatility above zero, or let it be measured",
        ),
    ],
)
def test_what_is_missing_is_said_before_anything_is_asked(order, complaint):
    assert order.complaint() == complaint


def test_a_given_volatility_and_tier_are_sent():
    query = Order(is_measured=False, volatility_bps=1.5, tier="VIP 1").query()
    assert (query["volatility_bps"], query["tier"]) == (1.5, "VIP 1")


def test_every_warning_has_its_cause():
    found = warnings_of(
        answer(
            is_extrapolated=True,
            net_cost_bps=1.0,
            interval={"p10_bps": -3.0, "p90_bps": 5.0, "source": "volatility"},
            limit={"at_once_pct": 40.0},
            volatility_samples=None,
        )
    )
    assert [text.split()[0] for text in found] == ["Larger", "The", "The", "40", "Fees"]


def test_an_estimate_without_a_doubt_has_no_warning():
    assert warnings_of({"volatility_samples": 300, "limit": {"at_once_pct": 0.0}}) == []


def test_stages_that_were_not_measured_are_left_out():
    assert latency_rows({"latency": {"book_update_us": None}}) == []


async def test_old_figures_are_taken_away_when_there_is_no_new_one():
    async with page() as desk:
        await desk.tick()
        assert "5.566" in desk.texts()
        problem = CostServerError("the book is too old", remedy="wait", code="book_unavailable")
        desk.costs.of("bybit").problem = problem
        await desk.tick()
        assert "5.566" not in desk.texts()
        assert "the book is too old; wait" in desk.texts()
        desk.costs.of("bybit").problem = None
        await desk.tick()
        assert "5.566" in desk.texts()
