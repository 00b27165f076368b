"""The life of one connection as a table: which state may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from trading_system.domain.errors import InvariantViolated


class LinkState(Enum):
    """Where a link is in its life."""

    IDLE = "idle"
    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    SUSPECT = "suspect"
    """A ping has brought nothing for half of its deadline; the next frame makes it live again."""
    BACKING_OFF = "backing off"
    CLOSED = "closed"


_ENDS = frozenset({LinkState.BACKING_OFF, LinkState.CLOSED})

TRANSITIONS: Final[Mapping[LinkState, frozenset[LinkState]]] = {
    LinkState.IDLE: frozenset({LinkState.CONNECTING, LinkState.CLOSED}),
    LinkState.CONNECTING: _ENDS | {LinkState.AUTHENTICATING, LinkState.SUBSCRIBING},
    LinkState.AUTHENTICATING: _ENDS | {LinkState.SUBSCRIBING, LinkState.LIVE},
    LinkState.SUBSCRIBING: _ENDS | {LinkState.LIVE},
    LinkState.LIVE: _ENDS | {LinkState.SUSPECT},
    LinkState.SUSPECT: _ENDS | {LinkState.LIVE},
    LinkState.BACKING_OFF: frozenset({LinkState.CONNECTING, LinkState.CLOSED}),
    LinkState.CLOSED: frozenset(),
}
"""What may follow each state; to stay is always legal."""


class LinkLife:
    """The state of one link; it moves along :data:`TRANSITIONS` only."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = LinkState.IDLE

    def enter(self, state: LinkState) -> None:
        """Move on to ``state``.

        Raises
        ------
        InvariantViolated
            If it may not follow the present one.
        """
        if state is self.state:
            return
        if state not in TRANSITIONS[self.state]:
            raise InvariantViolated(f"a link cannot go from {self.state.value} to {state.value}")
        self.state = state
