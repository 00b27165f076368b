"""What a page may do: read the shared store, ask the API, act if control was given, keep time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from nicegui import Client, ui

from trading_system.dashboard.link import ApiLink
from trading_system.dashboard.sessions import Session, Sessions
from trading_system.dashboard.store import Store
from trading_system.domain.errors import TradingSystemError

_LOG = structlog.get_logger(__name__)


class NeedsControlError(TradingSystemError):
    """The control token was not typed, or too long ago. Consequence: nothing was sent."""


class PageContext:
    """One open page.

    Parameters
    ----------
    link : ApiLink
        The only way to the trading system.
    sessions : Sessions
        Tells whether the login still stands.
    session : Session
        The login this page belongs to.
    client : Client
        The page in the browser.
    updates_per_second : int
        Upper bound of page updates.

    Attributes
    ----------
    store : Store
        Newest frames of the API, shared by all pages.
    is_dark : bool
        Whether the browser shows the dark theme; see :meth:`on_theme`.
    is_visible : bool
        Whether somebody can see the page; a hidden one is not updated.
    """

    def __init__(
        self,
        link: ApiLink,
        *,
        sessions: Sessions,
        session: Session,
        client: Client,
        updates_per_second: int,
    ) -> None:
        self._link = link
        self._sessions = sessions
        self._session = session
        self._client = client
        self._shortest_s = 1.0 / updates_per_second
        self._topics: set[str] = set()
        self._on_theme: list[Callable[[], None]] = []
        self.store: Store = link.store
        self.is_dark = True
        self.is_visible = True
        client.on_delete(lambda: link.unwant(client.id))

    @property
    def symbols(self) -> list[str]:
        """The symbols that the system trades, none before its first status."""
        status = self.store.status
        return [] if status is None else [str(symbol) for symbol in status.get("symbols", ())]

    @property
    def can_control(self) -> bool:
        """Whether commands are allowed now: the control token was typed recently enough."""
        return self._sessions.control_token(self._session) is not None

    @property
    def control_left_s(self) -> float:
        """Seconds until the control token has to be typed again, 0 without it."""
        return self._sessions.control_left_s(self._session)

    def want(self, *topics: str) -> None:
        """Subscribe to ``topics`` of the stream for as long as this page is open."""
        self._topics.update(topics)
        if self.is_visible:
            self._link.want(self._client.id, self._topics)

    def unwant(self, *topics: str) -> None:
        """Give up ``topics``, for instance of a symbol that is shown no more."""
        self._topics.difference_update(topics)
        if self.is_visible:
            self._link.want(self._client.id, self._topics)

    def every(self, interval_s: float, update: Callable[[], None]) -> None:
        """Call ``update`` at once and then every ``interval_s`` seconds while the page is seen.

        The settings' updates per second bound the rate; an error in ``update`` is logged and does
        not end the timer.
        """

        def tick() -> None:
            if not self.is_visible or not self._client.has_socket_connection:
                return
            try:
                update()
            except Exception:  # a page's mistake must not stop its other parts
                _LOG.exception("a page could not be updated")

        ui.timer(max(interval_s, self._shortest_s), tick)

    def on_theme(self, redraw: Callable[[], None]) -> None:
        """Call ``redraw`` when the theme has changed; :attr:`is_dark` tells which it is."""
        self._on_theme.append(redraw)

    def theme_changed(self, *, is_dark: bool) -> None:
        """Note which theme the browser shows and let the page's charts follow."""
        if is_dark == self.is_dark:
            return
        self.is_dark = is_dark
        for redraw in self._on_theme:
            redraw()

    def visibility_changed(self, *, is_visible: bool) -> None:
        """Note whether the page is seen; a hidden one wants no frames."""
        self.is_visible = is_visible
        self._link.want(self._client.id, self._topics if is_visible else ())

    def freshness(self, topic: str, *, stale_s: float = 3.0) -> str:
        """Return why the newest frame of ``topic`` is not to be trusted, empty if it is.

        ``stale_s`` is the age in seconds from which it counts as stale.
        """
        age_s = self.store.age_s(topic)
        if age_s is None:
            return "no data yet" if self.store.is_connected else "disconnected, no data yet"
        shown = f"last update {age_s:.0f} s ago"
        if not self.store.is_connected:
            return f"disconnected, {shown}"
        return f"stale, {shown}" if age_s > stale_s else ""

    async def get(self, path: str, **query: object) -> dict[str, Any]:
        """Return the answer of the API to a read; see :meth:`ApiLink.get` for errors."""
        return await self._link.get(path, query)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a command and return the API's answer; see :meth:`ApiLink.post` for errors.

        Raises
        ------
        NeedsControlError
            If the control token was not typed, or too long ago.
        """
        token = self._sessions.control_token(self._session)
        if token is None:
            raise NeedsControlError("type the control token first")
        return await self._link.post(path, body, token=token)

    async def unlock(self, token: str) -> None:
        """Take the control token for this login after the API has confirmed it.

        Raises
        ------
        NeedsControlError
            If it is not the control token.
        """
        role = await self._link.role_of(token)
        if role != "control":
            raise NeedsControlError(
                "this is the read token, which cannot control"
                if role == "read"
                else "the trading system does not know this token"
            )
        self._sessions.give_control(self._session, token)

    def lock(self) -> None:
        """Forget the control token of this login."""
        self._sessions.take_control(self._session)
