"""The frame around every page: banners, state, navigation, connection, theme and log-out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from nicegui import events, ui

from trading_system.dashboard.context import PageContext
from trading_system.dashboard.figures import clock_time, plain
from trading_system.dashboard.theme import NOTHING, Kind, Text
from trading_system.domain.ports import Clock

ENVIRONMENTS: Final[dict[str, tuple[str, str]]] = {
    "simulated": ("SIMULATED", "embedded venue, no money"),
    "testnet": ("TESTNET", "the venue's test money"),
    "demo": ("DEMO", "the venue's demo money"),
    "mainnet": ("MAINNET", "real money"),
}
"""Environment to the words of its banner."""

STATES: Final[dict[str, Kind]] = {
    "ACTIVE": "good",
    "PAUSED": "warn",
    "REDUCING": "warn",
    "HALTED": "bad",
}
"""Trading state to its colour."""

_INTERVAL_S: Final = 0.5
_HEALTHY: Final = 80.0
_POOR: Final = 55.0


class Entry(Protocol):
    """What the navigation shows of a page."""

    @property
    def path(self) -> str:
        """Address below the dashboard's own."""
        ...

    @property
    def title(self) -> str:
        """Words of the entry."""
        ...

    @property
    def icon(self) -> str:
        """Name of its icon."""
        ...


class Frame(ui.element, component="frame.js"):
    """Theme switch and log-out; reports the theme and whether the page is seen."""

    def __init__(self, context: PageContext) -> None:
        super().__init__()

        def themed(event: events.GenericEventArguments) -> None:
            context.theme_changed(is_dark=bool(event.args.get("dark")))

        def seen(event: events.GenericEventArguments) -> None:
            context.visibility_changed(is_visible=bool(event.args.get("visible")))

        self.on("theme", themed)
        self.on("seen", seen)


def frame(
    context: PageContext, *, pages: Sequence[Entry], current: Entry, clock: Clock
) -> ui.element:
    """Build the frame and return the open content column for the page."""
    layout = ui.context.client.layout
    with layout:
        skip = ui.element("a").classes("skip")
        skip.props["href"] = "#content"
        with skip:
            Text("Skip to the content")
        header = _Header(context, clock=clock)
        nav = _navigation(pages, current)
        problem = _Problem(context)
    skip.move(layout, target_index=0)
    header.outer.move(layout, target_index=1)
    nav.move(layout, target_index=2)
    content = ui.element("div").classes("content")
    content.props["id"] = "content"
    content.props["tabindex"] = "-1"
    with content:
        Text(current.title, tag="h1")
    context.want("status", "alerts")

    def update() -> None:
        header.update()
        is_old = problem.update()
        content.classes(**{"add" if is_old else "remove": "is-old"})

    with content:
        context.every(_INTERVAL_S, update)
    return content


def _navigation(pages: Sequence[Entry], current: Entry) -> ui.element:
    nav = ui.element("nav").classes("nav")
    nav.props["aria-label"] = "Pages"
    with nav:
        for page in pages:
            link = ui.element("a").classes("nav-link")
            link.props["href"] = page.path
            if page.path == current.path:
                link.props["aria-current"] = "page"
            with link:
                ui.icon(page.icon).props("aria-hidden=true")
                Text(page.title)
    return nav


