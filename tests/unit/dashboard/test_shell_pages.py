from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import inspection
import pytest
from nicegui import ui
from nicegui.testing import UserInteraction, user_simulation

from trading_system.dashboard.commands import outcome
from trading_system.dashboard.context import NeedsControlError, PageContext
from trading_system.dashboard.grid import Grid
from trading_system.dashboard.layout import edge_words, frame, health_kind
from trading_system.dashboard.lines import MAX_DRAWN, bounds, thinned
from trading_system.dashboard.link import ApiError
from trading_system.dashboard.pages import alerts, overview, risk
from trading_system.dashboard.pages.alerts import delivery_words
from trading_system.dashboard.sessions import Sessions
from trading_system.dashboard.store import Store
from trading_system.dashboard.theme import NOTHING
from trading_system.runtime.clock import ManualClock

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="alert(1)">'


class FakeLink:
    """Answers of the API from a dictionary; remembers what was wanted and sent."""

    def __init__(self, clock):
        self.store = Store(clock=clock)
        self.answers = {}
        self.wanted = {}
        self.posts = []
        self.failure = None

    def want(self, reader, topics):
        self.wanted[reader] = set(topics)

    def unwant(self, reader):
        self.wanted.pop(reader, None)

    async def get(self, path, query=None):
        if path not in self.answers:
            raise ApiError(f"refused (404): {path}", status=404)
        return self.answers[path]

    async def post(self, path, body, *, token):
        self.posts.append((path, body, token))
        if self.failure is not None:
            raise self.failure
        return {"trading_state": "HALTED", "holds": {"operator": body.get("reason", "")}}

    async def role_of(self, token):
        return {"the-control-token": "control", "the-read-token": "read"}.get(token)


class Bench:
    """One page in a simulated browser."""

    def __init__(self):
        self.clock = ManualClock()
        self.link = FakeLink(self.clock)
        self.sessions = Sessions(clock=self.clock, session_s=3600.0, control_s=60.0)
        self.session = self.sessions.find(self.sessions.log_in(self.sessions.new_link()))
        self.context = None
        self.user = None

    @asynccontextmanager
    async def page(self, build, path="/"):
        entry = SimpleNamespace(path=path, title="The page", icon="dashboard")

        def root():
            self.context = PageContext(
                self.link,
                sessions=self.sessions,
                session=self.session,
                client=ui.context.client,
                updates_per_second=20,
            )
            with frame(self.context, pages=[entry], current=entry, clock=self.clock):
                build(self.context)

        async with user_simulation(root=root) as self.user:
            await self.user.open("/")
            yield self

    async def cells(self, caption):
        """Return the rows of a table as lists of texts."""
        await asyncio.sleep(0)
        for grid in self.user.find(kind=Grid).elements:
            if grid.props["caption"] == caption:
                return [[cell["text"] for cell in row["cells"]] for row in grid.props["rows"]]
        raise AssertionError(caption)

    def press(self, label):
        """Press the newest button with exactly this label."""
        found = [one for one in self.user.find(kind=ui.button).elements if one.text == label]
        newest = max(found, key=lambda one: one.id)
        UserInteraction(self.user, {newest}, None).click()

    def type(self, label, text):
        """Replace what stands in the newest field with this label."""
        found = [one for one in self.user.find(kind=ui.input).elements if one.label == label]
        newest = max(found, key=lambda one: one.id)
        UserInteraction(self.user, {newest}, None).clear().type(text)

    def empty(self, caption):
        (grid,) = (
            one for one in self.user.find(kind=Grid).elements if one.props["caption"] == caption
        )
        return grid.props["empty"]

    async def until(self, claim):
        async with asyncio.timeout(4):
            while not await claim():
                await asyncio.sleep(0.02)


@pytest.fixture
def bench():
    return Bench()


def feed(bench):
    status = inspection.full_status()
    status["edge"] = {
        "market": {"kind": "synthetic", "edge_bps": 25.0, "edge_note": "about 10 times"}
    }
    status["health"]["reasons"] = ["journal: cannot be written (-5.0)", "no market data: capped"]
    status["agents"][0]["note"] = HOSTILE
    bench.link.store.connected()
    bench.link.store.put("status", status)
    return status


