"""Named holds on trading: each source says what it allows, and the strictest one rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trading_system.domain.errors import ValidationError
from trading_system.risk.limits import TradingState

_STRICTNESS = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


@dataclass(frozen=True, slots=True)
class Hold:
    """What one source allows and why."""

    state: TradingState
    reason: str


HoldListener = Callable[[TradingState, TradingState], None]
"""Called with the effective state before and after, only when it changed."""


class Holds:
    """The holds in force; without one, trading is ACTIVE.

    Sources in use: ``operator`` (kill, reduce-only; latched), ``loss-limit`` (latched),
    ``recovery`` (until the start is reconciled), ``start`` (until streams and books are ready),
    ``stale-book``, ``address`` (HTTP 403), ``reconciliation``, ``venue``, ``auth``, ``journal``,
    ``invariant`` and ``health`` (set and lifted by the health score). Closing a source's hold never
    lifts another one.

    Parameters
    ----------
    on_change : HoldListener or None
        Told of each change of the effective state, after it is in force.
    """

    def __init__(self, on_change: HoldListener | None = None) -> None:
        self._holds: dict[str, Hold] = {}
        self._state = TradingState.ACTIVE
        self._on_change = on_change

    @property
    def state(self) -> TradingState:
        """The strictest state that any source asks for."""
        return self._state

    @property
    def reasons(self) -> dict[str, str]:
        """Reason of each source that holds trading, in the order in which they began."""
        return {source: hold.reason for source, hold in self._holds.items()}

    def get(self, source: str) -> Hold | None:
        """Return the hold of one source, None if it holds nothing."""
        return self._holds.get(source)

    def set(self, source: str, state: TradingState, reason: str) -> None:
        """Let ``source`` allow no more than ``state``; ``ACTIVE`` is the same as :meth:`clear`.

        Raises
        ------
        ValidationError
            If source or reason is empty.
        """
        if not source or not reason:
            raise ValidationError("a hold needs a source and a reason")
        if state is TradingState.ACTIVE:
            self._holds.pop(source, None)
        else:
            self._holds[source] = Hold(state, reason)
        self._refresh()

    def clear(self, source: str) -> bool:
        """Lift the hold of ``source``; return whether there was one."""
        was_there = self._holds.pop(source, None) is not None
        self._refresh()
        return was_there

    def _refresh(self) -> None:
        before = self._state
        states = [hold.state for hold in self._holds.values()]
        self._state = max(states, key=_STRICTNESS.__getitem__, default=TradingState.ACTIVE)
        if self._state is not before and self._on_change is not None:
            self._on_change(before, self._state)
