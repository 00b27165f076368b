"""Clocks: the machine's, and one that tests and simulations move by hand."""

from __future__ import annotations

import time

_NS_PER_S = 1_000_000_000


class SystemClock:
    """The machine's clocks; the only place that reads them."""

    def monotonic_ns(self) -> int:
        """Return the machine's monotonic nanoseconds."""
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        """Return the machine's UTC nanoseconds since the epoch."""
        return time.time_ns()


class ManualClock:
    """A clock that stands still until it is advanced.

    Parameters
    ----------
    utc_ns : int
        UTC nanoseconds shown at the start; monotonic time starts at zero.
    """

    def __init__(self, utc_ns: int = 1_700_000_000 * _NS_PER_S) -> None:
        self._monotonic_ns = 0
        self._utc_offset_ns = utc_ns

    def monotonic_ns(self) -> int:
        """Return the nanoseconds advanced so far."""
        return self._monotonic_ns

    def utc_ns(self) -> int:
        """Return the start time plus the nanoseconds advanced so far."""
        return self._utc_offset_ns + self._monotonic_ns

    def advance(self, seconds: float) -> None:
        """Move both clocks forward by ``seconds``, which must not be negative."""
        if seconds < 0:
            raise ValueError(f"a clock only moves forward, was asked for {seconds} s")
        self._monotonic_ns += round(seconds * _NS_PER_S)

    def set_utc_ns(self, utc_ns: int) -> None:
        """Jump the UTC clock to ``utc_ns`` without touching monotonic time."""
        self._utc_offset_ns = utc_ns - self._monotonic_ns