async def test_overview_shows_figures_reasons_and_targets(bench):
    feed(bench)
    bench.link.store.put(
        "positions",
        {"positions": [{"symbol": "BTCUSDT", "quantity": "0.015", "venue_quantity": "0.020"}]},
    )
    bench.link.store.put("fills", {"fills": [{"exec_id": "1", "side": "Sell", "price": "37000.1"}]})
    bench.link.answers["/latency"] = {
        "stages": {"send": {"rolling": {"samples": 0}, "since_start": {"p50_us": 5, "samples": 9}}}
    }
    bench.link.answers["/equity"] = {"points": [[1, 1.0], [2, 2.0]]}
    async with bench.page(overview.build):
        await bench.user.should_see("SIMULATED")
        await bench.user.should_see("synthetic market with edge 25 bps: about 10 times")
        await bench.user.should_see("live")
        rows = await bench.cells("Lost points of health")
        assert rows[0] == ["journal", "cannot be written", "-5.0"]
        assert rows[1] == ["no market data", "capped", ""]
        targets = await bench.cells("Compliance with the targets")
        assert [row[0] for row in targets][-1] == "Market data to order"
        assert (await bench.cells("Positions"))[0][1] == "0.015"
        assert (await bench.cells("Latest fills"))[0][2] == "Sell"
        assert (await bench.cells("Signal agents"))[0][-1] == HOSTILE

        async def has_stages():
            return await bench.cells("Latency of each stage") == [
                ["send", "5 µs", NOTHING, NOTHING, "9"]
            ]

        await bench.until(has_stages)
        assert bench.link.wanted[bench.user.client.id] >= {"status", "alerts", "positions"}


async def test_overview_without_a_system_says_so(bench):
    bench.link.store.lost("the trading system is not running; start it")
    async with bench.page(overview.build):
        await bench.user.should_see("NO DATA YET")
        await bench.user.should_see("disconnected")
        await bench.user.should_see("The trading system is not running; start it.")
        assert await bench.cells("Positions") == []
        assert bench.empty("Positions") == "disconnected, no data yet"
        assert bench.empty("Lost points of health") == "no data yet"


async def test_old_figures_are_said_to_be_old(bench):
    feed(bench)
    bench.clock.advance(12)
    async with bench.page(overview.build):
        await bench.user.should_see("stale, last update 12 s ago")
    bench.link.store.lost("gone")
    assert bench.context.freshness("status") == "disconnected, last update 12 s ago"


async def test_risk_is_read_only_until_the_control_token_is_typed(bench):
    feed(bench)
    bench.link.answers["/risk"] = {
        "state": "REDUCING",
        "behaviour": {"level": "reduce-only", "reason": "health 50 below 55", "since_s": 3},
        "holds": {"operator": HOSTILE},
        "limits": [{"name": "gross exposure", "used": "48000", "limit": "50000",
                    "unit": "USDT", "used_pct": 96}],
        "exposure": [{"symbol": "BTCUSDT", "notional": "-555", "share_pct": 0.6}],
        "denied": {"HALTED": 1, "TOO_LARGE": 4},
        "equity": "100000", "drawdown_pct": 0.2, "daily_pnl_pct": -0.1,
    }  # fmt: skip
    async with bench.page(risk.build):
        await bench.user.should_see("REDUCING")
        assert await bench.cells("Holds") == [["operator", HOSTILE]]
        assert (await bench.cells("Limits"))[0][:3] == ["Gross exposure", "96.0", "48,000.00"]
        assert [row[0] for row in await bench.cells("Denied orders")] == ["TOO LARGE", "HALTED"]
        with pytest.raises(NeedsControlError):
            await bench.context.post("/kill", {})
        assert not bench.link.posts
        for token, words in (
            ("", "Type the token"),
            ("the-read-token", "cannot control"),
            ("wrong", "does not know this token"),
        ):
            bench.type("Control token", token)
            bench.press("Unlock control")
            await bench.user.should_see(words)
        bench.type("Control token", "the-control-token")
        bench.press("Unlock control")
        await bench.user.should_see("Control is unlocked for 1 min 00 s")
        bench.press("Pause")
        await bench.user.should_see("Pause?")
        bench.press("Pause")
        await bench.user.should_see("Pause: trading is HALTED.")
        assert bench.link.posts == [("/pause", {"reason": "dashboard: pause"}, "the-control-token")]
        bench.clock.advance(61)
        await bench.user.should_see("Control is locked again", retries=12)


