"""Fixed-size histograms of nanoseconds: recording is cheap, percentiles are within one percent.

Log-linear, after HdrHistogram (G. Tene): 64 equal bins for each doubling from 64 ns on, 1 ns wide
below. A bin is at most 1/64 of its lower edge wide and is read as its middle, so that a positive
figure is off by less than 0.8 %. Only counts are kept, never samples; minimum, maximum, sum and
count are exact.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_SUB_BITS: Final = 6
_EXACT_BELOW: Final = 1 << _SUB_BITS
_TOP_BITS: Final = 43
_BINS: Final = ((_TOP_BITS - _SUB_BITS - 1) << _SUB_BITS) + 2 * _EXACT_BELOW
_WORTH_AN_ARRAY: Final = 40
_NS_PER_US: Final = 1_000.0
_ASKED: Final = np.array((0.50, 0.95, 0.99))

LARGEST_NS: Final = (1 << _TOP_BITS) - 1
"""Longest duration with a bin of its own, about 2.4 hours; a longer one is read as this one."""


def _bin_of(duration_ns: int) -> int:
    if duration_ns < _EXACT_BELOW:
        return max(duration_ns, 0)
    if duration_ns > LARGEST_NS:
        return _BINS - 1
    shift = duration_ns.bit_length() - _SUB_BITS - 1
    return (shift << _SUB_BITS) + (duration_ns >> shift)


def _bins_of(durations_ns: Sequence[int]) -> npt.NDArray[np.int64]:
    held = np.array(durations_ns, dtype=np.int64)
    _, bits = np.frexp(held)  # exact: none is longer than LARGEST_NS
    shift = np.maximum(bits - _SUB_BITS - 1, 0).astype(np.int64)
    return np.asarray((shift << _SUB_BITS) + (held >> shift), dtype=np.int64)


def _middles() -> npt.NDArray[np.float64]:
    numbers = np.arange(_BINS, dtype=np.int64)
    shift = np.maximum((numbers >> _SUB_BITS) - 1, 0)
    lower = (numbers - (shift << _SUB_BITS)) << shift
    return np.asarray(lower + ((1 << shift) - 1) / 2.0, dtype=np.float64)


_MIDDLES: Final = _middles()


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Percentiles in microseconds; None while nothing was measured.

    ``samples`` is the number of durations recorded, see the owner for since when.
    """

    p50_us: float | None
    p95_us: float | None
    p99_us: float | None
    max_us: float | None
    samples: int

    def row(self) -> dict[str, float | int | None]:
        """Return the figures by name, JSON-safe."""
        return {
            "p50_us": self.p50_us,
            "p95_us": self.p95_us,
            "p99_us": self.p99_us,
            "max_us": self.max_us,
            "samples": self.samples,
        }


NOTHING_MEASURED: Final = Percentiles(p50_us=None, p95_us=None, p99_us=None, max_us=None, samples=0)
"""Percentiles of no samples."""


class LatencyHistogram:
    """Durations of one stage, counted in bins; about 20 KiB whatever their number.

    Notes
    -----
    Zero and negative durations (clock differences) share the lowest bin, which is read as 0: only
    the smallest of them is known exactly, as :attr:`min_ns`. No percentile lies below the minimum
    or above the maximum, so that equal samples are read exactly.
    """

    __slots__ = ("_bins", "_max_ns", "_min_ns", "count", "sum_ns")

    def __init__(self) -> None:
        self._bins = array("q", (0,)) * _BINS
        self._min_ns = 0
        self._max_ns = 0
        self.count = 0
        self.sum_ns = 0

    @property
    def min_ns(self) -> int | None:
        """Shortest duration, nanoseconds; None without one."""
        return self._min_ns if self.count else None

    @property
    def max_ns(self) -> int | None:
        """Longest duration, nanoseconds; None without one."""
        return self._max_ns if self.count else None

    def record(self, duration_ns: int) -> None:
        """Count one duration, nanoseconds."""
        if _EXACT_BELOW <= duration_ns <= LARGEST_NS:  # `_bin_of` without the call: the hot path
            shift = duration_ns.bit_length() - _SUB_BITS - 1
            self._bins[(shift << _SUB_BITS) + (duration_ns >> shift)] += 1
        else:
            self._bins[_bin_of(duration_ns)] += 1
        if self.count:
            if duration_ns > self._max_ns:
                self._max_ns = duration_ns
            elif duration_ns < self._min_ns:
                self._min_ns = duration_ns
        else:
            self._min_ns = self._max_ns = duration_ns
        self.count += 1
        self.sum_ns += duration_ns

    def record_all(self, durations_ns: Sequence[int]) -> None:
        """Count many durations, nanoseconds; faster than one by one."""
        if not durations_ns:
            return
        shortest, longest = min(durations_ns), max(durations_ns)
        if len(durations_ns) < _WORTH_AN_ARRAY or shortest < 0 or longest > LARGEST_NS:
            for duration_ns in durations_ns:
                self.record(duration_ns)
            return
        bins = np.frombuffer(self._bins, dtype=np.int64)
        np.add(bins, np.bincount(_bins_of(durations_ns), minlength=_BINS), out=bins)
        self._min_ns = min(self._min_ns, shortest) if self.count else shortest
        self._max_ns = max(self._max_ns, longest) if self.count else longest
        self.count += len(durations_ns)
        self.sum_ns += sum(durations_ns)

    def add(self, other: LatencyHistogram) -> None:
        """Count everything that ``other`` has counted."""
        if not other.count:
            return
        mine = np.frombuffer(self._bins, dtype=np.int64)
        np.add(mine, np.frombuffer(other._bins, dtype=np.int64), out=mine)
        self._min_ns = min(self._min_ns, other._min_ns) if self.count else other._min_ns
        self._max_ns = max(self._max_ns, other._max_ns) if self.count else other._max_ns
        self.count += other.count
        self.sum_ns += other.sum_ns

    def clear(self) -> None:
        """Forget everything."""
        if self.count:
            np.frombuffer(self._bins, dtype=np.int64).fill(0)
        self._min_ns = self._max_ns = self.count = self.sum_ns = 0

    def percentiles(self) -> Percentiles:
        """Return the percentiles, interpolated between neighbouring samples as numpy does."""
        if not self.count:
            return NOTHING_MEASURED
        ranks = _ASKED * (self.count - 1)
        below = np.floor(ranks).astype(np.int64)
        above = np.minimum(below + 1, self.count - 1)
        cumulated = np.frombuffer(self._bins, dtype=np.int64).cumsum()
        lower, upper = self._at(cumulated, below), self._at(cumulated, above)
        p50, p95, p99 = (lower + (upper - lower) * (ranks - below)) / _NS_PER_US
        return Percentiles(
            p50_us=round(float(p50), 3),
            p95_us=round(float(p95), 3),
            p99_us=round(float(p99), 3),
            max_us=round(self._max_ns / _NS_PER_US, 3),
            samples=self.count,
        )

    def counts_up_to(self, bounds_ns: Sequence[int]) -> list[int]:
        """Return how many durations are at most as long as each bound, nanoseconds.

        Exact to the bin that holds the bound (1.6 % of it), all of which counts as within.
        """
        cumulated = np.frombuffer(self._bins, dtype=np.int64).cumsum()
        return [int(cumulated[_bin_of(bound)]) for bound in bounds_ns]

    def _at(
        self, cumulated: npt.NDArray[np.int64], ranks: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        middles = _MIDDLES[np.searchsorted(cumulated, ranks, side="right")]
        return np.clip(middles, self._min_ns, self._max_ns)