class _Header:
    # Environment, state, health, alerts, time and the tools; one line on a desk.

    def __init__(self, context: PageContext, *, clock: Clock) -> None:
        self._context = context
        self._clock = clock
        self._announced: tuple[str, str, bool] | None = None
        self.outer = ui.element("header").classes("top")
        with self.outer:
            with ui.element("div").classes("top-banners"):
                self._environment = Text(NOTHING).classes("env")
                self._edge = Text("").classes("edge")
            with ui.element("div").classes("top-facts"):
                self._trading = _fact("Trading")
                self._health = _fact("Health")
                self._alerts = _fact("Alerts")
                self._connection = _fact("Connection", "fact-link")
                self._updated = _fact("Updated, UTC", "fact-time")
            Frame(context)
            self._live = Text("").classes("sr-only")
            self._live.props["aria-live"] = "polite"
            self._live.props["role"] = "status"

    def update(self) -> None:
        status = self._context.store.status
        is_connected = self._context.store.is_connected
        stale = self._context.freshness("status")
        self._show_connection(stale, is_connected=is_connected)
        if status is None:
            self._environment.show("NO DATA YET", title="")
            return
        self._show_environment(status)
        state = str(status.get("trading_state", NOTHING))
        running = str(status.get("state", ""))
        shown = state if running in {"RUNNING", "DEGRADED"} else running or state
        reasons = [str(one) for one in (status.get("holds") or {}).get("reasons") or ()]
        if shown == "ACTIVE" and any("pause" in one for one in reasons):
            shown = "PAUSED"
        dimmed: Kind = "muted"
        why = "; ".join(reasons) or running
        self._trading.show(shown, kind=dimmed if stale else STATES.get(shown, ""), title=why)
        score = (status.get("health") or {}).get("score")
        self._health.show(plain(score, 0), kind=dimmed if stale else health_kind(score))
        self._show_alerts(status.get("alerts"), dimmed if stale else "")
        self._announce(shown, running, is_connected=is_connected)

    def _show_environment(self, status: dict[str, Any]) -> None:
        environment = str(status.get("environment", ""))
        words, meaning = ENVIRONMENTS.get(environment, (environment.upper(), ""))
        self._environment.show(words, title=meaning)
        if self._environment.props.get("data-env") != environment:
            self._environment.props["data-env"] = environment
            self._environment.update()
        self._edge.show(edge_words(status.get("edge")))

    def _show_alerts(self, alerts: dict[str, Any] | None, dimmed: Kind) -> None:
        firing = None if alerts is None else alerts.get("firing")
        kind: Kind = "" if not firing else "warn"
        if alerts is not None and alerts.get("worst") == "critical" and firing:
            kind = "bad"
        self._alerts.show(NOTHING if firing is None else f"{firing} firing", kind=dimmed or kind)

    def _show_connection(self, stale: str, *, is_connected: bool) -> None:
        if not is_connected:
            self._connection.show("disconnected", kind="bad")
        elif stale:
            self._connection.show("stale" if "stale" in stale else "waiting", kind="warn")
        else:
            self._connection.show("live", kind="good")
        age_s = self._context.store.age_s("status")
        if age_s is not None:
            utc_ms = self._clock.utc_ns() / 1e6 - age_s * 1e3
            self._updated.show(clock_time(utc_ms), title=stale)

    def _announce(self, state: str, running: str, *, is_connected: bool) -> None:
        told = (state, running, is_connected)
        if self._announced is not None and told != self._announced:
            link = "connected" if is_connected else "disconnected"
            self._live.show(f"Trading {state}, system {running.lower()}, {link}")
        self._announced = told


class _Problem:
    # Says over every page why nothing moves; it lies above the page and shifts nothing.

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._outer = ui.element("div").classes("problem")
        self._outer.props["role"] = "alert"
        with self._outer:
            self._text = Text("")
        self._outer.set_visibility(False)

    def update(self) -> bool:
        store = self._context.store
        stale = self._context.freshness("status")
        words = store.problem if not store.is_connected else ""
        if not words and stale.startswith("stale"):
            words = f"the trading system sends nothing new: {stale}"
        if words:
            age_s = store.age_s("status")
            shown = "" if store.is_connected or age_s is None else " Figures on this page are old."
            self._text.show(words[0].upper() + words[1:] + "." + shown)
        self._outer.set_visibility(bool(words))
        return bool(words)


def _fact(label: str, extra: str = "") -> Text:
    with ui.element("span").classes(f"fact {extra}"):
        Text(label).classes("fact-label")
        return Text().classes("fact-value")


def health_kind(score: object) -> Kind:
    """Return the colour of a health score."""
    if not isinstance(score, int | float):
        return "muted"
    return "good" if score >= _HEALTHY else "warn" if score >= _POOR else "bad"


def edge_words(edge: object) -> str:
    """Return what the embedded market's edge is, in words; empty for a real market."""
    market = edge.get("market") if isinstance(edge, dict) else None
    if not isinstance(market, dict):
        return ""
    if market.get("edge_bps") is None:
        return f"{market.get('kind', 'embedded')} market"
    return (
        f"{market.get('kind', 'synthetic')} market with edge {plain(market['edge_bps'], 0)} bps: "
        f"{market.get('edge_note', '')}"
    )