async def test_a_kill_needs_its_word_and_carries_who_did_it(bench):
    feed(bench)
    bench.link.answers["/risk"] = {}
    async with bench.page(risk.build):
        bench.sessions.give_control(bench.session, "the-control-token")
        await bench.user.should_see("Control is unlocked")
        bench.press("Kill switch")
        await bench.user.should_see("Type KILL to confirm")
        bench.type("Type KILL to confirm", "kill")
        bench.type("Reason, kept in the journal", "it smells")
        (kill,) = (one for one in bench.user.find(kind=ui.button).elements if one.text == "Kill")
        assert not kill.enabled
        bench.type("Type KILL to confirm", "KILL")
        assert kill.enabled
        bench.press("Kill")
        await bench.user.should_see("Kill switch: trading is HALTED")
        path, body, token = bench.link.posts[0]
        assert (path, token) == ("/kill", "the-control-token")
        assert body == {"confirm": "KILL", "flatten": False, "reason": "dashboard: it smells"}


async def test_a_command_that_failed_says_so(bench):
    feed(bench)
    bench.link.answers["/risk"] = {}
    bench.link.failure = ApiError("no answer; whether it was done is not known")
    async with bench.page(risk.build):
        bench.sessions.give_control(bench.session, "the-control-token")
        await bench.user.should_see("Control is unlocked")
        bench.press("Resume")
        await bench.user.should_see("Resume?")
        bench.press("Resume")
        await bench.user.should_see("Resume failed: no answer; whether it was done is not known")
        assert bench.link.posts == [("/resume", {"reset_limits": False}, "the-control-token")]


ALERT = {
    "rule": "x",
    "severity": "warning",
    "message": "m",
    "remedy": "r",
    "since_ms": 1,
    "times": 1,
}


async def test_firing_alerts_come_first_and_lines_are_texts(bench):
    feed(bench)
    bench.link.answers["/log"] = {
        "lines": [{"number": 1, "time_ms": 1, "level": "debug", "event": "d"}]
    }
    bench.link.answers["/alerts"] = {
        "alerts": [
            {**ALERT, "id": "1", "state": "cleared", "cleared_ms": 5},
            {**ALERT, "id": "2", "state": "acknowledged", "note": "known"},
            {**ALERT, "id": "3", "state": "firing", "message": HOSTILE},
            {**ALERT, "id": "4", "state": "firing", "severity": "critical"},
        ],
        "delivery": {"sinks": []},
    }
    line = {
        "number": 2,
        "time_ms": 1_700_000_000_000,
        "level": "error",
        "event": HOSTILE,
        "fields": {"a": 1},
    }
    async with bench.page(alerts.build):
        bench.link.store.put("log", {"lines": [line]})

        async def is_loaded():
            rows = await bench.cells("Alerts")
            return [row[0] for row in rows] == ["firing", "firing", "acknowledged", "cleared"]

        await bench.until(is_loaded)
        rows = await bench.cells("Alerts")
        assert [row[1] for row in rows[:2]] == ["critical", "warning"]
        assert [row[-1] for row in rows] == ["Acknowledge", "Acknowledge", "", ""]
        await bench.user.should_see("Nobody is told of alerts")

        async def has_line():
            return await bench.cells("Log lines") == [["22:13:20.000", "error", HOSTILE, "a=1"]]

        await bench.until(has_line)
        bench.press("Pause")
        bench.link.store.put("log", {"lines": [{**line, "number": 3}]})
        await asyncio.sleep(0.6)
        assert await has_line()
        bench.press("Go on")
        assert len(await bench.cells("Log lines")) == 2


async def test_an_acknowledgement_needs_control_and_carries_its_note(bench):
    feed(bench)
    bench.link.store.put("alerts", {"alerts": [{**ALERT, "id": "a3", "state": "firing"}]})
    async with bench.page(alerts.build):
        for has_control in (False, True):
            if has_control:
                bench.sessions.give_control(bench.session, "the-control-token")
            (grid,) = (
                one
                for one in bench.user.find(kind=Grid).elements
                if one.props["caption"] == "Alerts"
            )
            with bench.user.client:
                grid.props["caption"]
                for listener in grid._event_listeners.values():
                    listener.handler(SimpleNamespace(args={"key": "a3"}))
            await bench.user.should_see("Acknowledge the alert?")
            bench.type("Note, kept with the alert", " seen ")
            bench.press("Acknowledge")
            words = "Acknowledged." if has_control else "type the control token"
            await bench.user.should_see(words)
            await asyncio.sleep(0.05)
    assert bench.link.posts == [("/alerts/a3/acknowledge", {"note": "seen"}, "the-control-token")]


