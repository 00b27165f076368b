"""What a market is: whatever fills the exchange's books and moves its prices."""

from __future__ import annotations

from typing import Protocol


class Market(Protocol):
    """A source of order flow; synchronous and deterministic, time is a parameter."""

    def prepare(self, now_ms: int) -> None:
        """Fill the history before ``now_ms``, the first book and the first reference prices."""
        ...

    def advance(self, now_ms: int) -> None:
        """Run everything due up to ``now_ms``; cheap when nothing is due."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether nothing can follow (a recording is over)."""
        ...

    def description(self) -> dict[str, object]:
        """Return what this market is, as plain JSON values."""
        ...
