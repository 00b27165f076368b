"""How many requests may go out now: the maker never asks for more than it is allowed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from trading_system.config.sections import RiskSettings
from trading_system.domain.ports import Clock

_NS_PER_S: Final = 1_000_000_000
_WINDOW_NS: Final = _NS_PER_S
_MARGIN: Final = 1

VENUE_RATE: Final = 10
"""What Bybit documents for one account: creations, changes, cancellations a second, each."""


class Kind(Enum):
    """What is counted apart from the others; each order of a batch counts."""

    CREATE = "create"
    AMEND = "amend"
    CANCEL = "cancel"


class Budget:
    """Requests of each kind in the last second, those without an answer included.

    A request counts from when it is sent until a second after its answer. So neither the gate nor
    the venue sees more than the limit in any second, however long each request is on its way. In an
    emergency one without an answer counts for a second only: rather too many than none at all.

    Parameters
    ----------
    limits : RiskSettings
        ``max_orders_per_second`` and ``max_amends_per_second`` of the gate.
    venue_rate : int
        What the venue allows of each kind in a second, at least 1.
    clock : Clock
        Monotonic time.
    """

    def __init__(self, limits: RiskSettings, *, venue_rate: int, clock: Clock) -> None:
        self._limits = {
            Kind.CREATE: min(limits.max_orders_per_second, venue_rate),
            Kind.AMEND: min(limits.max_amends_per_second, venue_rate),
            Kind.CANCEL: venue_rate,
        }
        self._clock = clock
        self._open: dict[Kind, list[tuple[int, int]]] = {kind: [] for kind in Kind}
        self._answered: dict[Kind, deque[int]] = {kind: deque() for kind in Kind}

    def most(self, kind: Kind) -> int:
        """Return how many may go out in a second; one is left for stops and exits."""
        return max(1, self._limits[kind] - _MARGIN)

    def free(self, kind: Kind, *, is_emergency: bool = False) -> int:
        """Return how many may go out now; in an emergency the one left for others too."""
        if is_emergency:
            return max(0, self._limits[kind] - self._used(kind, is_emergency=True))
        return max(0, self.most(kind) - self._used(kind))

    def wait_s(self, kind: Kind, count: int) -> float:
        """Return the seconds until ``count`` may go out, or as many as ever may at once.

        Where that depends on answers that are still missing, one second is returned.
        """
        lacking = min(count, self.most(kind)) + self._used(kind) - self.most(kind)
        if lacking <= 0:
            return 0.0
        answered = self._answered[kind]
        if lacking > len(answered):
            return _WINDOW_NS / _NS_PER_S
        return (answered[lacking - 1] + _WINDOW_NS - self._clock.monotonic_ns()) / _NS_PER_S

    def begin(self, kind: Kind, count: int) -> Callable[[], None]:
        """Count ``count`` requests as on their way until the function returned is called."""
        entry = (self._clock.monotonic_ns(), count)
        self._open[kind].append(entry)

        def answered() -> None:
            self._open[kind].remove(entry)
            self._answered[kind].extend([self._clock.monotonic_ns()] * count)

        return answered

    @contextmanager
    def spending(self, kind: Kind, count: int) -> Iterator[None]:
        """Count ``count`` requests: on their way inside the block, answered at its end."""
        answered = self.begin(kind, count)
        try:
            yield
        finally:
            answered()

    def _used(self, kind: Kind, *, is_emergency: bool = False) -> int:
        answered, now_ns = self._answered[kind], self._clock.monotonic_ns()
        while answered and now_ns - answered[0] >= _WINDOW_NS:
            answered.popleft()
        return len(answered) + sum(
            count
            for sent_ns, count in self._open[kind]
            if not is_emergency or now_ns - sent_ns < _WINDOW_NS
        )