async def test_a_hidden_page_wants_nothing(bench):
    feed(bench)
    async with bench.page(overview.build):
        await bench.user.should_see("live")
        bench.context.visibility_changed(is_visible=False)
        assert bench.link.wanted[bench.user.client.id] == set()
        bench.context.want("market:BTCUSDT")
        assert bench.link.wanted[bench.user.client.id] == set()
        bench.context.visibility_changed(is_visible=True)
        assert "market:BTCUSDT" in bench.link.wanted[bench.user.client.id]
        bench.context.unwant("market:BTCUSDT")
        assert "market:BTCUSDT" not in bench.link.wanted[bench.user.client.id]


async def test_charts_follow_the_theme(bench):
    feed(bench)
    seen = []
    async with bench.page(overview.build):
        bench.context.on_theme(lambda: seen.append(bench.context.is_dark))
        with bench.user.client:
            bench.context.theme_changed(is_dark=True)
            bench.context.theme_changed(is_dark=False)
    assert seen == [False]


def test_an_outcome_is_told_with_its_doubts():
    killed = {
        "trading_state": "HALTED",
        "confirmed": False,
        "open_orders": 2,
        "flattened": False,
        "position": {"BTCUSDT": "0.015"},
        "holds": {"operator": "kill: x"},
    }
    words, kind = outcome("Kill switch", killed)
    assert words == (
        "Kill switch: trading is HALTED. The venue has not confirmed that no order is open. "
        "2 orders are still open. Positions stay open: BTCUSDT 0.015."
    )
    assert kind == "bad"
    closed = {"trading_state": "HALTED", "confirmed": True, "flattened": True, "position": {}}
    assert outcome("Kill", closed) == (
        "Kill: trading is HALTED, no order is open, positions are closed.",
        "good",
    )
    left = {"trading_state": "HALTED", "confirmed": True, "position": {"ETHUSDT": "0.29"}}
    words = "Kill: trading is HALTED, no order is open. Positions stay open: ETHUSDT 0.29."
    assert outcome("Kill", left) == (words, "warn")
    assert outcome("Kill", left, wants_flat=True) == (words, "bad")
    paused = {"trading_state": "ACTIVE", "paused": "x", "holds": {"pause": "paused: x"}}
    assert outcome("Pause", paused) == ("Pause: no new trade begins.", "good")
    resumed = {"trading_state": "HALTED", "holds": {"limit": "daily loss"}}
    words = "Resume: trading is HALTED, still held by daily loss."
    assert outcome("Resume", resumed) == (words, "warn")
    assert outcome("Pause", {}) == ("Pause: done.", "good")


def test_the_edge_is_said_only_of_an_embedded_market():
    assert edge_words(None) == edge_words({"market": None}) == ""
    assert edge_words({"market": {"kind": "replay"}}) == "replay market"


def test_health_has_three_colours():
    assert [health_kind(score) for score in (97, 60, 39, None)] == ["good", "warn", "bad", "muted"]


def test_delivery_is_told_with_its_last_error():
    assert delivery_words(None) == ""
    told = delivery_words({"sinks": ["mailto"], "sent": 3, "failed": 1, "last_error": "refused"})
    assert told == "Told by mailto: 3 sent, 1 failed, 0 dropped; last error: refused"


def test_a_flat_curve_gets_room_on_both_sides():
    assert bounds([]) == bounds([[1.0, 5.0], [2.0, 6.0]]) == {"min": None, "max": None}
    assert bounds([[1.0, 100_000.0], [2.0, 100_000.0]]) == {"min": 99_999.0, "max": 100_001.0}


def test_long_curves_are_thinned_and_keep_their_newest_point():
    points = [[float(i), 1.0] for i in range(4 * MAX_DRAWN + 3)]
    shown = thinned(points)
    assert len(shown) <= MAX_DRAWN + 1
    assert (shown[0], shown[-1]) == (points[0], points[-1])
    assert thinned([]) == []
