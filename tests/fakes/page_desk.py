"""Opens one dashboard page in process, without a browser and without a trading system."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any

from nicegui import Client, ui
from nicegui.element import Element
from nicegui.testing import User, user_simulation

from trading_system.dashboard.context import PageContext
from trading_system.dashboard.link import ApiError
from trading_system.dashboard.sessions import Session, Sessions
from trading_system.dashboard.store import Store
from trading_system.runtime.clock import ManualClock


class FakeLink:
    """Stands for the way to the API: answers by path, remembers what was asked and wanted."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = Store(clock=self.clock)
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.wanted: frozenset[str] = frozenset()

    def want(self, reader: str, topics: Any) -> None:
        self.wanted = frozenset(topics)

    def unwant(self, reader: str) -> None:
        self.wanted = frozenset()

    async def get(self, path: str, query: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((path, query))
        if path not in self.answers:
            raise ApiError("the trading system did not answer in time")
        return self.answers[path]


class Desk:
    """An open page and its link; :meth:`tick` lets every timer of the page come due once."""

    def __init__(self, link: FakeLink) -> None:
        self.link = link
        self.store = link.store
        self.context: PageContext
        self.user: User

    @property
    def client(self) -> Client:
        assert self.user.client is not None
        return self.user.client

    async def tick(self) -> None:
        for timer in self.all(ui.timer):
            if timer.callback is not None:
                with timer.parent_slot:
                    result = timer.callback()
                    if isawaitable(result):
                        await result

    def all(self, kind: type[Element]) -> list[Any]:
        return [e for e in self.client.elements.values() if isinstance(e, kind)]

    def texts(self) -> list[str]:
        """Every text of the page that can be seen."""
        return [
            element.text
            for element in self.all(ui.label)
            if element.text and all(e.visible for e in (element, *element.ancestors()))
        ]

    def grid(self, caption: str) -> Element:
        """The table of that name."""
        for element in self.client.elements.values():
            if element.props.get("caption") == caption:
                return element
        raise AssertionError(f"no table {caption!r}")

    def cells(self, caption: str) -> list[list[str]]:
        """The texts of the table of that name, row by row."""
        rows = self.grid(caption).props["rows"]
        return [[cell["text"] for cell in row["cells"]] for row in rows]

    def field(self, label: str) -> Any:
        """The input of that label."""
        for element in self.client.elements.values():
            if element.props.get("label") == label:
                return element
        raise AssertionError(f"no input {label!r}")


@asynccontextmanager
async def opened(
    build: Callable[[PageContext], None], *, link: FakeLink | None = None, connected: bool = True
) -> AsyncIterator[Desk]:
    """Open a page made by ``build``."""
    desk = Desk(link or FakeLink())
    sessions = Sessions(clock=desk.link.clock, session_s=3600.0, control_s=60.0)
    if connected:
        desk.store.connected()

    def root() -> None:
        desk.context = PageContext(
            desk.link,
            sessions=sessions,
            session=Session.__new__(Session),
            client=ui.context.client,
            updates_per_second=20,
        )
        build(desk.context)

    async with user_simulation(root) as user:
        desk.user = user
        await user.open("/")
        yield desk
